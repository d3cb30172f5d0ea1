"""The three lanes, one for each class of clients, and their limits.

    public    no key and no session               few readers, many visitors
    counter   the desk, where a person waits      readers reserved for counters
    machine   API keys, and our own jobs

`trust.web.lanes` has the queues in front of them.
"""

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
    """The limits of a lane at any moment: requests with a file (`uploads`, and `held_bytes` for the sizes they
    announce), those of them that wait for one of the `readers`, and lookups of codes.

    `per_client` is the number of requests that one address may have in the lane, `crowded` the same once the lane is
    half full; None: addresses are not distinguished.
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
        # Five readers share two processors, so four seconds of processor time are ten on the clock.
        limits=Limits(wall_seconds=15, cpu_seconds=4),
    ),
    Lane.COUNTER: LaneSize(readers=2, waiting=48, uploads=64, codes=16),
    Lane.MACHINE: LaneSize(readers=2, waiting=32, uploads=64, codes=16, niceness=5),
}


@dataclass(frozen=True, slots=True)
class Sandboxes:
    """The readers of each lane, and the workers that draw pages, which never read an unchecked file."""

    of: Mapping[Lane, Sandbox]
    drawing: Sandbox
