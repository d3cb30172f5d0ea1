"""The table of jobs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.storage.tables import BigKey, insert, table_of


class JobRow(SQLModel, table=True):
    """Work that was decided on in the transaction that stored the row, and is not done yet.

    `ref` is an id and never a field of a person. `due_at` and `held_until` are microseconds since 1970; `held_until` is
    the end of the lease of a worker that has the job in hand.
    """

    __tablename__ = "job"
    __table_args__ = (sa.Index("job_due", "kind", "due_at"),)
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True))
    kind: str = Field(max_length=32)
    ref: str = Field(max_length=200)
    due_at: int = Field(sa_type=sa.BigInteger)
    held_until: int | None = Field(default=None, sa_type=sa.BigInteger)
    tries: int = 0


def add_jobs(connection: Connection, kind: str, refs: Sequence[str], at: int) -> None:
    for ref in refs:
        insert(connection, JobRow(kind=kind, ref=ref, due_at=at))


def take_jobs(
    connection: Connection, kind: str, *, limit: int, now: int, until: int, latest: int
) -> list[JobRow]:
    """Gives up to `limit` due jobs that nobody has in hand a lease until `until`, those due longest first. On
    PostgreSQL those that another transaction has locked are passed over.

    A time after `latest` was written while the clock was ahead, and does not count.
    """
    table = table_of(JobRow)
    held = table.c.held_until
    statement = (
        sa.select(table)
        .where(
            table.c.kind == kind,
            sa.or_(table.c.due_at <= now, table.c.due_at > latest),
            sa.or_(held.is_(None), held <= now, held > latest),
        )
        .order_by(table.c.due_at, table.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = [JobRow(**dict(row._mapping)) for row in connection.execute(statement).all()]
    if rows:
        ids = [row.id for row in rows]
        connection.execute(
            sa.update(table).where(table.c.id.in_(ids)).values(held_until=until, tries=table.c.tries + 1)
        )
    return rows


def delete_jobs(connection: Connection, ids: Collection[int]) -> None:
    table = table_of(JobRow)
    connection.execute(sa.delete(table).where(table.c.id.in_(ids)))


def put_back(connection: Connection, job_id: int, due_at: int) -> None:
    """Ends the lease; the job is due again later."""
    table = table_of(JobRow)
    connection.execute(sa.update(table).where(table.c.id == job_id).values(held_until=None, due_at=due_at))


def is_any_job_held(connection: Connection) -> bool:
    table = table_of(JobRow)
    found = connection.execute(sa.select(table.c.id).where(table.c.held_until.is_not(None)).limit(1))
    return found.first() is not None


def release_jobs(connection: Connection) -> None:
    """Ends all leases: those of workers that died."""
    table = table_of(JobRow)
    connection.execute(sa.update(table).where(table.c.held_until.is_not(None)).values(held_until=None))
