"""Receipts: everything that shows an entry is in a log, as one text (C2SP tlog-proof v1).

    c2sp.org/tlog-proof@v1
    index 3
    <base64 of a hash>              none or more lines, the leaf's sibling first
                                    empty line
    <checkpoint: a signed note, verbatim>

The format allows a line `extra …` that nothing authenticates. We neither write nor read it: a receipt lies
inside a sealed document, and every byte of it must be one that cannot be changed without notice. For the
same reason there is one text for a receipt, and `parse_receipt` refuses all others.

What is not checked here: cosignatures of witnesses, and whether the log's key was the right one to trust.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.checkpoint import Checkpoint, check_checkpoint
from ledger.note import MAX_NOTE_SIZE, VerifierKey, parse_note
from ledger.text import decode_base64, decode_decimal, encode_base64
from trust.encoding.entry import Entry, decode_entry
from trust.encoding.merkle import HASH_SIZE, check_inclusion, leaf_hash
from trust.model.errors import Malformed, VerificationError

_HEADER: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = "index "
_MAX_HASHES: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Inclusion proof of entry `index`, and the signed checkpoint (a note) it was made for."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedReceipt:
    """What a checked receipt shows: this entry is in the log of this checkpoint."""

    entry: Entry
    leaf_hash: bytes
    checkpoint: Checkpoint


def format_receipt(receipt: Receipt) -> str:
    """The text form; `parse_receipt` gives `receipt` back."""
    hashes = "".join(f"{encode_base64(each)}\n" for each in receipt.hashes)
    return f"{_HEADER}\n{_INDEX}{receipt.index}\n{hashes}\n{receipt.checkpoint}"


def parse_receipt(text: str) -> Receipt:
    """The parts of a receipt. Raises `Malformed` unless `text` is exactly what `format_receipt` writes.

    The checkpoint is taken as it stands; `check_receipt` reads it.
    """
    if len(text) > 2 * MAX_NOTE_SIZE:
        raise Malformed(f"A receipt of {len(text)} characters.")
    proof, separator, checkpoint = text.partition("\n\n")
    header, *lines = proof.split("\n")
    if header != _HEADER or not separator or not checkpoint:
        raise Malformed(f"A receipt begins with {_HEADER}, and has an empty line before its checkpoint.")
    if not lines or not lines[0].startswith(_INDEX):
        raise Malformed("The second line of a receipt is its index.")
    hashes = tuple(decode_base64(line) for line in lines[1:])
    if len(hashes) > _MAX_HASHES or any(len(each) != HASH_SIZE for each in hashes):
        raise Malformed(f"A receipt has up to {_MAX_HASHES} hashes of {HASH_SIZE} bytes.")
    index = decode_decimal(lines[0].removeprefix(_INDEX))
    return Receipt(index=index, hashes=hashes, checkpoint=checkpoint)


def check_receipt(entry_bytes: bytes, receipt: str, *, log_vkey: VerifierKey) -> CheckedReceipt:
    """What `receipt` shows about `entry_bytes` under the log's key. Raises `VerificationError`.

    Signature lines of unknown keys on the checkpoint are allowed and not looked at.
    """
    try:
        parsed = parse_receipt(receipt)
        checkpoint = check_checkpoint(parsed.checkpoint, log_vkey=log_vkey)
        leaf = leaf_hash(entry_bytes)
        check_inclusion(
            leaf, index=parsed.index, size=checkpoint.size, proof=parsed.hashes, root=checkpoint.root
        )
        # Decoded only now, when they are no longer just anybody's bytes: the log has signed for them.
        entry = decode_entry(entry_bytes)
    except Malformed as exc:
        raise _not_acceptable(exc) from exc
    if entry.seq != parsed.index or entry.log != checkpoint.origin:
        raise VerificationError(
            "The entry names another log or another place in it.", code="LEDGER_ENTRY_MISPLACED"
        )
    return CheckedReceipt(entry=entry, leaf_hash=leaf, checkpoint=checkpoint)


def check_embedded_receipt(entry_bytes: bytes, receipt: str, *, log_vkey: VerifierKey) -> CheckedReceipt:
    """As `check_receipt`, for a receipt inside a document: the log's signature line must be the only one.

    A line of an unknown key is ignored when a note is checked, so anybody could add or change one.
    """
    try:
        lines = len(parse_note(parse_receipt(receipt).checkpoint).signatures)
    except Malformed as exc:
        raise _not_acceptable(exc) from exc
    if lines != 1:
        raise VerificationError(
            f"The checkpoint of an embedded receipt has {lines} signature lines, not one.",
            code="LEDGER_RECEIPT_MALFORMED",
        )
    return check_receipt(entry_bytes, receipt, log_vkey=log_vkey)


def _not_acceptable(exc: Malformed) -> VerificationError:
    return VerificationError(
        f"The receipt cannot be accepted: {exc.what}", exc.todo, code="LEDGER_RECEIPT_MALFORMED"
    )
