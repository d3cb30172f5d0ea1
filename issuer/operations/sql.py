"""The table of operations, in which every irreversible act is announced first.

A row is stored, the act is done, and then the row is marked `done`. What a crash leaves in between is resumed by the
package of its subject (such as `issuer.ecertificates.issuing.Issuing.resume_unfinished`).
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
"""The kind of the operation that marks the gap in a restored register."""


class OperationRow(SQLModel, table=True):
    """An act that was decided on, and whether it is done. The ledger's request contains its id."""

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
    """The caller who requested an issue."""
    table = table_of(OperationRow)
    noted = connection.execute(sa.select(table.c.note).where(table.c.id == operation_id)).scalar_one()
    return str(noted or "")


def last_operation_id(connection: Connection) -> int:
    """The largest operation id in the register, 0 for none."""
    return int(connection.execute(sa.select(sa.func.max(table_of(OperationRow).c.id))).scalar() or 0)


def leave_gap_of_operations(connection: Connection, given_out: int, at: int) -> None:
    """Makes operation ids continue after `given_out`. A restored register does not know the ids that were given out
    since the copy, and the ledger accepts none of them twice."""
    if last_operation_id(connection) >= given_out:
        return
    mark = OperationRow(
        id=given_out, ecertificate_id=0, kind=GAP, actor="register", salt=b"", at=at, done=True
    )
    insert(connection, mark)
    set_sequence(connection, OperationRow, given_out)


def has_gap(connection: Connection) -> bool:
    """True if the register was ever restored from a copy older than the ledger."""
    table = table_of(OperationRow)
    rows = connection.execute(sa.select(table).where(table.c.ecertificate_id == 0, table.c.kind == GAP))
    return any(believed(connection, OperationRow, row) for row in rows)


def last_entry_seq(connection: Connection, ecertificate_id: int) -> int | None:
    """The number of the last ledger entry about the e-certificate that the register knows of, or None."""
    table = table_of(OperationRow)
    found: int | None = connection.execute(
        sa.select(sa.func.max(table.c.entry_seq)).where(table.c.ecertificate_id == ecertificate_id)
    ).scalar_one()
    return found


def operations_of(connection: Connection, ecertificate_id: int) -> list[OperationRow]:
    """All operations on the e-certificate, oldest first."""
    return all_rows(connection, OperationRow, ecertificate_id=ecertificate_id)
