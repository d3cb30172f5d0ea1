"""Tables of e-seals: applications, steps, uses, approvals."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from issuer.operations.model import Operation
from issuer.pki.sql import CaRow, OcspResponderRow
from trust.model.errors import StorageError
from trust.model.seal import SealAct
from trust.storage.tables import (
    BigKey,
    all_rows,
    believed,
    blob,
    one_row,
    personal_blob,
    personal_text,
    rows_after,
    table_of,
)

_IDLE = f"act IN ('{SealAct.FREEZE}', '{SealAct.REPORT_LOST}', '{SealAct.UNFREEZE}')"


class SealRow(SQLModel, table=True):
    """An e-seal from its application on; the columns of key, certificate and picture are empty until it is made.

    `pending_event`: an act that is announced and waits for its ledger entry. A made seal has either one of our CAs in
    `ca_id`, or a certificate from outside in `identity_id`. Verifiers find a seal by its certificate, so no two seals
    share one.
    """

    __tablename__ = "seal"
    id: str = Field(primary_key=True, max_length=64)
    authority_id: str = Field(foreign_key="authority.id", index=True, max_length=32)
    name: str = personal_text()
    second_line: str
    suite: str = Field(max_length=32)
    shape: str = Field(max_length=16)
    width_mm: float
    height_mm: float
    artwork: bytes | None = personal_blob(nullable=True)
    renews: str | None = Field(default=None, max_length=64)
    applied_by: str = personal_text(64)
    key_id: str | None = Field(default=None, max_length=64)
    ca_id: str | None = Field(default=None, max_length=64)
    identity_id: str | None = Field(default=None, unique=True, max_length=32)
    cert: bytes | None = blob(nullable=True)
    picture_svg: str | None = personal_text(nullable=True)
    picture_pdf: bytes | None = personal_blob(nullable=True)
    seal_data: bytes | None = personal_blob(nullable=True)
    policy: str = "{}"
    state: str = Field(max_length=16)
    state_since: int = Field(sa_type=sa.BigInteger)
    pending_event: int | None = Field(default=None, sa_type=sa.BigInteger)
    not_before: int | None = Field(default=None, sa_type=sa.BigInteger)
    not_after: int | None = Field(default=None, sa_type=sa.BigInteger)


class SealEventRow(SQLModel, table=True):
    """One step in the life of a seal; its ledger entry commits to it.

    `detail` is the policy of an authorisation, the identity from outside that a seal was made with, or the person who
    approved reaching back.
    """

    __tablename__ = "seal_event"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    seal_id: str = Field(index=True, max_length=64)
    act: str = Field(max_length=16)
    by: str = personal_text(64)
    note: str = personal_text()
    detail: str = personal_text()
    at: int = Field(sa_type=sa.BigInteger)
    effective_at: int = Field(sa_type=sa.BigInteger)
    salt: bytes = blob()
    operation_id: int = Field(sa_type=sa.BigInteger)
    entry_seq: int | None = Field(default=None, sa_type=sa.BigInteger)
    __table_args__ = (
        sa.Index("seal_event_idle", "id", sqlite_where=sa.text(_IDLE), postgresql_where=sa.text(_IDLE)),
    )


class SealUseRow(SQLModel, table=True):
    """One use of a seal. `by` is the caller who requested it; `day` is the date in China, as days since 1970-01-01."""

    __tablename__ = "seal_use"
    __table_args__ = (sa.Index("seal_use_day", "seal_id", "day", "id"),)
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    seal_id: str = Field(max_length=64)
    ecertificate_id: int = Field(sa_type=sa.BigInteger, index=True)
    by: str = Field(max_length=64)
    approval: int | None = Field(default=None, sa_type=sa.BigInteger)
    day: int
    at: int = Field(sa_type=sa.BigInteger)


class SealApprovalRow(SQLModel, table=True):
    """A second person's approval of one request for many documents. It can be used once."""

    __tablename__ = "seal_approval"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    seal_id: str = Field(max_length=64)
    count: int
    requested_by: str = personal_text(64)
    approved_by: str | None = personal_text(64, nullable=True)
    expires_at: int = Field(sa_type=sa.BigInteger)
    used_at: int | None = Field(default=None, sa_type=sa.BigInteger)


def event_of(connection: Connection, operation: Operation) -> SealEventRow:
    """The step in the life of a seal that this operation takes. Raises `StorageError` (ROW_EDITED)."""
    found = one_row(connection, SealEventRow, operation_id=operation.operation_id)
    if found is None:
        raise StorageError(
            f"The step of a seal to operation {operation.operation_id} is gone.",
            "Run `yinzheng ledger recheck` and find out who changed the database.",
            code="ROW_EDITED",
        )
    return found


def seal_uses_on(connection: Connection, seal_id: str, day: int) -> int:
    table = table_of(SealUseRow)
    statement = sa.select(sa.func.count()).where(table.c.seal_id == seal_id, table.c.day == day)
    return int(connection.execute(statement).scalar_one())


def seal_uses_since(connection: Connection, seal_id: str, since: int) -> int:
    table = table_of(SealUseRow)
    statement = sa.select(sa.func.count()).where(table.c.seal_id == seal_id, table.c.at >= since)
    return int(connection.execute(statement).scalar_one())


def idle_events(connection: Connection) -> list[SealEventRow]:
    """The steps that take seals out of use and back, in their order. Raises `StorageError` (ROW_EDITED)."""
    event = table_of(SealEventRow)
    rows = connection.execute(sa.select(event).where(sa.text(_IDLE)).order_by(event.c.id)).all()
    return [believed(connection, SealEventRow, row) for row in rows]


def x509_certs_under(connection: Connection, ca_id: str) -> list[bytes]:
    """Every certificate (DER) that one of our CAs issued, whatever its state. OCSP answers `good` for no other."""
    issued = [
        *(row.cert for row in all_rows(connection, SealRow, ca_id=ca_id)),
        *(row.cert for row in all_rows(connection, CaRow, parent=ca_id)),
        *(row.cert for row in all_rows(connection, OcspResponderRow, ca_id=ca_id)),
    ]
    return [bytes(cert) for cert in issued if cert is not None]


def page_of_uses(
    connection: Connection, seal_id: str, since: int, since_day: int, after: Sequence[int] | None, limit: int
) -> list[SealUseRow]:
    """Up to `limit` uses from `since` on, which is in `since_day`, behind the one of the day and number `after`; in the
    order of the index, which is that of time."""
    uses = table_of(SealUseRow)
    when = (uses.c.day >= since_day, uses.c.at >= since)
    return rows_after(connection, SealUseRow, ["day", "id"], after, limit, *when, seal_id=seal_id)


def seal_uses(connection: Connection, seal_id: str, since: int, until: int, limit: int) -> list[SealUseRow]:
    """Uses in since <= at < until, oldest first."""
    uses = table_of(SealUseRow)
    rows = connection.execute(
        sa.select(uses)
        .where(uses.c.seal_id == seal_id, uses.c.at >= since, uses.c.at < until)
        .order_by(uses.c.id)
        .limit(limit)
    )
    return [SealUseRow(**row._mapping) for row in rows]
