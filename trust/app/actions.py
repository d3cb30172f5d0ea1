"""What both the command line and the HTTP API do: the same request goes through the same function.

From a record to an application, an authority by id or credit code, a department's own PDF through the
sandbox; reports as JSON with their words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from issuer.archive.archiving import ArchivedVersion
from issuer.catalogue import TypeProfile, load_profile
from issuer.issuing import Outcome
from trust.app.compose import Service
from trust.app.lanes import Lane
from trust.app.records import Record, record_from
from trust.encoding.report import encode_report
from trust.model.ecertificate import Application, IssuingAuthority, PlaceOnPage
from trust.model.errors import EvidenceUnavailableError, Malformed, NotFound, ProfileViolation, Violation
from trust.model.report import Report
from verifier.sentences import messages_of


def find_authority(service: Service, wanted: str | None, profile: TypeProfile) -> IssuingAuthority:
    """By id or credit code; without either, the only authority that may issue the type."""
    listed = service.authorities.list()
    if wanted is not None:
        for authority in listed:
            if wanted in (authority.authority_id, authority.uscc):
                return authority
        raise NotFound(
            "There is no such authority.",
            "List them with `yinzheng authority list`.",
            code="UNKNOWN_AUTHORITY",
        )
    entitled = [a for a in listed if set(a.functions) & set(profile.who_may_issue)]
    if len(entitled) != 1:
        raise Malformed(
            f"{len(entitled)} authorities may issue {profile.short}.",
            "Say which with --authority.",
            code="AUTHORITY",
        )
    return entitled[0]


_SIDECAR = {"type", "place", "authority", "seal", "further_seals"}


def _are_ids(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def application_from(
    service: Service,
    record: Record,
    profile: TypeProfile,
    *,
    authority: str | None,
    seal: str | None,
    also: Sequence[str] = (),
) -> Application:
    """Raises `RequestError` for a row that names no authority or cannot be read."""
    if record.problem is not None:
        raise ProfileViolation([Violation("row", "UNREADABLE", record.problem, "mend the row")])
    found = find_authority(service, record.authority or authority, profile)
    return Application(
        type_short=profile.short,
        authority_id=found.authority_id,
        fields=record.fields,
        seal_id=record.seal or seal,
        photo=record.photo,
        row=record.row,
        further_seals=tuple(also),
    )


def stamp_application(
    service: Service,
    pdf: bytes,
    sidecar: Mapping[str, Any],
    *,
    type_short: str | None,
    seal: str | None,
    authority: str | None,
    also: Sequence[str] = (),
) -> Application:
    """An application around a department's own PDF. The PDF is looked at in the sandbox.

    `sidecar` is {"type", "fields": {…}, "place": {"page": -1, "seal_mm": [x, y]}, "authority", "seal",
    "further_seals": […]}, of which only `fields` is needed; `seal_mm` is the seal's centre from the left and bottom
    edge. Raises `Malformed` with the reason's code (ENCRYPTED, ALREADY_SIGNED, …).
    """
    match sidecar:
        case {"fields": dict(fields), **rest} if set(rest) <= _SIDECAR and _are_ids(
            rest.get("further_seals", [])
        ):
            pass
        case _:
            raise Malformed("The data beside the PDF has no fields.", 'Write {"type": …, "fields": {…}}.')
    profile = load_profile(type_short or str(rest.get("type", "")))
    place = _place(rest.get("place"))
    wanted_seal, wanted_authority = rest.get("seal"), rest.get("authority")
    try:
        pages = int(service.sandbox.run("check-stampable", {}, [pdf])["pages"])
    except EvidenceUnavailableError as exc:
        raise Malformed(exc.what, "Save it anew from its source.", code=exc.code) from exc
    if place is not None and not -pages <= place.page < pages:
        raise Malformed(f"The PDF has {pages} pages, so there is no page {place.page}.", "Correct the place.")
    record = record_from(1, fields, profile, None)
    found = find_authority(service, authority or wanted_authority, profile)
    return Application(
        type_short=profile.short,
        authority_id=found.authority_id,
        fields=record.fields,
        seal_id=seal or wanted_seal,
        source_pdf=pdf,
        place=place,
        row=1,
        further_seals=tuple(also or rest.get("further_seals", ())),
    )


def _place(raw: Any) -> PlaceOnPage | None:
    match raw:
        case None:
            return None
        case {"page": int(page), "seal_mm": [int() | float() as x, int() | float() as y]} if (
            0 <= x <= 2000 and 0 <= y <= 2000
        ):
            return PlaceOnPage(page, float(x), float(y))
        case _:
            raise Malformed(
                "The place of the seal is not in its form.",
                'Write {"page": -1, "seal_mm": [120, 40]}.',
                code="PLACE",
            )


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """One row's result for machines."""
    if outcome.issued is not None:
        issued = outcome.issued
        return {
            "row": outcome.row,
            "result": "repeated" if outcome.repeated else "issued",
            "identifier": issued.identifier,
            "pid": issued.pid.hex(),
            "ledger_index": issued.entry_seq,
        }
    assert outcome.error is not None
    errors: Sequence[Violation] = (
        outcome.error.violations if isinstance(outcome.error, ProfileViolation) else ()
    )
    return {
        "row": outcome.row,
        "result": "refused",
        "code": outcome.error.code,
        "detail": outcome.error.what,
        "todo": outcome.error.todo,
        "errors": [{"field": v.field, "code": v.code, "found": v.found, "todo": v.todo} for v in errors],
    }


def version_json(version: ArchivedVersion) -> dict[str, Any]:
    """One version of a file for machines."""
    return {
        "number": version.number,
        "level": version.level,
        "sha256": version.sha256.hex(),
        "parent_sha256": version.parent_sha256.hex() if version.parent_sha256 else None,
        "stamped_at": version.stamped_at.isoformat() if version.stamped_at else None,
        "next_due_at": version.next_due_at.isoformat() if version.next_due_at else None,
        "ledger_index": version.entry_seq,
    }


def report_json(report: Report) -> dict[str, Any]:
    """The report with its words in both languages."""
    return encode_report(report, messages_of(report))


def verify_online(
    service: Service, data: bytes | str, at: datetime, *, lane: Lane = Lane.MACHINE, verifier: str = ""
) -> Report:
    """One object against the service's own evidence, by the readers of a lane."""
    evidence = service.evidence(at)
    if isinstance(data, str):
        return service.verifiers[lane].verify_text(data, evidence, at, verifier=verifier)
    return service.verifiers[lane].verify_bytes(data, evidence, at, verifier=verifier)
