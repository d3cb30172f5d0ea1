"""Receipts: a complete proof that an entry is in a log, as one text (C2SP tlog-proof v1).

    c2sp.org/tlog-proof@v1
    index 3
    <base64 of a hash>              none or more lines, the leaf's sibling first
                                    empty line
    <checkpoint: a signed note, verbatim>

The format allows a line `extra <base64>` that nothing authenticates. A receipt inside a sealed document has none,
because no byte there may be changeable without notice. For the same reason a receipt has exactly one text, and
`parse_receipt` refuses all others. A *detached* receipt (a file `….tlog-proof`) has the entry's bytes in that line, so
that it is complete by itself; the proof authenticates them.

Not checked here: cosignatures of witnesses (`ledger.witness.policy`), and whether the log's keys can be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.checkpoint import Checkpoint
from ledger.logkeys import LogKeys, check_log_checkpoint, check_only_log_lines
from ledger.note import MAX_NOTE_SIZE
from ledger.text import decode_base64, decode_decimal, encode_base64
from trust.encoding.entry import MAX_ENTRY_SIZE, Entry, decode_entry
from trust.encoding.merkle import HASH_SIZE, check_inclusion, leaf_hash
from trust.model.errors import Malformed, VerificationError

_HEADER: Final = "c2sp.org/tlog-proof@v1"
_INDEX: Final = "index "
_EXTRA: Final = "extra "
_MAX_HASHES: Final = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Inclusion proof of entry `index`, and the signed checkpoint (a note) it was made for."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachedReceipt:
    """A receipt with its entry."""

    entry_bytes: bytes
    receipt: Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedReceipt:
    """The result of a checked receipt: the entry, and the checkpoint of the log that contains it."""

    entry: Entry
    leaf_hash: bytes
    checkpoint: Checkpoint


def format_receipt(receipt: Receipt) -> str:
    """The text form; `parse_receipt` gives `receipt` back."""
    hashes = "".join(f"{encode_base64(each)}\n" for each in receipt.hashes)
    return f"{_HEADER}\n{_INDEX}{receipt.index}\n{hashes}\n{receipt.checkpoint}"


def parse_receipt(text: str) -> Receipt:
    """The parts of a receipt. Raises `Malformed` unless `text` is exactly what `format_receipt` writes.

    The checkpoint is not parsed here; `check_receipt` does that.
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


def format_detached_receipt(detached: DetachedReceipt) -> str:
    """The text of a .tlog-proof file; `parse_detached_receipt` gives `detached` back."""
    receipt = format_receipt(detached.receipt).removeprefix(f"{_HEADER}\n")
    return f"{_HEADER}\n{_EXTRA}{encode_base64(detached.entry_bytes)}\n{receipt}"


def parse_detached_receipt(text: str) -> DetachedReceipt:
    """Parses receipt and entry without checking them; `check_detached_receipt` does. Raises `Malformed`."""
    header, _, rest = text.partition("\n")
    line, _, rest = rest.partition("\n")
    if header != _HEADER or not line.startswith(_EXTRA) or len(line) > 2 * MAX_ENTRY_SIZE:
        raise Malformed("A detached receipt has its entry in the second line.")
    return DetachedReceipt(
        entry_bytes=decode_base64(line.removeprefix(_EXTRA)), receipt=parse_receipt(f"{_HEADER}\n{rest}")
    )


def check_detached_receipt(text: str, *, log_keys: LogKeys) -> CheckedReceipt:
    """Checks a .tlog-proof file with the log's keys. Raises `VerificationError`."""
    try:
        detached = parse_detached_receipt(text)
    except Malformed as exc:
        raise _not_acceptable(exc) from exc
    return check_receipt(detached.entry_bytes, format_receipt(detached.receipt), log_keys=log_keys)


def check_receipt(entry_bytes: bytes, receipt: str, *, log_keys: LogKeys) -> CheckedReceipt:
    """Checks with the log's keys that `receipt` proves `entry_bytes`. Raises `VerificationError`.

    Signature lines of unknown keys on the checkpoint are allowed and ignored.
    """
    try:
        parsed = parse_receipt(receipt)
        checkpoint = check_log_checkpoint(parsed.checkpoint, log_keys)
        leaf = leaf_hash(entry_bytes)
        check_inclusion(
            leaf, index=parsed.index, size=checkpoint.size, proof=parsed.hashes, root=checkpoint.root
        )
        # Decoded only after the log's signature was checked, so that untrusted bytes are never parsed.
        entry = decode_entry(entry_bytes)
    except Malformed as exc:
        raise _not_acceptable(exc) from exc
    if entry.seq != parsed.index or entry.log != checkpoint.origin:
        raise VerificationError(
            "The entry names another log or another place in it.", code="LEDGER_ENTRY_MISPLACED"
        )
    return CheckedReceipt(entry=entry, leaf_hash=leaf, checkpoint=checkpoint)


def check_embedded_receipt(entry_bytes: bytes, receipt: str, *, log_keys: LogKeys) -> CheckedReceipt:
    """As `check_receipt`, for a receipt inside a document, which must have the log's own signature lines only.

    Lines of unknown keys are ignored when a note is checked, so anyone could add or change one.
    """
    try:
        check_only_log_lines(parse_receipt(receipt).checkpoint, log_keys)
    except Malformed as exc:
        raise _not_acceptable(exc) from exc
    return check_receipt(entry_bytes, receipt, log_keys=log_keys)


def _not_acceptable(exc: Malformed) -> VerificationError:
    return VerificationError(
        f"The receipt cannot be accepted: {exc.what}", exc.todo, code="LEDGER_RECEIPT_MALFORMED"
    )
