"""Making X.509 certificates and revocation lists (RFC 5280, GB/T 20518).

| profile        | basicConstraints  | keyUsage                           | extendedKeyUsage        |
|----------------|-------------------|------------------------------------|-------------------------|
| ROOT           | CA                | keyCertSign, cRLSign               |                         |
| ISSUING        | CA, pathLen 0     | keyCertSign, cRLSign               |                         |
| SEAL           | no CA             | digitalSignature, nonRepudiation   |                         |
| SEAL_MAKER     | no CA             | digitalSignature, nonRepudiation   |                         |
| TIME_STAMP     | no CA             | digitalSignature, nonRepudiation   | timeStamping, critical  |
| OCSP           | no CA             | digitalSignature, nonRepudiation   | OCSPSigning; nocheck    |

basicConstraints and keyUsage are critical everywhere. Names are UTF8String with C=CN. Certificates contain the
addresses of their CRL and of the OCSP responder (RFC 5280 §4.2.1.13, §4.2.2.1); our verifier never fetches these
addresses. An OCSP responder's certificate has neither: it is valid for a month and its revocation is not checked
(id-pkix-ocsp-nocheck, RFC 6960 §4.2.2.2.1).

Everything is built with asn1crypto and signed through `SigningKey`, for any suite and place of the key. `cryptography`
has builders too, but they do not support SM2 and need the private key itself, which a token never gives out.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from asn1crypto import algos, core, crl, csr, x509
from asn1crypto import keys as asn1_keys

from keys import asn1
from keys.custody import SigningKey
from keys.suites import Suite

_SIGNS = {"digital_signature", "non_repudiation"}


class Profile(Enum):
    ROOT = "root"
    ISSUING = "issuing"
    SEAL = "seal"
    SEAL_MAKER = "seal-maker"
    TIME_STAMP = "time-stamp"
    OCSP = "ocsp"

    @property
    def is_ca(self) -> bool:
        return self in (Profile.ROOT, Profile.ISSUING)


@dataclass(frozen=True, slots=True)
class Subject:
    common_name: str
    organisation: str


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
    ocsp_address: str | None = None,
) -> bytes:
    """A signed X.509 certificate (DER) for `public_key` (SubjectPublicKeyInfo, DER).

    `issuer_cert` is None for a self-signed root. Serial numbers are 127 random bits. `not_before` and `not_after` are
    truncated to whole seconds, the resolution of X.509.
    """
    asn1.register()
    name = _name(subject)
    issuer = x509.Certificate.load(issuer_cert).subject if issuer_cert else name
    spki = asn1_keys.PublicKeyInfo.load(public_key)
    issuer_spki = asn1_keys.PublicKeyInfo.load(issuer_key.record.public_key)
    usage = {"key_cert_sign", "crl_sign"} if profile.is_ca else {"digital_signature", "non_repudiation"}
    constraints: dict[str, Any] = {"ca": profile.is_ca}
    if profile is Profile.ISSUING:
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
    if profile is Profile.TIME_STAMP:
        extensions.append(
            {"extn_id": "extended_key_usage", "critical": True, "extn_value": ["time_stamping"]}
        )
    if profile is Profile.OCSP:
        extensions.append(
            {"extn_id": "extended_key_usage", "critical": False, "extn_value": ["ocsp_signing"]}
        )
        extensions.append({"extn_id": "ocsp_no_check", "critical": False, "extn_value": core.Null()})
    if ocsp_address:
        where = x509.GeneralName("uniform_resource_identifier", ocsp_address)
        access = [{"access_method": "ocsp", "access_location": where}]
        extensions.append(
            {"extn_id": "authority_information_access", "critical": False, "extn_value": access}
        )
    if crl_address:
        point = {
            "distribution_point": x509.DistributionPointName(
                "full_name", [x509.GeneralName("uniform_resource_identifier", crl_address)]
            )
        }
        extensions.append({"extn_id": "crl_distribution_points", "critical": False, "extn_value": [point]})
    algorithm = signature_algorithm(issuer_key.record.suite)
    tbs = x509.TbsCertificate(
        {
            "version": "v3",
            "serial_number": secrets.randbits(126) | (1 << 126),
            "signature": algorithm,
            "issuer": issuer,
            "validity": {"not_before": _time(not_before), "not_after": _time(not_after)},
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
    asn1.register()
    issuer_spki = asn1_keys.PublicKeyInfo.load(issuer_key.record.public_key)
    algorithm = signature_algorithm(issuer_key.record.suite)
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
                "revocation_date": _time(entry.revoked_at),
            }
            for entry in revoked
        ]
    signed = crl.CertificateList(
        {"tbs_cert_list": tbs, "signature_algorithm": algorithm, "signature": issuer_key.sign(tbs.dump())}
    )
    return bytes(signed.dump())


def make_csr(key: SigningKey, subject: Subject) -> bytes:
    """A request for a seal's certificate (PKCS #10, RFC 2986, DER), signed by the key itself.

    It asks for the usage of a seal. For SM2 the signature is over the default ID, like a certificate's
    (GM/T 0092).
    """
    asn1.register()
    wanted = [{"extn_id": "key_usage", "critical": True, "extn_value": _SIGNS}]
    info = csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": _name(subject),
            "subject_pk_info": asn1_keys.PublicKeyInfo.load(key.record.public_key),
            "attributes": [{"type": "extension_request", "values": [wanted]}],
        }
    )
    signed = csr.CertificationRequest(
        {
            "certification_request_info": info,
            "signature_algorithm": signature_algorithm(key.record.suite),
            "signature": key.sign(info.dump()),
        }
    )
    return bytes(signed.dump())


def _name(subject: Subject) -> x509.Name:
    return x509.Name.build(
        {
            "country_name": "CN",
            "organization_name": subject.organisation,
            "common_name": subject.common_name,
        }
    )


def signature_algorithm(suite: Suite) -> algos.SignedDigestAlgorithm:
    """The AlgorithmIdentifier of the suite's signatures in X.509, CRLs, requests and OCSP answers."""
    asn1.register()
    match suite:
        case Suite.SM2_SM3:
            # Parameters absent, as OpenSSL and BouncyCastle write it; NULL is accepted when reading.
            return algos.SignedDigestAlgorithm({"algorithm": "sm3_sm2"})
        case Suite.RSA3072_SHA256:
            # RFC 4055 §5: the parameters are NULL and must be there.
            return algos.SignedDigestAlgorithm({"algorithm": "sha256_rsa", "parameters": core.Null()})
        case Suite.P256_SHA256:
            return algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"})  # RFC 5758 §3.2: absent
        case Suite.ED25519:
            return algos.SignedDigestAlgorithm({"algorithm": "ed25519"})  # RFC 8410 §3: absent


def _time(instant: datetime) -> x509.Time:
    # RFC 5280 §4.1.2.5: whole seconds; UTCTime through 2049, GeneralizedTime from 2050.
    instant = instant.replace(microsecond=0)
    if instant.year < 2050:
        return x509.Time({"utc_time": core.UTCTime(instant)})
    return x509.Time({"general_time": core.GeneralizedTime(instant)})
