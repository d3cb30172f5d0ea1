"""What a process that reads strangers' files may ask the kernel for, once a file has taken it over."""

from __future__ import annotations

import errno
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trust.model.errors import EvidenceUnavailableError
from trust.sandbox import syscalls
from trust.sandbox.workers import Limits, Sandbox

_JOBS = {name: f"tests.support.hostile_jobs:{name}" for name in ("tell_errors", "keep", "who")}
_LIMITS = Limits(wall_seconds=10)
_HEADERS = {
    "x86_64": (0, Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")),
    "aarch64": (1, Path("/usr/include/asm-generic/unistd.h")),
}
_COLUMN = {"x86_64": 0, "aarch64": 1}.get(platform.machine(), -1)
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or _COLUMN < 0, reason="no list of system calls for this machine"
)

_CALLS: dict[str, tuple[tuple[int, int], list[Any]]] = {
    # files of the service: modes, owners, times, attributes, names
    "fchmodat": ((268, 53), [-100, "PATH", 0o777]),
    "fchownat": ((260, 54), [-100, "PATH", 65534, 65534, 0]),
    "utimensat": ((280, 88), [-100, "PATH", 0, 0]),
    "setxattr": ((188, 5), ["PATH", "user.mark", "1", 1, 0]),
    "mkdirat": ((258, 34), [-100, "PATH.d", 0o700]),
    "unlinkat": ((263, 35), [-100, "PATH", 0]),
    "symlinkat": ((266, 36), ["PATH", -100, "PATH.l"]),
    "linkat": ((265, 37), [-100, "PATH", -100, "PATH.h", 0]),
    "renameat2": ((316, 276), [-100, "PATH", -100, "PATH.r", 0]),
    "truncate": ((76, 45), ["PATH", 0]),
    "openat for writing": ((257, 56), [-100, "PATH", 1]),
    "openat that makes": ((257, 56), [-100, "PATH.n", 0o100, 0o600]),
    "open_by_handle_at": ((304, 265), [-100, 0, 0]),
    "inotify_init1": ((294, 26), [0]),
    # sockets
    "socket AF_UNIX": ((41, 198), [1, 1, 0]),
    "socket AF_INET": ((41, 198), [2, 1, 0]),
    "socket AF_NETLINK": ((41, 198), [16, 3, 0]),
    "socketpair AF_TIPC": ((53, 199), [30, 1, 0, "12345678"]),
    # other processes
    "prlimit64 of the parent": ((302, 261), ["PARENT", 7, 0, 0]),
    "kill": ((62, 129), ["PARENT", 0]),
    "tgkill": ((234, 131), ["PARENT", "PARENT", 0]),
    "pidfd_open": ((434, 434), ["PARENT", 0]),
    "ptrace": ((101, 117), [16, "PARENT", 0, 0]),
    "process_vm_readv": ((310, 270), ["PARENT", 0, 0, 0, 0, 0]),
    "setpriority": ((141, 140), [0, "PARENT", 19]),
    "sched_setaffinity": ((203, 122), ["PARENT", 8, "\x01\x00\x00\x00\x00\x00\x00\x00"]),
    # processes of its own
    "fork": ((57, -1), []),
    "vfork": ((58, -1), []),
    "clone": ((56, 220), [17, 0, 0, 0, 0]),
    "clone3": ((435, 435), [0, 0]),
    "execve": ((59, 221), ["/bin/true", 0, 0]),
    "execveat": ((322, 281), [-100, "/bin/true", 0, 0, 0]),
    # the kernel's less travelled roads
    "io_uring_setup": ((425, 425), [1, 0]),
    "userfaultfd": ((323, 282), [1]),
    "bpf": ((321, 280), [0, 0, 0]),
    "perf_event_open": ((298, 241), [0, 0, -1, -1, 0]),
    "keyctl": ((250, 219), [0, -3, 0]),
    "memfd_create": ((319, 279), ["m", 0]),
    "unshare": ((272, 97), [0x10000000]),
    "mount": ((165, 40), ["none", "/tmp", "tmpfs", 0, 0]),
    "shmget": ((29, 194), [0, 4096, 0o1600]),
    "msgget": ((68, 186), [0, 0o1600]),
    "mq_open": ((240, 180), ["q", 0o102, 0o600, 0]),
    "add_key": ((248, 217), ["user", "k", "v", 1, -2]),
    "personality": ((135, 92), [0]),
    "prctl": ((157, 167), [15, "name"]),
    "seccomp": ((317, 277), [0, 0, 0]),
    "chdir": ((80, 49), ["/"]),
    "setuid": ((105, 146), [0]),
    "capset": ((126, 91), [0, 0]),
    "fcntl F_SETOWN": ((72, 25), [0, 8, "PARENT"]),
    "ioctl TIOCSTI": ((16, 29), [0, 0x5412, "x"]),
}


def _filled(path: str, parent: int) -> list[tuple[str, int, list[Any]]]:
    def fill(value: Any) -> Any:
        return (
            parent if value == "PARENT" else value.replace("PATH", path) if isinstance(value, str) else value
        )

    return [
        (name, numbers[_COLUMN], [fill(value) for value in given])
        for name, (numbers, given) in _CALLS.items()
        if numbers[_COLUMN] >= 0
    ]


def _errors(calls: list[tuple[str, int, list[Any]]]) -> dict[str, int]:
    with Sandbox(_JOBS, workers=1, limits=_LIMITS) as sandbox:
        return dict(sandbox.run("tell_errors", {"calls": calls}, [], lambda answer: answer["errors"]))


def main() -> None:
    """As another user: the calls come on standard input."""
    print(json.dumps(_errors(json.load(sys.stdin))))


@pytest.mark.parametrize("user", ["as it is", "ordinary"])
def test_what_reading_does_not_need_is_refused_by_the_kernel(user: str, tmp_path: Path) -> None:
    target = tmp_path / "key"
    target.write_bytes(b"secret")
    tmp_path.chmod(0o755)
    target.chmod(0o666)
    calls = _filled(str(target), os.getpid())
    if user == "as it is":
        found = _errors(calls)
    else:
        if os.geteuid() != 0 or shutil.which("setpriv") is None:
            pytest.skip("becoming another user takes root and setpriv")
        # It may read what only root reaches, so that it finds this interpreter; its workers lose that too.
        found = json.loads(
            subprocess.run(
                [
                    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
                    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
                    *(sys.executable, "-c", "from tests.sandbox.test_system_calls import main; main()"),
                ],
                input=json.dumps(calls),
                env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
    assert found == dict.fromkeys(found, errno.EPERM)
    assert len(found) == len(calls) > 45
    assert target.read_bytes() == b"secret"
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


def test_no_call_that_is_not_listed_comes_through() -> None:
    """Also those that nobody thought of, and those that the next kernels bring."""
    listed = {number[_COLUMN] for number in syscalls._ALLOWED.values()}
    listed |= {number[_COLUMN] for number, _, _ in syscalls._WITH_ARGUMENT.values()} | {
        syscalls._OPENAT[_COLUMN]
    }
    # uretprobe and uprobe pass every filter since Linux 6.14 and end a process that calls them (x86-64).
    asked = (*range(600), 0x40000000, 0x40000000 + 41)
    numbers = [number for number in asked if number not in listed and number not in (335, 336)]
    found = _errors([(str(number), number, []) for number in numbers])
    assert {name for name, error in found.items() if error != errno.EPERM} == set()


@pytest.mark.parametrize("machine", _HEADERS)
def test_the_numbers_are_the_kernels(machine: str) -> None:
    column, header = _HEADERS[machine]
    if not header.exists():
        pytest.skip("the kernel's headers are not here")
    text = header.read_text()
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", text)}
    numbers = {name: each[column] for name, each in syscalls._ALLOWED.items()}
    numbers |= {name: each[0][column] for name, each in syscalls._WITH_ARGUMENT.items()}
    numbers["openat"] = syscalls._OPENAT[column]
    names = {"newfstatat": "fstatat"} if machine == "aarch64" else {}
    for name, number in numbers.items():
        if number >= 0:
            assert known.get(names.get(name, name)) == number, name
        else:
            assert name not in known, name


def _holds(pid: int, wanted: bytes) -> bool:
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            span, rights = line.split()[:2]
            if "r" not in rights or "[v" in line:
                continue
            start, end = (int(each, 16) for each in span.split("-"))
            try:
                memory.seek(start)
                if wanted in memory.read(end - start):
                    return True
            except (OSError, ValueError):
                continue
    return False


def _processes(sandbox: Sandbox) -> list[int]:
    servers = [pool._fork_server._process.pid for pool in sandbox._pools if pool._fork_server is not None]
    return [*servers, *sandbox.workers()]


def test_what_was_read_is_gone_before_the_next_file() -> None:
    mark = os.urandom(32)
    with Sandbox(_JOBS, workers=1) as sandbox:
        reader = sandbox.run("keep", {}, [mark * 100], lambda answer: int(answer["pid"]))
        following = sandbox.run("who", {}, [b"another file"], lambda answer: int(answer["pid"]))
        assert following != reader
        processes = _processes(sandbox)
        assert len(processes) == 2, "the one that forks and the next reader"
        try:
            assert _holds(os.getpid(), mark), "the search finds it where it is"
            found = [_holds(pid, mark) for pid in processes]
        except PermissionError:
            pytest.skip("this machine lets nobody look into another process")
        assert not any(found)


def test_a_file_that_is_read_by_one_lane_is_in_no_process_of_another() -> None:
    mark = os.urandom(32)
    with Sandbox(_JOBS, workers=2, limits=_LIMITS) as one, Sandbox(_JOBS, workers=1, limits=_LIMITS) as other:
        for sandbox in (one, other):
            sandbox.warm_up()
        one.run("keep", {}, [mark], dict)
        with pytest.raises(EvidenceUnavailableError):
            one.run("tell_errors", {"calls": "not a list of calls"}, [mark], dict)
        try:
            assert not any(_holds(pid, mark) for pid in [*_processes(one), *_processes(other)])
        except PermissionError:
            pytest.skip("this machine lets nobody look into another process")
