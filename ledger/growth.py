"""The growth of the log: its size at a number of instants, for a plot.

Entries are ordered by time, so a binary search finds the newest entry that is not younger than an instant. Each search
begins where the one before it ended. Some forty searches take a few hundred reads by primary key, and the cost hardly
grows with the log: a thousand times the entries add ten reads for each instant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy.engine import Connection

from ledger import sql
from trust.model.errors import StorageError
from trust.storage.sql import Database

INSTANTS: Final = 40


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """The number of entries that were appended at `at_ms` (milliseconds since 1970) or before."""

    at_ms: int
    size: int


def read_growth(
    database: Database, *, until_ms: int | None = None, instants: int = INSTANTS
) -> tuple[GrowthPoint, ...]:
    """The size at `instants` moments, evenly spaced from the first entry to `until_ms`, both included.

    The last moment is at least that of the newest entry, also without `until_ms`. A log without entries gives no
    point, one whose entries all have the same time gives one. Raises `StorageError` if an entry is missing.
    """
    with database.read() as connection:
        last = sql.read_last_seq(connection)
        if last is None:
            return ()
        begins, newest = _at_ms(connection, 0), _at_ms(connection, last)
        ends = max(newest, until_ms or newest)
        if begins == ends:
            return (GrowthPoint(ends, last + 1),)
        points: list[GrowthPoint] = []
        size = 1  # the first entry exists at all of the moments
        for number in range(instants):
            at_ms = begins + (ends - begins) * number // (instants - 1)
            size = last + 1 if at_ms >= newest else _size_at(connection, at_ms, least=size, most=last)
            points.append(GrowthPoint(at_ms, size))
    return tuple(points)


def _size_at(connection: Connection, at_ms: int, *, least: int, most: int) -> int:
    """The size at `at_ms`, which must be between `least` and `most`."""
    while least < most:
        middle = (least + most) // 2
        if _at_ms(connection, middle) <= at_ms:
            least = middle + 1
        else:
            most = middle
    return least


def _at_ms(connection: Connection, seq: int) -> int:
    at_ms = sql.read_at_ms(connection, seq)
    if at_ms is None:
        raise StorageError(f"Entry {seq} is gone.", "Run recheck and compare with a mirror.")
    return at_ms
