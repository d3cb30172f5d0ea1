"""SQL of the app itself: the few statements that must decide something in one go.

Plain inserts and look-ups go through the helpers of `issuer.sql`.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from trust.app.tables import (
    AuditRow,
    ClaimLinkRow,
    FiledReportRow,
    IdempotencyRow,
    KeptListRow,
    WebSessionRow,
)
from trust.encoding.digests import sha256


def use_claim_link(connection: Connection, token_hash: bytes, at: int) -> bool:
    """One statement decides: True for the one call that used the link in time."""
    table = _t(ClaimLinkRow)
    result = connection.execute(
        sa.update(table)
        .where(table.c.token_hash == token_hash, table.c.used_at.is_(None), table.c.expires_at > at)
        .values(used_at=at)
    )
    return int(result.rowcount) == 1


def delete_session(connection: Connection, token_hash: bytes) -> None:
    table = _t(WebSessionRow)
    connection.execute(sa.delete(table).where(table.c.token_hash == token_hash))


def delete_sessions_of(connection: Connection, kind: str, subject: bytes) -> None:
    table = _t(WebSessionRow)
    connection.execute(sa.delete(table).where(table.c.kind == kind, table.c.subject == subject))


def end_everything_open(connection: Connection) -> None:
    """Every session and link, used or not: after a restore nobody can tell which were ended or used since."""
    for kind in (WebSessionRow, ClaimLinkRow):
        connection.execute(sa.delete(_t(kind)))


def delete_expired_sessions(connection: Connection, at: int) -> None:
    table = _t(WebSessionRow)
    connection.execute(sa.delete(table).where(table.c.expires_at <= at))


def audit_rows(
    connection: Connection,
    *,
    pid: bytes | None = None,
    actor: str | None = None,
    actions: Sequence[str] = (),
    since: int = 0,
    limit: int = 50,
) -> list[AuditRow]:
    """Who did what, newest first; each condition that is given must hold."""
    table = _t(AuditRow)
    statement = sa.select(table).where(table.c.at >= since)
    if pid is not None:
        statement = statement.where(table.c.pid == pid)
    if actor is not None:
        statement = statement.where(table.c.actor == actor)
    if actions:
        statement = statement.where(table.c.action.in_(actions))
    rows = connection.execute(statement.order_by(table.c.id.desc()).limit(limit))
    return [AuditRow(**row._mapping) for row in rows]


def keep_list(connection: Connection, encoded: bytes) -> None:
    """Keeps a list under its SHA-256 once, whoever else does the same."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = insert(_t(KeptListRow)).values(sha256=sha256(encoded), encoded=encoded)
    connection.execute(row.on_conflict_do_nothing())


def kept_list(connection: Connection, digest: bytes) -> bytes | None:
    table = _t(KeptListRow)
    found = connection.execute(sa.select(table.c.encoded).where(table.c.sha256 == digest)).scalar()
    return bytes(found) if found is not None else None


def prune_answers(connection: Connection, before: int) -> None:
    table = _t(IdempotencyRow)
    connection.execute(sa.delete(table).where(table.c.created_at < before))


def prune_reports(connection: Connection, at: int) -> None:
    table = _t(FiledReportRow)
    connection.execute(sa.delete(table).where(table.c.kept_until <= at))


def _t(kind: type[SQLModel]) -> sa.Table:
    table: sa.Table = kind.__table__  # type: ignore[attr-defined]  # SQLModel adds it when it makes the class
    return table


def forget_erased(connection: Connection, pid: bytes, lone_holder_refs: Sequence[bytes]) -> dict[str, int]:
    """Deletes what the app itself keeps about an e-certificate that is being erased.

    Stored answers that name it, and the claim links and sessions of holders who have nothing else left.
    """
    answers = _t(IdempotencyRow)
    text = pid.hex().encode()
    if connection.dialect.name == "postgresql":
        names_it = sa.func.pg_catalog.position(answers.c.answer, sa.literal(text, sa.LargeBinary)) > 0
    else:
        names_it = sa.func.instr(answers.c.answer, sa.literal(text, sa.LargeBinary)) > 0
    counts = {"idempotency": int(connection.execute(sa.delete(answers).where(names_it)).rowcount)}
    audit = _t(AuditRow)
    connection.execute(sa.update(audit).where(audit.c.pid == pid).values(purpose=None))
    reports = _t(FiledReportRow)
    forgotten = {"input_sha256": None, "evidence": None, "pid": None}
    connection.execute(sa.update(reports).where(reports.c.pid == pid).values(**forgotten))
    for kind, column in ((ClaimLinkRow, "holder_ref"), (WebSessionRow, "subject")):
        table = _t(kind)
        result = connection.execute(sa.delete(table).where(table.c[column].in_(lone_holder_refs)))
        counts[table.name] = int(result.rowcount)
    return counts
