"""What stands between a row and whoever believes it: the interface, so that databases need not know who guards them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from sqlalchemy.engine import Connection

Key = tuple[str, tuple[int | str | bytes, ...]]
"""A row: its table, and the values of its primary key in their order."""

_GUARD, _CHANGED = "yinzheng guard", "yinzheng changed rows"


class Guard(Protocol):
    """`issuer.guarding.guarding` is the one there is."""

    def check(self, connection: Connection, table: str, row: Mapping[str, Any]) -> None:
        """Raises `StorageError` (ROW_EDITED) for a row that this service did not leave as it is."""

    def check_mac(self, table: str, row: Mapping[str, Any]) -> None:
        """The same of the columns that the row's MAC is over, and no more."""

    def mac(self, table: str, row: Mapping[str, Any]) -> bytes | None:
        """The MAC that a row of this table carries; None for a table whose rows carry none."""

    def columns(self, table: str) -> frozenset[str]:
        """The columns that decide something, of a table whose rows carry a MAC; none of any other."""

    def is_recorded(self, table: str, columns: Iterable[str] | None = None) -> bool:
        """Is a change of such a row an event of the ledger? `columns`: what is changed; None for all."""

    def announce(self, connection: Connection) -> object:
        """Before the end of a transaction: stores the event of the rows that it changed. None: there are none."""

    def complete(self, announced: object) -> None:
        """After the end of the transaction: appends the event."""


def install(connection: Connection, guard: Guard | None) -> None:
    """At the beginning of a transaction."""
    connection.info[_GUARD] = guard
    connection.info[_CHANGED] = {}


def guard_of(connection: Connection) -> Guard | None:
    found: Guard | None = connection.info.get(_GUARD)
    return found


def note_change(connection: Connection, key: Key) -> None:
    changed_rows(connection)[key] = None


def changed_rows(connection: Connection) -> dict[Key, None]:
    """The rows of recorded tables that this transaction has changed, in order."""
    found: dict[Key, None] = connection.info.setdefault(_CHANGED, {})
    return found
