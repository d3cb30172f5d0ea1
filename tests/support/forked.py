"""Processes to do things to: forks of one that has everything imported already."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread

from support.limits import HANG_SECONDS

_PROGRAMS = Path(__file__).resolve().parents[1] / "faults"


class Forked:
    """One job, in a process of its own. `lines` is what it has said so far."""

    def __init__(self, parent: subprocess.Popen[bytes], said: Queue[bytes]) -> None:
        self._parent = parent
        self._said = said
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
            line = self._said.get(timeout=HANG_SECONDS).decode()
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
    """Starts one job after the other. What they say is read at once, so that none waits for another to be listened to,
    with a lock that the other wants."""

    def __init__(self, parent: subprocess.Popen[bytes]) -> None:
        self._parent = parent
        self._said: Queue[bytes] = Queue()
        Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._parent.stdout is not None
        for line in self._parent.stdout:
            self._said.put(line)
        self._said.put(b"")

    def start(self, job: str, **arguments: object) -> Forked:
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps({"job": job, **arguments}).encode() + b"\n")
        self._parent.stdin.flush()
        return Forked(self._parent, self._said)


@contextmanager
def forking(program: str = "ledger_child.py") -> Iterator[Forking]:
    """A parent of forks that runs this program of tests/faults."""
    command = [sys.executable, str(_PROGRAMS / program)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as parent:
        try:
            yield Forking(parent)
        finally:
            assert parent.stdin is not None
            parent.stdin.close()
            try:
                parent.wait(timeout=HANG_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(parent.pid, signal.SIGKILL)  # what a failed test left running
                raise
