"""Reading the few facts of X.509 certificates that decisions are based on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from asn1crypto import x509

from keys import asn1
from keys.suites import Suite, check_signature, suite_of_public_key
from trust.encoding.digests import sha256
from trust.model.errors import Malformed


@dataclass(frozen=True, slots=True)
class X509Facts:
    """`sha256` is the digest of the DER; `issuer` and `subject` are DER names."""

    sha256: bytes
    suite: Suite
    public_key: bytes
    serial: int
    issuer: bytes
    subject: bytes
    common_name: str
    not_before: datetime
    not_after: datetime


def read_x509_cert(der: bytes) -> X509Facts:
    """Reads a certificate (DER). Raises `Malformed` unless its key is of one of our suites."""
    asn1.register()
    try:
        cert = x509.Certificate.load(der, strict=True)
        tbs = cert["tbs_certificate"]
        spki = tbs["subject_public_key_info"].dump()
        return X509Facts(
            sha256=sha256(der),
            suite=suite_of_public_key(spki),
            public_key=spki,
            serial=int(tbs["serial_number"].native),
            issuer=tbs["issuer"].dump(),
            subject=tbs["subject"].dump(),
            common_name=str(cert.subject.native.get("common_name", "")),
            not_before=cert.not_valid_before,
            not_after=cert.not_valid_after,
        )
    except asn1.NOT_READABLE as exc:
        raise Malformed("The bytes are not an X.509 certificate that can be used here.") from exc


def check_issued_by(der: bytes, issuer_der: bytes) -> None:
    """Checks that `issuer_der`'s key signed `der` and the names match. Validity and usage are not checked here."""
    asn1.register()
    issuer = read_x509_cert(issuer_der)
    try:
        cert = x509.Certificate.load(der, strict=True)
        tbs, signature = cert["tbs_certificate"], cert["signature_value"].native
        named, signed = tbs["issuer"].dump(), tbs.dump()
    except asn1.NOT_READABLE as exc:
        raise Malformed("The bytes are not an X.509 certificate that can be used here.") from exc
    if named != issuer.subject:
        raise Malformed("The certificate names another issuer.")
    check_signature(issuer.suite, issuer.public_key, signed, signature)


def ca_term(der: bytes) -> tuple[datetime, datetime]:
    """The validity period of a CA certificate of any algorithm. Raises `Malformed` if it is not a CA's."""
    asn1.register()
    try:
        cert = x509.Certificate.load(der, strict=True)
        if cert.basic_constraints_value is None or not cert.basic_constraints_value["ca"].native:
            raise Malformed("The certificate is not that of a CA.", "Give the CA's own, not one it issued.")
        return cert.not_valid_before, cert.not_valid_after
    except asn1.NOT_READABLE as exc:
        raise Malformed("The bytes are not an X.509 certificate.", "Give a PEM or DER file.") from exc
