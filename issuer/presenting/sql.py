"""The table of presentations."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.storage.tables import (
    believed,
    blob,
    personal_text,
    table_of,
)


class PresentationRow(SQLModel, table=True):
    __tablename__ = "presentation"
    session_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    ecertificate_id: int = Field(sa_type=sa.BigInteger, index=True)
    purpose: str = personal_text()
    audience: str | None = personal_text(nullable=True)
    level: int
    started_at: int = Field(sa_type=sa.BigInteger)
    expires_at: int = Field(sa_type=sa.BigInteger)
    used_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    used_by: str | None = personal_text(nullable=True)
    stopped_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    mac: bytes | None = blob(nullable=True)


def use_presentation(connection: Connection, session_hash: bytes, used_by: str, at: int) -> bool:
    """Marks the session as used. True for only one call; a single statement decides."""
    table = table_of(PresentationRow)
    result = connection.execute(
        sa.update(table)
        .where(
            table.c.session_hash == session_hash,
            table.c.used_at.is_(None),
            table.c.stopped_at.is_(None),
            table.c.expires_at > at,
        )
        .values(used_at=at, used_by=used_by)
    )
    return int(result.rowcount) == 1


def presentations_of(
    connection: Connection, ecertificate_ids: Sequence[int], limit: int
) -> list[PresentationRow]:
    """The used presentations of these e-certificates, newest first."""
    table = table_of(PresentationRow)
    rows = connection.execute(
        sa.select(table)
        .where(table.c.ecertificate_id.in_(ecertificate_ids), table.c.used_at.is_not(None))
        .order_by(table.c.used_at.desc())
        .limit(limit)
    )
    return [believed(connection, PresentationRow, row) for row in rows.all()]
