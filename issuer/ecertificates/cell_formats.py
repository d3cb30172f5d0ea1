"""Whether an Excel cell shows the value that it stores, by its number format (ECMA-376 part 1, 18.8.30 and 18.8.31).

    General, 0, 0000, 0.00, #,##0.00, with colours and padding               read as shown, without the commas
    0.0 on 2.75, 0%, 0.0E+0, "JY"0000, ;;; and everything else               refused: another number, or none, is shown

So no number is sealed that differs from what the person who saved the sheet saw.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal

from issuer.catalogue.spreadsheets import KEPT_DIGITS, lost_digits
from trust.model.errors import Malformed

_TOKEN = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]|.', re.DOTALL)
# Parts that show no text: padding as wide as a character, a character that fills the cell, a colour, a language.
_UNSEEN = re.compile(
    r"_.|\*.|\[(?:black|blue|cyan|green|magenta|red|white|yellow|color ?[0-9]+|\$-[0-9a-f]+)\]",
    re.IGNORECASE | re.DOTALL,
)
_PLAIN = re.compile(r"(?P<whole>0+|#|#,##0)(?:\.(?P<places>0+))?")


def number_as_shown(number: float, shown_as: str) -> str | Malformed:
    """The digits that a cell with this format shows, or why the number cannot be read."""
    if abs(number) >= 10**KEPT_DIGITS:
        return lost_digits()
    exact = Decimal(f"{number:.{KEPT_DIGITS}g}")  # Excel never shows more
    minus, section = _section_for(exact, [_seen(part) for part in _sections(shown_as or "General")])
    if section.lower() in ("general", "@"):
        plain = f"{abs(exact):f}"
        return f"{minus}{plain}" if len(plain) <= KEPT_DIGITS + 2 else _shown_otherwise()
    form = _PLAIN.fullmatch(section)
    places = len(form["places"] or "") if form else KEPT_DIGITS
    if form is None or places > KEPT_DIGITS:
        return _shown_otherwise()
    rounded = exact.quantize(Decimal(1).scaleb(-places), context=Context(prec=4 * KEPT_DIGITS))
    whole, point, rest = f"{abs(rounded):f}".partition(".")
    if rounded != exact or (form["whole"] == "#" and whole == "0"):
        return _shown_otherwise()
    digits = whole.zfill(len(form["whole"])) if form["whole"].startswith("0") else whole
    return f"{minus}{digits}{point}{rest}"


def shows_text(shown_as: str) -> bool:
    """True if a cell with this format shows a text unchanged, with nothing around it and not hidden."""
    sections = [_seen(part) for part in _sections(shown_as)]
    for_text = sections[3] if len(sections) > 3 else next((part for part in sections if "@" in part), "@")
    return for_text.lower() in ("@", "general")


def _sections(shown_as: str) -> list[str]:
    sections = [""]
    for piece in _TOKEN.findall(shown_as):
        if piece == ";":
            sections.append("")
        else:
            sections[-1] += piece
    return sections


def _seen(section: str) -> str:
    """A section without the parts that show no text."""
    return "".join(
        piece.removeprefix("\\") if piece in ("\\-", "\\(", "\\)") else piece
        for piece in _TOKEN.findall(section)
        if not _UNSEEN.fullmatch(piece)
    ).strip()


def _section_for(number: Decimal, sections: list[str]) -> tuple[str, str]:
    """The minus sign, if one is shown, and the section for this number. With only one section, Excel adds the sign."""
    numeric = [part for part in sections if "@" not in part or len(sections) == 1]
    if number == 0:
        return "", numeric[2] if len(numeric) > 2 else numeric[0]
    if number > 0:
        return "", numeric[0]
    if len(numeric) < 2:
        return "-", numeric[0]
    marked = re.fullmatch(r"-(.*)|\((.*)\)|(General)", numeric[1], re.IGNORECASE | re.DOTALL)
    return ("-", next(part for part in marked.groups() if part is not None)) if marked else ("", "?")


def _shown_otherwise() -> Malformed:
    return Malformed(
        "a number that the cell shows otherwise than it stores it",
        "give the column the format Text, enter what is to be read, and save again",
        code="SHOWN_OTHERWISE",
        zh="单元格显示的数与存储的数不一致（格式设置所致），请把该列设为“文本”格式，重新录入后再保存",
    )


def text_shown_otherwise() -> Malformed:
    return Malformed(
        "a text that the cell hides or adds to by its format",
        "give the column the format Text, look what is there, and save again",
        code="SHOWN_OTHERWISE",
        zh="单元格的格式隐藏了内容或加了文字，请把该列设为“文本”格式，核对后重新保存",
    )
