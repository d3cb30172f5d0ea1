"""The duties of `trust.jobs.queue.Queue`, on SQLite and PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from support.world import StoppedClock

from trust.app.database import migrate_register
from trust.jobs.queue import LEASE, Job, Queue, TableQueue, work_off
from trust.model.errors import StorageError
from trust.storage.sql import Database

ROOT = Path(__file__).resolve().parents[2]
KIND = "probe"


class Place:
    """A queue, the database of its caller, and the clock of both."""

    def __init__(self, url: Path | str) -> None:
        self.url = url
        self.database = Database(url)
        migrate_register(self.database)
        self.clock = StoppedClock()
        self.queue: Queue = TableQueue(self.database, self.clock)

    def put(self, *refs: str, kind: str = KIND) -> None:
        with self.database.write() as connection:
            self.queue.enqueue(connection, kind, refs)

    def take(self, limit: int = 100) -> list[str]:
        return [job.ref for job in self.queue.take(KIND, limit)]


@pytest.fixture
def place(new_database: Callable[[], Path | str]) -> Iterator[Place]:
    made = Place(new_database())
    yield made
    made.database.close()


def test_a_job_is_there_if_its_transaction_is_committed(place: Place) -> None:
    def fail_after_all() -> None:
        with place.database.write() as connection:
            place.queue.enqueue(connection, KIND, ["lost"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_after_all()
    place.put("kept", "kept too")
    place.put("of another kind", kind="other")
    assert place.take() == ["kept", "kept too"]


def test_what_one_has_in_hand_another_does_not_get(place: Place) -> None:
    place.put("a", "b", "c")
    first, second = place.queue.take(KIND, 2), place.queue.take(KIND, 2)
    assert ([job.ref for job in first], [job.ref for job in second]) == (["a", "b"], ["c"])
    assert place.take() == []
    place.queue.done(first)
    place.queue.done(first)  # again is nothing
    place.clock.advance(seconds=LEASE.total_seconds() + 1)
    assert place.take() == ["c"], "whoever had it died"


def test_one_that_could_not_be_done_waits_longer_each_time(place: Place) -> None:
    place.put("a")
    waits = []
    for _ in range(5):
        (job,) = place.queue.take(KIND, 1)
        place.queue.put_back(job)
        waited = timedelta()
        while not (taken := place.queue.take(KIND, 1)):
            place.clock.advance(seconds=5)
            waited += timedelta(seconds=5)
        waits.append(waited)
        place.queue.put_back(Job(taken[0].number, KIND, "a", 1))
        place.clock.advance(days=1)
    assert waits == sorted(waits)
    assert waits[0] == timedelta(seconds=10)
    assert waits[-1] == timedelta(hours=1)


def test_a_clock_that_goes_back_holds_nothing_for_ever(place: Place) -> None:
    place.clock.advance(days=30)
    place.put("a", "b")
    place.queue.take(KIND, 1)
    place.clock.advance(days=-30)
    assert sorted(place.take()) == ["a", "b"]


def test_jobs_that_fail_come_back_and_others_wait_for_the_next_round(place: Place) -> None:
    place.put(*"abc")
    seen: list[Sequence[str]] = []

    def fail(refs: Sequence[str]) -> None:
        seen.append(refs)
        raise StorageError("The disk is away.")

    assert work_off(place.queue, KIND, fail, at_once=2) == 0
    assert seen == [["a", "b"]]
    done: list[str] = []
    place.clock.advance(minutes=1)
    assert work_off(place.queue, KIND, done.extend, at_once=2) == 3
    assert sorted(done) == ["a", "b", "c"]
    assert work_off(place.queue, KIND, done.extend) == 0


WORKER = """
import sys
from pathlib import Path
from trust.jobs.queue import TableQueue
from trust.model.clock import SystemClock
from trust.storage.sql import Database
url = sys.argv[1]
queue = TableQueue(Database(url if "://" in url else Path(url)), SystemClock())
while jobs := queue.take("probe", 3):
    print(*(job.ref for job in jobs), flush=True)
    queue.done(jobs)
"""


def test_three_processes_do_each_job_and_what_a_killed_one_had_is_given_out_again(place: Place) -> None:
    if not isinstance(place.url, str):
        pytest.skip("SQLite has one writing process")
    from trust.model.clock import SystemClock

    refs = [f"job-{number}" for number in range(300)]
    queue = TableQueue(place.database, SystemClock())
    with place.database.write() as connection:
        queue.enqueue(connection, KIND, refs)
    held = queue.take(KIND, 5)  # by a process that dies now
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, place.url],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(3)
    ]
    assert workers[0].stdout is not None
    told = workers[0].stdout.readline().split()
    workers[0].send_signal(signal.SIGKILL)
    told += [ref for worker in workers for ref in worker.communicate()[0].split()]
    assert max(Counter(told).values()) == 1, "two had one job in hand"
    place.clock.at = SystemClock().now() + LEASE + timedelta(seconds=1)
    left = {job.ref for job in place.queue.take(KIND, 500)}
    assert left >= {job.ref for job in held}
    assert len(left) <= 5 + 3, "but those of two dead ones, all were done"
    assert set(told) | left == set(refs)
