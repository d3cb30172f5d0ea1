"""Checking PDFs that others signed, against anchors that the caller names. Never reported as a licence of ours.

    file.format         read as viewers read it; bytes before the header are covered by no signature
    file.form           a remark: which errors were tolerated in reading (`trust.pdf.reading`)
    file.signatures     every signature dictionary in the file is one that the form shows, and there is one at least
    file.active-content no content that lets a viewer show something other than what was signed
    signature.<n>       each signature in order, document time-stamps included:
        kind            one that can be checked here (`foreign_signatures`); otherwise its kind is named
        gap             /ByteRange leaves out exactly the /Contents of this signature, padded with zeros only
        coverage        what was added later is evidence, time-stamps and further signatures (`foreign_later`)
        signature       by pyHanko, at one time, fetching nothing: chain to one of the caller's anchors, revocation
                        if the certificate names a source for it, time-stamps; if that no longer holds, again with
                        the document time-stamps as proof of existence (EN 319 102-1 §5.6.3)
    revocation.<n>      a remark: revocation is unknown, and the certificate names no source for it
    claimed-time.<n>    a remark: the time the signer claims is ahead of our clock; that time proves nothing
    file.end            the last signature covers the file to its end; only a DSS may follow (EN 319 142-1 §5.4)

An exception of a library never becomes FAILED: what cannot be parsed is reported as not supported and proves nothing.
Results are named as in EN 319 102-1 §5.1.3; what cannot be decided is INDETERMINATE and never PASSED.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from asn1crypto import algos, crl, x509
from asn1crypto import keys as asn1_keys
from cryptography.exceptions import InvalidSignature
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESIndeterminate, AdESPassed
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
from pyhanko.sign.validation.status import TimestampSignatureStatus
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

from keys import asn1, sm2
from keys.pki.validator import Sm2AwareValidator
from keys.sm2.encoding import is_sm2_spki
from trust.encoding.cose import der_signature
from trust.encoding.plain_text import one_line
from trust.model.errors import Malformed, VerificationError
from trust.model.report import Finding, Result
from trust.pdf.reading import Inventory, Opened
from verifier.checks.foreign_end import check_end
from verifier.checks.foreign_later import LATER, check_later
from verifier.checks.foreign_signatures import (
    FAMILIES,
    FoundSignature,
    NotSupported,
    check_gap,
    find_signatures,
)
from verifier.checks.headlines import HEADLINES
from verifier.checks.pdf import SignaturePolicy
from verifier.checks.steps import Examination, Steps, is_ahead
from verifier.checks.widgets import is_shown

_ACTIVE = frozenset({"/JavaScript", "/JS", "/Launch", "/SubmitForm", "/ImportData", "/RichMedia", "/XFA"})
"""The names of content that acts by itself. /OpenAction is left out, because it may just turn to a page."""

_EC_PUBLIC_KEY = "1.2.840.10045.2.1"
_RAW_SM2 = 64


class _Validator(Sm2AwareValidator):
    """Accepts known deviations of other writers, and reports unsupported algorithms as such, not as bad signatures.

    iText 5 names ECDSA by the key's algorithm instead of the signature's, where RFC 5753 §2.1.1 asks for
    ecdsa-with-SHA…; like other verifiers, this one then uses the digest algorithm given beside it.

    An SM2 signature without signed attributes (GB/T 35275 §8) is over Z and the content, not over its digest;
    `signed` is that content.
    """

    def __init__(self, signed: bytes = b"") -> None:
        self._signed = signed

    def validate_signature(
        self,
        signature: bytes,
        signed_data: bytes,
        public_key_info: asn1_keys.PublicKeyInfo,
        signature_algorithm: algos.SignedDigestAlgorithm,
        context: SignatureValidationContext = DEFAULT_VALIDATION_CONTEXT,
    ) -> Any:
        algorithm, digest = signature_algorithm["algorithm"], context.contextual_md_algorithm
        if algorithm.dotted == _EC_PUBLIC_KEY and digest in ("sha256", "sha384", "sha512"):
            signature_algorithm = algos.SignedDigestAlgorithm({"algorithm": f"{digest}_ecdsa"})
        if is_sm2_spki(public_key_info.dump()):
            if algorithm.native != "sm3_sm2" or digest not in (None, "sm3"):
                raise _not_supported(algorithm, digest)
            if (
                len(signature) == _RAW_SM2
            ):  # r and s concatenated, as security modules return them, not in DER
                signature = der_signature("SM2-SM3", signature)
            if context.prehashed:
                signed_data, context = self._signed, SignatureValidationContext(digest, prehashed=False)
        try:
            return super().validate_signature(
                signature, signed_data, public_key_info, signature_algorithm, context
            )
        except InvalidSignature as exc:
            # In the library, "unknown algorithm" is a subclass of "invalid signature".
            if type(exc) is not InvalidSignature:
                raise _not_supported(algorithm, digest) from exc
            if _has_no_identity(public_key_info.dump(), signed_data, signature):
                raise NotSupported("SM2 with an empty identity, against GB/T 35276") from exc
            raise


def _has_no_identity(spki: bytes, message: bytes, signature: bytes) -> bool:
    """True if the SM2 signature verifies with an empty identity, OpenSSL's default: the content was not changed."""
    if not is_sm2_spki(spki):
        return False
    try:
        sm2.load_public_key(spki, b"").check(message, signature)
    except (InvalidSignature, Malformed):
        return False
    return True


def _not_supported(algorithm: Any, digest: str | None) -> Exception:
    """The exception for an unknown algorithm: `NotSupported` for the signature itself; for a certificate or revocation
    list above it, `InvalidSignature`, so that no chain is found through it."""
    what = f"the algorithm {algorithm.native} with {digest}"
    return InvalidSignature(what) if digest is None else NotSupported(what)


_KEY_USAGE = KeyUsageConstraints(
    key_usage={"non_repudiation", "digital_signature"}, match_all_key_usages=False
)
"""EN 319 412-2 §4.3.2: either usage means that the key signs documents."""


def examine_foreign(
    found: Examination,
    steps: Steps,
    opened: Opened,
    inventory: Inventory,
    anchors: Sequence[bytes],
    crls: Sequence[bytes],
    verified_at: datetime,
) -> None:
    """Adds the findings on every signature in the file to `found`; `anchors` and `crls` are DER."""
    asn1.register()
    found.facts["profile"] = "foreign"
    remarks: list[Finding] = []
    if opened.remarks:
        remarks.append(_remark("file.form", "NOT_IN_ORDER", "; ".join(opened.remarks)))
    signatures = steps.take("file.signatures", lambda: find_signatures(opened.reader, inventory))
    if signatures is None:
        return
    active = sorted(inventory.active_names & _ACTIVE)
    if active:
        listed = ", ".join(active)
        found.findings.append(Finding("file.active-content", Result.INDETERMINATE, "ACTIVE_CONTENT", listed))
    else:
        found.findings.append(Finding("file.active-content", Result.PASSED))
    known = JudgedBy(opened.reader, anchors, crls, verified_at)
    ends: list[tuple[int, FoundSignature]] = []
    for number, signature in enumerate(signatures, 1):
        judged = _judge(opened, signature, known)
        detail = one_line(judged.detail, 400)
        found.findings.append(Finding(f"signature.{number}", judged.result, judged.code, detail))
        passed = judged.result is Result.PASSED
        found.facts.setdefault("signatures", []).append({**judged.facts, "passed": passed})
        if judged.end:
            ends.append((judged.end, signature))
        if passed and judged.is_revocation_open:
            what = "no list or answer at hand says whether it was revoked"
            remarks.append(_remark(f"revocation.{number}", "REVOCATION_NOT_CHECKED", what))
        claimed = judged.facts.get("claimed_at")
        if claimed is not None and is_ahead(datetime.fromisoformat(claimed), verified_at):
            remarks.append(_remark(f"claimed-time.{number}", "CLAIMED_TIME_AHEAD", claimed))
    if ends:
        end, last = max(ends, key=lambda each: each[0])
        embedded = last.embedded
        assert embedded is not None
        steps.take("file.end", lambda: check_end(opened, embedded, end))
    found.findings += remarks
    found.facts["remarks"] = list(dict.fromkeys(each.code for each in remarks))


def _remark(check: str, code: str, detail: str) -> Finding:
    """A finding that is reported but does not affect the verdict."""
    return Finding(check, Result.NOT_CHECKED, code, one_line(detail, 400))


@dataclass(frozen=True, slots=True)
class JudgedBy:
    """What a signature in `reader`'s file is judged by: anchors and revocation lists (DER), and the time `at`."""

    reader: PdfFileReader
    anchors: Sequence[bytes]
    crls: Sequence[bytes]
    at: datetime


@dataclass(frozen=True, slots=True)
class _Judged:
    result: Result
    code: str
    detail: str
    facts: dict[str, Any]
    end: int
    is_revocation_open: bool = False


def _judge(opened: Opened, found: FoundSignature, known: JudgedBy) -> _Judged:
    facts: dict[str, Any] = {"format": None, "signer": "", "is_shown": False}
    end, signature = 0, found.embedded

    def not_supported(what: str) -> _Judged:
        return _Judged(Result.INDETERMINATE, "SIGNATURE_NOT_SUPPORTED", f"not supported: {what}", facts, end)

    if signature is None:
        return not_supported(found.why)
    try:
        end = check_gap(opened.data, opened.reader, found)
        facts["signer"] = _name_of(signature.signer_cert)
        facts["format"] = _level(opened.reader, found)
        facts["is_shown"] = is_shown(signature.sig_field)
        facts["claimed_at"] = _isoformat(signature.self_reported_timestamp)
        check_later(opened, signature)
        outcome = _validate(opened, signature, known)
    except VerificationError as exc:
        undecided = exc.code in ("PARTIAL_COVER", "LIMIT_EXCEEDED")
        result = Result.INDETERMINATE if undecided else Result.FAILED
        return _Judged(result, exc.code, exc.what, facts, end)
    except NotSupported as exc:
        return not_supported(exc.what)
    except Exception as exc:  # see Steps.take; what a library cannot parse proves nothing
        return not_supported(f"something in the signature ({type(exc).__name__})")
    facts["best_time"] = _isoformat(outcome.best_time)
    if outcome.code == "OK" and outcome.best_time is not None and is_ahead(outcome.best_time, known.at):
        return _Judged(Result.INDETERMINATE, "TIME_AHEAD", str(facts["best_time"]), facts, end)
    if outcome.code == "SIG_CRYPTO_FAILURE" and found.is_rewritten:
        return not_supported("signed attributes in BER")  # unknown whether the bytes as they were were signed
    result = {"OK": Result.PASSED, "HASH_FAILURE": Result.FAILED, "SIG_CRYPTO_FAILURE": Result.FAILED}.get(
        outcome.code, Result.INDETERMINATE
    )
    return _Judged(result, outcome.code, outcome.detail, facts, end, outcome.is_revocation_open)


def _name_of(cert: x509.Certificate) -> str:
    """The certificate's subject for display: name, unit, organisation, country, as far as present."""
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
"""Our code for each sub-indication that has another name in our sentences."""


def code_of(indication: str) -> str:
    """Translates a sub-indication of EN 319 102-1 into the code of a finding."""
    code = _CODES.get(indication, indication)
    return code if code in HEADLINES else "NOT_PROVEN"


_REVOKED = ("SEAL_CERT_REVOKED", "CERT_REVOKED")


@dataclass(frozen=True, slots=True)
class _Outcome:
    """`code` is OK or the reason. `is_revocation_open`: no available list says whether a certificate was revoked."""

    code: str
    detail: str
    best_time: datetime | None
    is_revocation_open: bool = False


def _validate(opened: Opened, signature: EmbeddedPdfSignature, known: JudgedBy) -> _Outcome:
    """Validates as of `known.at`; if that fails, tries again with the document time-stamps as proof of existence."""
    signed = _signed_bytes(opened, signature)
    outcome = _validate_now(signature, known, signed, "hard-fail")
    if outcome.code == "OK":
        # Require revocation data of every certificate, even one that names no source, to find any that is revoked.
        strictly = _validate_now(signature, known, signed, "require")
        if strictly.code == "OK":
            return strictly
        if strictly.code not in _REVOKED:
            return replace(outcome, is_revocation_open=True)
        outcome = strictly
    if signature.sig_object_type != "/DocTimeStamp" and _is_archived(known.reader):
        timing = ValidationTimingInfo(
            validation_time=known.at, best_signature_time=known.at, point_in_time_validation=True
        )
        archived = asyncio.run(ades_lta_validation(signature, _spec(known, signed), timing_info=timing))
        if archived.ades_subindic is AdESPassed.OK:
            # As above, at the proven time: today's lists also show what was revoked by then.
            proven_at = archived.best_signature_time
            then = _validate_now(
                signature, replace(known, at=proven_at), signed, "require", looking_back=True
            )
            if then.code in _REVOKED:
                return then
            return _Outcome("OK", "", proven_at, is_revocation_open=then.code != "OK")
    if outcome.code == "REVOCATION_UNKNOWN":
        # The library has one code for a broken chain and for missing revocation data; a second run tells them apart.
        freely = _validate_now(signature, replace(known, crls=()), signed, "soft-fail")
        if freely.code == "REVOCATION_UNKNOWN":
            return replace(outcome, code="NO_CERTIFICATE_CHAIN_FOUND")
        if freely.code != "OK":
            return freely
    return outcome


def _signed_bytes(opened: Opened, signature: EmbeddedPdfSignature) -> bytes:
    _, start, end, rest = (int(each) for each in signature.sig_object["/ByteRange"])
    return opened.data[:start] + opened.data[end : end + rest]


def _validate_now(
    signature: EmbeddedPdfSignature,
    known: JudgedBy,
    signed: bytes,
    revocation: str,
    *,
    looking_back: bool = False,
) -> _Outcome:
    """Validates at `known.at`. `looking_back`: revocation lists made after that time are accepted too."""
    if signature.sig_object_type == "/DocTimeStamp":
        context = _context(known, signed, revocation, looking_back)
        return _read_status(asyncio.run(async_validate_pdf_timestamp(signature, context, skip_diff=True)))
    status = asyncio.run(
        async_validate_pdf_signature(
            signature,
            signer_validation_context=_context(known, signed, revocation, looking_back),
            ts_validation_context=_context(known, signed, revocation, looking_back),
            key_usage_settings=_KEY_USAGE,
            skip_diff=True,
            algorithm_policy=SignaturePolicy(),  # type: ignore[no-untyped-call]  # the library's own
        )
    )
    return _read_status(status)


def _read_status(status: Any) -> _Outcome:
    stamp = getattr(status, "timestamp_validity", None) or status
    detail, when = str(status.summary()), getattr(stamp, "timestamp", None)
    if not status.intact:
        return _Outcome("HASH_FAILURE", detail, None)
    if not status.valid:
        return _Outcome("SIG_CRYPTO_FAILURE", detail, None)
    for each in (status, stamp):
        if not (each.intact and each.valid):
            return _Outcome("TIME_STAMP_NOT_PROVEN", detail, None)
        if _has_short_key(each.signing_cert):  # the library does not check this for time-stamps
            return _Outcome("CRYPTO_CONSTRAINTS_FAILURE", detail, when)
        if not each.trusted:
            indication = each.trust_problem_indic or AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND
            named = code_of(indication.standard_name)
            if named == "NO_CERTIFICATE_CHAIN_FOUND" and _is_time_stamp(each):
                named = "UNKNOWN_TIME_STAMP"
            return _Outcome(named, detail, when)
    return _Outcome("OK", "", when)


def _is_time_stamp(status: Any) -> bool:
    return isinstance(status, TimestampSignatureStatus)


def _has_short_key(cert: x509.Certificate) -> bool:
    """True for RSA below 2048 bits and elliptic curves below 224 (NIST SP 800-131A, table 2)."""
    key = cert.public_key
    return int(key.bit_size) < (2048 if key.algorithm == "rsa" else 224)


def _is_archived(reader: PdfFileReader) -> bool:
    return bool(list(reader.embedded_timestamp_signatures))


def _context(known: JudgedBy, signed: bytes, revocation: str, looking_back: bool) -> Any:
    """The library's validation context: the caller's anchors, and from the file only data that carry a signature.

    `revocation`: "hard-fail" requires it of certificates that name a source, "require" of all, "soft-fail" of none.
    """
    given = {
        "trust_roots": [x509.Certificate.load(each) for each in known.anchors],
        "crls": [crl.CertificateList.load(each) for each in known.crls],
        "allow_fetching": False,
        "revocation_mode": revocation,
        "retroactive_revinfo": looking_back,
        "moment": known.at,
        "signature_validator": _Validator(signed),
        "algorithm_usage_policy": SignaturePolicy(),  # type: ignore[no-untyped-call]  # the library's own
    }
    try:
        return DocumentSecurityStore.read_dss(known.reader).as_validation_context(given)
    except NoDSSFoundError:
        untyped: Any = ValidationContext
        return untyped(**given)


def _level(reader: PdfFileReader, found: FoundSignature) -> str:
    """The PAdES level (EN 319 142-1 §6) by what is present: time-stamp, evidence in a DSS, time-stamp over the DSS."""
    if found.is_time_stamp:
        return "RFC3161"
    assert found.embedded is not None
    family = FAMILIES[found.sub_filter]
    unsigned = found.embedded.signer_info["unsigned_attrs"]
    if not any(each["type"].native == "signature_time_stamp_token" for each in unsigned or ()):
        return f"{family}-B-B"
    try:
        store = DocumentSecurityStore.read_dss(reader)
    except NoDSSFoundError:
        return f"{family}-B-T"
    if not (store.crls or store.ocsps):
        return f"{family}-B-T"
    return f"{family}-B-LTA" if _is_archived(reader) else f"{family}-B-LT"


def _spec(known: JudgedBy, signed: bytes) -> PdfSignatureValidationSpec:
    rule = RevocationCheckingRule.CHECK_IF_DECLARED
    policy = CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build(
            trust_roots=[CertTrustAnchor(x509.Certificate.load(each)) for each in known.anchors]
        ),
        revinfo_policy=CertRevTrustPolicy(RevocationCheckingPolicy(rule, rule)),
        algorithm_usage_policy=SignaturePolicy(),  # type: ignore[no-untyped-call]  # the library's own
        signature_validator=_Validator(signed),
    )
    return PdfSignatureValidationSpec(
        SignatureValidationSpec(
            cert_validation_policy=policy,
            local_knowledge=LocalKnowledge(
                known_crls=[CRLContainer(crl.CertificateList.load(each)) for each in known.crls]
            ),
            revinfo_gathering_policy=RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.LOCAL_ONLY),
            key_usage_settings=_KEY_USAGE,
            signature_algorithm_policy=SignaturePolicy(),  # type: ignore[no-untyped-call]
        ),
        diff_policy=LATER,
    )


def _isoformat(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
