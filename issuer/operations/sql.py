"""The table of operations, in which every irreversible act is announced first (`issuer.operations.operations`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from issuer.operations.model import LEASE, Operation, OperationKind
from trust.model.actor import ActorRef
from trust.model.errors import StorageError
from trust.storage.tables import (
    BigKey,
    all_rows,
    believable,
    believed,
    blob,
    insert,
    one_row,
    personal_text,
    set_sequence,
    table_of,
    update,
)

_KIND = sa.String(16).with_variant(
    sa.String(12), "sqlite"
)  # SQLite keeps no length, and does not change types
_LEASE_MICROS = int(LEASE.total_seconds() * 1_000_000)


class OperationRow(SQLModel, table=True):
    """An act that was decided on, and whether it is done. The ledger's request contains its id.

    Until `held_until` (microseconds since 1970) it is in the hands of one process.
    """

    __tablename__ = "operation"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    ecertificate_id: int = Field(sa_type=sa.BigInteger, index=True)
    kind: str = Field(sa_type=_KIND)
    reason: str | None = personal_text(nullable=True)
    note: str | None = personal_text(nullable=True)
    caller: str | None = None
    requested_by: str | None = personal_text(nullable=True)
    approved_by: str | None = personal_text(nullable=True)
    decided_by: str | None = personal_text(nullable=True)
    decided_for: str | None = None
    decided_name: str | None = personal_text(nullable=True)
    actor: str = Field(max_length=64)
    salt: bytes = blob()
    at: int = Field(sa_type=sa.BigInteger)
    done: bool = False
    entry_seq: int | None = Field(default=None, sa_type=sa.BigInteger)
    held_until: int | None = Field(default=None, sa_type=sa.BigInteger)
    mac: bytes | None = blob(nullable=True)
    __table_args__ = (
        # Rounds look for what is not done, which is little, in a table that only grows.
        sa.Index(
            "operation_not_done",
            "kind",
            "id",
            sqlite_where=sa.text("done = 0"),
            postgresql_where=sa.text("NOT done"),
        ),
    )


def end_of_lease(now: int) -> int:
    """Until when an operation that is taken `now` stays in the hands of its process."""
    return now + _LEASE_MICROS


def announce(connection: Connection, operation: Operation, *, held_until: int | None = None) -> Operation:
    """Stores an act that is decided on, in the transaction of the decision; returns it with its id."""
    row = row_of(operation, held_until)
    row.id = insert(connection, row)
    return as_operation(row)


def row_of(operation: Operation, held_until: int | None) -> OperationRow:
    """The row of an act that is not done; an id of 0 is left to the database."""
    by = operation.decided_by
    return OperationRow(
        id=operation.operation_id or None,
        ecertificate_id=operation.ecertificate_id,
        kind=operation.kind.value,
        reason=operation.reason,
        note=operation.note,
        caller=operation.caller,
        requested_by=operation.requested_by,
        approved_by=operation.approved_by,
        decided_by=by.ref if by is not None else None,
        decided_for=by.organisation if by is not None else None,
        decided_name=by.name if by is not None else None,
        actor=operation.actor,
        salt=operation.salt,
        at=operation.at,
        held_until=held_until,
    )


def note_done(
    connection: Connection,
    kind: OperationKind,
    *,
    ecertificate_id: int,
    actor: str,
    at: int,
    entry_seq: int | None,
) -> int:
    """Stores an act that is done already; returns its id."""
    row = OperationRow(
        ecertificate_id=ecertificate_id,
        kind=kind.value,
        actor=actor,
        salt=b"",
        at=at,
        done=True,
        entry_seq=entry_seq,
    )
    return int(insert(connection, row))


def find_operation(connection: Connection, operation_id: int) -> Operation | None:
    """Raises `StorageError` (ROW_EDITED)."""
    row = one_row(connection, OperationRow, id=operation_id)
    return as_operation(row) if row is not None else None


def find_operations(connection: Connection, operation_ids: Sequence[int]) -> dict[int, Operation]:
    """The existing ones of these operations, by id. Raises `StorageError` (ROW_EDITED)."""
    table = table_of(OperationRow)
    rows = connection.execute(sa.select(table).where(table.c.id.in_(operation_ids))).all()
    return {row.id: as_operation(believed(connection, OperationRow, row)) for row in rows}


def operations_with(connection: Connection, operation_ids: Sequence[int]) -> list[Operation]:
    """These operations, in this order. Raises `StorageError` (ROW_EDITED), also if one is gone."""
    found = find_operations(connection, operation_ids)
    if len(found) < len(set(operation_ids)):
        raise StorageError(
            "An operation that was announced is gone from the register.",
            "Run `yinzheng ledger recheck` and find out who changed the database.",
            code="ROW_EDITED",
        )
    return [found[each] for each in operation_ids]


def lock_not_done(connection: Connection, operation_ids: Sequence[int]) -> set[int]:
    """Those of these operations that are not done, locked until the transaction ends."""
    table = table_of(OperationRow)
    statement = (
        sa.select(table.c.id)
        .where(table.c.id.in_(operation_ids), table.c.done == sa.false())
        .order_by(table.c.id)
        .with_for_update()
    )
    return set(connection.execute(statement).scalars())


def set_done(connection: Connection, done: Sequence[tuple[int, int]]) -> None:
    """Marks operations as done: their ids, with the numbers of their entries."""
    if not done:
        return
    table = table_of(OperationRow)
    connection.execute(
        sa.update(table)
        .where(table.c.id == sa.bindparam("of"))
        .values(done=True, entry_seq=sa.bindparam("seq"), held_until=None),
        [{"of": of, "seq": seq} for of, seq in done],
    )


def delete_operation(connection: Connection, operation_id: int) -> None:
    """Deletes an act that the ledger refused; nothing of it happened."""
    table = table_of(OperationRow)
    connection.execute(sa.delete(table).where(table.c.id == operation_id, table.c.done == sa.false()))


# --- leases ---


def _is_free(table: sa.Table, now: int) -> sa.ColumnElement[bool]:
    """A lease that ends later than any lease can was given under a clock that went wrong, and counts for nothing."""
    held_until = table.c.held_until
    return sa.or_(held_until.is_(None), held_until <= now, held_until > now + 2 * _LEASE_MICROS)


def has_free(connection: Connection, kinds: Collection[OperationKind], now: int, after: int = 0) -> bool:
    """True if `claim` would find anything."""
    return connection.execute(_free(kinds, now, after).limit(1)).first() is not None


def claim(
    connection: Connection, kinds: Collection[OperationKind], *, after: int, limit: int, now: int
) -> tuple[list[Operation], int, StorageError | None]:
    """Takes up to `limit` operations with ids above `after` that are neither done nor in anybody's hands, oldest first.

    Returns them, the id of the last row that was read (0: none), and the error of the first edited row, if any. Edited
    rows are not taken, nor, on PostgreSQL, rows that another transaction has locked at the moment.
    """
    found = connection.execute(_free(kinds, now, after).limit(limit).with_for_update(skip_locked=True)).all()
    rows, refused = believable(connection, OperationRow, found)
    hold(connection, [row.id or 0 for row in rows], now)
    return [as_operation(row) for row in rows], found[-1].id if found else 0, refused


def take(connection: Connection, operation_id: int, now: int) -> bool:
    """Takes one operation; False if it is done or in somebody's hands."""
    table = table_of(OperationRow)
    result = connection.execute(
        sa.update(table)
        .where(table.c.id == operation_id, table.c.done == sa.false(), _is_free(table, now))
        .values(held_until=end_of_lease(now))
    )
    return int(result.rowcount) == 1


def hold(connection: Connection, operation_ids: Sequence[int], now: int) -> None:
    """Gives a new lease on operations that are not done."""
    if not operation_ids:
        return
    table = table_of(OperationRow)
    connection.execute(
        sa.update(table)
        .where(table.c.id.in_(operation_ids), table.c.done == sa.false())
        .values(held_until=end_of_lease(now))
    )


def release(connection: Connection, operation_ids: Sequence[int] | None = None) -> None:
    """Ends the leases on these operations; by default on all."""
    table = table_of(OperationRow)
    statement = sa.update(table).where(table.c.held_until.is_not(None), table.c.done == sa.false())
    if operation_ids is not None:
        statement = statement.where(table.c.id.in_(operation_ids))
    connection.execute(statement.values(held_until=None))


def is_anything_held(connection: Connection) -> bool:
    table = table_of(OperationRow)
    held = sa.select(table.c.id).where(table.c.done == sa.false(), table.c.held_until.is_not(None))
    return connection.execute(held.limit(1)).first() is not None


def _free(kinds: Collection[OperationKind], now: int, after: int) -> sa.Select[tuple[object, ...]]:
    table = table_of(OperationRow)
    return (
        sa.select(table)
        .where(
            table.c.kind.in_([kind.value for kind in kinds]),
            table.c.done == sa.false(),
            table.c.id > after,
            _is_free(table, now),
        )
        .order_by(table.c.id)
    )


# --- queries ---


def last_operation_id(connection: Connection) -> int:
    """The largest operation id in the register, 0 for none."""
    return int(connection.execute(sa.select(sa.func.max(table_of(OperationRow).c.id))).scalar() or 0)


def leave_gap_of_operations(connection: Connection, given_out: int, at: int) -> None:
    """Makes operation ids continue after `given_out`. A restored register does not know the ids that were given out
    since the copy, and the ledger accepts none of them twice."""
    if last_operation_id(connection) >= given_out:
        return
    mark = OperationRow(
        id=given_out,
        ecertificate_id=0,
        kind=OperationKind.GAP.value,
        actor="register",
        salt=b"",
        at=at,
        done=True,
    )
    insert(connection, mark)
    set_sequence(connection, OperationRow, given_out)


def has_gap(connection: Connection) -> bool:
    """True if the register was ever restored from a copy older than the ledger."""
    return bool(all_rows(connection, OperationRow, ecertificate_id=0, kind=OperationKind.GAP.value))


def last_entry_seq(connection: Connection, ecertificate_id: int) -> int | None:
    """The number of the last ledger entry about the e-certificate that the register knows of, or None."""
    table = table_of(OperationRow)
    found: int | None = connection.execute(
        sa.select(sa.func.max(table.c.entry_seq)).where(table.c.ecertificate_id == ecertificate_id)
    ).scalar_one()
    return found


def operations_of(connection: Connection, ecertificate_id: int) -> list[Operation]:
    """All operations on the e-certificate, oldest first."""
    return [as_operation(row) for row in all_rows(connection, OperationRow, ecertificate_id=ecertificate_id)]


def issues(connection: Connection) -> list[Operation]:
    """Every issue."""
    return [as_operation(row) for row in all_rows(connection, OperationRow, kind=OperationKind.ISSUED.value)]


def forget_operations(connection: Connection, ecertificate_id: int, *, but: int) -> int:
    """Empties what names persons or opens commitments in the operations on an e-certificate, except in the erasure
    `but`, which says who decided. Returns the number of emptied rows."""
    table = table_of(OperationRow)
    others = connection.execute(
        sa.select(table.c.id).where(table.c.ecertificate_id == ecertificate_id, table.c.id != but)
    ).scalars()
    emptied = {"note": None, "reason": None, "caller": None, "salt": b""}
    emptied |= dict.fromkeys(("decided_by", "decided_for", "decided_name"))
    return sum(update(connection, OperationRow, {"id": each}, emptied) for each in others.all())


def as_operation(row: OperationRow) -> Operation:
    return Operation(
        operation_id=row.id or 0,
        kind=OperationKind(row.kind),
        ecertificate_id=row.ecertificate_id,
        actor=row.actor,
        at=row.at,
        salt=bytes(row.salt),
        reason=row.reason,
        note=row.note,
        caller=row.caller,
        requested_by=row.requested_by,
        approved_by=row.approved_by,
        decided_by=(
            ActorRef(row.decided_by, row.decided_for, row.decided_name or "")
            if row.decided_by is not None
            else None
        ),
        is_done=row.done,
        entry_seq=row.entry_seq,
    )
