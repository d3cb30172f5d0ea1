"""OCSP (RFC 6960; RFC 9654 for the nonce): whether a certificate of a CA is good, revoked or unknown.

Answers are signed by a responder that the CA delegated (§4.2.2.2): its certificate has id-kp-OCSPSigning and
id-pkix-ocsp-nocheck, and is included in the answer. RSA, P-256 and SM2 are handled alike; SM2 answers are signed like
certificates, with 1.2.156.10197.1.501 over the default ID.

    OCSPRequest  { tbsRequest { requestList { { CertID { hash, issuerNameHash, issuerKeyHash, serial } } … }, nonce? } }
    OCSPResponse { successful, id-pkix-ocsp-basic: {
                   tbsResponseData { byKey, producedAt, { CertID, status, thisUpdate, nextUpdate } …, nonce? },
                   algorithm, signature, { responder's certificate } } }

CertIDs are read with SHA-1, SHA-256 and SM3, which all occur. `good` is answered only for serials that the CA issued
(§2.2 leaves that open; answering it for any other would vouch for forgeries).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from asn1crypto import core, ocsp, x509
from asn1crypto import keys as asn1_keys

from keys import asn1
from keys.custody import SigningKey
from keys.pki.build import signature_algorithm
from keys.pki.read import read_x509_cert
from trust.encoding.digests import digest
from trust.model.errors import Malformed

MAX_REQUEST_BYTES = 4096
MAX_CERTS = 16
_MAX_NONCE = 128  # RFC 9654 §2.1


class _Good:
    """The CA issued the certificate and did not revoke it."""


class _Unknown:
    """The CA did not issue the certificate, or the request is about another CA."""


GOOD, UNKNOWN = _Good(), _Unknown()


@dataclass(frozen=True, slots=True)
class Revoked:
    revoked_at: datetime


CertStatus = _Good | _Unknown | Revoked


@dataclass(frozen=True, slots=True)
class CertId:
    """The certificate that is asked about. `encoded` is the CertID as received (DER), to be returned unchanged."""

    encoded: bytes
    algorithm: str
    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int

    def is_under(self, issuer: bytes) -> bool:
        """True if the CertID means this issuer (certificate, DER)."""
        name_hash, key_hash = _issuer_hashes(self.algorithm, issuer)
        return (name_hash, key_hash) == (self.issuer_name_hash, self.issuer_key_hash)


@dataclass(frozen=True, slots=True)
class OcspRequest:
    cert_ids: tuple[CertId, ...]
    nonce: bytes | None


def read_request(der: bytes) -> OcspRequest:
    """Decodes a request. Raises `Malformed` if it is none, is too large, or uses an unsupported digest.

    A signature on the request is ignored, because anyone may ask.
    """
    asn1.register()
    if len(der) > MAX_REQUEST_BYTES:
        raise Malformed(f"The OCSP request has more than {MAX_REQUEST_BYTES} bytes.")
    try:
        tbs = ocsp.OCSPRequest.load(der, strict=True)["tbs_request"]
        _ = tbs.native  # asn1crypto parses late
        found = tuple(read_cert_id(item["req_cert"]) for item in tbs["request_list"])
        nonces = [
            core.OctetString.load(extension["extn_value"].contents, strict=True).native
            for extension in tbs["request_extensions"]
            if extension["extn_id"].native == "nonce"
        ]
    except asn1.NOT_READABLE as exc:
        raise Malformed("The bytes are not an OCSP request.") from exc
    if not 1 <= len(found) <= MAX_CERTS:
        raise Malformed(f"An OCSP request asks about 1 to {MAX_CERTS} certificates.")
    if len(nonces) > 1 or any(not 1 <= len(nonce) <= _MAX_NONCE for nonce in nonces):
        raise Malformed(f"The nonce of an OCSP request has 1 to {_MAX_NONCE} bytes.")
    return OcspRequest(found, nonces[0] if nonces else None)


def make_request(certs: Sequence[bytes], issuer: bytes, *, nonce: bytes | None, algorithm: str) -> bytes:
    """A request (DER) about certificates of one issuer (all DER). `algorithm`: sha1, sha256 or sm3."""
    asn1.register()
    name_hash, key_hash = _issuer_hashes(algorithm, issuer)
    listed = [
        {
            "req_cert": {
                "hash_algorithm": {"algorithm": algorithm},
                "issuer_name_hash": name_hash,
                "issuer_key_hash": key_hash,
                "serial_number": read_x509_cert(cert).serial,
            }
        }
        for cert in certs
    ]
    tbs: dict[str, Any] = {"request_list": listed}
    if nonce is not None:
        tbs["request_extensions"] = [{"extn_id": "nonce", "extn_value": core.OctetString(nonce)}]
    return bytes(ocsp.OCSPRequest({"tbs_request": tbs}).dump())


@dataclass(frozen=True, slots=True)
class Responder:
    """Answers for one CA. `cert` is the responder's certificate, issued by `issuer` (both DER)."""

    key: SigningKey
    cert: bytes
    issuer: bytes

    def respond(
        self,
        request: OcspRequest,
        status_of: Callable[[int], CertStatus],
        *,
        at: datetime,
        next_update: datetime,
    ) -> bytes:
        """The signed answer (OCSPResponse, DER). `status_of` is called only with serials under `issuer`."""
        spki = asn1_keys.PublicKeyInfo.load(self.key.record.public_key)
        data: dict[str, Any] = {
            "responder_id": ocsp.ResponderId("by_key", core.OctetString(spki.sha1)),
            "produced_at": at.replace(microsecond=0),
            "responses": [
                {
                    "cert_id": ocsp.CertId.load(cert_id.encoded),
                    "cert_status": _encode_status(
                        status_of(cert_id.serial) if cert_id.is_under(self.issuer) else UNKNOWN
                    ),
                    "this_update": at.replace(microsecond=0),
                    "next_update": next_update.replace(microsecond=0),
                }
                for cert_id in request.cert_ids
            ],
        }
        if request.nonce is not None:
            nonce = core.OctetString(request.nonce)
            data["response_extensions"] = [{"extn_id": "nonce", "critical": False, "extn_value": nonce}]
        tbs = ocsp.ResponseData(data)
        basic = ocsp.BasicOCSPResponse(
            {
                "tbs_response_data": tbs,
                "signature_algorithm": signature_algorithm(self.key.record.suite),
                "signature": self.key.sign(tbs.dump()),
                "certs": [x509.Certificate.load(self.cert)],
            }
        )
        body = {"response_type": "basic_ocsp_response", "response": basic}
        return bytes(ocsp.OCSPResponse({"response_status": "successful", "response_bytes": body}).dump())


def refusal(status: Literal["malformed_request", "internal_error", "try_later", "unauthorized"]) -> bytes:
    """An unsigned answer with an error status (§4.2.1)."""
    return bytes(ocsp.OCSPResponse({"response_status": status}).dump())


def _encode_status(status: CertStatus) -> ocsp.CertStatus:
    match status:
        case Revoked(revoked_at):
            when = core.GeneralizedTime(revoked_at.replace(microsecond=0))
            return ocsp.CertStatus("revoked", ocsp.RevokedInfo({"revocation_time": when}))
        case _Good():
            return ocsp.CertStatus("good", ocsp.StatusGood())
        case _Unknown():
            return ocsp.CertStatus("unknown", ocsp.StatusUnknown())


def read_cert_id(item: ocsp.CertId) -> CertId:
    """Raises `ValueError` for a digest that nobody uses."""
    algorithm = item["hash_algorithm"]["algorithm"].native
    if algorithm not in ("sha1", "sha256", "sm3"):
        raise ValueError("a digest that nobody uses in a CertID")
    return CertId(
        bytes(item.dump()),
        algorithm,
        item["issuer_name_hash"].native,
        item["issuer_key_hash"].native,
        int(item["serial_number"].native),
    )


def _issuer_hashes(algorithm: str, issuer: bytes) -> tuple[bytes, bytes]:
    """Digests of the issuer's name (DER) and of its public key's BIT STRING without the tag (§4.1.1)."""
    tbs = x509.Certificate.load(issuer)["tbs_certificate"]
    name, key = tbs["subject"].dump(), tbs["subject_public_key_info"]["public_key"].contents[1:]
    if algorithm == "sha1":
        # SHA-1 only identifies an issuer here; nothing is proven by it.
        return tuple(hashlib.sha1(data, usedforsecurity=False).digest() for data in (name, key))  # type: ignore[return-value]  # a pair
    return digest(algorithm, name), digest(algorithm, key)
