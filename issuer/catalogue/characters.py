"""Normalising the characters that office programs write, and naming those that cannot be sealed.

Characters that look the same must be the same, otherwise a sealed name cannot be found. So texts are normalised:

    private-use characters of GB 18030-2005 and GBK     the characters that replace them since GB 18030-2022
    Kangxi radicals, radicals of the supplement         the one ideograph of Unicode's Equivalent_Unified_Ideograph
    compatibility ideographs, decomposed letters        NFC, which has exactly one for each
    blanks of other widths (no-break, thin, …)          a plain blank; the ideographic one stays

Characters without a unique meaning are refused with their U+XXXX: invisible ones, those that programs draw differently,
single strokes, and the marks that programs leave in place of a lost character.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# Equivalent_Unified_Ideograph (Unicode 14) of U+2E80 … U+2EF3 in their order; "-" if there is none.
_SUPPLEMENT = (
    "-厂乛乚乙亻冂𠘨刀刂卜㔾小小兀尣尢𡯂巳幺彑彐忄心扌攵-旡日月歺母民氵氺灬爫爫丬"
    "牛犭王𤴔目示礻𥫗糹纟罓罒㓁冗𦉫羊𦍌𦍋耂肀聿肉𦥑艹艹艹虎衤覀西见角𧢲讠贝𧾷车辶辶"
    "辶邑钅長镸长门𨸏阝雨青韦页风飞食𩙿飠饣𩠐马骨鬼鱼鸟卤麦黄黾斉齐歯齿竜龙龜亀龟"
)

# GB 18030-2022, Annex: the double-byte codes whose characters were private-use ones in GB 18030-2005. The last six
# also have four-byte codes.
_GB18030_2022 = (
    "E78D:FE10 E78E:FE12 E78F:FE11 E790:FE13 E791:FE14 E792:FE15 E793:FE16 E794:FE17 E795:FE18 E796:FE19 "
    "E81E:9FB4 E826:9FB5 E82B:9FB6 E82C:9FB7 E832:9FB8 E843:9FB9 E854:9FBA E864:9FBB "
    "E816:20087 E817:20089 E818:200CC E831:215D7 E83B:2298F E855:241FE"
)

_INVISIBLE_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_LOST = frozenset("\ufffd\ufffc")
_LOST_IN_NAMES = frozenset("?？□■〓▯▢☐")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|nbsp|amp|lt|gt|quot);")
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def _private_use() -> dict[int, str]:
    """The replacements of all private-use characters: those of GBK that GB 18030 moved, then those moved in 2022."""
    moved = {0xE76C: "\u20ac", 0xE7C7: "\u1e3f", 0xE7C8: "\u01f9", 0xE7E7: "\u303e"}
    moved |= {0xE7E8 + n: chr(0x2FF0 + n) for n in range(12)}
    trails = [*range(0x50, 0x7F), *range(0x80, 0xA1)]
    moved |= {0xE815 + n: bytes((0xFE, trail)).decode("gb18030") for n, trail in enumerate(trails)}
    for pair in _GB18030_2022.split():
        private, real = (int(code, 16) for code in pair.split(":"))
        moved[private] = chr(real)
    return moved


_RADICALS = {0x2E80 + n: char for n, char in enumerate(_SUPPLEMENT) if char != "-"} | {
    code: unicodedata.normalize("NFKC", chr(code)) for code in range(0x2F00, 0x2FD6)
}
# A replacement of a private-use character of GBK may itself be a radical of the supplement.
_MEANT = {code: text.translate(_RADICALS) for code, text in _private_use().items()} | _RADICALS


@dataclass(frozen=True, slots=True)
class Unusable:
    """A reason why a text cannot be sealed: the rule, what was found, and what to do, in English and in Chinese."""

    code: str
    found: str
    todo: str
    zh: str


def tidied(text: str) -> str:
    """The text in its normal form, without blanks around it."""
    meant = unicodedata.normalize("NFC", text.translate(_MEANT))
    return "".join(" " if _is_odd_blank(char) else char for char in meant).strip()


def in_half_width(text: str) -> str:
    """The text with full-width letters, digits and signs replaced by those of ASCII, for codes, where both mean the
    same."""
    return text.translate(_FULL_WIDTH)


def without_invisible_ends(text: str) -> str:
    """A code without direction marks and zero-width blanks around it, which remain after copying it from a page."""
    start, end = 0, len(text)
    while start < end and (text[start].isspace() or unicodedata.category(text[start]) == "Cf"):
        start += 1
    while end > start and (text[end - 1].isspace() or unicodedata.category(text[end - 1]) == "Cf"):
        end -= 1
    return text[start:end]


def named(char: str) -> str:
    return f"U+{ord(char):04X}"


def is_invisible(char: str) -> bool:
    code = ord(char)
    return (
        unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        or char in _INVISIBLE_LETTERS
        or 0xFE00 <= code <= 0xFE0F  # variation selectors
        or 0xE0100 <= code <= 0xE01EF
    )


def unusable(text: str, *, is_name: bool) -> Iterator[Unusable]:
    """Yields the reasons why a tidied text must not be sealed, one of each kind. `is_name` is for names and
    addresses."""
    kinds = set()
    for before, char in zip("\n" + text, text, strict=False):
        found = _judge(before, char, is_name)
        if found is not None and found.code not in kinds:
            kinds.add(found.code)
            yield found
    if _ENTITY.search(text):
        yield Unusable(
            "LOST_CHARACTER",
            "a character written in the code of web pages (&…;)",
            "type the character itself",
            "含有网页代码（&…; 形式）而非文字本身，请改为录入该字",
        )


def _judge(before: str, char: str, is_name: bool) -> Unusable | None:
    u = named(char)
    if is_invisible(char):
        return Unusable(
            "CONTROL_CHARACTER",
            f"{u}, which cannot be seen",
            "remove it, or type the text again",
            f"含有看不见的字符 {u}，请删除或重新录入该项",
        )
    if unicodedata.category(char) == "Co":
        return Unusable(
            "PRIVATE_USE",
            f"{u}, a private character that every computer shows as another",
            "type the character with an input method of today, or ask where its font came from",
            f"含有自造字 {u}，在别的电脑上会显示成别的字，请用现行输入法重新录入该字",
        )
    code = ord(char)
    if 0x2E80 <= code <= 0x2FDF or 0x2FF0 <= code <= 0x2FFF or 0x31C0 <= code <= 0x31EF:
        return Unusable(
            "RADICAL",
            f"{u}, a part of a character and no character",
            "type the whole character",
            f"含有部首或笔画符号 {u}，不是文字，请录入完整的字",
        )
    if char in _LOST or (is_name and char in _LOST_IN_NAMES):
        u = u if char in _LOST else f"“{char}” ({u})"
        return Unusable(
            "LOST_CHARACTER",
            f"{u}, which programs write where they have lost a character",
            "type the lost character; save as Excel Workbook or CSV UTF-8, which keep it",
            f"含有 {u}，多半是导出时丢了字，请补录该字，并另存为 Excel 工作簿或“CSV UTF-8”",
        )
    if unicodedata.category(char) in ("Mn", "Me") and _takes_no_mark(before):
        return Unusable(
            "COMBINING_MARK",
            f"{u}, a mark over a character that takes none",
            "remove it",
            f"含有叠加在前一字上的符号 {u}，请删除",
        )
    return None


def _takes_no_mark(char: str) -> bool:
    return char.isspace() or char.isdigit() or unicodedata.name(char, "").startswith(("CJK", "FULLWIDTH"))


def _is_odd_blank(char: str) -> bool:
    return unicodedata.category(char) == "Zs" and char not in " \u3000"
