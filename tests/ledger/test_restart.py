"""What a crash, a lost file or a restored backup leaves behind, and what the log does about it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.ledger_world import ORIGIN, World

from ledger import sql
from ledger.lockedhead import LockedHead
from ledger.lockstore import HeadMoved
from ledger.log import Log
from ledger.note import SignerKey
from ledger.publisher import Publisher
from ledger.sequencing import GENESIS_SIZE
from ledger.tilefolder import TileFolder
from trust.encoding import merkle
from trust.model.errors import KeyUnavailable, LedgerHalted
from trust.storage.sql import Database


class PowerCut(BaseException):
    """Ends the program where it stands: nothing catches it."""


STEPS = [
    (TileFolder, "write_all"),
    (Publisher, "_lock_head"),
    (Publisher, "_sign"),
    (TileFolder, "write_checkpoint"),
    (TileFolder, "drop_partials"),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("owner", "step"), STEPS, ids=[name for _, name in STEPS])
def test_a_power_cut_at_any_step_of_publishing_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, owner: type, step: str, when: str
) -> None:
    log = world.open()
    world.append(log, 300)
    done = getattr(owner, step)

    def cut(*args: object, **kwargs: object) -> None:
        if when == "after":
            done(*args, **kwargs)
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, cut)
        with pytest.raises(PowerCut):
            log.publish()
    log.close()
    again = world.open()
    assert again.checkpoint().size == 303, "two first entries, 300, and the head of the SM3 tree"
    assert world.recheck().findings == ()


def test_a_checkpoint_once_signed_is_published_with_the_same_bytes(world: World) -> None:
    log = world.open()
    first = (world.folder / "checkpoint").read_bytes()
    world.append(log, 1)
    log.publish()
    newest = (world.folder / "checkpoint").read_bytes()
    log.close()
    for before in (None, first):
        if before is None:
            (world.folder / "checkpoint").unlink()
        else:
            (world.folder / "checkpoint").write_bytes(before)
        world.open().close()
        assert (world.folder / "checkpoint").read_bytes() == newest


def test_missing_tiles_are_written_anew(world: World) -> None:
    log = world.open()
    world.append(log, 600)
    log.publish()
    log.close()
    files = world.files()
    assert {
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/92",
        "tile/1/000.p/2",
        "sm3/tile/0/001",
        "keys/1",
    } < files.keys()
    shutil.rmtree(world.folder / "tile")
    world.open().close()
    assert world.files() == files
    for path in files.keys() - {"checkpoint"}:
        (world.folder / path).unlink()
        world.open().close()
        assert world.files() == files


def test_entries_stored_but_not_published_are_published_on_restart(world: World) -> None:
    log = world.open()
    world.append(log, 10)
    log.close()
    assert world.open().checkpoint().size == 12
    assert world.recheck().findings == ()


def test_a_restored_older_database_stops_the_log_with_advice(world: World) -> None:
    log = world.open()
    world.append(log, 5)
    backup = world.state()
    world.append(log, 5)
    log.publish()
    world.restore_database_to(backup)
    with pytest.raises(LedgerHalted, match="behind the lock store"):
        log.publish()
    with pytest.raises(LedgerHalted):
        world.append(log, 1)
    log.close()
    with pytest.raises(LedgerHalted, match="7 entries, and 12 are signed for") as halted:
        world.open()
    assert "mirror" in halted.value.todo


def test_a_restored_database_with_other_entries_after_the_backup_stops_the_log(world: World) -> None:
    log = world.open()
    world.append(log, 5)
    backup = world.state()
    world.append(log, 5)
    log.publish()
    log.close()
    world.restore_database_to(backup)
    state = world.state()
    tree, sm3_tree = state.compact_range(), state.compact_range(algorithm="sm3")
    with world.database.write() as connection:
        [row] = sql.read_entries(connection, start=6, end=7)
        for seq in range(7, 12):
            tree.append(row.leaf_hash)
            sm3_tree.append(merkle.leaf_hash(row.entry_bytes, algorithm="sm3"))
            sql.insert_entries(connection, [row._replace(seq=seq, operation_id=10**6 + seq)])
        edges: dict[str, Any] = {"edge": b"".join(tree.hashes), "sm3_edge": b"".join(sm3_tree.hashes)}
        forged = replace(state, size=12, root=tree.root(), **edges)
        sql.swap_state(connection, old=state, new=forged)
    with pytest.raises(LedgerHalted, match="disagree on the root of size 12"):
        world.open()


def test_an_empty_database_under_a_used_lock_store_stops_the_log(world: World) -> None:
    world.open().close()
    world.tamper("DELETE FROM ledger_state")
    with pytest.raises(LedgerHalted, match="lock store knows"):
        world.open()


def test_an_empty_lock_store_beside_a_used_log_stops_it(world: World) -> None:
    log = world.open()
    world.append(log, 1)
    log.publish()
    world.tamper_lock("DELETE FROM lock_head")
    with pytest.raises(LedgerHalted, match="behind"):
        log.publish()
    with pytest.raises(LedgerHalted, match="lock store is empty"):
        world.open()


def test_an_older_lock_store_stops_the_log(world: World) -> None:
    log = world.open()
    old = world.lock_store.head(ORIGIN)
    assert old is not None
    world.append(log, 1)
    log.publish()
    world.tamper_lock(
        "UPDATE lock_head SET size = :s, root = :r, note = :n, sm3_root = :t, sm3_note = :m",
        s=old.size,
        r=old.root,
        n=old.note,
        t=old.sm3_root,
        m=old.sm3_note,
    )
    with pytest.raises(LedgerHalted, match="behind"):
        log.publish()
    with pytest.raises(LedgerHalted, match="3 is published, but only 2 is locked"):
        world.open()


def test_a_row_changed_since_the_last_full_tile_stops_the_log_on_restart(world: World) -> None:
    log = world.open()
    world.append(log, 10)
    log.publish()
    log.close()
    world.tamper("UPDATE ledger_entry SET entry_bytes = :b WHERE seq = 5", b=b"forged")
    with pytest.raises(LedgerHalted, match="Entry 5 has been changed"):
        world.open()
    world.tamper("UPDATE ledger_entry SET leaf_hash = :h WHERE seq = 5", h=merkle.leaf_hash(b"forged"))
    with pytest.raises(LedgerHalted, match="locked root of size 12"):
        world.open()


def test_another_key_cannot_take_over_a_log(world: World) -> None:
    world.open().close()
    world.signer = SignerKey(name=ORIGIN, seed=b"\x99" * 32)
    with pytest.raises(KeyUnavailable, match="does not have it"):
        world.open()


def test_a_signer_that_signs_with_another_key_is_found_out_before_its_signature_is_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = world.open()
    world.append(log, 1)
    monkeypatch.setattr(SignerKey, "sign", lambda self, message: bytes(64))
    with pytest.raises(LedgerHalted):
        log.publish()
    head = world.lock_store.head(ORIGIN)
    assert head is not None
    assert not head.is_signed
    monkeypatch.undo()
    assert world.open().checkpoint().size == 3


def test_a_log_restored_while_a_process_runs_no_longer_takes_its_entries(world: World) -> None:
    log = world.open()
    world.tamper("UPDATE ledger_state SET epoch = epoch + 1")
    with pytest.raises(LedgerHalted, match="restored"):
        world.append(log, 1)


def test_the_lock_store_goes_only_forward(world: World) -> None:
    entries = [b"%d" % number for number in range(9)]
    leaves = {
        algorithm: [merkle.leaf_hash(entry, algorithm=algorithm) for entry in entries]
        for algorithm in ("sha256", "sm3")
    }

    def head(size: int, **changes: bytes) -> LockedHead:
        roots = {
            "root": merkle.root(leaves["sha256"][:size]),
            "sm3_root": merkle.root(leaves["sm3"][:size], algorithm="sm3"),
        }
        return LockedHead(size=size, **(roots | changes))

    def proofs(old_size: int, size: int) -> dict[str, list[bytes]]:
        return {
            "consistency": merkle.prove_consistency(old_size, leaves["sha256"][:size]),
            "sm3_consistency": merkle.prove_consistency(old_size, leaves["sm3"][:size], algorithm="sm3"),
        }

    store, good = world.lock_store, proofs(3, 7)
    store.compare_and_swap("x", old=None, new=head(3))
    with pytest.raises(HeadMoved):
        store.compare_and_swap("x", old=None, new=head(3))
    refused: list[tuple[LockedHead, LockedHead, dict[str, list[bytes]]]] = [
        (head(3), head(2), {}),
        (head(3), head(3, root=bytes(32)), {}),
        (head(3), head(3, sm3_root=bytes(32)), {}),
        (head(3), head(7), {}),
        (head(3), head(7), good | {"consistency": good["consistency"][:-1]}),
        (head(3), head(7), good | {"sm3_consistency": good["consistency"]}),
        (head(3), head(7, root=bytes(32)), good),
        (head(3), head(7, sm3_root=bytes(32)), good),
    ]
    for old, new, given in refused:
        with pytest.raises(LedgerHalted):
            store.compare_and_swap("x", old=old, new=new, **given)
    with pytest.raises(HeadMoved):
        store.compare_and_swap("x", old=head(2), new=head(7), **proofs(2, 7))
    assert store.head("x") == head(3)
    store.compare_and_swap("x", old=head(3), new=head(7), **good)
    signed = head(7, note=b"signed", sm3_note=b"signed too")
    store.compare_and_swap("x", old=head(7), new=signed)
    for other in (head(7, note=b"other", sm3_note=b"signed too"), head(7, note=b"signed")):
        with pytest.raises(LedgerHalted, match="not signed again"):
            store.compare_and_swap("x", old=signed, new=other)
    assert store.head("x") == signed
    assert store.head("y") is None


def test_two_copies_of_a_log_on_one_lock_store_never_both_sign(world: World, tmp_path: Path) -> None:
    """Somebody starts a copy of the data folder beside the original, with other entries in each."""
    log = world.open()
    world.append(log, 3)
    log.publish()
    if not world.database.is_sqlite:
        pytest.skip("a PostgreSQL database has no second copy here")
    log.close()
    world.database.close()
    shutil.copy(world.where, tmp_path / "copy.db")
    shutil.copytree(world.folder, tmp_path / "copy")
    world.database = Database(world.where)
    one = world.open()
    with Database(tmp_path / "copy.db") as copied:
        two = Log(
            database=copied,
            lock_store=world.lock_store,
            folder=tmp_path / "copy",
            origin=ORIGIN,
            signers=[world.signer],
            clock=world.clock,
        )
        with two:
            world.append(one, 1)
            world.append(two, 2)
            one.publish()
            with pytest.raises(LedgerHalted):
                two.publish()
            with pytest.raises(LedgerHalted):
                world.append(two, 1)
    world.append(one, 1)
    one.publish()
    assert world.recheck().findings == ()


def test_a_publisher_that_lost_its_turn_goes_on_from_the_head_of_the_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock in the database may end in the middle of a publication; then another process locks a head."""
    log = world.open()
    world.append(log, 5)
    other = Publisher(
        database=world.database,
        lock_store=world.lock_store,
        files=TileFolder(world.folder),
        origin=ORIGIN,
        signers=[world.signer],
    )
    world.append(log, 5)
    lock_head = Publisher._lock_head
    overtaken: list[int] = []

    def overtake(self: Publisher, state: sql.LogState, locked: LockedHead | None) -> LockedHead:
        if self is not other and not overtaken:
            overtaken.append(state.size)
            with world.database.read() as connection:
                # What the other process does while this one believes that it is alone.
                other._publish(connection, *other._heads(connection))
        return lock_head(self, state, locked)

    monkeypatch.setattr(Publisher, "_lock_head", overtake)
    assert log.publish().size == 12
    assert overtaken == [12]
    world.append(log, 1)
    assert log.publish().size == 13
    assert world.recheck().findings == ()


def test_the_publisher_knows_the_size_a_new_log_has(world: World) -> None:
    assert world.open().size == GENESIS_SIZE == 2
