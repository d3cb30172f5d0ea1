"""What a log signs: its name, its size and its root (C2SP tlog-checkpoint v1.0.0), as the text of a note.

    origin "\\n"
    size in decimal "\\n"
    base64 of the root "\\n"
    further lines "\\n" …                   allowed by the format; we write none

Example, with the signature line of the note (`ledger.note`) below it:

    example.com/log/testdata
    15
    rKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=

    — example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=
"""  # noqa: E501 - the example's signature line is one line

from __future__ import annotations

from dataclasses import dataclass

from ledger.note import VerifierKey, check_note
from ledger.text import decode_base64, decode_decimal, encode_base64
from trust.encoding.merkle import HASH_SIZE
from trust.model.errors import Malformed, VerificationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Size and root of the log called `origin`."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The text to sign; `parse_checkpoint` gives `checkpoint` back."""
    lines = (
        checkpoint.origin,
        str(checkpoint.size),
        encode_base64(checkpoint.root),
        *checkpoint.extensions,
    )
    return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint whose only text is `text`. Raises `Malformed`."""
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() != "":
        raise Malformed("A checkpoint has at least three lines, each with its newline.")
    if "" in lines:
        raise Malformed("A checkpoint has no empty lines.")
    origin, size, root, *extensions = lines
    checkpoint = Checkpoint(
        origin=origin, size=decode_decimal(size), root=decode_base64(root), extensions=tuple(extensions)
    )
    if len(checkpoint.root) != HASH_SIZE:
        raise Malformed(f"A root of {len(checkpoint.root)} bytes; {HASH_SIZE} are expected.")
    return checkpoint


def check_checkpoint(note: str, *, log_vkey: VerifierKey) -> Checkpoint:
    """The checkpoint in `note`, if the log signed it and it bears the log's name.

    The origin must be the key's name: a key that signs for two logs would let one pass for the other.
    Raises `Malformed` or `VerificationError`.
    """
    checkpoint = parse_checkpoint(check_note(note, vkeys=[log_vkey]).text)
    if checkpoint.origin != log_vkey.name:
        raise VerificationError("The checkpoint is of another log than its key.", code="LOG_ORIGIN_MISMATCH")
    return checkpoint
