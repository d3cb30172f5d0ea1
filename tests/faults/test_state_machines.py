"""The lives of e-certificates, seals, operations and the ledger as state machines, with deaths at every commit.

Some dozen steps each in the suite; `-m long` takes ten thousand and more.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from support.killed_ledger import Place
from support.machines import MACHINES, LedgerLife, SealLives, taken
from support.postgres import drop_databases, make_database
from support.world import World, make_world

from trust.sandbox.workers import Sandbox

_numbers = itertools.count()
Opener = Callable[[], Callable[[], World]]
SHORT, LONG = (14, 30), (700, 50)
"""Examples, and steps of each."""


@pytest.fixture
def opener(request: pytest.FixtureRequest, template_folder: Path, tmp_path: Path, sandbox: Sandbox) -> Opener:
    """Makes a new world in a copy of the template, and gives what opens it again."""

    def new() -> Callable[[], World]:
        drop_databases()  # of the life before
        folder = tmp_path / f"{next(_numbers)}"
        if request.param == "sqlite":
            shutil.copytree(template_folder, folder)
            return lambda: make_world(folder, sandbox=sandbox)
        template, *urls = request.getfixturevalue("postgres_template")
        server = request.getfixturevalue("postgres_server")
        shutil.copytree(template, folder)
        database, lock = (make_database(server, url) for url in urls)
        return lambda: make_world(folder, database_url=database, lock_url=lock, sandbox=sandbox)

    return new


def go(machine: type[RuleBasedStateMachine], size: tuple[int, int]) -> None:
    examples, steps = size
    taken.clear()
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=size != LONG,
            database=None,
        ),
    )
    # Hypothesis begins with next to nothing, and few examples would be nothing else.
    assert taken["steps"] >= 15, taken
    assert taken["deaths"] >= 3, taken


both = pytest.mark.parametrize(
    "opener", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)


@both
@pytest.mark.parametrize("machine", MACHINES, ids=lambda each: each.__name__)
def test_a_life_with_deaths(machine: type[RuleBasedStateMachine], opener: Opener) -> None:
    machine.opener = staticmethod(opener)
    # A seal takes half a second to be drawn and made.
    go(machine, (7, 20) if machine is SealLives else SHORT)


@pytest.mark.long
@pytest.mark.timeout(3600)
@both
@pytest.mark.parametrize("machine", MACHINES, ids=lambda each: each.__name__)
def test_a_long_life_with_deaths(machine: type[RuleBasedStateMachine], opener: Opener) -> None:
    machine.opener = staticmethod(opener)
    go(machine, LONG)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Place]:
    def new() -> Place:
        drop_databases()  # of the life before
        folder = tmp_path / f"{next(_numbers)}"
        folder.mkdir()
        if request.param == "sqlite":
            return Place.sqlite(folder)
        server = request.getfixturevalue("postgres_server")
        return Place(folder / "ledger", make_database(server), make_database(server))

    return new


def test_a_ledger_with_deaths(place: Callable[[], Place]) -> None:
    LedgerLife.place = staticmethod(place)
    go(LedgerLife, SHORT)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_long_ledger_with_deaths(place: Callable[[], Place]) -> None:
    LedgerLife.place = staticmethod(place)
    go(LedgerLife, LONG)
