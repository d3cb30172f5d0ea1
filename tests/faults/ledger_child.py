"""Processes that work on a log until something happens to them. Started through `support.forked`.

    python ledger_child.py

Reads one job a line (JSON) from standard input, and does each in a fork of itself: a fork is there at once,
where a new Python needs a second for its imports. What the forks report is said in `support.killed_ledger`.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

from sqlalchemy import event  # noqa: E402
from sqlalchemy.engine import Engine  # noqa: E402
from support.forks import serve  # noqa: E402
from support.killed_ledger import BATCHES, OpenLog, Place, Reporter, batch  # noqa: E402
from support.killed_ledger import new_subject as new  # noqa: E402

from trust.model.errors import LedgerHalted, StorageError  # noqa: E402

REPORTER = Reporter(1)


def append_until_killed(folder: str) -> None:
    """Appends, and now and then asks for receipts."""
    opened = OpenLog(Place.sqlite(Path(folder)), REPORTER)
    REPORTER.say("open")
    chance = random.Random(opened.log.size)
    number = opened.log.size * 1000
    while True:
        count = chance.choice((1, 1, 1, 7, 40))
        appended = REPORTER.append(opened.log, [new(number + n) for n in range(count)])
        number += count
        if chance.random() < 0.5:
            REPORTER.receipt(opened.log, [each.seq for each in appended])


def append_to_server_until_refused(
    folder: str, database: str, lock_database: str, asked: tuple[int, int] | None, after: int
) -> None:
    """As one of several processes on a server. What was `asked` and got no answer is asked again, then it goes on
    with new numbers after `after`. Ends when the log refuses: whoever runs this starts it again."""
    chance = random.Random(after)
    with _refusals():
        opened = OpenLog(Place(Path(folder), database, lock_database), REPORTER)
        REPORTER.say("open")
        while True:
            first, count = asked or (after + 1, chance.choice((1, 2, 9, 40)))
            REPORTER.say("asking", first, count)
            appended = REPORTER.append(opened.log, [new(first + n) for n in range(count)])
            REPORTER.say("answered")
            after, asked = max(after, first + count - 1), None
            if chance.random() < 0.3:
                REPORTER.receipt(opened.log, [each.seq for each in appended])


def append_batches(folder: str, gate: str, checkpoint_often: bool) -> None:
    """Appends a few batches and asks for receipts, whatever fails in between; then closes the log.

    Waits for `go` where `gate` says: before "opening", or open and about to begin "working". A fault that is
    refused does not end it: what it says afterwards shows whether the log went on.
    """
    if checkpoint_often:
        event.listen(Engine, "connect", _checkpoint_often)
    if gate == "opening":
        _wait_for_go(threading.get_native_id())
    with _refusals():
        opened = OpenLog(Place.sqlite(Path(folder)), REPORTER)
        if gate == "working":
            _wait_for_go(_writing_thread())
        for number in range(len(BATCHES)):
            with _refusals():
                appended = REPORTER.append(opened.log, batch(number))
                REPORTER.receipt(opened.log, [each.seq for each in appended])
        REPORTER.say("closing")
        opened.close()


def _checkpoint_often(connection: Any, _: object) -> None:
    """SQLite copies its WAL back at 1,000 pages, which no short test reaches. The product's readers, which must
    never do that, have set this to 0, or set it after this."""
    ((reads_only,),) = connection.execute("PRAGMA query_only").fetchall()
    if not reads_only:
        connection.execute("PRAGMA wal_autocheckpoint = 10").close()


def _writing_thread() -> int:
    """The thread that commits; there is one besides the main one."""
    (thread,) = (each for each in threading.enumerate() if each is not threading.main_thread())
    assert thread.native_id is not None
    return thread.native_id


def _wait_for_go(thread: int) -> None:
    REPORTER.say("thread", thread)
    assert os.read(0, 3) == b"go\n"


class _refusals:  # noqa: N801  reads as the block it is: `with _refusals()`
    """Reports a refusal that the log may make, and goes on behind the block."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, _: object) -> bool:
        if isinstance(exc, (LedgerHalted, StorageError)):
            REPORTER.say("refused", type(exc).__name__)
            return True
        return False


JOBS: dict[str, Callable[..., None]] = {
    "append-until-killed": append_until_killed,
    "append-to-server-until-refused": append_to_server_until_refused,
    "append-batches": append_batches,
}


if __name__ == "__main__":
    serve(JOBS)
