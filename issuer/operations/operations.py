"""Operations: irreversible acts, from the decision to the completed act, each exactly once.

    1  announce   the act is stored with the decision, in one transaction, and is in the hands of this process
    2  append     its ledger entry; repeating it with the same operation gives the same entry
    3  complete   the subject looks again under its lock, stores what follows from the entry, and the act is done

Any number of threads, processes and hosts may work on operations. A lease says that somebody has an operation in hand;
when it ends, the keeper's rounds carry on what a dead process left. A lease only saves work: if it ends while its
holder still works, both append the same entry, and the second to complete finds the act done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.engine import Connection

from issuer.operations import sql
from issuer.operations.model import Operation, OperationKind
from ledger.log import Appended, AppendRequest, Log
from trust.audit.trail import Act, Trail
from trust.model.actor import SYSTEM, ActorRef
from trust.model.clock import Clock
from trust.model.errors import Conflict, OperationalError, StorageError, TrustError
from trust.storage import tables
from trust.storage.sql import Database

BATCH = 32
"""Operations that rounds claim, append and complete together."""


class Completing(Protocol):
    """What a subject does with its operations when they are appended."""

    def request(self, operation: Operation) -> AppendRequest | None:
        """The entry to append. None if the act has no effect any more, as its subject was erased or withdrawn."""

    def prepare(self, operations: Sequence[Operation], appended: Sequence[Appended]) -> None:
        """Called after the append and before the transaction that completes, for work that takes long."""

    def lock(self, connection: Connection, operations: Sequence[Operation]) -> None:
        """Locks the subjects until the transaction ends, in an order that all processes keep."""

    def finish(self, connection: Connection, appended: Sequence[tuple[Operation, Appended]]) -> None:
        """Stores what follows from the entries. Called under the lock, once for each operation; it must look again at
        what it changes."""

    def let_go(self, connection: Connection, operation: Operation) -> None:
        """The ledger refused the act or it has no effect: takes it back, under the lock of its subject."""


@dataclass(frozen=True, slots=True)
class Operations:
    """The use case that all subjects share."""

    database: Database
    log: Log
    clock: Clock
    trail: Trail

    def announce(
        self,
        connection: Connection,
        kind: OperationKind,
        *,
        by: ActorRef,
        ecertificate_id: int = 0,
        actor: str,
        at: int | None = None,
        salt: bytes = b"",
        reason: str | None = None,
        note: str | None = None,
        requested_by: str | None = None,
        approved_by: str | None = None,
    ) -> Operation:
        """Stores the act in the caller's transaction; from its end on it is in the hands of this process.

        `by` is who decided, `actor` the authority in the ledger's entry. `at` is in microseconds since 1970; by default
        it is now.
        """
        now = self.now()
        operation = Operation(
            operation_id=0,
            kind=kind,
            ecertificate_id=ecertificate_id,
            actor=actor,
            at=now if at is None else at,
            salt=salt,
            reason=reason,
            note=note,
            requested_by=requested_by,
            approved_by=approved_by,
            decided_by=by,
        )
        return sql.announce(connection, operation, held_until=sql.end_of_lease(now))

    def complete(self, operations: Sequence[Operation], completing: Completing) -> list[Appended]:
        """Appends and completes announced operations, all of them or none; returns their entries in the same order.

        Raises `Conflict` if the ledger refuses them: nothing is recorded, and their subjects are released. After any
        other error they can be carried on at once by whoever comes next.
        """
        with self.releasing(operations):
            return self._complete(operations, completing)

    def _complete(self, operations: Sequence[Operation], completing: Completing) -> list[Appended]:
        requests = [completing.request(each) for each in operations]
        wanted = [each for each in requests if each is not None]
        if len(wanted) < len(requests):
            for operation, request in zip(operations, requests, strict=True):
                if request is None:
                    self.let_go([operation], completing)
            raise Conflict("The act has no effect any more.", "Look at the present status.")
        try:
            appended = self.log.append(wanted)
        except Conflict:
            if len(operations) == 1:
                self.let_go(operations, completing)
            raise
        completing.prepare(operations, appended)
        with self.database.write() as connection:
            completing.lock(connection, operations)
            left = sql.lock_not_done(connection, [each.operation_id for each in operations])
            # Those that are done already were completed by another thread or process.
            finished = [
                (operation, entry)
                for operation, entry in zip(operations, appended, strict=True)
                if operation.operation_id in left
            ]
            completing.finish(connection, finished)
            sql.set_done(connection, [(each.operation_id, entry.seq) for each, entry in finished])
        return appended

    def carry_on(self, kinds: Collection[OperationKind], completing: Completing) -> int:
        """Completes what nobody has in hand, and returns the number of operations that were looked at.

        An edited row, and one that the ledger refuses, do not affect the others. Raises `StorageError` for the first
        edited row afterwards, and any other `OperationalError` at once.
        """
        count = 0
        refused: StorageError | None = None
        for claimed, edited in self.claim(kinds):
            refused = refused or edited
            for _, error in self.complete_each(claimed, completing):
                if isinstance(error, StorageError):
                    refused = refused or error
            count += len(claimed)
        if refused is not None:
            raise refused
        return count

    def complete_each(
        self, operations: Sequence[Operation], completing: Completing
    ) -> list[tuple[Operation, TrustError | None]]:
        """`complete` for operations that do not depend on each other: each with its error, if it was refused or edited.

        Raises any other `OperationalError`.
        """
        if not operations:
            return []
        with self.releasing(operations):
            try:
                self._complete(operations, completing)
            except (Conflict, StorageError) as exc:
                if len(operations) == 1:
                    self.release(operations)
                    return [(operations[0], exc)]
            else:
                return [(each, None) for each in operations]
            return [found for each in operations for found in self.complete_each([each], completing)]

    def claim(
        self, kinds: Collection[OperationKind], limit: int = BATCH
    ) -> Iterator[tuple[list[Operation], StorageError | None]]:
        """Takes what nobody has in hand, in batches, oldest first: the operations, and the error of an edited row.

        A batch is passed over when the next one is asked for, done or not.
        """
        after = 0
        while True:
            now = self.now()
            # Rounds mostly find nothing, and a look costs no turn of the writer.
            with self.database.read() as connection:
                if not sql.has_free(connection, kinds, now, after):
                    return
            with self.database.write() as connection:
                claimed, after, edited = sql.claim(connection, kinds, after=after, limit=limit, now=now)
            if not after:
                return
            yield claimed, edited

    def write_down(self, connection: Connection, operation: Operation, act: Act) -> None:
        """Writes into the audit trail, in the transaction that completes it, what an operation did."""
        self.write_down_each(connection, [(operation, act)])

    def write_down_each(self, connection: Connection, acts: Sequence[tuple[Operation, Act]]) -> None:
        """`write_down` for many operations."""
        self.trail.record_each(connection, [(each.decided_by or SYSTEM.ref, act) for each, act in acts])

    def releasing(self, operations: Sequence[Operation]) -> AbstractContextManager[None]:
        """If the block fails, puts the operations out of hand, so that others may carry them on at once."""
        return self.releasing_ids([each.operation_id for each in operations])

    @contextmanager
    def releasing_ids(self, operation_ids: Sequence[int]) -> Iterator[None]:
        """`releasing` by the ids of operations."""
        try:
            yield
        except Exception:
            self._release(operation_ids)
            raise

    def release(self, operations: Sequence[Operation]) -> None:
        """Puts operations out of hand."""
        self._release([each.operation_id for each in operations])

    def _release(self, operation_ids: Sequence[int]) -> None:
        # A lease that cannot be ended now ends by itself.
        with suppress(OperationalError), self.database.write() as connection:
            sql.release(connection, operation_ids)

    def keep(self, operation_ids: Sequence[int]) -> None:
        """Keeps operations in hand, for work that takes longer than a lease."""
        with self.database.write() as connection:
            sql.hold(connection, operation_ids, self.now())

    def now(self) -> int:
        """Microseconds since 1970."""
        return tables.to_micros(self.clock.now())

    def let_go(self, operations: Sequence[Operation], completing: Completing) -> None:
        """Takes back what was announced and not appended."""
        with self.database.write() as connection:
            for operation in operations:
                completing.lock(connection, [operation])
                if sql.lock_not_done(connection, [operation.operation_id]):
                    completing.let_go(connection, operation)
