"""(e) Durable appends to the ledger on SQLite, by how many share one commit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.measuring import Measured, rate
from ledger import sql
from ledger.lockstore import LockStore
from ledger.log import AppendRequest, Log
from ledger.note import SignerKey
from trust.encoding.entry import EntryKind
from trust.model.clock import SystemClock
from trust.storage.sql import Database


def run(folder: Path) -> Iterator[Measured]:
    database, lock = Database(folder / "ledger.db"), Database(folder / "lock.db")
    sql.create_all(database)
    log = Log(
        database=database,
        lock_store=LockStore(lock),
        folder=folder / "tiles",
        origin="bench.example/log",
        signers=[SignerKey(name="bench.example/log", seed=bytes(32))],
        clock=SystemClock(),
    )
    numbers = itertools.count(1)

    def append(batch: int) -> None:
        requests = [
            AppendRequest(
                operation_id=number,
                kind=EntryKind.ISSUED,
                actor="bench",
                subject_id=number,
                ref=number.to_bytes(32, "big"),
                commit=bytes(32),
                suite="SM2-SM3",
            )
            for number in itertools.islice(numbers, batch)
        ]
        log.append(requests)

    with log:
        for batch in (1, 16, 256):
            per_second, count = rate(partial(append, batch), seconds=2, each=batch)
            yield Measured("append", f"batches of {batch}", per_second, count, "entries/s")
    lock.close()
    database.close()
