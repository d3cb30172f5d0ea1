"""What a service does by itself: rounds to its witnesses, and reading its own ledger again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx2 as httpx
import pytest
from support.ledger_world import ORIGIN, World
from support.limits import HANG_SECONDS
from support.witness_world import POST_QUANTUM_KEY, WITNESS_KEY, WitnessWorld

from ledger.audit import audit
from ledger.http.witness import create_witness_app
from ledger.keeping import KeepingSettings, Scrubbing, Witnessing, read_policy
from ledger.log import Log
from ledger.note import parse_note
from ledger.outside import WitnessMemory
from ledger.proof import check_receipt, format_receipt
from ledger.recheck import recheck
from ledger.tilefolder import TileFolder
from ledger.witness.client import Failure, Witnesses
from ledger.witness.policy import Group, Policy, PolicyLog, PolicyWitness, check_cosigned_checkpoint
from ledger.witness.witness import replace_log_keys
from trust.app.keeping import make_keeper
from trust.model.errors import LedgerBusy, LedgerHalted, Malformed
from trust.storage.sql import Database

SETTINGS = KeepingSettings(
    witness_limit=timedelta(hours=1),
    witness_every=timedelta(milliseconds=20),
    scrub_every=timedelta(milliseconds=20),
)


class Kept:
    """A log with witnesses, one of which is there; both can be taken away."""

    def __init__(self, folder: Path, world: World, *, quorum: int) -> None:
        self.world = world
        self.log = world.open(is_cosigned=True)
        self.witness = WitnessWorld(folder / "w.db")
        self.witness.clock = world.clock
        self.witness.restart()
        replace_log_keys(self.witness.database, [self.log.vkey])
        self.policy = Policy(
            logs=(PolicyLog(vkey=self.log.vkey),),
            witnesses=(
                PolicyWitness(name="here", vkey=WITNESS_KEY.vkey, url="https://here.example"),
                PolicyWitness(name="pq", vkey=POST_QUANTUM_KEY.vkey, url="https://here.example"),
            ),
            groups=(Group(name="both", threshold=quorum, members=("here", "pq")),),
            quorum="both",
        )
        self.is_there = True
        app = create_witness_app(self.witness.witness)
        inner = httpx.ASGITransport(app, raise_app_exceptions=False)

        class Line(httpx.AsyncBaseTransport):
            async def handle_async_request(line, request: httpx.Request) -> httpx.Response:  # noqa: N805
                if not self.is_there:
                    raise httpx.ConnectError("gone")
                return await inner.handle_async_request(request)

        self.witnesses = Witnesses(
            self.policy, log_vkeys=[self.log.vkey], clock=world.clock, transport=Line(), timeout=5.0
        )
        self.witnessing = Witnessing(self.log, self.witnesses, world.clock, SETTINGS)

    def close(self) -> None:
        self.witnesses.close()
        self.witness.close()


@pytest.fixture
def kept(tmp_path: Path, world: World) -> Iterator[Kept]:
    found = Kept(tmp_path, world, quorum=2)
    yield found
    found.close()


@pytest.fixture
def world(tmp_path: Path, new_database: Callable[[], Path | str]) -> Iterator[World]:
    found = World(tmp_path, new_database(), new_database())
    yield found
    found.close()


def test_a_checkpoint_is_published_when_the_quorum_has_cosigned_it(kept: Kept) -> None:
    first = kept.log.published_note()
    [appended] = kept.world.append(kept.log, 1)
    kept.log.publish()
    assert kept.log.published_note() == first, "signed, and not yet seen by anybody else"
    [early] = kept.log.receipt([appended.seq])
    check_receipt(appended.entry_bytes, format_receipt(early), log_keys=kept.log.keys)
    cosigned = kept.witnessing.round()
    assert cosigned is not None
    assert cosigned.is_satisfied
    note = kept.log.published_note()
    assert len(parse_note(note).signatures) == 3
    checked = check_cosigned_checkpoint(note, kept.policy, log_vkeys=[kept.log.vkey])
    assert set(checked.cosigned_at) == {"here", "pq"}
    assert checked.checkpoint.size == kept.log.checkpoint().size
    receipt = kept.log.prove(appended.seq)
    assert receipt.checkpoint == note, "a proof against the published checkpoint carries its witnesses"
    check_receipt(appended.entry_bytes, format_receipt(receipt), log_keys=kept.log.keys)
    assert kept.world.recheck().findings == ()
    found = audit(
        TileFolder(kept.world.folder),
        TileFolder(kept.world.folder / "sm3"),
        log_vkey=kept.log.vkey,
        policy=kept.policy,
    )
    assert found.findings == ()
    assert set(found.cosigned_at) == {"here", "pq"}


def test_a_restart_keeps_the_cosigned_checkpoint(kept: Kept) -> None:
    kept.world.append(kept.log, 300)
    kept.witnessing.round()
    note = kept.log.published_note()
    kept.world.append(kept.log, 3)
    kept.log.publish()
    kept.log.close()
    again = kept.world.open(is_cosigned=True)
    assert again.published_note() == note
    assert again.checkpoint().size > 300
    report = recheck(kept.world.database, kept.world.folder, kept.world.lock_store, log_vkey=again.vkey)
    assert report.findings == ()


def test_without_a_quorum_the_last_good_checkpoint_stays_and_after_the_limit_nothing_is_appended(
    kept: Kept,
) -> None:
    kept.witnessing.round()
    good = kept.log.published_note()
    kept.is_there = False
    kept.world.append(kept.log, 1)
    cosigned = kept.witnessing.round()
    assert cosigned is not None
    assert not cosigned.is_satisfied
    assert {each.failure for each in cosigned.outcomes} == {Failure.UNREACHABLE}
    assert kept.log.published_note() == good
    kept.world.append(kept.log, 1)
    kept.world.clock.at += timedelta(hours=2)
    kept.witnessing.round()
    with pytest.raises(LedgerBusy, match="witnesses"):
        kept.world.append(kept.log, 1)
    kept.is_there = True
    kept.witnessing.round()
    kept.world.append(kept.log, 1)
    assert kept.log.published_note() != good


def test_nothing_is_asked_while_nothing_is_new_until_the_heartbeat(kept: Kept) -> None:
    assert kept.witnessing.round(even_if_nothing_new=False) is not None
    assert kept.witnessing.round(even_if_nothing_new=False) is None
    kept.world.append(kept.log, 1)
    assert kept.witnessing.round(even_if_nothing_new=False) is not None
    kept.world.clock.at += timedelta(minutes=11)
    assert kept.witnessing.round(even_if_nothing_new=False) is not None


def test_a_log_rolled_back_behind_its_witness_is_stopped_by_the_evidence(kept: Kept, tmp_path: Path) -> None:
    """The operator restores everything, lock store included: only the witness still remembers."""
    kept.world.append(kept.log, 5)
    kept.witnessing.round()
    other = World(tmp_path / "restored", tmp_path / "r.db", tmp_path / "l.db")
    try:
        restored: Log = other.open(is_cosigned=True)
        other.append(restored, 2)
        witnessing = Witnessing(restored, kept.witnesses, kept.world.clock, SETTINGS)
        with pytest.raises(LedgerHalted):
            witnessing.round()
        with pytest.raises(LedgerHalted):
            other.append(restored, 1)
    finally:
        other.close()


def test_a_restored_copy_asks_the_witnesses_before_it_signs_anything(kept: Kept, tmp_path: Path) -> None:
    """Its database holds entries that are not signed for yet: at the start they would be."""
    kept.world.append(kept.log, 5)
    kept.witnessing.round()
    other = World(tmp_path / "restored", tmp_path / "r.db", tmp_path / "l.db")
    try:
        restored = other.open(is_cosigned=True)
        other.append(restored, 2)
        locked = other.lock_store.head(ORIGIN)
        memory = WitnessMemory(kept.witnesses)
        with pytest.raises(LedgerHalted, match="signed") as refused:
            other.open(is_cosigned=True, outside=[memory])
        assert "ledger recover" in refused.value.todo
        assert other.lock_store.head(ORIGIN) == locked
        kept.is_there = False
        other.open(is_cosigned=True, outside=[memory])
        assert not memory.answered, "then it is said that a copy is not noticed"
    finally:
        other.close()
    kept.is_there = True
    kept.world.open(is_cosigned=True, outside=[memory])
    assert memory.answered


def test_a_witness_that_has_seen_more_of_the_same_tree_stops_nobody(kept: Kept) -> None:
    """Another process of ours published and asked between this one's note and its request."""
    if kept.world.database.is_sqlite:
        pytest.skip("SQLite has one writing process")
    kept.witnessing.round()
    with Database(kept.world.where) as database:
        other = kept.world.open(database=database, is_cosigned=True)
        faster = Witnessing(other, kept.witnesses, kept.world.clock, SETTINGS)
        kept.world.append(kept.log, 1)
        note = kept.log.checkpoint_note

        def overtaken() -> str:
            mine = note()
            kept.world.append(other, 2)
            faster.round()
            return mine

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(kept.log, "checkpoint_note", overtaken)
            assert kept.witnessing.round() is None
        assert kept.log.halted is None
        newest = kept.log.published_note()
        kept.log.cosigned(kept.log.checkpoint_note())
        assert kept.log.published_note().splitlines()[1] == newest.splitlines()[1], "it never goes back"
        other.close()


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + HANG_SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_the_threads_scrub_and_witness_until_they_are_closed(kept: Kept) -> None:
    world = kept.world
    scrubbing = Scrubbing(kept.log, world.database, world.lock_store, world.folder, world.clock)
    keeper = make_keeper(kept.witnessing, scrubbing, SETTINGS)
    keeper.rounds.start()
    try:
        world.append(kept.log, 3)
        wait_until(lambda: f"\n{kept.log.size}\n" in kept.log.published_note())
        wait_until(lambda: scrubbing.finished_at is not None)
        world.tamper("UPDATE ledger_entry SET entry_bytes = leaf_hash WHERE seq = 3")
        wait_until(lambda: kept.log.halted is not None)
        with pytest.raises(LedgerHalted, match="Entry 3 has been changed"):
            world.append(kept.log, 1)
    finally:
        keeper.rounds.close()


def test_a_policy_file_is_read_and_a_bad_one_says_which_line(tmp_path: Path) -> None:
    path = tmp_path / "witness-policy"
    assert read_policy(path) is None
    path.write_text("quorum nobody\n")
    with pytest.raises(Malformed, match="Line 1"):
        read_policy(path)
    path.write_text("quorum none\n")
    assert read_policy(path) is not None
    assert ORIGIN
