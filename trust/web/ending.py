"""Ending connections when the service, or one of several workers, is told to stop.

A connection that looks idle, because it was just accepted or is kept open between two requests, may have a request on
its way. Closing it at once, as the server would, loses that request: the client sees a reset and cannot know whether it
was carried out. So such a connection stays open for `LAST_REQUEST_SECONDS`; requests on it are answered, and every
answer from then on says that the connection closes (RFC 9112 §9.6).
"""

from __future__ import annotations

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LAST_REQUEST_SECONDS = 1.0
_CLOSE = (b"connection", b"close")


class PatientProtocol(H11Protocol):
    _is_ending = False

    def shutdown(self) -> None:
        """Called once for each open connection, after the server has stopped accepting new ones."""
        self._is_ending = True
        state = self.server_state
        if _CLOSE not in state.default_headers:
            state.default_headers = [*state.default_headers, _CLOSE]
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LAST_REQUEST_SECONDS, self._close_if_idle)
        else:
            self._make_it_the_last()

    def handle_events(self) -> None:
        super().handle_events()
        if self._is_ending and self.cycle is not None and not self.cycle.response_complete:
            self._make_it_the_last()

    def _make_it_the_last(self) -> None:
        self.cycle.keep_alive = False
        if not self.cycle.response_started and _CLOSE not in self.cycle.default_headers:
            self.cycle.default_headers = [*self.cycle.default_headers, _CLOSE]

    def _close_if_idle(self) -> None:
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.conn.send(h11.ConnectionClosed())
            self.transport.close()
