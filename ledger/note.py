"""Signed notes: a text with signature lines under it (C2SP signed-note v1.0.0).

    note  = text "\\n" line…                 text ends with a newline; the LAST empty line separates
    line  = "— " name " " base64(key_id || signature) "\\n"
    key_id = SHA-256(name || "\\n" || type || public key)[:4]
    vkey  = name "+" hex(key_id) "+" base64(type || public key)
    skey  = "PRIVATE+KEY+" name "+" hex(key_id) "+" base64(type || seed)

The signature is over the text with its last newline and without the empty line. Type 0x01 is Ed25519, the
one that is here. (SM2 has no number yet; it will come under 0xff with our own identifier.)

Reading is strict: UTF-8, no control character but the newline, names without spaces and "+", canonical
base64. A line of an unknown key is carried along and means nothing. A line that claims a known key (name
and key_id) must verify, or the whole note is bad; and at least one known key must have signed.

Example, from the specification:

    This is an example message.

    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=

verifies under `example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.text import decode_base64, encode_base64
from trust.encoding.digests import sha256
from trust.model.errors import Malformed, VerificationError

MAX_NOTE_SIZE: Final = 1_000_000
MAX_SIGNATURES: Final = 100

_ED25519: Final = b"\x01"
_LINE_START: Final = "— "
_SKEY_START: Final = "PRIVATE+KEY+"
_KEY_ID_SIZE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One signature line: who claims to have signed, and the signature without the key id."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A parsed note. Nothing about it has been verified."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A name and its Ed25519 public key; that it exists means both are well-formed."""

    name: str
    public_key: bytes
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        _check_name(self.name)
        if len(self.public_key) != 32:
            raise Malformed(f"An Ed25519 key of {len(self.public_key)} bytes; 32 are expected.")
        key_id = sha256(self.name.encode() + b"\n" + _ED25519 + self.public_key)[:_KEY_ID_SIZE]
        object.__setattr__(self, "key_id", key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerKey:
    """A name and an Ed25519 seed, as tests and other programs keep them; ours stay with `keys`."""

    name: str
    seed: bytes = field(repr=False)

    @property
    def public_key_raw(self) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)


def format_note(note: Note) -> str:
    """The text form; `parse_note` gives `note` back."""
    lines = (
        f"{_LINE_START}{each.name} {encode_base64(each.key_id + each.signature)}\n"
        for each in note.signatures
    )
    return f"{note.text}\n{''.join(lines)}"


def parse_note(note: str) -> Note:
    """The parts of a note. Raises `Malformed` unless `note` is exactly what `format_note` writes."""
    _check_characters(note)
    before, separator, lines = note.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise Malformed("A note is a text, an empty line, and signature lines, each with its newline.")
    signatures = tuple(_parse_signature_line(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise Malformed(f"A note with {len(signatures)} signatures; the limit is {MAX_SIGNATURES}.")
    return Note(text=before + "\n", signatures=signatures)


def check_note(note: str, *, vkeys: Sequence[VerifierKey]) -> Note:
    """The parsed note, if every line of a known key verifies and there is at least one.

    Raises `Malformed` if it is no note, `VerificationError` if a signature is bad or none is known.
    """
    parsed = parse_note(note)
    known = {(vkey.name, vkey.key_id): vkey for vkey in vkeys}
    verified = 0
    for each in parsed.signatures:
        if vkey := known.get((each.name, each.key_id)):
            _check_signature(vkey, parsed.text, each.signature)
            verified += 1
    if not verified:
        raise VerificationError("The note is signed by none of the known keys.", code="NOTE_UNSIGNED")
    return parsed


def signed_note(text: str, *, vkey: VerifierKey, signature: bytes) -> str:
    """`text` with one signature line of `vkey`; `signature` is over `text` in UTF-8. Nothing is verified."""
    line = NoteSignature(name=vkey.name, key_id=vkey.key_id, signature=signature)
    return format_note(Note(text=text, signatures=(line,)))


def format_vkey(vkey: VerifierKey) -> str:
    return f"{vkey.name}+{vkey.key_id.hex()}+{encode_base64(_ED25519 + vkey.public_key)}"


def parse_vkey(text: str) -> VerifierKey:
    """The key written as `text`. Raises `Malformed`, also for key types that are not here."""
    name, key_id, key = _split_key(text)  # base64 may hold a "+": split from the left, and only twice
    vkey = VerifierKey(name=name, public_key=_ed25519_part(key))
    if vkey.key_id.hex() != key_id:
        raise Malformed("The key id does not belong to this name and key.")
    return vkey


def parse_skey(text: str) -> SignerKey:
    """The signing key written as `text`. Raises `Malformed`; the message never holds the key."""
    if not text.startswith(_SKEY_START):
        raise Malformed("The text is not a note signing key.")
    name, key_id, key = _split_key(text.removeprefix(_SKEY_START))
    skey = SignerKey(name=name, seed=_ed25519_part(key))
    if VerifierKey(name=name, public_key=skey.public_key_raw).key_id.hex() != key_id:
        raise Malformed("The key id does not belong to this name and key.")
    return skey


def _check_characters(note: str) -> None:
    try:
        size = len(note.encode())
    except UnicodeEncodeError as exc:
        raise Malformed("The note is not valid Unicode.") from exc
    if size > MAX_NOTE_SIZE:
        raise Malformed(f"A note of {size} bytes; the limit is {MAX_NOTE_SIZE}.")
    if any((each < " " and each != "\n") or each == "\x7f" for each in note):
        raise Malformed("The note holds a control character.")


def _parse_signature_line(line: str) -> NoteSignature:
    name, space, encoded = line.removeprefix(_LINE_START).partition(" ")
    if not line.startswith(_LINE_START) or not space:
        raise Malformed("A line under the note's text is not a signature line.")
    _check_name(name)
    data = decode_base64(encoded)
    if len(data) <= _KEY_ID_SIZE:
        raise Malformed("A signature line without a signature.")
    return NoteSignature(name=name, key_id=data[:_KEY_ID_SIZE], signature=data[_KEY_ID_SIZE:])


def _check_signature(vkey: VerifierKey, text: str, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(vkey.public_key).verify(signature, text.encode())
    except (InvalidSignature, ValueError) as exc:
        raise VerificationError(
            f"The signature of {vkey.name} on the note does not verify.", code="NOTE_SIGNATURE_BAD"
        ) from exc


def _check_name(name: str) -> None:
    if not name or "+" in name or any(each.isspace() or each < " " or each == "\x7f" for each in name):
        raise Malformed("A key name is empty, or holds a space, a control character or a plus sign.")


def _split_key(text: str) -> tuple[str, str, str]:
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise Malformed("A note key has three parts: name, key id, key.")
    return parts[0], parts[1], parts[2]


def _ed25519_part(encoded: str) -> bytes:
    data = decode_base64(encoded)
    if data[:1] != _ED25519 or len(data) != 33:
        raise Malformed("A note key that is not an Ed25519 key of type 1.")
    return data[1:]
