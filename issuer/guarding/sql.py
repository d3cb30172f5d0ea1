"""The table of register events, and the gaps that a restored register leaves in its numbers."""

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
"""More than a service can have given out between a copy and its restore, of what the ledger does not count."""


class RegisterEventRow(SQLModel, table=True):
    """What an entry of the kind REGISTER_EVENT commits to; see `issuer.guarding.guarding`."""

    __tablename__ = "register_event"
    operation_id: int = Field(sa_column=sa.Column(BigKey, primary_key=True, autoincrement=False))
    payload: bytes = blob()
    commitment: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), unique=True, nullable=False))


def register_events(connection: Connection) -> list[RegisterEventRow]:
    """All of them, oldest first."""
    table = table_of(RegisterEventRow)
    return [
        RegisterEventRow(**row._mapping)
        for row in connection.execute(sa.select(table).order_by(table.c.operation_id))
    ]


def register_events_with(connection: Connection, commitments: Sequence[bytes]) -> dict[bytes, bytes]:
    """The payloads of these commitments, as far as they are stored."""
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
    """The same for every other number that counts: e-certificates, uses of seals and approvals, CRLs, trust lists,
    and a new status list in the place of the one whose places were given out since. `lost`: how many e-certificates
    the ledger has and the register has not. What ends by itself (codes that are shown) ends now."""
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
    # An approval that the copy has open may have been used since.
    update(connection, SealApprovalRow, {"used_at": None}, {"used_at": at})
    crls = table_of(CrlRow)
    connection.execute(sa.update(crls).values(number=crls.c.number + NUMBERS_LEFT_OUT, this_update=0))
    seq = newest_trust_list_seq(connection)
    if seq is not None:
        insert(connection, TrustListRow(seq=seq + NUMBERS_LEFT_OUT, compact=b"", issued_at=at))
    lists = table_of(StatusListRow)
    newest_list = connection.execute(sa.select(sa.func.max(lists.c.number))).scalar()
    if newest_list is not None:
        # One more may have been begun since with the very next place, and then one for every 2^18.
        insert(connection, StatusListRow(number=newest_list + 2 + lost // ENTRIES, secret=secret, used=0))
    shown = table_of(PresentationRow)
    connection.execute(
        sa.update(shown).where(shown.c.used_at.is_(None), shown.c.stopped_at.is_(None)).values(stopped_at=at)
    )
