"""Reading values that went through a spreadsheet: shortened numbers, lost zeros, dates in any order, formulas, errors.

A spreadsheet keeps 15 digits of a number and drops leading zeros; it shows a date by its own settings, or as a plain
number if the cell lost its format. Values with only one meaning are read. Damaged or ambiguous ones are refused with
what to do in the program; nothing is guessed.
"""

from __future__ import annotations

import re
from datetime import date

from trust.model.errors import Malformed

_AS_TEXT = re.compile(r'="((?:[^"]|"")*)"')
_ERROR = re.compile(
    r"#(?:N/A|REF!|VALUE!|DIV/0!|NAME\?|NULL!|NUM!|SPILL!|CALC!|FIELD!|BLOCKED!|GETTING_DATA)|#{2,}"
)
_SHORTENED = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?[Ee][+-]?[0-9]{1,3}")
KEPT_DIGITS = 15

_MIDNIGHT = re.compile(
    r"(?: *T| +)0{1,2}:00(?::00(?:\.0+)?)?$| +(?:上午 *)?12:00(?::00)?(?: *AM)?$", re.IGNORECASE
)
_TIME = re.compile(r"[0-9]{1,2}:[0-9]{2}")
_WEEKDAY = re.compile(r"[ ,，(（]*(?:星期|周)([一二三四五六日天])[)）]?")
_YEAR_FIRST = re.compile(
    r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})|([0-9]{4})年([0-9]{1,2})月([0-9]{1,2})[日号]|([0-9]{4})([0-9]{2})([0-9]{2})"
)
_YEAR_LAST = re.compile(r"([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{4})")
_MONTH_NAMES = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_NAMED_MONTH = re.compile(
    r"([0-9]{1,2})[- ]([A-Za-z]{3,9})[- ,]+([0-9]{4})|([A-Za-z]{3,9}) ([0-9]{1,2}),? ([0-9]{4})"
)
_IN_WORDS = re.compile(
    r"([〇○零一二三四五六七八九]{4})年([一二三四五六七八九十]{1,3})月([一二三四五六七八九十]{1,3})[日号]"
)
_NO_DAY = re.compile(
    r"[0-9]{4}[-/.][0-9]{1,2}|[0-9]{4}年(?:[0-9]{1,2}月)?|[0-9]{1,2}月[0-9]{1,2}日"
    r"|[A-Za-z]{3,9}[- ]?[0-9]{2,4}|[0-9]{1,2}[- ][A-Za-z]{3,9}"
)
_SHORT_YEAR = re.compile(r"[0-9]{1,2}[-/.](?:[0-9]{1,2}|[A-Za-z]{3,9})[-/.][0-9]{1,2}")
_SERIAL = re.compile(r"[0-9]{1,5}(?:\.[0-9]+)?")
_DIGITS = {char: n for n, char in enumerate("〇一二三四五六七八九")} | {"零": 0, "○": 0}

_AS_DAY = "give the column the format yyyy-mm-dd (Excel, WPS: Format Cells) and save again"
_AS_DAY_ZH = "请把该列的单元格格式设为日期“yyyy-mm-dd”，核对后重新保存"


def unwrapped(text: str) -> str:
    """The text inside `="0123"`, the form in which a CSV keeps a text that looks like a number; any other text
    unchanged."""
    matched = _AS_TEXT.fullmatch(text)
    return matched.group(1).replace('""', '"') if matched else text


def check_no_leftover(text: str) -> None:
    """Raises `Malformed` for an error word or a formula in place of a value."""
    if _ERROR.fullmatch(text):
        raise Malformed(
            "an error of the spreadsheet in place of a value",
            "mend the formula, or widen the column, and save again",
            code="SPREADSHEET_ERROR",
            zh="单元格里是表格软件的错误提示（如 #N/A、####），请更正公式或加宽该列后重新保存",
        )
    if text.startswith("="):
        raise Malformed(
            "a formula in place of its value",
            "copy the column, paste it as values, and save again",
            code="FORMULA",
            zh="单元格里是公式而不是结果，请复制该列、选择性粘贴为“数值”后重新保存",
        )


def check_not_shortened(text: str) -> None:
    """Raises `Malformed` for a number such as 1.23E+17, which has lost its digits."""
    if _SHORTENED.fullmatch(text):
        raise Malformed(
            "a number that the spreadsheet has shortened (…E+…)",
            "give the column the format Text, enter the numbers again, and save again",
            code="SHORTENED_NUMBER",
            zh="长号码被表格软件改成了科学计数（…E+…），请把该列设为“文本”格式，重新录入号码后再保存",
        )


def lost_digits() -> Malformed:
    return Malformed(
        f"a number that ends in zeros after {KEPT_DIGITS} digits: a spreadsheet keeps no more",
        "give the column the format Text, enter the numbers again, and save again",
        code="LOST_DIGITS",
        zh="号码第 15 位以后全是 0，多为表格软件丢失了尾数，请把该列设为“文本”格式，重新录入号码后再保存",
    )


def has_lost_digits(text: str) -> bool:
    """True if at least three digits follow the fifteenth and all of them are 0."""
    return re.fullmatch(r"[0-9]{15}0{3,}", text) is not None


def lost_zeros(count: int) -> Malformed:
    return Malformed(
        f"a number {count} digits short: spreadsheets drop zeros in front",
        "give the column the format Text, enter the numbers again with their zeros, and save again",
        code="LOST_ZEROS",
        zh=f"号码少 {count} 位，多为表格软件去掉了开头的 0，请把该列设为“文本”格式，补全号码后再保存",
    )


def read_day(text: str) -> date:
    """The date in a cell. Raises `Malformed` if there is none, or if it is ambiguous."""
    text = _MIDNIGHT.sub("", re.sub(r"\s+", " ", text).strip()).strip()
    weekday = _WEEKDAY.search(text)
    if weekday and weekday.end() == len(text):
        day = read_day(text[: weekday.start()])
        if "一二三四五六日".index(weekday.group(1).replace("天", "日")) != day.weekday():
            raise Malformed(
                "a day of the week that is not that day's",
                "correct one",
                code="DATE",
                zh="日期与星期不符，请更正",
            )
        return day
    if matched := _YEAR_FIRST.fullmatch(text) or _YEAR_FIRST.fullmatch(text.replace(" ", "")):
        year, month, day_of_month = (int(part) for part in matched.groups() if part and part.isdigit())
        return _day(year, month, day_of_month)
    if matched := _YEAR_LAST.fullmatch(text):
        first, second, year = (int(part) for part in matched.groups())
        if first != second and first <= 12 and second <= 12:
            raise Malformed(
                "a day that may be two: nothing says which number is the month",
                _AS_DAY,
                code="AMBIGUOUS_DATE",
                zh=f"日期有两种读法，分不清月和日，{_AS_DAY_ZH}",
            )
        return _day(year, second, first) if first > 12 else _day(year, first, second)
    if (matched := _NAMED_MONTH.fullmatch(text)) and (read := _with_named_month(matched)):
        return read
    if matched := _IN_WORDS.fullmatch(text):
        year = int("".join(str(_DIGITS[char]) for char in matched.group(1)))
        return _day(year, _below_hundred(matched.group(2)), _below_hundred(matched.group(3)))
    raise _no_day(text)


def _with_named_month(matched: re.Match[str]) -> date | None:
    day, month, year = matched.group(1, 2, 3) if matched.group(1) else matched.group(5, 4, 6)
    short = month[:3].lower()
    return _day(int(year), _MONTH_NAMES.index(short) + 1, int(day)) if short in _MONTH_NAMES else None


def _below_hundred(text: str) -> int:
    tens, ten, ones = text.rpartition("十")
    if not ten:
        return _DIGITS[text] if len(text) == 1 else 99
    return 10 * (_DIGITS.get(tens, 9) if tens else 1) + (_DIGITS.get(ones, 90) if ones else 0)


def _no_day(text: str) -> Malformed:
    if _SERIAL.fullmatch(text):
        return Malformed(
            "a day as the plain number that a spreadsheet counts it by",
            _AS_DAY,
            code="DATE_SERIAL",
            zh=f"日期成了一个数字（表格软件的内部计数），{_AS_DAY_ZH}",
        )
    if _SHORT_YEAR.fullmatch(text):
        return Malformed(
            "a day whose year has two digits",
            _AS_DAY,
            code="AMBIGUOUS_DATE",
            zh=f"年份只有两位，{_AS_DAY_ZH}",
        )
    if _NO_DAY.fullmatch(text):
        return Malformed(
            "a date without its day, month or year",
            _AS_DAY,
            code="DATE_INCOMPLETE",
            zh=f"日期不完整，缺年、月或日，{_AS_DAY_ZH}",
        )
    if _TIME.search(text):
        return Malformed("a day with a time of day", _AS_DAY, code="DATE", zh=f"日期后带有时间，{_AS_DAY_ZH}")
    return Malformed(
        "not a date",
        "write 2026-11-21, 2026/11/21 or 2026年11月21日",
        code="DATE",
        zh="不是日期，请写成 2026-11-21、2026/11/21 或 2026年11月21日",
    )


def _day(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError as exc:
        raise Malformed(
            "a day that is not in the calendar", "correct it", code="DATE", zh="日历上没有这一天，请更正"
        ) from exc
