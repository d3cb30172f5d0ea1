"""Rebuilds the log's database from its published files, after a restored backup or a lost disk.

The published bundles contain every entry that was ever signed for. They are read from the first one to the newest head
that is known to be signed: the locked one, or a signed checkpoint of a larger size (the published one, that of a
mirror, the mark outside the folder). Bundles missing from a copy that was made under load are taken from the database's
rows. Every entry is checked against all before it (`ledger.following`), and the roots must be the signed ones; only
then is the database emptied and filled again, in one transaction, and a lock store that was behind is brought up to
date. Entries that were appended but never published are not in the files: no receipt was given for them, and their
callers repeat the request. A database that already has all entries keeps its rows.

A checkpoint in the copy alone does not prove that nothing was signed after it; the operator must confirm that.

The files do not contain the caller's operation ids and numbers of e-certificates; `Identities` looks them up in the
register. An e-certificate that the register does not know (it was restored too) gets a negative number, is counted in
the report, and stays in the log.

The new state has the next epoch, so that a process that still uses the old one stops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy.engine import Connection

from ledger import sql
from ledger.checkpoint import parse_checkpoint
from ledger.following import Disagreement, Follower
from ledger.lockedhead import LockedHead
from ledger.lockstore import LockStore
from ledger.logkeys import check_log_checkpoint
from ledger.note import VerifierKey, parse_note
from ledger.sequencing import LOG_ACTOR, new_state
from ledger.sql import LastEntries, LogState, StoredEntry, SubjectHead
from ledger.statekey import StateKey
from ledger.text import decode_utf8
from ledger.tilefolder import TileFolder
from ledger.tiles import TILE_WIDTH, Tile
from trust.encoding import merkle
from trust.encoding.entry import NO_REF, Entry, decode_entry
from trust.encoding.merkle import CompactRange
from trust.model.errors import Conflict, LedgerHalted, Malformed, StorageError, VerificationError
from trust.storage.sql import Database

Progress = Callable[[int, int], None]

_ROWS_AT_ONCE: Final = 1024
NUMBERS_LEFT_OUT: Final = 1_000_000
"""How many ids are skipped: more than a caller can have assigned between a copy and its restore."""


class Identities(Protocol):
    """The register's record of its requests to the ledger."""

    def subject_id(self, ref: bytes) -> int | None:
        """The number of the e-certificate with this ref, or None."""

    def operation_id(self, entry: Entry) -> int | None:
        """The id of the operation that this entry carried out, or None."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """`unknown_refs`: e-certificates in the log that the register does not know. `locked`: the size in the lock
    store."""

    size: int
    had: int
    unknown_refs: int
    locked: int


def recover(
    database: Database,
    lock_store: LockStore,
    files: TileFolder,
    *,
    log_vkey: VerifierKey,
    identities: Identities,
    even_if_not_behind: bool = False,
    state_key: StateKey = StateKey(),
    known_outside: Sequence[str] = (),
    nothing_issued_since: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> Recovered:
    """Brings the database and the lock store to the newest head that is known to be signed. No process may have the
    log open.

    `known_outside` are signed checkpoints that were not restored together with this copy. `even_if_not_behind` also
    replaces a database whose rows are damaged; entries that it had stored and never signed for are lost then.
    `nothing_issued_since`: the operator's confirmation that nothing was signed after the newest head in the copy.

    Raises `Conflict` if nothing is behind, or if that confirmation is needed and missing; `LedgerHalted` if no signed
    head is known; and `VerificationError`, naming the entry, if the files do not give the signed head. Nothing has
    been changed then.
    """
    origin = log_vkey.name
    locked = lock_store.head(origin)
    target = _newest_signed(origin, locked, files, known_outside)
    old = _state(database)
    is_lock_behind = locked is None or locked.size < target.size
    if old is not None and old.size >= target.size and not is_lock_behind and not even_if_not_behind:
        raise Conflict(
            f"The database is not behind: it holds {old.size} entries, {target.size} are signed for.",
            "If its rows are damaged, say so with --force.",
        )
    if is_lock_behind and not target.is_from_outside and not nothing_issued_since:
        raise Conflict(
            f"The lock store knows size {locked.size if locked else 0}, and size {target.size} is signed. Nothing "
            "outside this folder says whether more was signed after it was copied.",
            "Give a mirror with --from, or the mark. Only if the service was stopped for good when the copy was made, "
            "say --nothing-issued-since. Otherwise close this ledger (docs/OPERATIONS.md).",
            code="LEDGER_MAY_BE_BEHIND",
        )
    source = _Source(files, database)
    with sql.last_entries() as last_entries:
        follower, roots = _follow(
            source, target.size, origin, last_entries, locked.size if locked else 0, on_progress
        )
        if locked is not None and roots != (locked.root, locked.sm3_root):
            raise VerificationError(f"The files do not give the locked roots of size {locked.size}.")
        if follower.tree.root() != target.root:
            raise VerificationError(f"The files do not give the signed root of size {target.size}.")
        try:
            keys = follower.keys()
        except Disagreement as exc:
            raise VerificationError(exc.what) from exc
        if log_vkey not in [each.vkey for each in keys.keys]:
            raise VerificationError("The key that the log is known by is not among the keys in the files.")
        if target.note:
            check_log_checkpoint(target.note, keys)
        unknown: dict[bytes, int] = {}
        if old is None or old.size < target.size or even_if_not_behind:
            _fill(database, source, follower, last_entries, identities, state_key, unknown)
        else:
            _check_rows(database, old, target, state_key)
    if is_lock_behind:
        head = LockedHead(size=target.size, root=follower.tree.root(), sm3_root=follower.sm3_tree.root())
        lock_store.bring_up(origin, old=locked, new=head)
    return Recovered(target.size, old.size if old else 0, len(unknown), locked.size if locked else 0)


@dataclass(frozen=True, slots=True)
class _Target:
    """The newest head that is known to be signed. `note`: its checkpoint, if it does not come from the lock store."""

    size: int
    root: bytes
    note: str
    is_from_outside: bool


def _newest_signed(
    origin: str, locked: LockedHead | None, files: TileFolder, known_outside: Sequence[str]
) -> _Target:
    found = [_Target(locked.size, locked.root, "", False)] if locked is not None else []
    published = files.read_checkpoint()
    notes = [(decode_utf8(published), False)] if published is not None else []
    for note, is_from_outside in [*((each, True) for each in known_outside), *notes]:
        checkpoint = parse_checkpoint(parse_note(note).text)
        if checkpoint.origin != origin:
            raise VerificationError(f"The checkpoint is of the log {checkpoint.origin}, not of {origin}.")
        found.append(_Target(checkpoint.size, checkpoint.root, note, is_from_outside))
    if not found:
        raise LedgerHalted(
            "The lock store does not know this log, so nothing says how far it was signed.",
            "Restore the lock store. If it is lost for good, close this log and begin a new one.",
        )
    newest = max(found, key=lambda each: (each.size, each.is_from_outside))
    if any(each.size == newest.size and each.root != newest.root for each in found):
        raise VerificationError(f"Two histories are signed: size {newest.size} has two roots.")
    return newest


def _state(database: Database) -> LogState | None:
    with database.read() as connection:
        return sql.read_state(connection)


def _fill(
    database: Database,
    source: _Source,
    follower: Follower,
    last_entries: LastEntries,
    identities: Identities,
    state_key: StateKey,
    unknown: dict[bytes, int],
) -> None:
    """Empties the database and fills it with the entries that were followed, in one transaction."""

    def subject_id(ref: bytes) -> int:
        known = identities.subject_id(ref)
        return known if known is not None else unknown.setdefault(ref, -1 - len(unknown))

    with database.write() as connection:
        sql.lock_creation(connection)
        old = sql.read_state(connection)
        sql.delete_everything(connection)
        last_operation_id, nobodys = _insert_rows(connection, source, follower.size, subject_id, identities)
        last_subject_id = _insert_subjects(connection, last_entries, subject_id)
        # Ids that the register has lost were nevertheless assigned, so a range is skipped.
        last_operation_id += NUMBERS_LEFT_OUT if nobodys else 0
        last_subject_id += NUMBERS_LEFT_OUT if unknown else 0
        sql.write_actor_counts(connection, sorted(follower.counts.items()))
        for seq, note in follower.statements:
            sql.insert_key_statement(connection, seq, note)
        state = LogState(
            origin=follower.origin,
            size=follower.size,
            root=follower.tree.root(),
            edge=b"".join(follower.tree.hashes),
            sm3_edge=b"".join(follower.sm3_tree.hashes),
            last_leaf_hash=follower.leaf,
            last_at_ms=follower.at_ms,
            epoch=(old or new_state(follower.origin)).epoch + 1,
            # Ids in the old rows stay assigned, even if the register has lost them.
            last_operation_id=max(last_operation_id, old.last_operation_id if old else 0),
            last_subject_id=max(last_subject_id, old.last_subject_id if old else 0),
        )
        sql.insert_state(connection, state_key.sealed(state))


def _check_rows(database: Database, state: LogState, target: _Target, state_key: StateKey) -> None:
    """Checks that the rows give the signed root and the stored one. Raises `VerificationError`, `LedgerHalted`."""
    state_key.check(state)
    tree, root = CompactRange(), b""
    for start in range(0, state.size, _ROWS_AT_ONCE):
        with database.read() as connection:
            for row in sql.read_entries(connection, start=start, end=min(state.size, start + _ROWS_AT_ONCE)):
                tree.append(merkle.leaf_hash(row.entry_bytes))
                if tree.size == target.size:
                    root = tree.root()
    if root != target.root or tree.root() != state.root:
        raise VerificationError(
            "The rows of the database are not those of the signed log; --force replaces them."
        )


class _Source:
    """Reads the entries of a tile from the files or, if the copy lacks them, from the rows."""

    def __init__(self, files: TileFolder, database: Database) -> None:
        self._files = files
        self._database = database
        self._rows: dict[int, tuple[bytes, ...]] = {}

    def read_bundle(self, tile: Tile) -> tuple[bytes, ...]:
        """The entries of a tile of level 0. Raises `StorageError` if neither files nor rows have them."""
        if tile.start in self._rows:
            return self._rows[tile.start]
        widths = [tile, *reversed(self._files.larger(tile))]
        missing: StorageError | None = None
        for each in widths:
            try:
                return self._files.read_bundle(each)[: tile.width]
            except StorageError as exc:
                missing = missing or exc
        with self._database.read() as connection:
            rows = sql.read_entries(connection, start=tile.start, end=tile.start + tile.width)
        if len(rows) != tile.width:
            raise StorageError(
                f"The entries from {tile.start} to {tile.start + tile.width - 1} are neither in the files nor in the "
                "database.",
                "Give a mirror with --from. Where there is none, close this ledger: docs/OPERATIONS.md.",
            ) from missing
        self._rows[tile.start] = tuple(row.entry_bytes for row in rows)
        return self._rows[tile.start]

    def read_statement(self, seq: int) -> str:
        try:
            return self._files.read_statement(seq)
        except StorageError:
            with self._database.read() as connection:
                kept = dict(sql.read_key_statements(connection))
            if seq not in kept:
                raise
            return kept[seq]


def _follow(
    source: _Source,
    size: int,
    origin: str,
    last_entries: LastEntries,
    locked_size: int,
    on_progress: Progress,
) -> tuple[Follower, tuple[bytes, bytes]]:
    """Follows all entries; returns the follower, and the roots of both trees at the locked size."""
    follower = Follower(origin, last_entries, source.read_statement)
    roots = (follower.tree.root(), follower.sm3_tree.root())
    for tile in _tiles(size):
        try:
            for entry_bytes in source.read_bundle(tile):
                follower.follow(entry_bytes)
                if follower.size == locked_size:
                    roots = (follower.tree.root(), follower.sm3_tree.root())
        except Disagreement as exc:
            raise VerificationError(f"Entry {exc.seq} in the files: {exc.what}") from exc
        except Malformed as exc:
            raise VerificationError(f"The bundle from entry {tile.start} on is damaged: {exc.what}") from exc
        on_progress(tile.start + tile.width, 2 * size)
    return follower, roots


def _insert_rows(
    connection: Connection,
    source: _Source,
    size: int,
    subject_id: Callable[[bytes], int],
    identities: Identities,
) -> tuple[int, int]:
    """Inserts the entries, reading the checked files a second time. Returns the largest operation id, and the number
    of entries without a known operation."""
    rows: list[StoredEntry] = []
    largest = nobodys = 0
    for tile in _tiles(size):
        for entry_bytes in source.read_bundle(tile):
            entry = decode_entry(entry_bytes)
            operation_id = identities.operation_id(entry)
            largest = max(largest, operation_id or 0)
            nobodys += operation_id is None and entry.actor != LOG_ACTOR
            subject = None if entry.ref == NO_REF else subject_id(entry.ref)
            leaf = merkle.leaf_hash(entry_bytes)
            rows.append(StoredEntry(entry.seq, operation_id, subject, entry.at_ms, leaf, entry_bytes))
        if len(rows) >= _ROWS_AT_ONCE:
            sql.insert_entries(connection, rows)
            rows.clear()
    sql.insert_entries(connection, rows)
    return largest, nobodys


def _insert_subjects(
    connection: Connection, last_entries: LastEntries, subject_id: Callable[[bytes], int]
) -> int:
    heads: list[SubjectHead] = []
    largest = 0
    for ref, seq, leaf_hash, life in last_entries.all():
        head = SubjectHead(subject_id(ref), seq, leaf_hash, ref, life)
        largest = max(largest, head.subject_id)
        heads.append(head)
        if len(heads) >= _ROWS_AT_ONCE:
            sql.write_subject_heads(connection, heads)
            heads.clear()
    sql.write_subject_heads(connection, heads)
    return largest


def _tiles(size: int) -> list[Tile]:
    return [
        Tile(0, start // TILE_WIDTH, min(TILE_WIDTH, size - start)) for start in range(0, size, TILE_WIDTH)
    ]
