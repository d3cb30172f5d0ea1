"""SM2 through the system's libcrypto (OpenSSL 3), called with ctypes.

It is used because the distribution maintains it, it is constant-time and as fast as `openssl speed sm2`, and ctypes
releases the interpreter lock during each call. Rules followed here:

- A key is loaded once; Z is computed once per key; each operation makes and frees its own context, so
  one key may be used from many threads (EVP_PKEY is read-only after loading).
- `EVP_PKEY_sign` and `EVP_PKEY_verify` get e = SM3(Z ‖ M). The digest-and-sign calls would use an empty ID
  unless told otherwise on every call (OpenSSL 3.x defaults to no ID), so they are not used.
- libcrypto re-encodes what it parsed and compares before it verifies, so a signature in BER, with padding
  or with trailing bytes is refused.
- Private keys enter and leave as encrypted PKCS #8; the plain key is never a Python object.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import weakref
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature

from keys.sm2.encoding import DISTINGUISHING_ID, encode_spki, parse_spki, z_value
from trust.encoding.digests import digest
from trust.model.errors import KeyUnavailable, Malformed

_MAX_SIGNATURE = 80
"""A DER SM2 signature is at most 72 bytes; libcrypto needs a buffer of the maximum size that it announces."""

# The example of GB/T 32918.5 Annex A.2 (message "message digest", default ID).
_TEST_POINT = bytes.fromhex(
    "0409F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
_TEST_SIGNATURE = bytes.fromhex(
    "3046022100f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "022100b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)


class _Functions:
    """The handful of libcrypto calls, with their C signatures."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("crypto")
        if name is None:
            raise OSError("no libcrypto on this machine")
        lib = ctypes.CDLL(name)
        ptr, size, number = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
        data, long = ctypes.c_char_p, ctypes.c_long

        def declare(function: str, result: Any, *arguments: Any) -> Any:
            found = getattr(lib, function)
            found.restype, found.argtypes = result, list(arguments)
            return found

        self.ctx_new = declare("EVP_PKEY_CTX_new", ptr, ptr, ptr)
        self.ctx_new_from_name = declare("EVP_PKEY_CTX_new_from_name", ptr, ptr, data, data)
        self.ctx_free = declare("EVP_PKEY_CTX_free", None, ptr)
        self.keygen_init = declare("EVP_PKEY_keygen_init", number, ptr)
        self.generate = declare("EVP_PKEY_generate", number, ptr, ptr)
        self.sign_init = declare("EVP_PKEY_sign_init", number, ptr)
        self.sign = declare("EVP_PKEY_sign", number, ptr, ptr, ptr, data, size)
        self.verify_init = declare("EVP_PKEY_verify_init", number, ptr)
        self.verify = declare("EVP_PKEY_verify", number, ptr, data, size, data, size)
        self.pkey_free = declare("EVP_PKEY_free", None, ptr)
        self.d2i_pubkey = declare("d2i_PUBKEY", ptr, ptr, ptr, long)
        self.i2d_pubkey = declare("i2d_PUBKEY", number, ptr, ptr)
        self.public_check = declare("EVP_PKEY_public_check", number, ptr)
        self.to_pkcs8 = declare("EVP_PKEY2PKCS8", ptr, ptr)
        self.from_pkcs8 = declare("EVP_PKCS82PKEY", ptr, ptr)
        self.pkcs8_free = declare("PKCS8_PRIV_KEY_INFO_free", None, ptr)
        self.pkcs8_encrypt = declare(
            "PKCS8_encrypt", ptr, number, ptr, data, number, ptr, number, number, ptr
        )
        self.pkcs8_decrypt = declare("PKCS8_decrypt", ptr, ptr, data, number)
        self.d2i_sig = declare("d2i_X509_SIG", ptr, ptr, ptr, long)
        self.i2d_sig = declare("i2d_X509_SIG", number, ptr, ptr)
        self.sig_free = declare("X509_SIG_free", None, ptr)
        self.aes_256_cbc = declare("EVP_aes_256_cbc", ptr)
        self.error_clear = declare("ERR_clear_error", None)


@lru_cache(maxsize=1)
def _functions() -> _Functions:
    return _Functions()


class PublicKey:
    """A key that verifies. Making one raises `Malformed` if the bytes are not a point of the curve."""

    def __init__(self, spki: bytes, identity: bytes = DISTINGUISHING_ID) -> None:
        self._z = z_value(parse_spki(spki), identity)
        lib = _functions()
        handle = _parse(lib.d2i_pubkey, spki)
        if handle is None:
            lib.error_clear()
            raise Malformed("The bytes are not the public key of an SM2 key.")
        weakref.finalize(self, lib.pkey_free, handle)
        self._handle = handle
        context = lib.ctx_new(handle, None)
        try:
            if lib.public_check(context) != 1:
                raise Malformed("The public key is not a point of the SM2 curve.")
        finally:
            lib.ctx_free(context)
            lib.error_clear()

    def check(self, message: bytes, signature: bytes) -> None:
        e = digest("sm3", self._z, message)
        lib = _functions()
        context = lib.ctx_new(self._handle, None)
        try:
            if (
                lib.verify_init(context) != 1
                or lib.verify(context, signature, len(signature), e, len(e)) != 1
            ):
                lib.error_clear()
                raise InvalidSignature
        finally:
            lib.ctx_free(context)


class PrivateKey:
    """A key that signs. Its handle is freed when the object is collected."""

    def __init__(self, handle: int) -> None:
        lib = _functions()
        weakref.finalize(self, lib.pkey_free, handle)
        self._handle = handle
        length = lib.i2d_pubkey(handle, None)
        room = ctypes.create_string_buffer(max(length, 1))
        out = ctypes.c_void_p(ctypes.addressof(room))
        lib.i2d_pubkey(handle, ctypes.byref(out))
        point = parse_spki(room.raw[:length])
        self.public_key = encode_spki(point)
        self._z = z_value(point)

    @classmethod
    def generate(cls) -> PrivateKey:
        lib = _functions()
        context = lib.ctx_new_from_name(None, b"SM2", None)
        if not context:
            raise KeyUnavailable("libcrypto cannot make SM2 keys.")
        handle = ctypes.c_void_p()
        try:
            if lib.keygen_init(context) != 1 or lib.generate(context, ctypes.byref(handle)) != 1:
                raise KeyUnavailable("libcrypto could not make an SM2 key.")
        finally:
            lib.ctx_free(context)
        assert handle.value is not None
        return cls(handle.value)

    @classmethod
    def from_encrypted_pkcs8(cls, encrypted: bytes, passphrase: bytes) -> PrivateKey:
        lib = _functions()
        handle = None
        container = _parse(lib.d2i_sig, encrypted)
        if container is not None:
            plain = lib.pkcs8_decrypt(container, passphrase, len(passphrase))
            lib.sig_free(container)
            if plain:
                handle = lib.from_pkcs8(plain)
                lib.pkcs8_free(plain)
        lib.error_clear()
        if not handle:
            raise KeyUnavailable(
                "The private key could not be opened.", "Check the passphrase and that the key file is whole."
            )
        return cls(handle)

    def to_encrypted_pkcs8(self, passphrase: bytes, *, kdf_rounds: int) -> bytes:
        """EncryptedPrivateKeyInfo, DER: PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC (RFC 8018)."""
        lib = _functions()
        plain = lib.to_pkcs8(self._handle)
        try:
            container = lib.pkcs8_encrypt(
                -1, lib.aes_256_cbc(), passphrase, len(passphrase), None, 16, kdf_rounds, plain
            )
        finally:
            lib.pkcs8_free(plain)
        if not container:
            raise KeyUnavailable("libcrypto could not encrypt the private key.")
        try:
            length = lib.i2d_sig(container, None)
            room = ctypes.create_string_buffer(length)
            out = ctypes.c_void_p(ctypes.addressof(room))
            lib.i2d_sig(container, ctypes.byref(out))
            return room.raw[:length]
        finally:
            lib.sig_free(container)

    def sign(self, message: bytes) -> bytes:
        e = digest("sm3", self._z, message)
        lib = _functions()
        context = lib.ctx_new(self._handle, None)
        room = ctypes.create_string_buffer(_MAX_SIGNATURE)
        length = ctypes.c_size_t(_MAX_SIGNATURE)
        try:
            if lib.sign_init(context) != 1 or lib.sign(context, room, ctypes.byref(length), e, len(e)) != 1:
                lib.error_clear()
                raise KeyUnavailable("libcrypto could not sign with the SM2 key.")
        finally:
            lib.ctx_free(context)
        return room.raw[: length.value]


def passes_self_test() -> bool:
    """True if libcrypto verifies the standard's example, refuses it when altered, and verifies what it signs."""
    try:
        key = PublicKey(encode_spki(_TEST_POINT))
        key.check(b"message digest", _TEST_SIGNATURE)
        try:
            key.check(b"message digesu", _TEST_SIGNATURE)
        except InvalidSignature:
            pass
        else:
            return False
        own = PrivateKey.generate()
        PublicKey(own.public_key).check(b"self-test", own.sign(b"self-test"))
    except (OSError, AttributeError, Malformed, KeyUnavailable, InvalidSignature):
        return False
    return True


def _parse(parser: Any, der: bytes) -> int | None:
    """The handle that a d2i function returns, or None if it fails or leaves trailing bytes."""
    room = ctypes.create_string_buffer(der, len(der))
    start = ctypes.addressof(room)
    cursor = ctypes.c_void_p(start)
    handle = parser(None, ctypes.byref(cursor), len(der))
    if not handle:
        return None
    if cursor.value != start + len(der):
        lib = _functions()
        (lib.pkey_free if parser is lib.d2i_pubkey else lib.sig_free)(handle)
        return None
    return int(handle)
