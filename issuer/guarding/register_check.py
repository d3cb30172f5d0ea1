"""Checks the whole register against ledger and MACs, again and again while the service runs.

Edited rows are not used in any case, because rows are checked when they are read (`issuer.guarding.guarding`). This
pass also finds edited rows that no request has read yet, and rows that are missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from issuer.ecertificates.documents import Documents
from issuer.ecertificates.kinds import Step
from issuer.guarding.guarding import WITH_MAC, RegisterGuard
from issuer.operations import sql
from ledger.log import Log
from trust.encoding.commitment import ecertificate_ref
from trust.encoding.entry import EntryKind
from trust.model.clock import Clock
from trust.storage import tables
from trust.storage.sql import Database

MOST_FINDINGS: Final = 100
_AT_ONCE: Final = 256

_log = logging.getLogger("yinzheng.keeping")


@dataclass(frozen=True, slots=True)
class RegisterFinding:
    """A row that was changed from outside. `key` identifies no person: it consists of numbers and random keys."""

    table: str
    key: str
    what: str


def check_register(
    database: Database,
    log: Log,
    guard: RegisterGuard,
    *,
    documents: Documents | None = None,
    pause: Callable[[], None] = lambda: None,
) -> tuple[int, list[RegisterFinding]]:
    """One pass. Returns the number of rows that were read, and at most a hundred findings. Raises `OperationalError`.

    `documents`: to check the contents of documents and their files too, which reads all of them.
    """
    if guard.lost_entry is not None:
        lost = RegisterFinding("register_event", str(guard.lost_entry), "What this entry commits to is gone.")
        return 0, [lost]
    found = [
        RegisterFinding(table, key, "It was edited, put in or taken out by another hand.")
        for table, key in guard.differing()
    ]
    read = issued = 0
    issued_before = log.standing.issued()
    for table in WITH_MAC:
        if table == "document" and documents is None:
            continue
        for rows in _portions(database, table):
            read += len(rows)
            if table == "ecertificate":
                # The entry of a sealed one may exist already without being noted in the row.
                issued += sum(row["entry_seq"] is not None or row["step"] == Step.SEALED for row in rows)
                found += _check_ecertificates(database, log, guard, rows)
            else:
                found += [_finding(table, row) for row in rows if not guard.has_good_mac(table, row)]
                if table == "document" and documents is not None:
                    found += _check_files(database, documents, rows)
            if len(found) >= MOST_FINDINGS:
                return read, found[:MOST_FINDINGS]
            pause()
    with database.read() as connection:
        is_restored = log.is_recovered or sql.has_gap(connection)
    if issued < issued_before and not is_restored:
        found.append(
            RegisterFinding("ecertificate", "", f"{issued_before - issued} that the ledger has are gone.")
        )
    return read, found


def _check_files(
    database: Database, documents: Documents, rows: list[dict[str, Any]]
) -> Iterator[RegisterFinding]:
    """Findings on the files to which these rows refer; not on those of rows that went while their files were read."""
    for row in rows:
        what = documents.what_is_wrong(row["kind"], bytes(row["content"]))
        if what is None:
            continue
        with database.read() as connection:
            is_there = (
                tables.row_at(connection, "document", (row["ecertificate_id"], row["kind"])) is not None
            )
        if is_there:
            yield RegisterFinding("document", f"{row['ecertificate_id']} {row['kind']}", what)


def _check_ecertificates(
    database: Database, log: Log, guard: RegisterGuard, rows: list[dict[str, Any]]
) -> Iterator[RegisterFinding]:
    """Findings on these rows. Rows that do not fit are read a second time, because they may have been changed
    meanwhile."""
    suspects = [row for row, what in _unfitting(log, guard, rows)]
    if not suspects:
        return
    with database.read() as connection:
        found = (tables.row_at(connection, "ecertificate", (row["id"],)) for row in suspects)
        again = [row for row in found if row is not None]
    for row, what in _unfitting(log, guard, again):
        yield RegisterFinding("ecertificate", str(row["id"]), what)


def _unfitting(
    log: Log, guard: RegisterGuard, rows: list[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], str]]:
    entries = log.entries_at([row["entry_seq"] for row in rows if row["entry_seq"] is not None])
    for row in rows:
        if not guard.has_good_mac("ecertificate", row):
            yield row, "It was edited or put in by another hand."
        elif row["step"] == Step.ISSUED:
            entry = entries.get(row["entry_seq"])
            ref = ecertificate_ref(bytes(row["pid"]), bytes(row["ref_salt"]))
            if entry is None or (entry.kind, entry.ref) != (EntryKind.ISSUED, ref):
                yield row, "The ledger does not have its issue where it says."
            elif guard.as_it_is_now(ref, row) is None:
                yield row, "Its status is not what the ledger says."


def _portions(database: Database, name: str) -> Iterator[list[dict[str, Any]]]:
    """Yields all rows in the order of their keys, in portions of one transaction each."""
    after: tuple[Any, ...] | None = None
    while True:
        with database.read() as connection:
            rows = tables.portion_of(connection, name, after, _AT_ONCE)
        if not rows:
            return
        yield rows
        after = tables.key_of(name, rows[-1])


def _finding(table: str, row: Mapping[str, Any]) -> RegisterFinding:
    key = tables.key_of(table, row)
    shown = " ".join(each.hex() if isinstance(each, bytes) else str(each) for each in key)
    return RegisterFinding(table, shown, "It was edited or put in by another hand.")


@dataclass(slots=True)
class RegisterChecking:
    """Runs passes over the register. `findings` are those of the last pass."""

    database: Database
    log: Log
    guard: RegisterGuard
    clock: Clock
    rows: int = 0
    findings: tuple[RegisterFinding, ...] = ()
    finished_at: datetime | None = None

    def run_pass(self, pause: Callable[[], None] = lambda: None) -> None:
        rows, found = check_register(self.database, self.log, self.guard, pause=pause)
        for each in found:
            if each not in self.findings:
                what = f"{each.table} {each.key}: {each.what}"
                _log.critical(
                    "a row of the register was changed from outside and is not used",
                    extra={"code": "ROW_EDITED", "what": what},
                )
        self.rows, self.findings = self.rows + rows, tuple(found)
        self.finished_at = self.clock.now()
