#!/usr/bin/env python3
"""
Runs a command with its temporary files in memory, where there is room: `in_memory.py COMMAND …`.

The suite makes thousands of small folders and databases and flushes them, and no test takes the disk away. Where
TMPDIR is set already, where there is no /dev/shm, or where memory is short, the command runs as it would have.

The folder is removed when the command ends, and what a killed run left behind when the next one starts: files in
/dev/shm are memory that nobody gets back otherwise.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - folders are made in it as tempfile makes them
PREFIX = f"yz-tests-{os.getuid()}-"
ROOM = 4 << 30
"""Bytes that the files may take; with 4 processes they took 0.8 GB at most."""
PROCESSES = 8 << 30
"""Bytes that the test processes, their browsers and servers take beside them."""


def main() -> int:
    command = sys.argv[1:]
    if "TMPDIR" in os.environ or not usable():
        os.execvp(command[0], command)  # noqa: S606
    remove_what_was_left()
    if not has_room():
        print("in_memory.py: memory is short, so the tests' files are on disk", file=sys.stderr)
        os.execvp(command[0], command)  # noqa: S606
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=SHARED_MEMORY)
    os.chmod(folder, 0o755)  # noqa: S103 - a PostgreSQL server that root starts runs under another user
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        running = subprocess.Popen(command, env={**os.environ, "TMPDIR": folder}, pass_fds=(held,))  # noqa: S603
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda received, _: running.send_signal(received))
        return running.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def usable() -> bool:
    try:
        limits = os.statvfs(SHARED_MEMORY)
    except OSError:
        return False
    return not limits.f_flag & os.ST_NOEXEC and os.access(SHARED_MEMORY, os.W_OK | os.X_OK)


def has_room() -> bool:
    limits = os.statvfs(SHARED_MEMORY)
    try:
        words = Path("/proc/meminfo").read_text(encoding="ascii").split()
        available = int(words[words.index("MemAvailable:") + 1]) * 1024
    except (OSError, ValueError, IndexError):
        return False
    return limits.f_bavail * limits.f_frsize >= ROOM and available >= ROOM + PROCESSES


def remove_what_was_left() -> None:
    """Folders of runs that were killed: nobody holds their lock."""
    for folder in SHARED_MEMORY.glob(f"{PREFIX}*"):
        try:
            held = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(held).st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # a run beside this one
        finally:
            os.close(held)


if __name__ == "__main__":
    sys.exit(main())
