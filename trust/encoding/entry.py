"""The bytes of a ledger entry: one CBOR map (RFC 8949 §4.2.1, deterministic encoding) with integer keys.

| key | field    | CBOR            | meaning                                                            |
| --- | -------- | --------------- | ------------------------------------------------------------------ |
| 1   | version  | 1               | this format                                                        |
| 2   | log      | text, 1-255     | origin of the log: an entry cannot be moved to another one         |
| 3   | seq      | uint            | number of the entry, from 0; also its leaf number in the tree      |
| 4   | at_ms    | uint            | when it was appended, ms since 1970; never less than before        |
| 5   | kind     | uint            | `EntryKind`                                                        |
| 6   | actor    | text, 1-64      | public id of the issuing authority; "log" for the log's own        |
| 7   | ref      | bytes, 32       | salted reference of the e-certificate; zeros if it is about none   |
| 8   | prev     | bytes, 32       | leaf hash of entry seq-1; zeros in entry 0                         |
| 9   | prev_ref | [uint, bytes32] | seq and leaf hash of the last entry with this ref; absent if none  |
| 10  | commit   | bytes, 32       | salted commitment to what is recorded                              |
| 11  | suite    | text, 0-32      | suite of the signature committed to; "" where there is none        |
| 12  | count    | uint            | number of this entry among those of this actor: 1, 2, 3, …         |

Lengths of text are in bytes of UTF-8. An entry is public for ever, so it contains no personal data and no unsalted
digest of any. `prev` puts the hash chain inside the tree, so every proof authenticates it.

An entry has exactly one encoding, and `decode_entry` accepts no other: its result encodes to the same bytes again.
Unknown keys are refused; a new field needs a new version. An entry is shorter than 65,536 bytes, because a bundle
writes its length in two bytes (tlog-tiles).

Example, the first entry of the log `example.org/log` (148 bytes):

    ab                                       map of 11
      01 01                                  version 1
      02 6f 6578616d706c652e6f72672f6c6f67   log "example.org/log"
      03 00                                  seq 0
      04 1b 0000018bcfe56800                 at_ms 1700000000000
      05 00                                  kind GENESIS
      06 63 6c6f67                           actor "log"
      07 5820 0000…00                        ref
      08 5820 0000…00                        prev
      0a 5820 1111…11                        commit
      0b 60                                  suite ""
      0c 01                                  count 1
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final

import cbor2

from trust.model.errors import Malformed

ENTRY_VERSION: Final = 1
NO_REF: Final = bytes(32)
NO_PREV: Final = bytes(32)
MAX_ENTRY_SIZE: Final = 65_535

_MAX_LOG: Final = 255
_MAX_ACTOR: Final = 64
_MAX_SUITE: Final = 32
_MAX_UINT: Final = (1 << 63) - 1  # what both databases can hold
_HASH: Final = 32
_DEEPEST: Final = 2  # a map with one array in it


class EntryKind(IntEnum):
    """The kinds of entries. The numbers are part of the format."""

    GENESIS = 0
    KEY_EVENT = 1
    ISSUED = 2
    SUSPENDED = 3
    REINSTATED = 4
    REVOKED = 5
    REPLACED = 6
    LATER_VERSION = 7
    ERASED = 8
    STATUS_LIST = 9
    SEAL_EVENT = 10
    TREE_HEAD = 11
    REGISTER_EVENT = 12
    AUDIT_TRAIL = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousEntry:
    """The previous entry about the same e-certificate: number and leaf hash."""

    seq: int
    leaf_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The fields of an entry; the module's docstring says what each means."""

    log: str
    seq: int
    at_ms: int
    kind: EntryKind
    actor: str
    ref: bytes
    prev: bytes
    prev_ref: PreviousEntry | None
    commit: bytes
    suite: str
    count: int


def encode_entry(entry: Entry) -> bytes:
    """The canonical encoding of `entry`. Raises `Malformed` if a field is outside its bounds."""
    _check_bounds(entry)
    fields: dict[int, object] = {
        1: ENTRY_VERSION,
        2: entry.log,
        3: entry.seq,
        4: entry.at_ms,
        5: int(entry.kind),
        6: entry.actor,
        7: entry.ref,
        8: entry.prev,
    }
    if entry.prev_ref is not None:
        fields[9] = [entry.prev_ref.seq, entry.prev_ref.leaf_hash]
    fields |= {10: entry.commit, 11: entry.suite, 12: entry.count}
    # The keys are in order already, and the encoder writes numbers and lengths in their shortest form, which is all
    # that deterministic encoding requires here (RFC 8949 §4.2.1). It is twice as fast as sorting the keys again.
    return cbor2.dumps(fields)


def decode_entry(data: bytes) -> Entry:
    """The entry whose encoding is exactly `data`. Raises `Malformed` for everything else."""
    if len(data) > MAX_ENTRY_SIZE:
        raise Malformed(f"An entry of {len(data)} bytes; the limit is {MAX_ENTRY_SIZE}.")
    if data[:1] not in (b"\xab", b"\xac"):  # only our two maps reach the general decoder
        raise Malformed("The bytes are not a ledger entry: not a map of 11 or 12 fields.")
    entry = _entry_from_fields(_decode_map(data))
    if encode_entry(entry) != data:
        raise Malformed("The entry is not in deterministic encoding.")
    return entry


def check_actor(actor: str) -> None:
    """Raises `Malformed` unless `actor` is valid in an entry."""
    _check_text("actor", actor, smallest=1, largest=_MAX_ACTOR)


def check_suite_name(suite: str) -> None:
    """Raises `Malformed` unless `suite` is valid in an entry; "" is."""
    _check_text("suite", suite, smallest=0, largest=_MAX_SUITE)


def check_log_origin(origin: str) -> None:
    """Raises `Malformed` unless `origin` is valid in an entry."""
    _check_text("log", origin, smallest=1, largest=_MAX_LOG)


def check_digest(name: str, value: bytes) -> None:
    """Raises `Malformed` unless `value` has 32 bytes, as a digest has."""
    if type(value) is not bytes or len(value) != _HASH:
        raise Malformed(f"The field {name} is not a byte string of {_HASH} bytes.")


def _decode_map(data: bytes) -> dict[object, Any]:
    try:
        found = cbor2.loads(data, max_depth=_DEEPEST, allow_indefinite=False)
    except (cbor2.CBORDecodeError, ValueError, RecursionError) as exc:
        raise Malformed("The entry is not well-formed CBOR.") from exc
    if type(found) is not dict:
        raise Malformed("The entry is not a CBOR map.")
    return found


def _entry_from_fields(fields: dict[object, Any]) -> Entry:
    if set(fields) - {9} != {1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12}:
        raise Malformed("The entry does not have exactly the fields of version 1.")
    if type(fields[1]) is not int or fields[1] != ENTRY_VERSION:
        raise Malformed("The entry is of another version.", "A newer program may be needed.")
    _check_uint("kind", fields[5])
    try:
        kind = EntryKind(fields[5])
    except ValueError as exc:
        raise Malformed(f"The entry is of the unknown kind {fields[5]}.") from exc
    prev_ref = None
    if 9 in fields:
        if type(fields[9]) is not list or len(fields[9]) != 2:
            raise Malformed("The field prev_ref is not an array of two.")
        prev_ref = PreviousEntry(seq=fields[9][0], leaf_hash=fields[9][1])
    return Entry(
        log=fields[2],
        seq=fields[3],
        at_ms=fields[4],
        kind=kind,
        actor=fields[6],
        ref=fields[7],
        prev=fields[8],
        prev_ref=prev_ref,
        commit=fields[10],
        suite=fields[11],
        count=fields[12],
    )


def _check_bounds(entry: Entry) -> None:
    check_log_origin(entry.log)
    _check_uint("seq", entry.seq)
    _check_uint("at_ms", entry.at_ms)
    check_actor(entry.actor)
    check_digest("ref", entry.ref)
    check_digest("prev", entry.prev)
    check_digest("commit", entry.commit)
    check_suite_name(entry.suite)
    _check_uint("count", entry.count)
    if entry.count == 0:
        raise Malformed("The field count is 0; counting starts at 1.")
    if (entry.seq == 0) != (entry.prev == NO_PREV):
        raise Malformed("The field prev is zeros exactly in entry 0.")
    if entry.prev_ref is not None:
        _check_uint("prev_ref", entry.prev_ref.seq)
        check_digest("prev_ref", entry.prev_ref.leaf_hash)
        if entry.prev_ref.seq >= entry.seq:
            raise Malformed("The field prev_ref points forward.")
        if entry.ref == NO_REF:
            raise Malformed("An entry about no e-certificate has a previous entry about it.")


def _check_uint(name: str, value: object) -> None:
    # `type is`, not isinstance: True is an int in Python but another value in CBOR
    if type(value) is not int and type(value) is not EntryKind:
        raise Malformed(f"The field {name} is not an integer.")
    if not 0 <= value <= _MAX_UINT:
        raise Malformed(f"The field {name} is out of range.")


def _check_text(name: str, value: object, *, smallest: int, largest: int) -> None:
    if type(value) is not str:
        raise Malformed(f"The field {name} is not text.")
    _check_characters(name, value, smallest, largest)


@lru_cache(maxsize=4096)  # a log has one origin and few actors, and names them in every entry
def _check_characters(name: str, value: str, smallest: int, largest: int) -> None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError as exc:
        raise Malformed(f"The field {name} is not valid Unicode.") from exc
    if not smallest <= size <= largest:
        raise Malformed(f"The field {name} has {size} bytes; {smallest} to {largest} are allowed.")
    if not value.isprintable():
        raise Malformed(f"The field {name} holds characters that cannot be printed.")
