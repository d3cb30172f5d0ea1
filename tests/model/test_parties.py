"""Codes and masking. The valid codes are the published examples in reference/ecert-gbt36901-36906.md §7."""

from datetime import date

import pytest

from trust.model.errors import Malformed
from trust.model.parties import (
    CodeType,
    Holder,
    IdentityNumber,
    UnifiedSocialCreditCode,
    identity_check_character,
    mask_code,
    mask_name,
    mask_number,
    organisation_check_character,
    uscc_check_character,
)

TODAY = date(2026, 11, 23)
CREDIT_CODES = [
    "91350100M000100Y43",
    "11430000006122244L",
    "11330105002500287C",
    "11100000000013338W",
    "11220000013544541J",
    "113700000045046442",
]


@pytest.mark.parametrize("code", CREDIT_CODES)
def test_a_published_credit_code_is_accepted(code: str) -> None:
    assert str(UnifiedSocialCreditCode(code)) == code


@pytest.mark.parametrize("code", CREDIT_CODES)
@pytest.mark.parametrize("place", range(18))
def test_a_credit_code_with_one_character_changed_is_refused(code: str, place: int) -> None:
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    for other in alphabet.replace(code[place], ""):
        with pytest.raises(Malformed):
            UnifiedSocialCreditCode(code[:place] + other + code[place + 1 :])


def test_the_inner_check_is_made_even_if_the_outer_one_fits() -> None:
    inner = "91350100M000100Y3"  # the published code has 4 here
    with pytest.raises(Malformed) as refused:
        UnifiedSocialCreditCode(inner + uscc_check_character(inner))
    assert refused.value.code == "USCC_ORGANISATION_CHECK"


@pytest.mark.parametrize(("body", "check"), [("00612224", "4"), ("M000100Y", "4"), ("00001333", "8")])
def test_organisation_codes_have_their_published_check_characters(body: str, check: str) -> None:
    assert organisation_check_character(body) == check


@pytest.mark.parametrize("remainder", [10, 11])
def test_the_two_special_organisation_check_characters_are_written(remainder: int) -> None:
    expected = {10: "X", 11: "0"}[remainder]
    assert any(organisation_check_character(f"{n:08d}") == expected for n in range(200))


@pytest.mark.parametrize(
    "code", ["", "9135010", "91350100M000100Y4O", "91350100m000100y43", "9135010０M000100Y43"]
)
def test_a_credit_code_of_another_shape_is_refused(code: str) -> None:
    with pytest.raises(Malformed) as refused:
        UnifiedSocialCreditCode(code)
    assert refused.value.code == "USCC_SHAPE"


@pytest.mark.parametrize("number", ["11010519491231002X", "440524188001010014"])
def test_a_published_identity_number_is_accepted(number: str) -> None:
    assert IdentityNumber(number, TODAY).value == number


def test_a_small_x_is_stored_as_a_capital() -> None:
    assert IdentityNumber("11010519491231002x", TODAY).value == "11010519491231002X"


def test_an_identity_number_tells_birthday_and_sex() -> None:
    number = IdentityNumber("440524188001010014", TODAY)
    assert number.born_on == date(1880, 1, 1)
    assert number.is_male


@pytest.mark.parametrize("place", range(17))
def test_an_identity_number_with_one_digit_changed_is_refused(place: int) -> None:
    good = "11010519491231002X"
    for other in "0123456789".replace(good[place], ""):
        with pytest.raises(Malformed):
            IdentityNumber(good[:place] + other + good[place + 1 :], TODAY)


def test_a_birthday_that_is_not_in_the_calendar_is_refused() -> None:
    body = "99010119900230001"
    with pytest.raises(Malformed) as refused:
        IdentityNumber(body + identity_check_character(body), TODAY)
    assert refused.value.code == "IDENTITY_DATE"


def test_a_birthday_may_be_today_but_not_tomorrow() -> None:
    born_today, born_tomorrow = "99010120261123001", "99010120261124001"
    IdentityNumber(born_today + identity_check_character(born_today), TODAY)
    with pytest.raises(Malformed) as refused:
        IdentityNumber(born_tomorrow + identity_check_character(born_tomorrow), TODAY)
    assert refused.value.code == "IDENTITY_DATE"


@pytest.mark.parametrize("number", ["110105491231002", "1101051949123100２X", "X1010519491231002X"])
def test_an_identity_number_of_another_shape_is_refused(number: str) -> None:
    with pytest.raises(Malformed) as refused:
        IdentityNumber(number, TODAY)
    assert refused.value.code == "IDENTITY_SHAPE"


def test_errors_and_representations_never_carry_the_number() -> None:
    number = "11010519491231002X"
    with pytest.raises(Malformed) as refused:
        IdentityNumber(number[:17] + "1", TODAY)
    assert number[6:14] not in str(refused.value)
    assert number[6:14] not in repr(IdentityNumber(number, TODAY))
    shown = repr(Holder("张示例", number, CodeType.IDENTITY_NUMBER, on=TODAY))
    assert number[6:14] not in shown
    assert "示例" not in shown


@pytest.mark.parametrize(
    ("name", "code", "kind"),
    [
        ("  ", "X00EXAMPLE1", CodeType.PASSPORT),
        ("张示例", "X 0", CodeType.PASSPORT),
        ("张示例", "110105194912310021", CodeType.IDENTITY_NUMBER),
        ("某单位", "91350100M000100Y44", CodeType.USCC),
    ],
)
def test_a_holder_without_a_name_or_with_a_bad_code_is_refused(name: str, code: str, kind: CodeType) -> None:
    with pytest.raises(Malformed):
        Holder(name, code, kind, on=TODAY)


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张三", "张**"),
        ("张示例", "张**"),
        ("欧阳示范", "欧阳**"),
        ("欧阳", "欧**"),
        ("阿依古丽·买买提", "阿**"),
        ("𠮷测试", "𠮷**"),
        ("Maria Beispiel", "M**"),
        ("张", "**"),
    ],
)
def test_a_name_is_masked_with_two_asterisks_whatever_its_length(name: str, masked: str) -> None:
    assert mask_name(name) == masked


def test_a_persons_code_keeps_its_ends_and_a_bodys_code_is_public() -> None:
    assert mask_code("11010519491231002X", CodeType.IDENTITY_NUMBER) == "1********X"
    assert mask_code("X00EXAMPLE1", CodeType.PASSPORT) == "X********1"
    assert mask_code("E123", CodeType.PASSPORT) == "********"
    assert mask_code("91350100M000100Y43", CodeType.USCC) == "91350100M000100Y43"


def test_a_licence_number_is_masked_only_where_it_holds_an_identity_number() -> None:
    assert mask_number("JY29901010000001") == "JY29901010000001"
    assert mask_number("驾11010519491231002X号") == "驾1********X号"


def test_every_kind_of_code_has_a_name() -> None:
    assert all(kind.zh for kind in CodeType)
    assert [kind for kind in CodeType if kind.is_organisation] == [CodeType.USCC, CodeType.OTHER_ORGANISATION]
