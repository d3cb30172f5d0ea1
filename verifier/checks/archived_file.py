"""Checking the versions of a file that is handed over to an archive, each against its own ledger receipt.

The job runs inside the sandbox. The seal is checked by `verifier.checks.examine`; whether the file can be read is
checked by `verifier.checks.readability`, in separate workers that draw pages and do nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from keys import asn1
from ledger.proof import DetachedReceipt, format_detached_receipt, parse_receipt
from trust.encoding.commitment import document_commit, ecertificate_ref
from trust.encoding.digests import sha256
from trust.encoding.ecertificate_data import ECertificateData, decode_ecertificate_data
from trust.encoding.entry import EntryKind
from trust.encoding.receipt import decode_receipt
from trust.encoding.trust_list import TrustList, decode_trust_list
from trust.model.errors import EvidenceUnavailableError, TrustError, VerificationError
from trust.model.report import Finding, Result
from trust.pdf.data_file import read_data_file
from trust.pdf.gap import check_gaps
from trust.pdf.reading import open_pdf
from verifier.checks.steps import decode_findings, encode_findings
from verifier.checks.versions import LaterVersion, check_versions, split_versions
from verifier.evidence.receipts import check_trusted_receipt

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ArchivedVersions:
    """The findings, and the SHA-256 (hex) of each version of the file, starting with the issued one."""

    findings: Sequence[Finding]
    sha256: Sequence[str]


def archived_versions_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    """The sandbox job. `blobs`: the file, the trust list's payload, then for each version its receipt (DER) and the
    receipt's text, both empty where missing."""
    receipts = list(zip(blobs[2::2], blobs[3::2], strict=True))
    found = examine_versions(blobs[0], decode_trust_list(blobs[1]), receipts)
    return {"findings": encode_findings(found.findings), "sha256": list(found.sha256)}


def decode_versions(answer: dict[str, Any]) -> ArchivedVersions:
    return ArchivedVersions(decode_findings(answer["findings"]), answer["sha256"])


def examine_versions(
    data: bytes, trust_list: TrustList, receipts: Sequence[tuple[bytes, bytes]]
) -> ArchivedVersions:
    """Checks each version of the file against the receipt of its own ledger entry."""
    asn1.register()
    findings: list[Finding] = []
    versions = take(findings, "archive.versions", lambda: _versions(data, trust_list))
    if versions is None:
        return ArchivedVersions(findings, ())
    licence, later = versions
    sealed = take(findings, "data.file", lambda: _sealed_data(licence))
    if sealed is not None:
        ends = (len(licence), *(each.end for each in later))
        for number in range(len(ends)):
            receipt = receipts[number] if number < len(receipts) else (b"", b"")
            version = later[number - 1] if number else None
            step = partial(_check_version, licence, version, receipt, sealed, trust_list)
            take(findings, f"archive.receipt.{number}", step)
    digests = [sha256(data[:end]).hex() for end in (len(licence), *(each.end for each in later))]
    # The verifier also reports that the file can be split and its data read, so these are reported on failure only.
    told = [each for each in findings if each.check.startswith("archive.receipt") or not _passed(each)]
    return ArchivedVersions(told, digests)


def _versions(data: bytes, trust_list: TrustList) -> tuple[bytes, list[LaterVersion]]:
    licence, gaps = split_versions(data)
    return licence, check_versions(data, licence, gaps, trust_list)


def _passed(finding: Finding) -> bool:
    return finding.result is Result.PASSED


def _check_version(
    licence: bytes,
    version: LaterVersion | None,
    receipt: tuple[bytes, bytes],
    sealed: ECertificateData,
    trust_list: TrustList,
) -> bool:
    if version is None:
        return _check_first(licence, receipt)
    return _check_receipt(version, receipt, sealed, trust_list)


def _sealed_data(licence: bytes) -> ECertificateData:
    return decode_ecertificate_data(read_data_file(open_pdf(licence)))


def _check_first(licence: bytes, receipt: tuple[bytes, bytes]) -> bool:
    """Checks that the package's receipt of the issued file equals the embedded one, which `examine` checks."""
    _check_text(receipt)
    if asn1.embedded_receipt(check_gaps(licence)[-1].cms) != receipt[0]:
        raise VerificationError("The receipt is not the one in the file.", code="LEDGER_MISMATCH")
    return True


def _check_receipt(
    version: LaterVersion, receipt: tuple[bytes, bytes], sealed: ECertificateData, trust_list: TrustList
) -> bool:
    """Checks that the receipt proves exactly this version of this e-certificate."""
    _check_text(receipt)
    decoded = decode_receipt(receipt[0])
    proven = check_trusted_receipt(decoded.entry, decoded.proof, trust_list)
    entry, openings = proven.entry, decoded.openings
    if entry.log != proven.checkpoint.origin or entry.kind is not EntryKind.LATER_VERSION:
        raise VerificationError("The receipt is not that of a later version.", code="LEDGER_MISMATCH")
    if openings.content != sealed.content or entry.actor != sealed.issuer:
        raise VerificationError("The receipt commits to other data.", code="LEDGER_MISMATCH")
    if ecertificate_ref(sealed.pid, openings.ref_salt) != entry.ref:
        raise VerificationError("The receipt belongs to another e-certificate.", code="LEDGER_MISMATCH")
    if document_commit(openings.content, version.digests, openings.salts) != entry.commit:
        raise VerificationError("The receipt commits to another file.", code="LEDGER_MISMATCH")
    return True


def _check_text(receipt: tuple[bytes, bytes]) -> None:
    """Checks that the detached text agrees with the stored receipt."""
    der, text = receipt
    if not der or not text:
        raise EvidenceUnavailableError("The receipt is missing.", code="NOT_IN_LEDGER")
    decoded = decode_receipt(der)
    detached = DetachedReceipt(entry_bytes=decoded.entry, receipt=parse_receipt(decoded.proof))
    if format_detached_receipt(detached).encode() != text:
        raise VerificationError("Both forms of the receipt differ.", code="LEDGER_MISMATCH")


def take(findings: list[Finding], check: str, step: Callable[[], T]) -> T | None:
    """Returns what the step returns and notes it as passed; if it raises, notes why and returns None."""
    try:
        value = step()
    except TrustError as exc:
        undecided = isinstance(exc, EvidenceUnavailableError)
        result = Result.INDETERMINATE if undecided else Result.FAILED
        findings.append(Finding(check, result, exc.code, exc.what))
        return None
    except Exception as exc:  # a parser under attack may raise anything; it never means "passed"
        detail = f"cannot be read: {type(exc).__name__}"
        findings.append(Finding(check, Result.FAILED, "FORMAT_FAILURE", detail))
        return None
    findings.append(Finding(check, Result.PASSED))
    return value
