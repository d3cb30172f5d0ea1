"""Examining a PDF: everything that can be said from the file, the trust list and the CRLs alone.

Runs inside the sandbox. The order is cheap first, and nothing is read from the document before the raw-bytes
gate and the seal have passed: a file that fails shows none of its data.

    format → gate → structure → seal → chain → time → receipt → data

Status and validity are not judged here; they need evidence that changes with time.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from asn1crypto import x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from keys import asn1
from keys.pki.chain import ChainTrust
from keys.pki.read import read_x509_cert
from ledger.proof import check_embedded_receipt
from trust.encoding.commitment import document_commit, ecertificate_ref
from trust.encoding.digests import sha256, sm3
from trust.encoding.ecertificate_data import ECertificateData, decode_ecertificate_data
from trust.encoding.entry import EntryKind
from trust.encoding.receipt import decode_receipt
from trust.encoding.ses import SealData, SealPictureData, SesVersion
from trust.encoding.trust_list import TrustedSeal, TrustList, decode_trust_list
from trust.model.errors import EvidenceUnavailableError, TrustError, VerificationError
from trust.model.report import Finding, Result
from trust.pdf.gap import check_gap
from trust.pdf.reading import Inventory, attachments, open_pdf, take_inventory
from verifier.frame import CheckedSeal, check_seal
from verifier.pdf import appearance_of, foreign_opinion, quiet_library, second_opinion, the_one_seal
from verifier.revocation import RevocationLists
from verifier.seal_data import SealDataTrust, check_listed, judge_seal
from verifier.seal_picture import check_picture
from verifier.trust_list import ledger_keys
from verifier.versions import check_time_stamps, check_versions

ATTACHMENT_NAME = "ecertificate.json"
T = TypeVar("T")
_LEDGER_TOLERANCE = timedelta(minutes=10)
"""How far the ledger's clock may stand behind the time-stamp's; both are the same service's."""


@dataclass(slots=True)
class Examination:
    """`facts` are JSON values; `data` is the attached file once its seal has been believed."""

    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    data: bytes | None = None


def examine_pdf_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    """The sandbox's door. Blobs: the file, the trust list's payload, the foreign anchors, the CRLs."""
    quiet_library()
    anchors_end = 2 + int(arguments["anchors"])
    examination = examine_pdf(
        blobs[0],
        trust_list=decode_trust_list(blobs[1]) if blobs[1] else None,
        anchors=blobs[2:anchors_end],
        crls=blobs[anchors_end:],
        verified_at=datetime.fromisoformat(arguments["verified_at"]),
    )
    return {
        "findings": [[f.check, f.result.value, f.code, f.detail] for f in examination.findings],
        "facts": examination.facts,
        "data": base64.b64encode(examination.data).decode() if examination.data is not None else None,
    }


def decode_examination(answer: dict[str, Any]) -> Examination:
    """The inverse of what `examine_pdf_job` returns."""
    return Examination(
        [Finding(check, Result(result), code, detail) for check, result, code, detail in answer["findings"]],
        dict(answer["facts"]),
        base64.b64decode(answer["data"]) if answer["data"] is not None else None,
    )


def examine_pdf(
    data: bytes,
    *,
    trust_list: TrustList | None,
    anchors: Sequence[bytes],
    crls: Sequence[bytes],
    verified_at: datetime,
) -> Examination:
    asn1.register()
    found = Examination(facts={"sha256": sha256(data).hex(), "sm3": sm3(data).hex(), "size": len(data)})
    steps = _Steps(found)
    reader = steps.take("file.format", lambda: open_pdf(data))
    if reader is None:
        return found
    inventory = steps.take("file.objects", lambda: take_inventory(reader))
    if inventory is None:
        return found
    found.facts["pages"] = inventory.pages
    if inventory.signature_dictionaries == 0:
        found.findings.append(
            Finding("seal.present", Result.FAILED, "NO_SEAL", "there is no signature in the file")
        )
        return found
    if anchors:
        _examine_foreign(found, reader, anchors, crls, verified_at)
        return found
    if trust_list is None:
        steps.fail("seal.issuer", EvidenceUnavailableError("There is no trust list.", code="STATUS_STALE"))
        return found
    if inventory.active_names:
        listed = ", ".join(sorted(inventory.active_names))
        found.findings.append(Finding("file.active-content", Result.FAILED, "ACTIVE_CONTENT", listed))
        return found
    found.findings.append(Finding("file.active-content", Result.PASSED))
    if inventory.signature_dictionaries != 1 or inventory.signature_fields != 1:
        _examine_later_version(found, steps, inventory, data, trust_list, crls, verified_at)
        return found
    found.findings.append(Finding("seal.present", Result.PASSED))
    _examine_licence(found, steps, reader, data, trust_list, RevocationLists(crls), verified_at)
    return found


def _examine_later_version(
    found: Examination,
    steps: _Steps,
    inventory: Inventory,
    data: bytes,
    trust_list: TrustList,
    crls: Sequence[bytes],
    verified_at: datetime,
) -> None:
    """A licence to which evidence was added: each update, then the licence as it was before them."""
    kinds = (inventory.seals, inventory.signature_dictionaries, inventory.signature_fields)
    if inventory.seals != 1 or inventory.signature_dictionaries != inventory.signature_fields:
        detail = "{} seals, {} signatures, {} fields".format(*kinds)
        found.findings.append(Finding("seal.present", Result.FAILED, "SIG_CONSTRAINTS_FAILURE", detail))
        return
    found.findings.append(Finding("seal.present", Result.PASSED))
    versions = steps.take("file.versions", lambda: check_versions(data, trust_list))
    if versions is None:
        return
    stamps = steps.take("archive.time", lambda: check_time_stamps(versions.later, crls, verified_at))
    if stamps is None:
        return
    archived, _ = stamps
    found.facts["versions"] = [
        {"number": number, "size": each.end, "stamped_at": each.stamped_at.isoformat()}
        for number, each in enumerate(versions.later, 1)
    ]
    licence = versions.licence
    reader = steps.take("file.licence", lambda: open_pdf(licence))
    if reader is None:
        return
    lists = RevocationLists(crls, archived)
    _examine_licence(found, steps, reader, licence, trust_list, lists, verified_at)
    if "seal" in found.facts:
        found.facts["seal"]["format"] = "PAdES-B-LTA"


def _examine_licence(
    found: Examination,
    steps: _Steps,
    reader: PdfFileReader,
    data: bytes,
    trust_list: TrustList,
    lists: RevocationLists,
    verified_at: datetime,
) -> None:
    gap = steps.take("file.gap", lambda: check_gap(data))
    if gap is None:
        return
    seal_in_pdf = steps.take("file.structure", lambda: the_one_seal(reader, gap))
    if seal_in_pdf is None:
        return
    checked = steps.take("seal.signature", lambda: check_seal(gap, trust_list))
    if checked is None:
        return
    _note_seal(found, checked, verified_at)
    makers = [cert for maker in trust_list.makers for cert in (*maker.certs[1:], maker.root)]
    crls = lists.newest([*_issuers(checked), *makers])
    opinion = steps.take(
        "seal.library",
        lambda: second_opinion(
            seal_in_pdf, pinned=checked.seal, tsa=checked.tsa, crls=crls, stamped_at=checked.stamped_at
        ),
    )
    if opinion is None:
        return
    if not opinion.intact or not opinion.whole_file:
        found.findings[-1] = Finding("seal.library", Result.FAILED, "HASH_FAILURE", opinion.summary)
        return
    if steps.take("seal.crl", lambda: _check_crls(checked, lists, verified_at)) is None:
        return
    if opinion.revoked:
        found.findings.append(Finding("seal.chain", Result.FAILED, "SEAL_CERT_REVOKED", opinion.summary))
        return
    for check, trusted in (("seal.chain", opinion.trusted), ("seal.time", opinion.time_stamp_trusted)):
        if not trusted:
            code = "NO_CERTIFICATE_CHAIN_FOUND" if check == "seal.chain" else "UNKNOWN_TIME_STAMP"
            found.findings.append(Finding(check, Result.INDETERMINATE, code, opinion.summary))
            return
        found.findings.append(Finding(check, Result.PASSED))
    seal_data = steps.take("seal.data", lambda: _check_seal_data(checked, trust_list, crls))
    if seal_data is None:
        return
    picture = seal_data.info.picture
    if steps.take("seal.picture", lambda: _check_picture(seal_in_pdf, picture)) is None:
        return
    embedded = steps.take("data.file", lambda: _attached_data(reader))
    if embedded is None:
        return
    encoded, ecertificate = embedded
    if steps.take("ledger.receipt", lambda: _check_receipt(checked, ecertificate, trust_list, found)) is None:
        return
    found.data = encoded


class _Steps:
    """Turns what a check raises into its finding, in one place."""

    def __init__(self, examination: Examination) -> None:
        self._findings = examination.findings

    def take(self, check: str, step: Callable[[], T]) -> T | None:
        """What the step returns, noted as passed; None where it raised, noted as failed or undecided."""
        try:
            value = step()
        except TrustError as exc:
            self.fail(check, exc)
            return None
        except Exception as exc:  # a parser under attack may raise anything; it never means "passed"
            detail = f"cannot be read: {type(exc).__name__}"
            self._findings.append(Finding(check, Result.FAILED, "FORMAT_FAILURE", detail))
            return None
        self._findings.append(Finding(check, Result.PASSED))
        return value

    def fail(self, check: str, exc: TrustError) -> None:
        undecided = isinstance(exc, EvidenceUnavailableError) or exc.code in _UNDECIDED
        result = Result.INDETERMINATE if undecided else Result.FAILED
        self._findings.append(Finding(check, result, exc.code, exc.what))


_UNDECIDED = frozenset({"NOT_A_PDF", "TOO_LARGE", "LIMIT_EXCEEDED", "ENCRYPTED"})


def _note_seal(found: Examination, checked: CheckedSeal, verified_at: datetime) -> None:
    """What held when it was sealed decides; what holds now is told beside it."""
    facts = read_x509_cert(checked.seal.certs[0])
    found.facts["seal"] = {
        "id": checked.seal.seal_id,
        "name": checked.seal.name,
        "authority": checked.seal.authority_id,
        "suite": checked.seal.suite,
        "x509_sha256": facts.sha256.hex(),
        "signer": facts.common_name,
        "format": "PAdES-B-T",
        "stamped_at": checked.stamped_at.isoformat(),
        "time_source": "TSA",
        "now": _seal_now(checked.seal, facts.not_after, verified_at),
    }


def _seal_now(seal: TrustedSeal, cert_ends: datetime, at: datetime) -> str:
    if not seal.is_good_at(at):
        return "withdrawn"
    if at > min(seal.not_after, cert_ends):
        return "expired"
    return "in-force" if seal.is_in_force(at) else "frozen"


def _check_seal_data(checked: CheckedSeal, trust_list: TrustList, crls: Sequence[bytes]) -> SealData:
    """The seal data in the signature is that of this very seal, made by a trusted maker, in its term.

    Raises what the first check that did not pass found, in the standard's order.
    """
    pinned = checked.seal
    # A maker's root may be another than the seal's: a CA outside vouches for the key, and we make the seal.
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


def _check_picture(seal_in_pdf: EmbeddedPdfSignature, picture: SealPictureData) -> bool:
    """What the page shows in the seal's place is the picture in the seal data, in its size."""
    check_picture(appearance_of(seal_in_pdf), picture.data, picture.width_mm, picture.height_mm)
    return True


def _issuers(checked: CheckedSeal) -> list[bytes]:
    seal, tsa = checked.seal, checked.tsa
    return [*seal.certs[1:], seal.root, *tsa.certs[1:], tsa.root]


def _check_crls(checked: CheckedSeal, lists: RevocationLists, at: datetime) -> bool:
    """The lists above the seal and its time-stamp prove what held when it was used.

    The library judges revocation; it does not ask how old a list is at a later moment.
    """
    moment = checked.stamped_at
    for each in (checked.seal, checked.tsa):
        lists.proven_until(each.certs, each.root, moment, at)
        lists.check_not_listed(each.certs, each.root, moment)
    return True


def _attached_data(reader: PdfFileReader) -> tuple[bytes, ECertificateData]:
    found = attachments(reader)
    if set(found) != {ATTACHMENT_NAME}:
        raise VerificationError(
            f"The file holds {len(found)} attachments, not the one data file.", code="SIG_CONSTRAINTS_FAILURE"
        )
    encoded = found[ATTACHMENT_NAME]
    return encoded, decode_ecertificate_data(encoded)


def _check_receipt(
    checked: CheckedSeal, ecertificate: ECertificateData, trust_list: TrustList, found: Examination
) -> bool:
    """The receipt opens to this very document, this e-certificate and this seal."""
    if checked.receipt is None:
        raise EvidenceUnavailableError(
            "The file carries no ledger receipt: it was sealed but its issue was not completed.",
            "Ask the issuing department for the issued file.",
            code="NOT_IN_LEDGER",
        )
    receipt = decode_receipt(checked.receipt)
    proven = check_embedded_receipt(receipt.entry, receipt.proof, log_keys=ledger_keys(trust_list))
    entry, openings = proven.entry, receipt.openings
    if entry.log != trust_list.ledger_origin or entry.kind is not EntryKind.ISSUED:
        raise VerificationError(
            "The receipt is not for an issue in the trusted ledger.", code="LEDGER_MISMATCH"
        )
    if openings.content != ecertificate.content:
        raise VerificationError("The receipt commits to other data.", code="LEDGER_MISMATCH")
    if document_commit(openings.content, checked.digests, openings.salts) != entry.commit:
        raise VerificationError("The receipt commits to another file.", code="LEDGER_MISMATCH")
    if ecertificate_ref(ecertificate.pid, openings.ref_salt) != entry.ref:
        raise VerificationError("The receipt belongs to another e-certificate.", code="LEDGER_MISMATCH")
    if (
        entry.actor != checked.seal.authority_id
        or ecertificate.issuer != entry.actor
        or entry.suite != checked.seal.suite
    ):
        raise VerificationError("The receipt names another authority or suite.", code="LEDGER_MISMATCH")
    appended_at = datetime.fromtimestamp(entry.at_ms / 1000, checked.stamped_at.tzinfo)
    if appended_at < checked.stamped_at - _LEDGER_TOLERANCE:
        raise VerificationError("The ledger entry is older than the seal.", code="LEDGER_MISMATCH")
    found.facts["ledger"] = {
        "origin": entry.log,
        "index": entry.seq,
        "count": entry.count,
        "appended_at": appended_at.isoformat(),
        "tree_size": proven.checkpoint.size,
        "root": base64.b64encode(proven.checkpoint.root).decode(),
    }
    return True


def _examine_foreign(
    found: Examination,
    reader: PdfFileReader,
    anchors: Sequence[bytes],
    crls: Sequence[bytes],
    verified_at: datetime,
) -> None:
    """Another producer's signed PDF against anchors that the caller named; never headed as a licence of ours."""
    signatures = reader.embedded_regular_signatures
    found.facts["profile"] = "foreign"
    if not signatures:
        found.findings.append(Finding("seal.present", Result.FAILED, "NO_SEAL"))
        return
    found.findings.append(Finding("seal.present", Result.PASSED))
    for number, signature in enumerate(signatures, 1):
        check = f"signature.{number}"
        try:
            opinion = foreign_opinion(signature, anchors, crls, verified_at)
        except Exception as exc:  # see _Steps.take
            detail = f"cannot be checked: {type(exc).__name__}"
            found.findings.append(Finding(check, Result.INDETERMINATE, "NO_CERTIFICATE_CHAIN_FOUND", detail))
            continue
        if not opinion.intact:
            finding = Finding(check, Result.FAILED, "HASH_FAILURE", opinion.summary)
        elif opinion.revoked:
            finding = Finding(check, Result.FAILED, "SEAL_CERT_REVOKED", opinion.summary)
        elif not opinion.trusted or not opinion.time_stamp_trusted:
            finding = Finding(check, Result.INDETERMINATE, "NO_CERTIFICATE_CHAIN_FOUND", opinion.summary)
        elif not opinion.whole_file:
            finding = Finding(check, Result.INDETERMINATE, "PARTIAL_COVER", opinion.summary)
        else:
            finding = Finding(check, Result.PASSED, "OK", opinion.summary)
        signer: x509.Certificate = signature.signer_cert
        found.facts.setdefault("signers", []).append(signer.subject.human_friendly)
        found.findings.append(finding)
