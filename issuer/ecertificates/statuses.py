"""Changing the status of an issued e-certificate: suspend, reinstate, revoke, replace.

    1  announce   the act is stored and the e-certificate claimed for it; of two officers, only one succeeds
    2  append     the ledger entry; salts hide reason and note in its commitment
    3  complete   the register's status; from then on every check sees it

A replacement is announced before the new version is issued, and completed once it is: nothing else can happen to the
old one in between, so a licence that is being revoked gets no new version. After a crash, `resume_pending` completes
what was announced (`issuer.operations.operations`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.issuing import Issuing, Outcome
from issuer.ecertificates.kinds import Step
from issuer.ecertificates.reading import Reading
from issuer.operations import sql as operations_sql
from issuer.operations.model import STATUS_KINDS, Operation, OperationKind
from issuer.operations.operations import Operations
from ledger.log import Appended, AppendRequest, Log
from trust.audit.trail import Act, Trail
from trust.encoding.commitment import content_root, ecertificate_ref
from trust.encoding.entry import EntryKind
from trust.model.actor import SYSTEM, Actor, Permission
from trust.model.clock import Entropy
from trust.model.ecertificate import Application, IssuedECertificate
from trust.model.errors import ChangedSince, Conflict, Malformed, NotPermitted, RequestError, StorageError
from trust.model.status import RevocationReason, Status, StatusAct, next_status
from trust.storage import tables
from trust.storage.sql import Database

_KINDS = {
    StatusAct.SUSPEND: OperationKind.SUSPENDED,
    StatusAct.REINSTATE: OperationKind.REINSTATED,
    StatusAct.REVOKE: OperationKind.REVOKED,
    StatusAct.REPLACE: OperationKind.REPLACED,
}
_ACTS = {kind: act for act, kind in _KINDS.items()}
_MAX_NOTE = 200


@dataclass(frozen=True, slots=True)
class Statuses:
    """The use case. Only the authority that issued may act, and the operator."""

    database: Database
    log: Log
    entropy: Entropy
    trail: Trail
    operations: Operations
    reading: Reading
    issuing: Issuing

    def change(
        self,
        actor: Actor,
        pid: bytes,
        act: StatusAct,
        *,
        reason: str,
        note: str = "",
        expected: IssuedECertificate | None = None,
    ) -> IssuedECertificate:
        """Suspends, reinstates or revokes. `expected`: as the actor saw it, to act only if that is still so.

        Raises `RequestError`, `ChangedSince` among them, and `ClockDoubted`.
        """
        if act is StatusAct.REPLACE:
            raise Malformed("A replacement needs the new record.", "Use replace with the corrected record.")
        with self.trail.refusals(actor, act.value, pid=pid):
            actor.check_may(Permission.CHANGE_STATUS)
            check_reason(act, reason, note)
            self.log.check_clock()
            self._settle_replacement(pid)
            operation = self._announce(actor, pid, act, reason, note, expected)
        self.operations.complete([operation], self._completing())
        return self.reading.issued(pid=pid)

    def replace(
        self,
        actor: Actor,
        pid: bytes,
        application: Application,
        *,
        reason: str,
        expected: IssuedECertificate | None = None,
    ) -> Outcome:
        """Issues the next version and marks this one REPLACED. `expected` and what is raised: as `change`."""
        with self.trail.refusals(actor, StatusAct.REPLACE.value, pid=pid):
            self._check_may_replace(actor)
            self.issuing.check_many(actor, [application], None)
        return self.replace_checked(actor, pid, application, reason=reason, expected=expected)

    def replace_checked(
        self,
        actor: Actor,
        pid: bytes,
        application: Application,
        *,
        reason: str,
        expected: IssuedECertificate | None = None,
    ) -> Outcome:
        """`replace` as a part of a request, after `Issuing.check_many` has accepted the whole request."""
        with self.trail.refusals(actor, StatusAct.REPLACE.value, pid=pid):
            self._check_may_replace(actor)
            check_reason(StatusAct.REPLACE, reason, "")
            old = self.reading.issued(pid=pid)
            _check_issuer(actor, old.authority_id)
            if expected is not None and old != expected:
                raise ChangedSince
            if old.status is Status.REPLACED:
                (outcome,) = self.issuing.issue_checked(actor, [application])
                return outcome
            self.issuing.check(actor, application)
            self.log.check_clock()
            self._settle_replacement(pid)
            operation = self._announce(actor, pid, StatusAct.REPLACE, reason, "", expected)
        with self.operations.releasing([operation]):
            try:
                (outcome,) = self.issuing.issue_checked(actor, [application])
            except RequestError:
                self.operations.let_go([operation], self._completing())
                raise
        if outcome.issued is None:
            self.operations.let_go([operation], self._completing())
        else:
            self.operations.complete([operation], self._completing())
        return outcome

    def resume_pending(self) -> int:
        """Completes the acts that were announced and not completed; returns their number.

        An edited row does not stop the others. Raises `StorageError` (ROW_EDITED) for the first one afterwards.
        """
        refused: StorageError | None = None
        unreplaced = 0
        with self.database.read() as connection:
            left = ecertificates_sql.issued_but_not_replacing(connection)
        for pid in left:  # announced only after the new version was issued, as it was done before
            try:
                operation = self._announce(SYSTEM, pid, StatusAct.REPLACE, "replaced", "")
                self.operations.complete([operation], self._completing())
                unreplaced += 1
            except Conflict:
                continue  # another process was first
            except StorageError as exc:
                refused = refused or exc
        carried_on = self.operations.carry_on(STATUS_KINDS, self._completing())
        if refused is not None:
            raise refused
        return unreplaced + carried_on

    def _settle_replacement(self, pid: bytes) -> None:
        """If a replacement of this e-certificate was given up half-way and nobody has it in hand, completes it if the
        new version is sealed, and otherwise takes it back, so that it stands in the way of no other act."""
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step=Step.ISSUED)
            operation = (
                operations_sql.find_operation(connection, row.pending_operation)
                if row.pending_operation is not None
                else None
            )
        if operation is None or operation.kind is not OperationKind.REPLACED:
            return
        with self.database.write() as connection:
            if not operations_sql.take(connection, operation.operation_id, self.operations.now()):
                return
        with self.operations.releasing([operation]):
            self.issuing.finish_or_withdraw_next_version(row.id or 0)
        _settle(self.operations, operation, self._completing())

    @staticmethod
    def _check_may_replace(actor: Actor) -> None:
        actor.check_may(Permission.ISSUE)
        actor.check_may(Permission.CHANGE_STATUS)

    def _announce(
        self,
        actor: Actor,
        pid: bytes,
        act: StatusAct,
        reason: str,
        note: str,
        expected: IssuedECertificate | None = None,
    ) -> Operation:
        with self.database.write() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step=Step.ISSUED)
            _check_issuer(actor, row.authority_id)
            _check_unchanged(expected, row.status, row.status_at)
            next_status(Status(row.status), act)
            operation = self.operations.announce(
                connection,
                _KINDS[act],
                by=actor.ref,
                ecertificate_id=row.id or 0,
                reason=reason,
                note=note or None,
                actor=row.authority_id,
                salt=self.entropy.bytes(16 * 4),
            )
            ecertificates_sql.claim_for_operation(connection, row, operation.operation_id)
        return operation

    def _completing(self) -> _Completing:
        return _Completing(self.database, self.log, self.operations)


def _settle(operations: Operations, operation: Operation, completing: _Completing) -> None:
    """Completes a replacement whose new version is issued, and takes back one that has none."""
    try:
        operations.complete([operation], completing)
    except Conflict:
        return  # it was taken back


@dataclass(frozen=True, slots=True)
class _Completing:
    """`issuer.operations.operations.Completing` for acts on the status of an e-certificate."""

    database: Database
    log: Log
    operations: Operations

    def request(self, operation: Operation) -> AppendRequest | None:
        with self.database.read() as connection:
            row = ecertificates_sql.claimed_for(connection, operation)
            if row is None:
                return None
            if operation.kind is OperationKind.REPLACED:
                newer = ecertificates_sql.next_version_of(connection, row.id or 0)
                if newer is None:
                    return None
                if newer.step not in (Step.ISSUED, Step.ERASED):
                    raise Conflict("The new version is being issued.", "Try again in a minute.")
        # Not `after` a certain entry: while the act is under way, a later version may be appended for the archive.
        return act_request(operation, row)

    def prepare(self, operations: Sequence[Operation], appended: Sequence[Appended]) -> None:
        self.log.publish()

    def lock(self, connection: Connection, operations: Sequence[Operation]) -> None:
        ecertificates_sql.lock_ecertificates(connection, [each.ecertificate_id for each in operations])

    def finish(self, connection: Connection, appended: Sequence[tuple[Operation, Appended]]) -> None:
        for operation, _ in appended:
            row = ecertificates_sql.claimed_for(connection, operation)
            if row is None:
                continue
            act = _ACTS[operation.kind]
            status = next_status(Status(row.status), act)
            self.operations.write_down(
                connection, operation, Act(act.value, status.value, pid=bytes(row.pid))
            )
            tables.update(
                connection,
                ecertificates_sql.ECertificateRow,
                {"id": row.id},
                {
                    "status": status.value,
                    "status_reason": operation.reason if act is not StatusAct.REINSTATE else None,
                    "status_at": operation.at,
                    "pending_operation": None,
                },
            )

    def let_go(self, connection: Connection, operation: Operation) -> None:
        ecertificates_sql.unclaim(connection, operation)
        operations_sql.delete_operation(connection, operation.operation_id)


def act_request(operation: Operation, row: ecertificates_sql.ECertificateRow) -> AppendRequest:
    """The ledger entry of an announced act."""
    return AppendRequest(
        operation_id=operation.operation_id,
        kind=EntryKind[operation.kind.name],
        actor=operation.actor,
        subject_id=operation.ecertificate_id,
        ref=ecertificate_ref(bytes(row.pid), bytes(row.ref_salt)),
        commit=status_commit(operation),
        suite="",
    )


def status_commit(operation: Operation) -> bytes:
    """The commitment of a status entry: act, reason, note and time, each with 16 bytes of salt."""
    salts = operation.salt
    # The note of an erasure's entry names who asked and who approved.
    note = operation.note or "|".join(filter(None, (operation.requested_by, operation.approved_by)))
    fields = {
        "act": operation.kind.value,
        "at": str(operation.at),
        "note": note,
        "reason": operation.reason or "",
    }
    return content_root(fields, {name: salts[16 * n : 16 * n + 16] for n, name in enumerate(sorted(fields))})


def check_reason(act: StatusAct, reason: str, note: str) -> None:
    """Checks that a revocation names one of the three legal grounds and any other act a reason in words. Raises
    `Malformed`."""
    if len(note) > _MAX_NOTE or len(reason) > _MAX_NOTE:
        raise Malformed(f"A reason has at most {_MAX_NOTE} characters.", "Shorten it.")
    if act is StatusAct.REVOKE:
        if reason not in [known.value for known in RevocationReason]:
            choices = ", ".join(known.value for known in RevocationReason)
            raise Malformed("A revocation needs its legal ground.", f"Give one of {choices}.", code="REASON")
    elif not reason.strip():
        raise Malformed("A change of status needs a reason.", "Give it in a few words.", code="REASON")


def _check_unchanged(expected: IssuedECertificate | None, status: str, status_at: int | None) -> None:
    if expected is None:
        return
    at = tables.to_micros(expected.status_at) if expected.status_at is not None else None
    if (status, status_at) != (expected.status.value, at):
        raise ChangedSince


def _check_issuer(actor: Actor, issuer: str) -> None:
    if not actor.sees(issuer):
        raise NotPermitted("Only the authority that issued an e-certificate may change its status.")
