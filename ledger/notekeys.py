"""Keys of signed notes: how they are written, and how what they sign is checked (C2SP signed-note v1.0.0).

    key_id = SHA-256(name || "\\n" || type || public key)[:4]
    vkey   = name "+" hex(key_id) "+" base64(type || public key)
    skey   = "PRIVATE+KEY+" name "+" hex(key_id) "+" base64(type || seed)

| kind        | type bytes                      | public key        | a signature line holds, behind the key id  |
|-------------|---------------------------------|-------------------|--------------------------------------------|
| ED25519     | 01                              | 32                | signature (64) over the text               |
| COSIGNATURE | 04                              | 32, Ed25519       | time (u64) || signature (64), see below    |
| ML_DSA_44   | 06                              | 1312              | time (u64) || signature (2420), see below  |
| SM2         | ff "yinzheng/note-sm2-sm3-v1" 00 | 65, uncompressed | r || s (64) over the text                  |

SM2 has no type byte in the specification, so it uses ff, which is reserved for private identifiers: SM2 with SM3
(GB/T 32918.2), distinguishing ID 1234567812345678.

The two kinds of cosignature (C2SP tlog-cosignature v1.1) are made by witnesses and state that at this time, this was
the largest tree of this log that the witness had seen, and that it continues all it saw before. `time` is in seconds
since 1970. The signed bytes are

    COSIGNATURE   "cosignature/v1\\ntime " decimal "\\n" || the checkpoint's text
    ML_DSA_44     "subtree/v1\\n\\0" || u8 length || name || time (u64) || u8 length || origin
                  || start (u64, 0) || end (u64, the size) || root

The first does not contain the witness's name, so two witnesses must not share an Ed25519 key.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from keys import sm2
from keys.sm2.encoding import encode_spki
from ledger.checkpointtext import parse_checkpoint
from ledger.text import decode_base64, encode_base64
from trust.encoding.digests import sha256
from trust.model.errors import Malformed, VerificationError

KEY_ID_SIZE: Final = 4

_SKEY_START: Final = "PRIVATE+KEY+"
_SEED_SIZE: Final = 32
_TIME_SIZE: Final = 8
_MAX_TIME: Final = (1 << 63) - 1
_MAX_COSIGNED_NAME: Final = 255


class KeyKind(Enum):
    """The kind of a key, which decides what it signs and how. The value contains the type bytes."""

    ED25519 = b"\x01"
    COSIGNATURE = b"\x04"
    ML_DSA_44 = b"\x06"
    SM2 = b"\xffyinzheng/note-sm2-sm3-v1\x00"

    @property
    def key_size(self) -> int:
        """Size of a public key in bytes."""
        return {KeyKind.ML_DSA_44: 1312, KeyKind.SM2: 65}.get(self, 32)

    @property
    def signature_size(self) -> int:
        """Size of a signature in bytes, without the time of a cosignature."""
        return 2420 if self is KeyKind.ML_DSA_44 else 64

    @property
    def is_cosignature(self) -> bool:
        return self in (KeyKind.COSIGNATURE, KeyKind.ML_DSA_44)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A name and its public key, both checked to be well-formed."""

    name: str
    public_key: bytes
    kind: KeyKind = KeyKind.ED25519
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        if len(self.public_key) != self.kind.key_size:
            raise Malformed(f"A key of {len(self.public_key)} bytes; {self.kind.key_size} are expected.")
        if self.kind is KeyKind.SM2 and self.public_key[:1] != b"\x04":
            raise Malformed("An SM2 key that is not an uncompressed point.")
        key_id = sha256(self.name.encode() + b"\n" + self.kind.value + self.public_key)[:KEY_ID_SIZE]
        object.__setattr__(self, "key_id", key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerKey:
    """A name and the seed of a key, as witnesses, tests and other programs store it; the log's own keys stay in
    `keys`. There are no SM2 keys here, because those are not made from seeds."""

    name: str
    seed: bytes = field(repr=False)
    kind: KeyKind = KeyKind.ED25519

    @property
    def public_key_raw(self) -> bytes:
        return self._private().public_key().public_bytes_raw()

    @property
    def vkey(self) -> VerifierKey:
        return VerifierKey(name=self.name, public_key=self.public_key_raw, kind=self.kind)

    def sign(self, message: bytes) -> bytes:
        return self._private().sign(message)

    def cosign(self, text: str, *, time: int) -> bytes:
        """The bytes after the key id on the line of a cosignature. `time` is in seconds since 1970."""
        return time.to_bytes(_TIME_SIZE, "big") + self.sign(_cosigned_message(self.vkey, text, time))

    def _private(self) -> Ed25519PrivateKey | MLDSA44PrivateKey:
        if self.kind is KeyKind.ML_DSA_44:
            return MLDSA44PrivateKey.from_seed_bytes(self.seed)
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def check_note_signature(vkey: VerifierKey, text: str, signature: bytes) -> None:
    """Checks that `signature`, the line's bytes after the key id, is the key's over `text`.

    Raises `VerificationError`, code NOTE_SIGNATURE_BAD.
    """
    try:
        _check(vkey, text, signature)
    except (InvalidSignature, Malformed, ValueError) as exc:
        raise VerificationError(
            f"The signature of {vkey.name} on the note does not verify.", code="NOTE_SIGNATURE_BAD"
        ) from exc


def cosignature_time(signature: bytes) -> int:
    """The time that a checked cosignature states, in seconds since 1970."""
    return int.from_bytes(signature[:_TIME_SIZE], "big")


def format_vkey(vkey: VerifierKey) -> str:
    return f"{vkey.name}+{vkey.key_id.hex()}+{encode_base64(vkey.kind.value + vkey.public_key)}"


def parse_vkey(text: str) -> VerifierKey:
    """The key written as `text`. Raises `Malformed`, also for unknown key types."""
    name, key_id, key = _split_key(text)  # base64 may contain a "+", so split from the left and only twice
    kind, public_key = _split_kind(key)
    vkey = VerifierKey(name=name, public_key=public_key, kind=kind)
    if vkey.key_id.hex() != key_id:
        raise Malformed("The key id does not belong to this name and key.")
    return vkey


def format_skey(skey: SignerKey) -> str:
    """The signing key as text, for its key file. The text is secret."""
    key = encode_base64(skey.kind.value + skey.seed)
    return f"{_SKEY_START}{skey.name}+{skey.vkey.key_id.hex()}+{key}"


def parse_skey(text: str) -> SignerKey:
    """The signing key written as `text`. Raises `Malformed`; the message never contains the key."""
    if not text.startswith(_SKEY_START):
        raise Malformed("The text is not a note signing key.")
    name, key_id, key = _split_key(text.removeprefix(_SKEY_START))
    kind, seed = _split_kind(key)
    if kind is KeyKind.SM2 or len(seed) != _SEED_SIZE:
        raise Malformed(f"A note signing key has a seed of {_SEED_SIZE} bytes.")
    check_name(name)
    skey = SignerKey(name=name, seed=seed, kind=kind)
    if skey.vkey.key_id.hex() != key_id:
        raise Malformed("The key id does not belong to this name and key.")
    return skey


def _is_odd(character: str) -> bool:
    # "Cs": a lone surrogate, which stands for bytes that are not UTF-8 in an argument or a file name.
    return character.isspace() or unicodedata.category(character) in ("Cc", "Cs")


def check_name(name: str) -> None:
    """Raises `Malformed` unless `name` can name a key."""
    if not name or "+" in name or any(map(_is_odd, name)):
        raise Malformed(
            "A key name is empty, or holds a space, a control character, a plus sign or what is no text."
        )


def _check(vkey: VerifierKey, text: str, signature: bytes) -> None:
    message = text.encode()
    if vkey.kind.is_cosignature:
        time, signature = cosignature_time(signature), signature[_TIME_SIZE:]
        message = _cosigned_message(vkey, text, time)
    if len(signature) != vkey.kind.signature_size:
        raise InvalidSignature
    match vkey.kind:
        case KeyKind.ED25519 | KeyKind.COSIGNATURE:
            Ed25519PublicKey.from_public_bytes(vkey.public_key).verify(signature, message)
        case KeyKind.ML_DSA_44:
            MLDSA44PublicKey.from_public_bytes(vkey.public_key).verify(signature, message)
        case KeyKind.SM2:
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            sm2.load_public_key(encode_spki(vkey.public_key)).check(message, encode_dss_signature(r, s))


def _cosigned_message(vkey: VerifierKey, text: str, time: int) -> bytes:
    if not 0 < time <= _MAX_TIME:
        raise Malformed("A cosignature of a checkpoint states a time after 1970.")
    if vkey.kind is KeyKind.COSIGNATURE:
        return b"cosignature/v1\ntime %d\n" % time + text.encode()
    checkpoint = parse_checkpoint(text)
    if checkpoint.extensions:
        raise Malformed("This cosignature would not cover the checkpoint's further lines.")
    start_and_end = (0).to_bytes(8, "big") + checkpoint.size.to_bytes(8, "big")
    return b"".join(
        (
            b"subtree/v1\n\x00",
            _short(vkey.name),
            time.to_bytes(_TIME_SIZE, "big"),
            _short(checkpoint.origin),
            start_and_end,
            checkpoint.root,
        )
    )


def _short(name: str) -> bytes:
    data = name.encode()
    if not 1 <= len(data) <= _MAX_COSIGNED_NAME:
        raise Malformed(f"A name of {len(data)} bytes; a cosignature takes up to {_MAX_COSIGNED_NAME}.")
    return bytes([len(data)]) + data


def _split_key(text: str) -> tuple[str, str, str]:
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise Malformed("A note key has three parts: name, key id, key.")
    return parts[0], parts[1], parts[2]


def _split_kind(encoded: str) -> tuple[KeyKind, bytes]:
    data = decode_base64(encoded)
    for kind in KeyKind:
        if data.startswith(kind.value):
            return kind, data[len(kind.value) :]
    raise Malformed("A note key of a type that is not known here.")
