"""Reading and writing rows: times as numbers, and the statements that every room needs.

Table classes are used for storage only; a room returns frozen dataclasses or plain values. Times are stored as
microseconds since 1970, so that both databases compare them alike. Every row that is read here is first checked by the
guard of its database (`trust.storage.guard`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.model.errors import StorageError
from trust.storage.guard import guard_of, note_change, remembered_rows

_Row = TypeVar("_Row", bound=SQLModel)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


BigKey = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def to_micros(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


class PersonalText(sa.TypeDecorator[str]):
    """Text about a person, or written by somebody about one. The one type of all such columns, so that how they are
    stored is decided here."""

    impl = sa.String
    cache_ok = True


class PersonalBytes(sa.TypeDecorator[bytes]):
    """As `PersonalText`, for bytes: files, pictures, encoded fields."""

    impl = sa.LargeBinary
    cache_ok = True


def personal_text(length: int | None = None, *, nullable: bool = False) -> Any:
    """A column of personal text; `length` is the most characters it may have."""
    column: sa.Column[str] = sa.Column(PersonalText(length), nullable=nullable)
    return Field(default=None, sa_column=column) if nullable else Field(sa_column=column)


def personal_blob(*, nullable: bool = False) -> Any:
    """A column of personal bytes."""
    column: sa.Column[bytes] = sa.Column(PersonalBytes(), nullable=nullable)
    return Field(default=None, sa_column=column) if nullable else Field(sa_column=column)


def blob(*, nullable: bool = False) -> Any:
    return Field(sa_column=sa.Column(sa.LargeBinary, nullable=nullable))


def insert(connection: Connection, row: SQLModel) -> Any:
    """Inserts one row and returns its generated key, if it has one."""
    values = row.model_dump(exclude_none=True)
    table = table_of(row.__class__)
    guard = guard_of(connection)
    known = {column.name: values.get(column.name) for column in table.c}
    has_key = all(known[column.name] is not None for column in table.primary_key)
    if guard is not None and has_key and (mac := guard.mac(table.name, known)) is not None:
        values["mac"] = mac
    result = connection.execute(sa.insert(table).values(**values))
    made = result.inserted_primary_key
    if guard is not None and made and not has_key:
        known |= dict(zip((column.name for column in table.primary_key), made, strict=True))
        if (mac := guard.mac(table.name, known)) is not None:
            connection.execute(sa.update(table).where(*_is_key(table, made)).values(mac=mac))
    if guard is not None and made and guard.is_recorded(table.name):
        note_change(connection, (table.name, tuple(made)))
    return made[0] if made else None


def insert_many(connection: Connection, rows: Sequence[SQLModel]) -> None:
    """Inserts rows of one table, whose keys are all given, with one statement."""
    if not rows:
        return
    table = table_of(rows[0].__class__)
    guard = guard_of(connection)
    listed = []
    for row in rows:
        values = {column.name: getattr(row, column.name) for column in table.c}
        if guard is not None and (mac := guard.mac(table.name, values)) is not None:
            values["mac"] = mac
        if guard is not None and guard.is_recorded(table.name):
            note_change(connection, (table.name, key_of(table.name, values)))
        listed.append(values)
    connection.execute(sa.insert(table), listed)


def insert_rows(connection: Connection, rows: Sequence[SQLModel]) -> None:
    """Inserts rows of one table without a guard, with one statement; the database gives them their keys."""
    if rows:
        listed = [row.model_dump(exclude={"id"} if row.__dict__.get("id") is None else None) for row in rows]
        connection.execute(sa.insert(table_of(rows[0].__class__)), listed)


def next_ids(connection: Connection, kind: type[SQLModel], count: int, *, after: int = 0) -> list[int]:
    """Numbers for `count` new rows, above every row there is. They may have gaps.

    `after`: a number behind which SQLite goes on; the sequences of PostgreSQL are set once (`set_sequence`).
    """
    table = table_of(kind)
    if connection.dialect.name == "postgresql":
        sequence = sa.func.pg_get_serial_sequence(table.name, "id")
        numbers = sa.select(sa.func.nextval(sequence)).select_from(sa.func.generate_series(1, count))
        return sorted(int(each) for each in connection.execute(numbers).scalars())
    highest = int(connection.execute(sa.select(sa.func.max(table.c.id))).scalar() or 0)
    return list(range(max(highest, after) + 1, max(highest, after) + 1 + count))


def all_rows(connection: Connection, kind: type[_Row], /, **where: Any) -> list[_Row]:
    """Every row of a small table whose columns have these values. Raises `StorageError` (ROW_EDITED)."""
    remembered = remembered_rows(connection)
    if remembered is None:
        return _all_rows(connection, kind, where)
    asked = (kind, tuple(sorted(where.items())))
    if asked not in remembered:
        remembered[asked] = _all_rows(connection, kind, where)
    return list(remembered[asked])


def _all_rows(connection: Connection, kind: type[_Row], where: Mapping[str, Any]) -> list[_Row]:
    table = table_of(kind)
    statement = sa.select(table)
    for column, value in where.items():
        statement = statement.where(table.c[column] == value)
    # Fetched before they are checked: an exception would keep the statement open, and with it an old snapshot.
    rows = connection.execute(statement.order_by(*table.primary_key)).all()
    return [believed(connection, kind, row) for row in rows]


def rows_after(
    connection: Connection,
    kind: type[_Row],
    order: Sequence[str],
    after: Sequence[Any] | None,
    limit: int,
    *conditions: sa.ColumnElement[bool],
    **where: Any,
) -> list[_Row]:
    """Up to `limit` rows in the order of these columns, behind the row whose values in them are `after`.

    Raises `StorageError` (ROW_EDITED).
    """
    table = table_of(kind)
    columns = [table.c[name] for name in order]
    statement = sa.select(table).where(*conditions)
    for column, value in where.items():
        statement = statement.where(table.c[column] == value)
    if after is not None:
        statement = statement.where(
            columns[0] > after[0] if len(columns) == 1 else sa.tuple_(*columns) > sa.tuple_(*after)
        )
    rows = connection.execute(statement.order_by(*columns).limit(limit)).all()
    return [believed(connection, kind, row) for row in rows]


def one_row(connection: Connection, kind: type[_Row], /, **where: Any) -> _Row | None:
    """The only row whose columns have these values, or None. Raises as `all_rows`."""
    found = all_rows(connection, kind, **where)
    return found[0] if found else None


def stored_row(connection: Connection, kind: type[_Row], /, **where: Any) -> _Row:
    """The only row whose columns have these values, where there must be one. Raises `StorageError` (ROW_EDITED)."""
    found = one_row(connection, kind, **where)
    if found is None:
        raise StorageError(
            f"A row of the table {table_of(kind).name} is gone.",
            "Run `yinzheng ledger recheck` and find out who changed the database.",
            code="ROW_EDITED",
        )
    return found


def believed(connection: Connection, kind: type[_Row], row: sa.Row[Any]) -> _Row:
    """Converts a row from the database after its guard has checked it. Raises `StorageError` (ROW_EDITED)."""
    values: Mapping[str, Any] = dict(row._mapping)
    guard = guard_of(connection)
    if guard is not None:
        values = guard.check(connection, table_of(kind).name, values)
    return kind(**values)


def believable(
    connection: Connection, kind: type[_Row], rows: Sequence[sa.Row[Any]]
) -> tuple[list[_Row], StorageError | None]:
    """The rows that pass their guard, so that one edited row does not block the others, and the first error, if any."""
    found: list[_Row] = []
    refused: StorageError | None = None
    for row in rows:
        try:
            found.append(believed(connection, kind, row))
        except StorageError as exc:
            refused = refused or exc
    return found, refused


def update(
    connection: Connection, kind: type[SQLModel], where: dict[str, Any], values: dict[str, Any]
) -> int:
    """Changes the rows that match `where`; returns their number."""
    table = table_of(kind)
    conditions = [
        table.c[column].is_(None) if value is None else table.c[column] == value
        for column, value in where.items()
    ]
    guard = guard_of(connection)
    is_recorded = guard is not None and guard.is_recorded(table.name, values)
    has_mac = guard is not None and not guard.columns(table.name).isdisjoint(values)
    keys: list[tuple[Any, ...]] = []
    if is_recorded or has_mac:
        # Check rows before changing them, because an edited row would get a valid MAC with the change.
        found = connection.execute(sa.select(table).where(*conditions).with_for_update()).all()
        for row in found:
            believed(connection, kind, row)
        keys = [tuple(row._mapping[column.name] for column in table.primary_key) for row in found]
    changed = int(connection.execute(sa.update(table).values(**values).where(*conditions)).rowcount)
    for key in keys:
        if is_recorded:
            note_change(connection, (table.name, key))
        if guard is not None and has_mac:
            row = connection.execute(sa.select(table).where(*_is_key(table, key))).one()
            mac = guard.mac(table.name, dict(row._mapping))
            connection.execute(sa.update(table).where(*_is_key(table, key)).values(mac=mac))
    return changed


def delete(connection: Connection, kind: type[SQLModel], where: dict[str, Any]) -> None:
    """Deletes rows of a table of working state; artefacts and operations are never deleted this way."""
    table = table_of(kind)
    conditions = [table.c[column] == value for column, value in where.items()]
    guard = guard_of(connection)
    if guard is not None and guard.is_recorded(table.name):
        for row in connection.execute(sa.select(*table.primary_key).where(*conditions)):
            note_change(connection, (table.name, tuple(row)))
    connection.execute(sa.delete(table).where(*conditions))


def _is_key(table: sa.Table, key: Sequence[Any]) -> list[sa.ColumnElement[bool]]:
    return [column == value for column, value in zip(table.primary_key, key, strict=True)]


def key_of(name: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The primary key of a row of this table."""
    return tuple(row[column.name] for column in _named(name).primary_key)


def rows_of(connection: Connection, name: str) -> Iterator[dict[str, Any]]:
    """Every row of a small table, without asking its guard."""
    for row in connection.execute(sa.select(_named(name))):
        yield dict(row._mapping)


def row_at(connection: Connection, name: str, key: Sequence[Any]) -> dict[str, Any] | None:
    """One row, without asking its guard."""
    row = connection.execute(sa.select(_named(name)).where(*_is_key(_named(name), key))).one_or_none()
    return dict(row._mapping) if row is not None else None


def portion_of(
    connection: Connection, name: str, after: Sequence[Any] | None, limit: int
) -> list[dict[str, Any]]:
    """The next rows of a large table in the order of their keys, after the key `after`, without asking the guard."""
    table = _named(name)
    key = tuple(table.primary_key)
    statement = sa.select(table).order_by(*key).limit(limit)
    if after is not None:
        statement = statement.where(sa.tuple_(*key) > sa.tuple_(*(sa.literal(each) for each in after)))
    return [dict(row._mapping) for row in connection.execute(statement)]


def rows_without_mac(connection: Connection, name: str, limit: int) -> list[dict[str, Any]]:
    """Rows without a MAC, from before MACs were introduced."""
    statement = sa.select(_named(name)).where(_named(name).c.mac.is_(None)).limit(limit)
    return [dict(row._mapping) for row in connection.execute(statement)]


def set_mac(connection: Connection, name: str, key: Sequence[Any], mac: bytes) -> None:
    table = _named(name)
    connection.execute(sa.update(table).where(*_is_key(table, key)).values(mac=mac))


def _named(name: str) -> sa.Table:
    return SQLModel.metadata.tables[name]


def serialise(connection: Connection, what: str, *, together: bool = False) -> None:
    """Lets one process at a time do `what` until the transaction ends; with `together`, many, but none of them beside
    one that is alone.

    On SQLite there is only one write transaction anyway. On PostgreSQL two processes could both see that something is
    missing and both make it; here the second waits and then sees what the first made.
    """
    if connection.dialect.name == "postgresql":
        lock = sa.func.pg_advisory_xact_lock_shared if together else sa.func.pg_advisory_xact_lock
        connection.execute(sa.select(lock(_lock_key(what))))


def try_alone(connection: Connection, what: str) -> bool:
    """As `serialise`, but does not wait: False while another process does `what`."""
    if connection.dialect.name != "postgresql":
        return True
    return bool(connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(_lock_key(what)))).scalar())


def _lock_key(what: str) -> int:
    return int.from_bytes(
        hashlib.sha256(f"yinzheng register: {what}".encode()).digest()[:8], "big", signed=True
    )


def serialise_all(connection: Connection, whats: Sequence[str]) -> None:
    """`serialise` for many things at once, which no two processes lock in different order."""
    if connection.dialect.name == "postgresql":
        keys = sorted({_lock_key(what) for what in whats})
        connection.execute(
            sa.text(
                "SELECT pg_advisory_xact_lock(k) FROM (SELECT unnest(CAST(:keys AS bigint[])) AS k ORDER BY 1) s"
            ),
            {"keys": keys},
        )


def set_sequence(connection: Connection, kind: type[SQLModel], last: int) -> None:
    """Makes generated keys continue after `last`. SQLite needs nothing: it continues after the largest key."""
    if connection.dialect.name == "postgresql":
        sequence = sa.func.pg_get_serial_sequence(table_of(kind).name, "id")
        connection.execute(sa.select(sa.func.setval(sequence, last)))


def table_of(kind: type[SQLModel]) -> sa.Table:
    table: sa.Table = kind.__table__  # type: ignore[attr-defined]
    return table
