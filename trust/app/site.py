"""The FastAPI application: routers, problems, pages, and the frame around every request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from trust.app.compose import Service
from trust.app.http.api import api_router
from trust.app.http.public import public_router
from trust.app.metrics import metrics_app
from trust.app.pages import add_pages, page_errors, security_headers
from trust.model.clock import SystemEntropy
from trust.people.access import open_access
from trust.sandbox.lanes import SIZES, Lane, LaneSize
from trust.web.lanes import Lanes
from trust.web.middleware import Metrics, RequestFrame
from trust.web.problems import add_problem_handlers


def create_app(
    service: Service, *, close_service: bool = False, sizes: Mapping[Lane, LaneSize] = SIZES
) -> FastAPI:
    """The application over an open service, which it closes on shutdown only if told to."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if close_service:
            # In a thread: what it waits for must not stand on this loop, nor run one of its own here.
            await run_in_threadpool(service.close)

    app = FastAPI(
        lifespan=lifespan,
        title="Yinzheng 印证",
        version="1",
        summary="E-certificates and e-seals that prove themselves, online and offline.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    access = open_access(service.database, service.clock, SystemEntropy())
    metrics = Metrics()
    lanes = Lanes(sizes)
    app.state.metrics_app = metrics_app(service, metrics, lanes)  # for an address of its own: see `serving`
    app.include_router(api_router(service, access, metrics, lanes))
    app.include_router(public_router(service, metrics, lanes))
    add_pages(app, service, access, lanes, policy=service.policy)
    add_problem_handlers(app, page_errors(service, access))
    app.add_middleware(security_headers)
    app.add_middleware(RequestFrame, metrics=metrics, lanes=lanes)
    return app
