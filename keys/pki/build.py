"""Making X.509 certificates and revocation lists (RFC 5280, GB/T 20518).

| profile        | basicConstraints  | keyUsage                           | extendedKeyUsage        |
|----------------|-------------------|------------------------------------|-------------------------|
| ROOT           | CA                | keyCertSign, cRLSign               |                         |
| ISSUING        | CA, pathLen 0     | keyCertSign, cRLSign               |                         |
| SEAL           | no CA             | digitalSignature, nonRepudiation   |                         |
| SEAL_MAKER     | no CA             | digitalSignature, nonRepudiation   |                         |
| TIME_STAMP     | no CA             | digitalSignature, nonRepudiation   | timeStamping, critical  |

basicConstraints and keyUsage are critical everywhere. Names are UTF8String
with C=CN. End-entity certificates name where their CRL will be published; nothing of ours ever follows
that address while it verifies.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from asn1crypto import core, crl, x509
from asn1crypto import keys as asn1_keys
from cryptography import x509 as pyca_x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keys import asn1
from keys.custody import PyCaPrivateKey, SigningKey
from keys.suites import Suite
from trust.model.errors import Malformed


class Profile(Enum):
    ROOT = "root"
    ISSUING = "issuing"
    SEAL = "seal"
    SEAL_MAKER = "seal-maker"
    TIME_STAMP = "time-stamp"

    @property
    def is_ca(self) -> bool:
        return self in (Profile.ROOT, Profile.ISSUING)


@dataclass(frozen=True, slots=True)
class Subject:
    common_name: str
    organisation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """One certificate to be made: the same for both builders. Times are whole seconds."""

    profile: Profile
    subject: Subject
    public_key: bytes
    serial: int
    not_before: datetime
    not_after: datetime
    crl_address: str | None


@dataclass(frozen=True, slots=True)
class RevokedSerial:
    serial: int
    revoked_at: datetime


def make_x509_cert(
    profile: Profile,
    subject: Subject,
    public_key: bytes,
    issuer_key: SigningKey,
    issuer_cert: bytes | None,
    *,
    not_before: datetime,
    not_after: datetime,
    crl_address: str | None,
) -> bytes:
    """A signed X.509 certificate (DER) for `public_key` (SubjectPublicKeyInfo, DER).

    `issuer_cert` is None for a self-signed root. Serial numbers are 127 random bits. `not_before` and
    `not_after` are cut to whole seconds, as X.509 has no finer ones.
    """
    wanted = _Wanted(
        profile=profile,
        subject=subject,
        public_key=public_key,
        serial=secrets.randbits(126) | (1 << 126),
        not_before=not_before.replace(microsecond=0),
        not_after=not_after.replace(microsecond=0),
        crl_address=crl_address,
    )
    if issuer_key.record.suite is Suite.SM2_SM3:
        return _make_gm(wanted, issuer_key, issuer_cert)
    return _make_pyca(wanted, issuer_key, issuer_cert)


def make_crl(
    issuer_key: SigningKey,
    issuer_cert: bytes,
    revoked: Sequence[RevokedSerial],
    *,
    number: int,
    this_update: datetime,
    next_update: datetime,
) -> bytes:
    """A complete CRL, version 2 (DER), of one CA."""
    this_update, next_update = this_update.replace(microsecond=0), next_update.replace(microsecond=0)
    if issuer_key.record.suite is Suite.SM2_SM3:
        return _make_crl_gm(issuer_key, issuer_cert, revoked, number, this_update, next_update)
    return _make_crl_pyca(issuer_key, issuer_cert, revoked, number, this_update, next_update)


# --- RSA and EC, by cryptography ---------------------------------------------------------------------------


def _make_pyca(wanted: _Wanted, issuer_key: SigningKey, issuer_cert: bytes | None) -> bytes:
    name = pyca_x509.Name(
        [
            pyca_x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            pyca_x509.NameAttribute(NameOID.ORGANIZATION_NAME, wanted.subject.organisation),
            pyca_x509.NameAttribute(NameOID.COMMON_NAME, wanted.subject.common_name),
        ]
    )
    issuer = pyca_x509.load_der_x509_certificate(issuer_cert).subject if issuer_cert else name
    subject_key: Any = serialization.load_der_public_key(wanted.public_key)
    signer = _pyca_key(issuer_key)
    builder = (
        pyca_x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(subject_key)
        .serial_number(wanted.serial)
        .not_valid_before(wanted.not_before)
        .not_valid_after(wanted.not_after)
        .add_extension(
            pyca_x509.BasicConstraints(
                wanted.profile.is_ca, 0 if wanted.profile is Profile.ISSUING else None
            ),
            critical=True,
        )
        .add_extension(
            pyca_x509.KeyUsage(
                digital_signature=not wanted.profile.is_ca,
                content_commitment=not wanted.profile.is_ca,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=wanted.profile.is_ca,
                crl_sign=wanted.profile.is_ca,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(pyca_x509.SubjectKeyIdentifier.from_public_key(subject_key), critical=False)
        .add_extension(
            pyca_x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if wanted.profile is Profile.TIME_STAMP:
        builder = builder.add_extension(
            pyca_x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True
        )
    if wanted.crl_address:
        point = pyca_x509.DistributionPoint(
            [pyca_x509.UniformResourceIdentifier(wanted.crl_address)], None, None, None
        )
        builder = builder.add_extension(pyca_x509.CRLDistributionPoints([point]), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _make_crl_pyca(
    issuer_key: SigningKey,
    issuer_cert: bytes,
    revoked: Sequence[RevokedSerial],
    number: int,
    this_update: datetime,
    next_update: datetime,
) -> bytes:
    signer = _pyca_key(issuer_key)
    builder = (
        pyca_x509.CertificateRevocationListBuilder()
        .issuer_name(pyca_x509.load_der_x509_certificate(issuer_cert).subject)
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(pyca_x509.CRLNumber(number), critical=False)
        .add_extension(
            pyca_x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    for entry in revoked:
        builder = builder.add_revoked_certificate(
            pyca_x509.RevokedCertificateBuilder()
            .serial_number(entry.serial)
            .revocation_date(entry.revoked_at.replace(microsecond=0))
            .build()
        )
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _pyca_key(key: SigningKey) -> Any:
    pyca: PyCaPrivateKey | None = key.pyca
    if pyca is None:
        raise Malformed("This key is not held by the cryptography library.")
    return pyca


# --- SM2, by asn1crypto ------------------------------------------------------------------------------------


def _make_gm(wanted: _Wanted, issuer_key: SigningKey, issuer_cert: bytes | None) -> bytes:
    asn1.register()
    name = x509.Name.build(
        {
            "country_name": "CN",
            "organization_name": wanted.subject.organisation,
            "common_name": wanted.subject.common_name,
        }
    )
    issuer = x509.Certificate.load(issuer_cert).subject if issuer_cert else name
    spki = asn1_keys.PublicKeyInfo.load(wanted.public_key)
    issuer_spki = asn1_keys.PublicKeyInfo.load(issuer_key.record.public_key)
    usage = (
        {"key_cert_sign", "crl_sign"} if wanted.profile.is_ca else {"digital_signature", "non_repudiation"}
    )
    constraints: dict[str, Any] = {"ca": wanted.profile.is_ca}
    if wanted.profile is Profile.ISSUING:
        constraints["path_len_constraint"] = 0
    extensions: list[dict[str, Any]] = [
        {"extn_id": "basic_constraints", "critical": True, "extn_value": constraints},
        {"extn_id": "key_usage", "critical": True, "extn_value": usage},
        {"extn_id": "key_identifier", "critical": False, "extn_value": spki.sha1},
        {
            "extn_id": "authority_key_identifier",
            "critical": False,
            "extn_value": {"key_identifier": issuer_spki.sha1},
        },
    ]
    if wanted.profile is Profile.TIME_STAMP:
        extensions.append(
            {"extn_id": "extended_key_usage", "critical": True, "extn_value": ["time_stamping"]}
        )
    if wanted.crl_address:
        point = {
            "distribution_point": x509.DistributionPointName(
                "full_name", [x509.GeneralName("uniform_resource_identifier", wanted.crl_address)]
            )
        }
        extensions.append({"extn_id": "crl_distribution_points", "critical": False, "extn_value": [point]})
    algorithm = {"algorithm": "sm3_sm2"}
    tbs = x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": wanted.serial,
            "signature": algorithm,
            "issuer": issuer,
            "validity": {"not_before": _time(wanted.not_before), "not_after": _time(wanted.not_after)},
            "subject": name,
            "subject_public_key_info": spki,
            "extensions": extensions,
        }
    )
    signed = x509.Certificate(
        {
            "tbs_certificate": tbs,
            "signature_algorithm": algorithm,
            "signature_value": issuer_key.sign(tbs.dump()),
        }
    )
    return bytes(signed.dump())


def _make_crl_gm(
    issuer_key: SigningKey,
    issuer_cert: bytes,
    revoked: Sequence[RevokedSerial],
    number: int,
    this_update: datetime,
    next_update: datetime,
) -> bytes:
    asn1.register()
    issuer_spki = asn1_keys.PublicKeyInfo.load(issuer_key.record.public_key)
    algorithm = {"algorithm": "sm3_sm2"}
    tbs = crl.TbsCertList(
        {
            "version": "v2",
            "signature": algorithm,
            "issuer": x509.Certificate.load(issuer_cert).subject,
            "this_update": _time(this_update),
            "next_update": _time(next_update),
            "crl_extensions": [
                {
                    "extn_id": "authority_key_identifier",
                    "critical": False,
                    "extn_value": {"key_identifier": issuer_spki.sha1},
                },
                {"extn_id": "crl_number", "critical": False, "extn_value": number},
            ],
        }
    )
    if revoked:
        tbs["revoked_certificates"] = [
            {
                "user_certificate": entry.serial,
                "revocation_date": _time(entry.revoked_at.replace(microsecond=0)),
            }
            for entry in revoked
        ]
    signed = crl.CertificateList(
        {"tbs_cert_list": tbs, "signature_algorithm": algorithm, "signature": issuer_key.sign(tbs.dump())}
    )
    return bytes(signed.dump())


def _time(instant: datetime) -> x509.Time:
    # RFC 5280 §4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050.
    if instant.year < 2050:
        return x509.Time({"utc_time": core.UTCTime(instant)})
    return x509.Time({"general_time": core.GeneralizedTime(instant)})
