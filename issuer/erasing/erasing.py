"""Erasing the personal data of an e-certificate, with evidence that it was done (个人信息保护法 §47).

    1  announce   the act is stored: legal basis, who asked and who approved, two different persons
    2  append     the ERASED entry; its commitment contains nothing that is erased, so it can always be opened
    3  erase      documents, field values, salts, holders and presentations are deleted, and the rows overwritten

After a crash in between, `resume_pending` completes the erasure. A row with the random public id and its place in a
status list remains, and the entries of the ledger, which contain salted commitments only, whose salts are deleted. So
old receipts still verify, all counts stay right, and the ledger does not reveal whom an entry was about. The holder's
sealed file still contains its content and salts.

An e-certificate in force cannot be erased; it must be revoked (注销) or replaced first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.engine import Connection

from issuer.archive import sql as archive_sql
from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.issuing import Issuing
from issuer.ecertificates.statuses import append_act
from issuer.erasing import sql as erasing_sql
from issuer.operations import sql as operations_sql
from trust.encoding.entry import EntryKind
from trust.model.errors import Conflict, Malformed, StorageError
from trust.model.people import is_same_person
from trust.model.status import Status
from trust.storage import tables

_MAX_NAME = 64


class ErasureBasis(StrEnum):
    """The legal bases: the cases of §47 of the Personal Information Protection Law, and an order of a court."""

    PURPOSE_FULFILLED = "purpose-fulfilled"
    RETENTION_EXPIRED = "retention-expired"
    CONSENT_WITHDRAWN = "consent-withdrawn"
    UNLAWFUL = "unlawful"
    OTHER_LAW = "other-law"
    COURT_ORDER = "court-order"


Forget = Callable[[Connection, bytes, Sequence[bytes]], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Erased:
    """The result of an erasure. `rows`: the number of deleted or emptied rows by table. `overwritten`: False if
    copies are still in the database's log, because a reader was active; its next checkpoint removes them."""

    entry_seq: int
    rows: Mapping[str, int]
    overwritten: bool


@dataclass(frozen=True, slots=True)
class Erasing:
    """The use case. `forget` deletes data in other packages' tables, in the same transaction, and returns the number
    of rows by table."""

    issuing: Issuing
    forget: Forget = lambda connection, pid, lone_holder_refs: {}

    def erase(self, pid: bytes, *, basis: str, requested_by: str, approved_by: str) -> Erased:
        """Erases; durable on return. Raises `NotFound`, `Conflict` (in force, or being changed), `Malformed`."""
        if basis not in [known.value for known in ErasureBasis]:
            choices = ", ".join(known.value for known in ErasureBasis)
            raise Malformed("An erasure needs its legal basis.", f"Give one of {choices}.", code="REASON")
        for name in (requested_by, approved_by):
            if not name.strip() or len(name) > _MAX_NAME or not name.isprintable() or "|" in name:
                raise Malformed(f"Give who asks and who approves, each in up to {_MAX_NAME} characters.")
        if is_same_person(requested_by, approved_by):
            raise Malformed("Nobody approves an erasure of their own.", "A second person has to approve it.")
        self.issuing.log.check_clock()
        return self._complete(self._announce(pid, basis, f"{requested_by.strip()}|{approved_by.strip()}"))

    def resume_pending(self) -> int:
        """Completes erasures like `Statuses.resume_pending`."""
        with self.issuing.database.read() as connection:
            operations, refused = ecertificates_sql.pending_operations(connection, erasures=True)
        for operation in operations:
            try:
                self._complete(operation.id or 0)
            except StorageError as exc:
                refused = refused or exc
        if refused is not None:
            raise refused
        return len(operations)

    def _announce(self, pid: bytes, basis: str, roles: str) -> int:
        with self.issuing.database.write() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step="ISSUED")
            if Status(row.status) not in (Status.REVOKED, Status.REPLACED):
                raise Conflict(
                    f"An e-certificate that is {row.status} cannot be erased.",
                    "Revoke it first, with the reason `cancelled` if it has expired or is given up.",
                )
            operation_id: int = tables.insert(
                connection,
                operations_sql.OperationRow(
                    ecertificate_id=row.id or 0,
                    kind=EntryKind.ERASED.name,
                    reason=basis,
                    note=roles,
                    actor=row.authority_id,
                    salt=self.issuing.entropy.bytes(16 * 4),
                    at=tables.to_micros(self.issuing.clock.now()),
                ),
            )
            ecertificates_sql.claim_for_operation(connection, row.id or 0, Status(row.status), operation_id)
        return operation_id

    def _complete(self, operation_id: int) -> Erased:
        with self.issuing.database.read() as connection:
            operation = tables.one_row(connection, operations_sql.OperationRow, id=operation_id)
            row = ecertificates_sql.get_ecertificate(connection, id=operation.ecertificate_id)
        appended = append_act(self.issuing, operation, row)
        with self.issuing.database.write() as connection:
            rows, lone_holder_refs = erasing_sql.erase_ecertificate(connection, row.id or 0)
            rows["later_version"] = archive_sql.erase_versions(connection, row.id or 0)
            rows |= self.forget(connection, bytes(row.pid), lone_holder_refs)
            # Keep the erasure's own note and salt, which say who decided and open its commitment.
            tables.update(
                connection,
                operations_sql.OperationRow,
                {"id": operation_id},
                {
                    "reason": operation.reason,
                    "note": operation.note,
                    "salt": operation.salt,
                    "done": True,
                    "entry_seq": appended.seq,
                },
            )
        overwritten = self.issuing.database.forget_deleted(erasing_sql.ERASABLE)
        return Erased(appended.seq, rows, overwritten)
