"""GB/T 36904. The vectors are real identifiers quoted in reference/ecert-gbt36901-36906.md §1."""

import pytest

from trust.model.errors import Malformed
from trust.model.identifiers import ROOT, check_character, make, parse
from trust.model.parties import UnifiedSocialCreditCode

IN_CIRCULATION = [
    "11100000000013338W011.11430000006122244L.20230000403.001.U",
    "11100000000013338W009.11330105002500287C.2025052201.002.0",
    "11100000000013338W032.11220000013544541J.2430599.001.F",
]


@pytest.mark.parametrize("rest", IN_CIRCULATION)
def test_an_identifier_in_circulation_is_read_and_written_back(rest: str) -> None:
    assert str(parse(f"{ROOT}.{rest}")) == f"{ROOT}.{rest}"


@pytest.mark.parametrize(
    ("joined", "check"),
    [
        ("11100000MB03271699022340100000000016001", "9"),
        ("11100000000013338W00211320482014138860P201807250201001", "M"),
        ("11100000000013661B006113700000045046442209FA4E88F9E4C878F3E9BED2CE7EA49001", "D"),
    ],
)
def test_check_characters_follow_iso_7064(joined: str, check: str) -> None:
    assert check_character(joined) == check


def test_an_identifier_with_the_check_character_of_another_rule_is_refused() -> None:
    published = "11100000000013661B006.113700000045046442.209FA4E88F9E4C878F3E9BED2CE7EA49.001.M"
    with pytest.raises(Malformed) as refused:
        parse(f"{ROOT}.{published}")
    assert refused.value.code == "IDENTIFIER_CHECK"


def test_every_changed_character_is_noticed() -> None:
    text = f"{ROOT}.{IN_CIRCULATION[0]}"
    for place, char in enumerate(text):
        for other in {"0", "7", "A", "Z", "."} - {char}:
            with pytest.raises(Malformed):
                parse(text[:place] + other + text[place + 1 :])


@pytest.mark.parametrize(
    "text",
    ["", ROOT, ROOT + ".", ROOT + "." + IN_CIRCULATION[0] + ".", "x" + ROOT, f" {ROOT}.{IN_CIRCULATION[0]}"],
)
def test_other_text_is_no_identifier(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text)


@pytest.mark.parametrize(
    ("serial", "version"), [("", 1), ("a1", 1), ("1" * 41, 1), ("１", 1), ("1", 0), ("1", 1000)]
)
def test_make_refuses_a_serial_or_version_that_cannot_be_written(serial: str, version: int) -> None:
    issuer = UnifiedSocialCreditCode("11430000006122244L")
    with pytest.raises(Malformed):
        make(type_code="11100000000013338W011", issuer=issuer, serial=serial, version=version)


def test_make_and_parse_are_inverse() -> None:
    issuer = UnifiedSocialCreditCode("11430000006122244L")
    made = make(type_code="11100000000013338W011", issuer=issuer, serial="7K2MZQ5A9D3F1B8C6E40", version=12)
    assert parse(str(made)) == made
    assert made.version == "012"


@pytest.mark.parametrize("code", ["11100000000013338W01", "11100000000013338W0-1", "11100000000013338X011"])
def test_a_type_code_that_does_not_begin_with_a_credit_code_is_refused(code: str) -> None:
    with pytest.raises(Malformed):
        make(type_code=code, issuer=UnifiedSocialCreditCode("11430000006122244L"), serial="1")
