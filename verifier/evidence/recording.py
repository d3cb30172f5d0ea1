"""Recording the evidence that a verification used, and replaying it later.

`Recorder` wraps the sources of an `Evidence` while one object is verified. From what it recorded, `replay` makes an
`Evidence` with which the same object gives the same report again, at any later time and on any machine.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime

from trust.encoding.digests import sha256
from trust.encoding.kept_evidence import FileAnswer, KeptAnchor, KeptEvidence, KeptMember, StatusAnswer
from trust.encoding.trust_list import TrustedMember, TrustList
from trust.model.answers import LedgerAnchor, StatusFact
from trust.model.errors import EvidenceUnavailableError, TrustError
from verifier.evidence.evidence import Evidence, Member, MemberSource
from verifier.evidence.members import narrow
from verifier.ports import IssuedFiles, StatusSource


class Recorder:
    """Records one verification: `evidence` is what the verifier gets, `kept` what it used."""

    def __init__(self, evidence: Evidence) -> None:
        self._given = evidence
        self._status = _RecordedStatus(evidence.status)
        self._files = _RecordedFiles(evidence.issued_files) if evidence.issued_files is not None else None
        self._members = _RecordedMembers(evidence.members)
        self.evidence = replace(
            evidence, status=self._status, issued_files=self._files, members=self._members
        )

    def kept(self) -> KeptEvidence:
        given = self._given
        if (chosen := self._members.chosen) is not None:
            member, recorder = chosen
            digest = sha256(member.compact) if member.compact else None
            kept_member = KeptMember(member.entry.member_id, digest)
            return replace(recorder.kept(), trust_list=_seq(given), member=kept_member)
        return KeptEvidence(
            trust_list=_seq(given),
            crls=tuple(sha256(crl) for crl in given.crls),
            status=self._status.answer,
            file=self._files.answer if self._files is not None else None,
            problems=tuple(given.problems),
        )

    def lists(self) -> list[bytes]:
        """The lists (encoded) that `kept` names by their digests."""
        if (chosen := self._members.chosen) is not None:
            member, recorder = chosen
            return [*recorder.lists(), *([member.compact] if member.compact else [])]
        return list(self._given.crls)


def _seq(evidence: Evidence) -> int | None:
    return evidence.trust_list.seq if evidence.trust_list is not None else None


def replay(
    kept: KeptEvidence,
    trust_list: TrustList | None,
    crls: Sequence[bytes],
    members_list: TrustList | None = None,
) -> Evidence:
    """The recorded evidence. `trust_list`, `crls` and the member's own list are those that `kept` names."""
    entry = _entry(kept, trust_list)
    own_list = trust_list if kept.member is None else _narrowed(members_list, entry, trust_list)
    evidence = Evidence(
        trust_list=own_list,
        crls=tuple(crls),
        status=_SameStatus(kept.status),
        issued_files=_SameFiles(kept.file) if kept.file is not None else None,
        online=kept.file is not None,
        problems=kept.problems,
    )
    if entry is None:
        return evidence
    member = _SameMember(Member(entry, evidence))
    return Evidence(trust_list, (), _SameStatus(None), None, online=False, members=member)


def _entry(kept: KeptEvidence, trust_list: TrustList | None) -> TrustedMember | None:
    if kept.member is None:
        return None
    listed = trust_list.members if trust_list is not None else ()
    found = next((each for each in listed if each.member_id == kept.member.member_id), None)
    if found is None:
        raise EvidenceUnavailableError("The trust list of then names no such member.", code="NOT_REPEATABLE")
    return found


def _narrowed(
    listed: TrustList | None, entry: TrustedMember | None, own: TrustList | None
) -> TrustList | None:
    return (
        narrow(listed, entry, own) if listed is not None and entry is not None and own is not None else None
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
        anchor = KeptAnchor(*astuple(fact.anchor)) if fact.anchor is not None else None
        self.answer = StatusAnswer(fact.status, fact.freshness, fact.reason, fact.changed_at, anchor=anchor)
        return fact


class _RecordedMembers:
    def __init__(self, source: MemberSource) -> None:
        self._source = source
        self.chosen: tuple[Member, Recorder] | None = None

    def of_seals(self, certs: Collection[str]) -> Member | None:
        return self._recorded(self._source.of_seals(certs))

    def of_host(self, host: str) -> Member | None:
        return self._recorded(self._source.of_host(host))

    def _recorded(self, member: Member | None) -> Member | None:
        if member is None:
            return None
        recorder = Recorder(member.evidence)
        self.chosen = (member, recorder)
        return replace(member, evidence=recorder.evidence)


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
        anchor = LedgerAnchor(*astuple(answer.anchor)) if answer.anchor is not None else None
        return StatusFact(answer.status, answer.freshness, answer.reason, answer.changed_at, anchor)


@dataclass(frozen=True, slots=True)
class _SameFiles:
    answer: FileAnswer

    def pid_of_file(self, sha256: bytes) -> bytes | None:
        return self.answer.pid

    def is_erased(self, pid: bytes) -> bool:
        return self.answer.erased


@dataclass(frozen=True, slots=True)
class _SameMember:
    """A `MemberSource` that always answers with the recorded member."""

    member: Member

    def of_seals(self, certs: Collection[str]) -> Member | None:
        return self.member

    def of_host(self, host: str) -> Member | None:
        return self.member if host in self.member.entry.hosts else None
