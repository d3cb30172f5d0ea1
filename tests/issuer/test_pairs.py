"""Every pair of acts on one certificate at the same moment: one history, and no contradiction anywhere."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.limits import HANG_SECONDS
from support.pairs import ACTS, Subject, at_once, contradictions, go_round, prepare
from support.postgres import make_database
from support.world import World, make_world

ROUNDS = 1
PROCESSES = 3
TESTS = Path(__file__).resolve().parents[1]
PAIRS = list(itertools.combinations_with_replacement(ACTS, 2))
_numbers = itertools.count(1)


def try_pair(world: World, pair: tuple[str, ...], rounds: int) -> None:
    for number in itertools.islice(_numbers, rounds):
        subject = prepare(world, number, pair)
        world.clock.advance(hours=30)
        answers = at_once(world, pair, subject)
        assert not [each for each in answers if each.startswith("wrong")], (pair, answers)
        assert go_round(world) == ""
        assert contradictions(world, subject) == [], (pair, answers)
    assert world.site.issuer.register.check() == []


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_two_acts_at_once_leave_one_history(world: World, pair: tuple[str, str]) -> None:
    """On SQLite; the same in processes on PostgreSQL is below."""
    try_pair(world, pair, ROUNDS)


@pytest.mark.long
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_two_acts_at_once_leave_one_history_two_hundred_times(
    stored_world: World, pair: tuple[str, str]
) -> None:
    try_pair(stored_world, pair, 200)


class Processes:
    """Processes of one deployment on PostgreSQL, with the keeper's rounds in each every second."""

    def __init__(self, world: World, folder: Path, urls: list[str]) -> None:
        self.world = world
        program = [sys.executable, "-m", "support.pairs", str(folder), *urls]
        path = os.pathsep.join(str(TESTS / each) for each in (".", ".."))
        self._children = [
            subprocess.Popen(
                program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": path},
            )
            for _ in range(PROCESSES)
        ]
        for child in self._children:
            assert self._line(child) == "ready\n"

    def at_once(self, orders: list[dict[str, Any]]) -> list[list[str]]:
        """What each process answers, of which each gets one order."""
        for number, order in enumerate(orders):
            self.tell(number, order)
        return [self.hear(number) for number in range(len(orders))]

    def tell(self, number: int, order: dict[str, Any]) -> subprocess.Popen[str]:
        child = self._children[number]
        assert child.stdin is not None
        child.stdin.write(json.dumps(order) + "\n")
        child.stdin.flush()
        return child

    def hear(self, number: int) -> list[str]:
        answer: list[str] = json.loads(self._line(self._children[number]))
        return answer

    def close(self) -> None:
        for child in self._children:
            child.communicate(timeout=HANG_SECONDS)

    @staticmethod
    def _line(child: subprocess.Popen[str]) -> str:
        assert child.stdout is not None
        return child.stdout.readline()


@pytest.fixture(scope="module")
def processes(
    postgres_template: tuple[Path, str, str],
    postgres_server: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Processes]:
    template, *urls = postgres_template
    folder = tmp_path_factory.mktemp("pairs") / "data"
    shutil.copytree(template, folder)
    copies = [make_database(postgres_server, url, shared=True) for url in urls]
    world = make_world(folder, database_url=copies[0], lock_url=copies[1])
    made = Processes(world, folder, copies)
    yield made
    made.close()
    world.close()


def try_pair_in_processes(processes: Processes, pair: tuple[str, str], rounds: int) -> None:
    world = processes.world
    for number in itertools.islice(_numbers, rounds):
        subject = prepare(world, number, pair)
        # The first act comes twice, as when somebody presses a button again.
        acts = [*pair, pair[0]]
        order = {"pid": subject.pid.hex(), "number": number}
        answers = processes.at_once([{"act": act, **order} for act in acts])
        assert not [each for answer in answers for each in answer if each.startswith("wrong")], answers
        assert go_round(world) == ""
        assert contradictions(world, subject) == [], (acts, answers)


@pytest.mark.postgres
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_two_acts_in_three_processes_leave_one_history(processes: Processes, pair: tuple[str, str]) -> None:
    try_pair_in_processes(processes, pair, 1)
    assert processes.world.site.issuer.register.check() == []


@pytest.mark.long
@pytest.mark.postgres
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_two_acts_in_three_processes_leave_one_history_two_hundred_times(
    processes: Processes, pair: tuple[str, str]
) -> None:
    try_pair_in_processes(processes, pair, 200)


@pytest.mark.long
@pytest.mark.postgres
def test_a_process_that_is_stopped_past_its_lease_and_woken_does_no_harm(
    processes: Processes,
) -> None:
    world = processes.world
    for number in range(5001, 5021):
        issued, _ = world.issue(number)
        subject = Subject(issued.pid, number)
        child = processes.tell(0, {"act": "replace", "pid": issued.pid.hex(), "number": number})
        time.sleep(0.01 * (number - 5000))
        child.send_signal(signal.SIGSTOP)
        world.outlast_leases()
        try:
            assert go_round(world) == ""
        finally:
            child.send_signal(signal.SIGCONT)
        answers = processes.hear(0)
        assert not [each for each in answers if each.startswith("wrong")], answers
        world.outlast_leases()
        assert go_round(world) == ""
        assert contradictions(world, subject) == []
