"""SM2 signatures (GB/T 32918.2) with SM3, behind one small interface.

The engine is the system's libcrypto (`keys.sm2.libcrypto`): constant-time library code, keys loaded once, the
interpreter lock released while it works. If libcrypto was built without SM2, `gmssl` (pure Python) verifies; it signs
only if `allow_insecure_signing()` was called, because its timing depends on the key.

Every signature here is over e = SM3(Z ‖ M), with Z made from the distinguishing ID `1234567812345678`
(GB/T 35276 §10), and is encoded as DER `SEQUENCE { r INTEGER, s INTEGER }`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

from keys.sm2 import libcrypto, pure
from keys.sm2.encoding import DISTINGUISHING_ID, encode_spki, is_sm2_spki, parse_spki, z_value
from trust.model.errors import KeyUnavailable


class Sm2PublicKey(Protocol):
    def check(self, message: bytes, signature: bytes) -> None:
        """Checks a DER signature. Raises `cryptography.exceptions.InvalidSignature`."""


class Sm2PrivateKey(Protocol):
    @property
    def public_key(self) -> bytes:
        """SubjectPublicKeyInfo, DER."""

    def sign(self, message: bytes) -> bytes:
        """A fresh DER signature over SM3(Z ‖ message)."""


_insecure_signing = False


def allow_insecure_signing() -> None:
    """Lets the pure-Python fallback sign. For demonstrations on machines without SM2 in libcrypto only."""
    global _insecure_signing
    _insecure_signing = True


@lru_cache(maxsize=1)
def engine_name() -> str:
    """The engine in use: "libcrypto" if the system's library passes its self-test, else "gmssl"."""
    return "libcrypto" if libcrypto.passes_self_test() else "gmssl"


@lru_cache(maxsize=512)
def load_public_key(spki: bytes, identity: bytes = DISTINGUISHING_ID) -> Sm2PublicKey:
    """The public key in a SubjectPublicKeyInfo. Raises `Malformed` if it is not one of SM2.

    Another `identity` is only used to explain signatures of others; ours always use the default.
    """
    if engine_name() == "libcrypto":
        return libcrypto.PublicKey(spki, identity)
    return pure.PublicKey(spki, identity)


def generate_private_key() -> libcrypto.PrivateKey:
    _require_libcrypto("make")
    return libcrypto.PrivateKey.generate()


def load_private_key(encrypted_pkcs8: bytes, passphrase: bytes) -> Sm2PrivateKey:
    """The private key in an encrypted PKCS #8 (DER). Raises `KeyUnavailable` if it cannot be opened."""
    if engine_name() != "libcrypto" and _insecure_signing:
        return pure.PrivateKey.from_encrypted_pkcs8(encrypted_pkcs8, passphrase)
    _require_libcrypto("use")
    return libcrypto.PrivateKey.from_encrypted_pkcs8(encrypted_pkcs8, passphrase)


def _require_libcrypto(verb: str) -> None:
    if engine_name() != "libcrypto":
        raise KeyUnavailable(
            f"This machine's libcrypto has no SM2, so an SM2 private key cannot be {verb}d safely.",
            "Install an OpenSSL 3 with SM2 (Debian's has it).",
        )


__all__ = [
    "Sm2PrivateKey",
    "Sm2PublicKey",
    "allow_insecure_signing",
    "encode_spki",
    "engine_name",
    "generate_private_key",
    "is_sm2_spki",
    "load_private_key",
    "load_public_key",
    "parse_spki",
    "z_value",
]
