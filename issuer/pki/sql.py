"""The tables of certification authorities, time-stamp authorities, revocations and certificates from outside."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.storage.tables import (
    blob,
    insert,
    table_of,
)


class CaRow(SQLModel, table=True):
    """One of our own CAs or time-stamp authorities: key, certificate, and the CA above.

    `state` is that in the trust list; one that is not active is not trusted from `since` on.
    """

    __tablename__ = "ca"
    id: str = Field(primary_key=True, max_length=64)
    kind: str = Field(max_length=16)
    suite: str = Field(max_length=32)
    key_id: str = Field(max_length=64)
    cert: bytes = blob()
    parent: str | None = Field(default=None, max_length=64)
    state: str = Field(default="active", max_length=16)
    since: int | None = Field(default=None, sa_type=sa.BigInteger)


class CrlRow(SQLModel, table=True):
    __tablename__ = "crl"
    ca_id: str = Field(primary_key=True, max_length=64)
    number: int
    der: bytes = blob()
    this_update: int = Field(sa_type=sa.BigInteger)
    next_update: int = Field(sa_type=sa.BigInteger)


class RevokedCertRow(SQLModel, table=True):
    """A revocation. `revoked_at` may be before `entered_at`, the time when it was entered."""

    __tablename__ = "revoked_x509_cert"
    ca_id: str = Field(primary_key=True, max_length=64)
    serial: str = Field(primary_key=True, max_length=64)
    revoked_at: int = Field(sa_type=sa.BigInteger)
    entered_at: int = Field(sa_type=sa.BigInteger)


class SealIdentityRow(SQLModel, table=True):
    """A key with a certificate from an outside CA. `certs` are the certificates (DER), concatenated, without the root.

    `revoked_at`: the earliest revocation in its chain according to the CAs' lists.
    """

    __tablename__ = "seal_identity"
    id: str = Field(primary_key=True, max_length=32)
    label: str
    suite: str = Field(max_length=32)
    key_id: str = Field(index=True, max_length=64)
    certs: bytes = blob()
    root: bytes = blob()
    not_before: int = Field(sa_type=sa.BigInteger)
    not_after: int = Field(sa_type=sa.BigInteger)
    imported_at: int = Field(sa_type=sa.BigInteger)
    revoked_at: int | None = Field(default=None, sa_type=sa.BigInteger)


class OutsideCrlRow(SQLModel, table=True):
    """The revocation list of an outside CA, and the result of the last try to renew it.

    `issuer_id`: the first 16 bytes of SHA-256 over name and public key (DER), in hex. `der` is None until the first
    list.
    """

    __tablename__ = "outside_crl"
    issuer_id: str = Field(primary_key=True, max_length=32)
    der: bytes | None = blob(nullable=True)
    number: str | None = Field(default=None, max_length=64)
    this_update: int | None = Field(default=None, sa_type=sa.BigInteger)
    next_update: int | None = Field(default=None, sa_type=sa.BigInteger)
    tried_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    problem: str | None = None


class OutsideTsaRow(SQLModel, table=True):
    """An outside time-stamp authority that was ever in the settings. `certs` is as in `SealIdentityRow`.

    `state` and `since` are those in the trust list; `revoked_at` is as in `SealIdentityRow`.
    """

    __tablename__ = "outside_tsa"
    id: str = Field(primary_key=True, max_length=32)
    suite: str = Field(max_length=32)
    certs: bytes = blob()
    root: bytes = blob()
    added_at: int = Field(sa_type=sa.BigInteger)
    state: str = Field(default="active", max_length=16)
    since: int | None = Field(default=None, sa_type=sa.BigInteger)
    revoked_at: int | None = Field(default=None, sa_type=sa.BigInteger)


class OcspResponderRow(SQLModel, table=True):
    """The OCSP responder of one of our CAs: its key and its current certificate."""

    __tablename__ = "ocsp_responder"
    ca_id: str = Field(primary_key=True, max_length=64)
    key_id: str = Field(max_length=64)
    cert: bytes = blob()
    not_after: int = Field(sa_type=sa.BigInteger)


def put_crl(connection: Connection, row: CrlRow) -> None:
    connection.execute(sa.delete(table_of(CrlRow)).where(table_of(CrlRow).c.ca_id == row.ca_id))
    insert(connection, row)


def put_outside_crl(connection: Connection, row: OutsideCrlRow) -> None:
    table = table_of(OutsideCrlRow)
    connection.execute(sa.delete(table).where(table.c.issuer_id == row.issuer_id))
    insert(connection, row)
