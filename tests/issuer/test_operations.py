"""Operations: leases that end too early or never, batches of which a part is done, and how much a batch asks of the
database."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from support.limits import HANG_SECONDS
from support.pairs import Subject, contradictions
from support.world import World

from issuer.ecertificates import sql as ecertificates_sql
from issuer.operations import sql as operations_sql
from issuer.operations.model import LEASE, STATUS_KINDS, OperationKind
from keys.suites import Suite
from ledger.log import Appended, AppendRequest, Log
from trust.encoding.entry import EntryKind
from trust.model.actor import OPERATOR
from trust.model.errors import LedgerBusy, NotFound
from trust.model.status import Status, StatusAct
from trust.storage.sql import Database


def test_the_kinds_are_those_of_the_ledger() -> None:
    ours = {OperationKind.REGISTER, OperationKind.GAP}
    assert {each.name for each in OperationKind if each not in ours} <= {each.name for each in EntryKind}
    assert all(each.value == each.name for each in OperationKind)


def test_a_lease_that_ends_while_its_holder_still_works(
    stored_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued, _ = stored_world.issue()
    statuses, append = stored_world.site.issuer.statuses, Log.append
    is_appending, go_on = threading.Event(), threading.Event()

    def slowly(log: Log, requests: Sequence[AppendRequest]) -> list[Appended]:
        if threading.current_thread() is not threading.main_thread():
            is_appending.set()
            assert go_on.wait(HANG_SECONDS)
        return append(log, requests)

    monkeypatch.setattr(Log, "append", slowly)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(statuses.change, OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
        assert is_appending.wait(HANG_SECONDS)
        assert statuses.resume_pending() == 0, "it is in hand"
        stored_world.clock.advance(seconds=LEASE.total_seconds() + 1)
        assert statuses.resume_pending() == 1
        size = stored_world.site.ledger.log.size
        go_on.set()
        assert asked.result(HANG_SECONDS).status is Status.REVOKED
    assert stored_world.site.ledger.log.size == size
    assert contradictions(stored_world, Subject(issued.pid, 1)) == []


def test_a_lease_under_a_clock_that_was_ahead_keeps_nobody_waiting(stored_world: World) -> None:
    issued, _ = stored_world.issue()
    statuses = stored_world.site.issuer.statuses
    stored_world.clock.advance(days=1)
    statuses._announce(OPERATOR, issued.pid, StatusAct.SUSPEND, "complaint", "")
    stored_world.clock.advance(days=-1)
    assert statuses.resume_pending() == 1
    assert contradictions(stored_world, Subject(issued.pid, 1)) == []


def test_an_act_that_the_ledger_has_no_room_for_is_carried_on_at_once(
    stored_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued, _ = stored_world.issue()
    statuses = stored_world.site.issuer.statuses

    def busy(*_: object) -> None:
        raise LedgerBusy("full")

    with monkeypatch.context() as patched:
        patched.setattr(Log, "append", busy)
        with pytest.raises(LedgerBusy):
            statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
        with pytest.raises(LedgerBusy):
            statuses.resume_pending()
    assert statuses.resume_pending() == 1
    assert stored_world.site.issuer.issuing.issued(pid=issued.pid).status is Status.REVOKED


def test_nothing_is_taken_twice_by_rounds_at_once(stored_world: World) -> None:
    operations, statuses = stored_world.site.issuer.statuses.operations, stored_world.site.issuer.statuses
    for number in range(1, 13):
        issued, _ = stored_world.issue(number)
        statuses._announce(OPERATOR, issued.pid, StatusAct.REVOKE, "penalty", "")
    stored_world.outlast_leases()
    started = threading.Barrier(4)

    def take() -> list[int]:
        started.wait()
        claimed = operations.claim(STATUS_KINDS, 2)
        return [each.operation_id for batch, _ in claimed for each in batch]

    with ThreadPoolExecutor(4) as pool:
        taken = [each for found in [pool.submit(take) for _ in range(4)] for each in found.result()]
    assert len(taken) == len(set(taken)) == 12


def test_of_a_file_that_is_half_issued_the_other_half_is_issued(stored_world: World) -> None:
    applications = [stored_world.application(number) for number in range(1, 9)]
    assert all(outcome.issued for outcome in stored_world.try_issue(*applications[1::2]))
    size = stored_world.site.ledger.log.size
    outcomes = stored_world.try_issue(*applications)
    assert [outcome.repeated for outcome in outcomes] == [False, True] * 4
    assert stored_world.site.ledger.log.size == size + 4
    with stored_world.site.stores.register.read() as connection:
        assert not operations_sql.is_anything_held(connection)


@contextmanager
def counted(database: Database) -> Iterator[dict[str, int]]:
    """Counts statements and transactions of a database."""
    counts = {"statements": 0, "transactions": 0}

    def add(name: str) -> Any:
        def one_more(*_: object) -> None:
            counts[name] += 1

        return one_more

    listeners = [
        (engine, name, add(counted_as))
        for engine in {database._readers, database._writer}
        for name, counted_as in (("before_cursor_execute", "statements"), ("begin", "transactions"))
    ]
    for listener in listeners:
        event.listen(*listener)
    try:
        yield counts
    finally:
        for listener in listeners:
            event.remove(*listener)


@pytest.mark.parametrize("others", [0, 12])
def test_a_licence_takes_few_statements_however_many_seals_there_are(world: World, others: int) -> None:
    for number in range(others):
        world.site.issuer.seals.make(OPERATOR, f"transport-{number}", "yunling-transport", Suite.SM2_SM3)
    world.issue(99)
    applications = [world.application(number) for number in range(1, 17)]
    with counted(world.site.stores.register) as counts:
        outcomes = world.try_issue(*applications)
    assert all(outcome.issued for outcome in outcomes)
    assert counts["statements"] <= 16 * 5
    assert counts["transactions"] <= 16 * 1


def test_a_withdrawn_draft_is_not_sealed_into_the_one_that_has_its_number_now(stored_world: World) -> None:
    issuing = stored_world.site.issuer.issuing
    withdrawn = issuing.reserving.reserve(issuing.check(OPERATOR, stored_world.application(1)))
    issuing.reserving.withdraw(withdrawn)
    other = issuing.reserving.reserve(issuing.check(OPERATOR, stored_world.application(2)))
    if stored_world.site.stores.register.is_sqlite:
        assert other.ecertificate_id == withdrawn.ecertificate_id
    with pytest.raises(NotFound):
        issuing.stamping.seal(withdrawn)
    issuing.reserving.withdraw(withdrawn)
    (outcome,) = stored_world.try_issue(stored_world.application(2))
    assert outcome.issued is not None
    assert outcome.issued.pid == other.pid


def test_work_that_takes_longer_than_a_lease_stays_in_hand(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a time-stamp authority that takes its time."""
    issuing, slow = world.site.issuer.issuing, type(world.site.issuer.issuing.stamping)._sealed
    found: list[int] = []

    def slowly(*given: Any) -> bytes:
        world.clock.advance(seconds=LEASE.total_seconds() * 0.6)
        found.append(len(issuing.resume_unfinished()))
        return slow(*given)

    monkeypatch.setattr(type(issuing.stamping), "_sealed", slowly)
    outcomes = world.try_issue(*(world.application(number) for number in range(1, 5)))
    assert all(outcome.issued for outcome in outcomes)
    assert found == [0] * 4


def test_a_replacement_that_cannot_be_made_up_for_keeps_no_other_act_waiting(
    stored_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued, _ = stored_world.issue()
    statuses = stored_world.site.issuer.statuses
    statuses._announce(OPERATOR, issued.pid, StatusAct.SUSPEND, "complaint", "")
    stored_world.outlast_leases()
    # As if another process had just marked the old version of a replacement.
    monkeypatch.setattr(ecertificates_sql, "issued_but_not_replacing", lambda _: [issued.pid])
    assert statuses.resume_pending() == 1
    assert stored_world.site.issuer.issuing.issued(pid=issued.pid).status is Status.SUSPENDED
