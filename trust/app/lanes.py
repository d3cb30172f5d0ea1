"""Three queues in front of the sandbox: the public's, the counters' and the machines'.

Whoever sends much waits behind his own kind. Each lane has readers of its own (`Sandboxes`), threads of its own and
a short queue; what does not fit is told at once when to come back, before its body is read. The public's readers run
with less of the processor than anything else, and one client has a few places only, so that a flood from one address
leaves room for the next visitor.

    public    no key and no session                 few readers, many visitors
    counter   the desk: somebody is standing there  readers that nobody else can take
    machine   API keys, and our own jobs
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from trust.model.errors import Busy, RequestError
from trust.sandbox import Sandbox

T = TypeVar("T")
_UPLOAD_AGAIN = 5


class Lane(StrEnum):
    PUBLIC = "public"
    COUNTER = "counter"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class LaneSize:
    """How much of everything at once. `per_client` counts what one address has inside; None: not counted."""

    readers: int
    waiting: int
    uploads: int
    codes: int
    per_client: int | None = None
    niceness: int = 0


SIZES: Mapping[Lane, LaneSize] = {
    Lane.PUBLIC: LaneSize(readers=1, waiting=12, uploads=48, codes=8, per_client=6, niceness=15),
    Lane.COUNTER: LaneSize(readers=2, waiting=48, uploads=64, codes=16),
    Lane.MACHINE: LaneSize(readers=2, waiting=32, uploads=64, codes=16, niceness=5),
}


class TooManyAtOnce(RequestError):
    """One client has more under way than it may have."""

    code = "TOO_MANY_AT_ONCE"


@dataclass(frozen=True, slots=True)
class Sandboxes:
    """The readers of each lane, and those that draw pages: who draws has never read an unchecked file."""

    of: Mapping[Lane, Sandbox]
    drawing: Sandbox


class Lanes:
    """One for the whole app, used on its event loop only."""

    def __init__(self, sizes: Mapping[Lane, LaneSize] = SIZES) -> None:
        self._lanes = {lane: _Lane(size) for lane, size in sizes.items()}

    @contextlib.contextmanager
    def admitted(self, lane: Lane, client: str | None) -> Iterator[None]:
        """Around a whole request, before its body is read. `client` is its address.

        Raises `Busy`, and `TooManyAtOnce` where one client has too much under way.
        """
        with self._lanes[lane].admitted(_network(client)):
            yield

    def check_room(self, lane: Lane) -> None:
        """Raises `Busy` if no more file would be taken in."""
        self._lanes[lane].check_room()

    async def read(self, lane: Lane, work: Callable[[], T]) -> T:
        """Runs what waits for a reader, in a thread. Raises `Busy`."""
        return await self._lanes[lane].files.run(work)

    async def decode(self, lane: Lane, work: Callable[[], T]) -> T:
        """Runs what needs no reader: the text of a code. Raises `Busy`."""
        return await self._lanes[lane].codes.run(work)

    def gauges(self) -> dict[str, float]:
        return {
            f'ecert_lane_inside{{lane="{name}",queue="{queue}"}}': float(inside)
            for name, lane in self._lanes.items()
            for queue, inside in (
                ("uploads", lane.uploads),
                ("files", lane.files.inside),
                ("codes", lane.codes.inside),
            )
        }


class _Lane:
    def __init__(self, size: LaneSize) -> None:
        self.files = _Queue(size.readers, size.waiting)
        self.codes = _Queue(size.codes, 4 * size.codes)
        self.uploads = 0
        self._size = size
        self._clients: Counter[str] = Counter()

    @contextlib.contextmanager
    def admitted(self, client: str | None) -> Iterator[None]:
        most = self._size.per_client
        if client is not None and most is not None and self._clients[client] >= most:
            raise TooManyAtOnce(
                "More is under way from this address than it may have.", "Wait for an answer first."
            )
        self.check_room()
        self.uploads += 1
        if client is not None:
            self._clients[client] += 1
        try:
            yield
        finally:
            self.uploads -= 1
            if client is not None:
                self._clients[client] -= 1
                if not self._clients[client]:
                    del self._clients[client]  # or the table would grow with every visitor

    def check_room(self) -> None:
        if self.uploads >= self._size.uploads:
            raise Busy("Too many files are on their way.", "Try again shortly.", retry_after=_UPLOAD_AGAIN)
        self.files.check_room()


class _Queue:
    """Work in threads: `threads` at once, `waiting` behind them, and no more."""

    def __init__(self, threads: int, waiting: int) -> None:
        self.inside = 0
        self._threads = threads
        self._most = threads + waiting
        self._limiter = CapacityLimiter(threads)
        self._seconds = 0.2  # of one job: a running mean

    def check_room(self) -> None:
        if self.inside >= self._most:
            wait = self._seconds * self.inside / self._threads
            raise Busy(
                "All readers are at work.", "Try again shortly.", retry_after=min(30, max(1, round(wait)))
            )

    async def run(self, work: Callable[[], T]) -> T:
        self.check_room()
        self.inside += 1
        try:
            return await to_thread.run_sync(lambda: self._timed(work), limiter=self._limiter)
        finally:
            self.inside -= 1

    def _timed(self, work: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return work()
        finally:
            self._seconds += (time.monotonic() - started - self._seconds) / 8


def _network(client: str | None) -> str | None:
    """One visitor: an IPv4 address, or the /64 of an IPv6 address, of which anyone has as many as he likes.

    None, and not counted: this machine itself, which is a proxy that does not say for whom it asks.
    """
    try:
        address = ipaddress.ip_address(client or "")
    except ValueError:
        return None
    if address.is_loopback:
        return None
    return client if address.version == 4 else str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
