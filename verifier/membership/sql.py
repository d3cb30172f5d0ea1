"""The newest lists of other deployments."""

from __future__ import annotations

import sqlalchemy as sa
from sqlmodel import Field, SQLModel


class MemberBundleRow(SQLModel, table=True):
    """The newest lists of another deployment, as a zip file (`verifier.bundle`); none before the first."""

    __tablename__ = "member_bundle"
    member_id: str = Field(primary_key=True, max_length=32)
    sha256: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(32), nullable=True))
    packed: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary, nullable=True))
    kept_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    tried_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    problem: str | None = None
