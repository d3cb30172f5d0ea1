"""Drafting: from a department's application to a checked record and the bytes that will be committed to.

Everything here is decided before any irreversible step: fields, entitlement, metadata under their GB/T 36903
names, and the claims of the printed code. It reads no clock and no database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from issuer.catalogue import CheckedFields, FieldType, Role, TypeProfile, check_fields, load_profile
from issuer.rendering import missing_characters
from trust.encoding.codes import PrintedClaims
from trust.encoding.commitment import FieldValue
from trust.encoding.digests import sha256
from trust.encoding.ecertificate_data import CHINA, LONG_TERM, ECertificateData
from trust.model.ecertificate import Application, IssuingAuthority
from trust.model.errors import ProfileViolation, Violation
from trust.model.parties import CodeType, Holder, code_type_name, mask_code, mask_name
from trust.model.report import BETWEEN_VALUES, ShownField

MAX_PHOTO_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CheckedApplication:
    """An application that meets every rule. `digest` identifies its content, to distinguish a repeat from a change."""

    application: Application
    profile: TypeProfile
    authority: IssuingAuthority
    fields: CheckedFields
    digest: bytes


def check_application(
    application: Application, profile: TypeProfile, authority: IssuingAuthority, at: datetime
) -> CheckedApplication:
    """Checks fields, entitlement and dates at the time `at`. Raises `ProfileViolation` with every reason at once."""
    reasons: list[Violation] = []
    if not set(profile.who_may_issue) & set(authority.functions):
        reasons.append(
            Violation(
                "authority",
                "NOT_ENTITLED",
                "an authority that may not issue this type",
                "use the entitled one",
            )
        )
    photo_field = profile.with_role(Role.PHOTO)
    own_page = application.source_pdf is not None
    if photo_field is not None and photo_field.required and application.photo is None and not own_page:
        reasons.append(Violation(photo_field.name, "MISSING", "no photograph", "attach a JPEG or PNG"))
    if application.photo is not None and len(application.photo) > MAX_PHOTO_BYTES:
        reasons.append(Violation("photo", "TOO_LARGE", "a photograph over 2 MiB", "make it smaller"))
    try:
        checked = check_fields(
            profile,
            application.fields,
            today=at.astimezone(CHINA).date(),
            missing_characters=missing_characters if not own_page else lambda text: (),
        )
    except ProfileViolation as exc:
        raise ProfileViolation([*reasons, *exc.violations]) from exc
    if reasons:
        raise ProfileViolation(reasons)
    return CheckedApplication(application, profile, authority, checked, _digest(application, checked))


def metadata_of(
    checked: CheckedFields,
    profile: TypeProfile,
    authority: IssuingAuthority,
    identifier: str,
    photo: bytes | None,
) -> dict[str, FieldValue]:
    """The fields under their GB/T 36903 names (KZ_… for fields that only this type has)."""
    metadata: dict[str, FieldValue] = {}
    for field in profile.fields:
        if field.type is FieldType.PHOTO:
            if photo is not None:
                metadata[field.gb] = sha256(photo).hex()
            continue
        values = checked.values.get(field.name)
        if values:
            many = field.is_list or field.type is FieldType.PARAGRAPHS
            metadata[field.gb] = list(values) if many else values[0]
    metadata |= {
        "ZZBS": identifier,
        "ZZMC": profile.name.zh,
        "ZZLXDM": profile.type_code,
        "ZZBH": checked.number,
        "ZZBFJG": authority.name_zh,
        "ZZBFJGDM": authority.uscc,
        "ZZBFRQ": checked.issued_on.isoformat(),
        "ZZYXQQSRQ": checked.valid_from.isoformat(),
        "ZZYXQJZRQ": checked.valid_until.isoformat() if checked.valid_until else LONG_TERM,
        "CZZT": [holder.name for holder in checked.holders],
        "CZZTDM": [holder.code for holder in checked.holders],
        "CZZTDMLXDM": [holder.code_type.value for holder in checked.holders],
    }
    return metadata


def printed_claims(
    data: ECertificateData, profile: TypeProfile, *, field_names: Sequence[str], issued_at: datetime
) -> PrintedClaims:
    """The claims of the printed code with these fields; personal values are masked."""
    fields: dict[int, str] = {}
    for position, field in enumerate(profile.fields):
        value = data.metadata.get(field.gb)
        if field.name in field_names and value:
            values = _as_list(value)
            fields[position] = BETWEEN_VALUES.join(
                _masked(field.type, values, data.metadata) if field.masked else values
            )
    begins, ends = data.validity()
    return PrintedClaims(
        issuer=data.issuer,
        issued_at=issued_at.replace(microsecond=0),
        not_before=begins if begins > issued_at else None,
        expires_at=ends,
        pid=data.pid,
        level=1,
        fields=fields,
        content=data.content,
        status_list=data.status_list,
        status_index=data.status_index,
        type_short=data.type_short,
        type_version=data.type_version,
        version=data.version,
    )


def printed_field_order(profile: TypeProfile) -> list[str]:
    """The fields of the printed code, most important first, because fields that do not fit are left out from the
    end."""
    return [field.name for field in profile.printed_fields()]


def encode_values(checked: CheckedFields) -> bytes:
    """Checked fields as JSON, so that interrupted issuing can be resumed from the register."""
    return json.dumps(
        {
            "values": {name: list(values) for name, values in checked.values.items()},
            "holders": [[h.name, h.code, h.code_type.value] for h in checked.holders],
            "number": checked.number,
            "issued_on": checked.issued_on.isoformat(),
            "valid_from": checked.valid_from.isoformat(),
            "valid_until": checked.valid_until.isoformat() if checked.valid_until else None,
        },
        ensure_ascii=False,
        sort_keys=True,
    ).encode()


def decode_values(encoded: bytes, on: date) -> CheckedFields:
    """The inverse of `encode_values`."""
    raw = json.loads(encoded)
    return CheckedFields(
        {name: tuple(values) for name, values in raw["values"].items()},
        tuple(Holder(name, code, CodeType(kind), on=on) for name, code, kind in raw["holders"]),
        raw["number"],
        date.fromisoformat(raw["issued_on"]),
        date.fromisoformat(raw["valid_from"]),
        date.fromisoformat(raw["valid_until"]) if raw["valid_until"] else None,
    )


def _as_list(value: FieldValue) -> Sequence[str]:
    return value if isinstance(value, list) else [value]


def _masked(kind: FieldType, values: Sequence[str], metadata: Mapping[str, FieldValue]) -> Sequence[str]:
    if kind in (FieldType.PERSON_NAME, FieldType.ORGANISATION_NAME):
        return [mask_name(name) for name in values]
    if kind is FieldType.USCC:
        return [mask_code(code, CodeType.USCC) for code in values]
    codes = metadata.get("CZZTDMLXDM", [])
    code_type = CodeType(codes[0]) if codes else CodeType.IDENTITY_NUMBER
    return [mask_code(code, code_type) for code in values]


def _digest(application: Application, checked: CheckedFields) -> bytes:
    pictures = sha256(application.photo or b"") + sha256(application.source_pdf or b"")
    return sha256(encode_values(checked) + pictures)


def display_fields(data: ECertificateData, level: int) -> list[ShownField]:
    """The fields that a disclosure level allows, in the type's order; below level 2, personal values are masked."""
    profile = load_profile(data.type_short)
    shown: list[ShownField] = []
    for field in profile.fields:
        value = data.metadata.get(field.gb)
        if not value or field.disclosure > level or field.type is FieldType.PHOTO:
            continue
        values = _as_list(value)
        if level < 2 and field.masked:
            values = _masked(field.type, values, data.metadata)
        if field.type is FieldType.CODE_TYPE:
            values = [code_type_name(code) for code in values]
        between = "\n" if field.type is FieldType.PARAGRAPHS else BETWEEN_VALUES
        shown.append(ShownField(field.name, field.label.zh, field.label.en, between.join(values)))
    return shown
