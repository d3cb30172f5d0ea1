"""Rechecking finds every change, and names the first bad entry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.ledger_world import World

from ledger.recheck import recheck
from trust.encoding import merkle
from trust.encoding.entry import EntryKind, decode_entry, encode_entry

SIZE = 602


@pytest.fixture
def published(world: World) -> World:
    log = world.open()
    world.append(log, 500)
    about: dict[str, Any] = {"subject_id": 3, "ref": (3).to_bytes(32, "big")}
    log.append([world.request(**about, kind=kind) for kind in (EntryKind.SUSPENDED, EntryKind.REINSTATED)])
    while log.size < SIZE:
        world.append(log, 1)
    assert log.size == SIZE
    log.publish()
    return world


def test_a_log_in_order_has_no_findings(published: World) -> None:
    seen: list[tuple[str, int, int]] = []
    report = recheck(
        published.database,
        published.folder,
        published.lock_store,
        log_vkey=published._logs[0].vkey,
        on_progress=lambda *progress: seen.append(progress),
    )
    assert report.findings == ()
    assert report.is_clean
    assert (report.stored_size, report.locked_size, report.published_size) == (SIZE, SIZE, SIZE)
    assert ("database", SIZE, SIZE) in seen
    assert ("files", SIZE, SIZE) in seen


def forge_row(world: World, seq: int, *, field: str, value: Any) -> None:
    """Changes an entry as somebody would who knows the columns: bytes and leaf hash fit each other."""
    import dataclasses

    from ledger import sql

    with world.database.read() as connection:
        [row] = sql.read_entries(connection, start=seq, end=seq + 1)
    data = encode_entry(dataclasses.replace(decode_entry(row.entry_bytes), **{field: value}))
    world.tamper(
        "UPDATE ledger_entry SET entry_bytes = :b, leaf_hash = :h WHERE seq = :s",
        b=data,
        h=merkle.leaf_hash(data),
        s=seq,
    )


@pytest.mark.parametrize("seq", [2, 255, 257, 600])
def test_a_forged_row_is_found_at_the_entry_after_it(published: World, seq: int) -> None:
    forge_row(published, seq, field="commit", value=b"\x66" * 32)
    found = [(each.source, each.seq) for each in published.recheck().findings if each.seq is not None]
    # The row fits itself, so what breaks is the chain behind it; the files show which entry it is.
    assert found == [("database", seq + 1), ("both", seq)]


def test_the_last_row_forged_is_found_by_the_roots(published: World) -> None:
    forge_row(published, SIZE - 1, field="commit", value=b"\x66" * 32)
    found = [each.what for each in published.recheck().findings if each.source == "database"]
    assert any("the lock store" in each for each in found)
    assert any("the published checkpoint" in each for each in found)
    assert SIZE - 1 in {each.seq for each in published.recheck().findings}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("log", "example.org/other"),
        ("seq", 299),
        ("prev", b"\x01" * 32),
        ("count", 77),
        ("at_ms", 1),
        ("actor", "B"),
        ("ref", (9).to_bytes(32, "big")),
    ],
)
def test_a_row_that_breaks_a_chain_is_named(published: World, field: str, value: object) -> None:
    forge_row(published, 300, field=field, value=value)
    assert 300 in {each.seq for each in published.recheck().findings}


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE ledger_entry SET entry_bytes = leaf_hash WHERE seq = 40", 40),
        ("UPDATE ledger_entry SET leaf_hash = (SELECT root FROM ledger_state) WHERE seq = 40", 40),
        ("UPDATE ledger_entry SET at_ms = at_ms + 1 WHERE seq = 40", 40),
        ("UPDATE ledger_entry SET subject_id = NULL WHERE seq = 40", 40),
        ("DELETE FROM ledger_entry WHERE seq = 40", 40),
        ("DELETE FROM ledger_entry WHERE seq >= 600", 600),
        ("UPDATE ledger_entry SET seq = 1000 WHERE seq = 40", 40),
        (
            "INSERT INTO ledger_entry (seq, at_ms, leaf_hash, entry_bytes)"
            " SELECT 1000, at_ms, leaf_hash, entry_bytes FROM ledger_entry WHERE seq = 40",
            1000,
        ),
        ("UPDATE ledger_subject SET seq = 4 WHERE subject_id = 3", 4),
        ("UPDATE ledger_actor SET count = count + 1", None),
        ("UPDATE ledger_state SET root = last_leaf_hash", None),
        ("UPDATE ledger_state SET last_at_ms = 1", None),
        ("UPDATE ledger_state SET edge = root", None),
        ("UPDATE ledger_state SET size = size - 1", None),
        ("UPDATE ledger_state SET sm3_edge = edge", None),
        ("UPDATE ledger_subject SET life = 2 WHERE subject_id = 3", 504),
        ("DELETE FROM ledger_subject WHERE subject_id = 3", None),
        ("UPDATE ledger_keys SET note = 'x'", 1),
        ("DELETE FROM ledger_keys", 1),
        ("INSERT INTO ledger_keys (seq, note) SELECT 5, note FROM ledger_keys", None),
        ("DELETE FROM ledger_state", None),
    ],
)
def test_a_change_in_the_database_is_found(published: World, statement: str, seq: int | None) -> None:
    published.tamper(statement)
    findings = published.recheck().findings
    assert "database" in {each.source for each in findings}
    assert seq is None or seq in {each.seq for each in findings}
    assert "files" not in {each.source for each in findings if each.seq is not None}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [flip, Path.unlink, lambda path: path.write_bytes(b"")])
def test_every_spoiled_file_is_found(published: World, spoil: Callable[[Path], None]) -> None:
    for path, data in published.files().items():
        spoil(published.folder / path)
        findings = published.recheck().findings
        assert findings, path
        assert "database" not in {each.source for each in findings}
        (published.folder / path).write_bytes(data)
    assert published.recheck().findings == ()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM lock_head",
        "UPDATE lock_head SET size = size + 1",
        "UPDATE lock_head SET size = size - 1",
        "UPDATE lock_head SET root = sm3_root",
        "UPDATE lock_head SET sm3_root = root",
        "UPDATE lock_head SET note = sm3_note",
    ],
)
def test_a_change_in_the_lock_store_is_found(published: World, statement: str) -> None:
    published.tamper_lock(statement)
    found = published.recheck().findings
    assert found
    assert any("lock" in each.what or each.source == "lock store" for each in found)


def test_a_database_that_fails_is_a_finding_too(published: World) -> None:
    published.tamper("DELETE FROM ledger_actor")
    with published.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE ledger_actor")
    assert published.recheck().findings
