"""Characters that look the same are the same, and what stands for nothing is refused by its number."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from datetime import date

import pytest
from support.world import FOOD

from issuer.catalogue import check_fields, load_profile
from issuer.catalogue.characters import tidied
from issuer.rendering import missing_characters
from trust.model.errors import ProfileViolation

TODAY = date(2026, 11, 28)


def checked(field: str, text: str, short: str = "FOOD") -> str:
    profile = load_profile(short)
    return check_fields(
        profile, {**FOOD, field: text}, today=TODAY, missing_characters=missing_characters
    ).one(field)


def reason(field: str, text: str, draw: Callable[[str], Sequence[str]] = missing_characters) -> str:
    with pytest.raises(ProfileViolation) as caught:
        check_fields(load_profile("FOOD"), {**FOOD, field: text}, today=TODAY, missing_characters=draw)
    (violation,) = caught.value.violations
    assert violation.field == field
    assert violation.zh
    assert text not in violation.zh + violation.found
    return violation.code


def is_unified(char: str) -> bool:
    # U+FA0E and eleven others stand among the compatibility ideographs and are none.
    return unicodedata.name(char).startswith("CJK UNIFIED") or unicodedata.normalize("NFKC", char) == char


@pytest.mark.parametrize(
    "block",
    [range(0x2F00, 0x2FD6), range(0x2E80, 0x2EF4), range(0xF900, 0xFAFF), range(0x2F800, 0x2FA1E)],
)
def test_radicals_and_compatibility_ideographs_become_the_one_ideograph_or_are_refused(block: range) -> None:
    refused = []
    for code in block:
        char = chr(code)
        if unicodedata.category(char) == "Cn":
            continue
        meant = tidied(char)
        if 0x2E80 <= ord(meant) <= 0x2FDF:
            refused.append(code)
            assert reason("legal_representative", f"李{char}", lambda text: ()) == "RADICAL"
        else:
            assert len(meant) == 1
            assert is_unified(meant), f"U+{code:04X}"
    assert refused in ([], [0x2E80]), "U+2E80 is the only radical without an ideograph"


def test_radicals_are_those_of_kangxi() -> None:
    assert tidied("⼭⽰⿕") == "山示龠"
    assert checked("legal_representative", "⼭示例") == checked("legal_representative", "山示例")


# The eighteen codes of GB 18030 whose characters moved out of the private area in 2022, and the six before.
MOVED = {
    "A6D9": 0xFE10, "A6DA": 0xFE12, "A6DB": 0xFE11, "A6DC": 0xFE13, "A6DD": 0xFE14, "A6DE": 0xFE15, "A6DF": 0xFE16,
    "A6EC": 0xFE17, "A6ED": 0xFE18, "A6F3": 0xFE19, "FE59": 0x9FB4, "FE61": 0x9FB5, "FE66": 0x9FB6, "FE67": 0x9FB7,
    "FE6D": 0x9FB8, "FE7E": 0x9FB9, "FE90": 0x9FBA, "FEA0": 0x9FBB, "FE51": 0x20087, "FE52": 0x20089, "FE53": 0x200CC,
    "FE6C": 0x215D7, "FE76": 0x2298F, "FE91": 0x241FE, "A8BC": 0x1E3F,
}  # fmt: skip


@pytest.mark.parametrize(("encoded", "meant"), MOVED.items())
def test_forms_of_gb_18030_that_moved_are_mapped(encoded: str, meant: int) -> None:
    private = bytes.fromhex(encoded).decode("gb18030")
    assert tidied(f"李{private}") == f"李{chr(meant)}"
    assert tidied(f"李{chr(meant)}") == f"李{chr(meant)}"


def test_no_private_character_of_gbk_is_left_where_it_has_moved() -> None:
    trails = [*range(0x50, 0x7F), *range(0x80, 0xA1)]
    for position, trail in enumerate(trails):
        now = bytes((0xFE, trail)).decode("gb18030")
        assert tidied(chr(0xE815 + position)) == tidied(now), "as Windows read GBK"
        assert unicodedata.category(tidied(now)) != "Co"
    assert tidied("\ue76c\ue7c8") == "€ǹ"


def test_a_private_form_and_its_real_character_make_the_same_record() -> None:
    assert (
        checked("legal_representative", "李\ue81e")
        == checked("legal_representative", "李\u9fb4")
        == "李\u9fb4"
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("张\u200b示例", "CONTROL_CHARACTER"),
        ("张示例\ufeff", "CONTROL_CHARACTER"),
        ("张\u00ad示例", "CONTROL_CHARACTER"),
        ("\u202e张示例", "CONTROL_CHARACTER"),
        ("张\t示例", "CONTROL_CHARACTER"),
        ("张\u2028示例", "CONTROL_CHARACTER"),
        ("欧阳\ufe0f示", "CONTROL_CHARACTER"),
        ("葛\U000e0100", "CONTROL_CHARACTER"),
        ("김\u3164", "CONTROL_CHARACTER"),
        ("张\u2800例", "CONTROL_CHARACTER"),
        ("张\u0301示例", "COMBINING_MARK"),
        ("吴\ue000", "PRIVATE_USE"),
        ("周\U000f0000", "PRIVATE_USE"),
        ("吴㇐", "RADICAL"),
        ("吴⿰", "RADICAL"),
        ("吴⺀", "RADICAL"),
        ("张\ufffd", "LOST_CHARACTER"),
        ("张?", "LOST_CHARACTER"),
        ("张□例", "LOST_CHARACTER"),
        ("张〓", "LOST_CHARACTER"),
        ("张&#30456;", "LOST_CHARACTER"),
        ("冯\U00031350", "NO_GLYPH"),
    ],
)
def test_what_is_no_character_is_refused_by_its_number(text: str, code: str) -> None:
    assert reason("legal_representative", text) == code


@pytest.mark.parametrize(
    "name",
    ["陈〇", "张㛃", "李𫖯", "褚é", "Ñáñez", "Дмитрий", "김철수", "龘", "﨎", "ὰ", "Nguyễn"],
)
def test_rare_names_stay_as_they_are(name: str) -> None:
    if not missing_characters(name):
        assert checked("legal_representative", name) == name


@pytest.mark.parametrize("blank", ["\u00a0", "\u2003", "\u2009", "\u202f", "\u3000"])
def test_blanks_of_every_width_are_no_part_of_a_name(blank: str) -> None:
    assert checked("holder_name", f"{blank}春城百味{blank}") == "春城百味"
    assert checked("domicile", f"Room{'' if blank == chr(0x3000) else blank}1".strip()) in ("Room 1", "Room1")


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("holder_code", "９１９９０１０１MA6K1001XL", "91990101MA6K1001XL"),
        ("holder_code", "91990101ma6k1001xl", "91990101MA6K1001XL"),
        ("holder_code", "\u202d91990101MA6K1001XL\u202c", "91990101MA6K1001XL"),
        ("holder_code", "'91990101MA6K1001XL", "91990101MA6K1001XL"),
        ("holder_code", '="91990101MA6K1001XL"', "91990101MA6K1001XL"),
        ("licence_number", "ＪＹ29901010000001", "JY29901010000001"),
        ("licence_number", "'JY29901010000001", "JY29901010000001"),
        ("licence_number", "\ufeffJY29901010000001\u200b", "JY29901010000001"),
        ("complaints_phone", "０１０－12345678", "010-12345678"),
        ("issued_on", "２０２６－１１－０１", "2026-11-01"),
    ],
)
def test_codes_are_read_in_full_width_and_without_what_copying_left(
    field: str, text: str, value: str
) -> None:
    assert checked(field, text) == value


def test_an_invisible_character_inside_a_code_is_named() -> None:
    assert reason("holder_code", "91990101\u200bMA6K1001XL") == "CONTROL_CHARACTER"
    assert reason("licence_number", "JY2990\u200b1010000001") == "CONTROL_CHARACTER"
