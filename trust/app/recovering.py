"""`yinzheng ledger recover`: the ledger's database out of its published files, with the register's numbers.

The service cannot be opened while its database is behind, so this opens the parts alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from issuer.archive import sql as archive_sql
from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.statuses import status_commit
from issuer.guarding import sql as guarding_sql
from issuer.operations import sql as operations_sql
from issuer.publishing import sql as publishing_sql
from issuer.seals import sql as seals_sql
from issuer.seals.seals import event_commit
from keys.service_keys import ServiceKeys
from ledger.outside import LedgerMark
from ledger.publisher import vkey_of
from ledger.recover import Recovered, recover
from ledger.statekey import StateKey
from ledger.text import decode_utf8
from ledger.tilefolder import SM3_FOLDER, TileFolder
from trust.app.compose import MARKED_FILE, ServiceSecrets, checkpoint_keys, open_keys
from trust.app.settings import Settings
from trust.app.stores import opened_stores
from trust.encoding.commitment import ecertificate_ref
from trust.encoding.digests import sha256
from trust.encoding.entry import Entry, EntryKind
from trust.model.clock import SystemClock
from trust.storage import tables
from trust.storage.sql import Database


def recover_ledger(
    settings: Settings,
    source: Path | None,
    *,
    even_if_not_behind: bool = False,
    nothing_issued_since: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Recovered:
    """Fills the ledger's database out of `source` (by default the service's own published files).

    The checkpoint of a mirror and the mark outside the folder say how far the ledger was signed; without either, the
    operator does (`nothing_issued_since`).

    Raises what `ledger.recover.recover` raises, and `Conflict` while the service runs on SQLite. On PostgreSQL
    stop every process first; one that was forgotten stops by itself at its next entry.
    """
    data = settings.data
    with opened_stores(settings) as stores:
        register, ledger, lock_store = stores.register, stores.ledger, stores.lock
        key = checkpoint_keys(ServiceKeys(register, open_keys(settings), SystemClock()))[0]
        recovered = recover(
            ledger,
            lock_store,
            TileFolder(source or data / "ledger"),
            log_vkey=vkey_of(settings.origin, key),
            identities=RegisterIdentities(register),
            even_if_not_behind=even_if_not_behind,
            state_key=StateKey(ServiceSecrets(settings.keys_folder).derive("ledger state")),
            known_outside=_known_outside(settings, source),
            nothing_issued_since=nothing_issued_since,
            on_progress=on_progress,
        )
        # In our own folder, never in a mirror.
        for folder in (data / "ledger", data / "ledger" / SM3_FOLDER):
            TileFolder(folder).set_aside_beyond(recovered.size)
        return recovered


def _known_outside(settings: Settings, source: Path | None) -> list[str]:
    """Signed checkpoints that were not restored together with the data folder."""
    found = []
    if settings.ledger_mark is not None:
        marked = LedgerMark(settings.ledger_mark, settings.data / MARKED_FILE).note()
        if marked is not None:
            found.append(marked)
    if source is not None and not source.resolve().is_relative_to(settings.data):
        published = TileFolder(source).read_checkpoint()
        if published is not None:
            found.append(decode_utf8(published))
    return found


class RegisterIdentities:
    """What the register remembers of its requests to the ledger."""

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
                for operation in tables.all_rows(
                    connection, operations_sql.OperationRow, kind=EntryKind.ISSUED.name
                )
                if operation.entry_seq is not None
            }
            self._seal_events = {
                event_commit(row): row.operation_id
                for row in tables.all_rows(connection, seals_sql.SealEventRow)
            }
            self._register_events = {
                bytes(row.commitment): row.operation_id for row in guarding_sql.register_events(connection)
            }
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
        if entry.kind is EntryKind.LATER_VERSION and entry.commit in self._versions:
            return self._versions[entry.commit]
        ecertificate_id = self._subjects.get(entry.ref)
        if ecertificate_id is None and entry.kind is EntryKind.ISSUED:
            # Erased since: its salts are gone, but the register knows which entry it was.
            ecertificate_id = self._erased.get(entry.seq)
            if ecertificate_id is not None:
                self._subjects[entry.ref] = ecertificate_id
        if ecertificate_id is None:
            return None
        with self._database.read() as connection:
            operations = operations_sql.operations_of(connection, ecertificate_id)
        for operation in operations:
            if operation.kind == entry.kind.name and (
                operation.entry_seq == entry.seq
                or (operation.entry_seq is None and _is_commit_of(operation, entry))
            ):
                return operation.id
        return None


def _is_commit_of(operation: operations_sql.OperationRow, entry: Entry) -> bool:
    """An act that was announced and appended, and whose completion a crash prevented. An e-certificate is
    issued once, so its entry needs no comparison."""
    return entry.kind is EntryKind.ISSUED or status_commit(operation) == entry.commit
