"""Breaking a title into lines at the ends of words (GB/T 9704-2012 §7.3.1).

The norm requires whole words, balanced lines and no single characters. Words are found with jieba's dictionary, which
returns unknown ones (names of places and people, 㐂𠮷河) as single characters; these stay with their neighbours. Also,
关于 stays with the following word, 的 with the word before, and the last 的 with the kind of document (的批复);
brackets and punctuation stay with what they enclose or end.

Of all ways to break into the least number of lines, the one with the most equal lengths is used. A run that is longer
than a line is broken between any two characters.
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
"""Words that stay with the following one."""
_LONGEST_KIND = 4
"""Kinds of documents that may follow the last 的, such as 复函, 批复, 通知书."""


def title_lines(title: str, widest: float) -> list[str]:
    """`title` in lines of at most `widest` em. Nothing is added, and only spaces at line ends are removed."""
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
    """The end of each of `count` lines with the most equal lengths; None if the title does not fit into them."""
    total = [0.0, *itertools.accumulate(widths)]
    fair = total[-1] / count
    # best[n]: (cost, ends of lines) for the first n units in the lines so far
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
    """The runs of the title that stay on one line."""
    import rjieba  # imported here, because reading its dictionary takes a fifth of a second and few commands need it

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
        # 12万吨, X光机: digits and letters stay together and with the following unit
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
