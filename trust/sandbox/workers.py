"""The sandbox: worker processes that open untrusted files.

A parser of PDF or pictures may hang, exhaust memory or be taken over by a hostile file. So it runs in a separate
process with few rights: no environment, no network, only its program's files and only the system calls for reading if
the kernel can restrict them, limits on memory, processor time, files and processes, and a wall-clock limit enforced by
the parent. Jobs and answers are JSON over pipes, with binary parts beside them, both limited in size.

Workers are forked from a process that has imported all code but read no file (`trust.sandbox.fork_server`), so a new
one costs milliseconds. By default a worker lives for one job, so that the content it read, and any attacker in it, ends
with it. A worker that exceeded a limit or had an unforeseen error ends too.

The jobs are fixed when the pool is made: names, each with a "module:function" that is imported before the worker gives
up its rights; a module's `prepare()`, if it has one, is called before that too. A job that exceeded a limit gives
`EvidenceUnavailableError` with code LIMIT_EXCEEDED; errors that a reader may report about a file (`_SAID_OF_FILES`)
are raised as they are; anything else, also a malformed answer, gives `EvidenceUnavailableError` with code
CANNOT_BE_READ. A worker cannot report that the service is broken. A worker that does not start has read no file: that
is `OperationalError` with code READER_DOWN, a fault of the service, and its reason is logged. There are no other
outcomes, so no file can cause a status 500 or a hang.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import trust
from trust.model.errors import (
    EvidenceUnavailableError,
    Malformed,
    OperationalError,
    TrustError,
    VerificationError,
)
from trust.sandbox.fork_server import CANNOT_BE_READ, FAILED, HEADER, HELLO, UNFILTERED

T = TypeVar("T")
_MAX_ANSWER = 4 * 1024 * 1024
_START_SECONDS = 120.0
"""Importing the readers takes a second, but much longer on a busy machine. No file is being read yet."""
_MAX_REASON = 400
_SAID_OF_FILES: Mapping[str, type[TrustError]] = {
    kind.__name__: kind for kind in (VerificationError, EvidenceUnavailableError, Malformed)
}
_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_MAX_SAID = 1000

_log = logging.getLogger("yinzheng.sandbox")


@dataclass(frozen=True, slots=True)
class Limits:
    """Per job. `memory_bytes` is the address space of the worker."""

    wall_seconds: float = 15.0
    cpu_seconds: int = 10
    memory_bytes: int = 1024 * 1024 * 1024
    open_files: int = 32


class Apart(str):
    """The "module:function" of a job that has its own workers, which do nothing else.

    For decoders in languages where a hostile file may take over the process: it could then only forge answers of the
    same job, not a verdict on another client's file.
    """


class Sandbox:
    """Pools of workers: one for all jobs, and one for each job that is `Apart`.

    `run` may be called from many threads; each call has a worker for itself. `workers` is the size of each pool; they
    start at their first job. `niceness` is the scheduling priority: 0 is normal, 19 the lowest.
    """

    def __init__(
        self, jobs: Mapping[str, str], *, workers: int = 2, limits: Limits | None = None, niceness: int = 0
    ) -> None:
        together = {job: place for job, place in jobs.items() if not isinstance(place, Apart)}
        groups: list[Mapping[str, str]] = [together]
        groups += [{job: place} for job, place in jobs.items() if isinstance(place, Apart)]
        self._pools = [_Pool(group, workers, limits or Limits(), niceness) for group in groups if group]
        self._of = {job: pool for pool in self._pools for job in pool.jobs}

    def run(
        self,
        job: str,
        arguments: dict[str, Any],
        attachments: Sequence[bytes],
        decode: Callable[[dict[str, Any]], T],
    ) -> T:
        """The job's answer, as decoded by `decode`. Raises as the module says.

        The answer comes from a process that a hostile file may have taken over. If `decode` cannot decode it, the
        answer is worthless and says nothing about the file. A `TrustError` that `decode` raises passes through.
        """
        answer = self._of[job].run(job, arguments, attachments)
        try:
            return decode(answer)
        except TrustError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as exc:
            raise _cannot_be_read() from exc

    def warm_up(self) -> None:
        """Starts one worker of each pool before its first job."""
        for pool in self._pools:
            pool.warm_up()

    def workers(self) -> list[int]:
        """Process ids of the idle workers."""
        return [pid for pool in self._pools for pid in pool.workers()]

    def close(self) -> None:
        for pool in self._pools:
            pool.close()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Pool:
    """Workers for some jobs, all forked from one process."""

    def __init__(self, jobs: Mapping[str, str], workers: int, limits: Limits, niceness: int) -> None:
        self.jobs = dict(jobs)
        self._limits = limits
        self._niceness = niceness
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        self._fork_server: _ForkServer | None = None
        self._server_lock = threading.Lock()
        for _ in range(workers):
            self._idle.put(None)

    def run(self, job: str, arguments: dict[str, Any], attachments: Sequence[bytes]) -> dict[str, Any]:
        worker = self._idle.get()
        try:
            worker = self._ready(worker)
            try:
                answer = worker.ask(job, arguments, attachments)
            except _ForkServerEnded:
                # No file reaches that process, so this file did not end it; try once with another reader.
                worker = self._ready(worker)
                answer = worker.ask(job, arguments, attachments)
        except _ForkServerEnded as exc:
            raise _down("the process that makes its workers ended") from exc
        finally:
            following = self._next_one() if worker is not None else None
            if worker is not None:
                worker.stop()
            self._idle.put(following)
        if isinstance(answer, _Said):
            raise answer.kind(answer.what, answer.todo, code=answer.code)
        return answer

    def _ready(self, worker: _Worker | None) -> _Worker:
        """An idle worker: the given one, or a new one in its place. Raises `OperationalError`."""
        if worker is not None:
            if worker.is_ready():
                return worker
            worker.stop()
        worker = _Worker(self._opened(), self._limits)
        if worker.is_ready():
            return worker
        worker.stop()
        raise _down(worker.reason)

    def _next_one(self) -> _Worker | None:
        """Requests a worker now, so that it is ready for the next job."""
        try:
            fork_server = self._fork_server
            return (
                _Worker(fork_server, self._limits)
                if fork_server is not None and fork_server.is_alive()
                else None
            )
        except OSError:
            return None

    def _opened(self) -> _ForkServer:
        with self._server_lock:
            if self._fork_server is None or not self._fork_server.is_alive():
                if self._fork_server is not None:
                    self._fork_server.close()
                self._fork_server = _ForkServer(self.jobs, self._limits, self._niceness)
            return self._fork_server

    def warm_up(self) -> None:
        worker = self._idle.get()
        try:
            worker = self._ready(worker)
        finally:
            self._idle.put(worker)

    def workers(self) -> list[int]:
        return [worker.pid for worker in list(self._idle.queue) if worker is not None and worker.is_ready()]

    def close(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                worker = self._idle.get_nowait()
                if worker is not None:
                    worker.stop()
        with self._server_lock:
            if self._fork_server is not None:
                self._fork_server.close()
                self._fork_server = None


class _ForkServer:
    """The process that workers are forked from. Raises `OperationalError` (READER_DOWN) if it cannot start."""

    def __init__(self, jobs: Mapping[str, str], limits: Limits, niceness: int) -> None:
        root = os.path.dirname(os.path.abspath(next(iter(trust.__path__))))
        told = {**asdict(limits), "niceness": niceness}
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module, no input in it
                [
                    sys.executable,
                    "-m",
                    "trust.sandbox.fork_server",
                    str(theirs.fileno()),
                    json.dumps(jobs),
                    json.dumps(told),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                cwd="/",
                env={
                    "PYTHONPATH": root,
                    "PATH": "/usr/bin:/bin",
                    "LANG": "C.UTF-8",
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                start_new_session=True,
            )
        except OSError as exc:
            self._channel.close()
            raise _down(str(exc)) from exc
        finally:
            theirs.close()
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        self._channel.settimeout(_START_SECONDS)
        with contextlib.suppress(OSError):
            if self._channel.recv(1024):
                self._channel.settimeout(None)
                stderr.close()
                return
        self._process.kill()
        lines = stderr.read().decode("utf-8", "replace").strip().splitlines()
        self.close()
        raise _down(lines[-1][:_MAX_REASON] if lines else "it ended without a word")

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def fork(self, jobs_from: int, answers_to: int) -> None:
        """Requests a worker on these pipes, which reports when it is ready. Raises `OSError`."""
        socket.send_fds(self._channel, [b"new"], [jobs_from, answers_to])

    def reap(self, pid: int) -> None:
        with contextlib.suppress(OSError):
            self._channel.send(b"reap %d" % pid)

    def close(self) -> None:
        """Ends the process and its workers."""
        self._process.kill()
        self._channel.close()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._process.wait()


@dataclass(frozen=True, slots=True)
class _Said:
    """An error that a worker reported about a file instead of an answer."""

    kind: type[TrustError]
    code: str
    what: str
    todo: str


class _ForkServerEnded(Exception):
    """The process that a worker was forked from has ended, and all its workers with it."""


class _Worker:
    def __init__(self, fork_server: _ForkServer, limits: Limits) -> None:
        """Requests the process without waiting for it. Raises `OSError`."""
        self._fork_server = fork_server
        self._limits = limits
        self.pid = 0
        self.reason = "it ended without a word"
        self._kill_lock = threading.Lock()
        self._is_stopped = False
        jobs_from, self._jobs = os.pipe()
        self._answers, answers_to = os.pipe()
        try:
            fork_server.fork(jobs_from, answers_to)
        except OSError:
            os.close(self._jobs)
            os.close(self._answers)
            raise
        finally:
            os.close(jobs_from)
            os.close(answers_to)

    def is_ready(self) -> bool:
        """True if the worker is idle; waits until it has started. A started worker that sends something unasked is
        not."""
        if self.pid:
            return self._fork_server.is_alive() and not _has_something(self._answers, 0.0)
        deadline = time.monotonic() + _START_SECONDS
        try:
            said, number = HELLO.unpack(_read_exactly(self._answers, HELLO.size, deadline))
            if said == FAILED:
                self.reason = _read_exactly(self._answers, min(number, _MAX_REASON), deadline).decode()
                return False
        except (OSError, EOFError, ValueError):
            return False
        if said == UNFILTERED:
            _warn_once()
        self.pid = number
        return True

    def ask(
        self, job: str, arguments: dict[str, Any], attachments: Sequence[bytes]
    ) -> dict[str, Any] | _Said:
        deadline = time.monotonic() + self._limits.wall_seconds
        killer = threading.Timer(self._limits.wall_seconds, self._kill)
        killer.daemon = True
        killer.start()
        try:
            header = json.dumps(
                {"job": job, "arguments": arguments, "sizes": [len(each) for each in attachments]}
            ).encode()
            _write(self._jobs, HEADER.pack(len(header), sum(len(each) for each in attachments)) + header)
            for attachment in attachments:
                _write(self._jobs, attachment)
            size, _ = HEADER.unpack(_read_exactly(self._answers, HEADER.size, deadline))
            if size > _MAX_ANSWER:
                raise EOFError
            return _taken(_read_exactly(self._answers, size, deadline))
        except (OSError, EOFError, struct.error) as exc:
            if not self._fork_server.is_alive():
                raise _ForkServerEnded from exc  # this worker has ended too
            raise EvidenceUnavailableError(
                "Opening the file took too much time or memory, or broke the reader.",
                "If it is genuine, ask its issuer for a fresh copy.",
                code="LIMIT_EXCEEDED",
            ) from exc
        finally:
            killer.cancel()

    def _kill(self) -> None:
        # The process id is not reused until it was reaped.
        with self._kill_lock, contextlib.suppress(ProcessLookupError):
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Ends the worker. Does nothing a second time, because its descriptors may be in use elsewhere by then."""
        if self._is_stopped:
            return
        self._is_stopped = True
        if not self.pid:
            self.is_ready()
        self._kill()
        with self._kill_lock:
            if self.pid:
                self._fork_server.reap(self.pid)
            self.pid = 0
        os.close(self._jobs)
        os.close(self._answers)


def _taken(encoded: bytes) -> dict[str, Any] | _Said:
    """The decoded answer; anything malformed counts as "the file cannot be read"."""
    unread = _cannot_be_read()
    nothing = _Said(type(unread), unread.code, unread.what, unread.todo)
    try:
        answer = json.loads(encoded)
    except (ValueError, RecursionError):
        return nothing
    if not isinstance(answer, dict):
        return nothing
    if isinstance(result := answer.get("result"), dict):
        return result
    if not isinstance(error := answer.get("error"), dict):
        return nothing
    kind = _SAID_OF_FILES.get(str(error.get("class")))
    code, what, todo = (error.get(name) for name in ("code", "what", "todo"))
    if kind is None or not (isinstance(code, str) and isinstance(what, str) and isinstance(todo, str)):
        return nothing
    if not _CODE.fullmatch(code) or len(what) + len(todo) > _MAX_SAID:
        return nothing
    return _Said(kind, code, what, todo)


def _cannot_be_read() -> EvidenceUnavailableError:
    return EvidenceUnavailableError(
        "The file cannot be read.", "If it is genuine, ask its issuer for a fresh copy.", code=CANNOT_BE_READ
    )


def _down(reason: str) -> OperationalError:
    _log.error("a worker that reads files cannot start", extra={"code": "READER_DOWN", "what": reason})
    return OperationalError(
        f"The part of the service that opens files cannot start: {reason}.",
        "This says nothing about the file. Look at the installation and at free memory, and try again.",
        code="READER_DOWN",
    )


_warned = threading.Event()


def _warn_once() -> None:
    if not _warned.is_set():
        _warned.set()
        _log.warning("no list of system calls for workers that read files: this kernel or machine knows none")


def _has_something(descriptor: int, seconds: float) -> bool:
    """True if there is something to read, or the end. Uses poll, because select supports only 1024 descriptors."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(max(0.0, seconds) * 1000))


def _read_exactly(descriptor: int, count: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    while count:
        if not _has_something(descriptor, deadline - time.monotonic()):
            raise EOFError
        part = os.read(descriptor, min(count, 1 << 16))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
