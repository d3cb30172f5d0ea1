"""Reads a whole log again and compares everything that should agree.

Twice, independently: from the rows of the database, and from the published files. In both, every entry must
decode, stand at its place, and carry on its three chains (`prev`, `prev_ref`, `count`); every hash is
computed anew. The roots that come out are compared with the stored state, the lock store and the published
checkpoint, and the heads with each other: published <= locked <= stored. So a changed row, a changed file, a
missing end and a head that was set back all show, and the first bad entry is named.

Nothing is raised and nothing is mended: the report lists what was found. Memory stays flat, however long the
log: entries are streamed, and the last entry about each e-certificate is kept in a temporary file. Who could
change both databases, all files *and* has the log's key is not found out here: that takes a checkpoint which
somebody else kept (a witness, or a receipt).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from ledger import sql
from ledger.checkpoint import Checkpoint, check_checkpoint
from ledger.lockedhead import LockedHead
from ledger.lockstore import LockStore
from ledger.note import VerifierKey
from ledger.sql import LastEntries, LogState, StoredEntry
from ledger.text import decode_utf8
from ledger.tilefolder import TileFolder
from ledger.tiles import TILE_WIDTH, Tile, tile_path
from trust.encoding import merkle
from trust.encoding.entry import NO_PREV, NO_REF, Entry, decode_entry
from trust.encoding.merkle import CompactRange
from trust.model.errors import Malformed, StorageError, TrustError
from trust.storage.sql import Database

Progress = Callable[[str, int, int], None]

_ROWS_AT_ONCE: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RecheckFinding:
    """Something that does not agree. `source` says where it was read, `seq` names the entry if it is one."""

    source: str
    what: str
    seq: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecheckReport:
    """What was read and what was found; a log in order has no findings."""

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
    on_progress: Progress | None = None,
) -> RecheckReport:
    """Reads the log again; see the module. It may run beside a running log on PostgreSQL or in its process.

    `on_progress` is called with the source, the entries read so far, and how many there are.
    """
    return _Recheck(database, TileFolder(folder), lock_store, log_vkey, on_progress).run()


class _Disagreement(Exception):
    """Ends the reading of one source: what follows a bad entry is bad because of it."""

    def __init__(self, what: str, *, seq: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.seq = seq


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
        self._lock_store = lock_store
        self._vkey = log_vkey
        self._on_progress = on_progress or (lambda source, done, total: None)
        self._findings: list[RecheckFinding] = []
        self._state: LogState | None = None
        self._locked: LockedHead | None = None
        self._published: Checkpoint | None = None

    def run(self) -> RecheckReport:
        # The smallest head first: whatever is appended meanwhile makes the later ones larger only.
        self._look("checkpoint", self._read_published)
        self._look("lock store", self._read_locked)
        self._look("database", self._read_rows)
        self._look("files", self._read_files)
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
        except _Disagreement as exc:
            self._find(source, exc.what, seq=exc.seq)
        except (TrustError, SQLAlchemyError, ValueError) as exc:
            self._find(source, str(exc))

    def _find(self, source: str, what: str, *, seq: int | None = None) -> None:
        self._findings.append(RecheckFinding(source=source, what=what, seq=seq))

    def _read_published(self) -> None:
        note = self._files.read_checkpoint()
        if note is None:
            raise _Disagreement("Nothing is published.")
        self._published = check_checkpoint(decode_utf8(note), log_vkey=self._vkey)

    def _read_locked(self) -> None:
        self._locked = self._lock_store.head(self._vkey.name)
        if self._locked is None:
            raise _Disagreement("The lock store does not know this log.")
        if self._locked.is_signed:
            signed = check_checkpoint(decode_utf8(self._locked.note), log_vkey=self._vkey)
            if (signed.size, signed.root) != (self._locked.size, self._locked.root):
                raise _Disagreement("The signed note is not of the head beside it.")

    def _read_rows(self) -> None:
        with self._database.read() as connection, sql.last_entries() as last_entries:
            self._state = sql.read_state(connection)
            if self._state is None:
                raise _Disagreement("The database holds no log.")
            state = self._state
            chains = _Chains(self._vkey.name, last_entries)
            roots = _Roots("database", self._heads(state), self._find)
            for row in _rows(connection, state.size):
                entry = chains.follow(row.entry_bytes)
                _check_copies(row, entry)
                roots.append(row.leaf_hash)
                if row.seq % _ROWS_AT_ONCE == 0:
                    self._on_progress("database", row.seq, state.size)
            self._on_progress("database", state.size, state.size)
            if b"".join(roots.tree.hashes) != state.edge:
                self._find("database", "The stored right edge is not that of the entries.")
            if (chains.leaf, chains.at_ms) != (state.last_leaf_hash, state.last_at_ms):
                self._find("database", "The stored last entry is not the last entry.")
            if (last := sql.read_last_seq(connection)) is not None and last >= state.size:
                self._find("database", f"There are entries beyond the stored size {state.size}.", seq=last)
            self._check_counters(connection, chains)

    def _check_counters(self, connection: Connection, chains: _Chains) -> None:
        stored = sql.read_actor_counts(connection, None)
        for actor in sorted(stored.keys() | chains.counts.keys()):
            if stored.get(actor, 0) != chains.counts.get(actor, 0):
                what = f"The counter of {actor} is {stored.get(actor, 0)}, not {chains.counts.get(actor, 0)}."
                self._find("database", what)
        for head in sql.read_all_subject_heads(connection):
            if chains.last_entries.get(head.ref) != (head.seq, head.leaf_hash):
                what = f"The stored last entry of subject {head.subject_id} is not its last entry."
                self._find("database", what, seq=head.seq)
                return

    def _read_files(self) -> None:
        """What the tree of the locked size has; on restart the log writes missing files up to there."""
        size = self._locked.size if self._locked else 0
        with sql.last_entries() as last_entries:
            chains = _Chains(self._vkey.name, last_entries)
            roots = _Roots("files", self._heads(None), self._find)
            levels: list[list[bytes]] = []
            for start in range(0, size, TILE_WIDTH):
                tile = Tile(0, start // TILE_WIDTH, min(TILE_WIDTH, size - start))
                for seq, entry_bytes in enumerate(self._files.read_bundle(tile), start):
                    chains.follow(entry_bytes)
                    self._add_hash(levels, 0, chains.leaf, number=seq)
                    roots.append(chains.leaf)
                self._on_progress("files", start + tile.width, size)
            for level, hashes in enumerate(levels):
                if hashes:
                    number = (size >> (8 * level)) - 1
                    self._compare_tile(Tile(level, number // TILE_WIDTH, len(hashes)), hashes)

    def _add_hash(self, levels: list[list[bytes]], level: int, value: bytes, *, number: int) -> None:
        """Collects the hashes of one tile per level; a full one is compared and goes up as one hash."""
        if len(levels) == level:
            levels.append([])
        levels[level].append(value)
        if len(levels[level]) == TILE_WIDTH:
            hashes, levels[level] = levels[level], []
            self._compare_tile(Tile(level, number // TILE_WIDTH), hashes)
            self._add_hash(levels, level + 1, merkle.root(hashes), number=number // TILE_WIDTH)

    def _compare_tile(self, tile: Tile, hashes: list[bytes]) -> None:
        try:
            found = self._files.read_hashes(tile)
        except (StorageError, Malformed) as exc:
            self._find("files", str(exc))
            return
        for number, (one, other) in enumerate(zip(found, hashes, strict=True), tile.start):
            if one != other:
                what = f"{tile_path(tile)} does not hold the hash that its entries give."
                self._find("files", what, seq=number << (8 * tile.level))
                return

    def _heads(self, state: LogState | None) -> list[tuple[str, int, bytes]]:
        """The heads that are known, by name: each must be the root of the entries at its size."""
        heads = [("the stored state", state.size, state.root)] if state else []
        if self._locked:
            heads.append(("the lock store", self._locked.size, self._locked.root))
        if self._published:
            heads.append(("the published checkpoint", self._published.size, self._published.root))
        return heads

    def _compare_sizes(self) -> None:
        stored = self._state.size if self._state else 0
        locked = self._locked.size if self._locked else 0
        published = self._published.size if self._published else 0
        if not published <= locked <= stored:
            what = f"Not in order: published {published}, locked {locked}, stored {stored}."
            self._find("heads", what)


class _Chains:
    """Follows the entries of one source and raises at the first that does not carry on its chains."""

    def __init__(self, origin: str, last_entries: LastEntries) -> None:
        self._origin = origin
        self._size = 0
        self.last_entries = last_entries
        self.leaf = NO_PREV
        self.at_ms = 0
        self.counts: dict[str, int] = {}  # one number for each authority, of which there are few

    def follow(self, entry_bytes: bytes) -> Entry:
        seq = self._size
        try:
            entry = decode_entry(entry_bytes)
        except Malformed as exc:
            raise _Disagreement(f"The entry cannot be decoded: {exc.what}", seq=seq) from exc
        count = self.counts.get(entry.actor, 0) + 1
        last = None if entry.ref == NO_REF else self.last_entries.get(entry.ref)
        prev_ref = None if entry.prev_ref is None else (entry.prev_ref.seq, entry.prev_ref.leaf_hash)
        for is_right, what in (
            (entry.log == self._origin, "The entry names another log."),
            (entry.seq == seq, f"The entry bears the number {entry.seq}."),
            (entry.prev == self.leaf, "The entry does not point at the one before it."),
            (entry.at_ms >= self.at_ms, "The entry is older than the one before it."),
            (prev_ref == last, "The entry does not point at the last one about its e-certificate."),
            (entry.count == count, f"The entry is number {entry.count} of its actor, not {count}."),
        ):
            if not is_right:
                raise _Disagreement(what, seq=seq)
        self._size += 1
        self.leaf = merkle.leaf_hash(entry_bytes)
        self.at_ms = entry.at_ms
        self.counts[entry.actor] = count
        if entry.ref != NO_REF:
            self.last_entries.put(entry.ref, seq=seq, leaf_hash=self.leaf)
        return entry


class _Roots:
    """Grows a tree and compares its root with each head when it has that head's size."""

    def __init__(
        self, source: str, heads: list[tuple[str, int, bytes]], find: Callable[[str, str], None]
    ) -> None:
        self.tree = CompactRange()
        self._source = source
        self._heads = heads
        self._find = find

    def append(self, leaf: bytes) -> None:
        self.tree.append(leaf)
        for name, size, root in self._heads:
            if size == self.tree.size and root != self.tree.root():
                self._find(self._source, f"The entries do not give the root of {name} (size {size}).")


def _rows(connection: Connection, size: int) -> Iterator[StoredEntry]:
    """All rows in order. Raises `_Disagreement` where one is missing."""
    for start in range(0, size, _ROWS_AT_ONCE):
        end = min(size, start + _ROWS_AT_ONCE)
        rows = sql.read_entries(connection, start=start, end=end)
        for seq, row in enumerate(rows, start):
            if row.seq != seq:
                raise _Disagreement("The entry is missing.", seq=seq)
            yield row
        if len(rows) < end - start:
            raise _Disagreement("The entry is missing.", seq=start + len(rows))


def _check_copies(row: StoredEntry, entry: Entry) -> None:
    """The columns beside the entry say what the entry says."""
    if row.leaf_hash != merkle.leaf_hash(row.entry_bytes):
        raise _Disagreement("The stored leaf hash is not the entry's.", seq=row.seq)
    if row.at_ms != entry.at_ms or (row.subject_id is None) != (entry.ref == NO_REF):
        raise _Disagreement("The columns beside the entry do not match it.", seq=row.seq)
