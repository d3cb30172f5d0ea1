"""Rebuilds the log's database out of its published files, after a restored backup or a lost disk.

The published bundles hold every entry that was ever signed for. They are read from the first to the locked
head, every entry is held against all before it (`ledger.following`), and both roots have to be the locked
ones; only then is the database emptied and filled again, in one transaction. What was appended but never
published is not in the files: nobody has been given a receipt for it, and its callers ask again.

The files do not say which of the caller's operations an entry came from, nor his numbers for e-certificates:
`Identities` brings those back from the register. What the register does not know (it was restored too) gets
a number of its own below zero, is counted in the report, and stays in the log as it is.

The new state has the next epoch, so that a process that still runs on the old one stops by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy.engine import Connection

from ledger import sql
from ledger.following import Disagreement, Follower
from ledger.lockstore import LockStore
from ledger.note import VerifierKey
from ledger.sequencing import new_state
from ledger.sql import LastEntries, LogState, StoredEntry, SubjectHead
from ledger.statekey import StateKey
from ledger.tilefolder import TileFolder
from ledger.tiles import TILE_WIDTH, Tile
from trust.encoding import merkle
from trust.encoding.entry import NO_REF, Entry, decode_entry
from trust.model.errors import Conflict, LedgerHalted, Malformed, VerificationError
from trust.storage.sql import Database

Progress = Callable[[int, int], None]

_ROWS_AT_ONCE: Final = 1024


class Identities(Protocol):
    """The register's memory of what it asked the ledger for."""

    def subject_id(self, ref: bytes) -> int | None:
        """The number of the e-certificate with this ref."""

    def operation_id(self, entry: Entry) -> int | None:
        """The operation that this entry carried out."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """`unknown_refs`: e-certificates in the log that the register does not know."""

    size: int
    had: int
    unknown_refs: int


def recover(
    database: Database,
    lock_store: LockStore,
    files: TileFolder,
    *,
    log_vkey: VerifierKey,
    identities: Identities,
    even_if_not_behind: bool = False,
    state_key: StateKey = StateKey(),
    on_progress: Progress = lambda done, total: None,
) -> Recovered:
    """Brings the database back to the locked head. No process may have the log open.

    `even_if_not_behind` also replaces a database whose rows are damaged; what it had stored and never signed
    for is gone then.

    Raises `Conflict` if the database is not behind, `LedgerHalted` if the lock store does not know the log,
    and `VerificationError`, naming the entry, if the files are not those of the locked head. Then nothing has
    been changed.
    """
    origin = log_vkey.name
    locked = lock_store.head(origin)
    if locked is None:
        raise LedgerHalted(
            "The lock store does not know this log, so nothing says how far it was signed.",
            "Restore the lock store. If it is lost for good, close this log and begin a new one.",
        )
    with sql.last_entries() as last_entries:
        follower = _follow(files, locked.size, origin, last_entries, on_progress)
        if (follower.tree.root(), follower.sm3_tree.root()) != (locked.root, locked.sm3_root):
            raise VerificationError(f"The files do not give the locked roots of size {locked.size}.")
        try:
            keys = follower.keys()
        except Disagreement as exc:
            raise VerificationError(exc.what) from exc
        if log_vkey not in [each.vkey for each in keys.keys]:
            raise VerificationError("The key that the log is known by is not among the keys in the files.")
        with database.write() as connection:
            sql.lock_creation(connection)
            old = sql.read_state(connection)
            if old is not None and old.size >= locked.size and not even_if_not_behind:
                raise Conflict(
                    f"The database is not behind: it holds {old.size} entries, {locked.size} are signed for.",
                    "If its rows are damaged, say so with --force.",
                )
            sql.delete_everything(connection)
            unknown: dict[bytes, int] = {}

            def subject_id(ref: bytes) -> int:
                known = identities.subject_id(ref)
                return known if known is not None else unknown.setdefault(ref, -1 - len(unknown))

            last_operation_id = _insert_rows(connection, files, locked.size, subject_id, identities)
            last_subject_id = _insert_subjects(connection, last_entries, subject_id)
            sql.write_actor_counts(connection, sorted(follower.counts.items()))
            for seq, note in follower.statements:
                sql.insert_key_statement(connection, seq, note)
            state = LogState(
                origin=origin,
                size=follower.size,
                root=follower.tree.root(),
                edge=b"".join(follower.tree.hashes),
                sm3_edge=b"".join(follower.sm3_tree.hashes),
                last_leaf_hash=follower.leaf,
                last_at_ms=follower.at_ms,
                epoch=(old or new_state(origin)).epoch + 1,
                last_operation_id=last_operation_id,
                last_subject_id=last_subject_id,
            )
            sql.insert_state(connection, state_key.sealed(state))
    return Recovered(locked.size, old.size if old else 0, len(unknown))


def _follow(
    files: TileFolder, size: int, origin: str, last_entries: LastEntries, on_progress: Progress
) -> Follower:
    follower = Follower(origin, last_entries, files.read_statement)
    for tile in _tiles(size):
        try:
            for entry_bytes in files.read_bundle(tile):
                follower.follow(entry_bytes)
        except Disagreement as exc:
            raise VerificationError(f"Entry {exc.seq} in the files: {exc.what}") from exc
        except Malformed as exc:
            raise VerificationError(f"The bundle from entry {tile.start} on is damaged: {exc.what}") from exc
        on_progress(tile.start + tile.width, 2 * size)
    return follower


def _insert_rows(
    connection: Connection,
    files: TileFolder,
    size: int,
    subject_id: Callable[[bytes], int],
    identities: Identities,
) -> int:
    """Reads the files a second time, which have been found good. Returns the largest operation id."""
    rows: list[StoredEntry] = []
    largest = 0
    for tile in _tiles(size):
        for entry_bytes in files.read_bundle(tile):
            entry = decode_entry(entry_bytes)
            operation_id = identities.operation_id(entry)
            largest = max(largest, operation_id or 0)
            subject = None if entry.ref == NO_REF else subject_id(entry.ref)
            leaf = merkle.leaf_hash(entry_bytes)
            rows.append(StoredEntry(entry.seq, operation_id, subject, entry.at_ms, leaf, entry_bytes))
        if len(rows) >= _ROWS_AT_ONCE:
            sql.insert_entries(connection, rows)
            rows.clear()
    sql.insert_entries(connection, rows)
    return largest


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
