"""What both the command line and the HTTP API do: the same request goes through the same function.

From a record to an application, an authority by id or credit code, a department's own PDF through the
sandbox; reports as JSON with their words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from issuer.archive.archiving import ArchivedVersion
from issuer.catalogue import TypeProfile, load_profile
from issuer.issuing import Outcome
from issuer.sealing.intake import decode_prepared
from trust.app.compose import Service
from trust.app.records import Record, read_picture, record_from
from trust.app.reporting import FiledReport, Repeated
from trust.encoding.digests import sha256
from trust.encoding.report import encode_payload, encode_report
from trust.model.ecertificate import Application, IssuingAuthority, PlaceOnPage
from trust.model.errors import (
    Conflict,
    EvidenceUnavailableError,
    Malformed,
    NotFound,
    ProfileViolation,
    Violation,
)
from trust.model.report import Report, Result
from trust.sandbox.lanes import Lane
from verifier.evidence import Evidence
from verifier.recording import Recorder
from verifier.sentences import messages_of
from verifier.verifying import Verifier


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
            zh="未登记该签发机构，请用 yinzheng authority list 查看已登记的机构。",
        )
    entitled = [a for a in listed if set(a.functions) & set(profile.who_may_issue)]
    if len(entitled) != 1:
        raise Malformed(
            f"{len(entitled)} authorities may issue {profile.short}.",
            "Say which with --authority.",
            code="AUTHORITY",
            zh=f"有 {len(entitled)} 个机构可签发{profile.name.zh}，请用 --authority 指明签发机构。",
        )
    return entitled[0]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_truth(value: object) -> bool:
    return isinstance(value, bool)


_SIDECAR: dict[str, tuple[Callable[[object], bool], str]] = {
    "fields": (lambda value: isinstance(value, dict), '{"licence_number": "…", …}'),
    "type": (_is_text, '"FOOD"'),
    "place": (lambda value: isinstance(value, dict), '{"page": -1, "seal_mm": [120, 40]}'),
    "authority": (_is_text, '"…"'),
    "seal": (_is_text, '"…"'),
    "further_seals": (_are_texts, '["…"]'),
    "lose_standard": (_is_truth, "true"),
    "for_abroad": (_is_truth, "true"),
}


def _check_sidecar(sidecar: Mapping[str, Any]) -> None:
    """Raises `Malformed` for anything that would not be understood: a wish that is passed over is a wrong licence."""
    unknown = sorted(set(sidecar) - set(_SIDECAR))
    if unknown:
        listed, known = ", ".join(map(repr, unknown)), ", ".join(_SIDECAR)
        raise Malformed(
            f"The data beside the PDF names what is not known: {listed}.",
            f"Known are {known}.",
            zh=f"PDF 附带的数据中有不认识的项：{listed}。可用的有：{known}。",
        )
    if "fields" not in sidecar:
        raise Malformed(
            "The data beside the PDF has no fields.",
            'Write {"type": …, "fields": {…}}.',
            zh='PDF 附带的数据没有 fields，请写成 {"type": …, "fields": {…}}。',
        )
    for name, (is_right, example) in _SIDECAR.items():
        if name in sidecar and not is_right(sidecar[name]):
            raise Malformed(
                f'"{name}" in the data beside the PDF is not in its form.',
                f"Write {example}.",
                zh=f"PDF 附带的数据中“{name}”的写法不对，请写成 {example}。",
            )


def application_from(
    service: Service,
    record: Record,
    profile: TypeProfile,
    *,
    authority: str | None,
    seal: str | None,
    also: Sequence[str] = (),
    for_abroad: bool = False,
) -> Application:
    """With the record's picture. Raises `RequestError` for a row that names no authority or cannot be read."""
    if record.problems:
        raise ProfileViolation(record.problems)
    found = find_authority(service, record.authority or authority, profile)
    return Application(
        type_short=profile.short,
        authority_id=found.authority_id,
        fields=record.fields,
        seal_id=record.seal or seal,
        photo=read_picture(record),
        row=record.row,
        further_seals=tuple(also),
        for_abroad=for_abroad,
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
    lose_standard: bool = False,
    for_abroad: bool = False,
) -> Application:
    """An application around a department's own PDF. The PDF is looked at in the sandbox.

    `sidecar` is {"type", "fields": {…}, "place": {"page": -1, "seal_mm": [x, y]}, "authority", "seal",
    "further_seals": […], "lose_standard": true, "for_abroad": true}, of which only `fields` is needed; `seal_mm` is the
    seal's centre from the left and bottom edge of the page as it is shown. Raises `Malformed` with the reason's code
    (ENCRYPTED, ALREADY_SIGNED, …).
    """
    said = {name: value for name, value in sidecar.items() if value is not None}
    _check_sidecar(said)
    profile = load_profile(type_short or str(said.get("type", "")))
    place = _place(said.get("place"))
    wanted_seal, wanted_authority = said.get("seal"), said.get("authority")
    try:
        prepared = service.sandbox.run("check-stampable", {}, [pdf], decode_prepared)
    except EvidenceUnavailableError as exc:
        raise Malformed(exc.what, "Save it anew from its source.", code=exc.code) from exc
    if prepared is not None:
        pdf = prepared
    record = record_from(1, said["fields"], profile, None)
    found = find_authority(service, authority or wanted_authority, profile)
    return Application(
        type_short=profile.short,
        authority_id=found.authority_id,
        fields=record.fields,
        seal_id=seal or wanted_seal,
        source_pdf=pdf,
        place=place,
        row=1,
        further_seals=tuple(also or said.get("further_seals", ())),
        may_lose_standard=lose_standard or said.get("lose_standard", False),
        for_abroad=for_abroad or said.get("for_abroad", False),
    )


def _place(raw: Any) -> PlaceOnPage | None:
    match raw:
        case None:
            return None
        case {"page": int(page), "seal_mm": [int() | float() as x, int() | float() as y], **others} if (
            not others
            and not any(isinstance(each, bool) for each in (page, x, y))
            and 0 <= x <= 2000
            and 0 <= y <= 2000
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
            **({} if outcome.repeats_row is None else {"repeats_row": outcome.repeats_row}),
        }
    if outcome.error is None:
        # Of a dry run: what would come out, or be one licence with an earlier row.
        repeats = {} if outcome.repeats_row is None else {"repeats_row": outcome.repeats_row}
        return {"row": outcome.row, "result": "repeated" if outcome.repeated else "would-issue", **repeats}
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


def repeat_check(service: Service, code: str, given: bytes | str) -> Repeated:
    """The same object judged again, at the time of then and with the evidence of then.

    Raises `NotFound`, `Conflict` (OTHER_OBJECT) for another object, and `EvidenceUnavailableError` (NOT_REPEATABLE).
    """
    filed = service.reporting.find(code)
    evidence = service.reporting.evidence_of(code)
    if filed.input_sha256 != sha256(given.encode() if isinstance(given, str) else given):
        raise Conflict(
            "The report is about something else.", "Give the very file or code.", code="OTHER_OBJECT"
        )
    report = _verified(service.verifier, given, evidence, filed.verified_at, "")
    again = encode_payload({**report_json(report), "report_code": filed.code})
    return Repeated(report, sha256(again) == filed.payload_sha256)


def filed_report_json(filed: FiledReport) -> dict[str, Any]:
    """What stands under a report code, for machines."""
    return {
        "report_code": filed.code,
        "verified_at": filed.verified_at.isoformat(),
        "kind": filed.kind,
        "verdict": filed.verdict,
        "code": filed.headline,
        "input_sha256": filed.input_sha256.hex() if filed.input_sha256 else None,
        "report_sha256": filed.payload_sha256.hex(),
        "repeatable": filed.is_repeatable,
        "kept_until": filed.kept_until.isoformat(),
    }


def verify_and_file(
    service: Service, given: bytes | str, at: datetime, *, lane: Lane, verifier: str = ""
) -> tuple[Report, dict[str, Any]]:
    """One object against the service's own evidence: the report, and its JSON with its code and seal."""
    recorder = Recorder(service.evidence(at))
    report = _verified(service.verifiers[lane], given, recorder.evidence, at, verifier)
    value = service.reporting.file(
        report, report_json(report), given, recorder, lane=lane, pid=believed_pid(report)
    )
    return report, value


def believed_pid(report: Report) -> bytes | None:
    """Whose e-certificate it is: only where the object is what was sealed, since anyone can write a pid."""
    ecertificate: Any = report.facts.get("ecertificate") or {}
    pid = ecertificate.get("pid")
    is_whole = all(f.result is Result.PASSED or f.check in ("status", "validity") for f in report.findings)
    try:
        return bytes.fromhex(pid) if pid and is_whole else None
    except ValueError as exc:
        raise Malformed("A public id in a report is not hexadecimal.") from exc


def _verified(by: Verifier, given: bytes | str, evidence: Evidence, at: datetime, verifier: str) -> Report:
    if isinstance(given, str):
        return by.verify_text(given, evidence, at, verifier=verifier)
    return by.verify_bytes(given, evidence, at, verifier=verifier)


def verify_online(
    service: Service, data: bytes | str, at: datetime, *, lane: Lane = Lane.MACHINE, verifier: str = ""
) -> Report:
    """One object against the service's own evidence, by the readers of a lane."""
    return _verified(service.verifiers[lane], data, service.evidence(at), at, verifier)
