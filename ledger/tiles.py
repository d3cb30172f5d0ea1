"""The tree and the entries as static files (C2SP tlog-tiles v0.1.0).

    tile/<L>/<N>[.p/<W>]          256 hashes of 32 bytes (W on a partial tile)
    tile/entries/<N>[.p/<W>]      the entries under tile/0/<N>, each as u16 length || bytes

Hash i of tile (L, N) is the root of the perfect subtree over the 256^L leaves from (N*256 + i) * 256^L.
Only full tiles are hashed upward. N is written in groups of three digits, all but the last with an "x"
before it: 1234067 is x001/x234/067. A full tile never changes. A partial one belongs to the tree sizes
that end in it and may go once the full tile is there, so a reader who misses one asks for the full one.

Example: a tree of 70,000 leaves has 273 full tiles and tile/0/273.p/112, one full tile and tile/1/001.p/17,
and tile/2/000.p/1.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from trust.encoding import merkle
from trust.encoding.merkle import HASH_SIZE, CompactRange, Range
from trust.model.errors import Malformed

TILE_WIDTH: Final = 256
_TILE_BITS: Final = 8
_MAX_LEVEL: Final = 63
_CACHED_TILES: Final = 1024  # of 16 KiB each


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """Position and width of a tile of hashes and, if `level` is 0, of its bundle of entries."""

    level: int
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if not (0 <= self.level <= _MAX_LEVEL and self.index >= 0 and 1 <= self.width <= TILE_WIDTH):
            raise ValueError(f"no tile has level {self.level}, index {self.index}, width {self.width}")

    @property
    def is_full(self) -> bool:
        return self.width == TILE_WIDTH

    @property
    def start(self) -> int:
        """Number of its first hash within the level."""
        return self.index * TILE_WIDTH


def tile_path(tile: Tile) -> str:
    return f"tile/{tile.level}/{_number_path(tile)}"


def entries_path(tile: Tile) -> str:
    """Path of the bundle that belongs to a tile of level 0."""
    if tile.level != 0:
        raise ValueError(f"entries belong to tiles of level 0, not {tile.level}")
    return f"tile/entries/{_number_path(tile)}"


def tile_of_leaf(seq: int, *, size: int) -> Tile:
    """The tile of level 0 that holds leaf `seq` in a tree of `size`."""
    if not 0 <= seq < size:
        raise ValueError(f"leaf {seq} is not in a tree of size {size}")
    index = seq // TILE_WIDTH
    return Tile(0, index, min(TILE_WIDTH, size - index * TILE_WIDTH))


def tiles_of_size(size: int) -> Iterator[Tile]:
    """Every tile of a tree of `size`, level by level, from the left."""
    return tiles_of_growth(0, size)


def tiles_of_growth(old_size: int, size: int) -> Iterator[Tile]:
    """The tiles that a tree of `size` has and one of `old_size` has not, level by level, from the left."""
    level = 0
    while size >> (level * _TILE_BITS):
        old_count, count = old_size >> (level * _TILE_BITS), size >> (level * _TILE_BITS)
        if count > old_count:
            for index in range(old_count // TILE_WIDTH, (count + TILE_WIDTH - 1) // TILE_WIDTH):
                yield Tile(level, index, min(TILE_WIDTH, count - index * TILE_WIDTH))
        level += 1


def encode_hashes(hashes: Sequence[bytes]) -> bytes:
    return b"".join(hashes)


def decode_hashes(data: bytes, *, width: int) -> tuple[bytes, ...]:
    """The hashes of a tile file. Raises `Malformed` unless there are exactly `width`."""
    if len(data) != width * HASH_SIZE:
        raise Malformed(f"A tile of {len(data)} bytes; {width} hashes have {width * HASH_SIZE}.")
    return tuple(data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE))


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """The file of a bundle. Raises `Malformed` if an entry is too long to be written."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > 0xFFFF:
            raise Malformed(f"An entry of {len(entry)} bytes does not fit into a bundle.")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def decode_bundle(data: bytes, *, width: int) -> tuple[bytes, ...]:
    """The entries of a bundle file. Raises `Malformed` unless there are exactly `width`."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise Malformed("A bundle ends within an entry.")
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != width:
        raise Malformed(f"A bundle of {len(entries)} entries where {width} are expected.")
    return tuple(entries)


class TileReader:
    """Makes proofs from tiles, for any tree size that has been written. Any number of threads may ask.

    `read` returns the hashes in a tile's file, exactly `width` of them, or raises. The inner nodes of recently read
    tiles are cached, so that a proof from cached tiles computes only the hashes of the right edge.
    """

    def __init__(self, read: Callable[[Tile], Sequence[bytes]], *, algorithm: str = "sha256") -> None:
        self._read = read
        self._algorithm = algorithm
        self._kept: OrderedDict[tuple[int, int, int], _Pyramid] = OrderedDict()
        self._keeping = threading.Lock()

    def prove_inclusion(self, index: int, *, size: int) -> list[bytes]:
        return self._roots(merkle.inclusion_ranges(index, size), size)

    def prove_consistency(self, *, old_size: int, size: int) -> list[bytes]:
        return self._roots(merkle.consistency_ranges(old_size, size), size)

    def compact_range(self, old_size: int, *, size: int) -> CompactRange:
        """The tree as it was at `old_size`, from the tiles of `size`; it gives the root, and entries can be added to
        it."""
        hashes = [self._perfect(start, end, size) for start, end in merkle.perfect_ranges(0, old_size)]
        return CompactRange(old_size, hashes, algorithm=self._algorithm)

    def full_tile_root(self, tile: Tile) -> bytes:
        """The root of a full tile, which is its hash in the level above."""
        return self._pyramid(tile.level, tile.index, tile.width).node(_TILE_BITS, 0)

    def forget(self, tile: Tile) -> None:
        """Drops the tile from the cache, so that its file is read again."""
        with self._keeping:
            self._kept.pop((tile.level, tile.index, tile.width), None)

    def _roots(self, ranges: Sequence[Range], size: int) -> list[bytes]:
        return [self._root(start, end, size) for start, end in ranges]

    def _root(self, start: int, end: int, size: int) -> bytes:
        width = end - start
        if width & (width - 1) == 0:
            return self._perfect(start, end, size)
        hashes = [self._perfect(*each, size) for each in merkle.perfect_ranges(start, end)]
        return CompactRange(width, hashes, algorithm=self._algorithm).root()

    def _perfect(self, start: int, end: int, size: int) -> bytes:
        """The root of a perfect subtree, which is an inner node of the tile that covers this level of the tree."""
        height = (end - start).bit_length() - 1
        # A root of height 8, 16, … could be computed from the tile below, but is read from where it is stored.
        level = height // _TILE_BITS
        number = start >> height  # of the subtree among those of its height
        height_in_tile = height - level * _TILE_BITS
        index = number >> (_TILE_BITS - height_in_tile)
        width = min(TILE_WIDTH, (size >> (level * _TILE_BITS)) - index * TILE_WIDTH)
        pyramid = self._kept.get((level, index, width)) or self._pyramid(level, index, width)
        return pyramid.node(height_in_tile, number - (index << (_TILE_BITS - height_in_tile)))

    def _pyramid(self, level: int, index: int, width: int) -> _Pyramid:
        key = (level, index, width)
        with self._keeping:
            found = self._kept.get(key)
        if found is None:
            found = _Pyramid(self._read(Tile(level, index, width)), self._algorithm)
            with self._keeping:
                self._kept[key] = found
                # Evict in the order of reading. A tile still in use costs one more read; moving tiles to the
                # end at every use would cost more, and would need the lock.
                if len(self._kept) > _CACHED_TILES:
                    self._kept.popitem(last=False)
        return found


class _Pyramid:
    """The inner nodes of one tile, row by row; a node without a right neighbour has no parent yet."""

    __slots__ = ("_rows",)

    def __init__(self, hashes: Sequence[bytes], algorithm: str) -> None:
        row = list(hashes)
        self._rows = [b"".join(row)]
        while len(row) > 1:
            row = [
                merkle.node_hash(left, right, algorithm=algorithm)
                for left, right in zip(row[::2], row[1::2], strict=False)
            ]
            self._rows.append(b"".join(row))

    def node(self, height: int, number: int) -> bytes:
        at = number * HASH_SIZE
        return self._rows[height][at : at + HASH_SIZE]


def _number_path(tile: Tile) -> str:
    digits = str(tile.index)
    digits = digits.zfill((len(digits) + 2) // 3 * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return path if tile.is_full else f"{path}.p/{tile.width}"
