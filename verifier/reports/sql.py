"""The tables of filed reports and of the lists in their evidence."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.storage.tables import table_of


class FiledReportRow(SQLModel, table=True):
    """A filed report without its content. `evidence` is an encoded KeptEvidence, removed by an erasure."""

    __tablename__ = "filed_report"
    code: str = Field(primary_key=True, max_length=12)
    at: int = Field(sa_type=sa.BigInteger)
    kind: str = Field(max_length=16)
    verdict: str = Field(max_length=16)
    headline: str = Field(max_length=32)
    input_sha256: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(32), nullable=True))
    payload_sha256: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=False))
    evidence: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary, nullable=True))
    pid: bytes | None = Field(
        default=None, sa_column=sa.Column(sa.LargeBinary(16), nullable=True, index=True)
    )
    kept_until: int = Field(sa_type=sa.BigInteger, index=True)


class KeptListRow(SQLModel, table=True):
    """A revocation list or a member's trust list in the evidence of reports, stored once for all of them."""

    __tablename__ = "kept_list"
    sha256: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    encoded: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))


def keep_list(connection: Connection, digest: bytes, encoded: bytes) -> None:
    """Stores a list under its SHA-256 once, also if several transactions do so at the same time."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    row = insert(table_of(KeptListRow)).values(sha256=digest, encoded=encoded)
    connection.execute(row.on_conflict_do_nothing())


def kept_list(connection: Connection, digest: bytes) -> bytes | None:
    table = table_of(KeptListRow)
    found = connection.execute(sa.select(table.c.encoded).where(table.c.sha256 == digest)).scalar()
    return bytes(found) if found is not None else None


def prune_reports(connection: Connection, at: int) -> None:
    table = table_of(FiledReportRow)
    connection.execute(sa.delete(table).where(table.c.kept_until <= at))


def forget_reports(connection: Connection, pid: bytes) -> None:
    """Removes from filed reports what could identify this e-certificate; their codes and verdicts stay."""
    reports = table_of(FiledReportRow)
    forgotten = {"input_sha256": None, "evidence": None, "pid": None}
    connection.execute(sa.update(reports).where(reports.c.pid == pid).values(**forgotten))
