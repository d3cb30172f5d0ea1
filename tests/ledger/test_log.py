"""Appending and receipts, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from support.ledger_world import AUTHORITY, World
from support.limits import HANG_SECONDS

from ledger import sql
from ledger.checkpoint import check_checkpoint
from ledger.groupcommit import Job
from ledger.log import Appended, AppendRequest, Log
from ledger.proof import check_embedded_receipt, format_receipt
from trust.encoding import merkle
from trust.encoding.entry import NO_REF, EntryKind, PreviousEntry, decode_entry
from trust.model.errors import Conflict, LedgerBusy, LedgerHalted, Malformed, NotFound, StorageError
from trust.storage.errors import DurabilityUnknown
from trust.storage.sql import Database


def test_a_new_log_begins_with_two_entries_of_its_own_and_is_published(world: World) -> None:
    log = world.open()
    assert log.size == log.checkpoint().size == 2
    with world.database.read() as connection:
        kinds = [decode_entry(each.entry_bytes).kind for each in sql.read_entries(connection, start=0, end=9)]
    assert kinds == [EntryKind.GENESIS, EntryKind.KEY_EVENT]
    published = world.files()["checkpoint"].decode()
    assert check_checkpoint(published, log_vkey=log.vkey) == log.checkpoint()
    assert world.recheck().findings == ()


def test_entries_are_chained_to_the_log_the_ecertificate_and_the_authority(world: World) -> None:
    log = world.open()
    about: dict[str, Any] = {"subject_id": 7, "ref": b"\x07" * 32}
    issued, other, suspended = log.append(
        [
            world.request(**about),
            world.request(actor="B"),
            world.request(**about, kind=EntryKind.SUSPENDED),
        ]
    )
    [reinstated] = log.append([world.request(**about, kind=EntryKind.REINSTATED)])
    [listed] = log.append([world.request(subject_id=None, ref=NO_REF, kind=EntryKind.STATUS_LIST)])
    assert [each.seq for each in (issued, other, suspended, reinstated, listed)] == [2, 3, 4, 5, 6]
    leaf = {each.seq: merkle.leaf_hash(each.entry_bytes) for each in (issued, other, suspended, reinstated)}
    entries = [decode_entry(each.entry_bytes) for each in (issued, other, suspended, reinstated, listed)]
    assert [each.prev for each in entries[1:]] == [leaf[2], leaf[3], leaf[4], leaf[5]]
    assert [each.prev_ref for each in entries] == [
        None,
        None,
        PreviousEntry(seq=2, leaf_hash=leaf[2]),
        PreviousEntry(seq=4, leaf_hash=leaf[4]),
        None,
    ]
    assert [(each.actor, each.count) for each in entries] == [
        (AUTHORITY, 1),
        ("B", 1),
        (AUTHORITY, 2),
        (AUTHORITY, 3),
        (AUTHORITY, 4),
    ]
    log.publish()
    assert world.recheck().findings == ()


def test_the_same_operation_again_gives_the_same_entry(world: World) -> None:
    log = world.open()
    request = world.request()
    [first] = log.append([request])
    assert log.append([request]) == [first]
    other = world.request()
    again = log.append([other, request, other])
    assert again[0] == again[2]
    assert again[1] == first
    assert log.size == 4


def test_an_operation_used_for_something_else_is_a_conflict(world: World) -> None:
    log = world.open()
    request = world.request()
    log.append([request])
    for changes in ({"commit": b"x" * 32}, {"actor": "B"}, {"subject_id": 99}, {"kind": EntryKind.REVOKED}):
        with pytest.raises(Conflict) as refused:
            log.append([world.request(), world.request(request.operation_id, **changes)])
        assert refused.value.code == "OPERATION_ID_REUSED"
    assert log.size == 3, "a call that conflicts appends nothing at all"
    twice = world.request()
    with pytest.raises(Conflict):
        log.append([twice, world.request(twice.operation_id, commit=b"x" * 32)])


def test_a_subject_keeps_its_ref(world: World) -> None:
    log = world.open()
    log.append([world.request(subject_id=5, ref=b"\x01" * 32)])
    with pytest.raises(Conflict) as refused:
        log.append([world.request(subject_id=5, ref=b"\x02" * 32)])
    assert refused.value.code == "SUBJECT_REF_MISMATCH"


@pytest.mark.parametrize(
    "changes",
    [
        {"operation_id": 0},
        {"operation_id": 2**63},
        {"kind": EntryKind.GENESIS},
        {"actor": ""},
        {"ref": b"short"},
        {"ref": NO_REF},
        {"subject_id": None},
        {"commit": b""},
        {"suite": "x" * 33},
    ],
    ids=str,
)
def test_a_request_that_cannot_be_an_entry_does_not_exist(world: World, changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        world.request(**changes)


def test_many_threads_append_and_each_gets_its_own_gap_free_place(world: World) -> None:
    log = world.open()
    batches = [[world.request() for _ in range(3)] for _ in range(60)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(log.append, batches))
    assert sorted(each.seq for answer in answers for each in answer) == list(range(2, 182))
    for answer in answers:
        assert [each.seq for each in answer] == list(range(answer[0].seq, answer[0].seq + 3))
    log.publish()
    assert world.recheck().findings == ()


class HeldCommits:
    """Holds the writer inside its first commit, so that jobs gather behind it."""

    def __init__(self, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.sizes: list[int] = []
        store = log._store_jobs

        def held(jobs: Sequence[Job[AppendRequest, Appended]]) -> object:
            self.sizes.append(len(jobs))
            self.entered.set()
            assert self.go_on.wait(HANG_SECONDS)
            return store(jobs)

        monkeypatch.setattr(log, "_store_jobs", held)


def gather(log: Log, held: HeldCommits, batches: list[list[AppendRequest]]) -> list[Any]:
    """Appends the first batch, and the others while that commit is in flight."""
    with ThreadPoolExecutor(len(batches)) as pool:
        futures = [pool.submit(log.append, batches[0])]
        assert held.entered.wait(HANG_SECONDS)
        futures += [pool.submit(log.append, each) for each in batches[1:]]
        while len(log._writer._jobs) < len(batches) - 1:
            pass
        held.go_on.set()
        return [future.exception() or future.result() for future in futures]


def test_what_gathers_during_a_commit_is_committed_together(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = world.open()
    held = HeldCommits(log, monkeypatch)
    gather(log, held, [[world.request()] for _ in range(9)])
    assert held.sizes == [1, 8]


def test_one_bad_request_does_not_fail_its_neighbours(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log = world.open()
    [first] = log.append([world.request(1000)])
    held = HeldCommits(log, monkeypatch)
    bad = [world.request(), world.request(1000, commit=b"x" * 32)]
    answers = gather(log, held, [[world.request()], bad, [world.request()], [world.request(1000)]])
    assert held.sizes == [1, 3]
    assert isinstance(answers[1], Conflict)
    assert {each[0].seq for each in (answers[0], answers[2])} == {3, 4}
    assert answers[3] == [first]
    assert log.size == 5


def test_a_failure_nobody_foresaw_stays_with_its_own_call(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = world.open()
    poison = world.request()
    insert = sql.insert_entries

    def failing(connection: sa.Connection, entries: Sequence[sql.StoredEntry]) -> None:
        if any(each.operation_id == poison.operation_id for each in entries):
            raise ZeroDivisionError
        insert(connection, entries)

    monkeypatch.setattr(sql, "insert_entries", failing)
    held = HeldCommits(log, monkeypatch)
    answers = gather(log, held, [[world.request()], [poison], [world.request()]])
    assert isinstance(answers[1], ZeroDivisionError)
    assert {each[0].seq for each in (answers[0], answers[2])} == {2, 3}


def test_a_full_queue_says_so_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log = world.open(queue_limit=5)
    held = HeldCommits(log, monkeypatch)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(log.append, [world.request()])
        assert held.entered.wait(HANG_SECONDS)
        second = pool.submit(log.append, [world.request() for _ in range(4)])
        while not log._writer._jobs:
            pass
        with pytest.raises(LedgerBusy) as busy:
            log.append([world.request(), world.request()])
        assert busy.value.retry_after >= 1
        held.go_on.set()
        assert len(first.result()) + len(second.result()) == 5
    log.close()
    with pytest.raises(LedgerBusy):
        log.append([world.request()])


@pytest.mark.parametrize("count", [1, 5, 254, 300])
def test_receipts_prove_their_entries_offline(world: World, count: int) -> None:
    log = world.open()
    appended = world.append(log, 3) + world.append(log, count)
    receipts = log.receipt([each.seq for each in appended])
    assert len({each.checkpoint for each in receipts}) == 1, "one publication for all of them"
    for entry, receipt in zip(appended, receipts, strict=True):
        checked = check_embedded_receipt(entry.entry_bytes, format_receipt(receipt), log_keys=log.keys)
        assert checked.entry.seq == entry.seq
    assert log.prove(appended[0].seq) == receipts[0]
    assert world.recheck().findings == ()


def test_an_old_checkpoint_that_covers_the_entry_is_used_again(world: World) -> None:
    log = world.open()
    [first] = world.append(log, 1)
    [receipt] = log.receipt([first.seq])
    world.append(log, 1)
    assert log.receipt([first.seq]) == [receipt]
    assert log.checkpoint().size == 3


def test_an_entry_that_does_not_exist_has_no_receipt(world: World) -> None:
    log = world.open()
    for seq in (2, -1):
        with pytest.raises(NotFound):
            log.receipt([seq])
    world.append(log, 1)
    with pytest.raises(NotFound):
        log.prove(2)  # stored, but no checkpoint covers it yet


def test_every_checkpoint_continues_the_one_before(world: World) -> None:
    log = world.open()
    seen = [log.checkpoint()]
    for count in (1, 2, 250, 1, 1, 256, 3):
        world.append(log, count)
        seen.append(log.publish())
    for old in seen:
        merkle.check_consistency(
            size1=old.size,
            root1=old.root,
            size2=seen[-1].size,
            root2=seen[-1].root,
            proof=log.consistency(old.size),
        )
    with pytest.raises(NotFound):
        log.consistency(seen[-1].size + 1)
    partial = [path for path in world.files() if ".p/" in path and "/000.p/" in path and "tile/1" not in path]
    assert partial == [], "partial tiles go when the full one is there"


def test_time_in_the_log_does_not_go_back_when_the_clock_does(world: World) -> None:
    log = world.open()
    [before] = world.append(log, 1)
    world.clock.at = world.clock.at.replace(year=2020)
    [after] = world.append(log, 1)
    assert decode_entry(after.entry_bytes).at_ms == decode_entry(before.entry_bytes).at_ms


def test_appending_inside_a_transaction_of_ones_own_is_refused(world: World) -> None:
    log = world.open()
    with world.database.write(), pytest.raises(RuntimeError, match="end your transaction"):
        log.append([world.request()])


def test_a_database_error_fails_the_call_and_a_repeat_succeeds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = world.open()
    request = world.request()

    def full(*_: object) -> None:
        raise StorageError("full")

    with monkeypatch.context() as patched:
        patched.setattr(sql, "insert_entries", full)
        with pytest.raises(StorageError, match="full"):
            log.append([request])
    assert log.append([request])[0].seq == 2


@pytest.mark.parametrize("reason", [DurabilityUnknown("lost fsync"), LedgerHalted("other content")], ids=str)
def test_after_a_fatal_error_nothing_is_appended_or_signed(
    world: World, monkeypatch: pytest.MonkeyPatch, reason: Exception
) -> None:
    log = world.open()
    world.append(log, 1)

    def fail(*_: object) -> None:
        raise reason

    with monkeypatch.context() as patched:
        patched.setattr("ledger.tilefolder.create_all_durably", fail)
        with pytest.raises(LedgerHalted):
            log.publish()
    with pytest.raises(LedgerHalted):
        world.append(log, 1)
    with pytest.raises(LedgerHalted):
        log.receipt([2])
    assert log.halted is reason
    assert world.open().checkpoint().size == 3, "a restart checks, and goes on"


def test_a_commit_that_may_be_lost_halts_the_log(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    log = world.open()

    def lost(*_: object) -> None:
        raise DurabilityUnknown("the commit may be lost")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "_commit", lost)
        with pytest.raises(LedgerHalted):
            world.append(log, 1)
    with pytest.raises(LedgerHalted):
        world.append(log, 1)


def test_two_processes_append_and_publish_on_postgresql(world: World) -> None:
    if world.database.is_sqlite:
        pytest.skip("SQLite has one writing process")
    logs = [world.open(), world.open(database=Database(world.where))]
    try:

        def work(number: int) -> list[int]:
            log = logs[number % 2]
            appended = world.append(log, 5)
            for each, receipt in zip(appended, log.receipt([a.seq for a in appended]), strict=True):
                check_embedded_receipt(each.entry_bytes, format_receipt(receipt), log_keys=log.keys)
            return [each.seq for each in appended]

        with ThreadPoolExecutor(8) as pool:
            seqs = sorted(seq for answer in pool.map(work, range(40)) for seq in answer)
        assert seqs == list(range(2, 202))
        assert world.recheck().findings == ()
    finally:
        logs[1].close()
        logs[1]._database.close()


def test_a_database_of_another_log_is_refused(world: World, tmp_path: Path) -> None:
    world.open()
    with pytest.raises(Conflict, match=r"example\.org/log"):
        Log(
            database=world.database,
            lock_store=world.lock_store,
            folder=tmp_path / "other",
            origin="example.org/other",
            signers=[world.signer],
            clock=world.clock,
        )
