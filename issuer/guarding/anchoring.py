"""Anchoring the audit trail in the ledger: `trust.audit.sealer.Anchors`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.engine import Connection

from issuer.operations import sql as operations_sql
from issuer.operations.model import Operation, OperationKind
from issuer.operations.operations import Operations
from ledger.log import Appended, AppendRequest, Log
from trust.audit.sealer import anchor_commit, free_anchor, take_anchor
from trust.encoding.entry import NO_REF, EntryKind
from trust.model.actor import SYSTEM
from trust.model.errors import NotFound
from trust.storage.sql import Database

ACTOR: Final = "audit"
"""The actor of the entries that anchor the trail."""


@dataclass(frozen=True, slots=True)
class TrailAnchors:
    """Implements `Anchors`."""

    database: Database
    log: Log
    operations: Operations

    def anchor(self, batch: int) -> None:
        with self.database.write() as connection:
            operation = self.operations.announce(
                connection, OperationKind.AUDIT_TRAIL, by=SYSTEM.ref, actor=ACTOR
            )
            if not take_anchor(connection, batch, operation.operation_id):
                operations_sql.delete_operation(connection, operation.operation_id)
                return  # another process anchors it
        self.operations.complete([operation], _Completing(self.database, self.log, self.operations))

    def resume_pending(self) -> int:
        """Completes anchors that a dead process left."""
        return self.operations.carry_on(
            (OperationKind.AUDIT_TRAIL,), _Completing(self.database, self.log, self.operations)
        )

    def entries(self) -> tuple[int, Mapping[int, bytes]]:
        size = self.log.size
        found = {
            entry.seq: entry.commit
            for _, entry in self.log.entries()
            if entry.kind is EntryKind.AUDIT_TRAIL and entry.seq < size
        }
        return size, found

    def entry_of(self, operation_id: int) -> int | None:
        with self.database.read() as connection:
            operation = operations_sql.find_operation(connection, operation_id)
        if operation is None or operation.kind is not OperationKind.AUDIT_TRAIL:
            raise NotFound(f"The operation {operation_id} anchors nothing.")
        return operation.entry_seq


@dataclass(frozen=True, slots=True)
class _Completing:
    """`issuer.operations.operations.Completing` for anchors."""

    database: Database
    log: Log
    operations: Operations

    def request(self, operation: Operation) -> AppendRequest | None:
        with self.database.read() as connection:
            commit = anchor_commit(connection, operation.operation_id)
        if commit is None:
            return None
        return AppendRequest(
            operation_id=operation.operation_id,
            kind=EntryKind.AUDIT_TRAIL,
            actor=ACTOR,
            subject_id=None,
            ref=NO_REF,
            commit=commit,
            suite="",
        )

    def prepare(self, operations: Sequence[Operation], appended: Sequence[Appended]) -> None:
        self.log.publish()

    def lock(self, connection: Connection, operations: Sequence[Operation]) -> None:
        """Nothing: a batch never changes."""

    def finish(self, connection: Connection, appended: Sequence[tuple[Operation, Appended]]) -> None:
        """Nothing: the operation has the number of the entry."""

    def let_go(self, connection: Connection, operation: Operation) -> None:
        free_anchor(connection, operation.operation_id)
        operations_sql.delete_operation(connection, operation.operation_id)
