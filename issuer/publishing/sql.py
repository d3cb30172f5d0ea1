"""The tables of published lists: trust lists, status lists, other deployments and outside CAs."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.storage.tables import (
    BigKey,
    blob,
    table_of,
)


class TrustListRow(SQLModel, table=True):
    __tablename__ = "trust_list"
    seq: int = Field(primary_key=True)
    compact: bytes = blob()
    issued_at: int = Field(sa_type=sa.BigInteger)


class PublishedStatusListRow(SQLModel, table=True):
    """A signed list; `proof` is the receipt of the entry that anchors it, None until then."""

    __tablename__ = "published_status_list"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    number: int
    encoded: bytes = blob()
    issued_at: int = Field(sa_type=sa.BigInteger)
    ledger_size: int = Field(sa_type=sa.BigInteger)
    operation_id: int = Field(sa_type=sa.BigInteger)
    proof: str | None = None
    __table_args__ = (sa.Index("published_status_list_newest", "number", "id"),)


class TrustMemberRow(SQLModel, table=True):
    """Another deployment in the trust list. Lists are stored as JSON; None means that all are allowed."""

    __tablename__ = "trust_member"
    id: str = Field(primary_key=True, max_length=32)
    name_zh: str
    name_en: str
    address: str | None = None
    roots: str
    hosts: str
    uses: str
    divisions: str | None = None
    type_codes: str | None = None
    not_before: int = Field(sa_type=sa.BigInteger)
    not_after: int | None = Field(default=None, sa_type=sa.BigInteger)
    state: str = Field(max_length=16)
    since: int | None = Field(default=None, sa_type=sa.BigInteger)


class TrustAnchorRow(SQLModel, table=True):
    """An outside CA in the trust list, under which signed files of others are judged."""

    __tablename__ = "trust_anchor"
    id: str = Field(primary_key=True, max_length=16)
    name_zh: str
    name_en: str
    cert: bytes = blob()
    not_before: int = Field(sa_type=sa.BigInteger)
    not_after: int = Field(sa_type=sa.BigInteger)
    state: str = Field(max_length=16)
    since: int | None = Field(default=None, sa_type=sa.BigInteger)
    added_at: int = Field(sa_type=sa.BigInteger)


def newest_trust_list_seq(connection: Connection) -> int | None:
    table = table_of(TrustListRow)
    found = connection.execute(sa.select(sa.func.max(table.c.seq))).scalar()
    return int(found) if found is not None else None


def newest_status_list(connection: Connection, number: int) -> PublishedStatusListRow | None:
    table = table_of(PublishedStatusListRow)
    row = connection.execute(
        sa.select(table).where(table.c.number == number).order_by(table.c.id.desc()).limit(1)
    ).one_or_none()
    return PublishedStatusListRow(**row._mapping) if row else None


def newest_anchored_status_list(connection: Connection, number: int) -> PublishedStatusListRow | None:
    table = table_of(PublishedStatusListRow)
    row = connection.execute(
        sa.select(table)
        .where(table.c.number == number, table.c.proof.is_not(None))
        .order_by(table.c.id.desc())
        .limit(1)
    ).one_or_none()
    return PublishedStatusListRow(**row._mapping) if row else None


def status_lists_of(connection: Connection, number: int) -> list[PublishedStatusListRow]:
    """Every stored version of a list, oldest first."""
    table = table_of(PublishedStatusListRow)
    rows = connection.execute(sa.select(table).where(table.c.number == number).order_by(table.c.id))
    return [PublishedStatusListRow(**row._mapping) for row in rows]


def forget_status_lists(connection: Connection, number: int, before: int) -> None:
    """Deletes versions issued before that time (in microseconds), which prove nothing any more and take up to 64 KiB
    each."""
    table = table_of(PublishedStatusListRow)
    connection.execute(sa.delete(table).where(table.c.number == number, table.c.issued_at < before))
