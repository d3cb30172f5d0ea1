"""The text of a checkpoint. `ledger.checkpoint` describes the format.

A separate module, because `ledger.notekeys` needs it: a cosignature is over the parts of this text.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.text import decode_base64, decode_decimal, encode_base64
from trust.encoding.merkle import HASH_SIZE
from trust.model.errors import Malformed


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
    """The checkpoint written as `text`; only the canonical form is accepted. Raises `Malformed`."""
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
