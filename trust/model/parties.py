"""The persons and bodies that a licence is about, and their codes.

The three check rules are implemented only here:

    GB 32100  统一社会信用代码  18 characters of a 31-letter alphabet, weights 3**i mod 31
    GB 11714  组织机构代码      characters 9 to 17 of the code above, with a check character of their own
    GB 11643  公民身份号码      17 digits and one of 0-9 X, a real date of birth inside

Values are well-formed: constructing a bad one raises `Malformed`, which names the violated rule and never the value.
Area codes are not looked up, because abolished ones stay valid. Nothing here can tell whether a person or a body
exists.

`repr` of these values is masked, so that a traceback or a log line does not contain a person's number. For display,
`mask_name`, `mask_code` and `mask_number` mask values; all three use a fixed number of asterisks, so that the length of
the hidden part is not revealed.
"""

from __future__ import annotations

import re
from dataclasses import InitVar, dataclass, field
from datetime import date
from enum import Enum

from trust.model.errors import Malformed

_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100: without I O S V Z
_USCC_SHAPE = re.compile(r"[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_IDENTITY_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_IDENTITY_SHAPE = re.compile(r"[0-9]{17}[0-9X]")


class CodeType(Enum):
    """持证主体代码类型: the kinds of holders' codes (GB/T 36903 Annex A)."""

    USCC = "001"
    OTHER_ORGANISATION = "099"
    IDENTITY_NUMBER = "111"
    PLA_OFFICER = "114"
    POLICE_OFFICER = "115"
    PLA_SOLDIER = "118"
    POLICE_SOLDIER = "119"
    PLA_CIVILIAN = "120"
    POLICE_CIVILIAN = "122"
    DIPLOMATIC_PASSPORT = "411"
    SERVICE_PASSPORT = "412"
    PUBLIC_AFFAIRS_PASSPORT = "413"
    PASSPORT = "414"
    TAIWAN_PERMIT = "511"
    HONG_KONG_MACAO_PERMIT = "516"
    OTHER_PERSON = "999"

    @property
    def zh(self) -> str:
        return _CODE_TYPE_NAMES[self]

    @property
    def is_organisation(self) -> bool:
        return self in (CodeType.USCC, CodeType.OTHER_ORGANISATION)


_CODE_TYPE_NAMES = {
    CodeType.USCC: "统一社会信用代码",
    CodeType.OTHER_ORGANISATION: "其他法人或其他组织有效证件代码",
    CodeType.IDENTITY_NUMBER: "公民身份号码",
    CodeType.PLA_OFFICER: "解放军军官证",
    CodeType.POLICE_OFFICER: "武警警官证",
    CodeType.PLA_SOLDIER: "解放军士兵证",
    CodeType.POLICE_SOLDIER: "武警士兵证",
    CodeType.PLA_CIVILIAN: "解放军文职人员证",
    CodeType.POLICE_CIVILIAN: "武警文职人员证",
    CodeType.DIPLOMATIC_PASSPORT: "外交护照",
    CodeType.SERVICE_PASSPORT: "公务护照",
    CodeType.PUBLIC_AFFAIRS_PASSPORT: "公务普通护照",
    CodeType.PASSPORT: "普通护照",
    CodeType.TAIWAN_PERMIT: "台湾居民来往大陆通行证",
    CodeType.HONG_KONG_MACAO_PERMIT: "港澳居民来往内地通行证",
    CodeType.OTHER_PERSON: "其他自然人有效证件代码",
}


def code_type_name(code: str) -> str:
    """The name (公民身份号码) of a kind of document by its code (111); an unknown code is returned as it is."""
    return next((kind.zh for kind in CodeType if kind.value == code), code)


@dataclass(frozen=True, slots=True)
class UnifiedSocialCreditCode:
    """统一社会信用代码 of a body. Public by law, so it is shown and logged in clear."""

    value: str

    def __post_init__(self) -> None:
        if not _USCC_SHAPE.fullmatch(self.value):
            raise Malformed(
                "A unified social credit code is 18 characters of 0-9 A-Z without I O S V Z (GB 32100).",
                "Check for mistyped letters.",
                code="USCC_SHAPE",
            )
        # Check both characters, because each one misses errors that the other one catches.
        if self.value[16] != organisation_check_character(self.value[8:16]):
            raise Malformed(
                "The organisation code inside a unified social credit code fails its check (GB 11714).",
                "Compare it with the registration document.",
                code="USCC_ORGANISATION_CHECK",
            )
        if self.value[17] != uscc_check_character(self.value[:17]):
            raise Malformed(
                "A unified social credit code fails its check character (GB 32100).",
                "Compare it with the registration document.",
                code="USCC_CHECK",
            )

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True, repr=False)
class IdentityNumber:
    """公民身份号码. A date of birth after the day `on` is refused."""

    value: str
    on: InitVar[date]

    def __post_init__(self, on: date) -> None:
        if self.value.endswith("x"):
            object.__setattr__(self, "value", self.value[:-1] + "X")
        if not _IDENTITY_SHAPE.fullmatch(self.value):
            raise Malformed(
                "An identity number is 17 digits and a last character 0-9 or X (GB 11643).",
                "Numbers of 15 digits are no longer valid.",
                code="IDENTITY_SHAPE",
            )
        try:
            born = self.born_on
        except ValueError as exc:
            raise Malformed(
                "An identity number holds a date of birth that is not in the calendar (GB 11643).",
                "Compare it with the identity card.",
                code="IDENTITY_DATE",
            ) from exc
        if born > on:
            raise Malformed(
                "An identity number holds a date of birth in the future (GB 11643).",
                "Compare it with the identity card.",
                code="IDENTITY_DATE",
            )
        if self.value[17] != identity_check_character(self.value[:17]):
            raise Malformed(
                "An identity number fails its check character (GB 11643).",
                "Compare it with the identity card.",
                code="IDENTITY_CHECK",
            )

    @property
    def born_on(self) -> date:
        return date(int(self.value[6:10]), int(self.value[10:12]), int(self.value[12:14]))

    @property
    def is_male(self) -> bool:
        return int(self.value[16]) % 2 == 1

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"IdentityNumber({mask_code(self.value, CodeType.IDENTITY_NUMBER)!r})"


@dataclass(frozen=True, slots=True, repr=False)
class Holder:
    """持证主体. Codes of the two checked kinds are well-formed; other kinds are letters, digits and ( ) -.

    `on` is as in `IdentityNumber`.
    """

    name: str
    code: str
    code_type: CodeType
    on: InitVar[date] = field(kw_only=True)

    def __post_init__(self, on: date) -> None:
        if not self.name.strip():
            raise Malformed("A holder has no name.", "Enter the name.", code="HOLDER_NAME")
        match self.code_type:
            case CodeType.USCC:
                UnifiedSocialCreditCode(self.code)
            case CodeType.IDENTITY_NUMBER:
                object.__setattr__(self, "code", IdentityNumber(self.code, on).value)
            case _:
                if not re.fullmatch(r"[0-9A-Za-z()（）-]{4,40}", self.code):
                    raise Malformed(
                        "A holder's code is 4 to 40 letters and digits.",
                        "Enter it as the document prints it, without blanks.",
                        code="HOLDER_CODE",
                    )

    def __repr__(self) -> str:
        shown = self.name if self.code_type.is_organisation else mask_name(self.name)
        return f"Holder({shown!r}, {mask_code(self.code, self.code_type)!r}, {self.code_type.name})"


def uscc_check_character(body: str) -> str:
    """The 18th character for the first 17 of a unified social credit code (GB 32100)."""
    total = sum(_USCC_ALPHABET.index(char) * pow(3, place, 31) for place, char in enumerate(body))
    return _USCC_ALPHABET[(31 - total % 31) % 31]


def organisation_check_character(body: str) -> str:
    """The 9th character for the first 8 of an organisation code (GB 11714); letters count from A = 10."""
    total = sum(int(char, 36) * weight for char, weight in zip(body, _ORGANISATION_WEIGHTS, strict=True))
    return {10: "X", 11: "0"}.get(11 - total % 11, str(11 - total % 11))


def identity_check_character(body: str) -> str:
    """The 18th character for the first 17 of an identity number (GB 11643)."""
    total = sum(int(digit) * weight for digit, weight in zip(body, _IDENTITY_WEIGHTS, strict=True))
    return "10X98765432"[total % 11]


# Masking --------------------------------------------------------------------------------------------------

_COMPOUND_SURNAMES = (
    "欧阳 司马 上官 诸葛 东方 皇甫 尉迟 公孙 慕容 司徒 司空 令狐 长孙 宇文 鲜于 闾丘 夏侯 轩辕 端木 南宫 独孤 "
    "申屠 太史 呼延 钟离 赫连 澹台 公冶 宗政 濮阳 淳于 单于 百里 东郭 西门 第五 完颜 拓跋"
)
_NAME_STARS = "**"
_CODE_STARS = "********"


def mask_name(name: str) -> str:
    """A person's name, masked: the surname and two asterisks (张**, 欧阳**, 阿**, M**).

    A name of one character is hidden completely, because its first character would reveal all of it.
    """
    name = name.strip()
    if len(name) < 2:
        return _NAME_STARS
    if len(name) > 2 and name[:2] in _COMPOUND_SURNAMES.split():
        return name[:2] + _NAME_STARS
    return name[0] + _NAME_STARS


def mask_code(code: str, code_type: CodeType) -> str:
    """A holder's code, masked: codes of bodies are public; of a person's code, the first and last character are shown.

    Showing six and four characters, as is common, reveals the area, the sequence and the check character, which leaves
    only about 3,300 possible birthdays.
    """
    if code_type.is_organisation:
        return code
    if len(code) < 6:  # two of five characters are too many to show
        return _CODE_STARS
    return code[0] + _CODE_STARS + code[-1]


def mask_number(number: str) -> str:
    """A licence number, masked only if it is or contains a person's identity number."""
    for start in range(len(number) - 17):
        candidate = number[start : start + 18].upper()
        if _IDENTITY_SHAPE.fullmatch(candidate) and candidate[17] == identity_check_character(candidate[:17]):
            return number[:start] + mask_code(candidate, CodeType.IDENTITY_NUMBER) + number[start + 18 :]
    return number
