"""`.ci/in_memory.py`: the tests' files in memory, and nothing of them left there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

RUNNER = Path(__file__).resolve().parents[2] / ".ci" / "in_memory.py"
SHARED = Path("/dev/shm")
PREFIX = f"yz-tests-{os.getuid()}-"
SAY = "import os, sys, time; print(os.environ.get('TMPDIR'), flush=True)"


def start(code: str, **environment: str) -> subprocess.Popen[str]:
    usual = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    return subprocess.Popen(
        [sys.executable, str(RUNNER), sys.executable, "-c", code],
        env=usual | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def folder_of(running: subprocess.Popen[str]) -> Path:
    """The folder that the command was given; skips where memory is short."""
    assert running.stdout is not None
    said = running.stdout.readline().strip()
    if said == "None":
        running.communicate()
        pytest.skip("memory is short here, or there is no /dev/shm")
    return Path(said)


@pytest.fixture
def waiting() -> Iterator[subprocess.Popen[str]]:
    made = start(f"{SAY}; time.sleep(600)")
    yield made
    made.kill()
    made.communicate()


def test_a_command_has_a_folder_in_memory_and_leaves_nothing() -> None:
    running = start(f"{SAY}; open(os.environ['TMPDIR'] + '/left', 'w').write('x'); sys.exit(3)")
    folder = folder_of(running)
    running.communicate()
    assert folder.parent == SHARED
    assert folder.name.startswith(PREFIX)
    assert running.returncode == 3
    assert not folder.exists()


def test_a_folder_that_somebody_chose_is_left_to_him(tmp_path: Path) -> None:
    running = start(SAY, TMPDIR=str(tmp_path))
    assert running.communicate()[0].strip() == str(tmp_path)


def test_what_a_killed_run_left_goes_with_the_next_one(waiting: subprocess.Popen[str]) -> None:
    left = folder_of(waiting)
    waiting.kill()  # the runner; its command holds the folder until it ends too
    beside = start(SAY)
    folder_of(beside)
    beside.communicate()
    assert left.exists(), "somebody still works in it"
    for pid in _with_folder(left):
        os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 60
    while left.exists():
        assert time.monotonic() < until
        after = start(SAY)
        folder_of(after)
        after.communicate()


def test_a_run_that_is_ended_ends_its_command_and_clears_up(waiting: subprocess.Popen[str]) -> None:
    folder = folder_of(waiting)
    waiting.terminate()
    waiting.communicate(timeout=60)
    assert waiting.returncode != 0
    assert not folder.exists()


def _with_folder(folder: Path) -> list[int]:
    """The processes whose TMPDIR this is."""
    wanted, found = f"TMPDIR={folder}".encode(), []
    for each in Path("/proc").iterdir():
        try:
            if each.name.isdigit() and wanted in (each / "environ").read_bytes().split(b"\0"):
                found.append(int(each.name))
        except OSError:
            continue
    return found
