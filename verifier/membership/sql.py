"""The table of other deployments' newest lists."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.storage.tables import table_of


class MemberBundleRow(SQLModel, table=True):
    """The newest lists of another deployment as a zip file (`verifier.evidence.bundle`); NULL before the first."""

    __tablename__ = "member_bundle"
    member_id: str = Field(primary_key=True, max_length=32)
    sha256: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(32), nullable=True))
    packed: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary, nullable=True))
    kept_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    tried_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    problem: str | None = None


def digest_of(connection: Connection, member_id: str) -> bytes | None:
    """SHA-256 of the member's kept bundle, or None."""
    table = table_of(MemberBundleRow)
    digest = connection.execute(sa.select(table.c.sha256).where(table.c.member_id == member_id)).scalar()
    return bytes(digest) if digest is not None else None
