"""CAs that are not ours, with their faults: made with asn1crypto here, so that every byte can be got wrong."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asn1crypto import algos, core, crl, csr, x509
from asn1crypto import keys as asn1_keys
from cryptography import x509 as pyca_x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12PrivateKeyTypes

from keys import asn1, sm2
from keys.pki.build import signature_algorithm
from keys.suites import Suite

SIGNS = {"digital_signature", "non_repudiation"}
AT = datetime(2026, 11, 23, tzinfo=UTC)
PASSWORD = b"of the CA's tool"
_serials = itertools.count(1000)


def spki_of(key: Any) -> bytes:
    if hasattr(key, "to_encrypted_pkcs8"):
        return bytes(key.public_key)
    return bytes(
        key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def new_key(suite: Suite, *, bits: int = 3072) -> Any:
    match suite:
        case Suite.SM2_SM3:
            return sm2.generate_private_key()
        case Suite.P256_SHA256:
            return ec.generate_private_key(ec.SECP256R1())
        case _:
            return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _sign(key: Any, message: bytes) -> bytes:
    from keys.custody import KeyPurpose, _PyCaSigningKey, _Sm2SigningKey, make_record

    if hasattr(key, "to_encrypted_pkcs8"):
        record = make_record(key.public_key, KeyPurpose.ISSUING_CA, Suite.SM2_SM3, "", AT)
        return _Sm2SigningKey(record, key).sign(message)
    record = make_record(spki_of(key), KeyPurpose.ISSUING_CA, Suite.P256_SHA256, "", AT)
    return _PyCaSigningKey(record, key).sign(message)


@dataclass
class OutsideCa:
    """A root and an issuing CA under it. `certs` is what the CA hands out with a certificate."""

    name: str
    suite: Suite
    at: datetime
    crl_base: str | None = None
    """Where its revocation lists are to be had: `<base>/root.crl` and `<base>/ca.crl`."""

    def __post_init__(self) -> None:
        asn1.register()
        self.root_key, self.key = new_key(self.suite), new_key(self.suite)
        root = f"{self.name} Root"
        usage = {"key_cert_sign", "crl_sign"}
        self.root = self.make(
            root,
            spki_of(self.root_key),
            issuer=(root, self.root_key),
            ca=True,
            usage=usage,
            days=(-1, 7300),
            crl=None,
        )
        self.cert = self.make(
            f"{self.name} CA",
            spki_of(self.key),
            issuer=(root, self.root_key),
            ca=True,
            usage=usage,
            days=(-1, 7300),
            crl="root",
        )

    def crl(
        self,
        at: datetime,
        *revoked: bytes,
        of: str = "ca",
        number: int | None = 1,
        days: int = 7,
        since: datetime | None = None,
        extensions: Sequence[dict[str, Any]] = (),
        signed_by: Any = None,
        algorithm: Any = None,
    ) -> bytes:
        """A revocation list of the issuing CA, or of the root; `revoked` are certificates (DER)."""
        issuer, key = (f"{self.name} CA", self.key) if of == "ca" else (f"{self.name} Root", self.root_key)
        outer = algorithm if algorithm is not None else signature_algorithm(self.suite)
        more = list(extensions)
        if number is not None:
            more.append({"extn_id": "crl_number", "critical": False, "extn_value": number})
        tbs = crl.TbsCertList(
            {
                "version": "v2",
                "signature": outer,
                "issuer": x509.Name.build({"country_name": "CN", "common_name": issuer}),
                "this_update": x509.Time({"utc_time": core.UTCTime(at.replace(microsecond=0))}),
                "next_update": x509.Time(
                    {"utc_time": core.UTCTime((at + timedelta(days=days)).replace(microsecond=0))}
                ),
            }
        )
        if more:
            tbs["crl_extensions"] = more
        if revoked:
            when = x509.Time({"utc_time": core.UTCTime((since or at).replace(microsecond=0))})
            tbs["revoked_certificates"] = [
                {"user_certificate": x509.Certificate.load(cert).serial_number, "revocation_date": when}
                for cert in revoked
            ]
        value = _sign(signed_by or key, tbs.dump())
        return bytes(
            crl.CertificateList(
                {"tbs_cert_list": tbs, "signature_algorithm": outer, "signature": value}
            ).dump()
        )

    def issue(self, spki: bytes, **spoiled: Any) -> bytes:
        return self.make("春城市市场监督管理局", spki, issuer=(f"{self.name} CA", self.key), **spoiled)

    def make(
        self,
        name: str,
        spki: bytes,
        *,
        issuer: tuple[str, Any],
        usage: set[str] | None = SIGNS,
        extended: list[str] | None = None,
        ca: bool = False,
        days: tuple[int, int] = (-1, 365),
        algorithm: Any = None,
        inner: Any = None,
        signature: bytes | None = None,
        critical: str | None = None,
        crl: str | None = "ca",
        is_extended_critical: bool = False,
    ) -> bytes:
        extensions: list[dict[str, Any]] = [
            {"extn_id": "basic_constraints", "critical": True, "extn_value": {"ca": ca}}
        ]
        if usage is not None:
            extensions.append({"extn_id": "key_usage", "critical": True, "extn_value": usage})
        if extended:
            extensions.append(
                {"extn_id": "extended_key_usage", "critical": is_extended_critical, "extn_value": extended}
            )
        if crl and self.crl_base:
            where = x509.GeneralName("uniform_resource_identifier", f"{self.crl_base}/{crl}.crl")
            point = {"distribution_point": x509.DistributionPointName("full_name", [where])}
            extensions.append(
                {"extn_id": "crl_distribution_points", "critical": False, "extn_value": [point]}
            )
        if critical:
            extensions.append(
                {"extn_id": critical, "critical": True, "extn_value": core.ParsableOctetString(b"\x05\x00")}
            )
        outer = algorithm if algorithm is not None else signature_algorithm(self.suite)
        tbs = x509.TbsCertificate(
            {
                "version": "v3",
                "serial_number": next(_serials),
                "signature": inner if inner is not None else outer,
                "issuer": x509.Name.build({"country_name": "CN", "common_name": issuer[0]}),
                "validity": {
                    "not_before": x509.Time({"utc_time": core.UTCTime(self.at + timedelta(days=days[0]))}),
                    "not_after": x509.Time({"utc_time": core.UTCTime(self.at + timedelta(days=days[1]))}),
                },
                "subject": x509.Name.build({"country_name": "CN", "common_name": name}),
                "subject_public_key_info": asn1_keys.PublicKeyInfo.load(spki),
                "extensions": extensions,
            }
        )
        value = signature if signature is not None else _sign(issuer[1], tbs.dump())
        return bytes(
            x509.Certificate(
                {"tbs_certificate": tbs, "signature_algorithm": outer, "signature_value": value}
            ).dump()
        )


def sm2_algorithm(oid: str = "1.2.156.10197.1.501", *, null: bool = False) -> algos.SignedDigestAlgorithm:
    """An AlgorithmIdentifier as somebody may have written it."""
    fields: dict[str, Any] = {"algorithm": oid}
    if null:
        fields["parameters"] = core.Null()
    return algos.SignedDigestAlgorithm(fields)


def requested_key(der: bytes) -> bytes:
    info = csr.CertificationRequest.load(der)["certification_request_info"]
    return bytes(info["subject_pk_info"].dump())


def pfx(ca: OutsideCa, key: PKCS12PrivateKeyTypes, cert: bytes, *, password: bytes = PASSWORD) -> bytes:
    load = pyca_x509.load_der_x509_certificate
    return pkcs12.serialize_key_and_certificates(
        b"seal",
        key,
        load(cert),
        [load(ca.cert)],
        BestAvailableEncryption(password),
    )
