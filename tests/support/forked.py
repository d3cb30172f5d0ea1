"""Processes to do things to: forks of one that has everything imported already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.limits import HANG_SECONDS

_PROGRAMS = Path(__file__).resolve().parents[1] / "faults"


class Forked:
    """One job, in a process of its own. `lines` is what it has said so far."""

    def __init__(self, parent: subprocess.Popen[bytes]) -> None:
        self._parent = parent
        self.lines: list[str] = []
        self.exit: int | None = None
        self.pid = int(self.read_until("pid"))

    def read_until(self, word: str) -> str:
        """What stands behind `word` on the line that begins with it. The process may not end before."""
        while self._read_line():
            found, _, rest = self.lines[-1].partition(" ")
            if found.strip() == word:
                return rest
        raise AssertionError(f"the process ended ({self.exit}) before it said {word}: {self.lines}")

    def go(self) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.write(b"go\n")
        self._parent.stdin.flush()

    def kill(self) -> None:
        os.kill(self.pid, 9)

    def finish(self) -> int:
        """Reads until the process has ended; its exit code."""
        while self.exit is None:
            self._read_line()
        return self.exit

    def _read_line(self) -> bool:
        if self.exit is None:
            assert self._parent.stdout is not None
            line = self._parent.stdout.readline().decode()
            assert line, "the parent of the process has died"
            if line.startswith("exit "):
                self.exit = int(line.split()[1])
                self._drop_last_newline()
            else:
                self.lines.append(line)
        return self.exit is None

    def _drop_last_newline(self) -> None:
        """The parent wrote it, not the process."""
        last = self.lines.pop().removesuffix("\n")
        if last:
            self.lines.append(last)


class Forking:
    """Starts one job after the other."""

    def __init__(self, parent: subprocess.Popen[bytes]) -> None:
        self._parent = parent

    def start(self, job: str, **arguments: object) -> Forked:
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps({"job": job, **arguments}).encode() + b"\n")
        self._parent.stdin.flush()
        return Forked(self._parent)


@contextmanager
def forking(program: str = "ledger_child.py") -> Iterator[Forking]:
    """A parent of forks that runs this program of tests/faults."""
    command = [sys.executable, str(_PROGRAMS / program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        try:
            yield Forking(parent)
        finally:
            assert parent.stdin is not None
            parent.stdin.close()
            parent.wait(timeout=HANG_SECONDS)
