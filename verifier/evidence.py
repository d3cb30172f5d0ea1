"""Evidence: everything a verification needs besides the object itself, gathered before anything is judged.

Online it comes from the service, offline from a bundle: one folder with the trust list, status lists, CRLs
and the checkpoint, each signed and each with its own next update. What is missing or out of date is recorded
as a finding, not raised: the checks that need it will say INDETERMINATE.

    trust-list.jws      trust list, signed by a root
    roots.json          the roots' public keys, for comparing their fingerprints with the published ones
    status/<n>.cwt      status lists
    status/<n>.tlog-proof  for each the receipt of the ledger entry that anchors it
    crls/<sha256>.crl   revocation lists of every CA in the trust list
    checkpoint          the ledger's newest signed checkpoint
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from keys.suites import Suite, check_signature
from ledger.proof import check_detached_receipt
from ledger.text import decode_utf8
from trust.encoding import cose
from trust.encoding.digests import sha256
from trust.encoding.entry import EntryKind
from trust.encoding.status_list import MAX_LIST_BYTES, MEDIA_TYPE, StatusList, decode_status_list
from trust.encoding.trust_list import TrustList, encode_trust_list
from trust.model.errors import EvidenceUnavailableError, Malformed, TrustError, VerificationError
from trust.model.report import Finding, Freshness, Result
from trust.model.status import Status
from verifier.trust_list import check_trust_list, check_trust_list_age, ledger_keys

_CLOCK_SKEW = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class StatusFact:
    """The status of one e-certificate as far as its source knows it. Reason and time only online."""

    status: Status
    freshness: Freshness
    reason: str | None = None
    changed_at: datetime | None = None
    anchor: LedgerAnchor | None = None


@dataclass(frozen=True, slots=True)
class LedgerAnchor:
    """Which ledger entry commits to a status list, and the checkpoint that proves it.

    `as_of_size`: the list says what all entries below this number say.
    """

    index: int
    appended_at: datetime
    as_of_size: int
    checkpoint_size: int


class StatusSource(Protocol):
    """Where a status comes from: the register online, a signed list offline."""

    def look_up(self, pid: bytes, status_list: int, index: int, at: datetime) -> StatusFact:
        """Raises `EvidenceUnavailableError` where the source cannot say, or no longer."""


class IssuedFiles(Protocol):
    """The register's digests of the files it gave out. Only online."""

    def pid_of_file(self, sha256: bytes) -> bytes | None: ...

    def is_erased(self, pid: bytes) -> bool:
        """Has what was known about this e-certificate been erased, its digest with it?"""


@dataclass(frozen=True, slots=True)
class Evidence:
    trust_list: TrustList | None
    crls: Sequence[bytes]
    status: StatusSource
    issued_files: IssuedFiles | None
    online: bool
    problems: Sequence[Finding] = ()

    @property
    def trust_list_payload(self) -> bytes:
        return encode_trust_list(self.trust_list) if self.trust_list is not None else b""


class ListedStatus:
    """Status from signed lists."""

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
        if at > listed.expires_at or at < listed.issued_at - _CLOCK_SKEW:
            raise EvidenceUnavailableError(
                f"Status list {status_list} was good until {listed.expires_at.isoformat()}.",
                "Fetch a new offline bundle and check the date of this machine.",
                code="STATUS_STALE",
            )
        fresh = Freshness(listed.issued_at, listed.expires_at, online=False)
        return StatusFact(listed.status(index), fresh, anchor=anchor)


def check_status_list(encoded: bytes, number: int, trust_list: TrustList) -> StatusList:
    """A status list that the trust list's key signed for that number.

    Raises `VerificationError` or `Malformed`. The key's entry says the algorithm; the header must agree.
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
    """What the receipt shows of a status list: that the trusted ledger commits to these very bytes.

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
    )


def evidence_from_bundle(
    folder: Path, at: datetime, *, roots: Sequence[bytes] = (), least_seq: int = 0
) -> Evidence:
    """What an offline bundle proves at `at`.

    `roots` are the pinned public keys (DER). Without any, those in the bundle are taken, which is as good as
    the hand that gave the folder: the caller shows their fingerprints. A trust list whose number is below
    `least_seq` is not believed. Raises `EvidenceUnavailableError` if the folder is no bundle.
    """
    try:
        compact = (folder / "trust-list.jws").read_bytes()
        pinned = tuple(roots) or read_roots(folder)
    except OSError as exc:
        raise EvidenceUnavailableError(
            f"{folder} is not an offline bundle.", "Make one with `yinzheng bundle DIR`.", code="NO_BUNDLE"
        ) from exc
    problems: list[Finding] = []
    try:
        trust_list = check_trust_list(compact, pinned, least_seq=least_seq)
        check_trust_list_age(trust_list, at)
    except TrustError as exc:
        result = Result.INDETERMINATE
        return Evidence(
            None, (), ListedStatus({}), None, False, (Finding("trust-list", result, exc.code, exc.what),)
        )
    lists: dict[int, tuple[StatusList, LedgerAnchor]] = {}
    for number in trust_list.status_lists:
        try:
            encoded = (folder / "status" / f"{number}.cwt").read_bytes()
            proof = (folder / "status" / f"{number}.tlog-proof").read_bytes()
            listed = check_status_list(encoded, number, trust_list)
            lists[number] = (listed, check_anchor(encoded, listed, decode_utf8(proof), trust_list))
        except OSError:
            continue  # whoever needs the list will find that it is not at hand
        except (VerificationError, Malformed) as exc:
            problems.append(
                Finding(f"status-list.{number}", Result.INDETERMINATE, "STATUS_LIST_BAD", exc.what)
            )
    crls = tuple(path.read_bytes() for path in sorted((folder / "crls").glob("*.crl")))
    return Evidence(trust_list, crls, ListedStatus(lists), None, False, tuple(problems))


def read_roots(folder: Path) -> tuple[bytes, ...]:
    """The root keys that lie in a bundle. Raises OSError, or `Malformed`."""
    return decode_roots((folder / "roots.json").read_bytes())


def decode_roots(encoded: bytes) -> tuple[bytes, ...]:
    """The root keys (DER) in the bytes of roots.json. Raises `Malformed`."""
    try:
        listed = json.loads(encoded)
        return tuple(base64.b64decode(root["spki"], validate=True) for root in listed["roots"])
    except (ValueError, KeyError, TypeError) as exc:
        raise Malformed("roots.json of the bundle cannot be read.", "Fetch the bundle again.") from exc
