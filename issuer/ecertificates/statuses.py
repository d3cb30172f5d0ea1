"""Changing the status of an issued e-certificate: suspend, reinstate, revoke, replace.

    1  announce   the act is stored and the e-certificate claimed for it; of two officers, only one succeeds
    2  append     the ledger entry; salts hide reason and note in its commitment
    3  complete   the register's status; from then on every check sees it

After a crash in between, `resume_pending` completes the act. A replacement is announced and completed once the new
version is issued.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.issuing import Issuing, Outcome
from issuer.operations import sql as operations_sql
from ledger.log import Appended, AppendRequest
from trust.encoding.commitment import content_root, ecertificate_ref
from trust.encoding.entry import EntryKind
from trust.model.ecertificate import Application, IssuedECertificate
from trust.model.errors import Conflict, Malformed, NotPermitted, StorageError
from trust.model.status import RevocationReason, Status, StatusAct, next_status
from trust.storage import tables

_KINDS = {
    StatusAct.SUSPEND: EntryKind.SUSPENDED,
    StatusAct.REINSTATE: EntryKind.REINSTATED,
    StatusAct.REVOKE: EntryKind.REVOKED,
    StatusAct.REPLACE: EntryKind.REPLACED,
}
_ACTS = {kind.name: act for act, kind in _KINDS.items()}
_MAX_NOTE = 200


@dataclass(frozen=True, slots=True)
class Statuses:
    """The use case. `actor` is the acting authority, which must be the one that issued."""

    issuing: Issuing

    def change(
        self, pid: bytes, act: StatusAct, *, reason: str, actor: str | None = None, note: str = ""
    ) -> IssuedECertificate:
        """Suspends, reinstates or revokes. Raises `RequestError`, `ClockDoubted`."""
        if act is StatusAct.REPLACE:
            raise Malformed("A replacement needs the new record.", "Use replace with the corrected record.")
        check_reason(act, reason, note)
        self.issuing.log.check_clock()
        operation_id = self._announce(pid, act, reason, note, actor)
        self._complete(operation_id)
        return self.issuing.issued(pid=pid)

    def replace(
        self, pid: bytes, application: Application, *, reason: str, actor: str | None = None
    ) -> Outcome:
        """Issues the next version and marks this one REPLACED. Raises `RequestError`, `ClockDoubted`."""
        self.issuing.check_many([application], None)
        return self.replace_checked(pid, application, reason=reason, actor=actor)

    def replace_checked(
        self, pid: bytes, application: Application, *, reason: str, actor: str | None = None
    ) -> Outcome:
        """`replace` as a part of a request, after `Issuing.check_many` has accepted the whole request."""
        check_reason(StatusAct.REPLACE, reason, "")
        old = self.issuing.issued(pid=pid)
        _check_actor(old.authority_id, actor)
        if old.status is not Status.REPLACED:
            next_status(old.status, StatusAct.REPLACE)
        (outcome,) = self.issuing.issue_checked([application])
        if outcome.issued is not None and old.status is not Status.REPLACED:
            operation_id = self._announce(pid, StatusAct.REPLACE, reason, "", actor)
            self._complete(operation_id)
        return outcome

    def resume_pending(self) -> int:
        """Completes the acts that were announced and not completed; returns their number.

        An edited row does not stop the others. Raises `StorageError` (ROW_EDITED) for the first one afterwards.
        """
        with self.issuing.database.read() as connection:
            operations, refused = ecertificates_sql.pending_operations(connection)
            unreplaced = ecertificates_sql.issued_but_not_replacing(connection)
        steps = [partial(self._complete, operation.id or 0) for operation in operations]
        # The crash came after the new version was issued and before the old one was marked.
        steps += [partial(self._replace_at_last, pid) for pid in unreplaced]
        for step in steps:
            try:
                step()
            except StorageError as exc:
                refused = refused or exc
        if refused is not None:
            raise refused
        return len(operations) + len(unreplaced)

    def _replace_at_last(self, pid: bytes) -> None:
        self._complete(self._announce(pid, StatusAct.REPLACE, "replaced", "", None))

    def _announce(self, pid: bytes, act: StatusAct, reason: str, note: str, actor: str | None) -> int:
        at = self.issuing.clock.now()
        with self.issuing.database.write() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step="ISSUED")
            _check_actor(row.authority_id, actor)
            next_status(Status(row.status), act)
            operation_id: int = tables.insert(
                connection,
                operations_sql.OperationRow(
                    ecertificate_id=row.id or 0,
                    kind=_KINDS[act].name,
                    reason=reason,
                    note=note or None,
                    actor=row.authority_id,
                    salt=self.issuing.entropy.bytes(16 * 4),
                    at=tables.to_micros(at),
                ),
            )
            ecertificates_sql.claim_for_operation(connection, row.id or 0, Status(row.status), operation_id)
        return operation_id

    def _complete(self, operation_id: int) -> None:
        with self.issuing.database.read() as connection:
            operation = tables.one_row(connection, operations_sql.OperationRow, id=operation_id)
            row = ecertificates_sql.get_ecertificate(connection, id=operation.ecertificate_id)
            last_seq = operations_sql.last_entry_seq(connection, row.id or 0)
        appended = append_act(self.issuing, operation, row, after=last_seq)
        act = _ACTS[operation.kind]
        with self.issuing.database.write() as connection:
            tables.update(
                connection,
                ecertificates_sql.ECertificateRow,
                {"id": row.id, "pending_operation": operation_id},
                {
                    "status": next_status(Status(row.status), act).value,
                    "status_reason": operation.reason if act is not StatusAct.REINSTATE else None,
                    "status_at": operation.at,
                    "pending_operation": None,
                },
            )
            values = {"done": True, "entry_seq": appended.seq}
            tables.update(connection, operations_sql.OperationRow, {"id": operation_id}, values)


def append_act(
    issuing: Issuing,
    operation: operations_sql.OperationRow,
    row: ecertificates_sql.ECertificateRow,
    *,
    after: int | None = None,
) -> Appended:
    """The ledger entry of an announced act, appended and published. `after` is the entry that it builds on, if any.

    Raises `Conflict` if the ledger is ahead of the register (which was restored from a backup): nothing is recorded,
    and the claim of the act on the e-certificate is released.
    """
    request = AppendRequest(
        operation_id=operation.id or 0,
        kind=EntryKind[operation.kind],
        actor=operation.actor,
        subject_id=row.id or 0,
        ref=ecertificate_ref(bytes(row.pid), bytes(row.ref_salt)),
        commit=status_commit(operation),
        suite="",
        after=after,
    )
    try:
        (appended,) = issuing.log.append([request])
    except Conflict:
        with issuing.database.write() as connection:
            where = {"id": row.id, "pending_operation": operation.id}
            tables.update(connection, ecertificates_sql.ECertificateRow, where, {"pending_operation": None})
        raise
    issuing.log.publish()
    return appended


def status_commit(operation: operations_sql.OperationRow) -> bytes:
    """The commitment of a status entry: act, reason, note and time, each with 16 bytes of salt."""
    salts = bytes(operation.salt)
    fields = {
        "act": operation.kind,
        "at": str(operation.at),
        "note": operation.note or "",
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


def _check_actor(issuer: str, actor: str | None) -> None:
    if actor is not None and actor != issuer:
        raise NotPermitted("Only the authority that issued an e-certificate may change its status.")
