"""Three queues in front of the sandbox: the public's, the counters' and the machines'.

A busy client queues behind clients of its own class. Each lane has its own readers (`Sandboxes`), threads and queue; a
request that does not fit is refused before its body is read, with a time to come back. The public's readers have the
lowest priority, and give up on a file sooner.

    public    no key and no session               few readers, many visitors
    counter   the desk, where a person waits      readers reserved for counters
    machine   API keys, and our own jobs

In the public lane addresses take turns. The next free reader goes to the address that uses the fewest readers; an
address gets a second reader only if two others stay free. So with five readers, three addresses that send the worst
files leave one for the next visitor. Visitors behind one address queue, and are refused only if the lane is half full
and their address has more than a few requests in it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextvars import ContextVar
from typing import TypeVar

from anyio import CapacityLimiter, Event, to_thread

from trust.model.errors import Busy, RequestError
from trust.sandbox.lanes import SIZES, Lane, LaneSize

T = TypeVar("T")


_UPLOAD_AGAIN = 5


_asking: ContextVar[Hashable | None] = ContextVar("client", default=None)
"""The client of the request that this task serves; set within `Lanes.admitted`."""


class TooManyAtOnce(RequestError):
    """One client has more requests in progress than it may have."""

    code = "TOO_MANY_AT_ONCE"


class Lanes:
    """The queues of all lanes. One for the whole app, used on its event loop only."""

    def __init__(self, sizes: Mapping[Lane, LaneSize] = SIZES) -> None:
        self._lanes = {lane: _Lane(size) for lane, size in sizes.items()}

    @contextlib.contextmanager
    def admitted(self, lane: Lane, client: str | None, announced: int = 0) -> Iterator[None]:
        """Wraps a whole request, before its body is read. `client` is its address, `announced` its length in bytes.

        Raises `Busy`, and `TooManyAtOnce` if the client has too many requests in progress.
        """
        network = network_of(client)
        with self._lanes[lane].admitted(network, announced):
            token = _asking.set(network)
            try:
                yield
            finally:
                _asking.reset(token)

    def check_room(self, lane: Lane) -> None:
        """Raises `Busy` if no further file would be accepted."""
        self._lanes[lane].check_room()

    async def read(self, lane: Lane, work: Callable[[], T]) -> T:
        """Runs work that needs a reader, in a thread. Raises `Busy`."""
        return await self._lanes[lane].files.run(work, _asking.get())

    async def decode(self, lane: Lane, work: Callable[[], T]) -> T:
        """Runs work that needs no reader, such as a code's text, in a thread. Raises `Busy`."""
        return await self._lanes[lane].codes.run(work, _asking.get())

    def inside(self) -> dict[tuple[tuple[str, str], ...], float]:
        """How many requests are in each queue of each lane, at work or waiting."""
        return {
            (("lane", name), ("queue", queue)): float(inside)
            for name, lane in self._lanes.items()
            for queue, inside in (
                ("uploads", lane.uploads),
                ("files", lane.files.inside),
                ("codes", lane.codes.inside),
            )
        }


class _Lane:
    def __init__(self, size: LaneSize) -> None:
        takes_turns = size.per_client is not None
        self.files = _Queue(size.readers, size.waiting, takes_turns=takes_turns)
        self.codes = _Queue(size.codes, size.uploads, takes_turns=takes_turns)
        self.uploads = 0
        self._size = size
        self._bytes = 0
        self._clients: Counter[str] = Counter()

    @contextlib.contextmanager
    def admitted(self, client: str | None, announced: int) -> Iterator[None]:
        size = self._size
        is_crowded = self.uploads >= size.uploads // 2 or self._bytes >= size.held_bytes // 2
        is_counted = client is not None and size.per_client is not None
        if is_counted and self._clients[client or ""] >= (
            size.crowded if is_crowded else size.per_client or 0
        ):
            raise TooManyAtOnce(
                "More is under way from this address than it may have.", "Wait for an answer first."
            )
        self.check_room()
        if self._bytes + announced > size.held_bytes:
            raise Busy("Too many files are on their way.", "Try again shortly.", retry_after=_UPLOAD_AGAIN)
        self.uploads += 1
        self._bytes += announced
        if client is not None:
            self._clients[client] += 1
        try:
            yield
        finally:
            self.uploads -= 1
            self._bytes -= announced
            if client is not None:
                self._clients[client] -= 1
                if not self._clients[client]:
                    del self._clients[client]  # otherwise the table would grow with every visitor

    def check_room(self) -> None:
        if self.uploads >= self._size.uploads:
            raise Busy("Too many files are on their way.", "Try again shortly.", retry_after=_UPLOAD_AGAIN)
        self.files.check_room()


class _Queue:
    """Runs work in threads: at most `threads` at once and `waiting` behind them.

    If clients take turns, the next job is that of the client with the fewest running jobs, and among those of the
    client whose last job began first. Otherwise, and for uncounted clients, jobs run in the order of arrival.
    """

    def __init__(self, threads: int, waiting: int, *, takes_turns: bool = False) -> None:
        self.inside = 0
        self._threads = threads
        self._most = threads + waiting
        self._takes_turns = takes_turns
        self._limiter = CapacityLimiter(threads)
        self._seconds = 0.2  # running mean of the duration of a job
        self._running: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[Event]] = {}
        self._began: dict[Hashable, int] = {}
        self._turns = itertools.count(1)

    def check_room(self) -> None:
        if self.inside >= self._most:
            wait = self._seconds * self.inside / self._threads
            raise Busy(
                "All readers are at work.", "Try again shortly.", retry_after=min(30, max(1, round(wait)))
            )

    async def run(self, work: Callable[[], T], client: Hashable | None) -> T:
        self.check_room()
        # An uncounted request counts as a separate client.
        client = object() if client is None or not self._takes_turns else client
        self.inside += 1
        try:
            await self._turn(client)
            try:
                return await to_thread.run_sync(lambda: self._timed(work), limiter=self._limiter)
            finally:
                self._leave(client)
        finally:
            self.inside -= 1

    async def _turn(self, client: Hashable) -> None:
        turn = Event()
        self._waiting.setdefault(client, deque()).append(turn)
        self._call_next()
        try:
            await turn.wait()
        except BaseException:  # the client hung up, which frees its place
            if turn.is_set():
                self._leave(client)
            else:
                self._waiting[client].remove(turn)
                self._forget(client)
            raise

    def _call_next(self) -> None:
        while ready := [client for client in self._waiting if self._may_begin(client)]:
            client = min(ready, key=lambda each: (self._running[each], self._began.get(each, 0)))
            self._running[client] += 1
            self._began[client] = next(self._turns)
            self._waiting[client].popleft().set()
            if not self._waiting[client]:
                del self._waiting[client]

    def _may_begin(self, client: Hashable) -> bool:
        free = self._threads - self._running.total()
        return free > 2 * self._running[client]

    def _leave(self, client: Hashable) -> None:
        self._running[client] -= 1
        self._forget(client)
        self._call_next()

    def _forget(self, client: Hashable) -> None:
        if not self._waiting.get(client, True):
            del self._waiting[client]
        if not self._running[client]:
            del self._running[client]
            if client not in self._waiting:
                self._began.pop(client, None)

    def _timed(self, work: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return work()
        finally:
            self._seconds += (time.monotonic() - started - self._seconds) / 8


def network_of(client: str | None) -> str | None:
    """The network that counts as one visitor: an IPv4 address, or the /64 of an IPv6 address, because any visitor can
    use many addresses in a /64.

    None, which is not counted, for this machine itself: a proxy that does not forward the client's address.
    """
    try:
        address = ipaddress.ip_address(client or "")
    except ValueError:
        return None
    if address.is_loopback:
        return None
    return client if address.version == 4 else str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
