"""The table of the audit trail: who did what to which public id, and with what outcome.

It never contains a name, a number or a code.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.storage.tables import BigKey, table_of


class AuditRow(SQLModel, table=True):
    __tablename__ = "audit"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    at: int = Field(sa_type=sa.BigInteger)
    actor: str = Field(max_length=64)
    action: str = Field(max_length=32)
    pid: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(16), nullable=True))
    purpose: str | None = None
    outcome: str = Field(max_length=32)
    __table_args__ = (sa.Index("audit_of_pid", "pid", "id"), sa.Index("audit_by_actor", "actor", "id"))


def audit_rows(
    connection: Connection,
    *,
    pid: bytes | None = None,
    actor: str | None = None,
    actions: Sequence[str] = (),
    since: int = 0,
    limit: int = 50,
) -> list[AuditRow]:
    """The rows that meet all given conditions, newest first."""
    table = table_of(AuditRow)
    statement = sa.select(table).where(table.c.at >= since)
    if pid is not None:
        statement = statement.where(table.c.pid == pid)
    if actor is not None:
        statement = statement.where(table.c.actor == actor)
    if actions:
        statement = statement.where(table.c.action.in_(actions))
    rows = connection.execute(statement.order_by(table.c.id.desc()).limit(limit))
    return [AuditRow(**row._mapping) for row in rows]


def forget_purposes(connection: Connection, pid: bytes) -> None:
    """Deletes from the trail the purposes for which an e-certificate was shown; the events themselves stay."""
    audit = table_of(AuditRow)
    connection.execute(sa.update(audit).where(audit.c.pid == pid).values(purpose=None))
