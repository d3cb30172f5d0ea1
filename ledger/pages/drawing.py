"""Positions of the lines and boxes in the ledger's drawings. The templates write them out as SVG.

The proof is drawn as a ladder: a row for each level of the tree with two boxes, left and right as in the tree. One of
the two is on the path from the leaf to the root, the other is the hash that the proof gives. So the drawing fits a
phone for any size of the log, and gets one row taller when the log doubles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ledger.growth import GrowthPoint
from trust.encoding import merkle

_WIDTH: Final = 280
_BOX: Final = (132, 60)
_ROW: Final = 88
_TICKS: Final = 4


@dataclass(frozen=True, slots=True)
class Node:
    """A box: `role` is leaf, given, computed or root; the hash is over the entries from `first` to `last`."""

    role: str
    first: int
    last: int
    hash: bytes
    x: int
    y: int

    @property
    def middle(self) -> int:
        return self.x + _BOX[0] // 2

    @property
    def bottom(self) -> int:
        return self.y + _BOX[1]


@dataclass(frozen=True, slots=True)
class Step:
    """A step from the leaf to the root: the hash computed so far and the one from the proof give `result`."""

    given: Node
    result: Node
    is_given_left: bool


@dataclass(frozen=True, slots=True)
class ProofDrawing:
    """The path from `leaf` to `root`, drawn in a frame of `width` and `height`."""

    leaf: Node
    steps: tuple[Step, ...]
    root: bytes
    width: int
    height: int

    @property
    def nodes(self) -> list[Node]:
        return [self.leaf, *(each for step in self.steps for each in (step.given, step.result))]

    @property
    def edges(self) -> list[tuple[Node, Node]]:
        """The edges, each from a parent to a child."""
        below = [self.leaf, *(step.result for step in self.steps)]
        return [
            (step.result, child)
            for step, on_path in zip(self.steps, below, strict=False)
            for child in (on_path, step.given)
        ]


def draw_proof(leaf: bytes, *, index: int, size: int, hashes: Sequence[bytes]) -> ProofDrawing:
    """Computes every node of the proof and its position. Does not check the root."""
    ranges = merkle.inclusion_ranges(index, size)
    count = len(ranges)
    sides = [end <= index for _, end in ranges]  # True if the given hash is on the left
    first, end, computed = index, index + 1, leaf
    drawn = _on_path("root" if not count else "leaf", first, end, leaf, 0, count, sides)
    leaf_node, steps = drawn, []
    for level, ((start, stop), given, is_left) in enumerate(zip(ranges, hashes, sides, strict=True)):
        x = 4 if is_left else _WIDTH - 4 - _BOX[0]
        given_node = Node("given", start, stop - 1, given, x, drawn.y)
        computed = merkle.node_hash(given, computed) if is_left else merkle.node_hash(computed, given)
        first, end = (start, end) if is_left else (first, stop)
        role = "root" if level + 1 == count else "computed"
        drawn = _on_path(role, first, end, computed, level + 1, count, sides)
        steps.append(Step(given_node, drawn, is_left))
    height = 2 + count * _ROW + _BOX[1] + 2
    return ProofDrawing(leaf_node, tuple(steps), computed, _WIDTH, height)


def _on_path(
    role: str, first: int, end: int, hash_: bytes, level: int, count: int, sides: list[bool]
) -> Node:
    """The node of the path at `level` above the leaf; the root is in the middle at the top."""
    if level == count:
        x = (_WIDTH - _BOX[0]) // 2
    else:
        x = _WIDTH - 4 - _BOX[0] if sides[level] else 4
    return Node(role, first, end - 1, hash_, x, 2 + (count - level) * _ROW)


@dataclass(frozen=True, slots=True)
class Growth:
    """A plot in a frame of 100 by 100: the curve, the labels of the grid lines, and the values as a table."""

    line: str
    ticks: tuple[int, ...]
    rows: tuple[tuple[datetime, int], ...]

    @property
    def area(self) -> str:
        return f"M0 100L{self.line[1:]}L100 100z"


def draw_growth(points: Sequence[GrowthPoint]) -> Growth:
    """The plot of one or more points."""
    step = _tick(points[-1].size)
    top = step * _TICKS
    begins, ends = points[0].at_ms, points[-1].at_ms
    places = [
        (100 * (each.at_ms - begins) / max(1, ends - begins), 100 - 100 * each.size / top) for each in points
    ]
    if len(places) == 1:
        places.append((100, places[0][1]))
    line = "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in places)
    rows = tuple((datetime.fromtimestamp(each.at_ms / 1000, UTC), each.size) for each in points)
    return Growth(line, tuple(step * number for number in range(_TICKS, -1, -1)), rows)


def _tick(largest: int) -> int:
    """A round step such that four steps reach `largest`."""
    power = 1
    while True:
        for digit in (1, 2, 3, 4, 5, 6, 8):
            if digit * power * _TICKS >= largest:
                return digit * power
        power *= 10
