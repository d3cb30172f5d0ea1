"""No row that somebody edited decides anything: what the register's rows are held against, where they are read.

Two kinds of tables:

    recorded       few rows, which change: authorities, CAs, keys, seals, API keys, members … Each change is a
                   REGISTER_EVENT of the ledger, which commits to the MAC of the row as it was left. A row counts only
                   as the newest event about it says; one without an event was put in by hand. So yesterday's row, with
                   yesterday's MAC, is found out too, and so is a row that is gone.
    with a MAC     many rows, whose deciding columns are written once: e-certificates, operations, documents, holders,
                   claim links, sessions. The MAC is in the row. What ends them is not in these columns: of an
                   e-certificate the ledger says it (`ledger.standing`).

The MAC is over its version, the table and every deciding column, under a key that is not in the database.

    MAC       HMAC-SHA256(key, CBOR [1, table, [[column, value], …]])          columns in the order of their names
    payload   CBOR [1, operation id, is enrolment, [[table, [key, …], MAC], …]]      MAC empty: the row was deleted
    commit    HMAC-SHA256(key, payload), in the ledger's entry

An enrolment says of all rows at once how they are: at the beginning, after an upgrade, and when an operator says so
(`yinzheng ledger accept-register`). A change is announced in its own transaction and appended behind it; until then
the announcement counts, which carries the MAC too.
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

from issuer.guarding import sql as guarding_sql
from issuer.operations import sql as operations_sql
from issuer.operations.lives import STATUS_AFTER, STATUS_OF_LIFE
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
"""The recorded tables, each with the columns that decide nothing."""

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
    # What was announced is carried on later: one put in by hand would be an act that nobody decided.
    "operation": ("id", "ecertificate_id", "kind", "reason", "note", "actor", "salt", "at"),
    "document": ("ecertificate_id", "kind", "content"),
    "holder": ("holder_ref", "ecertificate_id"),
    "claim_link": ("token_hash", "holder_ref", "expires_at"),
    "web_session": ("token_hash", "kind", "subject", "csrf", "expires_at"),
    "presentation": (
        *("session_hash", "ecertificate_id", "purpose", "audience", "level", "started_at", "expires_at"),
    ),
}
"""The tables whose rows carry a MAC, each with the columns that it is over."""

_COLUMNS: Final = {table: frozenset(columns) for table, columns in WITH_MAC.items()}
_log = logging.getLogger("yinzheng.register")

_VERSION: Final = 1
_OPERATION: Final = "REGISTER"
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
    """What the newest event says of a row, and what the one before said."""

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
    """The guard of a register. It believes every row until `attach`: the log's own keys stand in rows."""

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
        """From here on rows are held against the ledger. Enrols them in a register that never was.

        Rows that were read unguarded before, or that were edited while nobody ran, are named in the log.
        """
        self._log = log
        self._look(always=True)
        if not self._events:
            self._take_over()
            self.enrol()
        with contextlib.suppress(OperationalError):  # the keeper tries again
            self.resume()
        for table, key in self.differing():
            _log.critical(
                "a row of the register decides nothing",
                extra={"code": "ROW_EDITED", "what": f"{table} {key}"},
            )

    # --- what databases ask (`trust.storage.guard.Guard`) ---

    def is_recorded(self, table: str, columns: Iterable[str] | None = None) -> bool:
        return table in RECORDED and (columns is None or not RECORDED[table].issuperset(columns))

    def columns(self, table: str) -> frozenset[str]:
        return _COLUMNS.get(table, frozenset())

    def mac(self, table: str, row: Mapping[str, Any]) -> bytes | None:
        columns = WITH_MAC.get(table)
        return self._mac(table, sorted(columns), row) if columns is not None else None

    def has_good_mac(self, table: str, row: Mapping[str, Any]) -> bool:
        """Of a row of a table with MACs."""
        return hmac.compare_digest(self.mac(table, row) or b"", row["mac"] or b"-")

    def check(self, connection: Connection, table: str, row: Mapping[str, Any]) -> None:
        """Raises `StorageError` (ROW_EDITED)."""
        if self._log is None:
            return
        if table in RECORDED:
            self._check_recorded(connection, table, row)
        elif table in WITH_MAC:
            if not self.has_good_mac(table, row):
                raise _edited(table, "its MAC is not right")
            if table == "ecertificate" and row["step"] == "ISSUED":
                self._check_issued(row)

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
        return self._store(connection, rows, is_enrolment=False) if rows else None

    def complete(self, announced: object) -> None:
        """Appends the event of a transaction that is done. Before the log is there, `attach` does; while the log
        takes nothing, the change counts already, and `resume` appends it later."""
        if self._log is None or not isinstance(announced, _Announced):
            return
        try:
            self._append([announced])
        except OperationalError as exc:
            _log.warning("a change of the register waits for the ledger", extra={"code": exc.code})

    # --- the ledger ---

    def resume(self) -> int:
        """Appends what was announced and not appended; says how many."""
        with self._turn:
            pending = self._pending()
            if pending:
                self._append(pending)
            return len(pending)

    def enrol(self) -> None:
        """Says of all rows of the recorded tables that they count as they are."""
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
        """An entry of the ledger whose event is gone from the register, so that no recorded row counts."""
        return self._lost

    def differing(self) -> list[tuple[str, str]]:
        """Rows of the recorded tables that do not count as they are: table and key; also those that are gone."""
        suspects = self._suspects()
        if not suspects:
            return []
        # Perhaps they were changed while they were read: looked at once more, by themselves.
        found = []
        for key in suspects:
            with self._turn:
                self._look(always=True)
                with self._database.read() as connection:
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
        with self._database.read() as connection:
            for table in RECORDED:
                for row in tables.rows_of(connection, table):
                    key = (table, tables.key_of(table, row))
                    left.discard(key)
                    mac = self._mac_of_recorded(table, row)
                    if key not in said or not hmac.compare_digest(said[key].mac, mac):
                        found.append(key)
        return [*found, *sorted(left, key=str)]

    def _store(self, connection: Connection, rows: list[list[Any]], *, is_enrolment: bool) -> _Announced:
        operation = operations_sql.OperationRow(
            ecertificate_id=0,
            kind=_OPERATION,
            actor=ACTOR,
            salt=b"",
            done=True,  # nobody but the guard carries it on
            at=tables.to_micros(self._clock.now()),
        )
        operation_id = int(tables.insert(connection, operation))
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
        # In the lock store too: a copy of yesterday's database must not pass for today's.
        self._log.publish()
        self._look(always=True)

    def _pending(self) -> list[_Announced]:
        """Events that were stored and are in no entry, with a good MAC: one that was put in by hand has none."""
        with self._database.read() as connection:
            rows = [
                row for row in guarding_sql.register_events(connection) if row.commitment not in self._done
            ]
        return [
            _Announced(row.operation_id, row.commitment, row.payload)
            for row in rows
            if hmac.compare_digest(row.commitment, self._hmac(row.payload))
        ]

    def _look(self, *, always: bool = False) -> None:
        """Takes in the events that are new in the ledger."""
        with self._turn:
            now = time.monotonic()
            if self._log is None or (not always and now - self._looked_at < _FRESH_SECONDS):
                return
            new = self._log.standing.register_events(self._events)
            if new:
                with self._database.read() as connection:
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
        """The change is stored with its MAC, and the ledger has not taken it yet. The newest one counts."""
        said = self._said.get(key)
        newest = said.operation_id if said is not None else 0
        announced: bytes | None = None
        for each in self._pending() if self._lost is None else ():
            for table, row, announced_mac in cbor2.loads(each.payload)[3]:
                if (table, tuple(row)) == key and each.operation_id > newest:
                    newest, announced = each.operation_id, announced_mac
        return announced is not None and hmac.compare_digest(announced, mac)

    def _was_said_just_now(self, key: Key, mac: bytes) -> bool:
        """A transaction that began before the row was changed sees it as it was, while the database has it new."""
        said = self._said.get(key)
        if said is None or self._lost is not None or not hmac.compare_digest(said.before, mac):
            return False
        if time.monotonic() - said.seen_at > _SNAPSHOT_SECONDS:
            return False
        with self._database.read() as connection:
            row = tables.row_at(connection, *key)
        now = self._mac_of_recorded(key[0], row) if row is not None else b""
        return hmac.compare_digest(now, said.mac)

    # --- e-certificates ---

    def _check_issued(self, row: Mapping[str, Any]) -> None:
        """Its entry is in the ledger, and its status is what the ledger says."""
        ref = ecertificate_ref(row["pid"], row["ref_salt"])
        if self._in_ledger.get(ref) != row["entry_seq"]:
            self._check_entry(ref, row["entry_seq"])
        if not self.is_status_of(ref, row):
            with self._database.read() as connection:
                now = tables.row_at(connection, "ecertificate", (row["id"],))
            if now is None or not self.is_status_of(ref, now):
                raise _edited("ecertificate", "its status is not what the ledger says")
            raise Busy("The e-certificate is being changed at this moment.", "Ask again.", retry_after=1)

    def is_status_of(self, ref: bytes, row: Mapping[str, Any]) -> bool:
        """Does the ledger say of this e-certificate what its row says?"""
        assert self._log is not None
        life = self._log.standing.life_of(ref)
        if life is Life.ERASED:
            return row["status"] in (Status.REVOKED.value, Status.REPLACED.value)
        said = STATUS_OF_LIFE[life]
        # While an act is under way the register is a step behind.
        return row["status"] == said.value or (
            row["pending_operation"] is not None and self._is_under_way(row, said)
        )

    def _is_under_way(self, row: Mapping[str, Any], said: Status) -> bool:
        """The act that waits leads to where the ledger is already: only then may the register be behind."""
        with self._database.read() as connection:
            operation = tables.one_row(connection, operations_sql.OperationRow, id=row["pending_operation"])
        return (
            operation is not None
            and STATUS_AFTER.get(operation.kind) is said
            and not operation.done
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
            with self._database.read() as connection:
                rows = tables.rows_without_mac(connection, table, _AT_ONCE)
            if not rows:
                return
            yield rows


def _shown(key: Key) -> str:
    return " ".join(str(each) for each in key[1])


def _edited(table: str, why: str) -> StorageError:
    return StorageError(f"A row of the table {table} decides nothing: {why}.", _TODO, code="ROW_EDITED")
