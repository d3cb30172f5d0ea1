"""Sockets and signals of a server, and the operators' own address for /metrics."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from types import FrameType

import uvicorn
from fastapi import FastAPI

from trust.model.errors import OperationalError

_log = logging.getLogger("yinzheng.serving")

_BACKLOG = 2048
_METRICS_SECONDS = 5
"""How long the end waits for a scrape that is under way."""


def listen(host: str, port: int) -> socket.socket:
    # asyncio sends small parts at once (TCP_NODELAY) only where the protocol was named; the kernel would wait 40 ms.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, proto=socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as exc:
        listener.close()
        raise OperationalError(
            f"Nobody can listen at {host} port {port}: {exc.strerror or exc}.",
            "Give an address of this machine and a port that nothing else uses (--host, --port).",
            code="ADDRESS_IN_USE",
        ) from exc
    listener.set_inheritable(True)
    _log.info("listening at %s port %s", *listener.getsockname()[:2])
    return listener


@contextlib.contextmanager
def signals_that_end_in_order() -> Iterator[None]:
    """uvicorn gives a signal on when it has ended, and by default that would be the end of the process there."""
    handlers = {signal.SIGTERM: _leave, signal.SIGHUP: stay}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def stay(number: int, frame: FrameType | None) -> None:
    """Not `SIG_IGN`: that would be inherited by the programs that are started here."""


@contextlib.contextmanager
def answering_metrics(address: tuple[str, int] | None, app: FastAPI) -> Iterator[None]:
    """While the block runs, `app` answers /metrics at the operators' address (host and port), where there is one.

    Several workers listen there side by side, and the kernel picks one for each connection: a scrape tells the
    counters of one of them, as it does at the public address. Raises `OperationalError` where nobody can listen.
    """
    if address is None:
        yield
        return
    host, port = address
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, proto=socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise OperationalError(
            f"Nobody can listen at {host} port {port} for metrics.",
            "Correct YINZHENG_METRICS_LISTEN: an address of this machine, and a port that nothing else uses.",
            code="METRICS_ADDRESS",
        ) from exc
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=_METRICS_SECONDS)
