"""What the log finds out about itself while it runs, and how a lost database comes back from the files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.ledger_world import World

from ledger import sql
from ledger.audit import audit
from ledger.checkpoint import parse_checkpoint
from ledger.note import parse_note
from ledger.recover import recover
from ledger.scrubber import scrub
from ledger.tilefolder import TileFolder
from trust.encoding import merkle
from trust.encoding.entry import Entry, EntryKind, decode_entry
from trust.model.errors import Conflict, LedgerHalted, VerificationError


class Remembered:
    """The register's memory: what the rows said before they were lost."""

    def __init__(self, world: World) -> None:
        with world.database.read() as connection:
            rows = sql.read_entries(connection, start=0, end=1 << 40)
        self.rows = rows
        self._subjects = {decode_entry(row.entry_bytes).ref: row.subject_id for row in rows}
        self._operations = {row.seq: row.operation_id for row in rows}

    def subject_id(self, ref: bytes) -> int | None:
        return self._subjects.get(ref)

    def operation_id(self, entry: Entry) -> int | None:
        return self._operations.get(entry.seq)


class Forgetful:
    """A register that was lost too."""

    def subject_id(self, ref: bytes) -> int | None:
        return None

    def operation_id(self, entry: Entry) -> int | None:
        return None


def filled(world: World, count: int = 600) -> None:
    log = world.open()
    world.append(log, count)
    about: dict[str, Any] = {"subject_id": 3, "ref": (3).to_bytes(32, "big")}
    log.append([world.request(**about, kind=EntryKind.SUSPENDED)])
    log.publish()


def run_scrub(world: World) -> int:
    return scrub(
        world.database, TileFolder(world.folder), world.lock_store, origin=world._logs[0].keys.origin
    )


def test_a_log_in_order_is_scrubbed_without_a_word(world: World) -> None:
    filled(world)
    portions: list[None] = []
    log = world._logs[0]
    found = scrub(
        world.database,
        TileFolder(world.folder),
        world.lock_store,
        origin=log.keys.origin,
        pause=lambda: portions.append(None),
    )
    assert found == log.size
    assert len(portions) == 3


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE ledger_entry SET entry_bytes = leaf_hash WHERE seq = 40", "Entry 40 has been changed"),
        ("UPDATE ledger_entry SET leaf_hash = (SELECT root FROM ledger_state) WHERE seq = 300", "Entry 300"),
        ("UPDATE ledger_entry SET at_ms = at_ms + 1 WHERE seq = 40", "Entry 40 has been changed"),
        ("UPDATE ledger_entry SET subject_id = 7 WHERE seq = 1", "Entry 1 has been changed"),
        ("DELETE FROM ledger_entry WHERE seq = 257", "Entry 257 is gone"),
        ("DELETE FROM ledger_entry WHERE seq >= 590", "Entry 590 is gone"),
        ("UPDATE ledger_state SET size = size - 5", "signed for"),
        ("UPDATE ledger_subject SET life = 1 WHERE subject_id = 3", r"1 e-certificate\(s\).*subject 3"),
    ],
)
def test_a_row_changed_behind_the_logs_back_is_named(world: World, statement: str, says: str) -> None:
    filled(world)
    world.tamper(statement)
    with pytest.raises(LedgerHalted, match=says):
        run_scrub(world)


def test_a_row_forged_with_its_hash_is_named(world: World) -> None:
    filled(world)
    world.tamper(
        "UPDATE ledger_entry SET entry_bytes = :b, leaf_hash = :h WHERE seq = 41",
        b=b"forged",
        h=merkle.leaf_hash(b"forged"),
    )
    with pytest.raises(LedgerHalted, match="Entry 41 is another in the database"):
        run_scrub(world)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_partial_tiles_of_earlier_sizes_are_watched_as_long_as_they_are_served(world: World) -> None:
    log = world.open()
    for _ in range(3):
        world.append(log, 5)
        log.publish()
    size = str(log.size)
    partials = [each for each in world.files() if ".p/" in each]
    old = [each for each in partials if not each.endswith(f"/{size}")]
    assert len(old) >= 6, "of both trees, and of the bundles"
    run_scrub(world)
    for path in old:
        kept = (world.folder / path).read_bytes()
        flip(world.folder / path)
        with pytest.raises(LedgerHalted, match="earlier size"):
            run_scrub(world)
        (world.folder / path).write_bytes(kept)
    run_scrub(world)


@pytest.mark.parametrize("spoil", [flip, Path.unlink], ids=["changed", "deleted"])
def test_every_tile_and_bundle_is_watched(world: World, spoil: Callable[[Path], None]) -> None:
    filled(world)
    for path, data in world.files().items():
        if "tile" in path:
            spoil(world.folder / path)
            with pytest.raises(LedgerHalted):
                run_scrub(world)
            (world.folder / path).write_bytes(data)
    run_scrub(world)


def test_what_is_found_stops_the_log(world: World) -> None:
    filled(world)
    log = world._logs[0]
    log.halt(LedgerHalted("Entry 40 has been changed."))
    with pytest.raises(LedgerHalted, match="Entry 40"):
        world.append(log, 1)
    with pytest.raises(LedgerHalted):
        log.publish()


def recovered(world: World, identities: Remembered | Forgetful, **more: Any) -> tuple[int, int, int]:
    found = recover(
        world.database,
        world.lock_store,
        TileFolder(world.folder),
        log_vkey=world._logs[0].vkey,
        identities=identities,
        **more,
    )
    return found.size, found.had, found.unknown_refs


def test_a_restored_backup_stops_the_log_and_the_files_bring_it_back(world: World) -> None:
    log = world.open()
    world.append(log, 300)
    backup = world.state()
    request = world.request()
    world.append(log, 299)
    [appended] = log.append([request])
    world.append(log, 2)
    log.publish()
    remembered, files, size = Remembered(world), world.files(), log.size
    log.close()
    world.restore_database_to(backup)
    with pytest.raises(LedgerHalted, match="yinzheng ledger recover"):
        world.open()
    assert recovered(world, remembered) == (size, backup.size, 0)
    with world.database.read() as connection:
        assert sql.read_entries(connection, start=0, end=1 << 40) == remembered.rows
    again = world.open()
    assert world.recheck().findings == ()
    assert world.files() == files
    assert again.append([request]) == [appended], "what was appended before is known again"
    world.append(again, 5)
    again.publish()
    assert world.recheck().findings == ()


def test_tiles_that_a_crash_left_beyond_the_locked_head_do_not_stop_a_recovered_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCut(BaseException):
        pass

    def cut(*_: object) -> None:
        raise PowerCut

    log = world.open()
    world.append(log, 5)
    log.publish()
    locked = log.checkpoint().size
    world.append(log, 300)
    with monkeypatch.context() as patched:
        patched.setattr("ledger.publisher.Publisher._lock_head", cut)
        with pytest.raises(PowerCut):
            log.publish()
    log.close()
    assert recovered(world, Remembered(world), even_if_not_behind=True)[0] == locked
    for folder in (world.folder, world.folder / "sm3"):
        TileFolder(folder).set_aside_beyond(locked)
    again = world.open()
    world.append(again, 400)  # other entries in their places
    again.publish()
    assert world.recheck().findings == ()
    assert len(list((world.folder / ".unlocked").iterdir())) == 5, (
        "a full and a partial tile, their bundles, one above"
    )


def test_a_process_that_still_runs_on_the_old_database_stops(world: World) -> None:
    filled(world)
    log, remembered, state = world._logs[0], Remembered(world), world.state()
    world.restore_database_to(replace(state))
    recovered(world, remembered, even_if_not_behind=True)
    with pytest.raises(LedgerHalted, match="restored while this process ran"):
        world.append(log, 1)


def test_without_the_register_the_log_comes_back_under_numbers_of_its_own(world: World) -> None:
    filled(world)
    world._logs[0].close()
    refs = len({entry.ref for _, entry in world._logs[0].entries()}) - 1
    with world.database.write() as connection:
        sql.delete_everything(connection)
    assert recovered(world, Forgetful()) == (world._logs[0].checkpoint().size, 0, refs)
    again = world.open()
    world.append(again, 3)
    again.publish()
    assert world.recheck().findings == ()


def test_a_database_that_is_not_behind_is_left_alone(world: World) -> None:
    filled(world)
    before = world.state()
    with pytest.raises(Conflict, match="not behind"):
        recovered(world, Remembered(world))
    assert world.state() == before


def test_a_damaged_mirror_is_refused_and_changes_nothing(world: World) -> None:
    filled(world)
    world._logs[0].close()
    remembered = Remembered(world)
    backup = world.state()
    world.tamper("UPDATE ledger_state SET size = size - 1")
    before = world.state()
    for path, data in world.files().items():
        if path.startswith(("tile/entries", "keys")):
            flip(world.folder / path)
            with pytest.raises((VerificationError, LedgerHalted)):
                recovered(world, remembered)
            assert world.state() == before
            (world.folder / path).write_bytes(data)
    assert recovered(world, remembered)[0] == backup.size


def test_an_auditor_from_outside_needs_the_files_and_one_key(world: World, tmp_path: Path) -> None:
    filled(world)
    log = world._logs[0]
    copy = tmp_path / "mirror"
    shutil.copytree(world.folder, copy)

    def look(**more: Any) -> list[tuple[int | None, str]]:
        found = audit(TileFolder(copy), TileFolder(copy / "sm3"), log_vkey=log.vkey, **more)
        if not found.findings:
            assert found.size == log.size
            assert found.issued == {"11100000000013338W": 600}
        return list(found.findings)

    assert look() == []
    kept = parse_checkpoint(parse_note(log.checkpoint_note()).text)
    assert look(kept=kept) == []
    assert look(kept=kept.__class__(origin=kept.origin, size=300, root=bytes(32))) != []
    assert look(kept=kept.__class__(origin=kept.origin, size=kept.size + 1, root=bytes(32))) != []
    for path in list(world.files()):
        data = (copy / path).read_bytes()
        flip(copy / path)
        assert look(), path
        (copy / path).unlink()
        assert look(), path
        (copy / path).write_bytes(data)
    assert look() == []
