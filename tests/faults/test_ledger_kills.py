"""A process that appends is killed at random moments; the log is opened again and read through.

What must hold after every kill: an entry whose number was handed out is there, at that number, with those
bytes; no number is handed out twice; published <= locked <= stored; and rechecking finds nothing.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger import sql
from ledger.lockstore import LockStore
from ledger.log import AppendRequest, Log
from ledger.note import SignerKey
from ledger.recheck import recheck
from trust.encoding.entry import EntryKind
from trust.storage.sql import Database

ORIGIN = "example.org/killed"
SIGNER = SignerKey(name=ORIGIN, seed=b"\x21" * 32)


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class _OpenLog:
    """The log in `folder` with its databases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "ledger"
        self.database = Database(folder / "log.db")
        self.lock_database = Database(folder / "lock.db")
        sql.create_all(self.database)
        self.lock_store = LockStore(self.lock_database)
        self.log = Log(
            database=self.database,
            lock_store=self.lock_store,
            folder=self.folder,
            origin=ORIGIN,
            signers=(SIGNER,),
            clock=_Clock(),
        )

    def close(self) -> None:
        self.log.close()
        self.database.close()
        self.lock_database.close()


def append_until_killed(folder: Path) -> None:
    """The child: appends, says what it was told, and now and then asks for receipts."""
    opened = _OpenLog(folder)
    print("open", flush=True)
    chance = random.Random(opened.log.size)
    number = opened.log.size * 1000
    while True:
        requests = []
        for _ in range(chance.choice((1, 1, 1, 7, 40))):
            number += 1
            requests.append(
                AppendRequest(
                    operation_id=number,
                    kind=EntryKind.ISSUED,
                    actor="A",
                    subject_id=number,
                    ref=number.to_bytes(32, "big"),
                    commit=hashlib.sha256(b"%d" % number).digest(),
                    suite="SM2-SM3",
                )
            )
        appended = opened.log.append(requests)
        # One write, so that what is printed is printed whole.
        lines = [f"{each.seq} {hashlib.sha256(each.entry_bytes).hexdigest()}" for each in appended]
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        if chance.random() < 0.5:
            opened.log.receipt([each.seq for each in appended])


def kill_and_check(folder: Path, *, times: int, seed: int) -> int:
    """Kills `times` children; returns how many entries they were told of."""
    chance = random.Random(seed)
    told: dict[int, str] = {}
    for _ in range(times):
        child = subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert child.stdout is not None
        with child.stdout:
            # Sometimes while it opens (and mends), mostly while it works.
            if chance.random() < 0.8:
                assert child.stdout.readline() == "open\n"
                time.sleep(chance.uniform(0, 0.15))
            else:
                time.sleep(chance.uniform(0.2, 0.8))
            child.kill()
            for line in child.stdout.read().splitlines(keepends=True):
                if line.endswith("\n") and line != "open\n":
                    seq, digest = line.split()
                    assert told.setdefault(int(seq), digest) == digest, "a number was given to two entries"
            child.wait()
        check(folder, told)
    return len(told)


def check(folder: Path, told: dict[int, str]) -> None:
    before = heads(folder)
    assert before == sorted(before), f"published <= locked <= stored, not {before}"
    opened = _OpenLog(folder)
    try:
        with opened.database.read() as connection:
            rows = sql.read_entries(connection, start=0, end=opened.log.size)
        found = {row.seq: hashlib.sha256(row.entry_bytes).hexdigest() for row in rows}
        assert {seq: found.get(seq) for seq in told} == told
        report = recheck(opened.database, opened.folder, opened.lock_store, log_vkey=opened.log.vkey)
        assert report.findings == ()
    finally:
        opened.close()


def heads(folder: Path) -> list[int]:
    """Sizes as the killed process left them: published, locked, stored."""
    checkpoint = folder / "ledger" / "checkpoint"
    published = int(checkpoint.read_text().split("\n")[1]) if checkpoint.exists() else 0
    with Database(folder / "lock.db") as lock_database, Database(folder / "log.db") as database:
        locked = LockStore(lock_database).head(ORIGIN)
        sql.create_all(database)
        with database.read() as connection:
            state = sql.read_state(connection)
    return [published, locked.size if locked else 0, state.size if state else 0]


@pytest.mark.faults
@pytest.mark.timeout(240)
def test_fifteen_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    assert kill_and_check(tmp_path, times=15, seed=1) > 15


@pytest.mark.faults
@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_thousand_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    told = 0
    for round_number in range(20):  # new logs, so that the later kills do not only read long ones
        folder = tmp_path / str(round_number)
        folder.mkdir()
        told += kill_and_check(folder, times=50, seed=round_number)
    assert told > 1000


if __name__ == "__main__":
    append_until_killed(Path(sys.argv[1]))
