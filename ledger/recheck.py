"""Reads a whole log again and compares everything that must agree.

There are three looks, each of which can be run alone:

    DATABASE   the rows, every entry checked against all before it (`ledger.following`), the columns beside
               them, the stored state, counters and last entries
    FILES      the same for the published bundles, and every tile of both trees against the entries
    BOTH       bundles and rows against each other, byte by byte

The resulting roots are compared with the stored state, the lock store and the published checkpoints, and the heads with
each other: published <= locked <= stored. So a changed row, a changed file, a missing end and a head that was set back
are all detected, and the first bad entry is named.

Nothing is raised and nothing is repaired: the report lists what was found. Memory use does not grow with the log:
entries are streamed, and the last entry about each e-certificate is kept in a temporary file. An attacker who can
change both databases and all files *and* has the log's keys is not detected here; that takes a checkpoint kept by
someone else (a witness, or a receipt).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from ledger import sql
from ledger.checkpoint import Checkpoint, parse_checkpoint
from ledger.following import Disagreement, Follower
from ledger.lockedhead import LockedHead
from ledger.lockstore import LockStore
from ledger.logkeys import LogKeys, check_log_checkpoint
from ledger.note import VerifierKey, parse_note
from ledger.publisher import check_sm3_checkpoint
from ledger.sql import LogState, StoredEntry
from ledger.text import decode_utf8, encode_base64
from ledger.tilefolder import SM3_FOLDER, TileFolder
from ledger.tiles import TILE_WIDTH, Tile, tile_path
from trust.encoding import merkle
from trust.encoding.entry import NO_REF, Entry
from trust.model.errors import Malformed, StorageError, TrustError
from trust.storage.sql import Database

Progress = Callable[[str, int, int], None]

_ROWS_AT_ONCE: Final = 1024


class Look(StrEnum):
    """What to read; see the module."""

    DATABASE = "database"
    FILES = "files"
    BOTH = "both"


EVERYWHERE: Final = (Look.DATABASE, Look.FILES, Look.BOTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecheckFinding:
    """Something that does not agree. `source` says where it was read, `seq` is the number of the entry, if any."""

    source: str
    what: str
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecheckReport:
    """The sizes that were read and the findings; a log in order has none."""

    stored_size: int
    locked_size: int
    published_size: int
    findings: tuple[RecheckFinding, ...]

    @property
    def is_clean(self) -> bool:
        return not self.findings


def recheck(
    database: Database,
    folder: Path,
    lock_store: LockStore,
    *,
    log_vkey: VerifierKey,
    looks: Collection[Look] = EVERYWHERE,
    on_progress: Progress | None = None,
) -> RecheckReport:
    """Reads the log again; see the module. It may run in the log's process or, on PostgreSQL, beside it.

    `log_vkey` is one key that the log is known to have. `on_progress` is called with the look, the entries
    read so far, and how many there are.
    """
    return _Recheck(database, TileFolder(folder), lock_store, log_vkey, on_progress).run(looks)


class _Recheck:
    def __init__(
        self,
        database: Database,
        files: TileFolder,
        lock_store: LockStore,
        log_vkey: VerifierKey,
        on_progress: Progress | None,
    ) -> None:
        self._database = database
        self._files = files
        self._sm3_files = TileFolder(files.folder / SM3_FOLDER)
        self._lock_store = lock_store
        self._vkey = log_vkey
        self._on_progress = on_progress or (lambda look, done, total: None)
        self._findings: list[RecheckFinding] = []
        self._state: LogState | None = None
        self._locked: LockedHead | None = None
        self._published: Checkpoint | None = None
        self._published_notes: list[str] = []

    def run(self, looks: Collection[Look]) -> RecheckReport:
        # The smallest head is read first, because appends in between only make the later ones larger.
        self._look("checkpoint", self._read_published)
        self._look("lock store", self._read_locked)
        self._look("database", self._read_state)
        if Look.DATABASE in looks:
            self._look("database", self._read_rows)
        if Look.FILES in looks:
            self._look("files", self._read_files)
        if Look.BOTH in looks:
            self._look("both", self._compare_sources)
        self._compare_sizes()
        return RecheckReport(
            stored_size=self._state.size if self._state else 0,
            locked_size=self._locked.size if self._locked else 0,
            published_size=self._published.size if self._published else 0,
            findings=tuple(self._findings),
        )

    def _look(self, source: str, read: Callable[[], None]) -> None:
        try:
            read()
        except Disagreement as exc:
            self._find(source, exc.what, seq=exc.seq)
        except (TrustError, SQLAlchemyError, ValueError) as exc:
            self._find(source, str(exc))

    def _find(self, source: str, what: str, *, seq: int | None = None) -> None:
        self._findings.append(RecheckFinding(source=source, what=what, seq=seq))

    # --- heads ---

    def _read_published(self) -> None:
        """Reads size and root only; the signatures are checked once the entries have shown the log's keys."""
        for files in (self._files, self._sm3_files):
            note = files.read_checkpoint()
            if note is None:
                raise Disagreement("Nothing is published.")
            self._published_notes.append(decode_utf8(note))
        self._published = parse_checkpoint(parse_note(self._published_notes[0]).text)

    def _read_locked(self) -> None:
        self._locked = self._lock_store.head(self._vkey.name)
        if self._locked is None:
            raise Disagreement("The lock store does not know this log.")

    def _read_state(self) -> None:
        with self._database.read() as connection:
            self._state = sql.read_state(connection)
        if self._state is None:
            raise Disagreement("The database holds no log.")

    def _check_signatures(self, follower: Follower) -> None:
        """Checks the checkpoints with the log's keys according to the entries of one source."""
        keys = follower.keys()
        if self._vkey not in [each.vkey for each in keys.keys]:
            raise Disagreement("The key that the log is known by is not among its keys.")
        if self._locked and self._locked.is_signed:
            locked = self._locked
            self._look("lock store", lambda: _check_notes(locked, keys))
        if len(self._published_notes) == 2:
            self._look("checkpoint", lambda: self._check_published(follower))

    def _check_published(self, follower: Follower) -> None:
        check_log_checkpoint(self._published_notes[0], follower.keys())
        sm3 = check_sm3_checkpoint(self._published_notes[1], follower.keys())
        if sm3.size == follower.size and sm3.root != follower.sm3_tree.root():
            raise Disagreement(f"The entries do not give the root of the SM3 checkpoint (size {sm3.size}).")
        if self._locked and sm3.size > self._locked.size:
            raise Disagreement(f"An SM3 checkpoint of size {sm3.size} is published, which is not locked.")

    def _heads(self, state: LogState | None) -> list[tuple[str, int, bytes, bytes | None]]:
        """The known heads with their names; each must have the roots of the entries at its size."""
        heads: list[tuple[str, int, bytes, bytes | None]] = []
        if state:
            heads.append(("the stored state", state.size, state.root, None))
        if self._locked:
            heads.append(("the lock store", self._locked.size, self._locked.root, self._locked.sm3_root))
        if self._published:
            heads.append(("the published checkpoint", self._published.size, self._published.root, None))
        return heads

    def _compare_roots(
        self, source: str, follower: Follower, heads: list[tuple[str, int, bytes, bytes | None]]
    ) -> None:
        for name, size, root, sm3_root in heads:
            if size == follower.size:
                is_right = root == follower.tree.root()
                if not is_right or sm3_root not in (None, follower.sm3_tree.root()):
                    self._find(source, f"The entries do not give the root of {name} (size {size}).")

    def _compare_sizes(self) -> None:
        stored = self._state.size if self._state else 0
        locked = self._locked.size if self._locked else 0
        published = self._published.size if self._published else 0
        if not published <= locked <= stored:
            what = f"Not in order: published {published}, locked {locked}, stored {stored}."
            self._find("heads", what)

    # --- rows ---

    def _read_rows(self) -> None:
        state = self._state
        if state is None:
            return
        with self._database.read() as connection:
            statements = dict(sql.read_key_statements(connection))
        with sql.last_entries() as last_entries:
            follower = Follower(self._vkey.name, last_entries, statements.__getitem__)
            heads = self._heads(state)
            for row in self._rows(state.size):
                entry = follower.follow(row.entry_bytes)
                _check_copies(row, entry)
                self._compare_roots("database", follower, heads)
                if row.seq % _ROWS_AT_ONCE == 0:
                    self._on_progress("database", row.seq, state.size)
            self._on_progress("database", state.size, state.size)
            if statements.keys() != {seq for seq, _ in follower.statements}:
                self._find("database", "There is a statement of keys that no entry commits to.")
            edges = [b"".join(tree.hashes) for tree in (follower.tree, follower.sm3_tree)]
            if edges != [state.edge, state.sm3_edge]:
                self._find("database", "The stored right edges are not those of the entries.")
            if (follower.leaf, follower.at_ms) != (state.last_leaf_hash, state.last_at_ms):
                self._find("database", "The stored last entry is not the last entry.")
            self._check_counters(follower)
            self._check_signatures(follower)

    def _rows(self, size: int) -> Iterator[StoredEntry]:
        """All rows in order. Raises `Disagreement` if one is missing. Each portion is read in its own transaction,
        because one that stays open for minutes would prevent SQLite's checkpoints of its WAL."""
        for start in range(0, size, _ROWS_AT_ONCE):
            end = min(size, start + _ROWS_AT_ONCE)
            with self._database.read() as connection:
                rows = sql.read_entries(connection, start=start, end=end)
            for seq, row in enumerate(rows, start):
                if row.seq != seq:
                    raise Disagreement("The entry is missing.", seq=seq)
                yield row
            if len(rows) < end - start:
                raise Disagreement("The entry is missing.", seq=start + len(rows))

    def _check_counters(self, follower: Follower) -> None:
        """Compares counters and last entries, but only if the log has not grown meanwhile."""
        with self._database.read() as connection:
            if sql.read_state(connection) != self._state:
                return
            assert self._state is not None
            last = sql.read_last_seq(connection)
            if last is not None and last >= self._state.size:
                self._find(
                    "database", f"There are entries beyond the stored size {self._state.size}.", seq=last
                )
            stored = sql.read_actor_counts(connection, None)
            for actor in sorted(stored.keys() | follower.counts.keys()):
                found, counted = stored.get(actor, 0), follower.counts.get(actor, 0)
                if found != counted:
                    self._find("database", f"The counter of {actor} is {found}, not {counted}.")
            heads = 0
            for head in sql.read_all_subject_heads(connection):
                heads += 1
                if follower.last_entries.get(head.ref) != (head.seq, head.leaf_hash, head.life):
                    what = f"The stored last entry of subject {head.subject_id} is not its last entry."
                    raise Disagreement(what, seq=head.seq)
            if heads != sum(1 for _ in follower.last_entries.all()):
                raise Disagreement("An e-certificate is stored under two subjects, or under none.")

    # --- files ---

    def _read_files(self) -> None:
        """Reads the files of the trees of the locked size; on restart the log writes missing files up to there."""
        size = self._locked.size if self._locked else 0
        with sql.last_entries() as last_entries:
            follower = Follower(self._vkey.name, last_entries, self._files.read_statement)
            heads = self._heads(None)
            levels = Levels(self._compare_tile)
            for start in range(0, size, TILE_WIDTH):
                tile = Tile(0, start // TILE_WIDTH, min(TILE_WIDTH, size - start))
                for entry_bytes in self._read_bundle(tile):
                    follower.follow(entry_bytes)
                    levels.add(follower.leaf, follower.sm3_leaf)
                    self._compare_roots("files", follower, heads)
                self._on_progress("files", start + tile.width, size)
            levels.finish(size)
            if size:
                self._check_signatures(follower)

    def _read_bundle(self, tile: Tile) -> tuple[bytes, ...]:
        try:
            return self._files.read_bundle(tile)
        except Malformed as exc:
            raise Disagreement(exc.what, seq=tile.start) from exc

    def _compare_tile(self, algorithm: str, tile: Tile, hashes: list[bytes]) -> None:
        files = self._sm3_files if algorithm == "sm3" else self._files
        try:
            found = files.read_hashes(tile)
        except (StorageError, Malformed) as exc:
            self._find("files", str(exc))
            return
        for number, (one, other) in enumerate(zip(found, hashes, strict=True), tile.start):
            if one != other:
                prefix = f"{SM3_FOLDER}/" if algorithm == "sm3" else ""
                what = f"{prefix}{tile_path(tile)} does not hold the hash that its entries give."
                self._find("files", what, seq=number << (8 * tile.level))
                return

    # --- both ---

    def _compare_sources(self) -> None:
        """Finds the first entry that differs between rows and files."""
        size = min(self._state.size if self._state else 0, self._locked.size if self._locked else 0)
        rows = self._rows(size)
        for start in range(0, size, TILE_WIDTH):
            tile = Tile(0, start // TILE_WIDTH, min(TILE_WIDTH, size - start))
            # Damage to one of the two is reported by its own look; here it only ends the comparison.
            with contextlib.suppress(Disagreement, StorageError):
                for seq, entry_bytes in enumerate(self._read_bundle(tile), start):
                    if next(rows).entry_bytes != entry_bytes:
                        self._find("both", "Database and files hold different entries.", seq=seq)
                        return
                self._on_progress("both", start + tile.width, size)
                continue
            return


class Levels:
    """Computes the tiles of the entries, level by level, and passes each on when it is full or at the end."""

    def __init__(self, compare: Callable[[str, Tile, list[bytes]], None]) -> None:
        self._compare = compare
        self._hashes: dict[str, list[list[bytes]]] = {"sha256": [], "sm3": []}
        self._size = 0

    def add(self, leaf: bytes, sm3_leaf: bytes) -> None:
        self._add("sha256", 0, leaf, self._size)
        self._add("sm3", 0, sm3_leaf, self._size)
        self._size += 1

    def finish(self, size: int) -> None:
        for algorithm, levels in self._hashes.items():
            for level, hashes in enumerate(levels):
                if hashes:
                    number = (size >> (8 * level)) - 1
                    self._compare(algorithm, Tile(level, number // TILE_WIDTH, len(hashes)), hashes)

    def _add(self, algorithm: str, level: int, value: bytes, number: int) -> None:
        levels = self._hashes[algorithm]
        if len(levels) == level:
            levels.append([])
        levels[level].append(value)
        if len(levels[level]) == TILE_WIDTH:
            hashes, levels[level] = levels[level], []
            index = number // TILE_WIDTH
            self._compare(algorithm, Tile(level, index), hashes)
            self._add(algorithm, level + 1, merkle.root(hashes, algorithm=algorithm), index)


def _check_notes(locked: LockedHead, keys: LogKeys) -> None:
    """Checks that the signed notes match the head stored with them, and that the SM3 note names the other root."""
    signed = check_log_checkpoint(decode_utf8(locked.note), keys)
    sm3 = check_sm3_checkpoint(decode_utf8(locked.sm3_note), keys)
    found = (signed.size, signed.root, sm3.size, sm3.root)
    if found != (locked.size, locked.root, locked.size, locked.sm3_root):
        raise Disagreement("The signed notes are not of the head beside them.")
    if sm3.extensions != (f"sha256 {encode_base64(signed.root)}",):
        raise Disagreement("The SM3 checkpoint names another SHA-256 root.")


def _check_copies(row: StoredEntry, entry: Entry) -> None:
    """Checks that the columns beside the entry match the entry."""
    if row.leaf_hash != merkle.leaf_hash(row.entry_bytes):
        raise Disagreement("The stored leaf hash is not the entry's.", seq=row.seq)
    if row.at_ms != entry.at_ms or (row.subject_id is None) != (entry.ref == NO_REF):
        raise Disagreement("The columns beside the entry do not match it.", seq=row.seq)
