"""The sandbox: whatever a job does, the one who asked hears of it in time, and the next one is not affected."""

from __future__ import annotations

import inspect
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import hostile_jobs

from keys.sm2 import engine_name
from trust.confinement import landlock_version
from trust.model.errors import EvidenceUnavailableError, OperationalError
from trust.sandbox import Apart, Limits, Sandbox

_JOBS = {
    name: f"tests.support.hostile_jobs:{name}"
    for name, _ in inspect.getmembers(hostile_jobs, inspect.isfunction)
}
_LIMITS = Limits(wall_seconds=3, cpu_seconds=1, memory_bytes=512 * 1024 * 1024, jobs=5)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(_JOBS, workers=1, limits=_LIMITS) as made:
        yield made


def pid_in(sandbox: Sandbox, job: str = "who") -> int:
    return int(sandbox.run(job, {}, [])["pid"])


@pytest.mark.parametrize("job", ["hang", "spin", "talk", "leave", "grow"])
def test_what_breaks_a_limit_ends_in_time_and_with_its_worker(sandbox: Sandbox, job: str) -> None:
    before = pid_in(sandbox)
    started = time.monotonic()
    with pytest.raises(EvidenceUnavailableError) as refused:
        sandbox.run(job, {}, [])
    assert refused.value.code == "LIMIT_EXCEEDED"
    assert time.monotonic() - started < _LIMITS.wall_seconds + 3
    assert pid_in(sandbox) != before
    assert not Path(f"/proc/{before}").exists()


@pytest.mark.parametrize("job", ["stumble", "nest"])
def test_what_nobody_foresaw_ends_with_its_worker(sandbox: Sandbox, job: str) -> None:
    before = pid_in(sandbox)
    with pytest.raises(EvidenceUnavailableError) as refused:
        sandbox.run(job, {}, [])
    assert refused.value.code == "CANNOT_BE_READ"
    assert "library" not in str(refused.value)
    assert pid_in(sandbox) != before


def test_nothing_is_written(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "left"
    with pytest.raises(EvidenceUnavailableError):
        sandbox.run("write", {"path": str(path)}, [])
    assert not path.exists() or path.read_bytes() == b""


@pytest.mark.skipif(os.geteuid() == 0, reason="RLIMIT_NPROC does not bind root (setrlimit(2))")
def test_no_process_is_made(sandbox: Sandbox) -> None:
    with pytest.raises(EvidenceUnavailableError):
        sandbox.run("multiply", {}, [])


_FILES = pytest.mark.skipif(landlock_version() < 1, reason="this kernel has no Landlock")


@_FILES
def test_no_file_but_the_programs_own_is_read(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "seal.key"
    secret.write_bytes(b"\x2d")
    for path in (secret, Path("/etc/passwd"), Path("/proc/self/environ"), Path(__file__)):
        with pytest.raises(EvidenceUnavailableError):
            sandbox.run("read", {"path": str(path)}, [])
    for folder in (tmp_path, Path("/"), Path.home(), Path(__file__).parents[2]):
        with pytest.raises(EvidenceUnavailableError):
            sandbox.run("look_around", {"path": str(folder)}, [])
    assert sandbox.run("read", {"path": hostile_jobs.__file__}, [])["first"] == "22"


@_FILES
def test_no_program_is_started(sandbox: Sandbox) -> None:
    with pytest.raises(EvidenceUnavailableError) as refused:
        sandbox.run("execute", {}, [])
    assert refused.value.code == "CANNOT_BE_READ", "refused by the kernel, and not ended"


@pytest.mark.skipif(landlock_version() < 6, reason="this kernel's Landlock does not keep signals in")
def test_nobody_outside_is_signalled(sandbox: Sandbox) -> None:
    with pytest.raises(EvidenceUnavailableError):
        sandbox.run("kill", {"pid": os.getpid()}, [])


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_nobody_is_called(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.5)
        host, port = listening.getsockname()
        with pytest.raises(EvidenceUnavailableError):
            sandbox.run("call", {"host": host, "port": port}, [])
        with pytest.raises(TimeoutError):
            listening.accept()


def test_a_worker_has_no_secrets_and_is_replaced_after_its_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of the service")
    with Sandbox(_JOBS, workers=1, limits=_LIMITS) as sandbox:
        answers = [sandbox.run("who", {}, [b"12", b""]) for _ in range(_LIMITS.jobs + 1)]
    assert {answer["secret"] for answer in answers} == {None}
    assert answers[0]["sizes"] == [2, 0]
    pids = [answer["pid"] for answer in answers]
    assert (len(set(pids[:-1])), pids[-1] != pids[0]) == (1, True)


def test_who_judges_files_has_what_it_needs_at_hand() -> None:
    with Sandbox({"engine": "tests.support.probing_jobs:engine"}, workers=1) as sandbox:
        assert sandbox.run("engine", {}, [])["engine"] == engine_name() == "libcrypto"


def test_who_decodes_pictures_does_nothing_else() -> None:
    jobs = {"who": _JOBS["who"], "picture": Apart(_JOBS["who"])}
    with Sandbox(jobs, workers=1, limits=_LIMITS) as sandbox:
        sandbox.warm_up()
        assert len(sandbox.workers()) == 2
        assert pid_in(sandbox, "who") != pid_in(sandbox, "picture")
        assert {pid_in(sandbox, "who"), pid_in(sandbox, "picture")} == set(sandbox.workers())


def test_many_ask_at_once_and_each_has_its_own_answer() -> None:
    with Sandbox(_JOBS, workers=2, limits=Limits()) as sandbox, ThreadPoolExecutor(8) as pool:
        barrier = threading.Barrier(8)

        def ask(size: int) -> list[int]:
            barrier.wait()
            return list(sandbox.run("who", {}, [bytes(size)])["sizes"])

        assert list(pool.map(ask, range(8))) == [[size] for size in range(8)]
        assert len(sandbox.workers()) == 2


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("tests.support.no_such_module:job", "no_such_module"),
        ("tests.support.hostile_jobs:no_such_job", "no_such_job"),
        ("tests.support.failing_at_start:job", "a library is missing"),
    ],
)
def test_a_worker_that_cannot_start_is_our_fault_and_says_why(
    place: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Sandbox({"job": place}, workers=1) as broken:
        for _ in range(2):  # its place in the pool is not lost
            with pytest.raises(OperationalError) as refused:
                broken.run("job", {}, [b"a file"])
            assert refused.value.code == "READER_DOWN"
            assert reason in refused.value.what
            assert "nothing about the file" in refused.value.todo
    assert any(reason in getattr(record, "what", "") for record in caplog.records)


def test_an_interpreter_that_is_not_there_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trust.sandbox.sys.executable", "/nowhere/python")
    with Sandbox(_JOBS, workers=1) as broken, pytest.raises(OperationalError) as refused:
        broken.run("who", {}, [])
    assert refused.value.code == "READER_DOWN"
