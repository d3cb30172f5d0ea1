"""Types of e-certificates (证照类型) as data: reading `types/*.toml` into frozen values.

A file contains the data about a type by GB/T 36902 and what is needed to issue it: the fields in the order of entry,
the fixed meaning (`role`) of some of them, the term, who may issue, and the layout. A new type needs a new file and a
new layout, but no new code.

`printed_code` is the place of a field in the printed QR, from 1; 0 leaves it out. `disclosure` is the least authority
that may see a field: 0 anyone, 1 anyone to whom it was shown, 2 an authorised department, 3 the same with a stated
purpose, 4 the holder and the issuer only.

`further_seals` are required in addition to the authority's seal: "personal", the name seal of the person responsible,
and "abroad", a seal that can be checked abroad. A request may add them if the type does not. `for_abroad`: the national
seal's time-stamp is over SHA-256 by an authority that verifiers abroad support.

A file that contradicts itself is refused when it is read, so that a mistake in a type is found when the service starts
and not when the first licence is drawn.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any

from trust.model.errors import Malformed, NotFound
from trust.model.identifiers import check_type_code
from trust.model.seal import SealRole

_SHORT = re.compile(r"[A-Z0-9]{1,8}")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Category(Enum):
    LICENCE = "licence"  # 证照
    APPROVAL = "approval"  # 批文


class HolderKind(Enum):
    PERSON = "person"
    ORGANISATION = "organisation"
    EITHER = "either"


class FieldType(Enum):
    TEXT = "text"
    PARAGRAPHS = "paragraphs"
    DATE = "date"
    USCC = "uscc"
    IDENTITY_NUMBER = "identity_number"
    HOLDER_CODE = "holder_code"  # checked according to its `holder_code_type`
    CODE_TYPE = "code_type"
    PERSON_NAME = "person_name"
    ORGANISATION_NAME = "organisation_name"
    ADDRESS = "address"
    LIST = "list"
    CHOICE = "choice"
    PHOTO = "photo"  # the value is a file name; the bytes are passed beside the fields


class Role(Enum):
    """The meanings of fields that are the same in every type."""

    NUMBER = "number"
    HOLDER_NAME = "holder_name"
    HOLDER_CODE = "holder_code"
    HOLDER_CODE_TYPE = "holder_code_type"
    ISSUED_ON = "issued_on"
    VALID_FROM = "valid_from"
    VALID_UNTIL = "valid_until"
    GENDER = "gender"
    BIRTH_DATE = "birth_date"
    PHOTO = "photo"


@dataclass(frozen=True, slots=True)
class Name:
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class FieldProfile:
    name: str
    gb: str  # GB/T 36903 short name, or KZ_… for a field that only this type has
    label: Name
    type: FieldType
    required: bool
    max_length: int
    disclosure: int
    role: Role | None = None
    choices: tuple[str, ...] = ()
    pattern: str = ""
    pattern_says: str = ""
    pattern_says_zh: str = ""
    printed_code: int = 0
    masked: bool = False
    repeats: bool = False

    @property
    def is_list(self) -> bool:
        return self.repeats or self.type is FieldType.LIST


@dataclass(frozen=True, slots=True)
class Validity:
    """The term of a type. `years` = 0: the record contains the end. `long_term`: it may contain 长期 instead."""

    years: int
    long_term: bool


@dataclass(frozen=True, slots=True)
class SealRule:
    """The size of seal that the type expects, and the page with the issuer's name and date.

    The place on that page comes from the layout, because in a document it depends on the text:
    `issuer.rendering.RenderedPage.seal`.
    """

    diameter_mm: float
    page: str


@dataclass(frozen=True, slots=True)
class TypeProfile:
    short: str
    type_code: str
    version: str
    name: Name
    defined_by: str
    category: Category
    holder_kind: HolderKind
    who_may_issue: tuple[str, ...]
    validity: Validity
    layout: str
    seal: SealRule
    fields: tuple[FieldProfile, ...]
    further_seals: tuple[SealRole, ...] = ()
    for_abroad: bool = False

    def field(self, name: str) -> FieldProfile:
        for field in self.fields:
            if field.name == name:
                return field
        raise NotFound(f"{self.short} has no field {name}.", "See the type's file in issuer/catalogue/types.")

    def with_role(self, role: Role) -> FieldProfile | None:
        for field in self.fields:
            if field.role is role:
                return field
        return None

    def printed_fields(self) -> tuple[FieldProfile, ...]:
        """The fields of the printed QR, in its order."""
        return tuple(sorted((f for f in self.fields if f.printed_code), key=lambda f: f.printed_code))

    def field_named(self, column: str) -> FieldProfile | None:
        """The field of a CSV column, by field name or Chinese label, or None."""
        for field in self.fields:
            if column in (field.name, field.label.zh):
                return field
        return None


@cache
def load_catalogue() -> Mapping[str, TypeProfile]:
    """Every type of the installation, by its short name."""
    folder = files("issuer.catalogue").joinpath("types")
    sources = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    profiles = [read_profile(source.read_text(encoding="utf-8")) for source in sources]
    catalogue = {profile.short: profile for profile in profiles}
    if len(catalogue) != len(profiles) or len({p.type_code for p in profiles}) != len(profiles):
        raise Malformed("Two certificate types share a short name or a type code.", "Rename one of them.")
    return catalogue


def load_profile(short: str) -> TypeProfile:
    try:
        return load_catalogue()[short]
    except KeyError as exc:
        known = ", ".join(load_catalogue())
        raise NotFound(f"There is no certificate type {short!r}.", f"Choose one of {known}.") from exc


def read_profile(toml: str) -> TypeProfile:
    """The type that a TOML text describes. Raises `Malformed` with what is wrong in it."""
    try:
        profile = _profile(tomllib.loads(toml))
    except tomllib.TOMLDecodeError as exc:
        raise Malformed(f"A certificate type is not TOML: {exc}", "Correct the file.") from exc
    except KeyError as exc:
        raise Malformed(f"A certificate type lacks {exc.args[0]!r}.", "Add it to the file.") from exc
    except (TypeError, ValueError) as exc:
        raise Malformed(f"A certificate type has an unknown entry: {exc}", "Correct the file.") from exc
    _check_profile(profile)
    return profile


def compile_pattern(pattern: str) -> re.Pattern[str]:
    r"""Compiles a type's pattern, in which `\p{han}` means one ideograph, because `re` does not support scripts."""
    return re.compile(pattern.replace(r"\p{han}", "[\u3400-\u9fff\U00020000-\U000323af]"))


def _profile(table: dict[str, Any]) -> TypeProfile:
    validity = table["validity"]
    if validity["rule"] not in ("years", "given"):
        raise ValueError(f"validity rule {validity['rule']}")
    return TypeProfile(
        short=table["short"],
        type_code=table["type_code"],
        version=table["version"],
        name=Name(**table["name"]),
        defined_by=table["defined_by"],
        category=Category(table["category"]),
        holder_kind=HolderKind(table["holder_kind"]),
        who_may_issue=tuple(table["who_may_issue"]),
        validity=Validity(
            years=validity["years"] if validity["rule"] == "years" else 0, long_term=validity["long_term"]
        ),
        layout=table["layout"],
        seal=SealRule(**table["seal"]),
        fields=tuple(_field(field) for field in table["fields"]),
        further_seals=tuple(SealRole(role) for role in table.get("further_seals", ())),
        for_abroad=bool(table.get("for_abroad", False)),
    )


def _field(table: dict[str, Any]) -> FieldProfile:
    known = dict(table)
    return FieldProfile(
        name=known.pop("name"),
        gb=known.pop("gb"),
        label=Name(**known.pop("label")),
        type=FieldType(known.pop("type")),
        required=known.pop("required"),
        max_length=known.pop("max_length", 20),
        disclosure=known.pop("disclosure"),
        role=Role(known.pop("role")) if "role" in known else None,
        choices=tuple(known.pop("choices", ())),
        **known,
    )


def _check_profile(profile: TypeProfile) -> None:
    check_type_code(profile.type_code)
    problems = []
    if SealRole.LEGAL in profile.further_seals or len(set(profile.further_seals)) != len(
        profile.further_seals
    ):
        problems.append("further_seals are personal and abroad, each once")
    if not _SHORT.fullmatch(profile.short):
        problems.append("short is not 1 to 8 characters A-Z 0-9")
    names = [field.name for field in profile.fields]
    labels = [field.label.zh for field in profile.fields]
    if len(set(names)) != len(names) or len(set(labels)) != len(labels):
        problems.append("two fields share a name or a label")
    places = sorted(field.printed_code for field in profile.fields if field.printed_code)
    if places != list(range(1, len(places) + 1)):
        problems.append("the places in the printed code are not 1, 2, 3 …")
    for role in (Role.NUMBER, Role.HOLDER_NAME, Role.HOLDER_CODE, Role.ISSUED_ON, Role.VALID_UNTIL):
        if profile.with_role(role) is None:
            problems.append(f"no field has the role {role.value}")
    if profile.validity.years and profile.with_role(Role.VALID_FROM) is None:
        problems.append("a validity in years needs a field with the role valid_from")
    for field in profile.fields:
        problems.extend(f"{field.name}: {problem}" for problem in _field_problems(field))
    if problems:
        raise Malformed(f"The type {profile.short} contradicts itself: {'; '.join(problems)}.", "Correct it.")


def _field_problems(field: FieldProfile) -> list[str]:
    problems = []
    if not _FIELD_NAME.fullmatch(field.name):
        problems.append("a name is snake_case")
    if not 0 <= field.disclosure <= 4:
        problems.append("disclosure is 0 to 4")
    if bool(field.choices) != (field.type is FieldType.CHOICE):
        problems.append("choices belong to a choice, and a choice needs them")
    if bool(field.pattern) != bool(field.pattern_says):
        problems.append("a pattern needs words that say what it means")
    try:
        compile_pattern(field.pattern)
    except re.error:
        problems.append("the pattern is not a regular expression")
    return problems
