"""Many callers, one writer: a queue whose waiting jobs are committed together.

There is no fixed wait. In an idle log a job is committed at once and alone; while a commit is running, jobs gather, and
the next commit takes all of them. So an idle log answers as fast as one fsync, and a busy one pays one fsync for many
jobs. The queue is bounded: if it is full, a job is refused at once (`LedgerBusy`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from trust.model.errors import LedgerBusy

Request = TypeVar("Request")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, eq=False)
class Job(Generic[Request, Answer]):
    """The requests of one caller, which succeed or fail together, and the answer that the caller waits for."""

    requests: tuple[Request, ...]
    answer: Future[list[Answer]] = field(default_factory=Future)


class GroupCommit(Generic[Request, Answer]):
    """Runs `commit` on lists of jobs, in order, in its own thread.

    `commit` must give every job an answer or an exception. If `commit` itself raises, the jobs without either get
    that exception.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Job[Request, Answer]]], None],
        *,
        queue_limit: int,
        batch_limit: int,
        name: str,
    ) -> None:
        self._commit = commit
        self._queue_limit = queue_limit
        self._batch_limit = batch_limit
        self._jobs: deque[Job[Request, Answer]] = deque()
        self._queued = 0  # requests, not jobs
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, requests: Sequence[Request]) -> list[Answer]:
        """Waits until `requests` are committed. Raises the exception that `commit` gave the job, or `LedgerBusy`."""
        job: Job[Request, Answer] = Job(tuple(requests))
        with self._changed:
            if self._closed:
                raise LedgerBusy("The ledger is shutting down.", "Try again when the service is back.")
            # A job larger than the queue's limit is still accepted when the queue is empty.
            if self._queued and self._queued + len(job.requests) > self._queue_limit:
                raise LedgerBusy(
                    f"{self._queued} entries are waiting to be appended.", "Try again in a moment."
                )
            self._jobs.append(job)
            self._queued += len(job.requests)
            self._changed.notify()
        return job.answer.result()

    def close(self) -> None:
        """Commits what is waiting, then stops. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while jobs := self._next_jobs():
            try:
                self._commit(jobs)
            except BaseException as exc:
                for job in jobs:
                    if not job.answer.done():
                        job.answer.set_exception(exc)

    def _next_jobs(self) -> list[Job[Request, Answer]]:
        """Waits for jobs and takes at least one, up to the batch limit; empty once closed and drained."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            jobs: list[Job[Request, Answer]] = []
            taken = 0
            while self._jobs and (not jobs or taken + len(self._jobs[0].requests) <= self._batch_limit):
                jobs.append(self._jobs.popleft())
                taken += len(jobs[-1].requests)
            self._queued -= taken
            return jobs
