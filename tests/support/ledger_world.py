"""A log with everything around it, on either database: opened, crashed, tampered with, rechecked."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ledger import sql
from ledger.lockstore import LockStore
from ledger.log import Appended, AppendRequest, Log
from ledger.note import SignerKey
from ledger.outside import Outside
from ledger.recheck import RecheckReport, recheck
from trust.encoding.entry import EntryKind
from trust.storage.sql import Database

ORIGIN = "example.org/log"
AUTHORITY = "11100000000013338W"


class SteppingClock:
    """Moves a millisecond on with every look, or to wherever a test puts it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, tzinfo=UTC)

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at


class World:
    def __init__(self, folder: Path, where: Path | str, lock_where: Path | str) -> None:
        self.folder = folder / "ledger"
        self.clock = SteppingClock()
        self.signer = SignerKey(name=ORIGIN, seed=b"a test seed of 32 bytes........."[:32])
        self.where, self.lock_where = where, lock_where
        self.database = Database(where)
        self.lock_database = Database(lock_where)
        sql.create_all(self.database)
        self.lock_store = LockStore(self.lock_database)
        self._numbers = itertools.count(1)
        self._logs: list[Log] = []

    def open(
        self,
        *,
        queue_limit: int = 4096,
        database: Database | None = None,
        is_cosigned: bool = False,
        outside: Sequence[Outside] = (),
    ) -> Log:
        log = Log(
            database=database or self.database,
            lock_store=self.lock_store,
            folder=self.folder,
            origin=ORIGIN,
            signers=(self.signer,),
            clock=self.clock,
            queue_limit=queue_limit,
            is_cosigned=is_cosigned,
            outside=outside,
        )
        self._logs.append(log)
        return log

    def request(self, operation_id: int | None = None, **changes: Any) -> AppendRequest:
        number = next(self._numbers) if operation_id is None else operation_id
        fields: dict[str, Any] = {
            "operation_id": number,
            "kind": EntryKind.ISSUED,
            "actor": AUTHORITY,
            "subject_id": number,
            "ref": number.to_bytes(32, "big"),
            "commit": b"\x05" * 32,
            "suite": "SM2-SM3",
        }
        return AppendRequest(**(fields | changes))

    def append(self, log: Log, count: int) -> list[Appended]:
        return log.append([self.request() for _ in range(count)])

    def recheck(self) -> RecheckReport:
        return recheck(self.database, self.folder, self.lock_store, log_vkey=self._logs[0].vkey)

    def tamper(self, statement: str, **values: object) -> None:
        """Changes the log's database behind its back."""
        with self.database.write() as connection:
            assert connection.execute(sa.text(statement), values).rowcount

    def tamper_lock(self, statement: str, **values: object) -> None:
        with self.lock_database.write() as connection:
            assert connection.execute(sa.text(statement), values).rowcount

    def state(self) -> sql.LogState:
        with self.database.read() as connection:
            state = sql.read_state(connection)
        assert state is not None
        return state

    def restore_database_to(self, state: sql.LogState) -> None:
        """What restoring a backup does: later entries are gone."""
        now = self.state()
        with self.database.write() as connection:
            connection.execute(sa.text("DELETE FROM ledger_entry WHERE seq >= :size"), {"size": state.size})
            assert sql.swap_state(connection, old=now, new=state)

    def files(self) -> dict[str, bytes]:
        found = sorted(path for path in self.folder.rglob("[!.]*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in found}

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self.lock_database.close)
            stack.callback(self.database.close)
            for log in self._logs:
                stack.callback(log.close)
