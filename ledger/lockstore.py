"""The lock store: the log's memory of the heads it has committed to, kept apart from the log.

A head is written here before it is signed. If an old backup of the log's database is restored, or two publishers run
by mistake, the publisher finds a larger or another head here and stops, instead of signing a second history (a fork).
That only works if the lock store is not restored together with the log: it has its own SQLite file, best on another
disk; with publishers on several hosts its own PostgreSQL instance.

Duties: `compare_and_swap` is atomic and durable on return. It never decreases the size, never changes the root of a
size, never replaces a signed note, and never accepts larger trees without proofs that the smaller ones are their
prefixes.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.exc import IntegrityError

from ledger import sql
from ledger.lockedhead import LockedHead
from trust.encoding.merkle import check_consistency
from trust.model.errors import LedgerHalted, StorageError, VerificationError
from trust.storage.sql import Database


class HeadMoved(StorageError):
    """The log is bound to another head than the caller knew: the caller lost its turn, or two logs share a name."""


class LockStore:
    """The lock store in its own database, which the caller opens and closes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        sql.create_lock_tables(database)

    def head(self, origin: str) -> LockedHead | None:
        """The head that the log called `origin` is bound to, or None if it has never locked one."""
        with self._database.read() as connection:
            return sql.read_locked_head(connection, origin)

    def compare_and_swap(
        self,
        origin: str,
        *,
        old: LockedHead | None,
        new: LockedHead,
        consistency: Sequence[bytes] = (),
        sm3_consistency: Sequence[bytes] = (),
    ) -> None:
        """Binds the log to `new` if it is bound to `old`; the proofs show each old tree a prefix of the new.

        Raises `LedgerHalted` if the step from `old` to `new` is not allowed, and `HeadMoved` if the log is bound to
        another head: then nothing was changed, and the caller must start again from that head.
        """
        _check_step(old, new, consistency, sm3_consistency)
        try:
            with self._database.write() as connection:
                if old is None:
                    sql.insert_locked_head(connection, origin, new)
                    swapped = True
                else:
                    swapped = sql.swap_locked_head(connection, origin, old=old, new=new)
        except IntegrityError:
            swapped = False
        if not swapped:
            raise HeadMoved(
                f"The lock store holds another head than the one this process knows (size {_size(old)}).",
                "Another process publishes this log, or a backup was restored. Find out which, then restart.",
            )

    def bring_up(self, origin: str, *, old: LockedHead | None, new: LockedHead) -> None:
        """Binds the log to `new` without proofs; for recovery only, which has rebuilt both trees from their entries and
        compared the roots of `old`. Raises `LedgerHalted` for a smaller head, and `HeadMoved`."""
        if old is not None and new.size <= old.size:
            raise LedgerHalted(f"The log cannot go back from size {old.size} to {new.size}.")
        with self._database.write() as connection:
            if old is None:
                sql.insert_locked_head(connection, origin, new)
            elif not sql.swap_locked_head(connection, origin, old=old, new=new):
                raise HeadMoved("The lock store was changed meanwhile.", "Does another process publish?")


def _check_step(
    old: LockedHead | None, new: LockedHead, consistency: Sequence[bytes], sm3_consistency: Sequence[bytes]
) -> None:
    if old is None:
        return
    if new.size < old.size:
        raise LedgerHalted(f"The log cannot go back from size {old.size} to {new.size}.")
    for algorithm, root1, root2, proof in (
        ("sha256", old.root, new.root, consistency),
        ("sm3", old.sm3_root, new.sm3_root, sm3_consistency),
    ):
        try:
            check_consistency(
                size1=old.size, root1=root1, size2=new.size, root2=root2, proof=proof, algorithm=algorithm
            )
        except VerificationError as exc:
            raise LedgerHalted(
                f"The {algorithm} tree of size {new.size} does not continue the locked one of size {old.size}.",
                "Entries have been changed. Run recheck, and restore the log from its tiles or a mirror.",
            ) from exc
    is_signed_again = (new.note, new.sm3_note) != (old.note, old.sm3_note)
    if new.size == old.size and old.is_signed and is_signed_again:
        raise LedgerHalted(f"The checkpoint of size {old.size} has been signed; it is not signed again.")


def _size(head: LockedHead | None) -> str:
    return "none" if head is None else str(head.size)
