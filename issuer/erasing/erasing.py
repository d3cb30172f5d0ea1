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

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy.engine import Connection

from issuer.archive import sql as archive_sql
from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.documents import Documents
from issuer.ecertificates.kinds import Step
from issuer.ecertificates.statuses import act_request
from issuer.erasing import sql as erasing_sql
from issuer.operations import sql as operations_sql
from issuer.operations.model import Operation, OperationKind
from issuer.operations.operations import Operations
from ledger.log import Appended, AppendRequest, Log
from trust.audit.trail import Act, Trail
from trust.model.actor import Actor, Permission
from trust.model.clock import Entropy
from trust.model.errors import Conflict, Malformed, StorageError
from trust.model.people import check_second_person
from trust.model.status import Status
from trust.storage.sql import Database

_log = logging.getLogger(__name__)
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
    copies are still in the database's log, because a reader was active, or a file could not be deleted; its next
    checkpoint or a later round removes them."""

    entry_seq: int
    rows: Mapping[str, int]
    overwritten: bool


@dataclass(frozen=True, slots=True)
class Erasing:
    """The use case. `forget` deletes data in other packages' tables, in the same transaction, and returns the number
    of rows by table."""

    database: Database
    documents: Documents
    log: Log
    entropy: Entropy
    trail: Trail
    operations: Operations
    forget: Forget = lambda connection, pid, lone_holder_refs: {}

    def erase(self, actor: Actor, pid: bytes, *, basis: str, requested_by: str, approved_by: str) -> Erased:
        """Erases; durable on return. Raises `NotFound`, `Conflict` (in force, or being changed), `Malformed`."""
        if basis not in [known.value for known in ErasureBasis]:
            choices = ", ".join(known.value for known in ErasureBasis)
            raise Malformed("An erasure needs its legal basis.", f"Give one of {choices}.", code="REASON")
        for name in (requested_by, approved_by):
            if not name.strip() or len(name) > _MAX_NAME or not name.isprintable() or "|" in name:
                raise Malformed(f"Give who asks and who approves, each in up to {_MAX_NAME} characters.")
        with self.trail.refusals(actor, "erase", pid=pid):
            actor.check_may(Permission.ERASE)
            check_second_person(requested_by, approved_by, "Nobody approves an erasure of their own.")
            self.log.check_clock()
            operation = self._announce(actor, pid, basis, requested_by.strip(), approved_by.strip())
        completing = _Completing(self.database, self.documents, self.log, self.operations, self.forget)
        (appended,) = self.operations.complete([operation], completing)
        return Erased(appended.seq, completing.rows, self._overwrite(completing.files))

    def resume_pending(self) -> int:
        """Completes erasures like `Statuses.resume_pending`."""
        completing = _Completing(self.database, self.documents, self.log, self.operations, self.forget)
        count = self.operations.carry_on((OperationKind.ERASED,), completing)
        if completing.rows:
            self._overwrite(completing.files)
        return count

    def _overwrite(self, files: Sequence[str]) -> bool:
        """What was erased can no longer be read from the disk; False if that happens later. The erasure itself is done
        by now."""
        try:
            self.documents.delete_let_go(self.database)
            is_gone = not any(self.documents.objects.has(name) for name in files)
            return self.database.forget_deleted(erasing_sql.ERASABLE) and is_gone
        except StorageError as exc:
            _log.error("what was erased is not overwritten yet", extra={"code": exc.code, "what": exc.what})
            return False

    def _announce(
        self, actor: Actor, pid: bytes, basis: str, requested_by: str, approved_by: str
    ) -> Operation:
        with self.database.write() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step=Step.ISSUED)
            if Status(row.status) not in (Status.REVOKED, Status.REPLACED):
                raise Conflict(
                    f"An e-certificate that is {row.status} cannot be erased.",
                    "Revoke it first, with the reason `cancelled` if it has expired or is given up.",
                )
            operation = self.operations.announce(
                connection,
                OperationKind.ERASED,
                by=actor.ref,
                ecertificate_id=row.id or 0,
                reason=basis,
                requested_by=requested_by,
                approved_by=approved_by,
                actor=row.authority_id,
                salt=self.entropy.bytes(16 * 4),
            )
            ecertificates_sql.claim_for_operation(connection, row, operation.operation_id)
        return operation


@dataclass(frozen=True, slots=True)
class _Completing:
    """`issuer.operations.operations.Completing` for erasures. `rows`: the rows that it deleted or emptied, by table;
    `files`: the objects that go."""

    database: Database
    documents: Documents
    log: Log
    operations: Operations
    forget: Forget
    rows: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    def request(self, operation: Operation) -> AppendRequest | None:
        with self.database.read() as connection:
            row = ecertificates_sql.claimed_for(connection, operation)
        return act_request(operation, row) if row is not None else None

    def prepare(self, operations: Sequence[Operation], appended: Sequence[Appended]) -> None:
        self.log.publish()

    def lock(self, connection: Connection, operations: Sequence[Operation]) -> None:
        ecertificates_sql.lock_ecertificates(connection, [each.ecertificate_id for each in operations])

    def finish(self, connection: Connection, appended: Sequence[tuple[Operation, Appended]]) -> None:
        for operation, _ in appended:
            row = ecertificates_sql.claimed_for(connection, operation)
            if row is None:
                continue
            self.operations.write_down(
                connection, operation, Act("erase", operation.reason or "", pid=bytes(row.pid))
            )
            self.files.extend(self.documents.let_go(connection, row.id or 0))
            found, lone_holder_refs = erasing_sql.erase_ecertificate(connection, operation)
            self.rows.update(found)
            self.rows["later_version"] = archive_sql.erase_versions(connection, row.id or 0)
            self.rows.update(self.forget(connection, bytes(row.pid), lone_holder_refs))

    def let_go(self, connection: Connection, operation: Operation) -> None:
        ecertificates_sql.unclaim(connection, operation)
        operations_sql.delete_operation(connection, operation.operation_id)
