"""The table of register events, and leaving gaps in the numbers of a restored register."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from issuer.ecertificates.sql import ECertificateRow, StatusListRow
from issuer.pki.sql import CrlRow
from issuer.presenting.sql import PresentationRow
from issuer.publishing.sql import TrustListRow, newest_trust_list_seq
from issuer.seals.sql import SealApprovalRow, SealUseRow
from trust.encoding.status_list import ENTRIES
from trust.storage.tables import (
    BigKey,
    blob,
    insert,
    set_sequence,
    table_of,
    update,
)

NUMBERS_LEFT_OUT = 1_000_000
"""The gap for numbers that are not in the ledger; more than can have been given out between a copy and its restore."""


class RegisterEventRow(SQLModel, table=True):
    """The payload to which an entry of the kind REGISTER_EVENT commits; see `issuer.guarding.guarding`."""

    __tablename__ = "register_event"
    operation_id: int = Field(sa_column=sa.Column(BigKey, primary_key=True, autoincrement=False))
    payload: bytes = blob()
    commitment: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), unique=True, nullable=False))


class RegisterHeadRow(SQLModel, table=True):
    """One row. `version` grows with each transaction that changes a recorded row, in the order of their commits, as the
    row is locked until then. It says when to look again, and decides nothing."""

    __tablename__ = "register_head"
    id: int = Field(sa_column=sa.Column(BigKey, primary_key=True, autoincrement=False))
    version: int = Field(sa_type=sa.BigInteger)


def raise_version(connection: Connection) -> None:
    """Called last in a transaction that changes recorded rows."""
    table = table_of(RegisterHeadRow)
    connection.execute(sa.update(table).values(version=table.c.version + 1))


def register_version(connection: Connection) -> int:
    table = table_of(RegisterHeadRow)
    return int(connection.execute(sa.select(table.c.version)).scalar() or 0)


def register_events(connection: Connection) -> list[RegisterEventRow]:
    """All register events, oldest first."""
    table = table_of(RegisterEventRow)
    return [
        RegisterEventRow(**row._mapping)
        for row in connection.execute(sa.select(table).order_by(table.c.operation_id))
    ]


def register_events_with(connection: Connection, commitments: Sequence[bytes]) -> dict[bytes, bytes]:
    """The stored payloads of these commitments; missing ones are left out."""
    table = table_of(RegisterEventRow)
    found: dict[bytes, bytes] = {}
    for start in range(0, len(commitments), 500):
        wanted = table.c.commitment.in_(commitments[start : start + 500])
        for row in connection.execute(sa.select(table.c.commitment, table.c.payload).where(wanted)):
            found[bytes(row.commitment)] = bytes(row.payload)
    return found


def leave_gaps(
    connection: Connection, *, last_ecertificate_id: int, lost: int, secret: bytes, at: int
) -> None:
    """Leaves gaps in the numbers of e-certificates, uses and approvals of seals, CRLs and trust lists, begins a new
    status list, and ends presentations and open approvals.

    `lost`: the number of e-certificates that are in the ledger only.
    """
    if connection.dialect.name == "postgresql":
        highest = connection.execute(sa.select(sa.func.max(table_of(ECertificateRow).c.id))).scalar() or 0
        set_sequence(connection, ECertificateRow, max(highest, last_ecertificate_id, 1))
    uses, approvals = table_of(SealUseRow), table_of(SealApprovalRow)
    use_id = int(connection.execute(sa.select(sa.func.max(uses.c.id))).scalar() or 0) + NUMBERS_LEFT_OUT
    mark = SealUseRow(id=use_id, seal_id="", ecertificate_id=0, by="register", day=0, at=at)
    insert(connection, mark)
    set_sequence(connection, SealUseRow, use_id)
    approval_id = (
        int(connection.execute(sa.select(sa.func.max(approvals.c.id))).scalar() or 0) + NUMBERS_LEFT_OUT
    )
    mark_of_approvals = SealApprovalRow(
        id=approval_id, seal_id="", count=0, requested_by="register", expires_at=0
    )
    insert(connection, mark_of_approvals)
    set_sequence(connection, SealApprovalRow, approval_id)
    # Open approvals in the copy may have been used since.
    update(connection, SealApprovalRow, {"used_at": None}, {"used_at": at})
    crls = table_of(CrlRow)
    connection.execute(sa.update(crls).values(number=crls.c.number + NUMBERS_LEFT_OUT, this_update=0))
    seq = newest_trust_list_seq(connection)
    if seq is not None:
        insert(connection, TrustListRow(seq=seq + NUMBERS_LEFT_OUT, compact=b"", issued_at=at))
    lists = table_of(StatusListRow)
    newest_list = connection.execute(sa.select(sa.func.max(lists.c.number))).scalar()
    if newest_list is not None:
        # Since the copy, a new list may have been begun with the next place, and one more for every 2^18 places.
        insert(connection, StatusListRow(number=newest_list + 2 + lost // ENTRIES, secret=secret, used=0))
    shown = table_of(PresentationRow)
    connection.execute(
        sa.update(shown).where(shown.c.used_at.is_(None), shown.c.stopped_at.is_(None)).values(stopped_at=at)
    )
