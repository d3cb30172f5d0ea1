"""PostgreSQL stops at once in the middle of an act, and starts again: the act is done once or not at all, and so is its
row in the audit trail.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.pairs import Subject, act_on, contradictions, go_round, prepare
from support.postgres import StoppableServer, wheel
from support.world import World, make_world

from issuer.ecertificates.tidying import Tidying
from trust.audit.trail import Act
from trust.model.actor import OPERATOR
from trust.model.errors import TrustError
from trust.model.report import Verdict
from trust.storage.sql import Database

pytestmark = [pytest.mark.faults, pytest.mark.postgres]
_numbers = itertools.count()
ACTION = {"revoke": "revoke", "erase": "erase", "archive": "archive", "replace": "replace"}


@pytest.fixture(scope="module")
def server() -> Iterator[StoppableServer]:
    with wheel("yz-restart-") as (library, folder):
        made = StoppableServer(library, folder / "server")
        yield made
        made.close()


@pytest.fixture
def world(server: StoppableServer, tmp_path: Path, sandbox: object) -> Iterator[World]:
    names = [f"restart_{next(_numbers)}" for _ in range(2)]
    database, lock = (server.create_database(name) for name in names)
    made = make_world(tmp_path / "data", database_url=database, lock_url=lock)
    yield made
    made.close()
    shutil.rmtree(tmp_path / "data", ignore_errors=True)


def stopping(
    server: StoppableServer, monkeypatch: pytest.MonkeyPatch, at: int, *, is_after: bool
) -> Callable[[], bool]:
    """From now on the server stops at the `at`-th commit; the answer is whether it did."""
    commit, left, stopped = Database._commit, at, False

    def counted(database: Database, transaction: sa.RootTransaction) -> None:
        nonlocal left, stopped
        left -= 1
        if left == -1 and not is_after:
            server.stop_immediately()
            stopped = True
        commit(database, transaction)
        if left == -1 and is_after:
            server.stop_immediately()
            stopped = True

    monkeypatch.setattr(Database, "_commit", counted)
    return lambda: stopped


def written(world: World, act: str, pid: bytes) -> int:
    """How often the trail says that the act was done."""
    found = world.site.admin.access.trail.of(pid, actions=[ACTION[act]], limit=100)
    return sum(not each.outcome.startswith("refused ") for each in found)


def written_issues(world: World) -> int:
    found = world.site.admin.access.trail.list(actions=["issue"], limit=100)
    return sum(each.outcome == "issued" for each in found)


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "step",
    [
        0,
        pytest.param(1, marks=pytest.mark.long),
        2,
        *(pytest.param(n, marks=pytest.mark.long) for n in (3, 4)),
    ],
)
@pytest.mark.parametrize(
    "act", ["revoke", *(pytest.param(each, marks=pytest.mark.long) for each in ACTION if each != "revoke")]
)
def test_an_act_in_which_postgresql_stops_is_done_once_or_not_at_all(
    world: World,
    server: StoppableServer,
    monkeypatch: pytest.MonkeyPatch,
    act: str,
    step: int,
    is_after: bool,
) -> None:
    subject = prepare(world, 1, (act,))
    before = written(world, act, subject.pid)
    with monkeypatch.context() as patched:
        was_stopped = stopping(server, patched, step, is_after=is_after)
        told = act_on(world, act, subject)
    if was_stopped():
        server.start()
    assert not told.startswith("wrong") or "STORAGE_FAILED" in told or "LEDGER" in told, told
    world.outlast_leases()
    for _ in range(2):  # the first may meet connections that are gone
        go_round(world)
    assert go_round(world) == ""
    assert contradictions(world, subject) == []
    done = written(world, act, subject.pid) - before
    assert done in (0, 1)
    assert not act_on(world, act, subject).startswith("wrong")
    again = written(world, act, subject.pid) - before
    # Refused or repeated if it was done; otherwise it is done now.
    assert again == 1 or act == "archive"
    assert contradictions(world, subject) == []


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "step",
    [
        0,
        *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2)),
        3,
        pytest.param(4, marks=pytest.mark.long),
    ],
)
def test_an_issue_in_which_postgresql_stops_makes_one_licence(
    world: World, server: StoppableServer, monkeypatch: pytest.MonkeyPatch, step: int, is_after: bool
) -> None:
    asked = world.application(1)
    with monkeypatch.context() as patched:
        was_stopped = stopping(server, patched, step, is_after=is_after)
        with suppress(TrustError):
            world.try_issue(asked)
    assert was_stopped(), "issuing has more commits than this"
    server.start()
    world.outlast_leases()
    for _ in range(2):  # the first may meet connections that are gone
        go_round(world)
    assert go_round(world) == ""
    (outcome,) = world.try_issue(asked)
    assert outcome.issued is not None, outcome.error
    subject = Subject(outcome.issued.pid, 1)
    assert contradictions(world, subject) == []
    assert written_issues(world) == 1
    pdf = world.site.issuer.issuing.issued_file(subject.pid)
    assert world.verify(pdf).verdict is Verdict.PASSED
    assert world.site.issuer.register.check() == []
    stored = world.site.issuer.issuing.documents
    Tidying(world.site.stores.register, stored).sweep(timedelta(seconds=-60))
    assert [stored.objects.get(name) for name in stored.objects.older_than(timedelta(seconds=-60))] == [pdf]


def test_sealing_the_trail_goes_on_after_a_stop(
    world: World, server: StoppableServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail, sealer = world.site.admin.access.trail, world.site.admin.sealer
    for step, is_after in itertools.product((0, 1), (False, True)):
        for _ in range(5):
            trail.note(OPERATOR.ref, Act("read-file", "given"))
        with monkeypatch.context() as patched:
            was_stopped = stopping(server, patched, step, is_after=is_after)
            with suppress(TrustError):
                sealer.seal()
                sealer.anchor()
        if was_stopped():
            server.start()
        for again in (sealer.seal, sealer.anchor, sealer.seal):
            with suppress(TrustError):
                again()
    world.outlast_leases()
    go_round(world)
    sealer.seal()
    sealer.anchor()
    checked = sealer.check()
    assert checked.findings == ()
    assert checked.anchored_rows == checked.rows
