"""What a parent of forks does: one job after the other, each in a fork of itself. Used by programs in tests/faults.

A fork is there at once, where a new Python needs a second or more for its imports. The other end is `support.forked`.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Mapping


def say(*words: object) -> None:
    """One line, in one write."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def serve(jobs: Mapping[str, Callable[..., None]]) -> None:
    """Reads one job a line (JSON) from standard input until it ends. A job has its name and its arguments."""
    while line := _read_line():
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            say("pid", os.getpid())
            try:
                jobs[job.pop("job")](**job)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        # The newline before it ends a line that the fork did not live to finish.
        os.write(1, f"\nexit {os.waitstatus_to_exitcode(status)}\n".encode())


def _read_line() -> bytes:
    """Byte by byte: what follows the line may be for the fork."""
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            return b""
        line += byte
    return line
