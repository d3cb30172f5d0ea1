"""Signed PDFs of others, judged against anchors that the caller names. Never headed as a licence of ours.

    file.format         read as every viewer reads it; what stands before the header nobody signed
    file.form           what had to be overlooked for that: a remark (`trust.pdf.reading`)
    file.signatures     every signature dictionary in the file is one that the form shows, and there is one at least
    file.active-content nothing in it that lets a viewer show something else than what was signed
    signature.<n>       in its order, each document time-stamp among them:
        kind            one that can be checked here (`foreign_signatures`); else it is said which it is
        gap             what /ByteRange leaves out is exactly the /Contents of this signature; after it stand zeros only
        coverage        what was added later is evidence, time-stamps and further signatures (`foreign_later`)
        signature       by pyHanko, at one time, with nothing fetched: chain to an anchor of the caller's, revocation
                        where the certificate says who knows of it, time-stamps; where that does not hold any more, with
                        the document time-stamps as proof of existence (EN 319 102-1 §5.6.3)
    revocation.<n>      a remark where nothing at hand says whether a certificate was revoked, and none had to
    claimed-time.<n>    a remark where the signer's own clock is ahead of ours; that time proves nothing
    file.end            the last of them covers the file to its end; only a DSS may follow (EN 319 142-1 §5.4)

No exception of a library becomes FAILED: what cannot be taken apart is not supported, and proves nothing.
The words are those of EN 319 102-1 §5.1.3; what cannot be decided is INDETERMINATE and never PASSED.
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
"""Of the names that make a document act, those that do it by themselves; an /OpenAction may just turn to a page."""

_EC_PUBLIC_KEY = "1.2.840.10045.2.1"
_RAW_SM2 = 64


class _Validator(Sm2AwareValidator):
    """Reads what other writers do otherwise, and says what it cannot check instead of calling it a bad signature.

    ECDSA as iText 5 names it: by the algorithm of the key instead of the signature's. RFC 5753 §2.1.1 asks for
    ecdsa-with-SHA…; other verifiers take the digest algorithm beside it, and so do we.

    SM2 without signed attributes (GB/T 35275 §8): the signature is over Z and the content, not over its digest.
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
            ):  # r and s as security modules give them, without the DER around them
                signature = der_signature("SM2-SM3", signature)
            if context.prehashed:
                signed_data, context = self._signed, SignatureValidationContext(digest, prehashed=False)
        try:
            return super().validate_signature(
                signature, signed_data, public_key_info, signature_algorithm, context
            )
        except InvalidSignature as exc:
            # The library makes "I know no such algorithm" a kind of "the signature is bad".
            if type(exc) is not InvalidSignature:
                raise _not_supported(algorithm, digest) from exc
            if _has_no_identity(public_key_info.dump(), signed_data, signature):
                raise NotSupported("SM2 with an empty identity, against GB/T 35276") from exc
            raise


def _has_no_identity(spki: bytes, message: bytes, signature: bytes) -> bool:
    """Whether it is good as OpenSSL signs with SM2 when it is told no identity: then nothing was changed."""
    if not is_sm2_spki(spki):
        return False
    try:
        sm2.load_public_key(spki, b"").check(message, signature)
    except (InvalidSignature, Malformed):
        return False
    return True


def _not_supported(algorithm: Any, digest: str | None) -> Exception:
    """Of the signature itself it is said; of a certificate or a list above it, it leads to no anchor."""
    what = f"the algorithm {algorithm.native} with {digest}"
    return InvalidSignature(what) if digest is None else NotSupported(what)


_KEY_USAGE = KeyUsageConstraints(
    key_usage={"non_repudiation", "digital_signature"}, match_all_key_usages=False
)
"""EN 319 412-2 §4.3.2: either says that the key signs documents."""


def examine_foreign(
    found: Examination,
    steps: Steps,
    opened: Opened,
    inventory: Inventory,
    anchors: Sequence[bytes],
    crls: Sequence[bytes],
    verified_at: datetime,
) -> None:
    """Notes what is found of every signature in the file; `anchors` and `crls` are DER."""
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
    known = Known(opened.reader, anchors, crls, verified_at)
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
    """Told, and without a say in the verdict."""
    return Finding(check, Result.NOT_CHECKED, code, one_line(detail, 400))


@dataclass(frozen=True, slots=True)
class Known:
    """What a signature in `reader`'s file is judged by: anchors and revocation lists (DER), and when."""

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


def _judge(opened: Opened, found: FoundSignature, known: Known) -> _Judged:
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
    except Exception as exc:  # see Steps.take; what a library cannot take apart proves nothing
        return not_supported(f"something in the signature ({type(exc).__name__})")
    facts["best_time"] = _isoformat(outcome.best_time)
    if outcome.code == "OK" and outcome.best_time is not None and is_ahead(outcome.best_time, known.at):
        return _Judged(Result.INDETERMINATE, "TIME_AHEAD", str(facts["best_time"]), facts, end)
    if outcome.code == "SIG_CRYPTO_FAILURE" and found.is_rewritten:
        return not_supported("signed attributes in BER")  # whose bytes were signed as they stood, or were not
    result = {"OK": Result.PASSED, "HASH_FAILURE": Result.FAILED, "SIG_CRYPTO_FAILURE": Result.FAILED}.get(
        outcome.code, Result.INDETERMINATE
    )
    return _Judged(result, outcome.code, outcome.detail, facts, end, outcome.is_revocation_open)


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


def code_of(indication: str) -> str:
    """The code of a finding for a sub-indication of EN 319 102-1."""
    code = _CODES.get(indication, indication)
    return code if code in HEADLINES else "NOT_PROVEN"


_REVOKED = ("SEAL_CERT_REVOKED", "CERT_REVOKED")


@dataclass(frozen=True, slots=True)
class _Outcome:
    """`code` is OK, or why not. `is_revocation_open`: nothing at hand says whether a certificate was revoked."""

    code: str
    detail: str
    best_time: datetime | None
    is_revocation_open: bool = False


def _validate(opened: Opened, signature: EmbeddedPdfSignature, known: Known) -> _Outcome:
    """As of `at` first; what does not stand any more by itself may stand by its document time-stamps."""
    signed = _signed_bytes(opened, signature)
    outcome = _validate_now(signature, known, signed, "hard-fail")
    if outcome.code == "OK":
        # Asked for of every certificate, and not only where it says who knows: what is revoked all the same is found.
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
            # As above, for the time that is proven: lists of today tell what was revoked by then.
            proven_at = archived.best_signature_time
            then = _validate_now(
                signature, replace(known, at=proven_at), signed, "require", looking_back=True
            )
            if then.code in _REVOKED:
                return then
            return _Outcome("OK", "", proven_at, is_revocation_open=then.code != "OK")
    if outcome.code == "REVOCATION_UNKNOWN":
        # The library has one word for a chain that does not hold and for one of which nothing more is known.
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
    known: Known,
    signed: bytes,
    revocation: str,
    *,
    looking_back: bool = False,
) -> _Outcome:
    """`looking_back`: with lists that were made after the time it is asked for."""
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
        if _has_short_key(each.signing_cert):  # of time-stamps the library does not ask
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
    """RSA below 2048 bits, elliptic curves below 224 (NIST SP 800-131A, table 2)."""
    key = cert.public_key
    return int(key.bit_size) < (2048 if key.algorithm == "rsa" else 224)


def _is_archived(reader: PdfFileReader) -> bool:
    return bool(list(reader.embedded_timestamp_signatures))


def _context(known: Known, signed: bytes, revocation: str, looking_back: bool) -> Any:
    """Anchors of the caller; of the file itself only what proves something by its own signature.

    `revocation`: hard-fail where a certificate says who knows, require of every one, soft-fail of none.
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
    """By what is there (EN 319 142-1 §6): time-stamp, evidence in a DSS, a document time-stamp over it."""
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


def _spec(known: Known, signed: bytes) -> PdfSignatureValidationSpec:
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
