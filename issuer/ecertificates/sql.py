"""Tables of e-certificates, their holders, their documents, and their places in status lists.

The signed bytes are authoritative: `document` contains the artefacts, the other columns are copies for searching.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Field, SQLModel

from issuer.ecertificates.kinds import DocumentKind, Step
from issuer.operations.model import Operation, OperationKind
from issuer.operations.sql import OperationRow, find_operation
from trust.encoding.status_list import ENTRIES, shuffled
from trust.model.errors import Conflict, NotFound
from trust.model.status import Status
from trust.storage.guard import guard_of
from trust.storage.tables import (
    BigKey,
    all_rows,
    believable,
    believed,
    blob,
    insert,
    insert_many,
    one_row,
    personal_blob,
    personal_text,
    serialise,
    table_of,
    update,
)


class StatusListRow(SQLModel, table=True):
    """A status list. `secret` keys the permutation from the n-th use to an index, so that the index does not reveal
    n."""

    __tablename__ = "status_list"
    number: int = Field(primary_key=True)
    secret: bytes = blob()
    used: int


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
    status_reason: str | None = personal_text(nullable=True)
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
    mac: bytes | None = blob(nullable=True)
    __table_args__ = (
        sa.Index("ecertificate_archive_due", "archive_due_at", "id"),
        # Status lists are made, and unfinished rows found, by these indexes, which stay short.
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
        # Clerks type a number, and not always whose.
        sa.Index("ecertificate_number_alone", "number"),
    )


class HolderRow(SQLModel, table=True):
    """The e-certificates of each holder. `holder_ref` is a keyed hash, so the table alone identifies no person."""

    __tablename__ = "holder"
    holder_ref: bytes = Field(sa_column=sa.Column(sa.LargeBinary(32), primary_key=True))
    ecertificate_id: int = Field(sa_column=sa.Column(BigKey, primary_key=True, autoincrement=False))
    mac: bytes | None = blob(nullable=True)


class DocumentRow(SQLModel, table=True):
    """The artefacts of an e-certificate; `kind` is a `DocumentKind`, or that of a part of a later version."""

    __tablename__ = "document"
    ecertificate_id: int = Field(sa_column=sa.Column(BigKey, primary_key=True, autoincrement=False))
    kind: str = Field(primary_key=True, max_length=16)
    content: bytes = personal_blob()
    mac: bytes | None = blob(nullable=True)


@dataclass(frozen=True, slots=True)
class Reservation:
    """The place of a new e-certificate in the status lists, reserved before it is drafted."""

    status_list: int
    status_index: int


def pids_of(connection: Connection, ecertificate_ids: Collection[int]) -> dict[int, bytes]:
    """Public ids by row ids of e-certificates."""
    table, wanted = table_of(ECertificateRow), sorted(set(ecertificate_ids))
    found: dict[int, bytes] = {}
    for start in range(0, len(wanted), 500):
        part = table.c.id.in_(wanted[start : start + 500])
        for row in connection.execute(sa.select(table.c.id, table.c.pid).where(part)):
            found[row.id] = bytes(row.pid)
    return found


def take_status_indexes(connection: Connection, count: int, fresh_secret: bytes) -> list[Reservation]:
    """Takes `count` unused places in status lists, and begins a new list when the newest is full."""
    table = table_of(StatusListRow)
    taken: list[Reservation] = []
    newest = sa.select(table).order_by(table.c.number.desc()).limit(1).with_for_update()
    while len(taken) < count:
        row = connection.execute(newest).one_or_none()
        if row is None or row.used >= ENTRIES:
            # Two processes may both see that a list is missing; the second finds what the first made.
            serialise(connection, "new status list")
            row = connection.execute(newest).one_or_none()
        if row is None or row.used >= ENTRIES:
            number = 1 if row is None else row.number + 1
            secret = hmac.digest(fresh_secret, number.to_bytes(4, "big"), "sha256")
            insert(connection, StatusListRow(number=number, secret=secret, used=0))
            continue
        many = min(count - len(taken), ENTRIES - row.used)
        update(connection, StatusListRow, {"number": row.number}, {"used": row.used + many})
        taken += [
            Reservation(row.number, shuffled(use, row.secret)) for use in range(row.used, row.used + many)
        ]
    return taken


def status_list_numbers(connection: Connection) -> list[int]:
    return [row.number for row in all_rows(connection, StatusListRow)]


def ecertificates_with(connection: Connection, ids: Iterable[int]) -> dict[int, ECertificateRow]:
    """The existing rows by id, for their places in status lists. Their status is not checked, because lists are made
    from the ledger."""
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


def known_requests(connection: Connection, keys: Sequence[str]) -> set[str]:
    """Those of these request keys that there is an e-certificate for."""
    table = table_of(ECertificateRow)
    return set(
        connection.execute(sa.select(table.c.request_key).where(table.c.request_key.in_(keys))).scalars()
    )


def lock_requests(connection: Connection, keys: Sequence[str]) -> dict[str, ECertificateRow]:
    """The e-certificates with these request keys, locked until the transaction ends."""
    table = table_of(ECertificateRow)
    statement = sa.select(table).where(table.c.request_key.in_(keys)).order_by(table.c.id).with_for_update()
    rows = [believed(connection, ECertificateRow, row) for row in connection.execute(statement).all()]
    return {row.request_key: row for row in rows}


def lock_ecertificates(connection: Connection, ids: Sequence[int]) -> dict[int, ECertificateRow]:
    """The existing ones of these rows, by id, locked until the transaction ends."""
    table = table_of(ECertificateRow)
    statement = sa.select(table).where(table.c.id.in_(ids)).order_by(table.c.id).with_for_update()
    rows = [believed(connection, ECertificateRow, row) for row in connection.execute(statement).all()]
    return {row.id or 0: row for row in rows}


def documents_of(
    connection: Connection, ecertificate_ids: Sequence[int], kinds: Sequence[str]
) -> dict[tuple[int, str], bytes]:
    """The stored documents of these kinds, by e-certificate and kind."""
    if not ecertificate_ids:
        return {}
    table = table_of(DocumentRow)
    statement = sa.select(table).where(table.c.ecertificate_id.in_(ecertificate_ids), table.c.kind.in_(kinds))
    return {
        (row.ecertificate_id, row.kind): bytes(believed(connection, DocumentRow, row).content)
        for row in connection.execute(statement).all()
    }


def find_ecertificate(connection: Connection, **where: Any) -> ECertificateRow | None:
    return one_row(connection, ECertificateRow, **where)


def issued_with_digests(
    connection: Connection, digests: Sequence[bytes]
) -> dict[bytes, tuple[ECertificateRow, bytes]]:
    """(e-certificate, its data file) by the SHA-256 of the issued file, without erased ones."""
    table = table_of(ECertificateRow)
    statement = sa.select(table).where(table.c.issued_sha256.in_(digests), table.c.step == Step.ISSUED)
    rows = [believed(connection, ECertificateRow, row) for row in connection.execute(statement).all()]
    return {
        bytes(row.issued_sha256 or b""): (row, get_document(connection, row.id or 0, DocumentKind.DATA))
        for row in rows
    }


def get_ecertificate(connection: Connection, **where: Any) -> ECertificateRow:
    row = find_ecertificate(connection, **where)
    if row is None:
        raise NotFound("There is no such e-certificate.", "Check the identifier.")
    return row


def ecertificates_by_id(connection: Connection, ids: Sequence[int]) -> dict[int, ECertificateRow]:
    """The existing ones of these rows, by id."""
    table = table_of(ECertificateRow)
    rows = connection.execute(sa.select(table).where(table.c.id.in_(ids))).all()
    return {row.id: believed(connection, ECertificateRow, row) for row in rows}


def set_sealed(connection: Connection, files: Mapping[int, bytes]) -> None:
    """Stores sealed files, by e-certificate: from now on these are SEALED."""
    if not files:
        return
    insert_many(
        connection,
        [
            DocumentRow(ecertificate_id=of, kind=DocumentKind.SEALED, content=file)
            for of, file in files.items()
        ],
    )
    table = table_of(ECertificateRow)
    connection.execute(sa.update(table).where(table.c.id.in_(files)).values(step=Step.SEALED))


def set_issued(
    connection: Connection, files: Mapping[int, tuple[bytes, int]], *, at: int, due_at: int
) -> None:
    """These are ISSUED from now on: issued files, which are stored already, by e-certificate with their entries'
    numbers."""
    if not files:
        return
    table = table_of(ECertificateRow)
    connection.execute(
        sa.update(table)
        .where(table.c.id == sa.bindparam("of"))
        .values(
            step=Step.ISSUED,
            entry_seq=sa.bindparam("seq"),
            issued_sha256=sa.bindparam("sha256"),
            issued_at=at,
            archive_due_at=due_at,
        ),
        [
            {"of": of, "seq": seq, "sha256": hashlib.sha256(file).digest()}
            for of, (file, seq) in files.items()
        ],
    )


def drafts_of(connection: Connection, operations: Sequence[Operation]) -> dict[int, ECertificateRow]:
    """The e-certificates that these issues are about and that are not issued, by operation id.

    Leaves out edited rows, which the check of the register reports.
    """
    table = table_of(ECertificateRow)
    wanted = {each.ecertificate_id: each.operation_id for each in operations}
    found = connection.execute(
        sa.select(table).where(table.c.id.in_(wanted), table.c.step.in_((Step.DRAFT, Step.SEALED)))
    ).all()
    rows, _ = believable(connection, ECertificateRow, found)
    return {wanted[row.id or 0]: row for row in rows if row.operation_id == wanted[row.id or 0]}


def backlog(connection: Connection, at: int) -> tuple[int, int]:
    """The number of e-certificates that are reserved and not issued, and of those due for a later version."""
    table = table_of(ECertificateRow)
    unfinished = sa.select(sa.func.count()).where(table.c.step != Step.ISSUED, table.c.step != Step.ERASED)
    due = sa.select(sa.func.count()).where(table.c.archive_due_at <= at)
    return int(connection.execute(unfinished).scalar_one()), int(connection.execute(due).scalar_one())


def highest_ecertificate_id(connection: Connection) -> int:
    return int(connection.execute(sa.select(sa.func.max(table_of(ECertificateRow).c.id))).scalar() or 0)


def count_in_ledger(connection: Connection) -> int:
    """The number of e-certificates that have a ledger entry according to the register."""
    table = table_of(ECertificateRow)
    counted = sa.select(sa.func.count()).where(table.c.entry_seq.is_not(None))
    return int(connection.execute(counted).scalar_one())


def lock_ecertificate(connection: Connection, ecertificate_id: int) -> ECertificateRow | None:
    """The row, locked until the transaction ends; None if it does not exist."""
    table = table_of(ECertificateRow)
    statement = sa.select(table).where(table.c.id == ecertificate_id).with_for_update()
    row = connection.execute(statement).one_or_none()
    return believed(connection, ECertificateRow, row) if row is not None else None


def claimed_for(connection: Connection, operation: Operation) -> ECertificateRow | None:
    """The e-certificate that is being changed by this operation; None if it is not, or no longer."""
    return find_ecertificate(
        connection, id=operation.ecertificate_id, pending_operation=operation.operation_id
    )


def unclaim(connection: Connection, operation: Operation) -> None:
    """The e-certificate is no longer being changed by this operation, if it was."""
    where = {"id": operation.ecertificate_id, "pending_operation": operation.operation_id}
    update(connection, ECertificateRow, where, {"pending_operation": None})


def is_changing(connection: Connection, row: ECertificateRow) -> bool:
    """True if the status of the e-certificate is about to be another. While its next version is being issued, which may
    have to wait, the e-certificate is still what it was."""
    if row.pending_operation is None:
        return False
    operation = find_operation(connection, row.pending_operation)
    if operation is None or operation.kind is not OperationKind.REPLACED:
        return True
    newer = next_version_of(connection, row.id or 0)
    return newer is not None and newer.step in (Step.ISSUED, Step.ERASED)


def next_version_of(connection: Connection, ecertificate_id: int) -> ECertificateRow | None:
    """The e-certificate that replaces this one, issued or not."""
    return find_ecertificate(connection, replaces_id=ecertificate_id)


def issued_but_not_replacing(connection: Connection) -> list[bytes]:
    """Public ids of e-certificates that are not yet marked REPLACED although their next version is issued."""
    old, new = table_of(ECertificateRow).alias("old"), table_of(ECertificateRow).alias("new")
    rows = connection.execute(
        sa.select(old.c.pid)
        .join(new, new.c.replaces_id == old.c.id)
        .where(
            new.c.step == Step.ISSUED,
            old.c.pending_operation.is_(None),
            old.c.status.in_([Status.VALID.value, Status.SUSPENDED.value]),
        )
    )
    return [bytes(row.pid) for row in rows]


def places_in_lists(connection: Connection) -> Iterator[tuple[int, bytes, bytes, int, int]]:
    """Yields id, pid, ref salt (empty once erased), status list and index of every e-certificate."""
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


def claim_for_operation(connection: Connection, as_read: ECertificateRow, operation_id: int) -> None:
    """Marks the e-certificate as being changed. Raises `Conflict` if another operation was first, or has come and gone
    since the row was read."""
    changed = update(
        connection,
        ECertificateRow,
        {
            "id": as_read.id,
            "status": as_read.status,
            "status_at": as_read.status_at,
            "pending_operation": None,
        },
        {"pending_operation": operation_id},
    )
    if changed != 1:
        raise Conflict(
            "The e-certificate is being changed by somebody else.", "Look at its status and try again."
        )


def delete_draft(connection: Connection, ecertificate_id: int, pid: bytes) -> None:
    """Deletes a reservation of which nothing was sealed, published or appended."""
    if find_ecertificate(connection, id=ecertificate_id, pid=pid, step=Step.DRAFT) is None:
        return
    for kind, column in (
        (DocumentRow, "ecertificate_id"),
        (HolderRow, "ecertificate_id"),
        (OperationRow, "ecertificate_id"),
    ):
        table = table_of(kind)
        connection.execute(sa.delete(table).where(table.c[column] == ecertificate_id))
    table = table_of(ECertificateRow)
    connection.execute(sa.delete(table).where(table.c.id == ecertificate_id, table.c.step == Step.DRAFT))


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


def delete_document(connection: Connection, ecertificate_id: int, kind: str) -> None:
    table = table_of(DocumentRow)
    connection.execute(
        sa.delete(table).where(table.c.ecertificate_id == ecertificate_id, table.c.kind == kind)
    )


def put_documents(connection: Connection, rows: Sequence[DocumentRow]) -> None:
    insert_many(connection, rows)


def delete_documents(
    connection: Connection, ecertificate_ids: Collection[int], kinds: Collection[str]
) -> None:
    table = table_of(DocumentRow)
    connection.execute(
        sa.delete(table).where(table.c.ecertificate_id.in_(ecertificate_ids), table.c.kind.in_(kinds))
    )


def with_document(
    connection: Connection, kind: str, *, limit: int | None = None, among: Collection[int] | None = None
) -> list[int]:
    """The e-certificates that have a document of this kind, by their ids."""
    table = table_of(DocumentRow)
    statement = (
        sa.select(table.c.ecertificate_id).where(table.c.kind == kind).order_by(table.c.ecertificate_id)
    )
    if among is not None:
        statement = statement.where(table.c.ecertificate_id.in_(among))
    return list(connection.execute(statement.limit(limit)).scalars())


def find_document(connection: Connection, ecertificate_id: int, kind: str) -> bytes | None:
    try:
        return get_document(connection, ecertificate_id, kind)
    except NotFound:
        return None


def put_holders(connection: Connection, ecertificate_id: int, refs: Iterable[bytes]) -> None:
    for ref in sorted(set(refs)):
        insert(connection, HolderRow(holder_ref=ref, ecertificate_id=ecertificate_id))


def ecertificates_of_holder(
    connection: Connection,
    holder_ref: bytes,
    *,
    types: Collection[str] = (),
    before: int | None = None,
    limit: int | None = None,
) -> list[ECertificateRow]:
    """The issued e-certificates of a holder, newest first; of these types, if any are given.

    `before` is the id of the last row of the page before.
    """
    ecertificates, holders = table_of(ECertificateRow), table_of(HolderRow)
    statement = (
        sa.select(ecertificates)
        .join(holders, holders.c.ecertificate_id == ecertificates.c.id)
        .where(holders.c.holder_ref == holder_ref, ecertificates.c.step == Step.ISSUED)
        .order_by(holders.c.ecertificate_id.desc())
        .limit(limit)
    )
    if types:
        statement = statement.where(ecertificates.c.type_short.in_(types))
    if before is not None:
        statement = statement.where(holders.c.ecertificate_id < before)
    rows = connection.execute(statement)
    return [believed(connection, ECertificateRow, row) for row in rows.all()]


def holder_refs_of(connection: Connection, ecertificate_id: int) -> list[bytes]:
    return [bytes(row.holder_ref) for row in all_rows(connection, HolderRow, ecertificate_id=ecertificate_id)]
