"""Running the service: one process on SQLite, several on PostgreSQL.

SIGTERM and SIGINT stop it in order: nothing new is accepted, what was begun is answered, everything is closed, and
the exit code is 0. SIGHUP starts the workers again one after the other, the new one before the old one goes; a
single process has nothing to take its place, so it stays as it is. Neither of them reads settings anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from trust.app.compose import Service, open_service
from trust.app.run_as import leave_root
from trust.app.settings import Settings, read_settings
from trust.app.site import create_app
from trust.model.errors import Malformed, OperationalError, TrustError
from trust.sandbox.confinement import landlock_version
from trust.sandbox.lanes import Lane
from trust.web.connections import GuardedProtocol, raise_descriptor_limit
from trust.web.logs import set_up_logging

_WORKER_SECONDS = 120
"""How long a worker may take to come up, on a slow machine, before it is taken for dead."""

_BACKLOG = 2048
_METRICS_SECONDS = 5
"""How long the end waits for a scrape that is under way."""

_log = logging.getLogger("yinzheng.serving")


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Blocks until it is told to stop. Raises `Malformed` for several workers on SQLite."""
    if workers > 1 and settings.database_url is None:
        raise Malformed(
            "SQLite has one writing process.",
            "Use --workers 1, or set DATABASE_URL to a PostgreSQL database.",
        )
    set_up_logging()
    if landlock_version() < 1:
        _log.warning(
            "no Landlock in this kernel: who reads files of strangers could read those of the service"
        )
    raise_descriptor_limit()
    with _listen(host, port) as listener:  # a port below 1024 is root's to open
        leave_root(settings)
        _serve(settings, listener, workers)


def _serve(settings: Settings, listener: socket.socket, workers: int) -> None:
    common: dict[str, Any] = {
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "http": GuardedProtocol,
        "ws": "none",
        "proxy_headers": bool(settings.proxies),
        "forwarded_allow_ips": list(settings.proxies),
    }
    if workers > 1:
        os.environ["YINZHENG_DATA"] = str(settings.data)
        config = uvicorn.Config(
            "trust.app.serving:worker_app",
            factory=True,
            workers=workers,
            timeout_worker_healthcheck=_WORKER_SECONDS,
            **common,
        )
        Multiprocess(config, sockets=[listener]).run()
        return
    with _signals_that_end_in_order(), open_service(settings, ask_witnesses=True) as service:
        _tell_what_is_not_noticed(service)
        _begin(service)
        app = create_app(service)
        with _answering_metrics(settings, app):
            server = uvicorn.Server(uvicorn.Config(app, **common))
            server.run(sockets=[listener])
            if not server.started:
                sys.exit(STARTUP_FAILURE)


def _listen(host: str, port: int) -> socket.socket:
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


def worker_app() -> FastAPI:
    """What each of several workers runs: a service of its own on the common database."""
    signal.signal(signal.SIGHUP, _stay)  # a terminal sends it to all; the first process knows what to do
    set_up_logging()
    settings = read_settings()
    service = open_service(settings, ask_witnesses=True)
    _tell_what_is_not_noticed(service)
    _begin(service)
    app = create_app(service, close_service=True)
    _answering_metrics(settings, app).__enter__()  # until the process ends
    return app


@contextlib.contextmanager
def _signals_that_end_in_order() -> Iterator[None]:
    """uvicorn gives a signal on when it has ended, and by default that would be the end of the process there."""
    handlers = {signal.SIGTERM: _leave, signal.SIGHUP: _stay}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _stay(number: int, frame: FrameType | None) -> None:
    """Not `SIG_IGN`: that would be inherited by the programs that are started here."""


@contextlib.contextmanager
def _answering_metrics(settings: Settings, app: FastAPI) -> Iterator[None]:
    """While the block runs, /metrics is answered at the operators' address, where there is one.

    Several workers listen there side by side, and the kernel picks one for each connection: a scrape tells the
    counters of one of them, as it does at the public address. Raises `OperationalError` where nobody can listen.
    """
    if settings.metrics_listen is None:
        yield
        return
    host, port = settings.metrics_listen
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
        app.state.metrics_app,
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


def _tell_what_is_not_noticed(service: Service) -> None:
    if not service.is_copy_noticed:
        _log.warning(
            "started without a memory outside the data folder: if this folder is a copy from before, "
            "two histories may be signed, and nothing here can tell; set YINZHENG_LEDGER_MARK, "
            "YINZHENG_LOCK_URL or a policy of witnesses (docs/OPERATIONS.md)",
            extra={"code": "COPY_NOT_NOTICED"},
        )


def _begin(service: Service) -> None:
    """What comes before the first request."""
    for resume in service.keeper.resume:
        try:
            resume()
        except TrustError as exc:
            # One operation that cannot be completed must not keep the service from starting.
            _log.error("could not carry on", extra={"code": exc.code, "what": exc.what})
    service.sandboxes.of[Lane.COUNTER].warm_up()
    service.keeper.rounds.start()
