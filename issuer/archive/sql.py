"""The table of later versions. The bytes added to a file are the document `update-<n>`, its receipt is
`receipt-<n>`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, SQLModel

from issuer.ecertificates.kinds import Step
from issuer.ecertificates.sql import ECertificateRow, delete_document
from issuer.operations.model import Operation
from trust.model.errors import Conflict
from trust.storage.tables import BigKey, all_rows, delete, insert, one_row, rows_after


class LaterVersionRow(SQLModel, table=True):
    """The n-th version after the issued file, stored before its ledger entry; `entry_seq` is None until then."""

    __tablename__ = "later_version"
    __table_args__ = (sa.UniqueConstraint("ecertificate_id", "number"),)
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    ecertificate_id: int = Field(sa_type=sa.BigInteger)
    number: int
    operation_id: int = Field(sa_type=sa.BigInteger)
    suite: str = Field(max_length=32)
    commit: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=False))
    salts: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))
    sha256: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=False, index=True))
    stamped_at: int = Field(sa_type=sa.BigInteger)
    due_at: int = Field(sa_type=sa.BigInteger)
    entry_seq: int | None = Field(default=None, sa_type=sa.BigInteger, index=True)


def update_kind(number: int) -> str:
    return f"update-{number}"


def receipt_kind(number: int) -> str:
    return f"receipt-{number}"


def due(connection: Connection, at: int, limit: int, *, after: tuple[int, int] = (-1, -1)) -> list[Any]:
    """(id, pid, identifier, archive_due_at, versions) of the e-certificates that are due at `at`, longest due first.

    `after` is (archive_due_at, id) of the last one that the caller has.
    """
    certs, versions = _t(ECertificateRow), _t(LaterVersionRow)
    count = (
        sa.select(sa.func.count())
        .select_from(versions)
        .where(versions.c.ecertificate_id == certs.c.id)
        .scalar_subquery()
    )
    rows = connection.execute(
        sa.select(
            certs.c.id, certs.c.pid, certs.c.identifier, certs.c.archive_due_at, count.label("versions")
        )
        .where(
            certs.c.archive_due_at <= at,
            sa.or_(
                certs.c.archive_due_at > after[0],
                sa.and_(certs.c.archive_due_at == after[0], certs.c.id > after[1]),
            ),
            certs.c.step == Step.ISSUED,
        )
        .order_by(certs.c.archive_due_at, certs.c.id)
        .limit(limit)
    )
    return list(rows)


def count_due(connection: Connection, at: int) -> int:
    certs = _t(ECertificateRow)
    found: int = connection.execute(
        sa.select(sa.func.count())
        .select_from(certs)
        .where(certs.c.archive_due_at <= at, certs.c.step == Step.ISSUED)
    ).scalar_one()
    return found


def versions_of(connection: Connection, ecertificate_id: int) -> list[LaterVersionRow]:
    """The later versions of one e-certificate, in their order."""
    rows: list[LaterVersionRow] = all_rows(connection, LaterVersionRow, ecertificate_id=ecertificate_id)
    return sorted(rows, key=lambda row: row.number)


def versions_after(
    connection: Connection, ecertificate_id: int, after: int, limit: int
) -> list[LaterVersionRow]:
    """Up to `limit` later versions behind the one with the number `after` that are in the ledger, in their order."""
    in_ledger = _t(LaterVersionRow).c.entry_seq.is_not(None)
    return rows_after(
        connection,
        LaterVersionRow,
        ["number"],
        [after],
        limit,
        in_ledger,
        ecertificate_id=ecertificate_id,
    )


def insert_version(connection: Connection, version: LaterVersionRow) -> int:
    """Inserts a version and returns its id. Raises `Conflict`, which ends the transaction, if the number exists."""
    try:
        return int(insert(connection, version))
    except IntegrityError as exc:
        raise Conflict("A version of this file is being made already.", "Try again in a minute.") from exc


def version_with(connection: Connection, sha256: bytes) -> LaterVersionRow | None:
    """The version whose file has this digest, if it is in the ledger."""
    found = one_row(connection, LaterVersionRow, sha256=sha256)
    return found if found is not None and found.entry_seq is not None else None


def versions_with(connection: Connection, digests: Sequence[bytes]) -> dict[bytes, int]:
    """The row ids of e-certificates, by the SHA-256 of a later version of their files."""
    table = _t(LaterVersionRow)
    rows = connection.execute(
        sa.select(table.c.sha256, table.c.ecertificate_id).where(
            table.c.sha256.in_(digests), table.c.entry_seq.is_not(None)
        )
    )
    return {bytes(sha256): int(ecertificate_id) for sha256, ecertificate_id in rows}


def stamped_between(
    connection: Connection, suites: Sequence[str], since: int, until: int
) -> list[tuple[bytes, LaterVersionRow]]:
    """Later versions in since <= time-stamp < until by authorities of these suites, each with its public id."""
    certs, versions = _t(ECertificateRow), _t(LaterVersionRow)
    rows = connection.execute(
        sa.select(versions, certs.c.pid)
        .join(certs, certs.c.id == versions.c.ecertificate_id)
        .where(versions.c.suite.in_(suites), versions.c.stamped_at >= since, versions.c.stamped_at < until)
        .order_by(versions.c.id)
    )
    return [
        (bytes(row.pid), LaterVersionRow(**{k: v for k, v in row._mapping.items() if k != "pid"}))
        for row in rows
    ]


def version_of(connection: Connection, operation: Operation) -> LaterVersionRow | None:
    """The version that this operation makes; None if it was erased."""
    return one_row(
        connection,
        LaterVersionRow,
        operation_id=operation.operation_id,
        ecertificate_id=operation.ecertificate_id,
    )


def delete_version(connection: Connection, version: LaterVersionRow) -> None:
    """Deletes a version that is not in the ledger, with its document."""
    delete_document(connection, version.ecertificate_id, update_kind(version.number))
    delete(connection, LaterVersionRow, {"id": version.id})


def erase_versions(connection: Connection, ecertificate_id: int) -> int:
    """Deletes the rows of later versions, but not their documents; returns their number."""
    count = len(versions_of(connection, ecertificate_id))
    delete(connection, LaterVersionRow, {"ecertificate_id": ecertificate_id})
    return count


def _t(kind: type[SQLModel]) -> sa.Table:
    table: sa.Table = kind.__table__  # type: ignore[attr-defined]
    return table
