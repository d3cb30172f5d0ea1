"""PostgreSQL is stopped as by a power cut while several processes append; then everything is read through.

Two servers with fsync on, as in service: one has the log, the other the lock store. At a random moment one of
them, or both, are stopped at once. The processes are refused and end; the servers recover; what the processes were
told must be there (`Memory.check`); then they start again, and ask again for what they got no answer to.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.forked import Forked, Forking, forking
from support.killed_ledger import Memory, OpenLog, Place
from support.postgres import StoppableServer, wheel

pytestmark = [pytest.mark.faults, pytest.mark.postgres]
PROCESSES = 3
OWN_NUMBERS = 1_000_000  # of each process


@dataclass(frozen=True)
class Servers:
    log: StoppableServer
    lock: StoppableServer
    forks: tuple[Forking, ...]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with wheel("yz-kill-") as (library, folder), ExitStack() as stack:
        log, lock = (StoppableServer(library, folder / name) for name in ("log", "lock"))
        for server in (log, lock):
            stack.callback(server.close)
        yield Servers(log, lock, tuple(stack.enter_context(forking()) for _ in range(PROCESSES)))


@dataclass
class Appending:
    """One of the processes, through all its lives."""

    number: int
    asked: tuple[int, int] | None = None
    after: int = 0
    refusals: Counter[str] = field(default_factory=Counter)

    def start(self, fork: Forking, place: Place) -> Forked:
        return fork.start(
            "append-to-server-until-refused",
            folder=str(place.folder),
            database=place.database,
            lock_database=place.lock_database,
            asked=self.asked,
            after=self.after or self.number * OWN_NUMBERS,
        )

    def ended(self, process: Forked) -> None:
        """Remembers what it asked for, and whether it got an answer."""
        assert process.finish() == 0, process.lines[-3:]
        for line in process.lines:
            match line.split():
                case ["asking", first, count]:
                    self.asked = (int(first), int(count))
                    self.after = max(self.after, int(first) + int(count) - 1)
                case ["answered"]:
                    self.asked = None
                case ["refused", kind]:
                    self.refusals[kind] += 1


def stop_and_check(servers: Servers, folder: Path, *, name: str, times: int, seed: int) -> Memory:
    """Stops a server `times` times; returns what is remembered of the processes."""
    chance = random.Random(seed)
    place = Place(folder / name, servers.log.create_database(name), servers.lock.create_database(name))
    OpenLog(place).close()
    memory, appending = Memory(), [Appending(number) for number in range(1, PROCESSES + 1)]
    for _ in range(times):
        processes = [each.start(fork, place) for each, fork in zip(appending, servers.forks, strict=True)]
        if chance.random() < 0.9:  # else while they open the log
            for process in processes:
                process.read_until("open")
                # Work that was done, and not time alone: a busy machine does less in it.
                for _ in range(chance.randrange(8)):
                    process.read_until("answered")
        time.sleep(chance.uniform(0, 0.1))
        stopped = chance.choice([[servers.log], [servers.log], [servers.lock], [servers.log, servers.lock]])
        for server in stopped:
            server.stop_immediately()
        for each, process in zip(appending, processes, strict=True):
            each.ended(process)
            memory.read(process.lines)
        for server in stopped:
            server.start()
        memory.check(place)
    assert sum(sum(each.refusals.values()) for each in appending) == times * PROCESSES
    assert sum(each.refusals["LedgerHalted"] for each in appending) == 0, (
        "a server that is gone is not a fork"
    )
    return memory


@pytest.mark.timeout(240)
def test_five_stops_of_postgresql_lose_nothing_that_was_acknowledged(
    servers: Servers, tmp_path: Path
) -> None:
    memory = stop_and_check(servers, tmp_path, name="short", times=5, seed=1)
    assert len(memory.told) > 50
    assert len(memory.heads) > 5


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_two_hundred_stops_of_postgresql_lose_nothing_that_was_acknowledged(
    servers: Servers, tmp_path: Path
) -> None:
    told = heads = 0
    for number in range(10):  # new logs, so that the later stops do not only read long ones
        memory = stop_and_check(servers, tmp_path, name=f"long{number}", times=20, seed=number)
        told, heads = told + len(memory.told), heads + len(memory.heads)
    print(f"200 stops, {told} entries told, {heads} signed heads")
    assert told > 2000
    assert heads > 200
