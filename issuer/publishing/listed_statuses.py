"""Which places of which status list are not VALID, followed as the ledger grows.

What the ledger says decides; the register says only where an e-certificate stands in the lists, by a row that matches
its ref. Each change is looked up once, and a list is packed again only if one of its own places has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from issuer.ecertificates import sql as ecertificates_sql
from issuer.operations import sql as operations_sql
from issuer.operations.lives import STATUS_OF_LIFE
from ledger.lifecycle import Life
from ledger.log import Log
from trust.encoding.commitment import ecertificate_ref
from trust.encoding.status_list import pack
from trust.model.errors import StorageError
from trust.model.status import Status
from trust.storage.sql import Database


class ListedStatuses:
    """One for each process. Any number of threads may ask."""

    def __init__(self, database: Database, log: Log) -> None:
        self._database = database
        self._log = log
        self._turn = Lock()
        self._seen = 0
        self._place_of: dict[bytes, tuple[int, int]] = {}
        self._erased_rows: dict[int, bytes] = {}
        self._lists: dict[int, dict[int, Status]] = {}
        self._packed: dict[int, bytes] = {}

    def packed(self, number: int) -> tuple[int, bytes]:
        """The size of the ledger, and the content of a list there.

        Raises `StorageError` (ROW_EDITED) if the row of an e-certificate that is not in force is gone or was edited.
        After a recovery the log may contain e-certificates that the register does not know; they are in no list.
        """
        with self._turn:
            changes = self._log.standing.changes_since(self._seen)
            self._find(
                {
                    ref: life
                    for ref, life in changes.lives.items()
                    if life is not Life.VALID and ref not in self._place_of
                }
            )
            if changes.is_all:
                self._lists.clear()
                self._packed.clear()
            self._take_in(changes.lives)
            self._seen = changes.seen
            if number not in self._packed:
                self._packed[number] = pack(self._lists.get(number, {}))
            return changes.size, self._packed[number]

    def _take_in(self, changed: Mapping[bytes, Life]) -> None:
        for ref, life in changed.items():
            if (place := self._place_of.get(ref)) is None:
                continue  # never out of force here, or unknown after a recovery
            number, index = place
            statuses = self._lists.setdefault(number, {})
            before = statuses.pop(index, Status.VALID)
            after = STATUS_OF_LIFE[life]
            if after is not Status.VALID:
                statuses[index] = after
            if after is not before:
                self._packed.pop(number, None)

    def _find(self, wanted: Mapping[bytes, Life]) -> None:
        """Looks up where these stand."""
        if not wanted:
            return
        hints = self._log.standing.subjects_of(wanted)
        if hints.keys() != wanted.keys():
            hints |= {
                ref: subject for ref, subject in self._log.subjects_not_in_force().items() if ref in wanted
            }
        with self._database.read() as connection:
            rows = ecertificates_sql.ecertificates_with(connection, hints.values())
            found = self._matching(hints, rows, wanted)
            if found.keys() != wanted.keys():
                # The subject in the ledger's table was edited, or lost in a recovery.
                subjects = {
                    ref: subject
                    for subject, pid, salt, _, _ in ecertificates_sql.places_in_lists(connection)
                    if salt and (ref := ecertificate_ref(pid, salt)) in wanted and ref not in found
                }
                rows = ecertificates_sql.ecertificates_with(connection, subjects.values())
                found |= self._matching(subjects, rows, wanted)
        lost = wanted.keys() - found.keys()
        if lost and not self._is_restored():
            raise StorageError(
                f"{len(lost)} e-certificate(s) that are not in force are gone from the register.",
                "Run `yinzheng ledger recheck` and find out who changed the database.",
                code="ROW_EDITED",
            )
        for ref, (subject, place) in found.items():
            self._place_of[ref] = place
            self._erased_rows.setdefault(subject, ref)

    def _matching(
        self,
        subjects: Mapping[bytes, int],
        rows: Mapping[int, ecertificates_sql.ECertificateRow],
        wanted: Mapping[bytes, Life],
    ) -> dict[bytes, tuple[int, tuple[int, int]]]:
        """Subject id, and list and index, by ref, from rows whose ref matches.

        Erased rows have no salt to compute a ref, so their subject id is enough, for one ref a row.
        """
        found: dict[bytes, tuple[int, tuple[int, int]]] = {}
        taken = dict(self._erased_rows)
        for ref, subject in subjects.items():
            row = rows.get(subject)
            if row is None:
                continue
            if row.ref_salt:
                is_right = ecertificate_ref(bytes(row.pid), bytes(row.ref_salt)) == ref
            else:
                is_right = wanted[ref] is Life.ERASED and taken.setdefault(subject, ref) == ref
            if is_right:
                found[ref] = subject, (row.status_list, row.status_index)
        return found

    def _is_restored(self) -> bool:
        """True if log or register were restored, so that rows missing in the register are no sign of an attack."""
        with self._database.read() as connection:
            return self._log.is_recovered or operations_sql.has_gap(connection)
