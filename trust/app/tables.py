"""Tables of the app itself: API keys, claim links, sessions, idempotency, audit, verification reports.

Secrets of other people are stored hashed. The audit trail holds who did what to which public id and with what
outcome; it never holds a name, a number or a code.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from trust.storage.tables import BigKey


class ApiKeyRow(SQLModel, table=True):
    __tablename__ = "api_key"
    id: str = Field(primary_key=True, max_length=16)
    secret_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=False))
    label: str
    authority_id: str | None = Field(default=None, max_length=32)
    scopes: str
    created_at: int = Field(sa_type=sa.BigInteger)
    expires_at: int = Field(sa_type=sa.BigInteger)
    revoked_at: int | None = Field(default=None, sa_type=sa.BigInteger)


class ClaimLinkRow(SQLModel, table=True):
    """A link that gives a holder their wallet, once."""

    __tablename__ = "claim_link"
    token_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    holder_ref: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=False))
    expires_at: int = Field(sa_type=sa.BigInteger)
    used_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    mac: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(32), nullable=True))


class WebSessionRow(SQLModel, table=True):
    __tablename__ = "web_session"
    token_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    kind: str = Field(max_length=8)
    subject: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))
    csrf: str = Field(max_length=64)
    expires_at: int = Field(sa_type=sa.BigInteger)
    mac: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(32), nullable=True))


class IdempotencyRow(SQLModel, table=True):
    __tablename__ = "idempotency"
    key: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    body_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), nullable=False))
    status: int | None = None
    answer: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary, nullable=True))
    created_at: int = Field(sa_type=sa.BigInteger, index=True)


class FiledReportRow(SQLModel, table=True):
    """A report under its code, without what stands in it. `evidence` is a KeptEvidence; gone after an erasure."""

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
    """A revocation list, or the trust list of another deployment, on which reports stand; once for all of them."""

    __tablename__ = "kept_list"
    sha256: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    encoded: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))


class MemberBundleRow(SQLModel, table=True):
    """The newest lists of another deployment, as a zip file (`verifier.bundle`); none before the first."""

    __tablename__ = "member_bundle"
    member_id: str = Field(primary_key=True, max_length=32)
    sha256: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(32), nullable=True))
    packed: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary, nullable=True))
    kept_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    tried_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    problem: str | None = None


class AuditRow(SQLModel, table=True):
    __tablename__ = "audit"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    at: int = Field(sa_type=sa.BigInteger)
    actor: str = Field(max_length=64)
    action: str = Field(max_length=32)
    pid: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary(16), nullable=True))
    purpose: str | None = None
    outcome: str = Field(max_length=32)
    __table_args__ = (sa.Index("audit_of_pid", "pid", "id"), sa.Index("audit_by_actor", "actor", "id"))
