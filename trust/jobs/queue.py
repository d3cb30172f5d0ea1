"""The queue: work that is decided on in one transaction and done after it, at least once.

A job says what kind of work and on what, by an id. Whoever does it reads what it needs, finds it done already or does
it, so that doing it twice is the same as once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from sqlalchemy.engine import Connection

from trust.jobs import sql
from trust.model.clock import Clock
from trust.model.errors import TrustError
from trust.storage.sql import Database
from trust.storage.tables import to_micros

LEASE = timedelta(minutes=2)
"""How long a worker has a job to itself; then it is another one's."""
_AGAIN_AFTER = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
_log = logging.getLogger("yinzheng.keeping")


@dataclass(frozen=True, slots=True)
class Job:
    """`number` is the queue's own; `tries` counts this one."""

    number: int
    kind: str
    ref: str
    tries: int


class Queue(Protocol):
    """Jobs that wait. Any number of threads, processes and hosts may call every method at once."""

    def enqueue(self, connection: Connection, kind: str, refs: Sequence[str]) -> None:
        """Puts a job for each ref in, in the caller's transaction: it is there if, and as soon as, that is committed.

        A ref is an id of up to 200 characters, never a field of a person.
        """

    def take(self, kind: str, limit: int) -> list[Job]:
        """Takes up to `limit` due jobs that nobody has in hand, those due longest first. They are the caller's for
        `LEASE`; if they are not done or put back by then, as when their worker died, they are given out again."""

    def done(self, jobs: Sequence[Job]) -> None:
        """Takes the jobs out. For a job that is out already, nothing."""

    def put_back(self, job: Job) -> None:
        """Gives a job back that could not be done; it is due again after a while that grows with its tries."""


@dataclass(frozen=True, slots=True)
class TableQueue:
    """`Queue` in a table of the register."""

    database: Database
    clock: Clock

    def enqueue(self, connection: Connection, kind: str, refs: Sequence[str]) -> None:
        sql.add_jobs(connection, kind, refs, to_micros(self.clock.now()))

    def take(self, kind: str, limit: int) -> list[Job]:
        now = self.clock.now()
        times = {
            "now": to_micros(now),
            "until": to_micros(now + LEASE),
            "latest": to_micros(now + 2 * _AGAIN_AFTER[-1]),
        }
        with self.database.write() as connection:
            rows = sql.take_jobs(connection, kind, limit=limit, **times)
        return [Job(row.id or 0, row.kind, row.ref, row.tries + 1) for row in rows]

    def done(self, jobs: Sequence[Job]) -> None:
        if jobs:
            with self.database.write() as connection:
                sql.delete_jobs(connection, [job.number for job in jobs])

    def put_back(self, job: Job) -> None:
        wait = _AGAIN_AFTER[min(job.tries, len(_AGAIN_AFTER)) - 1]
        with self.database.write() as connection:
            sql.put_back(connection, job.number, to_micros(self.clock.now() + wait))


def work_off(queue: Queue, kind: str, do: Callable[[Sequence[str]], None], *, at_once: int = 100) -> int:
    """Does all due jobs of a kind, some at once; returns their number.

    If `do` raises a `TrustError`, the jobs that it was given are put back, and the rest waits for the next round.
    """
    count = 0
    while jobs := queue.take(kind, at_once):
        try:
            do([job.ref for job in jobs])
        except TrustError as exc:
            for job in jobs:
                queue.put_back(job)
            _log.error(
                "jobs could not be done", extra={"code": exc.code, "what": exc.what, "count": len(jobs)}
            )
            return count
        queue.done(jobs)
        count += len(jobs)
    return count
