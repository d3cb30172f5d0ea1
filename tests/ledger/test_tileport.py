"""The duties of `ledger.tileport.Tiles`, on each of its implementations."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.tilefolder import TileFolder
from ledger.tileport import Tiles
from ledger.tiles import Tile, tile_path
from trust.model.errors import LedgerHalted, Malformed, StorageError

ROOT = Path(__file__).resolve().parents[2]
HASHES = bytes(range(32)) * 256


@pytest.fixture(params=[TileFolder])
def open_tiles(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Tiles]:
    """Opens the same place again and again."""
    return lambda: request.param(tmp_path / "log")


@pytest.fixture
def tiles(open_tiles: Callable[[], Tiles]) -> Tiles:
    return open_tiles()


def test_what_is_written_is_there_for_others(tiles: Tiles, open_tiles: Callable[[], Tiles]) -> None:
    tile = Tile(0, 0, 3)
    assert not tiles.has(tile_path(tile))
    tiles.write_all([(tile_path(tile), HASHES[:96]), ("keys/0", b"statement")])
    assert open_tiles().has(tile_path(tile))
    assert open_tiles().read_hashes(tile) == (HASHES[:32],) * 3


def test_a_tile_never_changes(tiles: Tiles) -> None:
    path = tile_path(Tile(0, 0, 3))
    tiles.write_all([(path, HASHES[:96])])
    tiles.write_all([(path, HASHES[:96])])  # a repeat after a crash
    with pytest.raises(LedgerHalted):
        tiles.write_all([(path, bytes(96))])
    assert tiles.read_hashes(Tile(0, 0, 3)) == (HASHES[:32],) * 3


def test_a_full_tile_takes_the_place_of_its_parts(tiles: Tiles) -> None:
    part, full = Tile(0, 0, 5), Tile(0, 0)
    tiles.write_all([(tile_path(part), HASHES[:160])])
    tiles.write_all([(tile_path(full), HASHES)])
    tiles.drop_partials(full)
    tiles.drop_partials(full)
    assert not tiles.has(tile_path(part))
    assert tiles.read_hashes(part) == (HASHES[:32],) * 5


def test_what_is_missing_or_short_is_told(tiles: Tiles) -> None:
    with pytest.raises(StorageError, match="missing"):
        tiles.read_hashes(Tile(0, 7))
    tiles.write_all([(tile_path(Tile(0, 1, 4)), HASHES[:100])])
    with pytest.raises(Malformed):
        tiles.read_hashes(Tile(0, 1, 4))


def test_a_tree_below_is_a_place_of_its_own(tiles: Tiles) -> None:
    tiles.write_checkpoint(b"one\n")
    below = tiles.sub_log("sm3")
    assert below.read_checkpoint() is None
    below.write_checkpoint(b"two\n")
    assert (tiles.read_checkpoint(), below.read_checkpoint()) == (b"one\n", b"two\n")


def test_a_reader_sees_the_one_checkpoint_or_the_other(tiles: Tiles, open_tiles: Callable[[], Tiles]) -> None:
    notes = [bytes([65 + number]) * 40_000 for number in range(2)]
    tiles.write_checkpoint(notes[0])
    stop = threading.Event()

    def replace() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            tiles.write_checkpoint(notes[number % 2])

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        reading = open_tiles()
        seen = {reading.read_checkpoint() for _ in range(3000)}
    finally:
        stop.set()
        writer.join()
    assert seen <= set(notes)


def test_one_has_the_turn(open_tiles: Callable[[], Tiles]) -> None:
    inside: list[int] = []
    most: list[int] = []

    def publish(number: int) -> None:
        for _ in range(20):
            with open_tiles().turn():
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.001)
                inside.remove(number)

    hands = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert (max(most), len(most)) == (1, 80)


def test_the_turn_of_a_killed_process_is_free(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from ledger.tilefolder import TileFolder\n"
        "with TileFolder(Path(sys.argv[1])).turn():\n"
        "    print('mine', flush=True)\n"
        "    time.sleep(600)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"mine\n"
    got = threading.Event()

    def take() -> None:
        with TileFolder(tmp_path).turn():
            got.set()

    taker = threading.Thread(target=take)
    taker.start()
    assert not got.wait(0.3), "the other one has it"
    child.send_signal(signal.SIGKILL)
    child.communicate()
    taker.join(timeout=60)
    assert got.is_set()
