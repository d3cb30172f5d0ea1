"""Limits on connections before a request is complete, and strict reading of request heads.

A client that sends nothing, or a byte now and then, occupies a descriptor. So a head must be complete `HEAD_SECONDS`
after its first byte, a body after `BODY_SECONDS`, and a connection is closed when its client reads less than 64 KiB of
an answer in `ANSWER_SECONDS`. The number of connections is limited by the free descriptors of the process. When they
are used up, the address with the most connections loses the one that has waited longest for its client. A connection
whose request is being processed is never closed.

Heads are read strictly by RFC 9112, because if a proxy in front reads a head differently from the server, two requests
can pass for one. Lines must end in CR LF, fields must not be folded, and Content-Length and Transfer-Encoding must not
both be present.
"""

from __future__ import annotations

import asyncio
import re
import resource
import time
from collections import Counter
from typing import Any

import h11

from trust.web.ending import PatientProtocol
from trust.web.lanes import network_of

HEAD_SECONDS = 10.0
BODY_SECONDS = 75.0
"""The application answers 408 after a minute; this limit is for clients that go on sending after that."""
ANSWER_SECONDS = 60.0
_TAKEN_AT_LEAST = 64 * 1024
"""Bytes of an answer that a client must read within `ANSWER_SECONDS`."""
MAX_HEAD_BYTES, MAX_FIELDS = 32 * 1024, 100
_LOOK_EVERY = 1.0
_KEPT_DESCRIPTORS = 160
"""Descriptors reserved for databases, workers and the ledger's files."""
_MOST, _FEWEST = 4000, 24
_NEITHER_CR_NOR_LF = re.compile(rb"(?<!\r)\n|\r(?!\n)|\n[ \t]")
_FRAMING = re.compile(rb"\r\n(transfer-encoding|content-length)[ \t]*:", re.IGNORECASE)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
)


def raise_descriptor_limit() -> None:
    """Raises the limit of open files as far as the system allows and this process can use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * _MOST + _KEPT_DESCRIPTORS
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def most_connections() -> int:
    """The limit of connections: each needs one descriptor, and one for an uploaded file."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        _MOST if soft == resource.RLIM_INFINITY else max(_FEWEST, min(_MOST, (soft - _KEPT_DESCRIPTORS) // 2))
    )


class StrictConnection(h11.Connection):
    """A connection that refuses heads which h11 would accept; see the module."""

    def next_event(self) -> Any:
        if self.their_state is h11.IDLE:
            check_head(self.trailing_data[0])
        return super().next_event()


def check_head(received: bytes) -> None:
    """Raises `h11.RemoteProtocolError` if the beginning of a request is malformed."""
    end = received.find(b"\r\n\r\n")
    head = received[: end + 2] if end >= 0 else received[: MAX_HEAD_BYTES + 1]
    if end < 0 and head.endswith(b"\r"):
        head = head[:-1]  # its LF may not have arrived yet
    if len(head) > MAX_HEAD_BYTES or head.count(b"\n") > MAX_FIELDS + 1:
        raise h11.RemoteProtocolError("The head of the request is too long.", error_status_hint=431)
    if _NEITHER_CR_NOR_LF.search(head):
        raise h11.RemoteProtocolError("The head of the request is not in its form.")
    if len({name.lower() for name in _FRAMING.findall(head)}) > 1:
        raise h11.RemoteProtocolError("The request has two lengths.")


class GuardedProtocol(PatientProtocol):
    """The protocol of one connection; uvicorn makes the instances."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.conn = StrictConnection(h11.SERVER, MAX_HEAD_BYTES)
        self.since = time.monotonic()
        self._phase = "head"
        self._left = 0
        self.network: str | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.network = network_of(self.client[0]) or self.client[0] if self.client else None
        if not _open_connections.has_room_for(self):
            transport.write(_FULL)
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        _open_connections.discard(self)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self.look()

    def look(self) -> None:
        """Records what the connection waits for, and since when."""
        left = self.transport.get_write_buffer_size()
        if left and (self.flow.write_paused or self.transport.is_closing()):
            phase = "answer"
        elif self.transport.is_closing():
            phase = "closing"
        elif self.conn.their_state is h11.IDLE:
            # Between two requests uvicorn closes an idle connection by itself.
            phase = "head" if self.cycle is None or self.conn.trailing_data[0] else "between"
        elif self.conn.their_state is h11.SEND_BODY:
            phase = "body"
        else:
            phase = "answering"
        is_taken = phase == "answer" and left + _TAKEN_AT_LEAST <= self._left
        if phase != self._phase or is_taken:
            self._phase, self.since, self._left = phase, time.monotonic(), left

    @property
    def waits_for_client(self) -> bool:
        return self._phase != "answering"

    def is_overdue(self, at: float) -> bool:
        self.look()
        limits = {
            "head": HEAD_SECONDS,
            "between": HEAD_SECONDS,
            "body": BODY_SECONDS,
            "answer": ANSWER_SECONDS,
            "closing": HEAD_SECONDS,
        }
        return self._phase in limits and at - self.since > limits[self._phase]


class _OpenConnections:
    """All open connections of this process."""

    def __init__(self) -> None:
        self._open: set[GuardedProtocol] = set()
        self._looking: asyncio.AbstractEventLoop | None = None

    def has_room_for(self, new: GuardedProtocol) -> bool:
        """Accepts a new connection, closing another if there are too many. False if no address that has at least as
        many connections as that of `new` has one that waits for its client."""
        if self._looking is not new.loop:  # a process has one loop; tests use several, one after another
            self._open = {each for each in self._open if not each.loop.is_closed()}
            self._looking = new.loop
            new.loop.call_later(_LOOK_EVERY, self._look, new.loop)
        if len(self._open) >= most_connections() and not self._make_room(new):
            return False
        self._open.add(new)
        return True

    def discard(self, gone: GuardedProtocol) -> None:
        self._open.discard(gone)

    def _make_room(self, new: GuardedProtocol) -> bool:
        held = Counter(each.network for each in self._open)
        held[new.network] += 1
        waiting = [
            each for each in self._open if each.waits_for_client and held[each.network] >= held[new.network]
        ]
        if not waiting:
            return False
        given_back = min(waiting, key=lambda each: (-held[each.network], each.since))
        given_back.transport.abort()
        self._open.discard(given_back)
        return True

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        at = time.monotonic()
        for each in [each for each in self._open if each.is_overdue(at)]:
            each.transport.abort()
        loop.call_later(_LOOK_EVERY, self._look, loop)


_open_connections = _OpenConnections()
