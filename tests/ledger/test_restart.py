"""What a crash, a lost file or a restored backup leaves behind, and what the log does about it."""

from __future__ import annotations

import shutil

import pytest
from support.ledger_world import ORIGIN, World

from ledger import publisher, sql
from ledger.lockedhead import LockedHead
from ledger.note import SignerKey
from ledger.publisher import Publisher
from ledger.tilefolder import TileFolder
from trust.encoding import merkle
from trust.model.errors import LedgerHalted


class PowerCut(BaseException):
    """Ends the program where it stands: nothing catches it."""


STEPS = [
    (TileFolder, "write_bundle"),
    (TileFolder, "write_hashes"),
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
    assert again.checkpoint().size == 302
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
    assert {"tile/0/000", "tile/0/001", "tile/0/002.p/90", "tile/1/000.p/2"} < files.keys()
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
    tree = state.compact_range()
    with world.database.write() as connection:
        rows = sql.read_entries(connection, start=6, end=7)
        for seq in range(7, 12):
            tree.append(rows[0].leaf_hash)
            row = {"seq": seq, "operation_id": 10**6 + seq}
            sql.insert_entries(connection, [sql.StoredEntry(**{**sql._fields(rows[0]), **row})])  # type: ignore[arg-type]
        values = sql._fields(state) | {"size": 12, "root": tree.root(), "edge": b"".join(tree.hashes)}
        sql.swap_state(connection, old=state, new=sql.LogState(**values))  # type: ignore[arg-type]
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
        "UPDATE lock_head SET size = :s, root = :r, note = :n", s=old.size, r=old.root, n=old.note
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
    with pytest.raises(LedgerHalted, match="does not verify under the log's key"):
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
    leaves = [merkle.leaf_hash(b"%d" % number) for number in range(9)]
    heads = {size: LockedHead(size=size, root=merkle.root(leaves[:size])) for size in range(1, 10)}
    store, proof = world.lock_store, merkle.prove_consistency(3, leaves[:7])
    store.compare_and_swap("x", old=None, new=heads[3])
    with pytest.raises(LedgerHalted):
        store.compare_and_swap("x", old=None, new=heads[3])
    refused = [
        (heads[3], heads[2], []),
        (heads[3], LockedHead(size=3, root=bytes(32)), []),
        (heads[3], heads[7], []),
        (heads[3], heads[7], proof[:-1]),
        (heads[3], LockedHead(size=7, root=bytes(32)), proof),
        (heads[2], heads[7], merkle.prove_consistency(2, leaves[:7])),
    ]
    for old, new, consistency in refused:
        with pytest.raises(LedgerHalted):
            store.compare_and_swap("x", old=old, new=new, consistency=consistency)
    assert store.head("x") == heads[3]
    store.compare_and_swap("x", old=heads[3], new=heads[7], consistency=proof)
    signed = LockedHead(size=7, root=heads[7].root, note=b"signed")
    store.compare_and_swap("x", old=heads[7], new=signed)
    with pytest.raises(LedgerHalted, match="not signed again"):
        store.compare_and_swap("x", old=signed, new=LockedHead(size=7, root=signed.root, note=b"other"))
    assert store.head("x") == signed
    assert store.head("y") is None


def test_the_publisher_knows_the_size_a_new_log_has() -> None:
    assert publisher.GENESIS_SIZE == 2
