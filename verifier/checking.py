"""The use cases of checking: judging an object by the current evidence and filing the report, for every face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trust.audit.trail import Act, Trail
from trust.encoding.digests import sha256
from trust.encoding.report import encode_payload
from trust.model.actor import Actor, ActorKind, Permission
from trust.model.errors import Conflict, Malformed
from trust.model.report import Report, is_as_sealed
from trust.sandbox.lanes import Lane
from verifier.checks.digests import CheckedDigest, check_digests
from verifier.checks.verifying import Verifier
from verifier.evidence.evidence import Evidence
from verifier.evidence.recording import Recorder
from verifier.gathering import OnlineEvidence
from verifier.ports import KnownFiles
from verifier.reports.filing import Repeated, Reporting
from verifier.reports.shown import report_json


@dataclass(frozen=True, slots=True)
class Checking:
    """`verifiers`: one for each lane, each with its own reader processes."""

    verifiers: Mapping[Lane, Verifier]
    online: OnlineEvidence
    reports: Reporting
    files: KnownFiles
    trail: Trail

    def verify(
        self, given: bytes | str, at: datetime, *, lane: Lane = Lane.MACHINE, verifier: str = ""
    ) -> Report:
        """The report on one object (a file's bytes or a code's text) by the evidence at `at`. Files nothing."""
        return _verified(self.verifiers[lane], given, self.online.gather(at), at, verifier)

    def verify_and_file(
        self, actor: Actor, given: bytes | str, at: datetime, *, lane: Lane, purpose: str = ""
    ) -> tuple[Report, dict[str, Any]]:
        """The report, and its JSON with its report code and its signature. `purpose`: why a counter asks."""
        actor.check_may(Permission.DESK if actor.kind is ActorKind.DEVICE else Permission.VERIFY)
        verifier = actor.name
        recorder = Recorder(self.online.gather(at))
        report = _verified(self.verifiers[lane], given, recorder.evidence, at, verifier)
        value = self.reports.file(
            report, report_json(report), given, recorder, lane=lane, pid=believed_pid(report)
        )
        self._write_down(actor, report, purpose)
        return report, value

    def _write_down(self, actor: Actor, report: Report, purpose: str) -> None:
        action = f"verify:{report.kind}"
        outcome = " ".join(filter(None, (report.verdict.value, report.code)))
        if actor.kind is not ActorKind.PUBLIC:
            self.trail.note(actor.ref, Act(action, outcome, believed_pid(report), purpose=purpose or None))
        elif report.was_read:
            self.trail.count(action, outcome, believed_pid(report))

    def repeat(self, actor: Actor, code: str, given: bytes | str) -> Repeated:
        """Judges the same object again with the recorded evidence, as of the recorded time.

        Raises `NotFound`, `Conflict` (OTHER_OBJECT) for another object, and `EvidenceUnavailableError`
        (NOT_REPEATABLE).
        """
        actor.check_may(Permission.VERIFY)
        filed = self.reports.find(code)
        evidence = self.reports.evidence_of(code)
        if filed.input_sha256 != sha256(given.encode() if isinstance(given, str) else given):
            raise Conflict(
                "The report is about something else.", "Give the very file or code.", code="OTHER_OBJECT"
            )
        report = _verified(self.verifiers[Lane.MACHINE], given, evidence, filed.verified_at, "")
        again = encode_payload({**report_json(report), "report_code": filed.code})
        return Repeated(report, sha256(again) == filed.payload_sha256)

    def digests(self, actor: Actor, digests: Sequence[bytes], at: datetime) -> list[CheckedDigest]:
        """One answer for each SHA-256, in their order."""
        actor.check_may(Permission.VERIFY)
        found = check_digests(self.files, digests, at)
        self.trail.note(actor.ref, Act("verify:digests", str(len(found))))
        return found


def believed_pid(report: Report) -> bytes | None:
    """The e-certificate's public id if the object is what was sealed; else None, because anyone can write a pid."""
    ecertificate: Any = report.facts.get("ecertificate") or {}
    pid = ecertificate.get("pid")
    is_whole = is_as_sealed(report.verdict, ((f.check, f.result) for f in report.findings))
    try:
        return bytes.fromhex(pid) if pid and is_whole else None
    except ValueError as exc:
        raise Malformed("A public id in a report is not hexadecimal.") from exc


def _verified(by: Verifier, given: bytes | str, evidence: Evidence, at: datetime, verifier: str) -> Report:
    if isinstance(given, str):
        return by.verify_text(given, evidence, at, verifier=verifier)
    return by.verify_bytes(given, evidence, at, verifier=verifier)
