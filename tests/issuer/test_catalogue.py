"""The types, and what `check_fields` says about records: start from a good row, spoil one thing."""

import csv
from collections.abc import Mapping
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from issuer.catalogue import (
    CheckedFields,
    MissingCharacters,
    Role,
    check_fields,
    load_catalogue,
    load_profile,
    read_profile,
    shown_fields,
)
from trust.model.errors import Malformed, NotFound, ProfileViolation
from trust.model.parties import CodeType, identity_check_character

TODAY = date(2025, 12, 1)
SAMPLES = Path(__file__).parents[2] / "samples"


def nothing_missing(text: str) -> tuple[str, ...]:
    return ()


def good(short: str, line: int = 2) -> dict[str, Any]:
    with (SAMPLES / f"{short.lower()}.csv").open(encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows))[line - 2]


def check(short: str, raw: Mapping[str, Any], missing: MissingCharacters = nothing_missing) -> CheckedFields:
    return check_fields(load_profile(short), raw, today=TODAY, missing_characters=missing)


def reasons(
    short: str, raw: Mapping[str, Any], missing: MissingCharacters = nothing_missing
) -> list[tuple[str, str]]:
    with pytest.raises(ProfileViolation) as refused:
        check(short, raw, missing)
    return [(reason.field, reason.code) for reason in refused.value.violations]


# Types


def test_four_types_come_with_the_service() -> None:
    assert set(load_catalogue()) == {"FOOD", "ROADTP", "MEDPR", "APPROVAL"}


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(NotFound):
        load_profile("NONE")


def test_printed_fields_come_in_their_order_and_start_with_the_number() -> None:
    for profile in load_catalogue().values():
        places = [field.printed_code for field in profile.printed_fields()]
        assert places == list(range(1, len(places) + 1))
        assert profile.printed_fields()[0].role is Role.NUMBER


def test_no_type_prints_in_clear_what_only_an_authorised_department_may_see() -> None:
    for profile in load_catalogue().values():
        assert all(field.disclosure <= 1 for field in profile.printed_fields())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('short = "FOOD"', 'short = "much-too-long"'),
        ("11990000MB9Y00016B011", "11990000MB9Y00016C011"),
        ('name = "domicile"', 'name = "premises"'),
        ("printed_code = 2", "printed_code = 9"),
        ('role = "number"\n', ""),
        ("disclosure = 0", "disclosure = 7"),
        ('type = "choice"', 'type = "text"'),
        ('type = "choice"', 'type = "colour"'),
        ('pattern_says = "JY and 14 digits"\n', ""),
        ('pattern = "JY', 'pattern = "(JY'),
        ('rule = "years"', 'rule = "forever"'),
        ('layout = "food.typ"\n', ""),
        ("required = true", "requierd = true"),
        ("short =", "short"),
    ],
)
def test_a_type_that_contradicts_itself_is_refused_when_read(old: str, new: str) -> None:
    source = files("issuer.catalogue").joinpath("types/food.toml").read_text(encoding="utf-8")
    read_profile(source)
    assert old in source
    with pytest.raises(Malformed):
        read_profile(source.replace(old, new, 1))


# Records


def test_a_good_record_comes_back_in_canonical_form() -> None:
    checked = check("FOOD", good("FOOD"))
    assert checked.number == "JY29901010000001"
    assert checked.issued_on == checked.valid_from == date(2025, 1, 6)
    assert checked.values["business_items"] == ("热食类食品制售", "冷食类食品制售", "自制饮品制售")
    assert checked.holders[0].code_type is CodeType.USCC


def test_an_end_that_follows_from_the_type_is_filled_in() -> None:
    checked = check("FOOD", good("FOOD") | {"有效期至": ""})
    assert checked.valid_until == date(2030, 1, 5)
    assert checked.one("valid_until") == "2030-01-05"


def test_five_years_from_a_leap_day_end_on_the_last_day_of_february() -> None:
    leap = good("FOOD") | {"有效期自": "2024-02-29", "签发日期": "2024-02-29", "有效期至": ""}
    assert check("FOOD", leap).valid_until == date(2029, 2, 28)


@pytest.mark.parametrize("text", ["2025-01-06", "2025/1/6", "2025年1月6日", " 2025 年 1 月 6 日 "])
def test_dates_are_read_in_every_spelling(text: str) -> None:
    assert check("FOOD", good("FOOD") | {"签发日期": text}).one("issued_on") == "2025-01-06"


def test_columns_may_be_called_by_name_or_by_label() -> None:
    row = good("FOOD")
    row["premises"] = row.pop("经营场所")
    assert check("FOOD", row).values == check("FOOD", good("FOOD")).values


def test_text_is_normalised_and_the_middle_dot_is_one_character() -> None:
    checked = check("FOOD", good("FOOD") | {"法定代表人（负责人）": "  阿依古丽 • 示例 "})
    assert checked.one("legal_representative") == "阿依古丽·示例"
    assert check("FOOD", good("FOOD") | {"住所": "Cafe\u0301路1号"}).one("domicile") == "Café路1号"


def test_every_reason_is_given_at_once() -> None:
    row = good("FOOD") | {"许可证编号": "", "主体业态": "摊贩", "签发日期": "昨天", "颜色": "红"}
    assert set(reasons("FOOD", row)) == {
        ("颜色", "UNKNOWN_FIELD"),
        ("licence_number", "MISSING"),
        ("business_form", "CHOICE"),
        ("issued_on", "DATE"),
    }


@pytest.mark.parametrize(
    ("short", "change", "field", "code"),
    [
        ("FOOD", {"premises": "x"}, "premises", "TWICE"),
        ("FOOD", {"住所": ["甲", "乙"]}, "domicile", "NOT_A_LIST"),
        ("FOOD", {"经营项目": ["甲"] * 61}, "business_items", "TOO_MANY"),
        ("FOOD", {"住所": "路" * 161}, "domicile", "TOO_LONG"),
        ("FOOD", {"住所": "路\x07"}, "domicile", "CONTROL_CHARACTER"),
        ("FOOD", {"住所": "路\u202e"}, "domicile", "CONTROL_CHARACTER"),
        ("FOOD", {"有效期至": "长期"}, "valid_until", "NO_LONG_TERM"),
        ("FOOD", {"有效期至": "2030-01-06"}, "valid_until", "VALIDITY_RULE"),
        ("FOOD", {"签发日期": "2025-12-02"}, "issued_on", "IN_THE_FUTURE"),
        ("FOOD", {"统一社会信用代码": "91990101MA6K1001X0"}, "holder_code", "USCC_CHECK"),
        ("ROADTP", {"valid_until": "2020-01-01"}, "valid_until", "ENDS_BEFORE_START"),
        ("ROADTP", {"holder_name": "甲；乙"}, "holder_code", "HOLDERS_DO_NOT_PAIR"),
        ("ROADTP", {"holder_code_type": "888"}, "holder_code_type", "CODE_TYPE"),
        ("MEDPR", {"性别": "男"}, "gender", "CONTRADICTS_CODE"),
        ("MEDPR", {"出生日期": "1969-01-01"}, "birth_date", "CONTRADICTS_CODE"),
        ("MEDPR", {"证件类型": "001", "证件号码": "91350100M000100Y43"}, "holder_code", "HOLDER_KIND"),
        ("MEDPR", {"照片": "../../etc/passwd"}, "photo", "PHOTO_NAME"),
        ("MEDPR", {"照片": ""}, "photo", "MISSING"),
        ("APPROVAL", {"document_number": "春发改18号"}, "document_number", "PATTERN"),
    ],
)
def test_each_rule_refuses_what_breaks_it(short: str, change: dict[str, Any], field: str, code: str) -> None:
    assert (field, code) in reasons(short, good(short) | change)


def test_one_holder_named_twice_is_refused() -> None:
    row = good("ROADTP")
    row |= {
        "holder_name": "甲；乙",
        "holder_code": f"{row['holder_code']}；{row['holder_code']}",
        "holder_code_type": "",
    }
    assert ("holder_code", "HOLDER_TWICE") in reasons("ROADTP", row)


def test_a_character_that_no_font_has_is_named_with_its_field() -> None:
    row = good("FOOD") | {"住所": "春城𪚥路"}
    assert reasons("FOOD", row, lambda text: [c for c in text if c == "𪚥"]) == [("domicile", "NO_GLYPH")]
    with pytest.raises(ProfileViolation, match=r"domicile: U\+2A6A5"):
        check("FOOD", row, lambda text: [c for c in text if c == "𪚥"])


def test_reasons_never_repeat_a_value() -> None:
    body = "99010119900230001"
    number = body + identity_check_character(body)
    with pytest.raises(ProfileViolation) as refused:
        check("MEDPR", good("MEDPR") | {"证件号码": number, "姓名": "某人\x00某某", "SECRET 12345 !": "x"})
    assert number not in str(refused.value)
    assert "某人" not in str(refused.value)
    assert "12345" not in str(refused.value)


def test_holders_pair_names_codes_and_kinds() -> None:
    checked = check("ROADTP", good("ROADTP", 7))
    assert [holder.code_type for holder in checked.holders] == [CodeType.USCC, CodeType.USCC]
    assert checked.values["holder_code_type"] == ("001", "001")
    person = check("ROADTP", good("ROADTP", 14)).holders[0]
    assert person.code_type is CodeType.IDENTITY_NUMBER


def test_the_kind_of_a_code_is_guessed_only_where_it_is_left_out() -> None:
    person = good("ROADTP", 14) | {"holder_code_type": ""}
    assert check("ROADTP", person).holders[0].code_type is CodeType.IDENTITY_NUMBER


def test_long_term_has_no_last_day() -> None:
    assert check("MEDPR", good("MEDPR")).valid_until is None


def test_shown_values_are_written_for_readers() -> None:
    profile = load_profile("MEDPR")
    shown = shown_fields(profile, check("MEDPR", good("MEDPR")))
    assert shown["birth_date"] == ("1968年1月1日",)
    assert shown["valid_until"] == ("长期",)
    assert shown["holder_code_type"] == ("公民身份号码",)


def test_checking_twice_changes_nothing() -> None:
    for short in load_catalogue():
        checked = check(short, good(short))
        assert check(short, checked.values).values == checked.values
