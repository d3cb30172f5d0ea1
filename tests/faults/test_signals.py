"""SIGTERM and SIGHUP to a service that is busy issuing: no request is lost, and none is carried out twice."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from support.limits import HANG_SECONDS
from support.served import Served
from support.world import FOOD, World, make_world

from issuer.ecertificates import sql
from trust.model.actor import OPERATOR
from trust.model.clock import SystemEntropy
from trust.people.access import open_access
from trust.storage import tables

pytestmark = [pytest.mark.faults, pytest.mark.allow_hosts(["127.0.0.1"])]
ASKING = 2


class Department:
    """A system that asks for one licence after the other from several threads, and notes what it was answered."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._lock = threading.Lock()
        self._next = 0
        self._is_over = threading.Event()
        self.answered: dict[int, str] = {}
        self.unanswered: set[int] = set()
        self.odd: list[tuple[int, str]] = []
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(ASKING)]

    def __enter__(self) -> Department:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(HANG_SECONDS)
            assert not thread.is_alive()

    def wait_for(self, count: int) -> None:
        until = time.monotonic() + HANG_SECONDS
        while len(self.answered) < count:
            assert time.monotonic() < until, self.odd
            time.sleep(0.02)

    def ask(self, client: httpx.Client, number: int) -> httpx.Response:
        fields = {**FOOD, "licence_number": f"JY2990101{number:07d}"}
        headers = {"Authorization": f"Bearer {self._key}", "Idempotency-Key": f"{number:032x}"}
        return client.post("/api/v1/certificates", json={"type": "FOOD", "fields": fields}, headers=headers)

    def _ask_on(self) -> None:
        with httpx.Client(base_url=self._url, trust_env=False, timeout=HANG_SECONDS) as client:
            while not self._is_over.is_set():
                with self._lock:
                    self._next += 1
                    number = self._next
                try:
                    answer = self.ask(client, number)
                except httpx.TransportError:
                    self.unanswered.add(number)
                    return
                else:
                    if answer.status_code == 201:
                        self.answered[number] = answer.json()["pid"]
                    else:
                        self.odd.append((answer.status_code, answer.text))


def key_of(world: World) -> str:
    access = open_access(
        world.site.stores.register, world.clock, SystemEntropy(), world.site.admin.access.trail
    )
    return access.clients.create_api_key(
        OPERATOR, "market", authority_id=world.market.authority_id, scopes=["cert.issue"], days=30
    )


def issued(world: World) -> list[str]:
    """The pid of everything that was begun, and that all of it was brought to its end."""
    with world.site.stores.register.read() as connection:
        rows = tables.all_rows(connection, sql.ECertificateRow)
    assert {row.step for row in rows} == {"ISSUED"}
    world.close()
    return sorted(row.pid.hex() for row in rows)


def check_each_was_issued_once(department: Department, served: Served, world: Callable[[], World]) -> None:
    """After the end. A connection that nobody accepted any more is no request."""
    assert department.odd == []
    assert issued(world()) == sorted(department.answered.values()), "what was begun was answered"
    served.start()
    with httpx.Client(base_url=served.url, trust_env=False, timeout=HANG_SECONDS) as client:
        for number in sorted({*department.answered, *department.unanswered}):
            answer = department.ask(client, number)
            assert answer.status_code == 201, answer.text
            assert department.answered.setdefault(number, answer.json()["pid"]) == answer.json()["pid"]
    served.send(signal.SIGTERM)
    assert served.ended() == 0
    assert issued(world()) == sorted(department.answered.values())


@pytest.fixture
def single(template_folder: Path, tmp_path: Path) -> Iterator[tuple[Served, str]]:
    data = tmp_path / "data"
    shutil.copytree(template_folder, data)
    world = make_world(data)
    key = key_of(world)
    world.close()
    served = Served(data, tmp_path / "log").start()
    yield served, key
    served.close()


def test_a_single_process_answers_what_it_accepted_before_it_stops(
    single: tuple[Served, str], tmp_path: Path
) -> None:
    served, key = single
    with Department(served.url, key) as department:
        department.wait_for(3)
        served.send(signal.SIGHUP)  # by default the end of a process
        department.wait_for(8)
        served.send(signal.SIGTERM)
        assert served.ended() == 0, "it ended by itself, with everything closed"
    check_each_was_issued_once(department, served, lambda: make_world(tmp_path / "data"))


@pytest.mark.long
@pytest.mark.postgres
def test_workers_are_exchanged_under_load_and_stop_without_losing_a_request(
    postgres_template: tuple[Path, str, str],
    new_database_from: Callable[[str], str],
    tmp_path: Path,
) -> None:
    template, *urls = postgres_template
    data = tmp_path / "data"
    shutil.copytree(template, data)
    database, lock = (new_database_from(url) for url in urls)
    world = make_world(data, database_url=database, lock_url=lock)
    key = key_of(world)
    world.close()
    environment: dict[str, Any] = {"DATABASE_URL": database, "YINZHENG_LOCK_URL": lock}
    served = Served(data, tmp_path / "log", workers=2, **environment)
    try:
        served.start()
        with Department(served.url, key) as department:
            department.wait_for(3)
            served.send(signal.SIGHUP)
            until = time.monotonic() + HANG_SECONDS
            while served.log().count("Finished server process") < 2:
                assert time.monotonic() < until, "the workers were not exchanged"
                time.sleep(0.1)
            department.wait_for(len(department.answered) + 3)
            assert (department.unanswered, department.odd) == (set(), []), "nobody noticed the exchange"
            served.send(signal.SIGTERM)
            assert served.ended() == 0
        afterwards = Served(data, tmp_path / "log", **environment)  # one process is enough for that
        check_each_was_issued_once(
            department, afterwards, lambda: make_world(data, database_url=database, lock_url=lock)
        )
    finally:
        served.close()
