"""Signed PDFs of others, judged against anchors that the caller names. Never headed as a licence of ours.

    file.signatures     every signature dictionary in the file is one that the form shows, and there is one at least
    file.active-content nothing in it that lets a viewer show something else than what was signed
    signature.<n>       in its order, each document time-stamp among them:
        gap             what /ByteRange leaves out is exactly the /Contents of this signature, and reaches to the end of
                        a revision; after its DER stand zeros only
        coverage        what was added later is evidence, time-stamps and further signatures (ISO 32000-2, 12.8.2.2)
        signature       by pyHanko, at one time, with nothing fetched: chain to an anchor of the caller's, revocation
                        where the certificate says who knows of it, time-stamps; where that does not hold any more, with
                        the document time-stamps as proof of existence (EN 319 102-1 §5.6.3)
    file.end            the last of them covers the file to its end; only a DSS may follow (EN 319 142-1 §5.4)

The words are those of EN 319 102-1 §5.1.3; what cannot be decided is INDETERMINATE and never PASSED.
"""

from __future__ import annotations

import asyncio
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import algos, crl, x509
from asn1crypto import keys as asn1_keys
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import diff_analysis
from pyhanko.sign.ades.report import AdESFailure, AdESIndeterminate, AdESPassed, AdESSubIndic
from pyhanko.sign.diff_analysis import FormUpdatingRule, ModificationLevel, StandardDiffPolicy
from pyhanko.sign.diff_analysis.policy_api import DiffResult
from pyhanko.sign.validation import (
    DocumentSecurityStore,
    async_validate_pdf_signature,
    async_validate_pdf_timestamp,
)
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.errors import NoDSSFoundError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.authority import CertTrustAnchor
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import (
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)
from pyhanko_certvalidator.registry import SimpleTrustManager
from pyhanko_certvalidator.revinfo.archival import CRLContainer
from pyhanko_certvalidator.sig_validate import DEFAULT_VALIDATION_CONTEXT, SignatureValidationContext

from keys import asn1
from keys.pki.validator import Sm2AwareValidator
from trust.encoding.der import element_length
from trust.encoding.plain_text import one_line
from trust.model.errors import VerificationError
from trust.model.report import Finding, Result
from trust.pdf.reading import Inventory
from verifier.pdf import SignaturePolicy
from verifier.steps import Examination, Steps
from verifier.widgets import is_shown, shown_by_nobody

_MAX_SIGNATURES = 12
_ACTIVE = frozenset({"/JavaScript", "/JS", "/Launch", "/SubmitForm", "/ImportData", "/RichMedia", "/XFA"})
"""Of the names that make a document act, those that do it by themselves; an /OpenAction may just turn to a page."""

_SUB_FILTERS = {"/ETSI.CAdES.detached": "PAdES", "/adbe.pkcs7.detached": "PKCS7"}
_HEX = re.compile(rb"<[0-9A-Fa-f]*>")
_CONTENTS = re.compile(rb"/Contents[\x00\t\n\x0c\r ]*\Z")


_EC_PUBLIC_KEY = "1.2.840.10045.2.1"


class _Validator(Sm2AwareValidator):
    """Reads ECDSA signatures as iText 5 names them: by the algorithm of the key instead of the signature's.

    RFC 5753 §2.1.1 asks for ecdsa-with-SHA…; other verifiers take the digest algorithm beside it, and so do we.
    """

    def validate_signature(
        self,
        signature: bytes,
        signed_data: bytes,
        public_key_info: asn1_keys.PublicKeyInfo,
        signature_algorithm: algos.SignedDigestAlgorithm,
        context: SignatureValidationContext = DEFAULT_VALIDATION_CONTEXT,
    ) -> Any:
        named, digest = signature_algorithm["algorithm"].dotted, context.contextual_md_algorithm
        if named == _EC_PUBLIC_KEY and digest in ("sha256", "sha384", "sha512"):
            signature_algorithm = algos.SignedDigestAlgorithm({"algorithm": f"{digest}_ecdsa"})
        return super().validate_signature(
            signature, signed_data, public_key_info, signature_algorithm, context
        )


_KEY_USAGE = KeyUsageConstraints(
    key_usage={"non_repudiation", "digital_signature"}, match_all_key_usages=False
)
"""EN 319 412-2 §4.3.2: either says that the key signs documents."""


def _policy(field_rules: list[Any]) -> StandardDiffPolicy:
    """Evidence may be added, and what the rules for fields allow.

    pyHanko's own policy lets forms be filled in; a form that was filled in after a signature is not what was signed.
    """
    rules: Any = diff_analysis  # whose classes are not typed throughout
    evidence = (
        rules.DocInfoRule(),
        rules.XrefStreamRule(),
        rules.ObjectStreamRule(),
        rules.DSSCompareRule(),
        rules.MetadataUpdateRule(),
    )
    return StandardDiffPolicy(
        global_rules=[
            rules.CatalogModificationRule(),
            *(rule.as_qualified(ModificationLevel.LTA_UPDATES) for rule in evidence),
        ],
        form_rule=FormUpdatingRule(field_rules=field_rules),
    )


_LATER = _policy([diff_analysis.SigFieldCreationRule(), diff_analysis.SigFieldModificationRule()])  # type: ignore[no-untyped-call]
_ONLY_EVIDENCE = _policy([])


def examine_foreign(
    found: Examination,
    steps: Steps,
    data: bytes,
    reader: PdfFileReader,
    inventory: Inventory,
    anchors: Sequence[bytes],
    crls: Sequence[bytes],
    verified_at: datetime,
) -> None:
    """Notes what is found of every signature in the file; `anchors` and `crls` are DER."""
    asn1.register()
    found.facts["profile"] = "foreign"
    signatures = steps.take("file.signatures", lambda: _all_signatures(reader, inventory))
    if signatures is None:
        return
    active = sorted(inventory.active_names & _ACTIVE)
    if active:
        listed = ", ".join(active)
        found.findings.append(Finding("file.active-content", Result.INDETERMINATE, "ACTIVE_CONTENT", listed))
    else:
        found.findings.append(Finding("file.active-content", Result.PASSED))
    ends: list[int] = []
    for number, signature in enumerate(signatures, 1):
        judged = _judge(
            data, reader, signature, lambda each: _validate(reader, each, anchors, crls, verified_at)
        )
        detail = one_line(judged.detail, 400)
        found.findings.append(Finding(f"signature.{number}", judged.result, judged.code, detail))
        passed = judged.result is Result.PASSED
        found.facts.setdefault("signatures", []).append({**judged.facts, "passed": passed})
        ends.append(judged.end)
    end = max(ends)
    steps.take("file.end", lambda: _check_end(data, signatures[ends.index(end)], end))


@dataclass(frozen=True, slots=True)
class _Judged:
    result: Result
    code: str
    detail: str
    facts: dict[str, Any]
    end: int


def _all_signatures(reader: PdfFileReader, inventory: Inventory) -> list[EmbeddedPdfSignature]:
    signatures = list(reader.embedded_signatures)
    if not any(each.sig_object_type == "/Sig" for each in signatures):
        raise VerificationError("The form of the file shows no signature.", code="NO_SEAL")
    # What no form shows, a viewer may show all the same; and a library leaves it out without a word.
    if inventory.signature_dictionaries != len(signatures):
        raise VerificationError(
            f"The file holds {inventory.signature_dictionaries} signature dictionaries, and its form shows "
            f"{len(signatures)}.",
            code="SIG_CONSTRAINTS_FAILURE",
        )
    if len(signatures) > _MAX_SIGNATURES:
        raise VerificationError("There are too many signatures.", code="LIMIT_EXCEEDED")
    return signatures


def _judge(
    data: bytes,
    reader: PdfFileReader,
    signature: EmbeddedPdfSignature,
    validate: Callable[[EmbeddedPdfSignature], _Outcome],
) -> _Judged:
    facts: dict[str, Any] = {"format": None, "signer": "", "is_shown": False}
    end = 0
    try:
        end = _check_gap(data, reader, signature)
        facts["signer"] = _name_of(signature.signer_cert)
        facts["format"] = _level(reader, signature)
        facts["is_shown"] = is_shown(signature.sig_field)
        facts["claimed_at"] = _isoformat(signature.self_reported_timestamp)
        _check_later(signature)
        outcome = validate(signature)
    except VerificationError as exc:
        undecided = exc.code in ("PARTIAL_COVER", "LIMIT_EXCEEDED")
        result = Result.INDETERMINATE if undecided else Result.FAILED
        return _Judged(result, exc.code, exc.what, facts, end)
    except Exception as exc:  # see Steps.take; what a library cannot take apart proves nothing
        detail = f"cannot be checked: {type(exc).__name__}"
        return _Judged(Result.INDETERMINATE, "NO_CERTIFICATE_CHAIN_FOUND", detail, facts, end)
    facts["best_time"] = _isoformat(outcome.best_time)
    if outcome.indication is AdESPassed.OK:
        return _Judged(Result.PASSED, "OK", "", facts, end)
    result = Result.FAILED if isinstance(outcome.indication, AdESFailure) else Result.INDETERMINATE
    code = _CODES.get(outcome.indication.standard_name, outcome.indication.standard_name)
    return _Judged(result, code, outcome.detail, facts, end)


def _name_of(cert: x509.Certificate) -> str:
    """Who it is for: name, unit, organisation, country, as far as they are there."""
    named = cert.subject.native
    kinds = ("common_name", "organizational_unit_name", "organization_name", "country_name")
    values = (named[kind] for kind in kinds if kind in named)
    return one_line(", ".join(value if isinstance(value, str) else " / ".join(value) for value in values))


_CODES = {
    "REVOKED": "SEAL_CERT_REVOKED",
    "REVOKED_NO_POE": "SEAL_CERT_REVOKED",
    "REVOKED_CA_NO_POE": "CERT_REVOKED",
    "TRY_LATER": "REVOCATION_UNKNOWN",
    "NO_POE": "REVOCATION_UNKNOWN",
    "CERTIFICATE_CHAIN_GENERAL_FAILURE": "REVOCATION_UNKNOWN",
    "EXPIRED": "CERT_EXPIRED",
    "OUT_OF_BOUNDS_NO_POE": "CERT_EXPIRED",
    "OUT_OF_BOUNDS_NOT_REVOKED": "CERT_EXPIRED",
    "NOT_YET_VALID": "CERT_NOT_YET_VALID",
    "CHAIN_CONSTRAINTS_FAILURE": "CERT_USAGE",
    "CRYPTO_CONSTRAINTS_FAILURE_NO_POE": "CRYPTO_CONSTRAINTS_FAILURE",
}
"""Ours, where a sentence for people stands under another word."""


def _check_gap(data: bytes, reader: PdfFileReader, signature: EmbeddedPdfSignature) -> int:
    """Where the bytes that this signature covers end. Raises `VerificationError` (FORMAT_FAILURE)."""

    def bad(what: str) -> VerificationError:
        return VerificationError(what, code="FORMAT_FAILURE")

    dictionary = signature.sig_object
    if str(dictionary["/SubFilter"]) not in (*_SUB_FILTERS, "/ETSI.RFC3161"):
        raise bad("The signature is in a format that is not accepted.")
    numbers = [int(each) for each in dictionary["/ByteRange"]]
    if len(numbers) != 4:
        raise bad("/ByteRange does not hold four numbers.")
    zero, start, end, rest = numbers
    if zero != 0 or not 0 < start < end or rest < 0 or end + rest > len(data):
        raise bad("/ByteRange does not name two stretches of the file.")
    if _HEX.fullmatch(data, start, end) is None or _CONTENTS.search(data, max(0, start - 32), start) is None:
        raise bad("What is not signed is not the one value of /Contents.")
    try:
        contents = binascii.unhexlify(data[start + 1 : end - 1])
        length = element_length(contents)
    except ValueError as exc:
        raise bad("/Contents is no DER element.") from exc
    if length > len(contents) or contents.count(0, length) != len(contents) - length:
        raise bad("After the signature in /Contents stands something other than zeros.")
    if bytes(dictionary["/Contents"]) != contents:
        raise bad("The form shows other /Contents than stand in the gap.")
    container = dictionary.container_ref
    offset = reader.xrefs[container] if container is not None else None
    if not isinstance(offset, int) or not offset < start or data.find(b"endobj", offset) < end:
        raise bad("The signature does not stand in the file by itself.")
    return end + rest


def _check_later(signature: EmbeddedPdfSignature) -> None:
    """What came after this signature is no more than it allows. Raises `VerificationError` (PARTIAL_COVER)."""
    untyped: Any = signature
    untyped.compute_integrity_info(diff_policy=_LATER)
    coverage, result = untyped.coverage, untyped.diff_result
    if coverage is None or coverage.name not in ("ENTIRE_FILE", "ENTIRE_REVISION"):
        raise VerificationError("The signature does not cover a whole revision.", code="PARTIAL_COVER")
    if coverage.name == "ENTIRE_FILE":
        return
    if not isinstance(result, DiffResult):
        raise VerificationError(f"After the signature was changed: {result}", code="PARTIAL_COVER")
    if not signature.summarise_integrity_info()["docmdp_ok"]:
        raise VerificationError(
            "What was added later is more than the signature allows.", code="PARTIAL_COVER"
        )
    reader = signature.reader
    before = shown_by_nobody(reader.get_historical_resolver(signature.signed_revision))
    if added := shown_by_nobody(reader) - before:
        names = ", ".join(sorted(name for name, _, _ in added))
        raise VerificationError(f"Later something was shown that nobody signs: {names}", code="PARTIAL_COVER")


def _check_end(data: bytes, last: EmbeddedPdfSignature, end: int) -> None:
    """After the last covered byte only a DSS may follow, which is evidence and changes nothing that is shown."""
    if end == len(data):
        return
    untyped: Any = last
    untyped.compute_integrity_info(diff_policy=_ONLY_EVIDENCE)
    result: Any = last.diff_result
    if not isinstance(result, DiffResult) or result.modification_level > ModificationLevel.LTA_UPDATES:
        raise VerificationError("Something follows that no signature covers.", code="PARTIAL_COVER")


@dataclass(frozen=True, slots=True)
class _Outcome:
    """In the words of EN 319 102-1; `indication` is OK, or a failure and what it is about."""

    indication: AdESSubIndic
    detail: str
    best_time: datetime | None


def _validate(
    reader: PdfFileReader,
    signature: EmbeddedPdfSignature,
    anchors: Sequence[bytes],
    crls: Sequence[bytes],
    at: datetime,
) -> _Outcome:
    """As of `at` first; what does not stand any more by itself may stand by its document time-stamps."""
    if signature.sig_object_type == "/DocTimeStamp":
        context = _context(reader, anchors, crls, at)
        return _read_status(asyncio.run(async_validate_pdf_timestamp(signature, context, skip_diff=True)))
    status = asyncio.run(
        async_validate_pdf_signature(
            signature,
            signer_validation_context=_context(reader, anchors, crls, at),
            ts_validation_context=_context(reader, anchors, crls, at),
            key_usage_settings=_KEY_USAGE,
            skip_diff=True,
            algorithm_policy=SignaturePolicy(),  # type: ignore[no-untyped-call]  # the library's own
        )
    )
    outcome = _read_status(status)
    if outcome.indication is AdESPassed.OK or not _is_archived(reader):
        return outcome
    timing = ValidationTimingInfo(validation_time=at, best_signature_time=at, point_in_time_validation=True)
    archived = asyncio.run(ades_lta_validation(signature, _spec(anchors, crls), timing_info=timing))
    if archived.ades_subindic is not AdESPassed.OK:
        return outcome
    return _Outcome(AdESPassed.OK, "", archived.best_signature_time)


def _read_status(status: Any) -> _Outcome:
    stamp = getattr(status, "timestamp_validity", None) or status
    detail, when = str(status.summary()), getattr(stamp, "timestamp", None)
    if not status.intact:
        return _Outcome(AdESFailure.HASH_FAILURE, detail, None)
    if not status.valid:
        return _Outcome(AdESFailure.SIG_CRYPTO_FAILURE, detail, None)
    for each in (status, stamp):
        if not (each.intact and each.valid):
            return _Outcome(AdESIndeterminate.NO_POE, detail, None)
        if _has_short_key(each.signing_cert):  # of time-stamps the library does not ask
            return _Outcome(AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE, detail, when)
        if not each.trusted:
            indication = each.trust_problem_indic or AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND
            return _Outcome(indication, detail, when)
    return _Outcome(AdESPassed.OK, "", when)


def _has_short_key(cert: x509.Certificate) -> bool:
    """RSA below 2048 bits, elliptic curves below 224 (NIST SP 800-131A, table 2)."""
    key = cert.public_key
    return int(key.bit_size) < (2048 if key.algorithm == "rsa" else 224)


def _is_archived(reader: PdfFileReader) -> bool:
    return bool(list(reader.embedded_timestamp_signatures))


def _context(reader: PdfFileReader, anchors: Sequence[bytes], crls: Sequence[bytes], at: datetime) -> Any:
    """Anchors of the caller; of the file itself only what proves something by its own signature."""
    given = {
        "trust_roots": [x509.Certificate.load(each) for each in anchors],
        "crls": [crl.CertificateList.load(each) for each in crls],
        "allow_fetching": False,
        # Where a certificate says who knows of its revocation, that has to be at hand.
        "revocation_mode": "hard-fail",
        "moment": at,
        "signature_validator": _Validator(),
        "algorithm_usage_policy": SignaturePolicy(),  # type: ignore[no-untyped-call]  # the library's own
    }
    try:
        return DocumentSecurityStore.read_dss(reader).as_validation_context(given)
    except NoDSSFoundError:
        untyped: Any = ValidationContext
        return untyped(**given)


def _level(reader: PdfFileReader, signature: EmbeddedPdfSignature) -> str:
    """By what is there (EN 319 142-1 §6): time-stamp, evidence in a DSS, a document time-stamp over it."""
    if signature.sig_object_type == "/DocTimeStamp":
        return "RFC3161"
    family = _SUB_FILTERS[str(signature.sig_object["/SubFilter"])]
    unsigned = signature.signer_info["unsigned_attrs"]
    if not any(each["type"].native == "signature_time_stamp_token" for each in unsigned or ()):
        return f"{family}-B-B"
    try:
        store = DocumentSecurityStore.read_dss(reader)
    except NoDSSFoundError:
        return f"{family}-B-T"
    if not (store.crls or store.ocsps):
        return f"{family}-B-T"
    return f"{family}-B-LTA" if _is_archived(reader) else f"{family}-B-LT"


def _spec(anchors: Sequence[bytes], crls: Sequence[bytes]) -> PdfSignatureValidationSpec:
    rule = RevocationCheckingRule.CHECK_IF_DECLARED
    policy = CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build(
            trust_roots=[CertTrustAnchor(x509.Certificate.load(each)) for each in anchors]
        ),
        revinfo_policy=CertRevTrustPolicy(RevocationCheckingPolicy(rule, rule)),
        algorithm_usage_policy=SignaturePolicy(),  # type: ignore[no-untyped-call]  # the library's own
        signature_validator=_Validator(),
    )
    return PdfSignatureValidationSpec(
        SignatureValidationSpec(
            cert_validation_policy=policy,
            local_knowledge=LocalKnowledge(
                known_crls=[CRLContainer(crl.CertificateList.load(each)) for each in crls]
            ),
            revinfo_gathering_policy=RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.LOCAL_ONLY),
            key_usage_settings=_KEY_USAGE,
            signature_algorithm_policy=SignaturePolicy(),  # type: ignore[no-untyped-call]
        ),
        diff_policy=_LATER,
    )


def _isoformat(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
