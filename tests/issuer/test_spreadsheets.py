"""What spreadsheets make of numbers and days: read where it can mean one thing, refused with what to do."""

from __future__ import annotations

from datetime import date

import pytest
from support.world import FOOD

from issuer.catalogue import check_fields, load_profile
from issuer.catalogue.spreadsheets import read_day
from trust.model.errors import Malformed, ProfileViolation

DAY = date(2025, 1, 6)


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-06", "2025-1-6", "2025/1/6", "2025.01.06", "2025. 1. 6", "20250106", "2025年1月6日", "2025年01月06号",
        "2025 年 1 月 6 日", "2025-01-06 00:00:00", "2025/1/6 0:00", "2025-01-06T00:00:00", "2025-01-06 00:00:00.000",
        "2025年1月6日星期一", "2025年1月6日 周一", "2025/1/6 (星期一)", "二〇二五年一月六日", "二○二五年一月六日",
        "6-Jan-2025", "06 January 2025", "Jan 6, 2025", "2025/01/06",
    ],
)  # fmt: skip
def test_a_day_is_read_in_every_form_that_means_one(text: str) -> None:
    assert read_day(text) == DAY


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("13/1/2025", date(2025, 1, 13)), ("1/13/2025", date(2025, 1, 13)), ("6/6/2025", date(2025, 6, 6)),
        ("31.12.2025", date(2025, 12, 31)), ("1/13/2025 12:00:00 AM", date(2025, 1, 13)),
        ("2024/2/29", date(2024, 2, 29)),
        ("二〇二五年十二月三十一日", date(2025, 12, 31)), ("二〇二五年十月二十日", date(2025, 10, 20)),
    ],
)  # fmt: skip
def test_days_in_another_order_are_read_where_only_one_is_possible(text: str, day: date) -> None:
    assert read_day(text) == day


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("1/6/2025", "AMBIGUOUS_DATE"), ("01-02-2026", "AMBIGUOUS_DATE"), ("25/1/6", "AMBIGUOUS_DATE"),
        ("5-Jan-26", "AMBIGUOUS_DATE"),
        ("45663", "DATE_SERIAL"), ("45663.0", "DATE_SERIAL"), ("0", "DATE_SERIAL"), ("45663.5", "DATE_SERIAL"),
        ("Jan-25", "DATE_INCOMPLETE"), ("2025/1", "DATE_INCOMPLETE"), ("2025年1月", "DATE_INCOMPLETE"),
        ("6-Jan", "DATE_INCOMPLETE"), ("1月6日", "DATE_INCOMPLETE"), ("2025年", "DATE_INCOMPLETE"),
        ("2025-01-06 13:05", "DATE"), ("2025-01-05T16:00:00Z", "DATE"), ("2025-02-30", "DATE"), ("2025-13-01", "DATE"),
        ("13/13/2025", "DATE"), ("2025年1月6日星期二", "DATE"), ("二〇二五年十三月一日", "DATE"), ("昨天", "DATE"),
        ("2025/1-6", "DATE"), ("20251301", "DATE"), ("星期一", "DATE"), ("", "DATE"), ("6-Foo-2025", "DATE"),
        ("二〇二五年二月十一二日", "DATE"), ("0000-01-01", "DATE"), ("2025-00-10", "DATE"),
    ],
)  # fmt: skip
def test_a_day_that_was_lost_or_can_be_two_is_refused_with_what_to_do(text: str, code: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_day(text)
    assert caught.value.code == code
    assert caught.value.todo
    assert caught.value.zh


MEDPR = {
    "licence_number": "111990100000001",
    "holder_name": "张示例",
    "gender": "女",
    "birth_date": "1968-01-01",
    "holder_code": "990101196801011008",
    "qualification_number": "201211199010000000000001",
    "level": "执业医师",
    "category": "临床",
    "practice_scope": "内科专业",
}


def reasons(short: str, record: dict[str, str], **changes: str) -> set[tuple[str, str]]:
    with pytest.raises(ProfileViolation) as caught:
        check_fields(
            load_profile(short),
            record | changes,
            today=date(2026, 11, 28),
            missing_characters=lambda text: (),
        )
    assert all(v.zh for v in caught.value.violations if v.code in SAID)
    return {(v.field, v.code) for v in caught.value.violations}


SAID = ("SHORTENED_NUMBER", "LOST_DIGITS", "LOST_ZEROS", "FORMULA", "SPREADSHEET_ERROR")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"licence_number": "1.1099E+14"}, ("licence_number", "SHORTENED_NUMBER")),
        ({"licence_number": "1E+14"}, ("licence_number", "SHORTENED_NUMBER")),
        ({"qualification_number": "2.01211E+23"}, ("qualification_number", "SHORTENED_NUMBER")),
        ({"holder_code": "9.90101E+17"}, ("holder_code", "SHORTENED_NUMBER")),
        ({"holder_code": "990101196801011000"}, ("holder_code", "LOST_DIGITS")),
        ({"licence_number": "11990100000001"}, ("licence_number", "LOST_ZEROS")),
        ({"licence_number": "990100000001"}, ("licence_number", "LOST_ZEROS")),
        ({"licence_number": "1119901000000011"}, ("licence_number", "PATTERN")),
        ({"practice_scope": "#N/A"}, ("practice_scope", "SPREADSHEET_ERROR")),
        ({"practice_scope": "########"}, ("practice_scope", "SPREADSHEET_ERROR")),
        ({"holder_name": "=A2"}, ("holder_name", "FORMULA")),
        ({"holder_name": "=VLOOKUP(A2,B:C,2,0)"}, ("holder_name", "FORMULA")),
    ],
)
def test_numbers_that_a_spreadsheet_has_changed_are_refused_with_what_to_do(
    change: dict[str, str], reason: tuple[str, str]
) -> None:
    assert reason in reasons("MEDPR", MEDPR, **change)


@pytest.mark.parametrize("code", ["9.19901E+17", "911101050000000000"])
def test_credit_codes_that_a_spreadsheet_has_changed(code: str) -> None:
    expected = "SHORTENED_NUMBER" if "E" in code else "LOST_DIGITS"
    assert ("holder_code", expected) in reasons("FOOD", FOOD, holder_code=code)


@pytest.mark.parametrize("text", ['="JY29901010000001"', '="JY29901010000001" '])
def test_a_text_kept_as_a_formula_is_the_text(text: str) -> None:
    checked = check_fields(
        load_profile("FOOD"),
        FOOD | {"licence_number": text, "domicile": '="路""1""号"'},
        today=date(2026, 11, 28),
        missing_characters=lambda text: (),
    )
    assert checked.number == "JY29901010000001"
    assert checked.one("domicile") == '路"1"号'


def test_a_number_with_a_text_mark_is_not_too_long() -> None:
    assert ("licence_number", "TOO_LONG") not in reasons("MEDPR", MEDPR, licence_number="'111990100000001")
