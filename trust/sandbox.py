"""The sandbox: a worker process that opens what untrusted people send.

A parser of PDF or pictures may hang, eat memory or be taken over by a hostile file. So it runs in a process
of its own that has little to lose: no environment, no network and no files but its program's where the kernel
lets us take them away, caps on memory, processor time, files and processes, and a wall clock kept by the
parent. Jobs and answers are JSON over pipes, with binary parts beside them, both capped. A worker is warm (its
imports are done) and is thrown away after any failure, after a time-out, and after a number of jobs.

What a worker may be asked for is said when the pool is made: names, and the "module:function" behind each,
imported before the worker gives up its rights; a module's `prepare()`, if it has one, is called before that too.
The answer to a job that broke a limit is `EvidenceUnavailableError` with code LIMIT_EXCEEDED; errors of our own
tree come back as themselves; anything else comes back as `EvidenceUnavailableError` with code CANNOT_BE_READ.
A worker that does not even start has seen no file: that is `OperationalError` with code READER_DOWN, ours to mend, and
its reason is logged. There is no other way out, so nothing that is opened here can become a 500 or a hang.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import queue
import resource
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from trust.confinement import confine
from trust.model import errors
from trust.model.errors import EvidenceUnavailableError, OperationalError, TrustError

_HEADER = struct.Struct(">II")
_MAX_ANSWER = 4 * 1024 * 1024
_CANNOT_BE_READ = "CANNOT_BE_READ"
_READY = b"ready"
_START_SECONDS = 120.0
"""Importing what reads files takes a second; a busy machine may take long. No file is being read yet."""
_MAX_REASON = 400

_log = logging.getLogger("yinzheng.sandbox")


@dataclass(frozen=True, slots=True)
class Limits:
    """Per job, but `jobs` (how many one worker does) and `memory_bytes` (address space of the worker)."""

    wall_seconds: float = 15.0
    cpu_seconds: int = 10
    memory_bytes: int = 1024 * 1024 * 1024
    open_files: int = 32
    jobs: int = 200


class Apart(str):
    """The place of a job whose workers do nothing else.

    For decoders in languages where a hostile file may take the process over: what they could forge afterwards is
    another answer of their own kind, and not a verdict on somebody else's file.
    """


class Sandbox:
    """Pools of workers: one for all jobs, and one for each job that is `Apart`.

    `run` may be called from many threads; each call has a worker to itself. `workers` is the size of each pool; they
    start at their first job. `niceness` is that of the processor: 0 as others, 19 after everybody.
    """

    def __init__(
        self, jobs: Mapping[str, str], *, workers: int = 2, limits: Limits | None = None, niceness: int = 0
    ) -> None:
        together = {job: place for job, place in jobs.items() if not isinstance(place, Apart)}
        groups: list[Mapping[str, str]] = [together]
        groups += [{job: place} for job, place in jobs.items() if isinstance(place, Apart)]
        self._pools = [_Pool(group, workers, limits or Limits(), niceness) for group in groups if group]
        self._of = {job: pool for pool in self._pools for job in pool.jobs}

    def run(self, job: str, arguments: dict[str, Any], attachments: Sequence[bytes]) -> dict[str, Any]:
        """The job's answer. Raises as the module says."""
        return self._of[job].run(job, arguments, attachments)

    def warm_up(self) -> None:
        """Starts one worker of each pool ahead of its first job."""
        for pool in self._pools:
            pool.warm_up()

    def workers(self) -> list[int]:
        """Process ids of the workers that wait for a job."""
        return [pid for pool in self._pools for pid in pool.workers()]

    def close(self) -> None:
        for pool in self._pools:
            pool.close()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Pool:
    def __init__(self, jobs: Mapping[str, str], workers: int, limits: Limits, niceness: int) -> None:
        self.jobs = dict(jobs)
        self._limits = limits
        self._niceness = niceness
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)

    def run(self, job: str, arguments: dict[str, Any], attachments: Sequence[bytes]) -> dict[str, Any]:
        worker = self._idle.get()
        keep: _Worker | None = None
        try:
            if worker is None or not worker.is_alive():
                if worker is not None:
                    worker.stop()
                worker = None
                worker = _Worker(self.jobs, self._limits, self._niceness)
            answer = worker.ask(job, arguments, attachments)
            # One that met what nobody foresaw may not be what it was.
            if worker.jobs_left > 0 and answer.get("error", {}).get("code") != _CANNOT_BE_READ:
                keep = worker
        finally:
            if worker is not None and keep is None:
                worker.stop()
            self._idle.put(keep)
        if "error" in answer:
            raise _error_from(answer["error"])
        result = answer["result"]
        assert isinstance(result, dict)
        return result

    def warm_up(self) -> None:
        worker = self._idle.get()
        try:
            worker = worker or _Worker(self.jobs, self._limits, self._niceness)
        finally:
            self._idle.put(worker)

    def workers(self) -> list[int]:
        return [worker.pid for worker in list(self._idle.queue) if worker is not None]

    def close(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                worker = self._idle.get_nowait()
                if worker is not None:
                    worker.stop()


class _Worker:
    def __init__(self, jobs: Mapping[str, str], limits: Limits, niceness: int) -> None:
        self._limits = limits
        self.jobs_left = limits.jobs
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        told = {**_as_dict(limits), "niceness": niceness}
        try:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module, no input in it
                [sys.executable, "-m", "trust.sandbox", json.dumps(jobs), json.dumps(told)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
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
            raise _down(str(exc)) from exc
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """Raises `OperationalError` (READER_DOWN)."""
        stdout, stderr = self._process.stdout, self._process.stderr
        assert stdout is not None
        assert stderr is not None
        try:
            if _read_exactly(stdout, len(_READY), time.monotonic() + _START_SECONDS) == _READY:
                stderr.close()
                return
        except (OSError, EOFError):
            pass
        self._process.kill()
        lines = stderr.read().decode("utf-8", "replace").strip().splitlines()
        stderr.close()
        self.stop()
        raise _down(lines[-1][:_MAX_REASON] if lines else "it ended without a word")

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, job: str, arguments: dict[str, Any], attachments: Sequence[bytes]) -> dict[str, Any]:
        self.jobs_left -= 1
        deadline = time.monotonic() + self._limits.wall_seconds
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        killer = threading.Timer(self._limits.wall_seconds, self._process.kill)
        killer.daemon = True
        killer.start()
        try:
            header = json.dumps({"job": job, "arguments": arguments, "sizes": [len(a) for a in attachments]})
            stdin.write(
                _HEADER.pack(len(header.encode()), sum(len(a) for a in attachments)) + header.encode()
            )
            for attachment in attachments:
                stdin.write(attachment)
            stdin.flush()
            size, _ = _HEADER.unpack(_read_exactly(stdout, _HEADER.size, deadline))
            if size > _MAX_ANSWER:
                raise EOFError
            answer: dict[str, Any] = json.loads(_read_exactly(stdout, size, deadline))
        except (OSError, EOFError, ValueError, struct.error) as exc:
            self.jobs_left = 0
            raise EvidenceUnavailableError(
                "Opening the file took too much time or memory, or broke the reader.",
                "If it is genuine, ask its issuer for a fresh copy.",
                code="LIMIT_EXCEEDED",
            ) from exc
        finally:
            killer.cancel()
        return answer

    def stop(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process.wait()


def _down(reason: str) -> OperationalError:
    _log.error("a worker that reads files cannot start", extra={"code": "READER_DOWN", "what": reason})
    return OperationalError(
        f"The part of the service that opens files cannot start: {reason}.",
        "This says nothing about the file. Look at the installation and at free memory, and try again.",
        code="READER_DOWN",
    )


def _read_exactly(stream: IO[bytes], count: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    while count:
        ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise EOFError
        part = os.read(stream.fileno(), min(count, 1 << 16))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _as_dict(limits: Limits) -> dict[str, float | int]:
    return {
        "cpu_seconds": limits.cpu_seconds,
        "memory_bytes": limits.memory_bytes,
        "open_files": limits.open_files,
    }


def _error_from(described: dict[str, str]) -> TrustError:
    kind = getattr(errors, described["class"], None)
    if not (isinstance(kind, type) and issubclass(kind, TrustError)) or kind is errors.ProfileViolation:
        kind = EvidenceUnavailableError
    return kind(described["what"], described["todo"], code=described["code"])


# --- The worker's side -------------------------------------------------------------------------------------


def _serve(jobs: dict[str, str], limits: dict[str, Any]) -> None:
    functions = {}
    for job, place in jobs.items():
        module, function = place.split(":")
        imported = importlib.import_module(module)
        functions[job] = getattr(imported, function)
        # What is loaded at the first use only would be out of reach by then.
        getattr(imported, "prepare", lambda: None)()
    silent = os.open(os.devnull, os.O_WRONLY)
    _give_up_rights(limits)
    os.dup2(silent, sys.stderr.fileno())  # from here on nobody listens
    os.close(silent)
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    stdout.write(_READY)
    stdout.flush()
    while head := stdin.read(_HEADER.size):
        size, _ = _HEADER.unpack(head)
        request = json.loads(stdin.read(size))
        attachments = [stdin.read(length) for length in request["sizes"]]
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(
            resource.RLIMIT_CPU,
            (int(used.ru_utime + used.ru_stime) + limits["cpu_seconds"] + 1, resource.RLIM_INFINITY),
        )
        answer = _answer(functions, request, attachments)
        encoded = json.dumps(answer).encode()
        stdout.write(_HEADER.pack(len(encoded), 0) + encoded)
        stdout.flush()


def _answer(functions: dict[str, Any], request: dict[str, Any], attachments: list[bytes]) -> dict[str, Any]:
    try:
        return {"result": functions[request["job"]](request["arguments"], attachments)}
    except TrustError as exc:
        kind = next(c for c in type(exc).__mro__ if hasattr(errors, c.__name__)).__name__
        return {"error": {"class": kind, "code": exc.code, "what": exc.what, "todo": exc.todo}}
    except MemoryError:
        raise SystemExit(1) from None
    except Exception:  # whatever a parser raises on hostile input, it only means: not readable
        return {
            "error": {
                "class": "EvidenceUnavailableError",
                "code": _CANNOT_BE_READ,
                "what": "The file cannot be read.",
                "todo": "If it is genuine, ask its issuer for a fresh copy.",
            }
        }


def _give_up_rights(limits: dict[str, Any]) -> None:
    """Takes away what a reader does not need. Best effort only where the kernel may say no (`confine`)."""
    os.nice(limits["niceness"])
    # Linux may share the processors out between sessions first (sched(7), autogroup), and a worker is one of its own.
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:
        group.write(str(limits["niceness"]))
    resource.setrlimit(resource.RLIMIT_AS, (limits["memory_bytes"], limits["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits["open_files"], limits["open_files"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    confine()
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    sys.setrecursionlimit(400)


if __name__ == "__main__":
    _serve(json.loads(sys.argv[1]), json.loads(sys.argv[2]))
