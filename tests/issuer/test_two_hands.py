"""Two hands on one record: the same request at once, and the keeper's round beside a request in flight."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.equal_requests import issue_at_once
from support.limits import HANG_SECONDS
from support.world import World, make_world

from issuer.authorities import sql as authorities_sql
from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.stamping import Stamping
from issuer.operations.sql import is_anything_held
from issuer.seals import sql as seals_sql
from trust.app.database import migrate_ledger, migrate_register
from trust.encoding.entry import EntryKind
from trust.model.actor import OPERATOR
from trust.storage import tables
from trust.storage.sql import Database

REQUESTS = 20
TESTS = Path(__file__).resolve().parents[1]


def issued_of(world: World, number: int) -> list[ecertificates_sql.ECertificateRow]:
    wanted = world.application(number).fields["licence_number"]
    with world.site.stores.register.read() as connection:
        return tables.all_rows(connection, ecertificates_sql.ECertificateRow, number=wanted)


def test_twenty_equal_requests_at_once_are_one_licence(stored_world: World) -> None:
    for number in (1, 2):
        (identifier,) = set(issue_at_once(stored_world, number, REQUESTS))
        (row,) = issued_of(stored_world, number)
        assert (row.identifier, row.step) == (identifier, "ISSUED")
    entries = [entry for _, entry in stored_world.site.ledger.log.entries()]
    assert sum(entry.kind is EntryKind.ISSUED for entry in entries) == 2
    with stored_world.site.stores.register.read() as connection:
        assert len(tables.all_rows(connection, seals_sql.SealUseRow)) == 2
        assert not is_anything_held(connection)


@pytest.mark.postgres
def test_three_processes_with_equal_requests_make_one_licence_each_time(
    postgres_template: tuple[Path, str, str], new_database_from: Callable[[str], str], tmp_path: Path
) -> None:
    template, *urls = postgres_template
    folder = tmp_path / "data"
    shutil.copytree(template, folder)
    database, lock = (new_database_from(url) for url in urls)
    world = make_world(folder, database_url=database, lock_url=lock)
    program = [sys.executable, "-m", "support.equal_requests", str(folder), database, lock, "7"]
    path = os.pathsep.join(str(TESTS / each) for each in (".", ".."))
    children = [
        subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        for _ in range(3)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for number in range(1, 6):
            for child in children:
                assert child.stdin is not None
                child.stdin.write(f"{number}\n")
                child.stdin.flush()
            answers = [json.loads(child.stdout.readline()) for child in children if child.stdout is not None]
            (row,) = issued_of(world, number)
            assert {each for answer in answers for each in answer} == {row.identifier}
    finally:
        for child in children:
            child.communicate(timeout=HANG_SECONDS)
        world.close()


def test_a_round_leaves_to_a_request_what_it_has_in_its_hands(stored_world: World) -> None:
    issuing, is_reserved, go_on = stored_world.site.issuer.issuing, threading.Event(), threading.Event()
    seal_many, sealed = type(issuing.stamping).seal_many, []

    def slowly(self: Stamping, drafts: Any) -> object:
        sealed.append(threading.current_thread().name)
        is_reserved.set()
        assert go_on.wait(HANG_SECONDS)
        return seal_many(self, drafts)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(type(issuing.stamping), "seal_many", slowly)
        asked = pool.submit(stored_world.try_issue, stored_world.application(1))
        assert is_reserved.wait(HANG_SECONDS)
        assert issuing.resume_unfinished() == []
        go_on.set()
        (outcome,) = asked.result(HANG_SECONDS)
    assert outcome.issued is not None
    assert len(sealed) == 1


@pytest.mark.parametrize("end", ["issued", "withdrawn"])
def test_a_draft_that_ends_while_the_same_request_comes_again(
    stored_world: World, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    issuing, application = stored_world.site.issuer.issuing, stored_world.application(1)
    if stored_world.site.stores.register.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    first = issuing.reserving.reserve(issuing.check(OPERATOR, application))
    real = ecertificates_sql.lock_requests

    def finish() -> None:
        if end == "issued":
            issuing.recording.record([issuing.stamping.seal(first)])
        else:
            issuing.reserving.withdraw(first)

    def ended_and_looked(connection: Any, keys: Any) -> Any:
        monkeypatch.setattr(ecertificates_sql, "lock_requests", real)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(finish).result(HANG_SECONDS)
        return real(connection, keys)

    monkeypatch.setattr(ecertificates_sql, "lock_requests", ended_and_looked)
    again = issuing.reserving.reserve(issuing.check(OPERATOR, application))
    assert (again.pid == first.pid, again.repeated) == ((True, True) if end == "issued" else (False, False))
    (row,) = issued_of(stored_world, 1)
    if end == "issued":
        assert row.step == "ISSUED"
    else:
        assert (row.step, row.pid) == ("DRAFT", again.pid)


def test_what_a_request_left_is_carried_on_at_once_and_what_a_dead_one_held_later(
    stored_world: World,
) -> None:
    issuing = stored_world.site.issuer.issuing

    def fails(self: object, drafts: object) -> object:
        raise OSError("the page could not be drawn")

    def dies(self: object, drafts: object) -> object:
        raise SystemExit  # as good as a killed process: nobody lets go

    for failing, number in ((fails, 1), (dies, 2)):
        application = stored_world.application(number)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(issuing.stamping), "seal_many", failing)
            with pytest.raises((OSError, SystemExit)):
                stored_world.try_issue(application)
    (outcome,) = issuing.resume_unfinished()
    assert outcome.issued is not None
    assert outcome.issued.number == stored_world.application(1).fields["licence_number"]
    stored_world.outlast_leases()
    (outcome,) = issuing.resume_unfinished()
    assert outcome.issued is not None
    assert outcome.issued.number == stored_world.application(2).fields["licence_number"]


@pytest.mark.postgres
def test_four_processes_migrate_an_empty_database_and_all_of_them_come_up(
    new_postgres_database: Callable[[], str],
) -> None:
    where = new_postgres_database()

    def migrate(_: int) -> int:
        with Database(where) as database:
            migrate_register(database)
            migrate_ledger(database)
            with database.read() as connection:
                return len(tables.all_rows(connection, authorities_sql.AuthorityRow))

    program = (
        "import sys; from trust.storage.sql import Database; from trust.app.database import *\n"
        "with Database(sys.argv[1]) as database: migrate_register(database); migrate_ledger(database)"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", program, where], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    errors = [child.communicate(timeout=HANG_SECONDS)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0, 0, 0], errors
    assert migrate(0) == 0
