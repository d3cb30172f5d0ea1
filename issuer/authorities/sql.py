"""The table of issuing authorities."""

from __future__ import annotations

import sqlalchemy as sa
from sqlmodel import Field, SQLModel


class AuthorityRow(SQLModel, table=True):
    __tablename__ = "authority"
    id: str = Field(primary_key=True, max_length=32)
    uscc: str = Field(unique=True, max_length=18)
    name_zh: str
    name_en: str
    functions: str
    created_at: int = Field(sa_type=sa.BigInteger)
