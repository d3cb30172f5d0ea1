"""Evidence that remembers what it was asked, and evidence that answers as it did then.

`Recorder` stands before the sources of an `Evidence` while one object is verified. From what it took down, `replay`
makes an `Evidence` with which the same object gives the same report again, at any later time and on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from trust.encoding.digests import sha256
from trust.encoding.kept_evidence import FileAnswer, KeptEvidence, StatusAnswer
from trust.encoding.trust_list import TrustList
from trust.model.errors import EvidenceUnavailableError, TrustError
from verifier.evidence import Evidence, IssuedFiles, StatusFact, StatusSource


class Recorder:
    """For one verification: `evidence` is what the verifier gets, `kept` what it used."""

    def __init__(self, evidence: Evidence) -> None:
        self._given = evidence
        self._status = _RecordedStatus(evidence.status)
        self._files = _RecordedFiles(evidence.issued_files) if evidence.issued_files is not None else None
        self.evidence = replace(evidence, status=self._status, issued_files=self._files)

    def kept(self) -> KeptEvidence:
        given = self._given
        return KeptEvidence(
            trust_list=given.trust_list.seq if given.trust_list is not None else None,
            crls=tuple(sha256(crl) for crl in given.crls),
            status=self._status.answer,
            file=self._files.answer if self._files is not None else None,
            problems=tuple(given.problems),
        )


def replay(kept: KeptEvidence, trust_list: TrustList | None, crls: Sequence[bytes]) -> Evidence:
    """The evidence of then. `trust_list` and `crls` are those that `kept` names."""
    return Evidence(
        trust_list=trust_list,
        crls=tuple(crls),
        status=_SameStatus(kept.status),
        issued_files=_SameFiles(kept.file) if kept.file is not None else None,
        online=kept.file is not None,
        problems=kept.problems,
    )


class _RecordedStatus:
    def __init__(self, source: StatusSource) -> None:
        self._source = source
        self.answer: StatusAnswer | None = None

    def look_up(self, pid: bytes, status_list: int, index: int, at: datetime) -> StatusFact:
        try:
            fact = self._source.look_up(pid, status_list, index, at)
        except TrustError as exc:
            self.answer = StatusAnswer(None, None, error=(exc.code, exc.what))
            raise
        self.answer = StatusAnswer(fact.status, fact.freshness, fact.reason, fact.changed_at)
        return fact


class _RecordedFiles:
    def __init__(self, source: IssuedFiles) -> None:
        self._source = source
        self.answer = FileAnswer(None)

    def pid_of_file(self, sha256: bytes) -> bytes | None:
        pid = self._source.pid_of_file(sha256)
        self.answer = replace(self.answer, pid=pid)
        return pid

    def is_erased(self, pid: bytes) -> bool:
        erased = self._source.is_erased(pid)
        self.answer = replace(self.answer, erased=erased)
        return erased


@dataclass(frozen=True, slots=True)
class _SameStatus:
    answer: StatusAnswer | None

    def look_up(self, pid: bytes, status_list: int, index: int, at: datetime) -> StatusFact:
        answer = self.answer
        if answer is None:
            raise EvidenceUnavailableError("Then, nobody asked for the status.", code="NOT_PROVEN")
        if answer.error is not None:
            code, what = answer.error
            raise EvidenceUnavailableError(what, code=code)
        assert answer.status is not None
        assert answer.freshness is not None
        return StatusFact(answer.status, answer.freshness, answer.reason, answer.changed_at)


@dataclass(frozen=True, slots=True)
class _SameFiles:
    answer: FileAnswer

    def pid_of_file(self, sha256: bytes) -> bytes | None:
        return self.answer.pid

    def is_erased(self, pid: bytes) -> bool:
        return self.answer.erased
