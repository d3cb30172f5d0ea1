"""Named algorithm suites, and the one function that checks a signature.

A suite fixes everything: key type, digest, padding, encodings, the distinguishing ID of SM2. The suite of a key is
taken from the key's own record or its X.509 certificate, never from the message that is checked.

| suite            | key              | signature bytes                         | source                      |
|------------------|------------------|-----------------------------------------|-----------------------------|
| SM2-SM3          | sm2p256v1        | DER SEQUENCE { r, s }, ID 1234567812345678 | GB/T 32918.2, GB/T 35276 |
| RSA3072-SHA256   | RSA, 3072 bits   | PKCS #1 v1.5, 384 bytes                 | RFC 8017 §8.2               |
| P256-SHA256      | NIST P-256       | DER SEQUENCE { r, s }                   | FIPS 186-5, RFC 3279 §2.2.3 |
| Ed25519          | Ed25519          | 64 bytes                                | RFC 8032                    |
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from keys import sm2
from trust.model.errors import Malformed, VerificationError


class Suite(StrEnum):
    SM2_SM3 = "SM2-SM3"
    RSA3072_SHA256 = "RSA3072-SHA256"
    P256_SHA256 = "P256-SHA256"
    ED25519 = "Ed25519"

    @property
    def digest(self) -> str:
        """Name of the digest that goes with the suite in CMS and X.509 ("sm3" or "sha256")."""
        return "sm3" if self is Suite.SM2_SM3 else "sha256"


TOKEN_SUITES = (Suite.RSA3072_SHA256, Suite.P256_SHA256, Suite.ED25519)
"""Suites whose keys can be in a PKCS #11 token; the standard has no mechanism for SM2."""

_PyCaPublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


def check_signature(suite: Suite, public_key: bytes, message: bytes, signature: bytes) -> None:
    """Checks `signature` over `message` with `public_key` (SubjectPublicKeyInfo, DER).

    Raises `VerificationError` if it is wrong, and `Malformed` if the key is not a key of this suite, which is the
    caller's mistake and not a bad signature.
    """
    try:
        match suite:
            case Suite.SM2_SM3:
                sm2.load_public_key(public_key).check(message, signature)
            case Suite.RSA3072_SHA256:
                key = _pyca_public_key(public_key)
                if not isinstance(key, rsa.RSAPublicKey) or key.key_size < 3072:
                    raise Malformed("The public key is not an RSA key of 3072 bits or more.")
                key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            case Suite.P256_SHA256:
                key = _pyca_public_key(public_key)
                if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
                    raise Malformed("The public key is not a P-256 key.")
                key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
            case Suite.ED25519:
                key = _pyca_public_key(public_key)
                if not isinstance(key, ed25519.Ed25519PublicKey):
                    raise Malformed("The public key is not an Ed25519 key.")
                key.verify(signature, message)
    except InvalidSignature as exc:
        raise VerificationError(
            f"The {suite.value} signature does not verify.", code="SIG_CRYPTO_FAILURE"
        ) from exc


@lru_cache(maxsize=256)
def _pyca_public_key(spki: bytes) -> _PyCaPublicKey:
    try:
        key = serialization.load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise Malformed("The public key is not a SubjectPublicKeyInfo of a supported kind.") from exc
    if not isinstance(key, _PyCaPublicKey):
        raise Malformed("The public key is of a kind that no suite uses.")
    return key


def suite_of_public_key(spki: bytes) -> Suite:
    """The suite of a public key, by its type. Raises `Malformed` if there is none."""
    if sm2.is_sm2_spki(spki):
        return Suite.SM2_SM3
    match _pyca_public_key(spki):
        case rsa.RSAPublicKey():
            return Suite.RSA3072_SHA256
        case ec.EllipticCurvePublicKey():
            return Suite.P256_SHA256
        case ed25519.Ed25519PublicKey():
            return Suite.ED25519
