"""The tables of the audit trail: its rows, and the batches that chain them.

They never contain a name, a number or a code of a holder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.storage.tables import BigKey, blob, personal_text, table_of

# SQLite keeps no length, and does not change types.
_ACTOR = sa.String(96).with_variant(sa.String(64), "sqlite")
_ACTION = sa.String(48).with_variant(sa.String(32), "sqlite")
_OUTCOME = sa.String(64).with_variant(sa.String(32), "sqlite")


class AuditRow(SQLModel, table=True):
    """One act. `number` is given when the row is sealed into a batch: 1, 2, 3, … without a gap.

    `purpose_commit` stays when the purpose and its salt are deleted.
    """

    __tablename__ = "audit"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    number: int | None = Field(default=None, sa_type=sa.BigInteger)
    uid: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(16), nullable=True))
    at: int = Field(sa_type=sa.BigInteger)
    actor: str = Field(sa_type=_ACTOR)
    organisation: str | None = None
    actor_name: str | None = personal_text(nullable=True)
    action: str = Field(sa_type=_ACTION)
    pid: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(16), nullable=True))
    subject: str | None = None
    purpose: str | None = personal_text(nullable=True)
    purpose_salt: bytes | None = blob(nullable=True)
    purpose_commit: bytes | None = blob(nullable=True)
    outcome: str = Field(sa_type=_OUTCOME)
    times: int = 1
    mac: bytes | None = blob(nullable=True)
    __table_args__ = (
        sa.Index("audit_of_pid", "pid", "id"),
        sa.Index("audit_by_actor", "actor", "id"),
        sa.Index("audit_number", "number", unique=True),
        sa.Index("audit_uid", "uid", unique=True),
        sa.Index(
            "audit_not_sealed",
            "id",
            sqlite_where=sa.text("number IS NULL"),
            postgresql_where=sa.text("number IS NULL"),
        ),
    )


class AuditBatchRow(SQLModel, table=True):
    """Rows `first` to `last` with the root of their tree; `chain` covers it and the batch before.

    `operation_id` is that of the ledger's entry that anchors this batch and all before it; None for most.
    """

    __tablename__ = "audit_batch"
    id: int = Field(sa_column=sa.Column(BigKey, primary_key=True, autoincrement=False))
    first: int = Field(sa_type=sa.BigInteger)
    last: int = Field(sa_type=sa.BigInteger)
    at: int = Field(sa_type=sa.BigInteger)
    root: bytes = blob()
    chain: bytes = blob()
    operation_id: int | None = Field(default=None, sa_type=sa.BigInteger, index=True)


def audit_rows(
    connection: Connection,
    *,
    pid: bytes | None = None,
    actor: str | None = None,
    actions: Sequence[str] = (),
    since: int = 0,
    until: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[AuditRow]:
    """The rows that meet all given conditions, newest first. `before` is the id of the last row of the page before."""
    table = table_of(AuditRow)
    statement = sa.select(table).where(table.c.at >= since)
    if until is not None:
        statement = statement.where(table.c.at < until)
    if before is not None:
        statement = statement.where(table.c.id < before)
    if pid is not None:
        statement = statement.where(table.c.pid == pid)
    if actor is not None:
        statement = statement.where(table.c.actor == actor)
    if actions:
        statement = statement.where(table.c.action.in_(actions))
    rows = connection.execute(statement.order_by(table.c.id.desc()).limit(limit))
    return [AuditRow(**row._mapping) for row in rows]


def has_unsealed(connection: Connection) -> bool:
    table = table_of(AuditRow)
    found = connection.execute(sa.select(table.c.id).where(table.c.number.is_(None)).limit(1)).first()
    return found is not None


def unsealed(connection: Connection, limit: int) -> list[AuditRow]:
    """The oldest rows that are in no batch yet."""
    table = table_of(AuditRow)
    rows = connection.execute(
        sa.select(table).where(table.c.number.is_(None)).order_by(table.c.id).limit(limit)
    ).all()
    return [AuditRow(**row._mapping) for row in rows]


def all_unsealed(connection: Connection) -> Iterator[AuditRow]:
    """All rows that are in no batch yet, read in portions."""
    table, after = table_of(AuditRow), 0
    while True:
        statement = sa.select(table).where(table.c.number.is_(None), table.c.id > after)
        rows = connection.execute(statement.order_by(table.c.id).limit(1000)).all()
        if not rows:
            return
        for row in rows:
            yield AuditRow(**row._mapping)
        after = rows[-1].id


def number_rows(connection: Connection, numbers: Sequence[tuple[int, int]]) -> None:
    """Gives rows their numbers: pairs of id and number."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            sa.text(
                "UPDATE audit SET number = n.number FROM (SELECT unnest(CAST(:ids AS bigint[])) AS id, "
                "unnest(CAST(:numbers AS bigint[])) AS number) n WHERE audit.id = n.id"
            ),
            {"ids": [one for one, _ in numbers], "numbers": [number for _, number in numbers]},
        )
        return
    table = table_of(AuditRow)
    connection.execute(
        sa.update(table).where(table.c.id == sa.bindparam("row")).values(number=sa.bindparam("new")),
        [{"row": one, "new": number} for one, number in numbers],
    )


def adopt(connection: Connection, row: AuditRow) -> None:
    """Gives a row from before rows had MACs its own."""
    table = table_of(AuditRow)
    connection.execute(
        sa.update(table)
        .where(table.c.id == row.id)
        .values(uid=row.uid, purpose_commit=row.purpose_commit, purpose_salt=row.purpose_salt, mac=row.mac)
    )


def without_mac(connection: Connection, limit: int) -> list[AuditRow]:
    """Rows without a MAC and a number."""
    table = table_of(AuditRow)
    rows = connection.execute(
        sa.select(table)
        .where(table.c.number.is_(None), table.c.mac.is_(None), table.c.uid.is_(None))
        .order_by(table.c.id)
        .limit(limit)
    ).all()
    return [AuditRow(**row._mapping) for row in rows]


def last_anchored_at(connection: Connection) -> int | None:
    """When the newest batch that has an anchor was sealed."""
    table = table_of(AuditBatchRow)
    anchored = sa.select(table.c.at).where(table.c.operation_id.is_not(None))
    found: int | None = connection.execute(anchored.order_by(table.c.operation_id.desc()).limit(1)).scalar()
    return found


def last_batch(connection: Connection) -> AuditBatchRow | None:
    table = table_of(AuditBatchRow)
    row = connection.execute(sa.select(table).order_by(table.c.id.desc()).limit(1)).first()
    return AuditBatchRow(**row._mapping) if row is not None else None


def batch_of_operation(connection: Connection, operation_id: int) -> AuditBatchRow | None:
    table = table_of(AuditBatchRow)
    row = connection.execute(sa.select(table).where(table.c.operation_id == operation_id)).first()
    return AuditBatchRow(**row._mapping) if row is not None else None


def set_anchor(connection: Connection, batch: int, before: int | None, operation_id: int | None) -> bool:
    """Changes the operation that anchors a batch, if it is still `before`."""
    table = table_of(AuditBatchRow)
    is_before = table.c.operation_id.is_(None) if before is None else table.c.operation_id == before
    changed = sa.update(table).where(table.c.id == batch, is_before).values(operation_id=operation_id)
    return bool(connection.execute(changed).rowcount)


def anchoring_operations(connection: Connection) -> dict[bytes, int]:
    """The operations that anchor batches, by the chain of the batch."""
    table = table_of(AuditBatchRow)
    rows = connection.execute(
        sa.select(table.c.chain, table.c.operation_id).where(table.c.operation_id.is_not(None))
    )
    return {bytes(chain): operation_id for chain, operation_id in rows}


def batches(connection: Connection) -> Iterator[AuditBatchRow]:
    """All batches in their order, read in portions."""
    table, after = table_of(AuditBatchRow), None
    while True:
        statement = sa.select(table).order_by(table.c.id).limit(1000)
        if after is not None:
            statement = statement.where(table.c.id > after)
        rows = connection.execute(statement).all()
        if not rows:
            return
        for row in rows:
            yield AuditBatchRow(**row._mapping)
        after = rows[-1].id


def sealed_rows(connection: Connection) -> Iterator[AuditRow]:
    """All rows that have a number, in the order of their numbers, read in portions."""
    table, after = table_of(AuditRow), None
    while True:
        statement = sa.select(table).where(table.c.number.is_not(None)).order_by(table.c.number).limit(1000)
        if after is not None:
            statement = statement.where(table.c.number > after)
        rows = connection.execute(statement).all()
        if not rows:
            return
        for row in rows:
            yield AuditRow(**row._mapping)
        after = rows[-1].number


def forget_purposes(connection: Connection, pid: bytes) -> None:
    """Deletes from the trail the purposes for which an e-certificate was shown; the events themselves stay."""
    audit = table_of(AuditRow)
    connection.execute(sa.update(audit).where(audit.c.pid == pid).values(purpose=None, purpose_salt=None))
