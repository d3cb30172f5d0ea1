"""The log's own keys, and the range of sizes whose checkpoints each key signs.

A log may change its key without changing its name. Each change is an entry of the log (KEY_EVENT) that commits to a
statement; the statement lists every key that signs from then on, and is signed by all of them and by all that signed
before. So the log proves that it holds each new key, and that each old key agrees:

    yinzheng-ledger-keys-v1
    <origin>
    <number of the entry>
    <vkey>                            one line for each key, Ed25519 first

    — <origin> <signature>            a line of each key before and each new one, each once

`commit` of the entry is SHA-256 over the whole note. A statement in entry n counts for checkpoints of size
n + 1 and more: which keys must have signed a checkpoint is decided by its size, never by a clock. The first
statement is entry 1. The statements are served as `keys/<n>` beside the tiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ledger.checkpoint import Checkpoint, parse_checkpoint
from ledger.note import KeyKind, VerifierKey, check_note, format_vkey, parse_note, parse_vkey
from ledger.text import decode_decimal
from trust.encoding.digests import sha256
from trust.model.errors import Malformed, VerificationError

HEADER: Final = "yinzheng-ledger-keys-v1"
FIRST_STATEMENT: Final = 1


@dataclass(frozen=True, slots=True)
class LogKey:
    """A key and the sizes it signs: from_size <= size < until_size, or without end."""

    vkey: VerifierKey
    from_size: int
    until_size: int | None = None

    def signs(self, size: int) -> bool:
        return self.from_size <= size and (self.until_size is None or size < self.until_size)


@dataclass(frozen=True, slots=True)
class LogKeys:
    """All keys that a log has ever had; `origin` is the name of the log and of every key."""

    origin: str
    keys: tuple[LogKey, ...]

    def of_size(self, size: int) -> tuple[VerifierKey, ...]:
        """The keys that must have signed a checkpoint of `size`, in the order of their lines."""
        return tuple(each.vkey for each in self.keys if each.signs(size))

    @property
    def present(self) -> tuple[VerifierKey, ...]:
        """The keys that sign now."""
        return tuple(each.vkey for each in self.keys if each.until_size is None)


def check_log_checkpoint(note: str, keys: LogKeys) -> Checkpoint:
    """Returns the checkpoint in `note` if every key that must sign its size has signed it.

    Lines of other keys (witnesses) are ignored. Raises `Malformed` or `VerificationError`.
    """
    checkpoint = parse_checkpoint(parse_note(note).text)
    if checkpoint.origin != keys.origin:
        raise VerificationError("The checkpoint is of another log than its key.", code="LOG_ORIGIN_MISMATCH")
    wanted = keys.of_size(checkpoint.size)
    signed = {(each.name, each.key_id) for each in check_note(note, vkeys=wanted).signatures}
    for vkey in wanted:
        if (vkey.name, vkey.key_id) not in signed:
            raise VerificationError(
                "The checkpoint is not signed by every key of the log.", code="NOTE_UNSIGNED"
            )
    return checkpoint


def check_only_log_lines(note: str, keys: LogKeys) -> None:
    """Raises `VerificationError` unless the note has the log's own lines, in their order, and no other."""
    parsed = parse_note(note)
    wanted = keys.of_size(parse_checkpoint(parsed.text).size)
    lines = [(each.name, each.key_id) for each in parsed.signatures]
    if lines != [(vkey.name, vkey.key_id) for vkey in wanted]:
        raise VerificationError(
            f"The checkpoint of an embedded receipt has {len(lines)} signature lines, "
            f"not those of the log's {len(wanted)} keys.",
            code="LEDGER_RECEIPT_MALFORMED",
        )


def format_statement(origin: str, seq: int, vkeys: Iterable[VerifierKey]) -> str:
    """The text of a statement."""
    lines = [HEADER, origin, str(seq), *(format_vkey(vkey) for vkey in vkeys)]
    return "".join(f"{line}\n" for line in lines)


def statement_commit(note: str) -> bytes:
    """The commitment in the entry of a statement."""
    return sha256(note.encode())


def keys_from_statements(origin: str, statements: Sequence[tuple[int, str]]) -> LogKeys:
    """The log's keys, from its statements (entry number, note) in order.

    Raises `Malformed` or `VerificationError` if a statement lacks a signature. The caller must check that the log's
    entries commit to the statements.
    """
    if not statements or statements[0][0] != FIRST_STATEMENT:
        raise Malformed("The first statement of the log's keys is missing.")
    keys: list[LogKey] = []
    before: tuple[VerifierKey, ...] = ()
    for seq, note in statements:
        listed = _check_statement(origin, seq, note, before)
        keys = [
            LogKey(each.vkey, each.from_size, seq + 1)
            if each.until_size is None and each.vkey not in listed
            else each
            for each in keys
        ]
        keys += [LogKey(vkey, seq + 1) for vkey in listed if vkey not in before]
        before = listed
    return LogKeys(origin, tuple(keys))


def _check_statement(
    origin: str, seq: int, note: str, before: tuple[VerifierKey, ...]
) -> tuple[VerifierKey, ...]:
    header, named, number, *lines = parse_note(note).text.removesuffix("\n").split("\n")
    if header != HEADER or named != origin or decode_decimal(number) != seq or not lines:
        raise Malformed("The statement of keys is not one of this log and entry.")
    listed = tuple(parse_vkey(line) for line in lines)
    check_keys(origin, listed)
    wanted = [*before, *(vkey for vkey in listed if vkey not in before)]
    signed = [(each.name, each.key_id) for each in check_note(note, vkeys=wanted).signatures]
    if sorted(signed) != sorted((vkey.name, vkey.key_id) for vkey in wanted):
        raise VerificationError("The statement of keys is not signed by all old and new keys.")
    return listed


def check_keys(origin: str, vkeys: Sequence[VerifierKey]) -> None:
    """Raises `Malformed` unless these can be the keys of a log: of its name, each once, Ed25519 first.

    Public witnesses and clients know Ed25519 (tlog-tiles: a public log has such a signature).
    """
    kinds = {vkey.kind for vkey in vkeys}
    if not vkeys or vkeys[0].kind is not KeyKind.ED25519 or not kinds <= {KeyKind.ED25519, KeyKind.SM2}:
        raise Malformed("A log signs with Ed25519 first, and may sign with SM2 beside it.")
    if any(vkey.name != origin for vkey in vkeys) or len(set(vkeys)) != len(vkeys):
        raise Malformed("Every key of a log has the log's name and is listed once.")
