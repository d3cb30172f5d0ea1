"""The ledger's tables, and every SQL statement of the ledger.

There are two databases. The log's database has the entries and the state needed to append more; inner nodes of the tree
are not stored. The lock store's database has one row per log and is kept elsewhere (`ledger.lockstore` says why).

The cost of inserts does not grow with the tables, because every key is an integer that grows with time. A unique index
over random values gets slower with every doubling (measured: 25 k entries/s at 10⁵ rows, 6 k at 4·10⁶), so a repeat is
found by `operation_id`, which the caller takes from a growing counter, and the last entry about an e-certificate by its
integer `subject_id`.

Only heads and counters are updated; an entry row is written once. Whole batches are passed to the driver as tuples,
because building SQLAlchemy's statements for them took half of an append's time.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ledger.lockedhead import LockedHead
from trust.encoding.digests import sha256
from trust.encoding.merkle import HASH_SIZE, CompactRange
from trust.storage.sql import Database

metadata: Final = sa.MetaData()
lock_metadata: Final = sa.MetaData()

# On SQLite only a column of type INTEGER becomes the row id itself, without a separate index.
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
    sa.Column("life", sa.BigInteger, nullable=False),
    # Every status list reads all subjects that are not in force; the index contains only those.
    sa.Index(
        "ledger_subject_not_valid",
        "subject_id",
        sqlite_where=sa.text("life <> 1"),
        postgresql_where=sa.text("life <> 1"),
    ),
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
    sa.Column("sm3_edge", sa.LargeBinary, nullable=False),
    sa.Column("last_operation_id", sa.BigInteger, nullable=False),
    sa.Column("last_subject_id", sa.BigInteger, nullable=False),
    sa.Column("mac", sa.LargeBinary(HASH_SIZE)),
)
_keys: Final = sa.Table(
    "ledger_keys",
    metadata,
    sa.Column("seq", _Key, primary_key=True, autoincrement=False),
    sa.Column("note", sa.Text, nullable=False),
)
_lock: Final = sa.Table(
    "lock_head",
    lock_metadata,
    sa.Column("origin", sa.String(255), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("root", sa.LargeBinary(HASH_SIZE), nullable=False),
    sa.Column("note", sa.LargeBinary, nullable=False),
    sa.Column("sm3_root", sa.LargeBinary(HASH_SIZE), nullable=False),
    sa.Column("sm3_note", sa.LargeBinary, nullable=False),
)

# Advisory locks of PostgreSQL are numbers; these two are the first 8 bytes of a digest of their purpose.
_CREATING: Final = int.from_bytes(sha256(b"yinzheng ledger: creating")[:8], "big", signed=True)
_PUBLISHING: Final = int.from_bytes(sha256(b"yinzheng ledger: publishing")[:8], "big", signed=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """The state of the log: everything that the next entry depends on.

    `edge` and `sm3_edge` are the compact ranges of the two trees; `ledger.statekey` explains `mac`. `last_operation_id`
    and `last_subject_id` are the largest ids stored, so that larger ones need no query.
    """

    origin: str
    size: int
    root: bytes
    edge: bytes
    last_leaf_hash: bytes
    last_at_ms: int
    epoch: int
    sm3_edge: bytes
    last_operation_id: int
    last_subject_id: int
    mac: bytes | None = None

    def compact_range(self, *, algorithm: str = "sha256") -> CompactRange:
        """The tree of `size`. Raises `ValueError` if the edge does not fit `size`."""
        edge = self.sm3_edge if algorithm == "sm3" else self.edge
        hashes = [edge[at : at + HASH_SIZE] for at in range(0, len(edge), HASH_SIZE)]
        return CompactRange(self.size, hashes, algorithm=algorithm)


class StoredEntry(NamedTuple):
    """A row of the log. `entry_bytes` is authoritative; the other columns are copies for searching."""

    seq: int
    operation_id: int | None
    subject_id: int | None
    at_ms: int
    leaf_hash: bytes
    entry_bytes: bytes


class SubjectHead(NamedTuple):
    """The last entry about one e-certificate, and its state after it (`ledger.lifecycle.Life`)."""

    subject_id: int
    seq: int
    leaf_hash: bytes
    ref: bytes
    life: int


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
    dialect = connection.dialect.name
    statement = _select(dialect, _state, "id = 1 FOR UPDATE" if dialect == "postgresql" else "id = 1")
    row = connection.exec_driver_sql(statement).one_or_none()
    return LogState(**dict(zip(_STATE_FIELDS, row[1:], strict=True))) if row else None


def insert_state(connection: Connection, state: LogState) -> None:
    connection.execute(sa.insert(_state), {"id": 1, **_fields(state)})


def swap_state(connection: Connection, *, old: LogState, new: LogState) -> bool:
    """Replaces the state if it still has the size and epoch of `old`; returns True if it did."""
    values = tuple(getattr(new, name) for name in _STATE_FIELDS)
    statement = _swap_statement(connection.dialect.name)
    return connection.exec_driver_sql(statement, (*values, old.size, old.epoch)).rowcount == 1


def insert_entries(connection: Connection, entries: Sequence[StoredEntry]) -> None:
    _insert(connection, _entry, entries)


def read_entries(connection: Connection, *, start: int, end: int) -> list[StoredEntry]:
    """The rows with start <= seq < end, in order; missing rows are left out."""
    statement = _select(connection.dialect.name, _entry, "seq >= {0} AND seq < {0} ORDER BY seq")
    return [StoredEntry._make(row) for row in connection.exec_driver_sql(statement, (start, end))]


def read_entries_of_operations(
    connection: Connection, operation_ids: Collection[int]
) -> dict[int, StoredEntry]:
    """The entries of those operations that were carried out before, by operation id."""
    rows = (StoredEntry._make(row) for row in _rows_in(connection, _entry, "operation_id", operation_ids))
    return {row.operation_id: row for row in rows if row.operation_id is not None}


def read_entries_at(connection: Connection, seqs: Collection[int]) -> dict[int, bytes]:
    """The bytes of these entries by number, without missing ones."""
    rows = (StoredEntry._make(row) for row in _rows_in(connection, _entry, "seq", seqs))
    return {row.seq: row.entry_bytes for row in rows}


def read_at_ms(connection: Connection, seq: int) -> int | None:
    """When entry `seq` was appended (milliseconds since 1970), or None if there is none."""
    found: int | None = connection.execute(
        sa.select(_entry.c.at_ms).where(_entry.c.seq == seq)
    ).scalar_one_or_none()
    return found


def read_last_seq(connection: Connection) -> int | None:
    last: int | None = connection.execute(sa.select(sa.func.max(_entry.c.seq))).scalar_one()
    return last


def delete_everything(connection: Connection) -> None:
    """Empties the log's tables, to be filled again from its files; see `ledger.recover`."""
    for table in (_entry, _subject, _actor, _keys, _state):
        connection.execute(sa.delete(table))


def delete_entries(connection: Connection, *, start: int, end: int) -> None:
    """Deletes the rows with start <= seq < end, to be replaced by others; see `ledger.closing`."""
    connection.execute(sa.delete(_entry).where(_entry.c.seq >= start, _entry.c.seq < end))


def replace_index(
    connection: Connection,
    *,
    subjects: Sequence[SubjectHead],
    counts: Sequence[tuple[str, int]],
    statements: Sequence[tuple[int, str]],
) -> None:
    """Replaces all tables except entries and state."""
    for table in (_subject, _actor, _keys):
        connection.execute(sa.delete(table))
    write_subject_heads(connection, subjects)
    write_actor_counts(connection, counts)
    for seq, note in statements:
        insert_key_statement(connection, seq, note)


def read_subject_heads(connection: Connection, subject_ids: Collection[int]) -> dict[int, SubjectHead]:
    rows = (SubjectHead._make(row) for row in _rows_in(connection, _subject, "subject_id", subject_ids))
    return {row.subject_id: row for row in rows}


def read_refs_not_valid(connection: Connection) -> dict[bytes, int]:
    """Subject id by ref of what is not in force according to the table; for searching only, because rows can be
    edited."""
    rows = connection.execute(sa.select(_subject.c.ref, _subject.c.subject_id).where(sa.text("life <> 1")))
    return {bytes(row.ref): row.subject_id for row in rows}


def read_lives_not_valid(connection: Connection) -> tuple[int, dict[int, int]]:
    """The size of the log, and the life of every subject that is not in force there.

    One statement, so that both are of one instant on PostgreSQL too.
    """
    statement = sa.select(_state.c.size, _subject.c.subject_id, _subject.c.life).select_from(
        sa.outerjoin(_state, _subject, sa.text("life <> 1"))
    )
    rows = connection.execute(statement).all()
    return (
        rows[0].size if rows else 0,
        {row.subject_id: row.life for row in rows if row.subject_id is not None},
    )


def write_subject_heads(connection: Connection, heads: Sequence[SubjectHead]) -> None:
    _insert(connection, _subject, heads, key="subject_id")


def read_all_subject_heads(connection: Connection) -> Iterator[SubjectHead]:
    """All subjects in the order of their ids, read a thousand at a time."""
    after = -(1 << 63)
    while True:
        statement = _select(
            connection.dialect.name, _subject, "subject_id > {0} ORDER BY subject_id LIMIT 1000"
        )
        rows = connection.exec_driver_sql(statement, (after,)).all()
        if not rows:
            return
        yield from (SubjectHead._make(row) for row in rows)
        after = rows[-1].subject_id


def read_actor_counts(connection: Connection, actors: Collection[str] | None) -> dict[str, int]:
    """The counters of `actors`, or all of them."""
    if actors is None:
        statement = _select(connection.dialect.name, _actor, "count > 0")
        return {row[0]: row[1] for row in connection.exec_driver_sql(statement)}
    return {row[0]: row[1] for row in _rows_in(connection, _actor, "actor", actors)}


def write_actor_counts(connection: Connection, counts: Sequence[tuple[str, int]]) -> None:
    _insert(connection, _actor, counts, key="actor")


def insert_key_statement(connection: Connection, seq: int, note: str) -> None:
    connection.execute(sa.insert(_keys), {"seq": seq, "note": note})


def read_key_statements(connection: Connection) -> list[tuple[int, str]]:
    """Every statement of the log's keys with the number of its entry, in order."""
    rows = connection.execute(sa.select(_keys.c.seq, _keys.c.note).order_by(_keys.c.seq))
    return [(row.seq, row.note) for row in rows]


def create_lock_tables(database: Database) -> None:
    """Creates the lock store's table where it is missing."""
    with database.write() as connection:
        lock_creation(connection)
        lock_metadata.create_all(connection)


def read_locked_head(connection: Connection, origin: str) -> LockedHead | None:
    row = connection.execute(
        sa.select(_lock.c.size, _lock.c.root, _lock.c.note, _lock.c.sm3_root, _lock.c.sm3_note).where(
            _lock.c.origin == origin
        )
    ).one_or_none()
    return LockedHead(**row._mapping) if row else None


def insert_locked_head(connection: Connection, origin: str, head: LockedHead) -> None:
    """Inserts the log's first locked head. Raises `IntegrityError` if there is one already."""
    connection.execute(sa.insert(_lock), {"origin": origin, **_fields(head)})


def swap_locked_head(connection: Connection, origin: str, *, old: LockedHead, new: LockedHead) -> bool:
    """Replaces the head if it equals `old` in every byte; returns True if it did."""
    statement = (
        sa.update(_lock)
        .where(
            _lock.c.origin == origin,
            _lock.c.size == old.size,
            _lock.c.root == old.root,
            _lock.c.note == old.note,
            _lock.c.sm3_root == old.sm3_root,
            _lock.c.sm3_note == old.sm3_note,
        )
        .values(_fields(new))
    )
    return connection.execute(statement).rowcount == 1


class LastEntries:
    """The last entry about each e-certificate, while a log is read again: a table in a temporary file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute(
            "CREATE TABLE last (ref BLOB PRIMARY KEY, seq INTEGER, leaf_hash BLOB, life INTEGER) WITHOUT ROWID"
        )

    def get(self, ref: bytes) -> tuple[int, bytes, int] | None:
        """Number and leaf hash of the last entry with this ref, and the life after it; None if there is none."""
        found: tuple[int, bytes, int] | None = self._connection.execute(
            "SELECT seq, leaf_hash, life FROM last WHERE ref = ?", (ref,)
        ).fetchone()
        return found

    def put(self, ref: bytes, *, seq: int, leaf_hash: bytes, life: int) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO last VALUES (?, ?, ?, ?)", (ref, seq, leaf_hash, life)
        )

    def all(self) -> Iterator[tuple[bytes, int, bytes, int]]:
        """Every ref with the values of `get`."""
        yield from self._connection.execute("SELECT ref, seq, leaf_hash, life FROM last")


@contextlib.contextmanager
def last_entries() -> Iterator[LastEntries]:
    """Opens an empty table that is deleted afterwards, in a temporary file of SQLite (a database without a name)."""
    with contextlib.closing(sqlite3.connect("", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        yield LastEntries(connection)


_SELECT_STATE: Final = sa.select(*(column for column in _state.c if column.name != "id")).where(
    _state.c.id == 1
)
_STATE_FIELDS: Final = tuple(column.name for column in _state.c if column.name != "id")
_PG_TYPES: Final = {"BIGINT": "bigint", "BLOB": "bytea", "VARCHAR": "text", "TEXT": "text"}


def _state_from(result: sa.CursorResult[Any]) -> LogState | None:
    row = result.one_or_none()
    return LogState(**row._mapping) if row else None


def _fields(value: LogState | LockedHead) -> dict[str, object]:
    """The values by column; the fields of the dataclasses have the columns' names."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


@lru_cache(maxsize=2)
def _swap_statement(dialect: str) -> str:
    mark = "%s" if dialect == "postgresql" else "?"
    changes = ", ".join(f"{_quoted(name)} = {mark}" for name in _STATE_FIELDS)
    return f"UPDATE ledger_state SET {changes} WHERE id = 1 AND size = {mark} AND epoch = {mark}"  # noqa: S608


def _insert(
    connection: Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]], *, key: str | None = None
) -> None:
    """Inserts rows with values in the order of the columns; with `key`, replaces rows that have the same key."""
    if not rows:
        return
    statement = _insert_statement(connection.dialect.name, table, key)
    if connection.dialect.name == "postgresql":
        # One statement with one array parameter for each column, which the server unnests.
        connection.exec_driver_sql(statement, tuple(list(column) for column in zip(*rows, strict=True)))
    else:
        connection.exec_driver_sql(statement, [tuple(row) for row in rows])


@lru_cache(maxsize=16)
def _insert_statement(dialect: str, table: sa.Table, key: str | None) -> str:
    names = [column.name for column in table.c]
    into = f"INSERT INTO {table.name} ({', '.join(map(_quoted, names))})"
    if dialect == "postgresql":
        types = [_PG_TYPES[str(column.type.as_generic()).split("(")[0]] for column in table.c]
        arrays = ", ".join(f"%s::{each}[]" for each in types)
        source = f"SELECT * FROM unnest({arrays})"  # noqa: S608 - our own names only
    else:
        source = f"VALUES ({', '.join('?' * len(names))})"
    if key is None:
        return f"{into} {source}"
    changes = ", ".join(f"{_quoted(name)} = excluded.{_quoted(name)}" for name in names if name != key)
    return f"{into} {source} ON CONFLICT ({key}) DO UPDATE SET {changes}"


def _rows_in(
    connection: Connection, table: sa.Table, column: str, values: Collection[Any]
) -> Sequence[Sequence[Any]]:
    """The rows whose column is one of `values`."""
    if not values:
        return []
    if connection.dialect.name == "postgresql":
        statement = _select("postgresql", table, f"{column} = ANY({{0}})")
        return connection.exec_driver_sql(statement, (list(values),)).all()
    marks = ", ".join("?" * len(values))
    return connection.exec_driver_sql(_select("sqlite", table, f"{column} IN ({marks})"), tuple(values)).all()


@lru_cache(maxsize=64)
def _select(dialect: str, table: sa.Table, where: str) -> str:
    """A SELECT statement; `where` has {0} in the place of a parameter."""
    names = ", ".join(_quoted(column.name) for column in table.c)
    mark = "%s" if dialect == "postgresql" else "?"
    return f"SELECT {names} FROM {table.name} WHERE {where.format(mark)}"  # noqa: S608 - our own names only


def _quoted(name: str) -> str:
    return f'"{name}"'  # one of them is `count`


def _advisory_lock(connection: Connection, key: int) -> None:
    """Takes an advisory lock until the transaction ends. Does nothing on SQLite, where one process has the data folder
    and one thread its writing connection."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
