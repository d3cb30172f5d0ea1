"""A process that appends is killed at random moments; the log is opened again and read through.

What must hold after every kill stands at `Memory.check`: nothing that anybody was told is lost or changed, and
no head that was ever signed is contradicted.
"""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest
from support.forked import Forking, forking
from support.killed_ledger import Memory, Place

pytestmark = pytest.mark.faults


def kill_and_check(fork: Forking, folder: Path, *, times: int, seed: int) -> Memory:
    """Kills `times` processes; returns what is remembered of them."""
    chance = random.Random(seed)
    memory = Memory()
    for _ in range(times):
        child = fork.start("append-until-killed", folder=str(folder))
        # Sometimes while it opens (and mends), mostly while it works.
        if chance.random() < 0.8:
            child.read_until("open")
            # Work that was done, and not time alone: a busy machine does less in it.
            for _ in range(chance.randrange(4)):
                child.read_until("head")
        time.sleep(chance.uniform(0, 0.05))
        child.kill()
        assert child.finish() == -signal.SIGKILL
        memory.read(child.lines)
        memory.check(Place.sqlite(folder))
    return memory


@pytest.mark.timeout(240)
def test_thirty_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with forking() as fork:
        memory = kill_and_check(fork, tmp_path, times=30, seed=1)
    assert len(memory.told) > 30
    assert len(memory.heads) > 30


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_thousand_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    told = heads = 0
    with forking() as fork:
        for round_number in range(20):  # new logs, so that the later kills do not only read long ones
            folder = tmp_path / str(round_number)
            folder.mkdir()
            memory = kill_and_check(fork, folder, times=50, seed=round_number)
            told, heads = told + len(memory.told), heads + len(memory.heads)
    print(f"1000 kills, {told} entries told, {heads} signed heads")
    assert told > 1000
    assert heads > 1000
