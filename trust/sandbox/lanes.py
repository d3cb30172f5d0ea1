"""The three classes of clients, and how much of everything each may have at once.

    public    no key and no session                 few readers, many visitors
    counter   the desk: somebody is standing there  readers that nobody else can take
    machine   API keys, and our own jobs

`trust.web.lanes` keeps the queues in front of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from trust.sandbox.workers import Limits, Sandbox


class Lane(StrEnum):
    PUBLIC = "public"
    COUNTER = "counter"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class LaneSize:
    """How much of everything at once: requests that bring a file (`uploads`, and `held_bytes` of what they announce),
    those of them that wait for one of the `readers`, and codes that are looked up.

    `per_client` is how many requests one address may have inside, `crowded` the same once the lane is half full; None:
    addresses are not told apart.
    """

    readers: int
    waiting: int
    uploads: int
    codes: int
    per_client: int | None = None
    crowded: int = 6
    held_bytes: int = 1 << 30
    niceness: int = 0
    limits: Limits = field(default_factory=Limits)


SIZES: Mapping[Lane, LaneSize] = {
    Lane.PUBLIC: LaneSize(
        readers=5,
        waiting=123,
        uploads=128,
        codes=8,
        per_client=60,
        held_bytes=512 << 20,
        niceness=19,
        # Five readers on two processors: four seconds of one are ten on the clock.
        limits=Limits(wall_seconds=15, cpu_seconds=4),
    ),
    Lane.COUNTER: LaneSize(readers=2, waiting=48, uploads=64, codes=16),
    Lane.MACHINE: LaneSize(readers=2, waiting=32, uploads=64, codes=16, niceness=5),
}


@dataclass(frozen=True, slots=True)
class Sandboxes:
    """The readers of each lane, and those that draw pages: who draws has never read an unchecked file."""

    of: Mapping[Lane, Sandbox]
    drawing: Sandbox
