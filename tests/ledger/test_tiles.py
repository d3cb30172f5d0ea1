"""Paths, bundles and proofs of tiles, against the C2SP examples and the plain tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.tiles import (
    Tile,
    TileReader,
    decode_bundle,
    decode_hashes,
    encode_bundle,
    encode_hashes,
    entries_path,
    tile_of_leaf,
    tile_path,
    tiles_of_growth,
    tiles_of_size,
)
from trust.encoding import merkle
from trust.model.errors import Malformed


# transparency-dev/tessera api/layout/paths_test.go @1811ae1 and C2SP tlog-tiles.md
@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 0, 255), "tile/0/000.p/255"),
        (Tile(1, 0), "tile/1/000"),
        (Tile(15, 455667), "tile/15/x455/667"),
        (Tile(15, 123456789, 41), "tile/15/x123/x456/789.p/41"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(0, 1000), "tile/0/x001/000"),
    ],
)
def test_a_tile_has_its_path(tile: Tile, path: str) -> None:
    assert tile_path(tile) == path


@pytest.mark.parametrize(
    ("seq", "size", "path"),
    [
        (0, 256, "tile/entries/000"),
        (255, 256, "tile/entries/000"),
        (251, 255, "tile/entries/000.p/255"),
        (256, 512, "tile/entries/001"),
        (3, 257, "tile/entries/000"),
        (256, 257, "tile/entries/001.p/1"),
        (31604937984, 31604938240, "tile/entries/x123/x456/789"),
    ],
)
def test_an_entry_is_in_its_bundle(seq: int, size: int, path: str) -> None:
    assert entries_path(tile_of_leaf(seq, size=size)) == path


@pytest.mark.parametrize(
    ("size", "levels"),
    [(70_000, [(273, 112), (1, 17), (0, 1)]), (256, [(1, 0), (0, 1)]), (255, [(0, 255)]), (0, [])],
)
def test_a_size_has_its_tiles(size: int, levels: list[tuple[int, int]]) -> None:
    found = list(tiles_of_size(size))
    full = Counter(tile.level for tile in found if tile.is_full)
    partial = {tile.level: tile.width for tile in found if not tile.is_full}
    assert [(full[level], partial.get(level, 0)) for level in range(len(levels))] == levels
    assert sum(full.values()) + len(partial) == len(found)


@given(st.integers(0, 70_000), st.integers(0, 70_000))
@settings(max_examples=50, deadline=None)
def test_growth_writes_what_is_new_and_only_that(first: int, second: int) -> None:
    old, new = sorted((first, second))
    assert set(tiles_of_growth(old, new)) == set(tiles_of_size(new)) - set(tiles_of_size(old))


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_comes_back_as_it_was(entries: list[bytes]) -> None:
    data = encode_bundle(entries)
    assert list(decode_bundle(data, width=len(entries))) == entries
    for wrong, width in ((data + b"\0", len(entries)), (data, len(entries) + 1), (data[:-1], len(entries))):
        if wrong != data or width != len(entries):
            with pytest.raises(Malformed):
                decode_bundle(wrong, width=width)


def test_an_entry_too_long_for_a_bundle_is_refused() -> None:
    assert len(encode_bundle([bytes(65_535)])) == 65_537
    with pytest.raises(Malformed):
        encode_bundle([bytes(65_536)])


@pytest.mark.parametrize("size", [0, 31, 33, 63, 65])
def test_a_tile_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(Malformed):
        decode_hashes(bytes(size), width=2)
    assert decode_hashes(encode_hashes([b"a" * 32, b"b" * 32]), width=2) == (b"a" * 32, b"b" * 32)


@pytest.mark.parametrize("args", [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)], ids=str)
def test_a_tile_that_cannot_be_does_not_exist(args: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="no tile"):
        Tile(*args)


LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(66_200)]
_levels: list[Sequence[bytes]] = [LEAVES]
for _ in range(2):
    _below = _levels[-1]
    _levels.append([merkle.root(_below[at : at + 256]) for at in range(0, len(_below) // 256 * 256, 256)])


def read(tile: Tile) -> Sequence[bytes]:
    found = _levels[tile.level][tile.start : tile.start + tile.width]
    assert len(found) == tile.width
    return found


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 513, 65_535, 65_536, 65_537, 66_200])
def test_proofs_from_tiles_hold_and_are_those_of_the_plain_tree(size: int) -> None:
    reader = TileReader(read)
    root = merkle.root(LEAVES[:size])
    assert reader.compact_range(size, size=size).root() == root
    for index in {0, size // 3, size // 2, size - 2, size - 1} - {-1}:
        proof = reader.prove_inclusion(index, size=size)
        merkle.check_inclusion(LEAVES[index], index=index, size=size, proof=proof, root=root)
        if size < 1000:
            assert proof == merkle.prove_inclusion(index, LEAVES[:size])
    for old in {1, 2, 255, 256, 257, size // 2, size - 1, size} & set(range(1, size + 1)):
        proof = reader.prove_consistency(old_size=old, size=size)
        old_root = merkle.root(LEAVES[:old])
        merkle.check_consistency(size1=old, root1=old_root, size2=size, root2=root, proof=proof)
        assert reader.compact_range(old, size=size).root() == old_root
