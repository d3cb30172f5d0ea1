"""The CMS frames of a seal signature and of a time-stamp token, byte for byte.

A library's verdict on a CMS structure leaves many bytes unchecked: versions, digest lists, order, extra certificates,
unused attributes. Here each frame has exactly one encoding for given parts. The sealer writes with these functions, and
the verifier rebuilds the frame with the same functions from pinned certificates and the parts it checked, and compares
bytes. If they are equal, no byte can have been changed.

Seal signature (RFC 5652, ETSI EN 319 142-1), detached:

    ContentInfo { signedData, [0] SignedData {
      version 1, digestAlgorithms { D }, encapContentInfo { id-data },
      certificates [0] { X.509 certificates in DER SET order },          -- the pinned set, stored bytes
      signerInfos { SignerInfo {
        version 1, sid { issuer, serial } of the sealing certificate, digestAlgorithm D,
        signedAttrs [0] SET, signatureAlgorithm S, signature OCTET STRING,
        unsignedAttrs [1] SET { time-stamp token, ledger receipt? } } } } }

Time-stamp token (RFC 3161): the same with version 3, encapContentInfo { id-ct-TSTInfo, [0] OCTET STRING },
and without unsignedAttrs. No CRLs anywhere. D and S are fixed by the suite:

| suite          | D (parameters absent)     | S                                    |
|----------------|---------------------------|--------------------------------------|
| SM2-SM3        | 1.2.156.10197.1.401       | 1.2.156.10197.1.501, absent          |
| RSA3072-SHA256 | 2.16.840.1.101.3.4.2.1    | 1.2.840.113549.1.1.11, NULL          |
| P256-SHA256    | 2.16.840.1.101.3.4.2.1    | 1.2.840.10045.4.3.2, absent          |

Signed attributes of both: content-type, message-digest, signing-certificate-v2 (RFC 5035) with the issuer and
serial number of the certificate. All but the message digest are the same in every signature of one signer, so
they are encoded once and given to `encode_signed_attributes` with the digest of each document.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from asn1crypto import core, x509

from trust.encoding.der import SET, octets, sequence, set_of, small_integer, tlv
from trust.encoding.digests import digest

CONTENT_TYPE_OID = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST_OID = "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE_V2_OID = "1.2.840.113549.1.9.16.2.47"
SEAL_DATA_OID = "2.25.188304937846211902361047912273940281459"
"""The signed CMS attribute with the national seal data (SESeal), in our own arc, as in `keys.asn1`."""
SIGNATURE_TIME_STAMP_OID = "1.2.840.113549.1.9.16.2.14"

_SM3 = bytes.fromhex("300a06082a811ccf55018311")
_SHA256 = bytes.fromhex("300b0609608648016503040201")
_DIGEST_ALGORITHM = {"SM2-SM3": _SM3, "RSA3072-SHA256": _SHA256, "P256-SHA256": _SHA256}
_SIGNATURE_ALGORITHM = {
    "SM2-SM3": bytes.fromhex("300a06082a811ccf55018375"),
    "RSA3072-SHA256": bytes.fromhex("300d06092a864886f70d01010b0500"),
    "P256-SHA256": bytes.fromhex("300a06082a8648ce3d040302"),
}
_ID_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_ID_DATA = bytes.fromhex("06092a864886f70d010701")
_ID_TST_INFO = bytes.fromhex("060b2a864886f70d0109100104")


def encode_attribute(oid: str, value: bytes) -> bytes:
    """Attribute { attrType, attrValues SET OF } with the one value (DER) given."""
    return sequence(_oid(oid), tlv(SET, value))


def encode_constant_seal_attributes(suite: str, sealing_cert: bytes, seal_data: bytes) -> tuple[bytes, ...]:
    """The signed attributes (DER) that are the same in every signature of one seal; `seal_data` is its SESeal."""
    algorithm = "sm3" if suite == "SM2-SM3" else "sha256"
    return (
        encode_attribute(CONTENT_TYPE_OID, _ID_DATA),
        encode_attribute(SIGNING_CERTIFICATE_V2_OID, _signing_certificate_v2(sealing_cert, algorithm)),
        encode_attribute(SEAL_DATA_OID, seal_data),
    )


def encode_constant_time_stamp_attributes(tsa_cert: bytes) -> tuple[bytes, ...]:
    """The same for a time-stamp authority, whose certificate is named by its SHA-256 in every suite."""
    return (
        encode_attribute(CONTENT_TYPE_OID, _ID_TST_INFO),
        encode_attribute(SIGNING_CERTIFICATE_V2_OID, _signing_certificate_v2(tsa_cert, "sha256")),
    )


def encode_signed_attributes(constant: Sequence[bytes], message_digest: bytes) -> bytes:
    """The DER SET (tag 0x31) that is signed: the constant attributes and the digest of the content."""
    return set_of([*constant, encode_attribute(MESSAGE_DIGEST_OID, octets(message_digest))])


def encode_seal_cms(
    *,
    suite: str,
    x509_certs: Sequence[bytes],
    sealing_cert: bytes,
    signed_attrs: bytes,
    signature: bytes,
    unsigned_attrs: Sequence[bytes],
) -> bytes:
    """The CMS of a seal. `signed_attrs` is the DER SET (tag 0x31) that was signed."""
    return _content_info(
        version=1,
        suite=suite,
        content=sequence(_ID_DATA),
        x509_certs=x509_certs,
        signer_cert=sealing_cert,
        signed_attrs=signed_attrs,
        signature=signature,
        unsigned_attrs=unsigned_attrs,
    )


def encode_time_stamp_token(
    *, suite: str, tsa_certs: Sequence[bytes], tst_info: bytes, signed_attrs: bytes, signature: bytes
) -> bytes:
    """The token; the first of `tsa_certs` is the one that signed."""
    return _content_info(
        version=3,
        suite=suite,
        content=sequence(_ID_TST_INFO, tlv(0xA0, octets(tst_info))),
        x509_certs=tsa_certs,
        signer_cert=tsa_certs[0],
        signed_attrs=signed_attrs,
        signature=signature,
        unsigned_attrs=(),
    )


def _content_info(
    *,
    version: int,
    suite: str,
    content: bytes,
    x509_certs: Sequence[bytes],
    signer_cert: bytes,
    signed_attrs: bytes,
    signature: bytes,
    unsigned_attrs: Sequence[bytes],
) -> bytes:
    digest_algorithm = _DIGEST_ALGORITHM[suite]
    signer_info = sequence(
        small_integer(1),
        _issuer_and_serial(signer_cert),
        digest_algorithm,
        b"\xa0" + signed_attrs[1:],
        _SIGNATURE_ALGORITHM[suite],
        octets(signature),
        set_of(unsigned_attrs, tag=0xA1) if unsigned_attrs else b"",
    )
    signed_data = sequence(
        small_integer(version),
        tlv(SET, digest_algorithm),
        content,
        set_of(x509_certs, tag=0xA0),
        tlv(SET, signer_info),
    )
    return sequence(_ID_SIGNED_DATA, tlv(0xA0, signed_data))


@lru_cache(maxsize=256)
def _issuer_and_serial(cert: bytes) -> bytes:
    """IssuerAndSerialNumber (DER) of a certificate; cached, because only a few certificates are in use."""
    tbs = x509.Certificate.load(cert)["tbs_certificate"]
    # Parsed and not modified, so dump() returns the bytes in the certificate.
    return sequence(tbs["issuer"].dump(), tbs["serial_number"].dump())


def _signing_certificate_v2(cert: bytes, algorithm: str) -> bytes:
    """SigningCertificateV2 { certs { ESSCertIDv2 } }, RFC 5035 §3, without policies."""
    tbs = x509.Certificate.load(cert)["tbs_certificate"]
    # SHA-256 is the default of hashAlgorithm, and DER omits default values (X.690 §11.5).
    hash_algorithm = b"" if algorithm == "sha256" else _SM3
    general_names = sequence(tlv(0xA4, tbs["issuer"].dump()))  # directoryName [4], explicit: Name is a CHOICE
    issuer_serial = sequence(general_names, tbs["serial_number"].dump())
    ess_cert_id = sequence(hash_algorithm, octets(digest(algorithm, cert)), issuer_serial)
    return sequence(sequence(ess_cert_id))


@lru_cache(maxsize=64)
def _oid(dotted: str) -> bytes:
    return bytes(core.ObjectIdentifier(dotted).dump())
