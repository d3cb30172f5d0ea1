"""The table of operations: everything that is irreversible is announced in it first.

A row in state INTENDED, then the act, then DONE. What a crash leaves INTENDED is carried on by the subject it is about
(`issuer.ecertificates.issuing.Issuing.resume_unfinished` and its like).
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.storage.tables import (
    BigKey,
    all_rows,
    believed,
    blob,
    insert,
    set_sequence,
    table_of,
)

GAP = "GAP"
"""The kind of the operation that marks a restored register's gap."""


class OperationRow(SQLModel, table=True):
    """What was decided to be done, and whether it is. The id goes into the ledger as operation id."""

    __tablename__ = "operation"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    ecertificate_id: int = Field(sa_type=sa.BigInteger, index=True)
    kind: str = Field(max_length=12)
    reason: str | None = None
    note: str | None = None
    actor: str = Field(max_length=64)
    salt: bytes = blob()
    at: int = Field(sa_type=sa.BigInteger)
    done: bool = False
    entry_seq: int | None = Field(default=None, sa_type=sa.BigInteger)
    mac: bytes | None = blob(nullable=True)


def caller_of(connection: Connection, operation_id: int) -> str:
    """Who asked for an issue."""
    table = table_of(OperationRow)
    noted = connection.execute(sa.select(table.c.note).where(table.c.id == operation_id)).scalar_one()
    return str(noted or "")


def last_operation_id(connection: Connection) -> int:
    """The largest that the register knows of, 0 for none."""
    return int(connection.execute(sa.select(sa.func.max(table_of(OperationRow).c.id))).scalar() or 0)


def leave_gap_of_operations(connection: Connection, given_out: int, at: int) -> None:
    """Goes on behind `given_out`: a register that was restored from a copy does not know the numbers that it gave out
    since, and the ledger takes none of them twice."""
    if last_operation_id(connection) >= given_out:
        return
    mark = OperationRow(
        id=given_out, ecertificate_id=0, kind=GAP, actor="register", salt=b"", at=at, done=True
    )
    insert(connection, mark)
    set_sequence(connection, OperationRow, given_out)


def has_gap(connection: Connection) -> bool:
    """Was the register ever restored from a copy that was older than the ledger?"""
    table = table_of(OperationRow)
    rows = connection.execute(sa.select(table).where(table.c.ecertificate_id == 0, table.c.kind == GAP))
    return any(believed(connection, OperationRow, row) for row in rows)


def last_entry_seq(connection: Connection, ecertificate_id: int) -> int | None:
    """Number of the last ledger entry about the e-certificate that the register knows of."""
    table = table_of(OperationRow)
    found: int | None = connection.execute(
        sa.select(sa.func.max(table.c.entry_seq)).where(table.c.ecertificate_id == ecertificate_id)
    ).scalar_one()
    return found


def operations_of(connection: Connection, ecertificate_id: int) -> list[OperationRow]:
    """Everything that was decided about the e-certificate, oldest first."""
    return all_rows(connection, OperationRow, ecertificate_id=ecertificate_id)
