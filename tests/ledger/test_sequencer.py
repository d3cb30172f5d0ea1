"""The one writer decides what may follow what; of two that contradict each other, one wins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from support.ledger_world import World

from ledger.lifecycle import Life, next_life
from ledger.log import Appended, AppendRequest
from trust.encoding import merkle
from trust.encoding.entry import EntryKind, decode_entry
from trust.model.errors import Conflict, Malformed

K = EntryKind
LIFE = [K.ISSUED, K.SUSPENDED, K.REINSTATED, K.REVOKED, K.REPLACED, K.LATER_VERSION, K.ERASED]
ALLOWED = {
    (): {K.ISSUED},
    (K.ISSUED,): {K.SUSPENDED, K.REVOKED, K.REPLACED, K.LATER_VERSION},
    (K.ISSUED, K.SUSPENDED): {K.REINSTATED, K.REVOKED, K.REPLACED, K.LATER_VERSION},
    (K.ISSUED, K.SUSPENDED, K.REINSTATED): {K.SUSPENDED, K.REVOKED, K.REPLACED, K.LATER_VERSION},
    (K.ISSUED, K.REVOKED): {K.LATER_VERSION, K.ERASED},
    (K.ISSUED, K.REPLACED): {K.LATER_VERSION, K.ERASED},
    (K.ISSUED, K.REVOKED, K.LATER_VERSION): {K.LATER_VERSION, K.ERASED},
    (K.ISSUED, K.REVOKED, K.ERASED): set(),
}


def about(world: World, kind: EntryKind, number: int = 7, **more: Any) -> AppendRequest:
    return world.request(kind=kind, subject_id=number, ref=number.to_bytes(32, "big"), **more)


@pytest.mark.parametrize("past", ALLOWED, ids=lambda past: "-".join(kind.name for kind in past) or "nothing")
def test_only_what_may_follow_is_appended(world: World, past: tuple[EntryKind, ...]) -> None:
    log = world.open()
    for number, kind in enumerate(LIFE, start=100):
        for each in past:
            log.append([about(world, each, number)])
        if kind in ALLOWED[past]:
            log.append([about(world, kind, number)])
        else:
            size = log.size
            with pytest.raises(Conflict):
                log.append([about(world, kind, number)])
            assert log.size == size
    assert world.recheck().findings == ()


AFTER: dict[tuple[str, str], str] = {
    ("", "ISSUED"): "VALID",
    ("VALID", "SUSPENDED"): "SUSPENDED",
    ("VALID", "REVOKED"): "REVOKED",
    ("VALID", "REPLACED"): "REPLACED",
    ("VALID", "LATER_VERSION"): "VALID",
    ("SUSPENDED", "REINSTATED"): "VALID",
    ("SUSPENDED", "REVOKED"): "REVOKED",
    ("SUSPENDED", "REPLACED"): "REPLACED",
    ("SUSPENDED", "LATER_VERSION"): "SUSPENDED",
    ("REVOKED", "LATER_VERSION"): "REVOKED",
    ("REVOKED", "ERASED"): "ERASED",
    ("REPLACED", "LATER_VERSION"): "REPLACED",
    ("REPLACED", "ERASED"): "ERASED",
}


def test_every_cell_of_the_table_is_as_written() -> None:
    found: dict[tuple[str, str], str] = {}
    for life in [None, *Life]:
        for kind in EntryKind:
            with suppress(Conflict):
                found[life.name if life else "", kind.name] = next_life(life, kind).name
    assert found == AFTER


def test_a_whole_life_in_one_call_is_taken_and_a_wrong_one_leaves_nothing(world: World) -> None:
    log = world.open()
    log.append([about(world, kind) for kind in (K.ISSUED, K.SUSPENDED, K.REINSTATED, K.REVOKED)])
    size = log.size
    with pytest.raises(Conflict):
        log.append([about(world, kind, 8) for kind in (K.ISSUED, K.REVOKED, K.REINSTATED)])
    assert log.size == size
    log.append([about(world, K.ISSUED, 8)])


def test_an_optimistic_lock_refuses_what_was_decided_on_old_knowledge(world: World) -> None:
    log = world.open()
    [issued] = log.append([about(world, K.ISSUED)])
    [suspended] = log.append([about(world, K.SUSPENDED, after=issued.seq)])
    for after in (issued.seq, suspended.seq + 1, 0):
        with pytest.raises(Conflict) as refused:
            log.append([about(world, K.REVOKED, after=after)])
        assert refused.value.code == "ENTRY_NOT_LAST"
    with pytest.raises(Conflict):
        log.append([about(world, K.ISSUED, 9, after=2)])
    log.append([about(world, K.REVOKED, after=suspended.seq)])


def test_the_same_operation_a_hundred_times_at_once_is_one_entry(world: World) -> None:
    log = world.open()
    request = about(world, K.ISSUED)
    before = log.size
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: log.append([request]), range(100)))
    assert log.size == before + 1
    assert {(each.seq, each.entry_bytes) for [each] in answers} == {(before, answers[0][0].entry_bytes)}


def test_of_a_suspension_and_a_revocation_at_once_exactly_one_wins(world: World) -> None:
    log = world.open()
    for number in range(50, 80):
        [issued] = log.append([about(world, K.ISSUED, number)])
        both = [
            about(world, kind, number, after=issued.seq)
            for kind in (K.SUSPENDED, K.REVOKED, K.SUSPENDED, K.REVOKED)
        ]

        def attempt(request: AppendRequest) -> list[Appended] | Conflict:
            try:
                return log.append([request])
            except Conflict as exc:
                return exc

        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(attempt, both))
        assert sum(isinstance(each, list) for each in answers) == 1
    assert world.recheck().findings == ()


def test_every_256th_entry_binds_the_other_tree(world: World) -> None:
    log = world.open()
    world.append(log, 700)
    rows = [entry for _, entry in log.entries()]
    heads = [entry for entry in rows if entry.kind is K.TREE_HEAD]
    assert [entry.seq for entry in heads] == [256, 512]
    with world.database.read() as connection:
        from ledger import sql

        data = [row.entry_bytes for row in sql.read_entries(connection, start=0, end=len(rows))]
    leaves = [merkle.leaf_hash(each, algorithm="sm3") for each in data]
    for entry in heads:
        assert entry.commit == merkle.root(leaves[: entry.seq], algorithm="sm3")
        assert entry.suite == "SM3"
    [receipt] = log.receipt([600])
    log.publish()
    sm3 = log.sm3_receipt(600)
    size = log.checkpoint().size
    merkle.check_inclusion(
        leaves[600],
        index=600,
        size=size,
        proof=sm3.hashes,
        root=merkle.root(leaves[:size], algorithm="sm3"),
        algorithm="sm3",
    )
    assert decode_entry(data[600]).seq == receipt.index


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": K.TREE_HEAD, "subject_id": None, "ref": bytes(32)},
        {"kind": K.KEY_EVENT, "subject_id": None, "ref": bytes(32)},
        {"kind": K.ISSUED, "subject_id": None, "ref": bytes(32)},
        {"kind": K.STATUS_LIST},
        {"actor": "log"},
    ],
)
def test_what_is_for_the_log_or_about_nothing_cannot_be_asked_for(
    world: World, changes: dict[str, Any]
) -> None:
    with pytest.raises(Malformed):
        world.request(**changes)
