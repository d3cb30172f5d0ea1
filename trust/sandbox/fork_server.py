"""The fork server of the sandbox: a process that has imported all code but read no file, and forks readers.

It starts once for each pool (`trust.sandbox.workers`), gives up its rights, and then forks a reader whenever it is
told to: a copy of itself that takes two pipes over, is left the system calls that reading needs, and answers one job. A
reader that lives for one file has never had another one in its memory, and costs a fork instead of a start.

Messages on the channel (a socket pair that preserves message boundaries):

    "new" with two descriptors, to read the job from and to write its answer to
    "reap" and a process id: that reader is dead or dying, and its id may be given away

A reader first writes `READY` (or `UNFILTERED`, if the kernel cannot filter system calls) and its process id; if no
reader can be made, `FAILED`, the length of a reason and the reason are written.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import socket
import struct
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from trust.model import errors
from trust.model.errors import TrustError
from trust.sandbox.confinement import confine
from trust.sandbox.syscalls import restrict_system_calls

HEADER = struct.Struct(">II")
"""Precedes a job: the lengths of its header and of all attachments. Precedes an answer: its length, and 0."""
HELLO = struct.Struct(">cI")
"""The first message of a reader."""
READY, UNFILTERED, FAILED = b"r", b"u", b"f"
CANNOT_BE_READ = "CANNOT_BE_READ"
_PARENT_DEATH_SIGNAL = 1
_REAP_EVERY = 0.02
_IS_LINUX = sys.platform == "linux"

Job = Callable[[dict[str, Any], Sequence[bytes]], dict[str, Any]]


class _NoHttp(types.ModuleType):
    """Stands for aiohttp, which pyHanko imports for fetching. No reader has a network, and without it a sandbox starts
    sooner and holds less code."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (Exception,), {})  # annotations name its classes, and `except` its errors
        setattr(self, name, made)
        return made


def main(channel: socket.socket, jobs: Mapping[str, str], limits: Mapping[str, Any]) -> None:
    functions: dict[str, Job] = {}
    sys.modules.setdefault("aiohttp", _NoHttp("aiohttp"))
    for job, place in jobs.items():
        module, function = place.split(":")
        imported = importlib.import_module(module)
        functions[job] = getattr(imported, function)
        # Modules that are loaded on first use would be out of reach by then.
        getattr(imported, "prepare", lambda: None)()
    silent = os.open(os.devnull, os.O_WRONLY)
    has_landlock = _give_up_rights(limits)
    gc.collect()
    gc.freeze()  # else a reader's garbage collector would touch, and so copy, every imported page
    channel.send(json.dumps({"landlock": has_landlock}).encode())
    os.dup2(silent, sys.stderr.fileno())  # from here on stderr is not read
    ending: set[int] = set()
    while True:
        # Ending a process takes milliseconds, so ended ones are reaped later, between requests.
        ending = {pid for pid in ending if not _is_reaped(pid)}
        channel.settimeout(_REAP_EVERY if ending else None)
        try:
            message, given, _, _ = socket.recv_fds(channel, 64, 2)
        except TimeoutError:
            continue
        if not message:
            return
        if message.startswith(b"reap "):
            ending.add(int(message.removeprefix(b"reap ")))
            continue
        try:
            child = os.fork()
        except OSError as exc:
            _say_why(given[1], f"no process can be made: {exc.strerror}")
        else:
            if child == 0:
                _become_reader(channel, given[0], given[1], functions, limits)
        for descriptor in given:
            os.close(descriptor)


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _say_why(answers: int, reason: str) -> None:
    text = reason.encode()
    with contextlib.suppress(OSError):
        os.write(answers, HELLO.pack(FAILED, len(text)) + text)


def _become_reader(
    channel: socket.socket,
    jobs_from: int,
    answers_to: int,
    functions: Mapping[str, Job],
    limits: Mapping[str, Any],
) -> NoReturn:
    try:
        channel.close()
        if _IS_LINUX:
            ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, ctypes.c_ulong(signal.SIGKILL))
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        os.dup2(jobs_from, 0)
        os.dup2(answers_to, 1)
        os.closerange(3, limits["open_files"])
        is_filtered = restrict_system_calls()
        os.write(1, HELLO.pack(READY if is_filtered else UNFILTERED, os.getpid()))
        _answer_one_job(functions, limits["cpu_seconds"])
        os._exit(0)
    finally:
        os._exit(1)


def _answer_one_job(functions: Mapping[str, Job], cpu_seconds: int) -> None:
    with open(0, "rb", closefd=False) as jobs, open(1, "wb", closefd=False) as answers:
        head = jobs.read(HEADER.size)
        if not head:
            return
        size, _ = HEADER.unpack(head)
        request = json.loads(jobs.read(size))
        attachments = [jobs.read(length) for length in request["sizes"]]
        used = resource.getrusage(resource.RUSAGE_SELF)
        resource.setrlimit(
            resource.RLIMIT_CPU,
            (int(used.ru_utime + used.ru_stime) + cpu_seconds + 1, resource.RLIM_INFINITY),
        )
        encoded = json.dumps(_answer(functions, request, attachments)).encode()
        answers.write(HEADER.pack(len(encoded), 0) + encoded)


def _answer(
    functions: Mapping[str, Job], request: dict[str, Any], attachments: list[bytes]
) -> dict[str, Any]:
    try:
        return {"result": functions[request["job"]](request["arguments"], attachments)}
    except TrustError as exc:
        kind = next(c for c in type(exc).__mro__ if hasattr(errors, c.__name__)).__name__
        return {"error": {"class": kind, "code": exc.code, "what": exc.what, "todo": exc.todo}}
    except MemoryError:
        os._exit(1)
    except Exception:  # any exception of a parser on hostile input means "not readable"
        return {
            "error": {
                "class": "EvidenceUnavailableError",
                "code": CANNOT_BE_READ,
                "what": "The file cannot be read.",
                "todo": "If it is genuine, ask its issuer for a fresh copy.",
            }
        }


def _give_up_rights(limits: Mapping[str, Any]) -> bool:
    """Gives up the rights that a reader does not need. Returns True if the kernel restricted the files (`confine`)."""
    os.nice(limits["niceness"])
    # Linux may divide processor time between sessions first (sched(7), autogroup), and this process is a session.
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:
        group.write(str(limits["niceness"]))
    resource.setrlimit(resource.RLIMIT_AS, (limits["memory_bytes"], limits["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits["open_files"], limits["open_files"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    has_landlock = confine()
    sys.setrecursionlimit(400)
    return has_landlock


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), json.loads(sys.argv[2]), json.loads(sys.argv[3]))
