"""What is not in force according to the entries, kept in memory, so that no edited row can change the answer.

Rows with the same information (`ledger_subject`, the register's own status) are for searching only, because anyone who
can write to the database can edit them. Here every entry is read once and hashed into the tree, and counts only when
the tree has the root of the stored head, which has a MAC (`ledger.statekey`) and is never behind the lock store. New
entries are followed one by one, so a query costs reading the head and what was added since the last query.

The result is stored in a file from one start to the next, under a MAC. An older file does no harm: the entries after it
are read, and they must lead to the stored root, or `LedgerHalted` is raised.

    file    32 bytes of HMAC-SHA256, then CBOR [1, size, edge, {ref: life}, [[seq, commit], …], issued]
"""

from __future__ import annotations

import bisect
import contextlib
import hmac
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cbor2

from ledger import sql
from ledger.lifecycle import ABOUT_AN_ECERTIFICATE, Life, next_life
from ledger.statekey import StateKey
from trust.encoding.entry import EntryKind, decode_entry
from trust.encoding.merkle import HASH_SIZE, CompactRange, leaf_hash
from trust.model.errors import Conflict, LedgerHalted, StorageError
from trust.storage.folder import write_durably
from trust.storage.sql import Database

_AT_ONCE: Final = 1024
_GOOD_FOR_SECONDS: Final = 0.02
_KEPT_EVERY: Final = 4096
_WORTH_KEEPING: Final = 256
_REMEMBERED: Final = 100_000
"""The changes of lives that are remembered one by one."""
_TODO: Final = "Run `yinzheng ledger recheck`, find out who changed the database, and restore it."


@dataclass(frozen=True, slots=True)
class StandingFile:
    """The file for the followed state, and the key of its MAC."""

    path: Path
    key: bytes

    def read(self) -> Any:
        """The stored state; None if there is no file or its MAC is not ours."""
        try:
            data = self.path.read_bytes()
        except OSError:
            return None
        mac, encoded = data[:HASH_SIZE], data[HASH_SIZE:]
        if not hmac.compare_digest(mac, hmac.digest(self.key, encoded, "sha256")):
            return None
        return cbor2.loads(encoded)

    def write(self, value: object) -> None:
        encoded = cbor2.dumps(value)
        with contextlib.suppress(OSError, StorageError):  # it only saves time
            write_durably(self.path, hmac.digest(self.key, encoded, "sha256") + encoded)


@dataclass(frozen=True, slots=True)
class Changes:
    """Lives by ref. `size` is that of the log, `seen` a number that changes with each life. `is_all`: all that is not
    listed is VALID; otherwise it has not changed."""

    size: int
    seen: int
    lives: Mapping[bytes, Life]
    is_all: bool


class Standing:
    """The e-certificates that are not in force. Any number of threads may ask."""

    def __init__(self, database: Database, state_key: StateKey, file: StandingFile | None = None) -> None:
        self._database = database
        self._state_key = state_key
        self._file = file
        self._turn = threading.Lock()
        self._tree = CompactRange()
        self._lives: dict[bytes, Life] = {}
        self._register_events: list[tuple[int, bytes]] = []
        self._changed_at = 0
        self._changes: list[tuple[int, bytes]] = []
        self._changes_from = 1  # 0 asks for all
        self._subjects: dict[bytes, int] = {}
        self._issued = 0
        self._kept_size = 0
        self._looked_at = float("-inf")
        match file.read() if file is not None else None:
            case [1, int(size), [*edge], dict(lives), [*events], int(issued)]:
                self._issued = issued
                self._tree = CompactRange(size, edge)
                self._lives = {ref: Life(life) for ref, life in lives.items()}
                self._register_events = [(seq, commit) for seq, commit in events]
                self._changed_at = self._kept_size = self._changes_from = size

    def life_of(self, ref: bytes) -> Life:
        """The life of the e-certificate with this `ref`; VALID also if there is none. Raises as `changes_since`."""
        with self._turn:
            self._catch_up()
            return self._lives.get(ref, Life.VALID)

    def changes_since(self, seen: int) -> Changes:
        """The lives that changed since `Changes.seen` was this; with 0, or one from long ago, all that are not VALID.

        Raises `LedgerHalted` if the entries do not give the root of the stored head.
        """
        with self._turn:
            self._catch_up()
            if seen < self._changes_from:
                return Changes(self._tree.size, self._changed_at, dict(self._lives), is_all=True)
            first = bisect.bisect_right(self._changes, seen, key=lambda each: each[0])
            refs = {ref for _, ref in self._changes[first:]}
            lives = {ref: self._lives.get(ref, Life.VALID) for ref in refs}
            return Changes(self._tree.size, self._changed_at, lives, is_all=False)

    def subjects_of(self, refs: Collection[bytes]) -> dict[bytes, int]:
        """Subject ids by ref, as far as entries were read since this process began. For searching only, as these rows
        can be edited."""
        with self._turn:
            return {ref: self._subjects[ref] for ref in refs if ref in self._subjects}

    def changed_at(self) -> int:
        """`Changes.seen` alone, of `changes_since`."""
        with self._turn:
            self._catch_up()
            return self._changed_at

    def register_events(self, after: int = 0) -> list[tuple[int, bytes]]:
        """Number and commitment of each REGISTER_EVENT, from the `after`-th on, oldest first. Raises as
        `changes_since`."""
        with self._turn:
            self._catch_up()
            return self._register_events[after:]

    def issued(self) -> int:
        """The number of e-certificates ever issued. Raises as `changes_since`."""
        with self._turn:
            self._catch_up()
            return self._issued

    def look_again(self) -> None:
        """Makes the next query read the head again, because entries were just added."""
        self._looked_at = float("-inf")

    def keep(self) -> None:
        """Stores the followed state in the file, if enough was added."""
        with self._turn:
            if self._tree.size - self._kept_size >= _WORTH_KEEPING:
                self._keep()

    def _catch_up(self) -> None:
        # Reuse the last head for a short time, so that reading many rows does not read the head for each.
        if time.monotonic() - self._looked_at < _GOOD_FOR_SECONDS:
            return
        looked_at = time.monotonic()
        self._follow()
        self._looked_at = looked_at

    def _follow(self) -> None:
        with self._database.read() as connection:
            state = sql.read_state(connection)
        if state is None or state.size < self._tree.size:
            raise LedgerHalted(
                f"The database holds {state.size if state else 0} entries; {self._tree.size} were there before.",
                "Was a backup restored? See `yinzheng ledger recover`.",
            )
        if state.size == self._tree.size:
            return
        self._state_key.check(state)
        # Work on copies, so that entries that do not lead to the root change nothing.
        tree = CompactRange(self._tree.size, self._tree.hashes)
        lives: dict[bytes, Life | None] = {}
        events = []
        changes: list[tuple[int, bytes]] = []
        subjects: dict[bytes, int] = {}
        changed_at, issued = self._changed_at, self._issued
        while tree.size < state.size:
            with self._database.read() as connection:
                end = min(state.size, tree.size + _AT_ONCE)
                rows = sql.read_entries(connection, start=tree.size, end=end)
            if len(rows) != end - tree.size:
                raise LedgerHalted(
                    f"An entry from {tree.size} to {end - 1} is gone from the database.", _TODO
                )
            for row in rows:
                entry = decode_entry(row.entry_bytes)
                tree.append(leaf_hash(row.entry_bytes))
                if entry.kind is EntryKind.ISSUED:
                    issued += 1
                elif entry.kind is EntryKind.REGISTER_EVENT:
                    events.append((entry.seq, entry.commit))
                elif entry.kind in ABOUT_AN_ECERTIFICATE:
                    before = lives[entry.ref] if entry.ref in lives else self._lives.get(entry.ref)
                    after = _next(before or Life.VALID, entry.kind, entry.seq)
                    lives[entry.ref] = after if after is not Life.VALID else None
                    changed_at = entry.seq + 1
                    changes.append((changed_at, entry.ref))
                    if row.subject_id is not None:
                        subjects[entry.ref] = row.subject_id
        if tree.root() != state.root:
            raise LedgerHalted(
                f"The entries do not give the root of the stored head (size {state.size}).", _TODO
            )
        self._tree, self._changed_at, self._issued = tree, changed_at, issued
        for ref, life in lives.items():
            if life is None:
                self._lives.pop(ref, None)
            else:
                self._lives[ref] = life
        self._register_events += events
        self._changes += changes
        self._subjects.update(subjects)
        if len(self._changes) > 2 * _REMEMBERED:
            for _, ref in self._changes[:-_REMEMBERED]:
                self._subjects.pop(ref, None)
            self._changes_from = self._changes[-_REMEMBERED - 1][0]
            del self._changes[:-_REMEMBERED]
        if tree.size - self._kept_size >= _KEPT_EVERY:
            self._keep()

    def _keep(self) -> None:
        if self._file is not None and self._tree.size > self._kept_size:
            lives = {ref: int(life) for ref, life in self._lives.items()}
            events = [list(each) for each in self._register_events]
            self._file.write([1, self._tree.size, list(self._tree.hashes), lives, events, self._issued])
            self._kept_size = self._tree.size


def _next(before: Life, kind: EntryKind, seq: int) -> Life:
    try:
        return next_life(before, kind)
    except Conflict as exc:
        raise LedgerHalted(f"Entry {seq} cannot follow what came before it.", _TODO) from exc


STANDING_FILE = "standing"
