"""Signed notes: a text with signature lines under it (C2SP signed-note v1.0.0).

    note  = text "\\n" line…                 text ends with a newline; the LAST empty line separates
    line  = "— " name " " base64(key_id || signature) "\\n"

A signature is over the text with its last newline and without the empty line. `ledger.notekeys` describes the
keys, and what each kind of them signs.

Reading is strict: UTF-8, no control character but the newline, names without spaces and "+", canonical base64. A line
of an unknown key is kept and proves nothing. A line that claims a known key (name and key_id) must verify, or the whole
note is bad; and at least one known key must have signed.

Example, from the specification:

    This is an example message.

    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=

verifies under `example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ledger.notekeys import (
    KEY_ID_SIZE,
    KeyKind,
    SignerKey,
    VerifierKey,
    check_name,
    check_note_signature,
    cosignature_time,
    format_skey,
    format_vkey,
    parse_skey,
    parse_vkey,
)
from ledger.text import decode_base64, encode_base64
from trust.model.errors import Malformed, VerificationError

__all__ = [
    "MAX_NOTE_SIZE",
    "MAX_SIGNATURES",
    "KeyKind",
    "Note",
    "NoteSignature",
    "SignerKey",
    "VerifierKey",
    "check_note",
    "check_note_signature",
    "cosignature_time",
    "format_note",
    "format_skey",
    "format_vkey",
    "note_line",
    "parse_note",
    "parse_signature_lines",
    "parse_skey",
    "parse_vkey",
    "signed_note",
]

MAX_NOTE_SIZE: Final = 1_000_000
MAX_SIGNATURES: Final = 100

_LINE_START: Final = "— "


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteSignature:
    """One signature line: the claimed signer, and the signature without the key id. Not verified."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A parsed note. Nothing about it has been verified."""

    text: str
    signatures: tuple[NoteSignature, ...]


def format_note(note: Note) -> str:
    """The text form; `parse_note` gives `note` back."""
    return f"{note.text}\n{''.join(map(note_line, note.signatures))}"


def note_line(signature: NoteSignature) -> str:
    """One signature line, with its newline."""
    encoded = encode_base64(signature.key_id + signature.signature)
    return f"{_LINE_START}{signature.name} {encoded}\n"


def parse_note(note: str) -> Note:
    """The parts of a note. Raises `Malformed` unless `note` is exactly what `format_note` writes."""
    _check_characters(note)
    before, separator, lines = note.rpartition("\n\n")
    if not separator:
        raise Malformed("A note is a text, an empty line, and signature lines, each with its newline.")
    return Note(text=before + "\n", signatures=parse_signature_lines(lines))


def parse_signature_lines(lines: str) -> tuple[NoteSignature, ...]:
    """The signatures on one or more lines, each with its newline. Raises `Malformed`."""
    if not lines.endswith("\n"):
        raise Malformed("A signature line ends with a newline.")
    _check_characters(lines)
    signatures = tuple(_parse_signature_line(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise Malformed(f"A note with {len(signatures)} signatures; the limit is {MAX_SIGNATURES}.")
    return signatures


def check_note(note: str, *, vkeys: Sequence[VerifierKey]) -> Note:
    """Returns the parsed note if every line of a known key verifies and there is at least one.

    Raises `Malformed` if it is no note, `VerificationError` if a signature is bad or none is known.
    """
    parsed = parse_note(note)
    known = {(vkey.name, vkey.key_id): vkey for vkey in vkeys}
    verified = 0
    for each in parsed.signatures:
        if vkey := known.get((each.name, each.key_id)):
            check_note_signature(vkey, parsed.text, each.signature)
            verified += 1
    if not verified:
        raise VerificationError("The note is signed by none of the known keys.", code="NOTE_UNSIGNED")
    return parsed


def signed_note(text: str, signatures: Sequence[tuple[VerifierKey, bytes]]) -> str:
    """`text` with a signature line for each key, in this order. Nothing is verified."""
    lines = tuple(
        NoteSignature(name=vkey.name, key_id=vkey.key_id, signature=signature)
        for vkey, signature in signatures
    )
    return format_note(Note(text=text, signatures=lines))


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
    check_name(name)
    data = decode_base64(encoded)
    if len(data) <= KEY_ID_SIZE:
        raise Malformed("A signature line without a signature.")
    return NoteSignature(name=name, key_id=data[:KEY_ID_SIZE], signature=data[KEY_ID_SIZE:])
