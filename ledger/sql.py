"""The ledger's tables, and every SQL statement of the ledger.

Two databases. The log's holds the entries and what is needed to append one more; inner nodes of the tree
are not stored. The lock store's holds one row per log and lives elsewhere (`ledger.lockstore` says why).

Inserts stay flat while the tables grow: every key is an integer that grows with time. A unique index over
random values costs more with every doubling (measured: 25 k entries/s at 10⁵ rows, 6 k at 4·10⁶), so a
repeat is found by `operation_id`, which the caller takes from a growing counter, and the last entry about
an e-certificate by its integer `subject_id`.

Nothing is updated but heads and counters; an entry row is written once.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ledger.lockedhead import LockedHead
from trust.encoding.digests import sha256
from trust.encoding.merkle import HASH_SIZE, CompactRange
from trust.storage.sql import Database

metadata: Final = sa.MetaData()
lock_metadata: Final = sa.MetaData()

# On SQLite only a column of type INTEGER becomes the row id itself, without an index beside the table.
_Key: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_entry: Final = sa.Table(
    "ledger_entry",
    metadata,
    sa.Column("seq", _Key, primary_key=True, autoincrement=False),
    sa.Column("operation_id", sa.BigInteger, unique=True),  # absent on the log's own first entries
    sa.Column("subject_id", sa.BigInteger),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("leaf_hash", sa.LargeBinary(HASH_SIZE), nullable=False),
    sa.Column("entry_bytes", sa.LargeBinary, nullable=False),
)
_subject: Final = sa.Table(
    "ledger_subject",
    metadata,
    sa.Column("subject_id", _Key, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("leaf_hash", sa.LargeBinary(HASH_SIZE), nullable=False),
    sa.Column("ref", sa.LargeBinary(HASH_SIZE), nullable=False),
)
_actor: Final = sa.Table(
    "ledger_actor",
    metadata,
    sa.Column("actor", sa.String(64), primary_key=True),
    sa.Column("count", sa.BigInteger, nullable=False),
)
_state: Final = sa.Table(
    "ledger_state",
    metadata,
    sa.Column(
        "id", _Key, sa.CheckConstraint("id = 1", name="one_log"), primary_key=True, autoincrement=False
    ),
    sa.Column("origin", sa.String(255), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("root", sa.LargeBinary(HASH_SIZE), nullable=False),
    sa.Column("edge", sa.LargeBinary, nullable=False),
    sa.Column("last_leaf_hash", sa.LargeBinary(HASH_SIZE), nullable=False),
    sa.Column("last_at_ms", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
)
_lock: Final = sa.Table(
    "lock_head",
    lock_metadata,
    sa.Column("origin", sa.String(255), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("root", sa.LargeBinary(HASH_SIZE), nullable=False),
    sa.Column("note", sa.LargeBinary, nullable=False),
)

# Advisory locks of PostgreSQL are numbers; these two are the first 8 bytes of a digest of their purpose.
_CREATING: Final = int.from_bytes(sha256(b"yinzheng ledger: creating")[:8], "big", signed=True)
_PUBLISHING: Final = int.from_bytes(sha256(b"yinzheng ledger: publishing")[:8], "big", signed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """Where the log ends: all that the next entry depends on. `edge` is the tree's compact range."""

    origin: str
    size: int
    root: bytes
    edge: bytes
    last_leaf_hash: bytes
    last_at_ms: int
    epoch: int

    def compact_range(self) -> CompactRange:
        """The tree of `size`. Raises `ValueError` if `edge` does not fit `size`."""
        hashes = [self.edge[at : at + HASH_SIZE] for at in range(0, len(self.edge), HASH_SIZE)]
        return CompactRange(self.size, hashes)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """A row of the log. `entry_bytes` is the record; the other columns are copies to search by."""

    seq: int
    operation_id: int | None
    subject_id: int | None
    at_ms: int
    leaf_hash: bytes
    entry_bytes: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectHead:
    """The last entry about one e-certificate."""

    subject_id: int
    seq: int
    leaf_hash: bytes
    ref: bytes


def create_all(database: Database) -> None:
    """Creates the log's tables where they are missing. (The app migrates with Alembic from `metadata`.)"""
    with database.write() as connection:
        lock_creation(connection)
        metadata.create_all(connection)


def lock_creation(connection: Connection) -> None:
    """Keeps other processes from creating the same thing until the transaction ends."""
    _advisory_lock(connection, _CREATING)


def lock_publishing(connection: Connection) -> None:
    """Makes this the only process that publishes until the transaction ends."""
    _advisory_lock(connection, _PUBLISHING)


def read_state(connection: Connection) -> LogState | None:
    """The state of the log, or None if it has not begun."""
    return _state_from(connection.execute(_SELECT_STATE))


def read_state_for_append(connection: Connection) -> LogState | None:
    """As `read_state`; no other process can append until the transaction ends."""
    return _state_from(connection.execute(_SELECT_STATE.with_for_update()))


def insert_state(connection: Connection, state: LogState) -> None:
    connection.execute(sa.insert(_state), {"id": 1, **_fields(state)})


def swap_state(connection: Connection, *, old: LogState, new: LogState) -> bool:
    """Replaces the state if it still has the size and epoch of `old`; says whether it had."""
    statement = (
        sa.update(_state)
        .where(_state.c.id == 1, _state.c.size == old.size, _state.c.epoch == old.epoch)
        .values(_fields(new))
    )
    return connection.execute(statement).rowcount == 1


def insert_entries(connection: Connection, entries: Sequence[StoredEntry]) -> None:
    connection.execute(sa.insert(_entry), [_fields(each) for each in entries])


def read_entries(connection: Connection, *, start: int, end: int) -> list[StoredEntry]:
    """The rows with start <= seq < end, in order. A row that is missing is missing here."""
    statement = _SELECT_ENTRY.where(_entry.c.seq >= start, _entry.c.seq < end).order_by(_entry.c.seq)
    return [StoredEntry(**row._mapping) for row in connection.execute(statement)]


def read_entries_of_operations(
    connection: Connection, operation_ids: Collection[int]
) -> dict[int, StoredEntry]:
    """Operations that were carried out before, each with its entry."""
    rows = connection.execute(_SELECT_ENTRY.where(_entry.c.operation_id.in_(operation_ids)))
    return {row.operation_id: StoredEntry(**row._mapping) for row in rows}


def read_last_seq(connection: Connection) -> int | None:
    last: int | None = connection.execute(sa.select(sa.func.max(_entry.c.seq))).scalar_one()
    return last


def read_subject_heads(connection: Connection, subject_ids: Collection[int]) -> dict[int, SubjectHead]:
    rows = connection.execute(sa.select(_subject).where(_subject.c.subject_id.in_(subject_ids)))
    return {row.subject_id: SubjectHead(**row._mapping) for row in rows}


def write_subject_heads(
    connection: Connection, *, new: Iterable[SubjectHead], changed: Iterable[SubjectHead]
) -> None:
    _insert_and_update(
        connection, _subject, _subject.c.subject_id, new=map(_fields, new), changed=map(_fields, changed)
    )


def read_all_subject_heads(connection: Connection) -> Iterator[SubjectHead]:
    """In the order of the ids, a thousand at a time."""
    after = 0
    while True:
        statement = sa.select(_subject).where(_subject.c.subject_id > after)
        rows = connection.execute(statement.order_by(_subject.c.subject_id).limit(1000)).all()
        if not rows:
            return
        yield from (SubjectHead(**row._mapping) for row in rows)
        after = rows[-1].subject_id


def read_actor_counts(connection: Connection, actors: Collection[str] | None) -> dict[str, int]:
    """The counters of `actors`, or all of them."""
    statement = sa.select(_actor.c.actor, _actor.c.count)
    if actors is not None:
        statement = statement.where(_actor.c.actor.in_(actors))
    return {row.actor: row[1] for row in connection.execute(statement)}


def write_actor_counts(
    connection: Connection, *, new: Iterable[tuple[str, int]], changed: Iterable[tuple[str, int]]
) -> None:
    _insert_and_update(
        connection,
        _actor,
        _actor.c.actor,
        new=({"actor": actor, "count": count} for actor, count in new),
        changed=({"actor": actor, "count": count} for actor, count in changed),
    )


def create_lock_tables(database: Database) -> None:
    """Creates the lock store's table where it is missing."""
    with database.write() as connection:
        lock_creation(connection)
        lock_metadata.create_all(connection)


def read_locked_head(connection: Connection, origin: str) -> LockedHead | None:
    row = connection.execute(
        sa.select(_lock.c.size, _lock.c.root, _lock.c.note).where(_lock.c.origin == origin)
    ).one_or_none()
    return LockedHead(**row._mapping) if row else None


def insert_locked_head(connection: Connection, origin: str, head: LockedHead) -> None:
    """Raises `IntegrityError` if there is one already."""
    connection.execute(sa.insert(_lock), {"origin": origin, **_fields(head)})


def swap_locked_head(connection: Connection, origin: str, *, old: LockedHead, new: LockedHead) -> bool:
    """Replaces the head if it is `old`, to the last byte; says whether it was."""
    statement = (
        sa.update(_lock)
        .where(
            _lock.c.origin == origin,
            _lock.c.size == old.size,
            _lock.c.root == old.root,
            _lock.c.note == old.note,
        )
        .values(_fields(new))
    )
    return connection.execute(statement).rowcount == 1


class LastEntries:
    """The last entry about each e-certificate, while a log is read again: a table in a temporary file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(
            "CREATE TABLE last (ref BLOB PRIMARY KEY, seq INTEGER, leaf_hash BLOB) WITHOUT ROWID"
        )

    def get(self, ref: bytes) -> tuple[int, bytes] | None:
        found: tuple[int, bytes] | None = self._connection.execute(
            "SELECT seq, leaf_hash FROM last WHERE ref = ?", (ref,)
        ).fetchone()
        return found

    def put(self, ref: bytes, *, seq: int, leaf_hash: bytes) -> None:
        self._connection.execute("INSERT OR REPLACE INTO last VALUES (?, ?, ?)", (ref, seq, leaf_hash))


@contextlib.contextmanager
def last_entries() -> Iterator[LastEntries]:
    """An empty table that is gone afterwards: SQLite keeps a database without a name in a temporary file."""
    with contextlib.closing(sqlite3.connect("", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        yield LastEntries(connection)


_SELECT_STATE: Final = sa.select(
    _state.c.origin,
    _state.c.size,
    _state.c.root,
    _state.c.edge,
    _state.c.last_leaf_hash,
    _state.c.last_at_ms,
    _state.c.epoch,
).where(_state.c.id == 1)
_SELECT_ENTRY: Final = sa.select(_entry)


def _state_from(result: sa.CursorResult[Any]) -> LogState | None:
    row = result.one_or_none()
    return LogState(**row._mapping) if row else None


def _fields(value: LogState | StoredEntry | SubjectHead | LockedHead) -> dict[str, object]:
    """Column values; the dataclasses are named after their columns."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _insert_and_update(
    connection: Connection,
    table: sa.Table,
    key: sa.Column[Any],
    *,
    new: Iterable[dict[str, object]],
    changed: Iterable[dict[str, object]],
) -> None:
    if rows := list(new):
        connection.execute(sa.insert(table), rows)
    if rows := list(changed):
        values: dict[str, object] = {
            column.name: sa.bindparam(f"new_{column.name}") for column in table.c if column is not key
        }
        statement = sa.update(table).where(key == sa.bindparam(f"new_{key.name}")).values(values)
        connection.execute(statement, [{f"new_{name}": row[name] for name in row} for row in rows])


def _advisory_lock(connection: Connection, key: int) -> None:
    """On SQLite nothing is needed: there one process has the data folder, and one thread its connection."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
