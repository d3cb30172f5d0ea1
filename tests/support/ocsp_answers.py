"""A client of OCSP: is an answer (RFC 6960) to be believed, and what does it say?"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

from asn1crypto import core, ocsp, x509

from keys import asn1
from keys.pki.build import signature_algorithm
from keys.pki.ocsp import GOOD, UNKNOWN, CertStatus, Revoked, read_cert_id
from keys.pki.read import check_issued_by, read_x509_cert
from keys.suites import check_signature
from trust.model.errors import EvidenceUnavailableError, Malformed, VerificationError

_CLOCKS_APART = timedelta(minutes=5)


def check_response(
    der: bytes, cert: bytes, issuer: bytes, *, at: datetime, nonce: bytes | None = None
) -> CertStatus:
    """What an answer says about `cert` of `issuer` (both DER) at `at`.

    Believed is the issuer itself, or a responder that it delegated and that is in its time. Raises
    `VerificationError` for an answer that is wrong, `EvidenceUnavailableError` for one that says nothing about
    the certificate or is out of date.
    """
    asn1.register()
    try:
        response = ocsp.OCSPResponse.load(der, strict=True)
        status = response["response_status"].native
        if status != "successful":
            raise EvidenceUnavailableError(f"The OCSP responder says {status}.")
        basic = response.basic_ocsp_response
        data = basic["tbs_response_data"]
        _ = basic.native  # asn1crypto parses late: everything is parsed here, or nothing is believed
        answers = [(read_cert_id(item["cert_id"]), item) for item in data["responses"]]
        certs = [item.dump() for item in basic["certs"]]
        echoed = [
            core.OctetString.load(extension["extn_value"].contents, strict=True).native
            for extension in data["response_extensions"]
            if extension["extn_id"].native == "nonce"
        ]
        signed, signature = data.dump(), basic["signature"].native
    except asn1.NOT_READABLE as exc:
        raise _wrong("The bytes are not an OCSP answer.") from exc
    signer = _believed_signer(data["responder_id"], certs, issuer, at)
    facts = read_x509_cert(signer)
    if basic["signature_algorithm"].dump() != signature_algorithm(facts.suite).dump():
        raise _wrong("The OCSP answer is signed with another algorithm than its signer's suite.")
    check_signature(facts.suite, facts.public_key, signed, signature)
    if nonce is not None and (len(echoed) != 1 or not hmac.compare_digest(echoed[0], nonce)):
        raise _wrong("The OCSP answer is to another question: its nonce is not ours.")
    serial = read_x509_cert(cert).serial
    for cert_id, item in answers:
        if cert_id.serial == serial and cert_id.is_under(issuer):
            return _decode_status(item, at)
    raise EvidenceUnavailableError("The OCSP answer says nothing about this certificate.")


def _believed_signer(
    responder_id: ocsp.ResponderId, certs: Sequence[bytes], issuer: bytes, at: datetime
) -> bytes:
    for der in (*certs, issuer):
        loaded = x509.Certificate.load(der)
        key_hash = loaded["tbs_certificate"]["subject_public_key_info"].sha1
        if responder_id.name == "by_key":
            is_named = responder_id.chosen.native == key_hash
        else:
            is_named = responder_id.chosen.dump() == loaded.subject.dump()
        if not is_named:
            continue
        if der == issuer:
            return der
        usage = loaded.extended_key_usage_value
        if usage is None or "ocsp_signing" not in usage.native:
            raise _wrong("The OCSP answer is signed by a certificate that may not sign answers.")
        try:
            check_issued_by(der, issuer)
        except Malformed as exc:
            raise _wrong("The OCSP responder was not delegated by the certificate's issuer.") from exc
        if not loaded.not_valid_before <= at <= loaded.not_valid_after:
            raise _wrong("The OCSP responder's certificate is outside its term.")
        return der
    raise _wrong("The OCSP answer does not carry its responder's certificate.")


def _decode_status(item: ocsp.SingleResponse, at: datetime) -> CertStatus:
    # Without an end, there is newer information at any time (§4.2.2.1): it is good for when it was made.
    until = item["next_update"].native or item["this_update"].native
    if item["this_update"].native - _CLOCKS_APART > at or until + _CLOCKS_APART < at:
        raise EvidenceUnavailableError("The OCSP answer is not of this time.", code="STATUS_STALE")
    match item["cert_status"].name:
        case "good":
            return GOOD
        case "revoked":
            return Revoked(item["cert_status"].chosen["revocation_time"].native)
    return UNKNOWN


def _wrong(what: str) -> VerificationError:
    return VerificationError(what, code="OCSP_INVALID")
