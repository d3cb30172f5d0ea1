"""Tidying documents: what rounds do so that each file is stored once, and no file without a row.

delete    objects of deleted rows, as after an erasure
move      files that an older version stored in the register, into objects
sweep     objects that no row names, and half-written ones: what a crash left before the row
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta

from issuer.ecertificates import sql
from issuer.ecertificates.documents import Documents, number_in
from issuer.ecertificates.kinds import DocumentKind, Step
from trust.model.errors import StorageError
from trust.storage.sql import Database

GRACE = timedelta(hours=6)
"""An object that is not named yet is left alone for so long."""
_SWEEP_EVERY, _FIRST_SWEEP_AFTER = timedelta(days=1), timedelta(hours=1)
_MOVE = 16


@dataclass(slots=True)
class _Did:
    sweep_at: float = field(default_factory=lambda: time.monotonic() + _FIRST_SWEEP_AFTER.total_seconds())
    is_moved: bool = False


@dataclass(frozen=True, slots=True)
class Tidying:
    """The rounds. Any number of processes may do them at once."""

    database: Database
    documents: Documents
    _did: _Did = field(default_factory=_Did, repr=False)

    def run(self) -> None:
        """One round. The folder is swept an hour after the start, and then once a day."""
        self.documents.delete_let_go(self.database)
        try:
            while not self._did.is_moved:
                self.move()
        except StorageError:
            self._did.is_moved = (
                True  # one that is edited or cannot be written: tried again at the next start
            )
            raise
        if time.monotonic() >= self._did.sweep_at:
            self.sweep()
            self._did.sweep_at = time.monotonic() + _SWEEP_EVERY.total_seconds()

    def move(self) -> int:
        """Moves some files out of the register; the number of them, 0 if none is left."""
        with self.database.read() as connection:
            ids = sql.with_document(connection, DocumentKind.ISSUED, limit=_MOVE)
            stored = sql.documents_of(connection, ids, (DocumentKind.ISSUED, DocumentKind.SOURCE))
        self._did.is_moved = not ids
        if not ids:
            return 0
        issued = {each: stored[each, DocumentKind.ISSUED] for each in ids}
        sources = {
            each: stored[each, DocumentKind.SOURCE] for each in ids if (each, DocumentKind.SOURCE) in stored
        }
        files = self.documents.write(issued, sources)
        with self.database.write() as connection:
            rows = sql.lock_ecertificates(connection, ids)
            there = set(sql.with_document(connection, DocumentKind.ISSUED, among=ids))
            todo = [each for each in ids if each in there and rows[each].step == Step.ISSUED]
            self.documents.refer(connection, files, todo)
            return len(todo)

    def sweep(self, grace: timedelta = GRACE) -> int:
        """Deletes objects that no row names and that are older than `grace`; the number of them."""
        count = 0
        self.documents.objects.clean(grace)
        for name in self.documents.objects.older_than(grace):
            with self.database.read() as connection:
                if self.documents.is_named(connection, name):
                    continue
            with self.database.write() as connection:
                # A process that was stopped for long may be about to refer to it, which it does under this lock.
                sql.lock_ecertificates(connection, [number_in(name)])
                if not self.documents.is_named(connection, name):
                    self.documents.objects.delete([name])
                    count += 1
        return count
