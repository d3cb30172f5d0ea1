"""The table that says which key serves which use."""

from __future__ import annotations

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from trust.storage.tables import blob


class ServiceKeyRow(SQLModel, table=True):
    """A key of the service itself, with its use: trust-root, trust-root-next, present, status, report, checkpoint."""

    __tablename__ = "service_key"
    key_id: str = Field(primary_key=True, max_length=64)
    use: str = Field(index=True, max_length=32)
    suite: str = Field(max_length=32)
    spki: bytes = blob()
    state: str = Field(max_length=16)
    since: int | None = Field(default=None, sa_type=sa.BigInteger)
    not_before: int = Field(sa_type=sa.BigInteger)
    not_after: int = Field(sa_type=sa.BigInteger)
