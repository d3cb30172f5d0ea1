"""See what you check: for counters that may see a department's licences, a picture beside the fields.

    the issued file itself   its page, drawn
    an altered or saved copy  the issued file is found by the code printed on the copy, whose signature is checked;
                              then what differs, in words and marked on the copy; and the issued file to be given out

Only the desk of the department that issued the licence, with a key that may read e-certificates, sees either.

A holder's photograph (`portrait_of`) is shown to whoever brings the issued file, which shows it too: it comes from the
register, and is the one whose digest was sealed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from issuer import sql
from issuer.rendering.photo import photo_jpeg
from trust.app.actions import believed_pid
from trust.app.compose import Service
from trust.encoding.digests import sha256
from trust.model.ecertificate import IssuedECertificate
from trust.model.errors import NotFound, ProfileViolation, TrustError
from trust.model.report import Report, Verdict
from trust.pdf.drawing import decode_png
from trust.pdf.reading import MAX_FILE_BYTES
from trust.people.api_clients import ApiCaller
from verifier.copies import decode_compared
from verifier.pictures import decode_texts

T = TypeVar("T")
_READ = "cert.read"


@dataclass(frozen=True, slots=True)
class Sight:
    """`png` is base64; `original` the public id of the issued file where another one was shown."""

    png: str
    original: str | None = None
    lines: Sequence[Mapping[str, Any]] = ()
    more: int = 0
    pages: Sequence[int] = ()


def see(service: Service, caller: ApiCaller, report: Report, given: bytes) -> Sight | None:
    """What this caller may see of a file that was checked; None where there is nothing, or it is not theirs to see."""
    if report.kind != "pdf" or len(given) > MAX_FILE_BYTES or _READ not in caller.scopes:
        return None
    try:
        pid = believed_pid(report)
        if pid is not None:
            _own(service, caller, pid)
            return Sight(_base64(_drawing(service, "draw-page", decode_png, given)))
        original = _original_of(service, caller, given)
        if original is None:
            return None
        issued = service.issuing.issued_file(original.pid)
        found = _drawing(service, "compare-copy", decode_compared, issued, given)
    except TrustError:
        return None  # what cannot be drawn or found is not shown; the verdict stands
    return Sight(_base64(found.png), original.pid.hex(), found.lines, found.more, found.pages)


def portrait_of(service: Service, report: Mapping[str, Any]) -> str | None:
    """The photograph (a JPEG as base64) of the issued file that this report, as JSON, is about."""
    ecertificate = report["facts"].get("ecertificate") or {}
    digest, pid = ecertificate.get("photo_sha256"), ecertificate.get("pid")
    is_the_file = any(
        each["check"] == "register.file" and each["result"] == "PASSED" for each in report["findings"]
    )
    if report["kind"] != "pdf" or not is_the_file or not digest or not pid:
        return None
    with service.database.read() as connection:
        row = sql.find_ecertificate(connection, pid=bytes.fromhex(pid))
        photo = sql.find_document(connection, row.id or 0, "photo") if row is not None else None
    if photo is None or sha256(photo).hex() != digest:
        return None  # erased, or another service's: the page itself shows it
    try:
        return base64.b64encode(photo_jpeg(photo)).decode()
    except ProfileViolation:
        return None


def original_for(service: Service, caller: ApiCaller, pid: bytes) -> bytes:
    """The issued file, for whoever may read it. Raises `NotFound`."""
    return service.issuing.issued_file(_own(service, caller, pid).pid)


def _original_of(service: Service, caller: ApiCaller, given: bytes) -> IssuedECertificate | None:
    at = service.clock.now()
    for text in _drawing(service, "read-copy", decode_texts, given):
        report = (
            service.verifier.verify_text(text, service.evidence(at), at) if "/Q/" in text.upper() else None
        )
        pid = (
            believed_pid(report)
            if report is not None and report.verdict is not Verdict.INDETERMINATE
            else None
        )
        if pid is not None:
            return _own(service, caller, pid)
    return None


def _own(service: Service, caller: ApiCaller, pid: bytes) -> IssuedECertificate:
    found = service.issuing.issued(pid=pid)
    if _READ not in caller.scopes or caller.authority_id not in (None, found.authority_id):
        raise NotFound("There is no such e-certificate.", "Check the public id.")
    return found


def _drawing(service: Service, job: str, decode: Callable[[dict[str, Any]], T], *files: bytes) -> T:
    return service.sandboxes.drawing.run(job, {"page": 0}, files, decode)


def _base64(png: bytes) -> str:
    return base64.b64encode(png).decode()
