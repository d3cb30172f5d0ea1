"""The log's memory of what it has bound itself to, kept apart from the log.

A head is written here before it is signed. Whoever restores an old backup of the log's database, or runs
two publishers by mistake, then meets a larger or another head here and stops, instead of signing a second
history (a fork). That only works if this memory is not restored together with the log: its own SQLite file,
best on another disk; with publishers on several hosts its own PostgreSQL instance.

Duties: `compare_and_swap` is atomic and durable on return; it never goes back, never changes the root of a
size, never replaces a signed note, and never takes a larger tree without a proof that the smaller one is its
prefix.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.exc import IntegrityError

from ledger import sql
from ledger.lockedhead import LockedHead
from trust.encoding.merkle import check_consistency
from trust.model.errors import LedgerHalted, VerificationError
from trust.storage.sql import Database


class LockStore:
    """The lock store in its own database, which the caller opens and closes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        sql.create_lock_tables(database)

    def head(self, origin: str) -> LockedHead | None:
        """What the log called `origin` is bound to, or None if it has never locked a head."""
        with self._database.read() as connection:
            return sql.read_locked_head(connection, origin)

    def compare_and_swap(
        self, origin: str, *, old: LockedHead | None, new: LockedHead, consistency: Sequence[bytes] = ()
    ) -> None:
        """Binds the log to `new` if it is bound to `old`; `consistency` proves old a prefix of new.

        Raises `LedgerHalted` if the log is bound to something else, or must not go from `old` to `new`.
        """
        _check_step(old, new, consistency)
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
            raise LedgerHalted(
                f"The lock store holds another head than the one this process knows (size {_size(old)}).",
                "Another process publishes this log, or a backup was restored. Find out which, then restart.",
            )


def _check_step(old: LockedHead | None, new: LockedHead, consistency: Sequence[bytes]) -> None:
    if old is None:
        return
    if new.size < old.size:
        raise LedgerHalted(f"The log cannot go back from size {old.size} to {new.size}.")
    try:
        check_consistency(
            size1=old.size, root1=old.root, size2=new.size, root2=new.root, proof=list(consistency)
        )
    except VerificationError as exc:
        raise LedgerHalted(
            f"The tree of size {new.size} does not continue the locked one of size {old.size}.",
            "Entries have been changed. Run recheck, and restore the log from its tiles or a mirror.",
        ) from exc
    if new.size == old.size and old.is_signed and new.note != old.note:
        raise LedgerHalted(f"The checkpoint of size {old.size} has been signed; it is not signed again.")


def _size(head: LockedHead | None) -> str:
    return "none" if head is None else str(head.size)
