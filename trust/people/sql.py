"""The tables of API keys, claim links and sessions of browsers.

Secrets of clients and holders are stored hashed.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.storage.tables import rows_after, table_of


class ApiKeyRow(SQLModel, table=True):
    __tablename__ = "api_key"
    id: str = Field(primary_key=True, max_length=16)
    secret_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=False))
    label: str
    authority_id: str | None = Field(default=None, max_length=32)
    scopes: str
    created_at: int = Field(sa_type=sa.BigInteger)
    expires_at: int = Field(sa_type=sa.BigInteger)
    revoked_at: int | None = Field(default=None, sa_type=sa.BigInteger)


class ClaimLinkRow(SQLModel, table=True):
    """A link that opens a holder's wallet once."""

    __tablename__ = "claim_link"
    token_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    holder_ref: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=False))
    expires_at: int = Field(sa_type=sa.BigInteger)
    used_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    mac: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(32), nullable=True))


class WebSessionRow(SQLModel, table=True):
    __tablename__ = "web_session"
    token_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    kind: str = Field(max_length=8)
    subject: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))
    csrf: str = Field(max_length=64)
    expires_at: int = Field(sa_type=sa.BigInteger)
    mac: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(32), nullable=True))


def use_claim_link(connection: Connection, token_hash: bytes, at: int) -> bool:
    """Marks the link as used. True for only one call, before the link's end; a single statement decides."""
    table = table_of(ClaimLinkRow)
    result = connection.execute(
        sa.update(table)
        .where(table.c.token_hash == token_hash, table.c.used_at.is_(None), table.c.expires_at > at)
        .values(used_at=at)
    )
    return int(result.rowcount) == 1


def open_sessions_after(
    connection: Connection, after: bytes | None, limit: int, at: int
) -> list[WebSessionRow]:
    """Up to `limit` sessions that have not ended, in the order of their tokens' hashes, behind `after`."""
    table = table_of(WebSessionRow)
    behind = None if after is None else [after]
    return rows_after(connection, WebSessionRow, ["token_hash"], behind, limit, table.c.expires_at > at)


def delete_session(connection: Connection, token_hash: bytes) -> None:
    table = table_of(WebSessionRow)
    connection.execute(sa.delete(table).where(table.c.token_hash == token_hash))


def delete_sessions_of(connection: Connection, kind: str, subject: bytes) -> None:
    table = table_of(WebSessionRow)
    connection.execute(sa.delete(table).where(table.c.kind == kind, table.c.subject == subject))


def end_everything_open(connection: Connection) -> None:
    """Ends every session and link. For use after a restore, when it is unknown which were ended or used since."""
    for kind in (WebSessionRow, ClaimLinkRow):
        connection.execute(sa.delete(table_of(kind)))


def delete_expired_sessions(connection: Connection, at: int) -> None:
    table = table_of(WebSessionRow)
    connection.execute(sa.delete(table).where(table.c.expires_at <= at))


def forget_holders(connection: Connection, lone_holder_refs: Sequence[bytes]) -> dict[str, int]:
    """Deletes the claim links and sessions of these holders; returns the number of rows by table."""
    counts: dict[str, int] = {}
    for kind, column in ((ClaimLinkRow, "holder_ref"), (WebSessionRow, "subject")):
        table = table_of(kind)
        result = connection.execute(sa.delete(table).where(table.c[column].in_(lone_holder_refs)))
        counts[table.name] = int(result.rowcount)
    return counts
