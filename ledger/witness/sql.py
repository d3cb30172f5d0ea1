"""A witness's memory: the table with one row per known log, and every SQL statement on it.

The row contains the keys of the log, and the last checkpoint that was cosigned, if any. A row is locked while a
checkpoint is checked against it, so that two requests that continue the same tree run one after the other (SQLite has
only one writer anyway). The table is created once, with the witness: `is_there` distinguishes a new witness from one
that has lost its memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from trust.encoding.digests import sha256
from trust.encoding.merkle import HASH_SIZE
from trust.storage.sql import Database

MAX_ORIGIN: Final = 255

metadata: Final = sa.MetaData()

_log: Final = sa.Table(
    "witness_log",
    metadata,
    sa.Column("origin", sa.String(MAX_ORIGIN), primary_key=True),
    sa.Column("origin_hash", sa.String(2 * HASH_SIZE), nullable=False, unique=True),
    sa.Column("vkeys", sa.Text, nullable=False),  # one on each line
    sa.Column("size", sa.BigInteger),
    sa.Column("root", sa.LargeBinary(HASH_SIZE)),
    sa.Column("cosigned_at", sa.BigInteger),
    sa.Column("note", sa.LargeBinary),
    sa.CheckConstraint(
        "(size IS NULL) = (root IS NULL) AND (size IS NULL) = (note IS NULL)"
        " AND (size IS NULL) = (cosigned_at IS NULL)",
        name="whole_head",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CosignedHead:
    """The last checkpoint that was cosigned, and when, in seconds since 1970; `note` has all signatures."""

    size: int
    root: bytes
    cosigned_at: int
    note: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """A log that the witness knows. `head` is None until the witness has cosigned a checkpoint of it."""

    origin: str
    vkeys: tuple[str, ...]
    head: CosignedHead | None


def create_tables(database: Database) -> None:
    with database.write() as connection:
        metadata.create_all(connection)


def is_there(database: Database) -> bool:
    """True if `create_tables` has been called on this database."""
    with database.read() as connection:
        return sa.inspect(connection).has_table(_log.name)


def origin_hash(origin: str) -> str:
    """The name of a log in addresses: SHA-256 of its origin, in hexadecimal."""
    return sha256(origin.encode()).hex()


def read_log(connection: Connection, origin: str) -> LogRow | None:
    return _row_from(connection.execute(_SELECT.where(_log.c.origin == origin)))


def read_log_for_update(connection: Connection, origin: str) -> LogRow | None:
    """As `read_log`, and locks the row until the transaction ends."""
    return _row_from(connection.execute(_SELECT.where(_log.c.origin == origin).with_for_update()))


def read_log_by_hash(connection: Connection, hashed: str) -> LogRow | None:
    return _row_from(connection.execute(_SELECT.where(_log.c.origin_hash == hashed)))


def read_logs(connection: Connection) -> list[LogRow]:
    """All logs, in the order of their origins."""
    return [_row(row) for row in connection.execute(_SELECT.order_by(_log.c.origin))]


def insert_log(connection: Connection, origin: str, vkeys: tuple[str, ...]) -> None:
    """Inserts a log. Raises `IntegrityError` if there is one with this origin."""
    values = {"origin": origin, "origin_hash": origin_hash(origin), "vkeys": "\n".join(vkeys)}
    connection.execute(sa.insert(_log), values)


def update_vkeys(connection: Connection, origin: str, vkeys: tuple[str, ...]) -> None:
    """Replaces the log's keys; the last cosigned checkpoint stays."""
    connection.execute(sa.update(_log).where(_log.c.origin == origin).values(vkeys="\n".join(vkeys)))


def update_head(connection: Connection, origin: str, head: CosignedHead) -> None:
    """Replaces the head; the caller has locked the row (`read_log_for_update`) and checked `head` against it."""
    values = {"size": head.size, "root": head.root, "cosigned_at": head.cosigned_at, "note": head.note}
    connection.execute(sa.update(_log).where(_log.c.origin == origin).values(values))


_SELECT: Final = sa.select(_log)


def _row_from(result: sa.CursorResult[Any]) -> LogRow | None:
    row = result.one_or_none()
    return None if row is None else _row(row)


def _row(row: sa.Row[Any]) -> LogRow:
    head = None
    if row.size is not None:
        head = CosignedHead(size=row.size, root=row.root, cosigned_at=row.cosigned_at, note=row.note)
    return LogRow(origin=row.origin, vkeys=tuple(row.vkeys.split("\n")), head=head)
