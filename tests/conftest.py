"""What every test may ask for: a clock that stands, a PostgreSQL of its own, a service with departments in it.

A service is a small, real one: real keys, real seals, real files, made at run time in a temporary folder.
Sockets are closed to unit tests (see pyproject.toml); PostgreSQL is reached through a unix socket.
"""

from __future__ import annotations

import gc
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from support.described import watch_reports, watch_test_clients
from support.postgres import drop_databases, make_database, wheel
from support.rsa_keys import shared_rsa_keys
from support.token import SoftHsm, start_softhsm
from support.ways import WAYS, sealing
from support.world import World, make_neighbour, make_world

from trust.app.compose import SERVICE_SANDBOX_JOBS
from trust.sandbox.workers import Sandbox

# Under faketime a wait with a limit would last as long as the clock is ahead: only the time of day may be another.
# Read by the library when a process starts, so it holds for the workers of xdist and for what tests start.
os.environ.setdefault("FAKETIME_DONT_FAKE_MONOTONIC", "1")
# Hundreds of processes are started here: without compiled modules each of them compiles the product again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
pytest_plugins = ["support.page_fixtures"]
_numbers = itertools.count()
_LONGEST_NAME = 60
# Examples are not timed: a busy machine is no fault of theirs.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
watch_test_clients()
watch_reports()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a module makes once is made once: its tests stay together, or each worker of xdist would make it too.

    The largest groups come first, and the tests that stand alone fill up the end.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None and _shares_what_its_module_made(item):
            item.add_marker(pytest.mark.xdist_group(f"{item.path.parent.name}-{item.path.stem}"))


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Long values are numbered: some hold keys that each process makes anew, and all processes name tests alike."""
    return argname if isinstance(val, bytes | str) and len(val) > _LONGEST_NAME else None


def pytest_collection_finish(session: pytest.Session) -> None:
    """What was imported stays: the collector of garbage need not walk through it again with every test."""
    gc.collect()
    gc.freeze()


def _shares_what_its_module_made(item: pytest.Item) -> bool:
    found = item._fixtureinfo.name2fixturedefs.values() if isinstance(item, pytest.Function) else ()
    return any(each[-1].scope == "module" for each in found)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URI of a PostgreSQL server for this test process."""
    with wheel("yz-pg-") as (pgserver, folder):
        import psycopg

        server = pgserver.get_server(folder / "data", cleanup_mode="delete")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            # No test cuts the power of this one, and flushing hundreds of databases takes longer than the tests.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("ALTER SYSTEM SET max_wal_size = '64MB'")
            connection.execute("ALTER SYSTEM SET min_wal_size = '32MB'")
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session", autouse=True)
def _rsa_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all processes of this run
    with shared_rsa_keys(folder / "rsa"):
        yield


@pytest.fixture(autouse=True)
def _state_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command line has seen of trust lists is not carried from one test to the next, nor into a home."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setenv("YINZHENG_SEEN", str(tmp_path_factory.getbasetemp() / "no-folder-of-the-machine"))


@pytest.fixture(autouse=True)
def _databases_of_its_own() -> Iterator[None]:
    """What a test stored on the server goes when it is over."""
    yield
    drop_databases()


@pytest.fixture
def new_postgres_database(postgres_server: str) -> Callable[[], str]:
    """Makes an empty database on the test server and gives its URL."""
    return lambda: make_database(postgres_server)


@pytest.fixture
def new_database_from(postgres_server: str) -> Callable[[str], str]:
    """Makes a copy of a database on the test server and gives its URL."""
    return lambda template: make_database(postgres_server, template)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def new_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Path | str]:
    """Makes the place of an empty database: a path, or the URL of one on the test server."""
    if request.param == "sqlite":
        return lambda: tmp_path / f"{next(_numbers)}.db"
    make: Callable[[], str] = request.getfixturevalue("new_postgres_database")
    return make


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """Real workers, shared by the tests of one process: each takes a second to start."""
    with Sandbox(SERVICE_SANDBOX_JOBS) as made:
        yield made


@pytest.fixture(scope="session")
def template_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with keys, departments and seals, made once: making RSA keys takes its time."""
    folder = tmp_path_factory.mktemp("template") / "data"
    make_world(folder).close()
    return folder


@pytest.fixture(scope="session")
def neighbour_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of another deployment (`make_neighbour`), made once."""
    folder = tmp_path_factory.mktemp("template") / "data"
    make_neighbour(folder).close()
    return folder


@pytest.fixture(scope="session")
def postgres_template(
    postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, str]:
    """The same on PostgreSQL: its folder, its database and its lock store's."""
    folder = tmp_path_factory.mktemp("template") / "data"
    database, lock = (make_database(postgres_server, shared=True) for _ in range(2))
    make_world(folder, database_url=database, lock_url=lock).close()
    return folder, database, lock


@pytest.fixture
def world(template_folder: Path, tmp_path: Path, sandbox: Sandbox) -> Iterator[World]:
    """A service on SQLite with departments and seals, and nothing issued yet."""
    folder = tmp_path / "data"
    shutil.copytree(template_folder, folder)
    made = make_world(folder, sandbox=sandbox)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(params=WAYS)
def each_way(request: pytest.FixtureRequest, world: World) -> World:
    """`world`, once for each way of sealing a page."""
    return sealing(world, request.param)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def stored_world(
    request: pytest.FixtureRequest, template_folder: Path, tmp_path: Path, sandbox: Sandbox
) -> Iterator[World]:
    """As `world`, on SQLite and on PostgreSQL in turn: for whatever stores."""
    folder = tmp_path / "data"
    if request.param == "sqlite":
        shutil.copytree(template_folder, folder)
        made = make_world(folder, sandbox=sandbox)
    else:
        template, *urls = request.getfixturevalue("postgres_template")
        server = request.getfixturevalue("postgres_server")
        shutil.copytree(template, folder)
        database, lock = (make_database(server, url) for url in urls)
        made = make_world(folder, database_url=database, lock_url=lock, sandbox=sandbox)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def softhsm() -> Iterator[SoftHsm]:
    """Where tokens of this test process are made; skips where SoftHSM is not installed."""
    with tempfile.TemporaryDirectory(prefix="yz-hsm-") as folder:
        yield start_softhsm(Path(folder))


@pytest.fixture
def token(softhsm: SoftHsm) -> str:
    """The label of a new token."""
    label = f"token-{next(_numbers)}"
    softhsm.new_token(label)
    return label
