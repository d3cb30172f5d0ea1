"""The register: tables and every SQL statement of the issuer.

Tables are tables only; what leaves this module is frozen dataclasses of `trust.model` or plain values. The
signed bytes are the record: a row keeps the artefacts (`document`) and beside them the columns that are
searched. Times are stored as microseconds since 1970, so that both databases compare them alike.

Everything that is irreversible is announced first: a row of `operation` in state INTENDED, then the act, then
DONE. What a crash leaves INTENDED is carried on by `issuer.issuing.resume_unfinished`.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from trust.encoding.status_list import ENTRIES
from trust.model.errors import Conflict, NotFound, StorageError
from trust.model.status import Status
from trust.storage.guard import guard_of
from trust.storage.tables import (
    BigKey,
    all_rows,
    believable,
    believed,
    blob,
    insert,
    one_row,
    set_sequence,
    table_of,
    update,
)

GAP = "GAP"
"""The kind of the operation that marks a restored register's gap."""


NUMBERS_LEFT_OUT = 1_000_000
"""More than a service can have given out between a copy and its restore, of what the ledger does not count."""


class CaRow(SQLModel, table=True):
    """Certificate authorities and time-stamp authorities of our own: key, certificate, and who is above.

    `state` is that of the trust list; from `since` on, one that is not active is not believed.
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
    """`revoked_at` may lie in the past; `entered_at` is when it was entered."""

    __tablename__ = "revoked_x509_cert"
    ca_id: str = Field(primary_key=True, max_length=64)
    serial: str = Field(primary_key=True, max_length=64)
    revoked_at: int = Field(sa_type=sa.BigInteger)
    entered_at: int = Field(sa_type=sa.BigInteger)


class SealRow(SQLModel, table=True):
    """An e-seal from its application on; what is made later is absent until then.

    `pending_event`: an act that is announced and waits for its ledger entry. A seal that is made has a CA of ours
    in `ca_id`, or a certificate from outside in `identity_id`; a verifier finds a seal by its certificate, so no
    two seals share one.
    """

    __tablename__ = "seal"
    id: str = Field(primary_key=True, max_length=64)
    authority_id: str = Field(foreign_key="authority.id", index=True, max_length=32)
    name: str
    second_line: str
    suite: str = Field(max_length=32)
    shape: str = Field(max_length=16)
    width_mm: float
    height_mm: float
    artwork: bytes | None = blob(nullable=True)
    renews: str | None = Field(default=None, max_length=64)
    applied_by: str = Field(max_length=64)
    key_id: str | None = Field(default=None, max_length=64)
    ca_id: str | None = Field(default=None, max_length=64)
    identity_id: str | None = Field(default=None, unique=True, max_length=32)
    cert: bytes | None = blob(nullable=True)
    picture_svg: str | None = None
    picture_pdf: bytes | None = blob(nullable=True)
    seal_data: bytes | None = blob(nullable=True)
    policy: str = "{}"
    state: str = Field(max_length=16)
    state_since: int = Field(sa_type=sa.BigInteger)
    pending_event: int | None = Field(default=None, sa_type=sa.BigInteger)
    not_before: int | None = Field(default=None, sa_type=sa.BigInteger)
    not_after: int | None = Field(default=None, sa_type=sa.BigInteger)


class SealEventRow(SQLModel, table=True):
    """One step in the life of a seal; its ledger entry commits to it.

    `detail` is the policy of an authorise, or the identity from outside that a seal was made with.
    """

    __tablename__ = "seal_event"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    seal_id: str = Field(index=True, max_length=64)
    act: str = Field(max_length=16)
    by: str = Field(max_length=64)
    note: str
    detail: str
    at: int = Field(sa_type=sa.BigInteger)
    effective_at: int = Field(sa_type=sa.BigInteger)
    salt: bytes = blob()
    operation_id: int = Field(sa_type=sa.BigInteger)
    entry_seq: int | None = Field(default=None, sa_type=sa.BigInteger)


class SealUseRow(SQLModel, table=True):
    """One use of a seal. `by` had it used; `day` is the day in China, counted from 1970."""

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
    """A second person's approval for one request of many documents. Used once."""

    __tablename__ = "seal_approval"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    seal_id: str = Field(max_length=64)
    count: int
    requested_by: str = Field(max_length=64)
    approved_by: str | None = Field(default=None, max_length=64)
    expires_at: int = Field(sa_type=sa.BigInteger)
    used_at: int | None = Field(default=None, sa_type=sa.BigInteger)


class TrustListRow(SQLModel, table=True):
    __tablename__ = "trust_list"
    seq: int = Field(primary_key=True)
    compact: bytes = blob()
    issued_at: int = Field(sa_type=sa.BigInteger)


class StatusListRow(SQLModel, table=True):
    """`secret` keys the permutation that turns the n-th use into an index nobody can order."""

    __tablename__ = "status_list"
    number: int = Field(primary_key=True)
    secret: bytes = blob()
    used: int


class PublishedStatusListRow(SQLModel, table=True):
    """A signed list; `proof` is the receipt of the entry that anchors it, absent until it is anchored."""

    __tablename__ = "published_status_list"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    number: int
    encoded: bytes = blob()
    issued_at: int = Field(sa_type=sa.BigInteger)
    ledger_size: int = Field(sa_type=sa.BigInteger)
    operation_id: int = Field(sa_type=sa.BigInteger)
    proof: str | None = None
    __table_args__ = (sa.Index("published_status_list_newest", "number", "id"),)


class ECertificateRow(SQLModel, table=True):
    __tablename__ = "ecertificate"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    pid: bytes = Field(sa_column=sa.Column(sa.LargeBinary(16), unique=True, nullable=False))
    identifier: str = Field(unique=True, max_length=160)
    request_key: str = Field(unique=True, max_length=64)
    fields_digest: bytes = blob()
    authority_id: str = Field(foreign_key="authority.id", max_length=32)
    type_short: str = Field(max_length=8)
    type_version: int
    number: str = Field(max_length=128)
    serial: str = Field(max_length=40)
    version: int
    seal_id: str = Field(max_length=64)
    status_list: int
    status_index: int
    step: str = Field(max_length=8)
    status: str = Field(max_length=12)
    status_reason: str | None = Field(default=None)
    status_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    pending_operation: int | None = Field(default=None, sa_type=sa.BigInteger)
    operation_id: int = Field(default=0, sa_type=sa.BigInteger)
    replaces_id: int | None = Field(default=None, sa_type=sa.BigInteger, index=True)
    ref_salt: bytes = blob()
    commit_salts: bytes = blob()
    entry_seq: int | None = Field(default=None, sa_type=sa.BigInteger)
    issued_sha256: bytes | None = Field(
        default=None, sa_column=sa.Column(sa.LargeBinary(32), nullable=True, index=True)
    )
    created_at: int = Field(sa_type=sa.BigInteger)
    issued_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    archive_due_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    claimed_until: int | None = Field(default=None, sa_type=sa.BigInteger)
    mac: bytes | None = blob(nullable=True)
    __table_args__ = (
        sa.Index("ecertificate_archive_due", "archive_due_at", "id"),
        # The status list and the list of what a crash left are read by these; both stay short.
        sa.Index(
            "ecertificate_not_valid",
            "status_list",
            "status_index",
            sqlite_where=sa.text("status <> 'VALID'"),
            postgresql_where=sa.text("status <> 'VALID'"),
        ),
        sa.Index(
            "ecertificate_unfinished",
            "id",
            sqlite_where=sa.text("step <> 'ISSUED'"),
            postgresql_where=sa.text("step <> 'ISSUED'"),
        ),
        sa.Index(
            "ecertificate_pending",
            "pending_operation",
            sqlite_where=sa.text("pending_operation IS NOT NULL"),
            postgresql_where=sa.text("pending_operation IS NOT NULL"),
        ),
        sa.Index("ecertificate_number", "authority_id", "type_short", "number"),
    )


class HolderRow(SQLModel, table=True):
    """Which e-certificates a holder has; `holder_ref` is keyed, so the table alone names nobody."""

    __tablename__ = "holder"
    holder_ref: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    ecertificate_id: int = Field(sa_column=sa.Column(BigKey, primary_key=True, autoincrement=False))
    mac: bytes | None = blob(nullable=True)


class DocumentRow(SQLModel, table=True):
    """Artefacts: draft (JSON), data, photo, source, sealed, issued."""

    __tablename__ = "document"
    ecertificate_id: int = Field(sa_column=sa.Column(BigKey, primary_key=True, autoincrement=False))
    kind: str = Field(primary_key=True, max_length=16)
    content: bytes = blob()
    mac: bytes | None = blob(nullable=True)


class OperationRow(SQLModel, table=True):
    """What was decided to be done, and whether it is. The id goes into the ledger as operation id."""

    __tablename__ = "operation"
    id: int | None = Field(default=None, sa_column=sa.Column(BigKey, primary_key=True, autoincrement=True))
    ecertificate_id: int = Field(sa_type=sa.BigInteger, index=True)
    kind: str = Field(max_length=12)
    reason: str | None = None
    note: str | None = None
    actor: str = Field(max_length=64)
    salt: bytes = blob()
    at: int = Field(sa_type=sa.BigInteger)
    done: bool = False
    entry_seq: int | None = Field(default=None, sa_type=sa.BigInteger)
    mac: bytes | None = blob(nullable=True)


class PresentationRow(SQLModel, table=True):
    __tablename__ = "presentation"
    session_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    ecertificate_id: int = Field(sa_type=sa.BigInteger, index=True)
    purpose: str
    audience: str | None = None
    level: int
    started_at: int = Field(sa_type=sa.BigInteger)
    expires_at: int = Field(sa_type=sa.BigInteger)
    used_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    used_by: str | None = None
    stopped_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    mac: bytes | None = blob(nullable=True)


class SealIdentityRow(SQLModel, table=True):
    """A key with a certificate from a CA outside. `certs` is the DER of each, one after another, no root.

    `revoked_at`: since when a certificate of its chain is revoked, as the CAs' lists say.
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
    """The revocation list of a CA outside, and what became of the last try to renew it.

    `issuer_id`: the first 16 bytes of SHA-256 over name and public key (DER), in hex. No `der`: never got one.
    """

    __tablename__ = "outside_crl"
    issuer_id: str = Field(primary_key=True, max_length=32)
    der: bytes | None = blob(nullable=True)
    number: str | None = Field(default=None, max_length=64)
    this_update: int | None = Field(default=None, sa_type=sa.BigInteger)
    next_update: int | None = Field(default=None, sa_type=sa.BigInteger)
    tried_at: int | None = Field(default=None, sa_type=sa.BigInteger)
    problem: str | None = None


class TrustMemberRow(SQLModel, table=True):
    """Another deployment in the trust list. What is a list there is JSON here; no list means that all are allowed."""

    __tablename__ = "trust_member"
    id: str = Field(primary_key=True, max_length=32)
    name_zh: str
    name_en: str
    address: str | None = None
    roots: str
    hosts: str
    uses: str
    divisions: str | None = None
    type_codes: str | None = None
    not_before: int = Field(sa_type=sa.BigInteger)
    not_after: int | None = Field(default=None, sa_type=sa.BigInteger)
    state: str = Field(max_length=16)
    since: int | None = Field(default=None, sa_type=sa.BigInteger)


class TrustAnchorRow(SQLModel, table=True):
    """A CA outside in the trust list, under which signed files of others are judged."""

    __tablename__ = "trust_anchor"
    id: str = Field(primary_key=True, max_length=16)
    name_zh: str
    name_en: str
    cert: bytes = blob()
    not_before: int = Field(sa_type=sa.BigInteger)
    not_after: int = Field(sa_type=sa.BigInteger)
    state: str = Field(max_length=16)
    since: int | None = Field(default=None, sa_type=sa.BigInteger)
    added_at: int = Field(sa_type=sa.BigInteger)


class OutsideTsaRow(SQLModel, table=True):
    """A time-stamp authority outside that was ever in the settings. `certs` as in `SealIdentityRow`.

    `state` and `since` are those of the trust list; `revoked_at` is as for a seal identity.
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


class RegisterEventRow(SQLModel, table=True):
    """What an entry of the kind REGISTER_EVENT commits to; see `issuer.guarding`."""

    __tablename__ = "register_event"
    operation_id: int = Field(sa_column=sa.Column(BigKey, primary_key=True, autoincrement=False))
    payload: bytes = blob()
    commitment: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), unique=True, nullable=False))


class OcspResponderRow(SQLModel, table=True):
    """The responder that a CA of ours delegated: its key, and its certificate as it is now."""

    __tablename__ = "ocsp_responder"
    ca_id: str = Field(primary_key=True, max_length=64)
    key_id: str = Field(max_length=64)
    cert: bytes = blob()
    not_after: int = Field(sa_type=sa.BigInteger)


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a new e-certificate needs before it is drafted: where its status will stand."""

    status_list: int
    status_index: int


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


def caller_of(connection: Connection, operation_id: int) -> str:
    """Who asked for an issue."""
    table = table_of(OperationRow)
    noted = connection.execute(sa.select(table.c.note).where(table.c.id == operation_id)).scalar_one()
    return str(noted or "")


def pending_seal_events(connection: Connection) -> tuple[list[SealEventRow], StorageError | None]:
    """Steps in the lives of seals that no ledger entry records yet, oldest first; why others are not believed."""
    table = table_of(SealEventRow)
    rows = connection.execute(sa.select(table).where(table.c.entry_seq.is_(None)).order_by(table.c.id))
    return believable(connection, SealEventRow, rows.all())


def seal_uses_on(connection: Connection, seal_id: str, day: int) -> int:
    table = table_of(SealUseRow)
    statement = sa.select(sa.func.count()).where(table.c.seal_id == seal_id, table.c.day == day)
    return int(connection.execute(statement).scalar_one())


def seal_uses_since(connection: Connection, seal_id: str, since: int) -> int:
    table = table_of(SealUseRow)
    statement = sa.select(sa.func.count()).where(table.c.seal_id == seal_id, table.c.at >= since)
    return int(connection.execute(statement).scalar_one())


def seal_uses(
    connection: Connection, seal_id: str, since: int, until: int, limit: int
) -> list[tuple[SealUseRow, bytes]]:
    """Uses in since <= at < until, oldest first, each with the public id of what was sealed."""
    uses, certs = table_of(SealUseRow), table_of(ECertificateRow)
    rows = connection.execute(
        sa.select(uses, certs.c.pid)
        .join(certs, certs.c.id == uses.c.ecertificate_id)
        .where(uses.c.seal_id == seal_id, uses.c.at >= since, uses.c.at < until)
        .order_by(uses.c.id)
        .limit(limit)
    )
    return [
        (SealUseRow(**{key: value for key, value in row._mapping.items() if key != "pid"}), bytes(row.pid))
        for row in rows
    ]


def put_crl(connection: Connection, row: CrlRow) -> None:
    connection.execute(sa.delete(table_of(CrlRow)).where(table_of(CrlRow).c.ca_id == row.ca_id))
    insert(connection, row)


def put_outside_crl(connection: Connection, row: OutsideCrlRow) -> None:
    table = table_of(OutsideCrlRow)
    connection.execute(sa.delete(table).where(table.c.issuer_id == row.issuer_id))
    insert(connection, row)


def x509_certs_under(connection: Connection, ca_id: str) -> list[bytes]:
    """Every certificate (DER) that a CA of ours issued, whatever became of it: `good` is said of no other."""
    issued = [
        *all_rows(connection, SealRow, ca_id=ca_id),
        *all_rows(connection, CaRow, parent=ca_id),
        *all_rows(connection, OcspResponderRow, ca_id=ca_id),
    ]
    return [bytes(row.cert) for row in issued if row.cert is not None]


def seals_version(connection: Connection) -> tuple[int, ...]:
    """Another value after each change to a seal that is made, or to a certificate from outside.

    Every change of a seal writes an event in its own transaction, or completes one. Counted and not only the highest
    number: numbers of transactions that run at once do not come in their order.
    """
    event, identity = table_of(SealEventRow), table_of(SealIdentityRow)
    events = sa.select(
        sa.func.count(),
        sa.func.max(event.c.id),
        sa.func.count(event.c.entry_seq),
        sa.func.max(event.c.entry_seq),
    ).select_from(event)
    identities = sa.select(
        sa.func.count(), sa.func.count(identity.c.revoked_at), sa.func.sum(identity.c.revoked_at)
    ).select_from(identity)
    found = (*connection.execute(events).one(), *connection.execute(identities).one())
    return tuple(int(value or 0) for value in found)


def newest_trust_list_seq(connection: Connection) -> int | None:
    table = table_of(TrustListRow)
    found = connection.execute(sa.select(sa.func.max(table.c.seq))).scalar()
    return int(found) if found is not None else None


# --- Status lists ------------------------------------------------------------------------------------------


def take_status_indexes(connection: Connection, count: int, fresh_secret: bytes) -> list[Reservation]:
    """`count` unused places in status lists; a new list is begun when the newest is full."""
    table = table_of(StatusListRow)
    taken: list[Reservation] = []
    while len(taken) < count:
        row = connection.execute(
            sa.select(table).order_by(table.c.number.desc()).limit(1).with_for_update()
        ).one_or_none()
        if row is None or row.used >= ENTRIES:
            number = 1 if row is None else row.number + 1
            secret = hmac.digest(fresh_secret, number.to_bytes(4, "big"), "sha256")
            insert(connection, StatusListRow(number=number, secret=secret, used=0))
            continue
        many = min(count - len(taken), ENTRIES - row.used)
        update(connection, StatusListRow, {"number": row.number}, {"used": row.used + many})
        taken += [
            Reservation(row.number, _shuffled(use, row.secret)) for use in range(row.used, row.used + many)
        ]
    return taken


def _shuffled(use: int, secret: bytes) -> int:
    """A secret permutation of the list's 2^18 places: four Feistel rounds over two halves of nine bits."""
    left, right = use >> 9, use & 0x1FF
    for round_number in range(4):
        mixed = hmac.digest(secret, bytes((round_number,)) + right.to_bytes(2, "big"), "sha256")
        left, right = right, left ^ (int.from_bytes(mixed[:2], "big") & 0x1FF)
    return left << 9 | right


def status_list_numbers(connection: Connection) -> list[int]:
    return [row.number for row in all_rows(connection, StatusListRow)]


def ecertificates_with(connection: Connection, ids: Iterable[int]) -> dict[int, ECertificateRow]:
    """By id, those that there are, with their places in status lists. What the rows say of the status is not asked:
    lists are made of what the ledger says."""
    table = table_of(ECertificateRow)
    guard = guard_of(connection)
    wanted = sorted(set(ids))
    found: dict[int, ECertificateRow] = {}
    for start in range(0, len(wanted), 500):
        rows = connection.execute(sa.select(table).where(table.c.id.in_(wanted[start : start + 500])))
        for row in rows:
            values = dict(row._mapping)
            if guard is not None:
                guard.check_mac(table.name, values)
            found[row.id] = ECertificateRow(**values)
    return found


def newest_status_list(connection: Connection, number: int) -> PublishedStatusListRow | None:
    table = table_of(PublishedStatusListRow)
    row = connection.execute(
        sa.select(table).where(table.c.number == number).order_by(table.c.id.desc()).limit(1)
    ).one_or_none()
    return PublishedStatusListRow(**row._mapping) if row else None


def newest_anchored_status_list(connection: Connection, number: int) -> PublishedStatusListRow | None:
    table = table_of(PublishedStatusListRow)
    row = connection.execute(
        sa.select(table)
        .where(table.c.number == number, table.c.proof.is_not(None))
        .order_by(table.c.id.desc())
        .limit(1)
    ).one_or_none()
    return PublishedStatusListRow(**row._mapping) if row else None


def status_lists_of(connection: Connection, number: int) -> list[PublishedStatusListRow]:
    """Every published version that is kept, oldest first."""
    table = table_of(PublishedStatusListRow)
    rows = connection.execute(sa.select(table).where(table.c.number == number).order_by(table.c.id))
    return [PublishedStatusListRow(**row._mapping) for row in rows]


def forget_status_lists(connection: Connection, number: int, before: int) -> None:
    """Deletes versions issued before that time: they prove nothing any more, and weigh up to 64 KiB each."""
    table = table_of(PublishedStatusListRow)
    connection.execute(sa.delete(table).where(table.c.number == number, table.c.issued_at < before))


# --- E-certificates ----------------------------------------------------------------------------------------


def find_ecertificate(connection: Connection, **where: Any) -> ECertificateRow | None:
    found: ECertificateRow | None = one_row(connection, ECertificateRow, **where)
    return found


def issued_with_digests(
    connection: Connection, digests: Sequence[bytes]
) -> dict[bytes, tuple[ECertificateRow, bytes]]:
    """(e-certificate, its data file) by the SHA-256 of the issued file; erased ones are not known any more."""
    table = table_of(ECertificateRow)
    statement = sa.select(table).where(table.c.issued_sha256.in_(digests), table.c.step == "ISSUED")
    rows = [believed(connection, ECertificateRow, row) for row in connection.execute(statement).all()]
    return {
        bytes(row.issued_sha256 or b""): (row, get_document(connection, row.id or 0, "data")) for row in rows
    }


def get_ecertificate(connection: Connection, **where: Any) -> ECertificateRow:
    row = find_ecertificate(connection, **where)
    if row is None:
        raise NotFound("There is no such e-certificate.", "Check the identifier.")
    return row


def newest_version(connection: Connection, authority_id: str, type_short: str, number: str) -> int:
    """The highest version of a licence number, 0 where there is none."""
    table = table_of(ECertificateRow)
    found = connection.execute(
        sa.select(sa.func.max(table.c.version)).where(
            table.c.authority_id == authority_id, table.c.type_short == type_short, table.c.number == number
        )
    ).scalar_one()
    return int(found or 0)


def claim_unfinished(
    connection: Connection, limit: int, *, after: int, now: int, until: int
) -> tuple[list[ECertificateRow], int]:
    """What is reserved, not issued and in nobody's hands, oldest first, behind the row `after`: claimed from now on.
    And the last row that was looked at, 0 where there is none.

    On PostgreSQL rows that another transaction is just claiming are passed over; so are edited ones everywhere, which
    the pass over the register names: they keep none of the others waiting.
    """
    table = table_of(ECertificateRow)
    statement = (
        sa.select(table)
        .where(
            table.c.step != "ISSUED",
            table.c.step != "ERASED",
            table.c.id > after,
            sa.or_(table.c.claimed_until.is_(None), table.c.claimed_until <= now),
        )
        .order_by(table.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = connection.execute(statement).all()
    rows, _ = believable(connection, ECertificateRow, found)
    ids = [row.id for row in rows]
    connection.execute(sa.update(table).where(table.c.id.in_(ids)).values(claimed_until=until))
    return rows, found[-1].id if found else 0


def backlog(connection: Connection, at: int) -> tuple[int, int]:
    """How many e-certificates are reserved and not issued, and how many wait for a later version."""
    table = table_of(ECertificateRow)
    unfinished = sa.select(sa.func.count()).where(table.c.step != "ISSUED", table.c.step != "ERASED")
    due = sa.select(sa.func.count()).where(table.c.archive_due_at <= at)
    return int(connection.execute(unfinished).scalar_one()), int(connection.execute(due).scalar_one())


def last_operation_id(connection: Connection) -> int:
    """The largest that the register knows of, 0 for none."""
    return int(connection.execute(sa.select(sa.func.max(table_of(OperationRow).c.id))).scalar() or 0)


def leave_gap_of_operations(connection: Connection, given_out: int, at: int) -> None:
    """Goes on behind `given_out`: a register that was restored from a copy does not know the numbers that it gave out
    since, and the ledger takes none of them twice."""
    if last_operation_id(connection) >= given_out:
        return
    mark = OperationRow(
        id=given_out, ecertificate_id=0, kind=GAP, actor="register", salt=b"", at=at, done=True
    )
    insert(connection, mark)
    set_sequence(connection, OperationRow, given_out)


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


def has_gap(connection: Connection) -> bool:
    """Was the register ever restored from a copy that was older than the ledger?"""
    table = table_of(OperationRow)
    rows = connection.execute(sa.select(table).where(table.c.ecertificate_id == 0, table.c.kind == GAP))
    return any(believed(connection, OperationRow, row) for row in rows)


def highest_ecertificate_id(connection: Connection) -> int:
    return int(connection.execute(sa.select(sa.func.max(table_of(ECertificateRow).c.id))).scalar() or 0)


def count_in_ledger(connection: Connection) -> int:
    """How many e-certificates have their entry, as far as the register knows."""
    table = table_of(ECertificateRow)
    counted = sa.select(sa.func.count()).where(table.c.entry_seq.is_not(None))
    return int(connection.execute(counted).scalar_one())


def has_claims(connection: Connection) -> bool:
    table = table_of(ECertificateRow)
    claimed = sa.select(table.c.id).where(table.c.step != "ISSUED", table.c.claimed_until.is_not(None))
    return connection.execute(claimed.limit(1)).first() is not None


def release_claims(connection: Connection, ecertificate_ids: Sequence[int] | None = None) -> None:
    """Lets go of these, or of all: then nobody else may work on the register."""
    table = table_of(ECertificateRow)
    statement = sa.update(table).where(table.c.claimed_until.is_not(None))
    if ecertificate_ids is not None:
        statement = statement.where(table.c.id.in_(ecertificate_ids))
    connection.execute(statement.values(claimed_until=None))


def lock_ecertificate(connection: Connection, ecertificate_id: int) -> ECertificateRow | None:
    """The row, which nobody else changes until the transaction ends."""
    table = table_of(ECertificateRow)
    statement = sa.select(table).where(table.c.id == ecertificate_id).with_for_update()
    row = connection.execute(statement).one_or_none()
    return believed(connection, ECertificateRow, row) if row is not None else None


def pending_operations(
    connection: Connection, *, erasures: bool = False
) -> tuple[list[OperationRow], StorageError | None]:
    """Status acts (or erasures) that were announced and not completed, oldest first; why others are not believed."""
    certs, operations = table_of(ECertificateRow), table_of(OperationRow)
    rows = connection.execute(
        sa.select(operations)
        .join(certs, certs.c.pending_operation == operations.c.id)
        .where(certs.c.pending_operation.is_not(None), (operations.c.kind == "ERASED") == erasures)
        .order_by(operations.c.id)
    )
    return believable(connection, OperationRow, rows.all())


def issued_but_not_replacing(connection: Connection) -> list[bytes]:
    """Public ids of e-certificates whose next version is issued while they are not yet marked REPLACED."""
    old, new = table_of(ECertificateRow).alias("old"), table_of(ECertificateRow).alias("new")
    rows = connection.execute(
        sa.select(old.c.pid)
        .join(new, new.c.replaces_id == old.c.id)
        .where(
            new.c.step == "ISSUED",
            old.c.pending_operation.is_(None),
            old.c.status.in_([Status.VALID.value, Status.SUSPENDED.value]),
        )
    )
    return [bytes(row.pid) for row in rows]


def last_entry_seq(connection: Connection, ecertificate_id: int) -> int | None:
    """Number of the last ledger entry about the e-certificate that the register knows of."""
    table = table_of(OperationRow)
    found: int | None = connection.execute(
        sa.select(sa.func.max(table.c.entry_seq)).where(table.c.ecertificate_id == ecertificate_id)
    ).scalar_one()
    return found


def operations_of(connection: Connection, ecertificate_id: int) -> list[OperationRow]:
    """Everything that was decided about the e-certificate, oldest first."""
    return all_rows(connection, OperationRow, ecertificate_id=ecertificate_id)


def places_in_lists(connection: Connection) -> Iterator[tuple[int, bytes, bytes, int, int]]:
    """Of every e-certificate: id, pid, ref salt (empty once it is erased), status list and index."""
    table = table_of(ECertificateRow)
    after = 0
    while True:
        rows = connection.execute(
            sa.select(table).where(table.c.id > after).order_by(table.c.id).limit(1000)
        ).all()
        if not rows:
            return
        for row in rows:
            yield row.id, bytes(row.pid), bytes(row.ref_salt), row.status_list, row.status_index
        after = rows[-1].id


ERASABLE = (
    *("document", "holder", "presentation", "operation", "ecertificate"),
    *("idempotency", "claim_link", "web_session", "later_version"),
)
"""The tables that hold something about a person or a licence."""


def erase_ecertificate(connection: Connection, ecertificate_id: int) -> tuple[dict[str, int], list[bytes]]:
    """Deletes everything about a person or a licence; what is left is a place in a status list and a pid.

    Says how many rows of each table were deleted or emptied, and which holders have nothing left.
    """
    refs = holder_refs_of(connection, ecertificate_id)
    counts: dict[str, int] = {}
    for kind in (DocumentRow, HolderRow, PresentationRow):
        table = table_of(kind)
        result = connection.execute(sa.delete(table).where(table.c.ecertificate_id == ecertificate_id))
        counts[table.name] = int(result.rowcount)
    counts["operation"] = update(
        connection,
        OperationRow,
        {"ecertificate_id": ecertificate_id},
        {"note": None, "reason": None, "salt": b""},
    )
    mark = f"erased:{ecertificate_id}"
    counts["ecertificate"] = update(
        connection,
        ECertificateRow,
        {"id": ecertificate_id},
        {
            "identifier": mark,
            "request_key": mark,
            "fields_digest": b"",
            "number": "",
            "serial": "",
            "ref_salt": b"",
            "commit_salts": b"",
            "issued_sha256": None,
            "archive_due_at": None,
            "status_reason": None,
            "step": "ERASED",
            "pending_operation": None,
        },
    )
    return counts, [ref for ref in refs if not ecertificates_of_holder(connection, ref)]


def claim_for_operation(
    connection: Connection, ecertificate_id: int, status: Status, operation_id: int
) -> None:
    """Marks the e-certificate as being changed. Raises `Conflict` if somebody else was faster."""
    changed = update(
        connection,
        ECertificateRow,
        {"id": ecertificate_id, "status": status.value, "pending_operation": None},
        {"pending_operation": operation_id},
    )
    if changed != 1:
        raise Conflict(
            "The e-certificate is being changed by somebody else.", "Look at its status and try again."
        )


def delete_draft(connection: Connection, ecertificate_id: int) -> None:
    """Takes back a reservation that came to nothing: nothing of it was sealed, published or appended."""
    if find_ecertificate(connection, id=ecertificate_id, step="DRAFT") is None:
        return
    for kind, column in (
        (DocumentRow, "ecertificate_id"),
        (HolderRow, "ecertificate_id"),
        (OperationRow, "ecertificate_id"),
    ):
        table = table_of(kind)
        connection.execute(sa.delete(table).where(table.c[column] == ecertificate_id))
    table = table_of(ECertificateRow)
    connection.execute(sa.delete(table).where(table.c.id == ecertificate_id, table.c.step == "DRAFT"))


def put_document(connection: Connection, ecertificate_id: int, kind: str, content: bytes) -> None:
    insert(connection, DocumentRow(ecertificate_id=ecertificate_id, kind=kind, content=content))


def get_document(connection: Connection, ecertificate_id: int, kind: str) -> bytes:
    table = table_of(DocumentRow)
    row = connection.execute(
        sa.select(table).where(table.c.ecertificate_id == ecertificate_id, table.c.kind == kind)
    ).one_or_none()
    if row is None:
        raise NotFound(f"There is no stored {kind} of this e-certificate.")
    return bytes(believed(connection, DocumentRow, row).content)


def find_document(connection: Connection, ecertificate_id: int, kind: str) -> bytes | None:
    try:
        return get_document(connection, ecertificate_id, kind)
    except NotFound:
        return None


def put_holders(connection: Connection, ecertificate_id: int, refs: Iterable[bytes]) -> None:
    for ref in sorted(set(refs)):
        insert(connection, HolderRow(holder_ref=ref, ecertificate_id=ecertificate_id))


def ecertificates_of_holder(connection: Connection, holder_ref: bytes) -> list[ECertificateRow]:
    """What a holder has, newest first."""
    certs, holders = table_of(ECertificateRow), table_of(HolderRow)
    rows = connection.execute(
        sa.select(certs)
        .join(holders, holders.c.ecertificate_id == certs.c.id)
        .where(holders.c.holder_ref == holder_ref, certs.c.step == "ISSUED")
        .order_by(certs.c.id.desc())
    )
    return [believed(connection, ECertificateRow, row) for row in rows.all()]


def holder_refs_of(connection: Connection, ecertificate_id: int) -> list[bytes]:
    return [bytes(row.holder_ref) for row in all_rows(connection, HolderRow, ecertificate_id=ecertificate_id)]


# --- Presentations -----------------------------------------------------------------------------------------


def use_presentation(connection: Connection, session_hash: bytes, used_by: str, at: int) -> bool:
    """One statement decides who is first: True for the one call that used the code."""
    table = table_of(PresentationRow)
    result = connection.execute(
        sa.update(table)
        .where(
            table.c.session_hash == session_hash,
            table.c.used_at.is_(None),
            table.c.stopped_at.is_(None),
            table.c.expires_at > at,
        )
        .values(used_at=at, used_by=used_by)
    )
    return int(result.rowcount) == 1


def presentations_of(
    connection: Connection, ecertificate_ids: Sequence[int], limit: int
) -> list[PresentationRow]:
    """Who looked, newest first."""
    table = table_of(PresentationRow)
    rows = connection.execute(
        sa.select(table)
        .where(table.c.ecertificate_id.in_(ecertificate_ids), table.c.used_at.is_not(None))
        .order_by(table.c.used_at.desc())
        .limit(limit)
    )
    return [believed(connection, PresentationRow, row) for row in rows.all()]
