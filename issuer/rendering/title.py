"""A title in lines that end where words end (GB/T 9704-2012 §7.3.1).

The norm wants words whole, lines balanced and no character left alone. Which characters make a word is asked of
jieba's dictionary; what it does not know (names of places and people, 㐂𠮷河) comes out of it as single characters,
and these stay with their neighbours. Besides, 关于 stays with what follows, 的 with what it belongs to, and the last
的 with the kind of document (的批复); brackets and punctuation stay with what they enclose or end.

Of all ways to break into as few lines as there can be, that one is taken whose lines are nearest to equal length.
A run that no line holds is broken between any two characters.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from issuer.rendering.fonts import text_width

_OPENING = frozenset("（《〈“‘「『【〔［([{")
_CLOSING = frozenset("）》〉”’」』】〕］)]}、，。；：？！,.;:?!%％…·—–-")
_JOINING = frozenset("·—–-/")
_LEADING = frozenset(
    {"关于", "对", "向", "将", "和", "与", "及", "以及", "或", "并", "暨", "在", "为", "按", "第"}
)
"""Words that belong to what follows them."""
_LONGEST_KIND = 4
"""复函, 批复, 通知书: what may stand behind the last 的 to be the kind of document."""


def title_lines(title: str, widest: float) -> list[str]:
    """`title` in lines of at most `widest` em. Nothing is added, and only spaces at the ends of lines are left out."""
    units = list(_breakable(_units(title), widest))
    widths = [text_width(unit) for unit in units]
    for count in range(1, len(units) + 1):
        ends = _balanced(widths, count, widest)
        if ends is not None:
            starts = [0, *ends[:-1]]
            lines = ["".join(units[a:b]).strip() for a, b in zip(starts, ends, strict=True)]
            return [line for line in lines if line]
    return [title]


def _balanced(widths: Sequence[float], count: int, widest: float) -> list[int] | None:
    """Where each of `count` lines ends so that they are nearest to equal length; None if they do not hold it all."""
    total = [0.0, *itertools.accumulate(widths)]
    fair = total[-1] / count
    # best[n]: (what it costs, where the lines end) for the first n units in the lines so far
    best: dict[int, tuple[float, list[int]]] = {0: (0.0, [])}
    for _ in range(count):
        following: dict[int, tuple[float, list[int]]] = {}
        for start, (cost, ends) in best.items():
            for end in range(start + 1, len(widths) + 1):
                width = total[end] - total[start]
                if width > widest:
                    break
                sum_so_far = cost + (width - fair) ** 2
                if end not in following or sum_so_far < following[end][0]:
                    following[end] = (sum_so_far, [*ends, end])
        best = following
    return best[len(widths)][1] if len(widths) in best else None


def _units(title: str) -> list[str]:
    """Runs that stay on one line."""
    import rjieba  # its dictionary is read on import, which takes a fifth of a second, and few commands lay out a title

    words = [word for word in rjieba.cut(title) if word]
    last_of = max((at for at, word in enumerate(words) if word == "的"), default=-1)
    ends_with_kind = last_of >= 0 and 0 < len("".join(words[last_of + 1 :])) <= _LONGEST_KIND
    units: list[str] = []
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        is_kind = ends_with_kind and at > last_of
        if units and (is_kind or _stay_together(before, word)):
            units[-1] += word
        else:
            units.append(word)
    return units


def _stay_together(before: str, word: str) -> bool:
    if before[-1].isspace() or word[0].isspace():
        return word[0].isspace()  # a space ends the line before it
    if word[0] in _CLOSING or before[-1] in _OPENING or before[-1] in _JOINING or before in _LEADING:
        return True
    if word[0] in _OPENING or before[-1] in _CLOSING or word in _LEADING:
        return False
    if not _is_han(before[-1]) or not _is_han(word[0]):
        # 12万吨, X光机: digits and letters belong to each other and to the unit that follows
        return not (_is_han(before[-1]) and len(before) > 1)
    return word == "的" or (before != "的" and 1 in (len(word), len(before)))


def _is_han(char: str) -> bool:
    return char >= "⺀" and char.isalpha()


def _breakable(units: Sequence[str], widest: float) -> Iterator[str]:
    for unit in units:
        if text_width(unit) <= widest:
            yield unit
        else:
            yield from unit
