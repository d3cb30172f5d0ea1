"""Examining a licence with one or more seals, each covering everything before it, and nothing after the last.

    structure → seals → library → revocation → chain → time → seal data → picture → data → receipt

Each seal is examined in the file as it was when that seal was set. `verifier.checks.further` shows that later seals
change nothing else, and pyHanko must confirm that the seal covers that whole file.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pyhanko.pdf_utils.reader import PdfFileReader

from keys.pki.chain import ChainTrust
from keys.pki.read import read_x509_cert
from trust.encoding.commitment import DocumentDigests, document_commit, ecertificate_ref
from trust.encoding.digests import sha256
from trust.encoding.ecertificate_data import ECertificateData, decode_ecertificate_data
from trust.encoding.entry import EntryKind
from trust.encoding.receipt import decode_receipt
from trust.encoding.ses import SealData, SesVersion
from trust.encoding.trust_list import TrustedSeal, TrustList, TrustState
from trust.model.errors import EvidenceUnavailableError, VerificationError
from trust.model.report import Finding, Result
from trust.model.seal import SealRole
from trust.pdf.data_file import read_data_file
from trust.pdf.gap import SignedGap
from verifier.checks.answers import PICTURE, Compare
from verifier.checks.frame import CheckedSeal, check_seal
from verifier.checks.further import SealInPdf, seals_in_pdf
from verifier.checks.pdf import (
    SecondOpinion,
    allows_later_seals,
    appearance_of,
    check_not_shown,
    second_opinion,
)
from verifier.checks.seal_data import SealDataTrust, check_listed, judge_seal
from verifier.checks.seal_picture import seal_on_page
from verifier.checks.steps import Examination, Steps, check_not_ahead, is_ahead
from verifier.evidence.receipts import check_trusted_receipt
from verifier.evidence.revocation import RevocationLists

_LEDGER_TOLERANCE = timedelta(minutes=10)
"""How far the ledger's clock may be behind the time-stamp's; both belong to the same service."""


@dataclass(frozen=True, slots=True)
class Given:
    """A licence (its bytes, `reader` over them, the gap of each seal) and what to judge it by.

    `compare` checks the picture of each seal that shows one.
    """

    data: bytes
    reader: PdfFileReader
    gaps: Sequence[SignedGap]
    trust_list: TrustList
    lists: RevocationLists
    verified_at: datetime
    compare: Compare


def examine_licence(found: Examination, steps: Steps, given: Given) -> None:
    """Adds its findings to `found`; sets `found.data` to the attached file once all seals have passed."""
    trust_list, lists = given.trust_list, given.lists
    in_pdf = steps.take("file.structure", lambda: seals_in_pdf(given.data, given.reader, given.gaps))
    if in_pdf is None:
        return
    roles = [each.role for each in in_pdf]
    seals = steps.take("seal.signature", lambda: _check_seals(given.gaps, roles, trust_list))
    if seals is None:
        return
    _note_seals(found, seals, roles, given.verified_at)
    makers = [cert for maker in trust_list.makers for cert in (*maker.certs[1:], maker.root)]
    crls = lists.newest([*_issuers(seals), *makers])
    opinions = steps.take("seal.library", lambda: _second_opinions(given.reader, in_pdf, seals, crls))
    if opinions is None:
        return
    for opinion in opinions:
        if not opinion.intact or not opinion.whole_file:
            found.findings[-1] = Finding("seal.library", Result.FAILED, "HASH_FAILURE", opinion.summary)
            return
    if steps.take("seal.crl", lambda: _check_crls(seals, lists, given.verified_at)) is None:
        return
    if not _note_chains(found, opinions):
        return
    if steps.take("seal.time-ahead", lambda: _check_not_ahead(seals, given.verified_at)) is None:
        return
    seal_data = steps.take("seal.data", lambda: [_check_seal_data(seal, trust_list, crls) for seal in seals])
    if seal_data is None:
        return
    if steps.take(PICTURE, lambda: _check_pictures(in_pdf, seal_data, given.compare)) is None:
        return
    embedded = steps.take("data.file", lambda: _attached_data(given.reader))
    if embedded is None:
        return
    encoded, ecertificate = embedded
    if (
        steps.take(
            "ledger.receipt",
            lambda: _check_receipt(seals, ecertificate, trust_list, found, given.verified_at),
        )
        is None
    ):
        return
    if found.facts["ledger"]["is_ahead"]:
        # Entry times never decrease, so one entry appended under a wrong clock pushes later ones ahead. The time-stamp
        # counts then.
        when = str(found.facts["ledger"]["appended_at"])
        found.findings.append(Finding("ledger.time", Result.NOT_CHECKED, "LEDGER_TIME_AHEAD", when))
    found.data = encoded


def _check_seals(
    gaps: Sequence[SignedGap], roles: Sequence[SealRole], trust_list: TrustList
) -> list[CheckedSeal]:
    """Checks each seal, and that they belong together: one authority, the national algorithm first, a receipt
    in the last one only, and each set after the one before it."""
    seals = [check_seal(gap, trust_list) for gap in gaps]
    for before, seal in itertools.pairwise(seals):
        if seal.seal.authority_id != seals[0].seal.authority_id:
            raise VerificationError("The seals are of different authorities.", code="SIG_CONSTRAINTS_FAILURE")
        if before.receipt is not None or seal.stamped_at < before.stamped_at:
            raise VerificationError("The seals are not in their order.", code="SIG_CONSTRAINTS_FAILURE")
    for seal, role in zip(seals, roles, strict=True):
        is_national = seal.seal.suite == "SM2-SM3"
        if (role is SealRole.ABROAD and is_national) or (
            role is SealRole.LEGAL and len(seals) > 1 and not is_national
        ):
            raise VerificationError(
                "A seal is not in the algorithm for its place.", code="SIG_CONSTRAINTS_FAILURE"
            )
    return seals


def _check_when_recorded(seals: Sequence[CheckedSeal], appended_at: datetime) -> None:
    """Accepts a time-stamp of a compromised authority only if the ledger recorded the document before the compromise,
    because the holder of that key can back-date time-stamps. Raises `VerificationError` (TIME_STAMP_BAD)."""
    for each in seals:
        if each.tsa.state is TrustState.COMPROMISED and not each.tsa.is_good_at(appended_at):
            raise VerificationError(
                "The key of the time-stamp's authority was known to others before the ledger recorded the file.",
                code="TIME_STAMP_BAD",
            )


def _digests(seals: Sequence[CheckedSeal]) -> DocumentDigests:
    """The digests that the ledger entry commits to: of all that the last seal signs, and of all signature values."""
    last = seals[-1].digests
    return DocumentDigests(last.sha256, last.sm3, sha256(b"".join(seal.signature for seal in seals)))


def _second_opinions(
    reader: PdfFileReader, in_pdf: Sequence[SealInPdf], seals: Sequence[CheckedSeal], crls: Sequence[bytes]
) -> list[SecondOpinion]:
    if len(in_pdf) > 1 and not allows_later_seals(reader):
        raise VerificationError("A later seal changes more than an earlier one allows.", code="HASH_FAILURE")
    return [
        second_opinion(each.signature, pinned=seal.seal, tsa=seal.tsa, crls=crls, stamped_at=seal.stamped_at)
        for each, seal in zip(in_pdf, seals, strict=True)
    ]


def _note_chains(found: Examination, opinions: Sequence[SecondOpinion]) -> bool:
    for opinion in opinions:
        if opinion.revoked:
            found.findings.append(Finding("seal.chain", Result.FAILED, "SEAL_CERT_REVOKED", opinion.summary))
            return False
    for check, code in (("seal.chain", "NO_CERTIFICATE_CHAIN_FOUND"), ("seal.time", "UNKNOWN_TIME_STAMP")):
        for opinion in opinions:
            if not (opinion.trusted if check == "seal.chain" else opinion.time_stamp_trusted):
                found.findings.append(Finding(check, Result.INDETERMINATE, code, opinion.summary))
                return False
        found.findings.append(Finding(check, Result.PASSED))
    return True


def _check_not_ahead(seals: Sequence[CheckedSeal], at: datetime) -> bool:
    for seal in seals:
        check_not_ahead(seal.stamped_at, at)
    return True


def _note_seals(
    found: Examination, seals: Sequence[CheckedSeal], roles: Sequence[SealRole], at: datetime
) -> None:
    """Judges the seals by what held at sealing, and adds what holds now as facts. Only the first seal counts in law."""
    found.facts["seal"], *further = (
        _facts_of(seal, role, at) for seal, role in zip(seals, roles, strict=True)
    )
    if further:
        found.facts["further_seals"] = further


def _facts_of(checked: CheckedSeal, role: SealRole, at: datetime) -> dict[str, Any]:
    facts = read_x509_cert(checked.seal.certs[0])
    return {
        "role": role.value,
        "id": checked.seal.seal_id,
        "name": checked.seal.name,
        "authority": checked.seal.authority_id,
        "suite": checked.seal.suite,
        "x509_sha256": facts.sha256.hex(),
        "signer": facts.common_name,
        "format": "PAdES-B-T",
        "stamped_at": checked.stamped_at.isoformat(),
        "time_source": "TSA",
        "now": _seal_now(checked.seal, facts.not_after, at),
    }


def _seal_now(seal: TrustedSeal, cert_ends: datetime, at: datetime) -> str:
    if not seal.is_good_at(at):
        return "withdrawn"
    if at > min(seal.not_after, cert_ends):
        return "expired"
    return "in-force" if seal.is_in_force(at) else "frozen"


def _check_seal_data(checked: CheckedSeal, trust_list: TrustList, crls: Sequence[bytes]) -> SealData:
    """Checks that the seal data in the signature are those of this seal, made by a trusted maker and in their term.

    Raises the error of the first check that did not pass, in the standard's order.
    """
    pinned = checked.seal
    # The maker's root may differ from the seal's: an outside CA certifies the key, and we make the seal.
    makers = trust_list.makers
    others = [cert for maker in makers for cert in maker.certs[1:]]
    trust = SealDataTrust(
        makers=ChainTrust([maker.root for maker in makers], others, crls),
        signers=ChainTrust((pinned.root,), pinned.certs[1:], crls),
        time_stamps=ChainTrust((checked.tsa.root,), checked.tsa.certs[1:], crls),
    )
    judged = judge_seal(checked.seal_data, trust, at=checked.stamped_at)
    for finding in judged.findings:
        if finding.result is not Result.PASSED:
            kind = VerificationError if finding.result is Result.FAILED else EvidenceUnavailableError
            raise kind(f"{finding.check}: {finding.detail}", code=finding.code)
    seal = judged.seal
    if seal is None:
        raise VerificationError("The seal data cannot be read.", code="SES_MALFORMED")
    maker = next((each for each in makers if each.certs[0] == seal.maker_cert), None)
    if maker is None:
        raise EvidenceUnavailableError(
            "The maker of the seal is not in the trust list.",
            "Ask the issuing department which trust list it is in.",
            code="UNKNOWN_ISSUER",
        )
    if not maker.is_good_at(seal.info.created_at):
        raise VerificationError("The maker was withdrawn before it made the seal.", code="SES_MAKER")
    check_listed(pinned.certs[0], seal)
    if seal.oddities or seal.version is not SesVersion.V4:
        raise VerificationError(
            "The seal data is not in the form that seals of ours have.", code="SES_MALFORMED"
        )
    if (seal.info.seal_id, seal.info.name) != (pinned.seal_id, pinned.name):
        raise VerificationError("The seal data is that of another seal.", code="SES_OTHER_SEAL")
    return seal


def _check_pictures(in_pdf: Sequence[SealInPdf], seal_data: Sequence[SealData], compare: Compare) -> bool:
    """Checks that the page shows, in the seal's place, the picture in its seal data in its size; a seal for readers
    abroad must show nothing."""
    for seal, data in zip(in_pdf, seal_data, strict=True):
        if seal.role is SealRole.ABROAD:
            check_not_shown(seal.signature)
            continue
        picture = data.info.picture
        shown = appearance_of(seal.signature)
        compare(seal_on_page(shown, picture.data, picture.width_mm, picture.height_mm))
    return True


def _issuers(seals: Sequence[CheckedSeal]) -> list[bytes]:
    above = ((each.certs[1:], each.root) for seal in seals for each in (seal.seal, seal.tsa))
    return [cert for certs, root in above for cert in (*certs, root)]


def _check_crls(seals: Sequence[CheckedSeal], lists: RevocationLists, at: datetime) -> bool:
    """Checks that the revocation lists cover the time when the seals and their time-stamps were used.

    The library judges revocation itself, but does not check whether a list is out of date at `at`.
    """
    for checked in seals:
        for each in (checked.seal, checked.tsa):
            lists.proven_until(each.certs, each.root, checked.stamped_at, at)
            lists.check_not_listed(each.certs, each.root, checked.stamped_at)
    return True


def _attached_data(reader: PdfFileReader) -> tuple[bytes, ECertificateData]:
    encoded = read_data_file(reader)
    return encoded, decode_ecertificate_data(encoded)


def _check_receipt(
    seals: Sequence[CheckedSeal],
    ecertificate: ECertificateData,
    trust_list: TrustList,
    found: Examination,
    verified_at: datetime,
) -> bool:
    """Checks that the receipt proves exactly this document, this e-certificate and these seals. The last seal carries
    it; the entry names the authority and the suite of the first."""
    checked, last = seals[0], seals[-1]
    if last.receipt is None:
        raise EvidenceUnavailableError(
            "The file carries no ledger receipt: it was sealed but its issue was not completed.",
            "Ask the issuing department for the issued file.",
            code="NOT_IN_LEDGER",
        )
    receipt = decode_receipt(last.receipt)
    proven = check_trusted_receipt(receipt.entry, receipt.proof, trust_list)
    entry, openings = proven.entry, receipt.openings
    if entry.log != proven.checkpoint.origin or entry.kind is not EntryKind.ISSUED:
        raise VerificationError(
            "The receipt is not for an issue in the trusted ledger.", code="LEDGER_MISMATCH"
        )
    if openings.content != ecertificate.content:
        raise VerificationError("The receipt commits to other data.", code="LEDGER_MISMATCH")
    if document_commit(openings.content, _digests(seals), openings.salts) != entry.commit:
        raise VerificationError("The receipt commits to another file.", code="LEDGER_MISMATCH")
    if ecertificate_ref(ecertificate.pid, openings.ref_salt) != entry.ref:
        raise VerificationError("The receipt belongs to another e-certificate.", code="LEDGER_MISMATCH")
    if (
        entry.actor != checked.seal.authority_id
        or ecertificate.issuer != entry.actor
        or entry.suite != checked.seal.suite
    ):
        raise VerificationError("The receipt names another authority or suite.", code="LEDGER_MISMATCH")
    appended_at = datetime.fromtimestamp(entry.at_ms / 1000, last.stamped_at.tzinfo)
    if appended_at < last.stamped_at - _LEDGER_TOLERANCE:
        raise VerificationError("The ledger entry is older than the seal.", code="LEDGER_MISMATCH")
    _check_when_recorded(seals, appended_at)
    found.facts["ledger"] = {
        "origin": entry.log,
        "index": entry.seq,
        "count": entry.count,
        "appended_at": appended_at.isoformat(),
        "is_ahead": is_ahead(appended_at, verified_at),
        "tree_size": proven.checkpoint.size,
        "root": base64.b64encode(proven.checkpoint.root).decode(),
    }
    return True
