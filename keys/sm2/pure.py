"""SM2 with `gmssl`, in pure Python: the fallback for verifying, and the oracle that the tests compare with.

Not constant-time and some forty times slower than libcrypto. Verifying handles no secret, so it is safe
here; signing is reached only through `keys.sm2.allow_insecure_signing`.
"""

from __future__ import annotations

import secrets
from typing import Any

from asn1crypto import keys as asn1_keys
from cryptography.exceptions import InvalidSignature
from gmssl import sm2 as gmssl_sm2

from keys.sm2.encoding import DISTINGUISHING_ID, encode_spki, parse_spki, z_value
from trust.encoding.digests import digest
from trust.model.errors import KeyUnavailable

_ORDER = int(gmssl_sm2.default_ecc_table["n"], 16)


class PublicKey:
    def __init__(self, spki: bytes, identity: bytes = DISTINGUISHING_ID) -> None:
        point = parse_spki(spki)
        self._z = z_value(point, identity)
        self._verifier = _engine(None, point, asn1=False)

    def check(self, message: bytes, signature: bytes) -> None:
        r_and_s = _strict_der(signature)
        try:
            is_right = self._verifier.verify(r_and_s, digest("sm3", self._z, message))
        except TypeError as exc:
            # The library has no value for the point at infinity, which only forged signatures lead to.
            raise InvalidSignature from exc
        if not is_right:
            raise InvalidSignature


class PrivateKey:
    def __init__(self, scalar: bytes, point: bytes) -> None:
        self._signer = _engine(scalar.hex(), point, asn1=True)
        self._z = z_value(point)
        self.public_key = encode_spki(point)

    @classmethod
    def from_encrypted_pkcs8(cls, encrypted: bytes, passphrase: bytes) -> PrivateKey:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
        from cryptography.hazmat.primitives.padding import PKCS7

        try:
            container = asn1_keys.EncryptedPrivateKeyInfo.load(encrypted, strict=True)
            scheme = container["encryption_algorithm"]
            derivation = PBKDF2HMAC(
                hashes.SHA256(), scheme.key_length, scheme.kdf_salt, scheme.kdf_iterations
            )
            decryptor = Cipher(
                algorithms.AES(derivation.derive(passphrase)), modes.CBC(scheme.encryption_iv)
            ).decryptor()
            padded = decryptor.update(container["encrypted_data"].native) + decryptor.finalize()
            unpadder = PKCS7(128).unpadder()
            plain = unpadder.update(padded) + unpadder.finalize()
            key = asn1_keys.PrivateKeyInfo.load(plain, strict=True)["private_key"].parsed
            scalar = int(key["private_key"].native).to_bytes(32, "big")
            return cls(scalar, key["public_key"].native)
        except (ValueError, TypeError, KeyError) as exc:
            raise KeyUnavailable("The private key could not be opened.", "Check the passphrase.") from exc

    def sign(self, message: bytes) -> bytes:
        nonce = f"{secrets.randbelow((1 << 256) - (1 << 225)) + 1:064x}"
        signature = self._signer.sign(digest("sm3", self._z, message), nonce)
        return bytes.fromhex(signature)


def _engine(private_key: str | None, point: bytes, *, asn1: bool) -> Any:
    """The library's object. Its public key is set afterwards, because the constructor (3.2.2) strips every leading 0
    and 4 off a key whose first byte is 4."""
    engine = gmssl_sm2.CryptSM2(private_key=private_key, public_key="", asn1=asn1)
    engine.public_key = point[1:].hex()
    return engine


def _strict_der(signature: bytes) -> str:
    """r ‖ s as 128 hex digits. Refuses any encoding but DER, and values outside 1 to n-1.

    These are the checks B1 and B2 of GB/T 32918.2 §7.1, which the library omits.
    """
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    try:
        r, s = decode_dss_signature(signature)
    except ValueError as exc:
        raise InvalidSignature from exc
    if encode_dss_signature(r, s) != signature or not (0 < r < _ORDER and 0 < s < _ORDER):
        raise InvalidSignature
    return f"{r:064x}{s:064x}"
