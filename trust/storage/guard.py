"""The interface of a guard, which checks rows when they are read, so that databases do not depend on the guard."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from sqlalchemy.engine import Connection

Key = tuple[str, tuple[int | str | bytes, ...]]
"""Names a row: its table, and the values of its primary key in their order."""

_GUARD, _CHANGED, _REMEMBERED = "yinzheng guard", "yinzheng changed rows", "yinzheng remembered rows"


class Guard(Protocol):
    """Implemented by `issuer.guarding.guarding`."""

    def check(self, connection: Connection, table: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row; or, if it was changed by the service since it was read, the row as it is now. Raises `StorageError`
        (ROW_EDITED) for one that is not as the service left it."""

    def check_mac(self, table: str, row: Mapping[str, Any]) -> None:
        """As `check`, but only for the columns that the row's MAC covers."""

    def mac(self, table: str, row: Mapping[str, Any]) -> bytes | None:
        """The correct MAC of a row; None for a table whose rows have no MAC."""

    def columns(self, table: str) -> frozenset[str]:
        """The deciding columns of a table whose rows have a MAC; empty for any other."""

    def is_recorded(self, table: str, columns: Iterable[str] | None = None) -> bool:
        """True if changing `columns` (None: all) of such a row is recorded as an event in the ledger."""

    def announce(self, connection: Connection) -> object:
        """Called before the end of a transaction: stores the event of the changed rows. None if there are none."""

    def complete(self, announced: object) -> None:
        """Called after the end of the transaction: appends the event to the ledger."""


def install(connection: Connection, guard: Guard | None) -> None:
    """Sets the guard of a transaction, at its beginning."""
    connection.info[_GUARD] = guard
    connection.info[_CHANGED] = {}


@contextmanager
def remembering(connection: Connection) -> Iterator[None]:
    """Inside, rows that were read and checked in this transaction are remembered."""
    connection.info[_REMEMBERED] = {}
    try:
        yield
    finally:
        del connection.info[_REMEMBERED]


def remembered_rows(connection: Connection) -> dict[Hashable, list[Any]] | None:
    """What was read in this transaction, by what was asked for; None if nothing is remembered."""
    found: dict[Hashable, list[Any]] | None = connection.info.get(_REMEMBERED)
    return found


def guard_of(connection: Connection) -> Guard | None:
    found: Guard | None = connection.info.get(_GUARD)
    return found


def note_change(connection: Connection, key: Key) -> None:
    changed_rows(connection)[key] = None


def changed_rows(connection: Connection) -> dict[Key, None]:
    """The changed rows of recorded tables in this transaction, in order."""
    found: dict[Key, None] = connection.info.setdefault(_CHANGED, {})
    return found
