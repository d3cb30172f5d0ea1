"""The log on SQLite is stopped, or refused, at each system call by which anything gets to the disk.

strace is attached to one thread of a process that opens a log, appends batches and asks for receipts: to the main
thread, which opens, publishes and closes; or to the writing thread, which commits. strace counts calls by
thread, so "the fifth fdatasync of the writing thread" is always the same moment. There the process gets SIGKILL,
or the call fails. Then the log is opened without strace, and everything must be as `Memory.check` says.

A short run takes a few of all moments; the long one takes every one.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.forked import Forked, Forking, forking
from support.killed_ledger import BATCHES, Memory, OpenLog, Place, batch, new_subject
from support.limits import HANG_SECONDS

from ledger.log import Log

pytestmark = pytest.mark.faults
STRACE = shutil.which("strace")

# Whatever changes a file or a folder, or makes a change durable. Where the C library has several, it takes one.
CALLS = (
    *("write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat"),
    *("openat", "ftruncate", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
)
ERRORS = {
    "fsync": "EIO",
    "fdatasync": "EIO",
    "write": "ENOSPC",
    "pwrite64": "ENOSPC",
    "rename": "EIO",
    "renameat": "EIO",
    "renameat2": "EIO",
    "link": "EIO",
    "linkat": "EIO",
    "mkdir": "ENOSPC",
    "mkdirat": "ENOSPC",
}
SYNCS = ("fsync", "fdatasync")


@dataclass(frozen=True)
class Setting:
    """Where the process begins, and which of its threads is looked at."""

    begun: bool  # a log that will fill its first tile; or nothing at all
    thread: str  # "main" or "writing"
    checkpoint_often: bool = False  # SQLite copies its WAL back every few pages

    def __str__(self) -> str:
        words = ["begun" if self.begun else "empty", self.thread]
        return "-".join([*words, "checkpoints"] if self.checkpoint_often else words)


SETTINGS = [
    Setting(begun=False, thread="main"),
    Setting(begun=True, thread="main"),
    Setting(begun=True, thread="writing"),
    Setting(begun=True, thread="writing", checkpoint_often=True),
]


@dataclass(frozen=True)
class Fault:
    """What happens at the `number`th `call` of the thread."""

    call: str
    number: int
    does: str  # "signal=KILL" or "error=…"

    @property
    def option(self) -> str:
        return f"inject={self.call}:{self.does}:when={self.number}"


@dataclass
class Outcome:
    lines: list[str]
    exit: int
    trace: list[str]

    @property
    def injected(self) -> str:
        """The line of the call that failed."""
        (line,) = (line for line in self.trace if "(INJECTED)" in line)
        return line

    def words(self) -> list[str]:
        return [line.split()[0] for line in self.lines]


def begin(log: Log) -> None:
    """Fills the log so far that the last of `BATCHES` is in its second tile, and publishes."""
    while (missing := 258 - sum(BATCHES) - log.size) > 0:
        # The log may add an entry of its own.
        log.append([new_subject(log.size + n) for n in range(max(1, missing - 3))])
    log.publish()


class Bench:
    """Runs the process under strace, each time from the same beginning."""

    def __init__(self, fork: Forking, folder: Path, setting: Setting) -> None:
        self.fork, self.folder, self.setting = fork, folder, setting
        self._begun = folder / "begun"
        self._begun.mkdir()
        if setting.begun:
            with OpenLog(Place.sqlite(self._begun)) as opened:
                begin(opened.log)
        self.first_memory = Memory()
        if setting.begun:
            self.first_memory.read_heads(Place.sqlite(self._begun))

    def run(self, option: str) -> tuple[Path, Outcome]:
        """The folder as the process left it, and what it said."""
        assert STRACE is not None
        place = self.folder / "run"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._begun, place)
        gate = "opening" if self.setting.thread == "main" else "working"
        often = self.setting.checkpoint_often
        child = self.fork.start("append-batches", folder=str(place), gate=gate, checkpoint_often=often)
        thread = int(child.read_until("thread"))
        trace = self.folder / "trace"
        command = [STRACE, "-qq", "-y", "-s", "9", "-o", str(trace), "-e", f"trace=writev,{','.join(CALLS)}"]
        with subprocess.Popen([*command, *(["-e", option] if option else []), "-p", str(thread)]) as strace:
            _wait_until_traced(child, thread, strace)
            child.go()
            child.finish()
            strace.wait(timeout=HANG_SECONDS)
        assert child.exit in (0, -signal.SIGKILL), child.lines
        return place, Outcome(child.lines, child.exit or 0, trace.read_text().splitlines())

    def count_calls(self) -> Counter[str]:
        """How often the thread makes each call when nothing happens to it."""
        place, outcome = self.run("")
        assert outcome.words()[-1] == "closing", outcome.lines
        self.check(place, outcome)
        found = (re.match(r"(\w+)\(", line) for line in outcome.trace)
        return Counter(match[1] for match in found if match and match[1] in CALLS)

    def check(self, folder: Path, outcome: Outcome) -> None:
        """Nothing is contradicted; and the same batches, asked for again, get the numbers they got before."""
        memory = Memory(dict(self.first_memory.told), dict(self.first_memory.heads))
        memory.read(outcome.lines)
        place = Place.sqlite(folder)
        memory.check(place)
        with OpenLog(place) as opened:
            again = [
                appended for number in range(len(BATCHES)) for appended in opened.log.append(batch(number))
            ]
        assert len({each.seq for each in again}) == sum(BATCHES)
        seqs = {each.seq for each in again}
        assert {seq for seq in memory.told if seq not in self.first_memory.told} <= seqs
        memory.check(place)


def _wait_until_traced(child: Forked, thread: int, strace: subprocess.Popen[bytes]) -> None:
    status = Path(f"/proc/{child.pid}/task/{thread}/status")
    until = time.monotonic() + HANG_SECONDS
    while "TracerPid:\t0\n" in status.read_text():
        assert strace.poll() is None, "strace could not attach to the process"
        assert time.monotonic() < until
        time.sleep(0.001)


@pytest.fixture(scope="module")
def fork() -> Iterator[Forking]:
    if STRACE is None:
        pytest.skip("strace is not installed (apt-get install strace)")
    with subprocess.Popen(["sleep", "0.5"]) as other:
        probe = subprocess.run([STRACE, "-qq", "-o", "/dev/null", "-p", str(other.pid)], capture_output=True)
    if probe.returncode != 0:
        pytest.skip("strace may not be attached to a process here")
    with forking() as found:
        yield found


def moments(
    calls: Counter[str], wanted: tuple[str, ...], *, at_most: int | None
) -> Iterator[tuple[str, int]]:
    """Every call and number; or some, spread evenly over each call."""
    for call in wanted:
        count = calls[call]
        some = count if at_most is None else min(count, at_most)
        yield from ((call, (2 * number + 1) * count // (2 * some) + 1) for number in range(some))


def kill_at_each(fork: Forking, folder: Path, setting: Setting, *, at_most: int | None) -> Counter[str]:
    bench = Bench(fork, folder, setting)
    done: Counter[str] = Counter()
    for call, number in moments(bench.count_calls(), CALLS, at_most=at_most):
        place, outcome = bench.run(Fault(call, number, "signal=KILL").option)
        assert outcome.exit == -signal.SIGKILL, f"{call} {number} was not reached"
        bench.check(place, outcome)
        done[call] += 1
    return done


def fail_at_each(fork: Forking, folder: Path, setting: Setting, *, at_most: int | None) -> Counter[str]:
    bench = Bench(fork, folder, setting)
    done: Counter[str] = Counter()
    for call, number in moments(bench.count_calls(), tuple(ERRORS), at_most=at_most):
        fault = Fault(call, number, f"error={ERRORS[call]}")
        place, outcome = bench.run(fault.option)
        assert outcome.exit == 0
        check_refusal(fault, outcome)
        bench.check(place, outcome)
        done[call] += 1
    return done


def check_refusal(fault: Fault, outcome: Outcome) -> None:
    """After a sync that failed nobody is told anything any more, and nothing is signed."""
    if fault.call not in SYNCS or _nothing_depended_on_it(outcome):
        return
    words = outcome.words()
    assert "refused" in words, f"{fault} was passed over: {outcome.injected}"
    afterwards = words[words.index("refused") :]
    assert set(afterwards) <= {"refused", "closing"}, f"{fault} did not halt the log: {words}"


def _nothing_depended_on_it(outcome: Outcome) -> bool:
    """SQLite goes on after a failed sync where it copies the WAL back: what was committed is in the WAL, which it
    keeps and copies again. So it is when the log has been closed, in the database file, and in a WAL to which
    nothing was written since the sync before. It also goes on after its own sync of the folder, which we repeat
    (a test of its own, below)."""
    at = outcome.trace.index(outcome.injected)
    path = _path(outcome.injected)
    if any('"closing' in line for line in outcome.trace[:at]) or path.endswith(".db"):
        return True
    if outcome.injected.startswith("fdatasync") and Path(path).is_dir():  # we use fsync
        return True
    before = [line for line in outcome.trace[:at] if _path(line) == path]
    return bool(before) and before[-1].startswith(SYNCS)


def _path(line: str) -> str:
    """The file whose descriptor is the first argument of the call."""
    match = re.match(r"\w+\(\d+<([^>]*)>", line)
    return match[1] if match else ""


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_log_killed_at_a_system_call_is_whole(fork: Forking, tmp_path: Path, setting: Setting) -> None:
    assert kill_at_each(fork, tmp_path, setting, at_most=1 if setting.begun else 2).total() >= 2


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_log_whose_system_call_fails_says_so_and_is_whole(
    fork: Forking, tmp_path: Path, setting: Setting
) -> None:
    assert fail_at_each(fork, tmp_path, setting, at_most=1).total() > 1


def test_a_log_whose_database_cannot_take_up_its_wal_is_not_opened(fork: Forking, tmp_path: Path) -> None:
    """Without its WAL SQLite deletes a journal to commit, and does not sync the folder: a power cut may bring the
    journal back, and that takes the commit back."""
    bench = Bench(fork, tmp_path, Setting(begun=False, thread="main"))
    _, untouched = bench.run("")
    found = syncs_of(untouched, lambda path: path.endswith("-journal"))
    outcomes = [bench.run(Fault(*each, "error=EIO").option)[1] for each in found]
    assert [outcome.words() for outcome in outcomes] == [["pid", "thread", "refused"]] * len(found)


def test_a_log_whose_folder_cannot_be_synced_is_not_opened(fork: Forking, tmp_path: Path) -> None:
    """A WAL is a new file at each opening. If its name is not on the disk, a power cut takes its commits away."""
    bench = Bench(fork, tmp_path, Setting(begun=True, thread="main"))
    place, untouched = bench.run("")
    found = syncs_of(untouched, lambda path: path == str(place))
    outcomes = [bench.run(Fault(*each, "error=EIO").option)[1] for each in found]
    assert ["pid", "thread", "refused"] in [outcome.words() for outcome in outcomes]


def syncs_of(outcome: Outcome, fits: Callable[[str], bool]) -> list[tuple[str, int]]:
    """The calls that sync such a path: which, and its number among those of its name."""
    seen: Counter[str] = Counter()
    found = []
    for line in outcome.trace:
        call = line.partition("(")[0]
        seen[call] += 1
        if call in SYNCS and fits(_path(line)):
            found.append((call, seen[call]))
    return found


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_log_killed_at_every_system_call_is_whole(fork: Forking, tmp_path: Path, setting: Setting) -> None:
    print(setting, "killed at:", dict(kill_at_each(fork, tmp_path, setting, at_most=None)))


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_log_whose_every_system_call_fails_says_so_and_is_whole(
    fork: Forking, tmp_path: Path, setting: Setting
) -> None:
    print(setting, "failed at:", dict(fail_at_each(fork, tmp_path, setting, at_most=None)))
