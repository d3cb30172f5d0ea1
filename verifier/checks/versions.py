"""Checking that each later version of a licence is exactly the one before plus one update of ours.

A licence allows no change after its seal, but an update that only adds evidence changes nothing that is shown. To
prove that it only adds evidence, the update is rebuilt from the certificates and revocation lists in it
(`trust.pdf.update`), and every byte is compared. Only the time-stamp over it remains, which is checked like the one
in the seal. The licence itself is then the file as it was before the first update.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from asn1crypto import cms

from keys.pki.chain import ChainTrust, Usage, check_chain
from keys.suites import Suite
from trust.encoding.commitment import DocumentDigests
from trust.encoding.digests import digest, sha256
from trust.encoding.trust_list import TrustedTsa, TrustList
from trust.model.errors import EvidenceUnavailableError, Malformed, VerificationError
from trust.pdf.gap import GapRefused, SignedGap, check_gaps
from trust.pdf.reading import open_pdf
from trust.pdf.update import CONTENTS_HEX_DIGITS, Version, encode_update, read_version
from verifier.checks.frame import check_token
from verifier.checks.steps import check_not_ahead
from verifier.evidence.revocation import RevocationLists


@dataclass(frozen=True, slots=True)
class LaterVersion:
    """One update and its time-stamp. `crls` (DER) are all revocation lists in the file up to this update."""

    end: int
    stamped_at: datetime
    tsa: TrustedTsa
    crls: tuple[bytes, ...]
    digests: DocumentDigests


def split_versions(data: bytes) -> tuple[bytes, list[SignedGap]]:
    """The licence at the beginning of a file, and the gaps of the later versions. Raises `GapRefused`.

    Seals and time-stamps are told apart by the size of their gaps only; `check_versions` checks what they really are.
    """
    gaps = check_gaps(data)
    later = [gap for gap in gaps if gap.byte_range[2] - gap.byte_range[1] == CONTENTS_HEX_DIGITS + 2]
    if gaps[len(gaps) - len(later) :] != later or len(later) == len(gaps):
        raise GapRefused("rule 2: a time-stamp stands before a seal")
    return data[: sum(gaps[len(gaps) - len(later) - 1].byte_range[2:])], later


def check_versions(
    data: bytes, licence: bytes, gaps: Sequence[SignedGap], trust_list: TrustList
) -> list[LaterVersion]:
    """The checked later versions of `licence`, with which `data` begins; their time-stamps are in `gaps`.

    Raises `VerificationError` (FORMAT_FAILURE, HASH_FAILURE, TIME_STAMP_BAD, …) and `EvidenceUnavailableError`
    (UNKNOWN_TIME_STAMP).
    """
    later: list[LaterVersion] = []
    before = _read(licence)
    if before.updates or before.dss is not None:
        raise VerificationError(
            "The licence has other fields than its seals.", code="SIG_CONSTRAINTS_FAILURE"
        )
    for gap in gaps:
        after = _read(data[: sum(gap.byte_range[2:])])
        _check_update(before, after, gap)
        tsa, stamped_at = _check_stamp(gap, trust_list)
        if later and stamped_at < later[-1].stamped_at:
            raise VerificationError("A time-stamp is older than the one before it.", code="TIME_STAMP_BAD")
        crls = after.evidence.crls
        later.append(LaterVersion(len(after.data), stamped_at, tsa, crls, version_digests(gap)))
        before = after
    return later


def check_time_stamps(
    later: Sequence[LaterVersion], fresh: Sequence[bytes], at: datetime
) -> tuple[list[bytes], datetime | None]:
    """The archived revocation lists (DER) that proven time-stamps cover, and until when that proof is good.

    Works from the last time-stamp to the first: the last is checked with fresh lists, each earlier one with those or
    with lists that a later one covers. Raises `VerificationError` and `EvidenceUnavailableError`.
    """
    believed: list[bytes] = []
    ends: list[datetime] = []
    for version in reversed(later):
        check_not_ahead(version.stamped_at, at)
        lists = RevocationLists(fresh, believed)
        certs, root, moment = version.tsa.certs, version.tsa.root, version.stamped_at
        until = lists.proven_until(certs, root, moment, at)
        lists.check_not_listed(certs, root, moment)
        trust = ChainTrust((root,), certs[1:], lists.newest((*certs[1:], root)))
        check_chain(certs[0], trust, at=moment, usage=Usage.TIME_STAMPING)
        ends += [until] if until is not None else []
        believed += version.crls
    return believed, min(ends, default=None)


def version_digests(gap: SignedGap) -> DocumentDigests:
    """The digests that the ledger entry of this version commits to."""
    return DocumentDigests(
        sha256=digest("sha256", *gap.signed), sm3=digest("sm3", *gap.signed), signature=sha256(gap.cms)
    )


def _read(data: bytes) -> Version:
    try:
        return read_version(data, open_pdf(data))
    except Malformed as exc:
        raise VerificationError(exc.what, code="FORMAT_FAILURE") from exc


def _check_update(before: Version, after: Version, gap: SignedGap) -> None:
    head, tail = encode_update(before, after.evidence_since(before))
    _, start, end, _ = gap.byte_range
    if (
        after.data[len(before.data) : start] != head
        or after.data[end:] != tail
        or end - start != CONTENTS_HEX_DIGITS + 2
    ):
        raise VerificationError("Something was added after the seal.", code="HASH_FAILURE")


def _check_stamp(gap: SignedGap, trust_list: TrustList) -> tuple[TrustedTsa, datetime]:
    try:
        certs = cms.ContentInfo.load(gap.cms, strict=True)["content"]["certificates"]
        shown = {choice.chosen.dump() for choice in certs}
    except Exception as exc:  # asn1crypto raises many kinds on hostile input
        raise VerificationError("A time-stamp cannot be read.", code="FORMAT_FAILURE") from exc
    tsa = next((each for each in trust_list.tsas if each.certs[0] in shown), None)
    if tsa is None:
        raise EvidenceUnavailableError(
            "A time-stamp's authority is not in the trust list.", code="UNKNOWN_TIME_STAMP"
        )
    algorithm = Suite(tsa.suite).digest
    return check_token(gap.cms, digest(algorithm, *gap.signed), algorithm, trust_list)
