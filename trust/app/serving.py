"""Running the site: one process on SQLite, several on PostgreSQL.

SIGTERM and SIGINT stop it in order: no new request is accepted, those begun are answered, everything is closed, and
the exit code is 0. SIGHUP replaces the workers one after the other, each new one starting before the old one ends; a
single process ignores it. Settings are not read again.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from trust.app.compose import Site, open_site
from trust.app.settings import Settings, read_settings
from trust.app.site import create_app
from trust.model.errors import Malformed, TrustError
from trust.sandbox.confinement import landlock_version
from trust.sandbox.lanes import Lane
from trust.sandbox.run_as import leave_root
from trust.web.connections import GuardedProtocol, raise_descriptor_limit
from trust.web.logs import set_up_logging
from trust.web.serving import answering_metrics, listen, signals_that_end_in_order, stay

_WORKER_SECONDS = 120
"""How many seconds a worker may take to start, on a slow machine, before it is considered dead."""
_log = logging.getLogger("yinzheng.serving")


def serve(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Runs the service until a signal stops it. Raises `Malformed` for several workers on SQLite."""
    if workers > 1 and settings.database_url is None:
        raise Malformed(
            "SQLite has one writing process.",
            "Use --workers 1, or set DATABASE_URL to a PostgreSQL database.",
        )
    set_up_logging()
    if landlock_version() < 1:
        _log.warning("this kernel has no Landlock: sandbox workers could read files of the service")
    raise_descriptor_limit()
    with listen(host, port) as listener:  # only root may open a port below 1024
        folders = (
            settings.data,
            settings.keys_folder,
            settings.documents_folder,
            settings.data / "ledger",
        )
        leave_root(settings.user, folders)
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
    with signals_that_end_in_order(), open_site(settings, ask_witnesses=True) as site:
        _tell_what_is_not_noticed(site)
        _begin(site)
        app = create_app(site)
        with answering_metrics(settings.metrics_listen, app.state.metrics_app):
            server = uvicorn.Server(uvicorn.Config(app, **common))
            server.run(sockets=[listener])
            if not server.started:
                sys.exit(STARTUP_FAILURE)


def worker_app() -> FastAPI:
    """The application of one of several workers, with its own `Service` on the common database."""
    signal.signal(signal.SIGHUP, stay)  # a terminal sends it to all processes; the first one handles it
    set_up_logging()
    settings = read_settings()
    site = open_site(settings, ask_witnesses=True)
    _tell_what_is_not_noticed(site)
    _begin(site)
    app = create_app(site, close_site=True)
    answering_metrics(settings.metrics_listen, app.state.metrics_app).__enter__()  # until the process ends
    return app


def _tell_what_is_not_noticed(site: Site) -> None:
    if not site.is_copy_noticed:
        _log.warning(
            "started without a memory outside the data folder: if this folder is a copy from before, "
            "two histories may be signed, and nothing here can tell; set YINZHENG_LEDGER_MARK, "
            "YINZHENG_LOCK_URL or a policy of witnesses (docs/OPERATIONS.md)",
            extra={"code": "COPY_NOT_NOTICED"},
        )


def _begin(site: Site) -> None:
    """Resumes pending work, warms up the counter's readers and starts the rounds, before the first request."""
    for resume in site.keeper.resume:
        try:
            resume()
        except TrustError as exc:
            # An operation that cannot be completed must not prevent the service from starting.
            _log.error("pending work could not be completed", extra={"code": exc.code, "what": exc.what})
    site.sandboxes.of[Lane.COUNTER].warm_up()
    site.keeper.rounds.start()
