"""Finding the register's ids for entries of the ledger, for `yinzheng ledger recover`."""

from __future__ import annotations

from issuer.archive import sql as archive_sql
from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.statuses import status_commit
from issuer.guarding import sql as guarding_sql
from issuer.operations import sql as operations_sql
from issuer.operations.model import Operation
from issuer.publishing import sql as publishing_sql
from issuer.seals import sql as seals_sql
from issuer.seals.lifecycle import event_commit
from trust.audit.sealer import anchoring_operations
from trust.encoding.commitment import ecertificate_ref
from trust.encoding.digests import sha256
from trust.encoding.entry import Entry, EntryKind
from trust.storage import tables
from trust.storage.sql import Database


class RegisterIdentities:
    """Ids of e-certificates and operations by the refs and commitments of their entries, as far as the register has
    them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.read() as connection:
            self._subjects = {
                ecertificate_ref(pid, salt): ecertificate_id
                for ecertificate_id, pid, salt, _, _ in ecertificates_sql.places_in_lists(connection)
                if salt
            }
            self._erased = {
                operation.entry_seq: operation.ecertificate_id
                for operation in operations_sql.issues(connection)
                if operation.entry_seq is not None
            }
            self._seal_events = {
                event_commit(row): row.operation_id
                for row in tables.all_rows(connection, seals_sql.SealEventRow)
            }
            self._register_events = {
                bytes(row.commitment): row.operation_id for row in guarding_sql.register_events(connection)
            }
            self._anchors = anchoring_operations(connection)
            self._versions: dict[bytes, int] = {
                bytes(row.commit): row.operation_id
                for row in tables.all_rows(connection, archive_sql.LaterVersionRow)
            }
            self._lists = {
                sha256(bytes(row.encoded)): row.operation_id
                for number in ecertificates_sql.status_list_numbers(connection)
                for row in publishing_sql.status_lists_of(connection, number)
            }

    def subject_id(self, ref: bytes) -> int | None:
        return self._subjects.get(ref)

    def operation_id(self, entry: Entry) -> int | None:
        if entry.kind is EntryKind.STATUS_LIST:
            return self._lists.get(entry.commit)
        if entry.kind is EntryKind.SEAL_EVENT:
            return self._seal_events.get(entry.commit)
        if entry.kind is EntryKind.REGISTER_EVENT:
            return self._register_events.get(entry.commit)
        if entry.kind is EntryKind.AUDIT_TRAIL:
            return self._anchors.get(entry.commit)
        if entry.kind is EntryKind.LATER_VERSION and entry.commit in self._versions:
            return self._versions[entry.commit]
        ecertificate_id = self._subjects.get(entry.ref)
        if ecertificate_id is None and entry.kind is EntryKind.ISSUED:
            # Its salts were erased, but the register has the number of its entry.
            ecertificate_id = self._erased.get(entry.seq)
            if ecertificate_id is not None:
                self._subjects[entry.ref] = ecertificate_id
        if ecertificate_id is None:
            return None
        with self._database.read() as connection:
            operations = operations_sql.operations_of(connection, ecertificate_id)
        for operation in operations:
            if operation.kind.name == entry.kind.name and (
                operation.entry_seq == entry.seq
                or (operation.entry_seq is None and _is_commit_of(operation, entry))
            ):
                return operation.operation_id
        return None


def _is_commit_of(operation: Operation, entry: Entry) -> bool:
    """True if the entry is that of an operation which a crash left uncompleted after appending. An e-certificate has
    only one entry of its issue, so that is not compared."""
    return entry.kind is EntryKind.ISSUED or status_commit(operation) == entry.commit
