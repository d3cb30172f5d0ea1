"""Checking certificates and keys from outside certification authorities before a seal may use them.

There are two ways. For a key that can be exported (RSA, P-256), a PKCS #12 file (RFC 7292) with key and certificate.
For SM2 and for keys in a token, the key is made here, a request is sent (PKCS #10, RFC 2986; GM/T 0092 for SM2), and
the CA returns a certificate.

The checks accept what `verifier` accepts later: each certificate of the chain has a key of one of our suites and is
signed in that suite. Each refusal has its own code:

| code                 | refused because                                                                         |
|----------------------|-----------------------------------------------------------------------------------------|
| X509_UNREADABLE      | the bytes are no certificate, or no PKCS #12 with a key, or the password is wrong       |
| X509_WEAK_KEY        | RSA below 3072 bits                                                                     |
| X509_KEY_KIND        | a key of no suite of ours (another curve, Ed25519, SM2 with its own algorithm OID)      |
| X509_IS_CA           | a CA's certificate was given for the seal                                               |
| X509_ENCRYPTION      | the encryption certificate of an SM2 pair (GB/T 20518: keyEncipherment and the like)    |
| X509_WRONG_USAGE     | keyUsage without nonRepudiation, or extendedKeyUsage for something else                 |
| X509_EXPIRED         | a certificate of the chain has ended                                                    |
| X509_NOT_YET_VALID   | a certificate of the chain has not begun                                                |
| X509_KEY_MISMATCH    | the certificate is for another key                                                      |
| X509_CHAIN           | no way from the certificate to a given root; a CA on the way that may not issue         |
| X509_SIGNATURE       | a signature that does not verify; for SM2 also one over another ID than 1234567812345678 |
| X509_ALGORITHM       | a signature algorithm that is not the suite's, or inner and outer ones that differ      |
| X509_SM2_OID         | SM2 with 1.2.156.10197.1.301.1, which belongs into GM's CMS (GB/T 35275), not X.509     |

SM2's algorithm identifier, 1.2.156.10197.1.501, occurs with parameters absent (OpenSSL, gmsm) and NULL (some Chinese
CAs); both are accepted if inner and outer are the same (RFC 5280 §4.1.1.2).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import core, pem, x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError

from keys import asn1
from keys.custody import PyCaPrivateKey
from keys.pki.build import signature_algorithm
from keys.pki.validator import Sm2AwareValidator
from keys.sm2.encoding import is_sm2_spki
from keys.suites import Suite, check_signature
from trust.model.errors import Malformed, VerificationError

SEAL_SUITES = (Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256)
_LONGEST_CHAIN = 6
_SM2_SPKI_WITH_OWN_OID = bytes.fromhex("06082a811ccf5501822d")
_SM2_1 = "1.2.156.10197.1.301.1"
_ENCRYPTION = {"key_encipherment", "data_encipherment", "key_agreement"}
_OTHER_TRADES = {"time_stamping", "ocsp_signing", "server_auth", "code_signing"}


@dataclass(frozen=True, slots=True)
class CheckedChain:
    """A chain that a seal may use. `certs` are DER, the seal's first and no root; times are the seal's."""

    suite: Suite
    public_key: bytes
    certs: tuple[bytes, ...]
    root: bytes
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Pkcs12:
    """The content of a PKCS #12: the key, its certificate (DER), and the others (DER) in no order."""

    key: PyCaPrivateKey
    cert: bytes
    others: tuple[bytes, ...]

    @property
    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo (DER) of the key itself, not of the certificate."""
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def read_certs(data: bytes) -> list[bytes]:
    """The certificates (DER) in a file: one in DER, or any number in PEM. Raises `Malformed`."""
    if not pem.detect(data):
        return [data]
    try:
        blocks = list(pem.unarmor(data, multiple=True))
    except ValueError as exc:
        raise _unreadable("The PEM file is damaged.") from exc
    # The library ignores a block without an end.
    if len(blocks) != data.count(b"-----BEGIN "):
        raise _unreadable("The PEM file is damaged.")
    found = [der for kind, _, der in blocks if kind == "CERTIFICATE"]
    if not found:
        raise _unreadable("The PEM file holds no certificate.")
    return found


def public_key_of(cert: bytes) -> bytes:
    """The SubjectPublicKeyInfo (DER) in a certificate. Raises `Malformed`."""
    asn1.register()
    return _spki(_load(cert))


def is_pkcs12(data: bytes) -> bool:
    """True if the bytes begin like a PFX: SEQUENCE { version 3, … (RFC 7292 §4)."""
    try:
        return bool(core.Sequence.load(data)[0].native == 3)
    except asn1.NOT_READABLE:
        return False


def read_pkcs12(data: bytes, password: bytes) -> Pkcs12:
    """Opens a PKCS #12. Does not judge the key; `check_seal_chain` does, by the public key. Raises `Malformed`."""
    try:
        loaded = pkcs12.load_pkcs12(data, password)
    except ValueError as exc:
        # The library does not distinguish a wrong password from a damaged file, and its text may quote either.
        raise _unreadable("The PKCS #12 file cannot be opened.", "Check the password and the file.") from exc
    if loaded.cert is None or not isinstance(loaded.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise _unreadable(
            "The PKCS #12 file does not hold an RSA or EC key with its certificate.",
            "Export both from the CA's tool.",
        )
    der = serialization.Encoding.DER
    cert = loaded.cert.certificate.public_bytes(der)
    return Pkcs12(
        loaded.key, cert, tuple(other.certificate.public_bytes(der) for other in loaded.additional_certs)
    )


def check_seal_chain(
    cert: bytes, others: Sequence[bytes], roots: Sequence[bytes], *, public_key: bytes, at: datetime
) -> CheckedChain:
    """The chain from `cert` through some of `others` to one of `roots` (all DER), fit for a seal at `at`.

    `public_key` (SubjectPublicKeyInfo, DER) is the key that `cert` must be for. Revocation is not checked here, because
    that needs the CA's CRL. Raises `Malformed` with a code of the table above.
    """
    asn1.register()
    seal = _load(cert)
    suite = _suite_of(seal)
    _check_seal_profile(seal)
    _check_time(seal, at)
    if _spki(seal) != public_key:
        raise Malformed(
            "The certificate is for another key.",
            "Give the certificate that the CA made for this key.",
            code="X509_KEY_MISMATCH",
        )
    chain, root = _build_chain(cert, others, roots, at)
    _second_opinion(chain, root, at, {"non_repudiation"})
    return CheckedChain(suite, public_key, chain, root, seal.not_valid_before, seal.not_valid_after)


def check_time_stamp_chain(certs: Sequence[bytes], *, at: datetime) -> CheckedChain:
    """The chain of an outside time-stamp authority, fit to be pinned at `at`.

    `certs` (DER) begin with the one that signs and include a self-signed root, which is trusted because the operator
    who gave the file trusts it. Raises `Malformed` with a code of the table above.
    """
    asn1.register()
    signer, *others = [_load(der) for der in certs]
    suite = _suite_of(signer)
    _check_time(signer, at)
    usage, extended = signer.key_usage_value, signer.extended_key_usage_value
    # RFC 3161 §2.3: only this purpose, and critical.
    is_critical = any(
        each["extn_id"].native == "extended_key_usage" and each["critical"].native
        for each in signer["tbs_certificate"]["extensions"]
    )
    if extended is None or set(extended.native) != {"time_stamping"} or not is_critical:
        raise Malformed(
            f"The certificate {_name(signer)} is not that of a time-stamp authority.",
            "Its extendedKeyUsage has to be timeStamping alone, and critical.",
            code="X509_WRONG_USAGE",
        )
    if usage is not None and "digital_signature" not in usage.native:
        raise Malformed(
            f"The certificate {_name(signer)} may not sign.", "Ask who runs it.", code="X509_WRONG_USAGE"
        )
    between = [der for der, each in zip(certs[1:], others, strict=True) if each.subject != each.issuer]
    roots = [der for der in certs[1:] if der not in between]
    chain, root = _build_chain(certs[0], between, roots, at)
    _second_opinion(chain, root, at, {"digital_signature"}, {"time_stamping"})
    return CheckedChain(suite, _spki(signer), chain, root, signer.not_valid_before, signer.not_valid_after)


# --- one certificate ----------------------------------------------------------------------------------------


def _load(der: bytes) -> x509.Certificate:
    try:
        cert = x509.Certificate.load(der, strict=True)
        _ = cert.native  # asn1crypto parses lazily, so parse everything before trusting anything
        _ = cert.subject.hashable, cert.issuer.hashable
    except asn1.NOT_READABLE as exc:
        raise _unreadable("The bytes are not an X.509 certificate.") from exc
    return cert


def _spki(cert: x509.Certificate) -> bytes:
    return bytes(cert["tbs_certificate"]["subject_public_key_info"].dump())


def _suite_of(cert: x509.Certificate) -> Suite:
    """The suite of the certificate's key, after checking that the point is on its curve and RSA is strong enough."""
    spki = _spki(cert)
    if is_sm2_spki(spki):
        return Suite.SM2_SM3
    if spki[2:16].find(_SM2_SPKI_WITH_OWN_OID) >= 0:
        raise Malformed(
            "The certificate names its SM2 key by 1.2.156.10197.1.301 and not as an EC key.",
            "Ask the CA for a certificate after GM/T 0015.",
            code="X509_KEY_KIND",
        )
    try:
        key = serialization.load_der_public_key(spki)
    except Exception as exc:
        raise _key_kind() from exc
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < 3072:
            raise Malformed(
                f"The certificate {_name(cert)} has an RSA key of {key.key_size} bits.",
                "3072 bits are the least.",
                code="X509_WEAK_KEY",
            )
        return Suite.RSA3072_SHA256
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return Suite.P256_SHA256
    raise _key_kind()


def _key_kind() -> Malformed:
    return Malformed(
        "The certificate's key is of a kind that no seal uses.",
        "Use SM2, RSA with 3072 bits or more, or P-256.",
        code="X509_KEY_KIND",
    )


def _check_seal_profile(cert: x509.Certificate) -> None:
    constraints = cert.basic_constraints_value
    if constraints is not None and constraints["ca"].native:
        raise Malformed(
            "The certificate is that of a CA.", "Give the seal's own certificate.", code="X509_IS_CA"
        )
    usage: set[str] = set(cert.key_usage_value.native) if cert.key_usage_value is not None else set()
    if usage & _ENCRYPTION and not usage & {"digital_signature", "non_repudiation"}:
        raise Malformed(
            "This is the encryption certificate of the pair.",
            "Give the signing certificate: the CA issued both.",
            code="X509_ENCRYPTION",
        )
    if "non_repudiation" not in usage:
        raise Malformed(
            f"The certificate is not for seals: its keyUsage is {', '.join(sorted(usage)) or 'absent'}.",
            "Ask the CA for one with digitalSignature and nonRepudiation.",
            code="X509_WRONG_USAGE",
        )
    extended = cert.extended_key_usage_value
    if extended is not None and set(extended.native) <= _OTHER_TRADES:
        raise Malformed(
            f"The certificate is for {', '.join(sorted(extended.native))}.",
            "Ask the CA for one that may sign documents.",
            code="X509_WRONG_USAGE",
        )


def _check_time(cert: x509.Certificate, at: datetime) -> None:
    if at < cert.not_valid_before:
        raise Malformed(
            f"The certificate {_name(cert)} begins on {cert.not_valid_before.isoformat()}.",
            "Wait until then, or check this machine's clock.",
            code="X509_NOT_YET_VALID",
        )
    if at > cert.not_valid_after:
        raise Malformed(
            f"The certificate {_name(cert)} ended on {cert.not_valid_after.isoformat()}.",
            "Ask the CA for a new one.",
            code="X509_EXPIRED",
        )


# --- the chain ----------------------------------------------------------------------------------------------


def _build_chain(
    cert: bytes, others: Sequence[bytes], roots: Sequence[bytes], at: datetime
) -> tuple[tuple[bytes, ...], bytes]:
    trusted = {bytes(root): _load(root) for root in roots}
    between = {bytes(der): _load(der) for der in others if bytes(der) not in trusted}
    chain = [cert]
    while len(chain) <= _LONGEST_CHAIN:
        below = _load(chain[-1])
        for der, above in (*trusted.items(), *between.items()):
            if above.subject.dump() != below.issuer.dump() or der in chain:
                continue
            if not _may_be_issuer(below, above):
                continue  # same name but another key: the CA has changed its key
            _check_issuer(below, above, at)
            if der in trusted:
                return tuple(chain), der
            chain.append(der)
            break
        else:
            raise Malformed(
                f"The chain ends at {_name(below)}: its issuer is not among the certificates given.",
                "Give the CA's certificates in between, and the root that you trust.",
                code="X509_CHAIN",
            )
    raise Malformed(
        f"The chain is longer than {_LONGEST_CHAIN} certificates.", "Check it.", code="X509_CHAIN"
    )


def _may_be_issuer(below: x509.Certificate, above: x509.Certificate) -> bool:
    wanted, found = below.authority_key_identifier, above.key_identifier
    return wanted is None or found is None or wanted == found


def _check_issuer(below: x509.Certificate, above: x509.Certificate, at: datetime) -> None:
    """Raises `Malformed` unless `above` is a CA that is valid at `at` and signed `below` in its own suite."""
    constraints, usage = above.basic_constraints_value, above.key_usage_value
    if constraints is None or not constraints["ca"].native:
        raise Malformed(f"{_name(above)} is not a CA.", "Check the chain.", code="X509_CHAIN")
    if usage is not None and "key_cert_sign" not in usage.native:
        raise Malformed(f"{_name(above)} may not issue certificates.", "Check the chain.", code="X509_CHAIN")
    _check_time(above, at)
    suite = _suite_of(above)
    _check_algorithm(below, suite)
    try:
        check_signature(suite, _spki(above), below["tbs_certificate"].dump(), below["signature_value"].native)
    except VerificationError as exc:
        hint = (
            " It may have been made over another ID than 1234567812345678." if suite is Suite.SM2_SM3 else ""
        )
        raise Malformed(
            f"The signature on {_name(below)} is not that of {_name(above)}.{hint}",
            "Ask the CA for the right certificates.",
            code="X509_SIGNATURE",
        ) from exc


def _check_algorithm(cert: x509.Certificate, suite: Suite) -> None:
    outer, inner = cert["signature_algorithm"], cert["tbs_certificate"]["signature"]
    if outer.dump() != inner.dump():
        raise Malformed(
            f"{_name(cert)} names two signature algorithms.", "Ask the CA for it anew.", code="X509_ALGORITHM"
        )
    if outer["algorithm"].dotted == _SM2_1:
        raise Malformed(
            f"{_name(cert)} is signed with the OID {_SM2_1}, which certificates do not use.",
            "Ask the CA for one with 1.2.156.10197.1.501.",
            code="X509_SM2_OID",
        )
    wanted = signature_algorithm(suite)
    sm2_with_null = suite is Suite.SM2_SM3 and outer.dump() == bytes.fromhex("300c06082a811ccf550183750500")
    if outer.dump() != wanted.dump() and not sm2_with_null:
        raise Malformed(
            f"{_name(cert)} is signed with {outer['algorithm'].native}, and not in {suite.value}.",
            "Use a CA that signs in one of our suites; others could not be verified later.",
            code="X509_ALGORITHM",
        )


def _second_opinion(
    chain: Sequence[bytes], root: bytes, at: datetime, usage: set[str], extended: set[str] | None = None
) -> None:
    """Validates by RFC 5280 §6 in full with a library: path lengths, name constraints, critical extensions."""
    context: Any = ValidationContext(
        trust_roots=[x509.Certificate.load(root)],
        allow_fetching=False,
        revocation_mode="soft-fail",
        moment=at,
        signature_validator=Sm2AwareValidator(),
    )
    certs = [x509.Certificate.load(der) for der in chain]
    validator: Any = CertificateValidator(certs[0], certs[1:], validation_context=context)
    try:
        asyncio.run(validator.async_validate_usage(usage, extended))
    except (PathValidationError, PathBuildingError) as exc:
        raise Malformed(
            "The chain does not hold by RFC 5280 (path length, names or critical extensions).",
            "Ask the CA about it.",
            code="X509_CHAIN",
        ) from exc


def _name(cert: x509.Certificate) -> str:
    """The common name of a CA or of a seal, for error texts; these certificates name bodies, not persons."""
    return str(cert.subject.native.get("common_name", "without a name"))


def _unreadable(what: str, todo: str = "Give it as PEM or DER.") -> Malformed:
    return Malformed(what, todo, code="X509_UNREADABLE")
