"""Checking rows of the register when they are read, so that a row that was edited from outside is not used.

Two kinds of tables:

    recorded       few rows, which change: authorities, CAs, keys, seals, API keys, members … Each change is a
                   REGISTER_EVENT of the ledger, which commits to the row's new MAC. A row must match the newest event
                   about it; one without an event was added from outside. So an older version of a row with its own MAC
                   is detected too, and so is a deleted row.
    with a MAC     many rows, whose important columns are written once: e-certificates, operations, documents,
                   holders, claim links, sessions. The MAC is in the row. It does not cover the columns that end a row;
                   for an e-certificate, the ledger is asked (`ledger.standing`).

The MAC is over its version, the table and every important column, with a key that is not in the database.

    MAC       HMAC-SHA256(key, CBOR [1, table, [[column, value], …]])          columns in the order of their names
    payload   CBOR [1, operation id, is enrolment, [[table, [key, …], MAC], …]]      MAC empty: the row was deleted
    commit    HMAC-SHA256(key, payload), in the ledger's entry

An enrolment is an event with all rows as they are: at the beginning, after an upgrade, and when an operator asks for it
(`yinzheng ledger accept-register`). A change is announced in its own transaction and appended afterwards; until then
the announcement counts, which contains the MAC too.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import cbor2
from sqlalchemy.engine import Connection

from issuer.ecertificates.kinds import Step
from issuer.guarding import sql as guarding_sql
from issuer.operations import sql as operations_sql
from issuer.operations.lives import STATUS_AFTER, STATUS_OF_LIFE
from issuer.operations.model import OperationKind
from ledger.lifecycle import Life
from ledger.log import AppendRequest, Log
from trust.encoding.commitment import ecertificate_ref
from trust.encoding.entry import NO_REF, EntryKind
from trust.model.clock import Clock
from trust.model.errors import Busy, NotFound, OperationalError, StorageError, VerificationError
from trust.model.status import Status
from trust.storage import tables
from trust.storage.guard import Key, changed_rows
from trust.storage.sql import Database

ACTOR: Final = "register"
RECORDED: Final[Mapping[str, frozenset[str]]] = {
    "authority": frozenset(),
    "ca": frozenset(),
    "revoked_x509_cert": frozenset(),
    "seal": frozenset({"pending_event"}),
    "seal_event": frozenset({"entry_seq"}),
    "seal_approval": frozenset(),
    "seal_identity": frozenset(),
    "service_key": frozenset(),
    "status_list": frozenset({"used"}),
    "trust_member": frozenset(),
    "trust_anchor": frozenset(),
    "outside_tsa": frozenset(),
    "ocsp_responder": frozenset(),
    "api_key": frozenset(),
}
"""The recorded tables, each with the columns that its MAC does not cover."""

WITH_MAC: Final[Mapping[str, tuple[str, ...]]] = {
    "ecertificate": (
        *(
            "id",
            "pid",
            "identifier",
            "request_key",
            "fields_digest",
            "authority_id",
            "type_short",
            "type_version",
        ),
        *("number", "serial", "version", "seal_id", "status_list", "status_index", "replaces_id", "ref_salt"),
        *("commit_salts", "created_at"),
    ),
    # Announced operations are resumed later, so one that was added from outside would be carried out.
    "operation": ("id", "ecertificate_id", "kind", "reason", "note", "actor", "salt", "at"),
    "document": ("ecertificate_id", "kind", "content"),
    "holder": ("holder_ref", "ecertificate_id"),
    "claim_link": ("token_hash", "holder_ref", "expires_at"),
    "web_session": ("token_hash", "kind", "subject", "csrf", "expires_at"),
    "presentation": (
        *("session_hash", "ecertificate_id", "purpose", "audience", "level", "started_at", "expires_at"),
    ),
}
"""The tables whose rows contain a MAC, each with the columns that it covers."""

_DECIDED: Final = ("decided_by", "decided_for", "decided_name")
_COLUMNS: Final = {table: frozenset(columns) for table, columns in WITH_MAC.items()}
_log = logging.getLogger("yinzheng.register")

_VERSION: Final = 1
_FRESH_SECONDS: Final = 1.0
_SNAPSHOT_SECONDS: Final = 5.0
_AT_ONCE: Final = 1000
_KNOWN_ENTRIES: Final = 100_000
_TODO: Final = (
    "Run `yinzheng ledger recheck` and find out who changed the database. "
    "After a restore, `yinzheng ledger accept-register` takes the rows as they are."
)


@dataclass(frozen=True, slots=True)
class _Said:
    """The MAC of a row in the newest event about it, and the one in the event before."""

    operation_id: int
    mac: bytes
    before: bytes
    seen_at: float


@dataclass(frozen=True, slots=True)
class _Announced:
    operation_id: int
    commit: bytes
    payload: bytes


class RegisterGuard:
    """The guard of a register. It accepts every row until `attach`, because rows with keys are read to open the log."""

    def __init__(self, database: Database, key: bytes, clock: Clock) -> None:
        self._database = database
        self._key = key
        self._clock = clock
        self._log: Log | None = None
        self._turn = threading.RLock()
        self._said: dict[Key, _Said] = {}
        self._good: dict[Key, tuple[tuple[Any, ...], int]] = {}
        self._events = 0
        self._done: set[bytes] = set()
        self._lost: int | None = None
        self._looked_at = float("-inf")
        self._in_ledger: dict[bytes, int] = {}

    def attach(self, log: Log) -> None:
        """From now on rows are checked against the ledger. A register without any event is enrolled.

        Rows that were edited while no service ran, or are already read without a check, are logged.
        """
        self._log = log
        self._look(always=True)
        if not self._events:
            self._take_over()
            self.enrol()
        with contextlib.suppress(OperationalError):  # `Keeper` tries again
            self.resume()
        for table, key in self.differing():
            _log.critical(
                "a row of the register was changed from outside and is not used",
                extra={"code": "ROW_EDITED", "what": f"{table} {key}"},
            )

    # --- the port `trust.storage.guard.Guard` ---

    def is_recorded(self, table: str, columns: Iterable[str] | None = None) -> bool:
        return table in RECORDED and (columns is None or not RECORDED[table].issuperset(columns))

    def columns(self, table: str) -> frozenset[str]:
        return _COLUMNS.get(table, frozenset())

    def mac(self, table: str, row: Mapping[str, Any]) -> bytes | None:
        columns = WITH_MAC.get(table)
        covered = _with_note(row) if table == "operation" else row
        return self._mac(table, sorted(columns), covered) if columns is not None else None

    def has_good_mac(self, table: str, row: Mapping[str, Any]) -> bool:
        """True if the MAC in a row is right. For tables whose rows contain MACs only."""
        return hmac.compare_digest(self.mac(table, row) or b"", row["mac"] or b"-")

    def check(self, connection: Connection, table: str, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raises `StorageError` (ROW_EDITED)."""
        if self._log is None:
            return row
        if table in RECORDED:
            self._check_recorded(connection, table, row)
        elif table in WITH_MAC:
            if not self.has_good_mac(table, row):
                raise _edited(table, "its MAC is not right")
            if table == "ecertificate" and row["step"] == Step.ISSUED:
                return self._check_issued(row)
        return row

    def check_mac(self, table: str, row: Mapping[str, Any]) -> None:
        """Raises `StorageError` (ROW_EDITED)."""
        if self._log is not None and not self.has_good_mac(table, row):
            raise _edited(table, "its MAC is not right")

    def announce(self, connection: Connection) -> object:
        rows = []
        for table, key in changed_rows(connection):
            row = tables.row_at(connection, table, key)
            mac = self._mac_of_recorded(table, row) if row is not None else b""
            rows.append([table, list(key), mac])
        if not rows:
            return None
        announced = self._store(connection, rows, is_enrolment=False)
        guarding_sql.raise_version(connection)
        return announced

    def complete(self, announced: object) -> None:
        """Appends the event of a committed transaction. Before the log is attached, `attach` does that; while the
        log takes no entries, the change counts already, and `resume` appends its event later."""
        if self._log is None or not isinstance(announced, _Announced):
            return
        try:
            self._append([announced])
        except OperationalError as exc:
            _log.warning("a change of the register waits for the ledger", extra={"code": exc.code})

    # --- the ledger ---

    def resume(self) -> int:
        """Appends the events that were announced and not appended; returns their number."""
        with self._turn:
            pending = self._pending()
            if pending:
                self._append(pending)
            return len(pending)

    def enrol(self) -> None:
        """Records all rows of the recorded tables as they are now."""
        with self._database.write() as connection:
            tables.serialise(connection, "enrolment")
            rows = []
            for table in RECORDED:
                for row in tables.rows_of(connection, table):
                    rows.append([table, list(tables.key_of(table, row)), self._mac_of_recorded(table, row)])
            announced = self._store(connection, rows, is_enrolment=True)
        self._append([announced])

    @property
    def lost_entry(self) -> int | None:
        """The number of a ledger entry whose event is missing in the register, so that no recorded row is accepted;
        or None."""
        return self._lost

    def differing(self) -> list[tuple[str, str]]:
        """Table and key of the rows of recorded tables that do not match the events, and of those that are missing."""
        suspects = self._suspects()
        if not suspects:
            return []
        # Read them once more one by one, because they may have been changed while the table was read.
        found = []
        for key in suspects:
            with self._turn:
                self._look(always=True)
                with self._database.read(anew=True) as connection:
                    row = tables.row_at(connection, *key)
                mac = self._mac_of_recorded(key[0], row) if row is not None else b""
                if not self._is_said(key, mac) and not self._is_announced(key, mac):
                    found.append((key[0], _shown(key)))
        return found

    def _suspects(self) -> list[Key]:
        self._look(always=True)
        said = dict(self._said)
        left = {key for key, each in said.items() if each.mac}
        found: list[Key] = []
        with self._database.read(anew=True) as connection:
            for table in RECORDED:
                for row in tables.rows_of(connection, table):
                    key = (table, tables.key_of(table, row))
                    left.discard(key)
                    mac = self._mac_of_recorded(table, row)
                    if key not in said or not hmac.compare_digest(said[key].mac, mac):
                        found.append(key)
        return [*found, *sorted(left, key=str)]

    def _store(self, connection: Connection, rows: list[list[Any]], *, is_enrolment: bool) -> _Announced:
        # Noted as done: only the guard completes it.
        operation_id = operations_sql.note_done(
            connection,
            OperationKind.REGISTER,
            ecertificate_id=0,
            actor=ACTOR,
            at=tables.to_micros(self._clock.now()),
            entry_seq=None,
        )
        payload = cbor2.dumps([_VERSION, operation_id, is_enrolment, rows])
        commit = self._hmac(payload)
        tables.insert(
            connection,
            guarding_sql.RegisterEventRow(operation_id=operation_id, payload=payload, commitment=commit),
        )
        return _Announced(operation_id, commit, payload)

    def _append(self, announced: list[_Announced]) -> None:
        assert self._log is not None
        self._log.append(
            [
                AppendRequest(
                    operation_id=each.operation_id,
                    kind=EntryKind.REGISTER_EVENT,
                    actor=ACTOR,
                    subject_id=None,
                    ref=NO_REF,
                    commit=each.commit,
                    suite="",
                )
                for each in announced
            ]
        )
        # Lock the new head too, so that an old copy of the database is not taken for the current one.
        self._log.publish()
        self._look(always=True)

    def _pending(self) -> list[_Announced]:
        """Stored events without an entry. Those without a good MAC are left out, because they were added from
        outside."""
        with self._database.read(anew=True) as connection:
            rows = [
                row for row in guarding_sql.register_events(connection) if row.commitment not in self._done
            ]
        return [
            _Announced(row.operation_id, row.commitment, row.payload)
            for row in rows
            if hmac.compare_digest(row.commitment, self._hmac(row.payload))
        ]

    def _look(self, *, always: bool = False) -> None:
        """Reads the new events of the ledger, unless it did so within the last second (`always`: even then)."""
        with self._turn:
            now = time.monotonic()
            if self._log is None or (not always and now - self._looked_at < _FRESH_SECONDS):
                return
            new = self._log.standing.register_events(self._events)
            if new:
                with self._database.read(anew=True) as connection:
                    stored = guarding_sql.register_events_with(connection, [commit for _, commit in new])
                for seq, commit in new:
                    self._take_in(seq, commit, stored.get(commit), now)
                self._events += len(new)
            self._looked_at = time.monotonic()

    def _take_in(self, seq: int, commit: bytes, payload: bytes | None, now: float) -> None:
        self._done.add(commit)
        if payload is None or not hmac.compare_digest(commit, self._hmac(payload)):
            self._lost = seq
            return
        _, operation_id, is_enrolment, rows = cbor2.loads(payload)
        if is_enrolment:
            self._lost = None
            self._said = {key: said for key, said in self._said.items() if said.operation_id > operation_id}
        for table, key, mac in rows:
            name: Key = (table, tuple(key))
            before = self._said.get(name)
            if before is None or before.operation_id < operation_id:
                self._said[name] = _Said(operation_id, mac, before.mac if before else b"", now)

    # --- recorded rows ---

    def _check_recorded(self, connection: Connection, table: str, row: Mapping[str, Any]) -> None:
        key = (table, tables.key_of(table, row))
        if key in changed_rows(connection):
            return  # changed by this very transaction
        self._look()
        values = tuple(row.values())
        said = self._said.get(key)
        if said is not None and self._lost is None and self._good.get(key) == (values, said.operation_id):
            return
        mac = self._mac_of_recorded(table, row)
        if self._is_said(key, mac):
            self._good[key] = (values, self._said[key].operation_id)
            return
        with self._turn:
            self._look(always=True)
            if self._is_said(key, mac) or self._is_announced(key, mac) or self._was_said_just_now(key, mac):
                return
        if self._lost is not None:
            raise _edited("register_event", f"what entry {self._lost} of the ledger commits to is gone")
        raise _edited(
            table,
            f"{_shown(key)} is not as the ledger says"
            if key in self._said
            else f"{_shown(key)} was put in by another hand",
        )

    def _is_said(self, key: Key, mac: bytes) -> bool:
        said = self._said.get(key)
        return self._lost is None and said is not None and hmac.compare_digest(said.mac, mac)

    def _is_announced(self, key: Key, mac: bytes) -> bool:
        """True if `mac` is that of the newest stored change which the ledger does not contain yet."""
        said = self._said.get(key)
        newest = said.operation_id if said is not None else 0
        announced: bytes | None = None
        for each in self._pending() if self._lost is None else ():
            for table, row, announced_mac in cbor2.loads(each.payload)[3]:
                if (table, tuple(row)) == key and each.operation_id > newest:
                    newest, announced = each.operation_id, announced_mac
        return announced is not None and hmac.compare_digest(announced, mac)

    def _was_said_just_now(self, key: Key, mac: bytes) -> bool:
        """True if `mac` is that before a change of the last seconds, which a transaction that began earlier still
        sees."""
        said = self._said.get(key)
        if said is None or self._lost is not None or not hmac.compare_digest(said.before, mac):
            return False
        if time.monotonic() - said.seen_at > _SNAPSHOT_SECONDS:
            return False
        with self._database.read(anew=True) as connection:
            row = tables.row_at(connection, *key)
        now = self._mac_of_recorded(key[0], row) if row is not None else b""
        return hmac.compare_digest(now, said.mac)

    # --- e-certificates ---

    def _check_issued(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Checks that its entry is in the ledger, and that its status is that in the ledger. Returns the row as it is
        now, if another process has changed it since it was read."""
        ref = ecertificate_ref(row["pid"], row["ref_salt"])
        if self._in_ledger.get(ref) != row["entry_seq"]:
            self._check_entry(ref, row["entry_seq"])
        now = self.as_it_is_now(ref, row)
        if now is None:
            raise _edited("ecertificate", "its status is not what the ledger says")
        if (now["step"], now["entry_seq"]) != (row["step"], row["entry_seq"]):
            raise Busy("The e-certificate is being changed at this moment.", "Ask again.", retry_after=1)
        return now

    def as_it_is_now(self, ref: bytes, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The row, if its status agrees with the ledger, or the row that another process has made of it since. None if
        it was edited."""
        while not self.is_status_of(ref, row):
            with self._database.read(anew=True) as connection:
                now = tables.row_at(connection, "ecertificate", (row["id"],))
            # An act may be completed between two looks; then the row is another one, and is looked at again.
            if now is None or not self.has_good_mac("ecertificate", now) or now == row:
                return None
            row = now
        return row

    def is_status_of(self, ref: bytes, row: Mapping[str, Any]) -> bool:
        """True if the row's status agrees with the ledger, also while an act is under way."""
        assert self._log is not None
        life = self._log.standing.life_of(ref)
        if life is Life.ERASED:
            return row["status"] in (Status.REVOKED.value, Status.REPLACED.value)
        said = STATUS_OF_LIFE[life]
        # While an act is under way the register may be one step behind.
        return row["status"] == said.value or (
            row["pending_operation"] is not None and self._is_under_way(row, said)
        )

    def _is_under_way(self, row: Mapping[str, Any], said: Status) -> bool:
        """True if the pending act leads to the status in the ledger. Only then may the register be behind."""
        with self._database.read(anew=True) as connection:
            operation = operations_sql.find_operation(connection, row["pending_operation"])
        return (
            operation is not None
            and STATUS_AFTER.get(operation.kind) is said
            and not operation.is_done
            and operation.ecertificate_id == row["id"]
            and operation.entry_seq is None
        )

    def _check_entry(self, ref: bytes, seq: int | None) -> None:
        assert self._log is not None
        try:
            entry = self._log.proven_entry(seq) if seq is not None else None
        except (NotFound, VerificationError) as exc:
            raise _edited("ecertificate", "its entry in the ledger is another") from exc
        if entry is None or entry.kind is not EntryKind.ISSUED or entry.ref != ref or seq is None:
            raise _edited("ecertificate", "the ledger does not have its issue")
        if len(self._in_ledger) >= _KNOWN_ENTRIES:
            self._in_ledger.clear()
        self._in_ledger[ref] = seq

    def _mac_of_recorded(self, table: str, row: Mapping[str, Any]) -> bytes:
        return self._mac(table, sorted(set(row) - RECORDED[table]), row)

    def _mac(self, table: str, columns: list[str], row: Mapping[str, Any]) -> bytes:
        return self._hmac(cbor2.dumps([_VERSION, table, [[name, row[name]] for name in columns]]))

    def _hmac(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")

    # --- rows from before there were MACs ---

    def _take_over(self) -> None:
        for table in WITH_MAC:
            for rows in self._without_mac(table):
                with self._database.write() as connection:
                    for row in rows:
                        tables.set_mac(
                            connection, table, tables.key_of(table, row), self.mac(table, row) or b""
                        )

    def _without_mac(self, table: str) -> Iterator[list[dict[str, Any]]]:
        while True:
            with self._database.read(anew=True) as connection:
                rows = tables.rows_without_mac(connection, table, _AT_ONCE)
            if not rows:
                return
            yield rows


def _with_note(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the MAC of an operation covers under the name of `note`: of a status act its note, of an issue the caller,
    of an erasure the two persons. The kind, which the MAC covers too, says which; all were in one column before. Who
    decided is beside it since that is written down."""
    note, caller = operation["note"], operation["caller"]
    people = [operation[name] for name in ("requested_by", "approved_by") if operation[name] is not None]
    match operation["kind"]:
        case OperationKind.ISSUED.value:
            own, others = caller, [note, *people]
        case OperationKind.ERASED.value:
            own, others = "|".join(people) or None, [note, caller]
        case _:
            own, others = note, [caller, *people]
    is_in_place = all(each is None for each in others)
    covered = own if is_in_place else [own, *others]
    if operation["decided_by"] is not None:
        covered = [covered, *(operation[name] for name in _DECIDED)]
    return {**operation, "note": covered}


def _shown(key: Key) -> str:
    return " ".join(str(each) for each in key[1])


def _edited(table: str, why: str) -> StorageError:
    return StorageError(f"A row of the table {table} decides nothing: {why}.", _TODO, code="ROW_EDITED")
