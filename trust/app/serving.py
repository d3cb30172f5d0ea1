"""Running the service: one process on SQLite, several on PostgreSQL."""

from __future__ import annotations

import logging
from typing import Any

import uvicorn
from fastapi import FastAPI

from trust.app.compose import Service, open_service
from trust.app.http.app import create_app
from trust.app.http.middleware import set_up_logging
from trust.app.lanes import Lane
from trust.app.settings import Settings, read_settings
from trust.confinement import landlock_version
from trust.model.errors import Malformed, TrustError

_WORKER_SECONDS = 120
"""How long a worker may take to come up, on a slow machine, before it is taken for dead."""

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
    common: dict[str, Any] = {
        "host": host,
        "port": port,
        "log_config": None,
        "access_log": False,
        "server_header": False,
    }
    if workers > 1:
        import os

        os.environ["YINZHENG_DATA"] = str(settings.data)
        uvicorn.run(
            "trust.app.serving:worker_app",
            factory=True,
            workers=workers,
            timeout_worker_healthcheck=_WORKER_SECONDS,
            **common,
        )
        return
    service = open_service(settings)
    try:
        _begin(service)
        uvicorn.run(create_app(service), **common)
    finally:
        service.close()


def worker_app() -> FastAPI:
    """What each of several workers runs: a service of its own on the common database."""
    set_up_logging()
    service = open_service(read_settings())
    _begin(service)
    return create_app(service, close_service=True)


def _begin(service: Service) -> None:
    """What comes before the first request."""
    for resume in service.keeper.resume:
        try:
            resume()
        except TrustError as exc:
            # One operation that cannot be completed must not keep the service from starting.
            _log.error("could not carry on", extra={"code": exc.code, "what": exc.what})
    service.sandboxes.of[Lane.COUNTER].warm_up()
    service.keeper.start()
