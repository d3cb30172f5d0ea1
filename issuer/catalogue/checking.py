"""Checking a record against the rules of its type, and reporting all violations at once.

Nothing here stops early, so that a clerk who imports a thousand rows does not find a row's second mistake only after
correcting the first. The returned values are normalised (characters as in `characters`, no outer blanks, codes and
dates in half width, dates as YYYY-MM-DD, `x` in an identity number as `X`). They are hashed, printed and attached;
later steps never use a raw value.

A reason names the field, the rule and the kind of thing that was found. It never repeats the value, because reasons may
be logged and values are personal data; only a character that cannot be sealed is named, as U+XXXX.

The injected `missing_characters` tells which characters the fonts lack; this module opens no file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from issuer.catalogue.characters import (
    in_half_width,
    is_invisible,
    named,
    tidied,
    unusable,
    without_invisible_ends,
)
from issuer.catalogue.profile import FieldProfile, FieldType, HolderKind, Role, TypeProfile, compile_pattern
from issuer.catalogue.spreadsheets import (
    check_no_leftover,
    check_not_shortened,
    has_lost_digits,
    lost_digits,
    lost_zeros,
    read_day,
    unwrapped,
)
from trust.model.errors import Malformed, ProfileViolation, Violation
from trust.model.parties import CodeType, Holder, IdentityNumber, UnifiedSocialCreditCode

MissingCharacters = Callable[[str], Sequence[str]]
"""Returns the characters of a text that no font has (`issuer.rendering.fonts.missing_characters`)."""

LONG_TERM = "长期"
_SEPARATORS = re.compile(r"[;；|\n]")
_PHOTO_NAME = re.compile(
    r"(?:[\w-][\w .()（）-]{0,60}/){0,4}[\w-][\w .()（）-]{0,60}\.(?:jpe?g|png)", re.IGNORECASE
)
_CODES = frozenset(
    {
        FieldType.USCC,
        FieldType.IDENTITY_NUMBER,
        FieldType.HOLDER_CODE,
        FieldType.CODE_TYPE,
        FieldType.DATE,
    }
)
_NAMES = frozenset({FieldType.PERSON_NAME, FieldType.ORGANISATION_NAME, FieldType.ADDRESS})
_MOST_ITEMS = 60


@dataclass(frozen=True, slots=True)
class CheckedFields:
    """A record that meets every rule of its type. Values are canonical; fields that were left out are missing."""

    values: Mapping[str, tuple[str, ...]]
    holders: tuple[Holder, ...]
    number: str
    issued_on: date
    valid_from: date
    valid_until: date | None  # None: 长期

    def one(self, name: str) -> str:
        """The only value of a field, or "" if it was left out."""
        return self.values.get(name, ("",))[0]


def check_fields(
    profile: TypeProfile,
    raw: Mapping[str, str | Sequence[str]],
    *,
    today: date,
    missing_characters: MissingCharacters,
) -> CheckedFields:
    """The record in canonical form. Raises `ProfileViolation` with every reason at once.

    Columns may be called by field name or Chinese label. In a plain string, lists and repeated holders are
    separated by `；` `;` `|` or a line break. An empty value counts as left out.
    """
    reasons: list[Violation] = []
    given = _match_columns(profile, raw, reasons)
    values: dict[str, tuple[str, ...]] = {}
    for field in profile.fields:
        entries = _entries(field, given.get(field.name, ()))
        if not entries:
            if field.required:
                reasons.append(Violation(field.name, "MISSING", "nothing", "enter a value"))
            continue
        found = [_check_entry(field, entry, today, missing_characters, reasons) for entry in entries]
        # Count a value that could be read in its canonical form, without what a program had put around it.
        counted = [
            "".join(c for c in entry if not is_invisible(c)) if value is None else value
            for entry, value in zip(entries, found, strict=True)
        ]
        _check_whole(field, counted, reasons)
        if all(value is not None for value in found):
            values[field.name] = tuple(value for value in found if value is not None)
    holders = _check_holders(profile, values, today, reasons)
    dates = _check_dates(profile, values, today, reasons)
    if reasons or dates is None:
        raise ProfileViolation(reasons)
    issued_on, valid_from, valid_until = dates
    number = values[_named(profile, Role.NUMBER)][0]
    return CheckedFields(values, tuple(holders), number, issued_on, valid_from, valid_until)


def shown_fields(profile: TypeProfile, checked: CheckedFields) -> dict[str, tuple[str, ...]]:
    """The values for display: dates as 2026年11月21日, kinds of code by their names."""
    return {
        name: tuple(_shown(profile.field(name), value) for value in values)
        for name, values in checked.values.items()
    }


def show_date(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"


def _shown(field: FieldProfile, value: str) -> str:
    match field.type:
        case FieldType.DATE if value != LONG_TERM:
            return show_date(date.fromisoformat(value))
        case FieldType.CODE_TYPE:
            return CodeType(value).zh
        case _:
            return value


# Columns and entries ---------------------------------------------------------------------------------------


def _match_columns(
    profile: TypeProfile, raw: Mapping[str, str | Sequence[str]], reasons: list[Violation]
) -> dict[str, tuple[str, ...]]:
    given: dict[str, tuple[str, ...]] = {}
    for column, value in raw.items():
        field = profile.field_named(column.strip())
        entries = (value,) if isinstance(value, str) else tuple(value)
        if field is None:
            # Quote the column only if it looks like a name, because it may contain anything.
            shown = column if re.fullmatch(r"[\w（）()]{1,40}", column) else "a column"
            reasons.append(Violation(shown, "UNKNOWN_FIELD", "not in this type", "remove or rename it"))
        elif field.name in given:
            reasons.append(Violation(field.name, "TWICE", "two columns", "keep one of them"))
        else:
            given[field.name] = entries
    return given


def _entries(field: FieldProfile, given: tuple[str, ...]) -> list[str]:
    """The values of a field, split if it is a list, tidied, without the empty ones."""
    if field.is_list and len(given) == 1:
        given = tuple(_SEPARATORS.split(given[0]))
    if field.type is FieldType.PARAGRAPHS:
        given = tuple(line for text in given for line in text.replace("\r\n", "\n").split("\n"))
    return [entry for entry in (tidied(unwrapped(entry.strip())) for entry in given) if entry]


def _check_entry(
    field: FieldProfile,
    entry: str,
    today: date,
    missing_characters: MissingCharacters,
    reasons: list[Violation],
) -> str | None:
    """The canonical value, or None after adding the reasons against it."""
    if field.type in _CODES:
        entry = in_half_width(without_invisible_ends(entry)).removeprefix("'").strip()
    elif field.pattern:
        entry = _as_pattern_wants(field, entry)
    before = len(reasons)
    for each in unusable(entry, is_name=field.type in _NAMES):
        reasons.append(Violation(field.name, each.code, each.found, each.todo, each.zh))
    for char in missing_characters("".join(c for c in entry if not is_invisible(c))):
        if len(reasons) == before:
            u = named(char)
            zh = f"字库中没有 {u} 这个字，请核对是否录错，或改用其规范写法"
            found = f"{u}, which no font here has"
            reasons.append(Violation(field.name, "NO_GLYPH", found, "write another form of it", zh))
    if len(reasons) > before:
        return None
    try:
        check_no_leftover(entry)
        if field.pattern:
            _check_pattern(field, entry)
        return _canonical(field, entry, today)
    except Malformed as exc:
        reasons.append(Violation(field.name, exc.code, exc.what, exc.todo, exc.zh))
        return None


def _as_pattern_wants(field: FieldProfile, entry: str) -> str:
    """A number in half width and without a spreadsheet's text mark, if it matches the pattern only that way."""
    pattern = compile_pattern(field.pattern)
    for form in (entry, in_half_width(without_invisible_ends(entry)).removeprefix("'").strip()):
        if pattern.fullmatch(form):
            return form
    return entry


def _check_pattern(field: FieldProfile, entry: str) -> None:
    pattern = compile_pattern(field.pattern)
    if pattern.fullmatch(entry):
        return
    check_not_shortened(entry)
    if entry.isascii() and entry.isdigit():
        for count in range(1, 7):
            if pattern.fullmatch("0" * count + entry):
                raise lost_zeros(count)
    zh = f"格式不符合要求，请写成：{field.pattern_says_zh}" if field.pattern_says_zh else ""
    raise Malformed("another form", f"write {field.pattern_says}", code="PATTERN", zh=zh)


def _canonical(field: FieldProfile, entry: str, today: date) -> str:
    match field.type:
        case FieldType.DATE:
            if field.role is Role.VALID_UNTIL and entry == LONG_TERM:
                return LONG_TERM
            return read_day(entry).isoformat()
        case FieldType.USCC:
            return _not_mangled(entry, lambda: UnifiedSocialCreditCode(entry.upper()).value)
        case FieldType.IDENTITY_NUMBER:
            return _not_mangled(entry, lambda: IdentityNumber(entry, today).value)
        case FieldType.HOLDER_CODE:
            check_not_shortened(entry)
            return entry
        case FieldType.CODE_TYPE:
            return _read_code_type(entry).value
        case FieldType.CHOICE:
            if entry not in field.choices:
                listed = "、".join(field.choices)
                zh = f"不在可选范围内，请从中选择：{listed}"
                raise Malformed("not one of the choices", f"choose {listed}", code="CHOICE", zh=zh)
            return entry
        case FieldType.PHOTO:
            path = entry.replace("\\", "/")
            if not _PHOTO_NAME.fullmatch(path):
                raise Malformed("not a picture's file name", "name a .jpg or .png file", code="PHOTO_NAME")
            return path
        case FieldType.PERSON_NAME | FieldType.ORGANISATION_NAME:
            # Departments type the middle dot of a name in five ways, which must compare equal.
            return re.sub(r"(?<=\w) ?[·•‧∙⋅・･] ?(?=\w)", "·", re.sub(r"\s+", " ", entry))
        case _:
            return entry


def _check_whole(field: FieldProfile, entries: list[str], reasons: list[Violation]) -> None:
    if len(entries) > 1 and not field.is_list and field.type is not FieldType.PARAGRAPHS:
        reasons.append(_bad(field, "NOT_A_LIST", f"{len(entries)} values", "give one"))
    if len(entries) > _MOST_ITEMS:
        reasons.append(_bad(field, "TOO_MANY", f"{len(entries)} values", f"give at most {_MOST_ITEMS}"))
    lengths = [len(entry) for entry in entries]
    length = max(lengths) if field.repeats else sum(lengths)
    if length > field.max_length:
        zh = f"内容有 {length} 个字符，最多 {field.max_length} 个，请缩短"
        reasons.append(
            Violation(field.name, "TOO_LONG", f"{length} characters", f"at most {field.max_length}", zh)
        )


# Rules on several fields ------------------------------------------------------------------------------------


def _check_holders(
    profile: TypeProfile, values: dict[str, tuple[str, ...]], today: date, reasons: list[Violation]
) -> list[Holder]:
    """The holders: number i has name i, code i and kind i. A missing kind follows from the type, or from the code."""
    names = values.get(_named(profile, Role.HOLDER_NAME))
    codes = values.get(_named(profile, Role.HOLDER_CODE))
    if names is None or codes is None:
        return []
    kind_field = profile.with_role(Role.HOLDER_CODE_TYPE)
    given = values.get(kind_field.name) if kind_field else None
    kinds = [CodeType(kind) for kind in given] if given else [_usual_kind(profile, code) for code in codes]
    code_field = _named(profile, Role.HOLDER_CODE)
    if not len(names) == len(codes) == len(kinds):
        found = f"{len(names)} names, {len(codes)} codes, {len(kinds)} kinds"
        reasons.append(Violation(code_field, "HOLDERS_DO_NOT_PAIR", found, "give each a name and a code"))
        return []
    if len(set(codes)) != len(codes):
        reasons.append(Violation(code_field, "HOLDER_TWICE", "the same code twice", "name each holder once"))
    holders = []
    for name, code, kind in zip(names, codes, kinds, strict=True):
        if profile.holder_kind is not HolderKind.EITHER and kind.is_organisation != (
            profile.holder_kind is HolderKind.ORGANISATION
        ):
            wanted = f"the holder is a {profile.holder_kind.value}"
            reasons.append(Violation(code_field, "HOLDER_KIND", "a code of the other kind", wanted))
        try:
            holders.append(Holder(name, code, kind, on=today))
        except Malformed as refused:
            exc = lost_digits() if has_lost_digits(code) else refused
            reasons.append(Violation(code_field, exc.code, exc.what, exc.todo, exc.zh))
    if len(holders) == len(codes):
        values[code_field] = tuple(holder.code for holder in holders)
        if kind_field:
            values[kind_field.name] = tuple(kind.value for kind in kinds)
        reasons.extend(_contradictions(profile, values, holders[0], today))
    return holders


def _usual_kind(profile: TypeProfile, code: str) -> CodeType:
    match profile.holder_kind:
        case HolderKind.PERSON:
            return CodeType.IDENTITY_NUMBER
        case HolderKind.ORGANISATION:
            return CodeType.USCC
        case HolderKind.EITHER:
            # A body's code may consist of digits only and then look like an identity number. So every code in the
            # form of an identity number counts as one.
            looks_personal = re.fullmatch(r"[1-9]\d{5}(?:19|20)\d{9}[\dXx]", code)
            return CodeType.IDENTITY_NUMBER if looks_personal else CodeType.USCC


def _contradictions(
    profile: TypeProfile, values: Mapping[str, tuple[str, ...]], holder: Holder, today: date
) -> Iterator[Violation]:
    """Yields violations if sex or date of birth, which are printed too, contradict the identity number."""
    if holder.code_type is not CodeType.IDENTITY_NUMBER:
        return
    number = IdentityNumber(holder.code, today)
    said = {Role.GENDER: "男" if number.is_male else "女", Role.BIRTH_DATE: number.born_on.isoformat()}
    for role, expected in said.items():
        field = profile.with_role(role)
        if field and field.name in values and values[field.name] != (expected,):
            yield _bad(field, "CONTRADICTS_CODE", "not what the identity number says", "correct one")


def _check_dates(
    profile: TypeProfile, values: dict[str, tuple[str, ...]], today: date, reasons: list[Violation]
) -> tuple[date, date, date | None] | None:
    """Issue date, start and end (None: without limit). Fills in a start or an end that follows from the others."""
    issued = _date_of(profile, Role.ISSUED_ON, values)
    until_field = _named(profile, Role.VALID_UNTIL)
    if issued is None:
        return None
    if issued > today:
        field = _named(profile, Role.ISSUED_ON)
        reasons.append(Violation(field, "IN_THE_FUTURE", "a day after today", "issue it on that day"))
    start = _date_of(profile, Role.VALID_FROM, values) or issued
    if values.get(until_field) == (LONG_TERM,):
        if not profile.validity.long_term:
            reasons.append(Violation(until_field, "NO_LONG_TERM", "长期", "this type always ends on a day"))
        return issued, start, None
    if profile.validity.years:
        computed = (_years_later(start, profile.validity.years).isoformat(),)
        if values.setdefault(until_field, computed) != computed:
            rule = f"{profile.validity.years} years less a day from the start"
            reasons.append(Violation(until_field, "VALIDITY_RULE", "another end", f"the type gives {rule}"))
            return None
    if until_field not in values:
        return None  # a reason has been added already
    until = date.fromisoformat(values[until_field][0])
    if until < start:
        reasons.append(Violation(until_field, "ENDS_BEFORE_START", "an end before the start", "correct one"))
    return issued, start, until


def _years_later(start: date, years: int) -> date:
    """The last day of a term of years: five years from 2026-11-21 end on 2031-11-20."""
    try:
        return start.replace(year=start.year + years) - timedelta(days=1)
    except ValueError:  # from 29 February
        return date(start.year + years, 2, 28)


def _date_of(profile: TypeProfile, role: Role, values: Mapping[str, tuple[str, ...]]) -> date | None:
    field = profile.with_role(role)
    if field is None or field.name not in values:
        return None
    return date.fromisoformat(values[field.name][0])


def _not_mangled(entry: str, read: Callable[[], str]) -> str:
    """The code that `read` returns. If it fails and a spreadsheet damaged the code, raises that as the better
    reason."""
    check_not_shortened(entry)
    try:
        return read()
    except Malformed:
        if has_lost_digits(entry):
            raise lost_digits() from None
        raise


def _read_code_type(text: str) -> CodeType:
    for kind in CodeType:
        if text in (kind.value, kind.zh):
            return kind
    raise Malformed("an unknown kind of code", "see GB/T 36903 Annex A, such as 001 or 111", code="CODE_TYPE")


def _named(profile: TypeProfile, role: Role) -> str:
    field = profile.with_role(role)
    assert field is not None, f"reading a profile checks that it has the role {role}"
    return field.name


def _bad(field: FieldProfile, code: str, found: str, todo: str) -> Violation:
    return Violation(field.name, code, found, todo)
