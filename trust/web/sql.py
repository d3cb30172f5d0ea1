"""The table of stored answers for idempotency keys."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.storage.tables import personal_blob, table_of


class IdempotencyRow(SQLModel, table=True):
    __tablename__ = "idempotency"
    key: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    body_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=False))
    status: int | None = None
    answer: bytes | None = personal_blob(nullable=True)
    created_at: int = Field(sa_type=sa.BigInteger, index=True)


def prune_answers(connection: Connection, before: int) -> None:
    table = table_of(IdempotencyRow)
    connection.execute(sa.delete(table).where(table.c.created_at < before))


def forget_answers(connection: Connection, pid: bytes) -> int:
    """Deletes stored answers that name this e-certificate; returns their number."""
    answers = table_of(IdempotencyRow)
    text = pid.hex().encode()
    if connection.dialect.name == "postgresql":
        names_it = sa.func.pg_catalog.position(answers.c.answer, sa.literal(text, sa.LargeBinary)) > 0
    else:
        names_it = sa.func.instr(answers.c.answer, sa.literal(text, sa.LargeBinary)) > 0
    return int(connection.execute(sa.delete(answers).where(names_it)).rowcount)
