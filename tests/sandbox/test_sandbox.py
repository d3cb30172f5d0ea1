"""The sandbox: whatever a job does, the one who asked hears of it in time, and the next one is not affected."""

from __future__ import annotations

import inspect
import json
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import hostile_jobs

from keys.sm2 import engine_name
from trust.model.errors import EvidenceUnavailableError, OperationalError, VerificationError
from trust.sandbox.confinement import landlock_version
from trust.sandbox.workers import Apart, Limits, Sandbox

_JOBS = {
    name: f"tests.support.hostile_jobs:{name}"
    for name, _ in inspect.getmembers(hostile_jobs, inspect.isfunction)
}
_LIMITS = Limits(wall_seconds=3, cpu_seconds=1, memory_bytes=512 * 1024 * 1024)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(_JOBS, workers=1, limits=_LIMITS) as made:
        yield made


def pid_in(sandbox: Sandbox, job: str = "who") -> int:
    return int(sandbox.run(job, {}, [], dict)["pid"])


@pytest.mark.parametrize("job", ["hang", "spin", "talk", "leave", "grow"])
def test_what_breaks_a_limit_ends_in_time_and_with_its_worker(sandbox: Sandbox, job: str) -> None:
    before = pid_in(sandbox)
    started = time.monotonic()
    with pytest.raises(EvidenceUnavailableError) as refused:
        sandbox.run(job, {}, [], dict)
    assert refused.value.code == "LIMIT_EXCEEDED"
    assert time.monotonic() - started < _LIMITS.wall_seconds + 3
    assert pid_in(sandbox) != before
    deadline = time.monotonic() + 20
    while Path(f"/proc/{before}").exists():
        assert time.monotonic() < deadline, "it was killed and reaped"
        time.sleep(0.01)


@pytest.mark.parametrize("job", ["stumble", "nest"])
def test_what_nobody_foresaw_ends_with_its_worker(sandbox: Sandbox, job: str) -> None:
    before = pid_in(sandbox)
    with pytest.raises(EvidenceUnavailableError) as refused:
        sandbox.run(job, {}, [], dict)
    assert refused.value.code == "CANNOT_BE_READ"
    assert "library" not in str(refused.value)
    assert pid_in(sandbox) != before


def test_nothing_is_written(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "left"
    with pytest.raises(EvidenceUnavailableError):
        sandbox.run("write", {"path": str(path)}, [], dict)
    assert not path.exists() or path.read_bytes() == b""


def test_no_process_is_made(sandbox: Sandbox) -> None:
    with pytest.raises(EvidenceUnavailableError):
        sandbox.run("multiply", {}, [], dict)


_FILES = pytest.mark.skipif(landlock_version() < 1, reason="this kernel has no Landlock")


@_FILES
def test_no_file_but_the_programs_own_is_read(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "seal.key"
    secret.write_bytes(b"\x2d")
    for path in (secret, Path("/etc/passwd"), Path("/proc/self/environ"), Path(__file__)):
        with pytest.raises(EvidenceUnavailableError):
            sandbox.run("read", {"path": str(path)}, [], dict)
    for folder in (tmp_path, Path("/"), Path.home(), Path(__file__).parents[2]):
        with pytest.raises(EvidenceUnavailableError):
            sandbox.run("look_around", {"path": str(folder)}, [], dict)
    assert sandbox.run("read", {"path": hostile_jobs.__file__}, [], dict)["first"] == "22"


@_FILES
def test_no_program_is_started(sandbox: Sandbox) -> None:
    with pytest.raises(EvidenceUnavailableError) as refused:
        sandbox.run("execute", {}, [], dict)
    assert refused.value.code == "CANNOT_BE_READ", "refused by the kernel, and not ended"


@pytest.mark.skipif(landlock_version() < 6, reason="this kernel's Landlock does not keep signals in")
def test_nobody_outside_is_signalled(sandbox: Sandbox) -> None:
    with pytest.raises(EvidenceUnavailableError):
        sandbox.run("kill", {"pid": os.getpid()}, [], dict)


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_nobody_is_called(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.5)
        host, port = listening.getsockname()
        with pytest.raises(EvidenceUnavailableError):
            sandbox.run("call", {"host": host, "port": port}, [], dict)
        with pytest.raises(TimeoutError):
            listening.accept()


def test_a_worker_has_no_secrets_and_is_replaced_after_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of the service")
    with Sandbox(_JOBS, workers=1, limits=_LIMITS) as sandbox:
        answers = [sandbox.run("who", {}, [b"12", b""], dict) for _ in range(3)]
    assert {answer["secret"] for answer in answers} == {None}
    assert answers[0]["sizes"] == [2, 0]
    pids = [answer["pid"] for answer in answers]
    assert len(set(pids)) == len(pids)


def test_who_judges_files_has_what_it_needs_at_hand() -> None:
    with Sandbox({"engine": "tests.support.probing_jobs:engine"}, workers=1) as sandbox:
        assert sandbox.run("engine", {}, [], dict)["engine"] == engine_name() == "libcrypto"


def test_who_decodes_pictures_does_nothing_else() -> None:
    jobs = {"who": _JOBS["who"], "picture": Apart(_JOBS["who"])}
    with Sandbox(jobs, workers=1, limits=_LIMITS) as sandbox:
        sandbox.warm_up()
        waiting = sandbox.workers()
        assert len(waiting) == 2
        assert {pid_in(sandbox, "who"), pid_in(sandbox, "picture")} == set(waiting)


def test_many_ask_at_once_and_each_has_its_own_answer() -> None:
    with Sandbox(_JOBS, workers=2, limits=Limits()) as sandbox, ThreadPoolExecutor(8) as pool:
        barrier = threading.Barrier(8)

        def ask(size: int) -> list[int]:
            barrier.wait()
            return list(sandbox.run("who", {}, [bytes(size)], dict)["sizes"])

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
                broken.run("job", {}, [b"a file"], dict)
            assert refused.value.code == "READER_DOWN"
            assert reason in refused.value.what
            assert "nothing about the file" in refused.value.todo
    assert any(reason in getattr(record, "what", "") for record in caplog.records)


def test_an_interpreter_that_is_not_there_is_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trust.sandbox.workers.sys.executable", "/nowhere/python")
    with Sandbox(_JOBS, workers=1) as broken, pytest.raises(OperationalError) as refused:
        broken.run("who", {}, [], dict)
    assert refused.value.code == "READER_DOWN"


@pytest.mark.parametrize(
    "said",
    [
        '{"error": {"class": "LedgerHalted", "code": "LEDGER_HALTED", "what": "stop", "todo": ""}}',
        '{"error": {"class": "OperationalError", "code": "READER_DOWN", "what": "down", "todo": ""}}',
        '{"error": {"class": "NumberTaken", "code": "ALREADY_ISSUED", "what": "taken", "todo": ""}}',
        '{"error": {"class": "TrustError", "code": "ERROR", "what": "", "todo": ""}}',
        '{"error": {"class": "VerificationError", "code": "low case", "what": "", "todo": ""}}',
        '{"error": {"class": "VerificationError", "code": "FORMAT_FAILURE", "what": 1, "todo": ""}}',
        '{"error": {"class": "VerificationError", "code": "FORMAT_FAILURE", "what": "'
        + "x" * 2000
        + '", "todo": ""}}',
        '{"error": {"class": ["VerificationError"]}}',
        '{"error": "VerificationError"}',
        '{"result": [1]}',
        '{"result": null}',
        "[]",
        "null",
        "{}",
        "not JSON",
        "[" * 100_000,
        "9" * 5000,
        "\ud800",
    ],
)
def test_a_worker_cannot_speak_for_the_service(sandbox: Sandbox, said: str) -> None:
    with pytest.raises(EvidenceUnavailableError) as refused:
        sandbox.run("forge", {"said": said.encode("utf-8", "replace").decode()}, [], dict)
    assert refused.value.code == "CANNOT_BE_READ"


def test_what_a_worker_may_say_of_a_file_comes_back() -> None:
    said = {"class": "VerificationError", "code": "FORMAT_FAILURE", "what": "It is bad.", "todo": "Ask."}
    with Sandbox(_JOBS, workers=1) as sandbox, pytest.raises(VerificationError) as refused:
        sandbox.run("forge", {"said": json.dumps({"error": said})}, [], dict)
    assert (refused.value.code, refused.value.what, refused.value.todo) == (
        "FORMAT_FAILURE",
        "It is bad.",
        "Ask.",
    )


@pytest.mark.parametrize("wrong", [KeyError, TypeError, ValueError, AttributeError])
def test_an_answer_that_makes_no_sense_says_that_the_file_cannot_be_read(
    sandbox: Sandbox, wrong: type[Exception]
) -> None:
    def decode(answer: object) -> None:
        raise wrong("this is not what was asked for")

    with pytest.raises(EvidenceUnavailableError) as refused:
        sandbox.run("who", {}, [], decode)
    assert refused.value.code == "CANNOT_BE_READ"


def test_an_answer_that_was_given_before_it_was_asked_for_is_not_taken(sandbox: Sandbox) -> None:
    assert sandbox.run("forge_next", {}, [], dict)["pid"] == 1
    assert pid_in(sandbox) != 1


@pytest.mark.parametrize("when", ["between jobs", "before the first"])
def test_a_process_that_forks_no_longer_is_replaced(when: str) -> None:
    with Sandbox(_JOBS, workers=1, limits=Limits()) as sandbox:
        if when == "between jobs":
            pid_in(sandbox)
        else:
            sandbox.warm_up()
        (pool,) = sandbox._pools
        assert pool._fork_server is not None
        os.kill(pool._fork_server._process.pid, signal.SIGKILL)
        pool._fork_server._process.wait()
        for _ in range(2):
            assert pid_in(sandbox)


def test_a_worker_whose_successor_cannot_start_is_stopped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing its descriptors a second time would close those that somebody else has by then."""
    with Sandbox(_JOBS, workers=1, limits=Limits()) as sandbox:
        pid_in(sandbox)
        (pool,) = sandbox._pools
        assert pool._fork_server is not None
        waiting = sandbox.workers()
        os.kill(pool._fork_server._process.pid, signal.SIGKILL)
        pool._fork_server._process.wait()
        _wait_for_the_end_of(waiting)  # one that has not died yet would still answer
        monkeypatch.setattr("trust.sandbox.workers.sys.executable", "/nowhere/python")
        with pytest.raises(OperationalError):
            sandbox.run("who", {}, [], dict)
        monkeypatch.undo()
        assert pid_in(sandbox)


def test_no_worker_outlives_the_sandbox() -> None:
    sandbox = Sandbox(_JOBS, workers=2, limits=Limits())
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: pid_in(sandbox), range(4)))
    waiting = sandbox.workers()
    sandbox.close()
    assert len(waiting) == 2
    _wait_for_the_end_of(waiting)


def _wait_for_the_end_of(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(_is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_is_running(pid) for pid in pids)


def test_no_descriptor_is_left_behind() -> None:
    with Sandbox(_JOBS, workers=1, limits=Limits()) as sandbox:
        pid_in(sandbox)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(30):
            pid_in(sandbox)
        assert len(os.listdir("/proc/self/fd")) == before


def test_more_than_a_thousand_descriptors_are_no_reason_to_refuse_a_file() -> None:
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)] if _may_open(1400) else []
    if not held:
        pytest.skip("this process may not open that many files")
    try:
        with Sandbox(_JOBS, workers=1, limits=Limits()) as sandbox:
            assert pid_in(sandbox)
    finally:
        for descriptor in held:
            os.close(descriptor)


def _may_open(count: int) -> bool:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= count


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
