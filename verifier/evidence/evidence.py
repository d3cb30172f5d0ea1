"""Evidence: everything that a verification needs besides the object, gathered before anything is judged.

Online it comes from the service, offline from a bundle (`verifier.evidence.bundle`). What is missing or out of date
is recorded as a finding, not raised: the checks that need it will say INDETERMINATE.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from keys.suites import Suite, check_signature
from ledger.proof import check_detached_receipt, parse_detached_receipt
from ledger.witness.policy import check_cosigned_checkpoint, parse_policy
from trust.encoding import cose
from trust.encoding.digests import sha256
from trust.encoding.entry import EntryKind
from trust.encoding.status_list import MAX_LIST_BYTES, MEDIA_TYPE, StatusList, decode_status_list
from trust.encoding.trust_list import TrustedMember, TrustList, encode_trust_list
from trust.model.answers import LedgerAnchor, StatusFact
from trust.model.errors import EvidenceUnavailableError, VerificationError
from trust.model.report import Finding, Freshness
from verifier.evidence.trust_list import check_clock_not_behind, ledger_keys
from verifier.ports import IssuedFiles, StatusSource

_PAYLOADS: dict[int, tuple[TrustList, bytes]] = {}
_MOST_PAYLOADS = 16


class MemberSource(Protocol):
    """Other deployments in the trust list (`verifier.evidence.members`)."""

    def of_seals(self, certs: Collection[str]) -> Member | None:
        """The member that lists a seal with one of these certificates (SHA-256, hex)."""

    def of_host(self, host: str) -> Member | None:
        """The member whose codes name this host."""


class _NoMembers:
    def of_seals(self, certs: Collection[str]) -> Member | None:
        return None

    def of_host(self, host: str) -> Member | None:
        return None


NO_MEMBERS: MemberSource = _NoMembers()


@dataclass(frozen=True, slots=True)
class Evidence:
    trust_list: TrustList | None
    crls: Sequence[bytes]
    status: StatusSource
    issued_files: IssuedFiles | None
    online: bool
    problems: Sequence[Finding] = ()
    members: MemberSource = NO_MEMBERS

    @classmethod
    def without_list(cls, problem: Finding) -> Evidence:
        """Evidence without a trust list; `problem` says why there is none."""
        return cls(None, (), ListedStatus({}), None, False, (problem,))

    @property
    def trust_list_payload(self) -> bytes:
        return _payload_of(self.trust_list) if self.trust_list is not None else b""


@dataclass(frozen=True, slots=True)
class Member:
    """Another deployment: its entry in our trust list, and its own evidence, narrowed to what the entry allows.

    `compact` is its signed trust list, empty if missing. `seal_certs`: SHA-256 (hex) of the certificates of all its
    seals, allowed or not.
    """

    entry: TrustedMember
    evidence: Evidence
    compact: bytes = b""
    seal_certs: frozenset[str] = frozenset()


def _payload_of(listed: TrustList) -> bytes:
    """The encoded trust list, cached for many verifications with the same list."""
    known = _PAYLOADS.get(id(listed))
    if known is None or known[0] is not listed:
        if len(_PAYLOADS) >= _MOST_PAYLOADS:
            _PAYLOADS.clear()
        known = _PAYLOADS[id(listed)] = (listed, encode_trust_list(listed))
    return known[1]


class ListedStatus:
    """A status source that reads signed status lists."""

    def __init__(self, lists: Mapping[int, tuple[StatusList, LedgerAnchor]]) -> None:
        self._lists = lists

    def look_up(self, pid: bytes, status_list: int, index: int, at: datetime) -> StatusFact:
        if status_list not in self._lists:
            raise EvidenceUnavailableError(
                f"Status list {status_list} is not at hand.",
                "Fetch a new offline bundle.",
                code="STATUS_STALE",
            )
        listed, anchor = self._lists[status_list]
        check_clock_not_behind(f"Status list {status_list}", listed.issued_at, at)
        if at > listed.expires_at:
            raise EvidenceUnavailableError(
                f"Status list {status_list} was good until {listed.expires_at.isoformat()}.",
                "Fetch a new offline bundle.",
                code="STATUS_STALE",
            )
        fresh = Freshness(listed.issued_at, listed.expires_at, online=False)
        return StatusFact(listed.status(index), fresh, anchor=anchor)


def check_status_list(encoded: bytes, number: int, trust_list: TrustList) -> StatusList:
    """The status list, if a key of the trust list signed it for this `number`.

    The key's entry gives the algorithm; the header must agree. Raises `VerificationError` or `Malformed`.
    """
    sign1 = cose.decode_sign1(encoded, max_bytes=MAX_LIST_BYTES)
    key = trust_list.key(sign1.kid, "status")
    if key is None or sign1.alg != cose.ALG_BY_SUITE[key.suite] or sign1.header.get(16) != MEDIA_TYPE:
        raise VerificationError("No key of the trust list signs this status list.", code="STATUS_LIST_BAD")
    check_signature(
        Suite(key.suite),
        key.spki,
        cose.to_be_signed(sign1.protected, b"", sign1.payload),
        cose.der_signature(key.suite, sign1.signature),
    )
    listed = decode_status_list(sign1.payload)
    if listed.address != trust_list.status_lists.get(number):
        raise VerificationError("The status list belongs to another address.", code="STATUS_LIST_BAD")
    if not key.not_before <= listed.issued_at <= key.not_after or not key.is_good_at(listed.issued_at):
        raise VerificationError("The status list's key was not in force.", code="STATUS_LIST_BAD")
    return listed


def check_anchor(encoded: bytes, listed: StatusList, proof: str, trust_list: TrustList) -> LedgerAnchor:
    """Checks by the receipt `proof` that the trusted ledger commits to exactly these bytes, and returns where.

    Raises `VerificationError` or `Malformed`.
    """
    proven = check_detached_receipt(proof, log_keys=ledger_keys(trust_list))
    entry = proven.entry
    if entry.kind is not EntryKind.STATUS_LIST or entry.commit != sha256(encoded):
        raise VerificationError("The receipt is not that of this status list.", code="STATUS_LIST_BAD")
    if listed.ledger_origin != entry.log or listed.ledger_size > entry.seq:
        raise VerificationError("The status list names another ledger or size.", code="STATUS_LIST_BAD")
    return LedgerAnchor(
        index=entry.seq,
        appended_at=datetime.fromtimestamp(entry.at_ms / 1000, UTC),
        as_of_size=listed.ledger_size,
        checkpoint_size=proven.checkpoint.size,
        witnesses=_witnesses(parse_detached_receipt(proof).receipt.checkpoint, trust_list),
    )


def _witnesses(note: str, trust_list: TrustList) -> tuple[str, ...]:
    """The names of the witnesses that cosigned. Raises `VerificationError` for a bad cosignature, and `Malformed`."""
    if not trust_list.witness_policy:
        return ()
    policy = parse_policy(trust_list.witness_policy.encode())
    vkeys = [key.vkey for key in ledger_keys(trust_list).keys]
    try:
        cosigned = check_cosigned_checkpoint(note, policy, log_vkeys=vkeys).cosigned_at
    except VerificationError as exc:
        if exc.code != "QUORUM_NOT_MET":
            raise
        return ()  # entries of the last seconds are not cosigned yet
    # One witness may have keys of several kinds.
    return tuple(dict.fromkeys(each.vkey.name for each in policy.witnesses if each.name in cosigned))
