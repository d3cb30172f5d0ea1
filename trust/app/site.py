"""The FastAPI application: the faces of all actors, and what is common to all requests.

Errors are answered as problems (RFC 9457) by the API, and as pages in the reader's language by pages. Pages are
rendered on the server and complete without JavaScript.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from issuer.http.ecertificates import ecertificates_router
from issuer.http.presentations import presentations_router
from issuer.http.published import published_router
from issuer.http.seals import seals_router
from issuer.http.types import types_router
from issuer.pages.seals import seals_router as seals_pages
from issuer.pages.wallet import wallet_router
from ledger.http.files import files_router
from ledger.http.proofs import proofs_router
from ledger.pages.explorer import ledger_router
from trust.admin.http import keys_router
from trust.app.compose import Site
from trust.app.operating import health_of
from trust.sandbox.lanes import SIZES, Lane, LaneSize
from trust.web.api import Callers
from trust.web.assets import make_templates, static_files
from trust.web.description import describe
from trust.web.health import health_router, metrics_app
from trust.web.idempotency import Idempotency
from trust.web.lanes import Lanes
from trust.web.metrics import Metrics
from trust.web.middleware import RequestFrame
from trust.web.problems import add_problem_handlers
from trust.web.rate_limits import RateLimits
from trust.web.shell import Shell, page_for_error, security_headers
from verifier.http.verifications import verifications_router
from verifier.pages.checking import VerdictPages
from verifier.pages.desk import desk_router
from verifier.pages.public import public_router
from verifier.pages.reports import reports_router
from verifier.pages.trusted import trusted_router

ROOMS = ("issuer.pages", "verifier.pages", "ledger.pages")
"""Packages with templates and static files, in addition to the common ones (`trust.web.assets`)."""


def create_app(site: Site, *, close_site: bool = False, sizes: Mapping[Lane, LaneSize] = SIZES) -> FastAPI:
    """The application for an open service, which it closes on shutdown if `close_site` is set."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if close_site:
            # Close in a thread, because closing waits for threads, must not block this event loop, and may run its own.
            await run_in_threadpool(site.close)

    app = FastAPI(
        lifespan=lifespan,
        title="Yinzheng 印证",
        version="1",
        summary="E-certificates and e-seals that prove themselves, online and offline.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    metrics, lanes = Metrics(), Lanes(sizes)
    settings = site.settings
    shell = Shell(site, site.admin.access, make_templates(ROOMS), settings.host, settings.base_url)
    health = health_of(site, metrics, lanes)
    app.state.metrics_app = metrics_app(health)  # for a separate address (`trust.app.serving`)
    app.include_router(_api(site, metrics, lanes))
    for public in (files_router(site.ledger), published_router(site.issuer), health_router(health)):
        app.include_router(public)
    app.include_router(_pages(shell, lanes))
    app.mount("/static", static_files(ROOMS), name="static")
    add_problem_handlers(app, _page_errors(shell))
    describe(app)
    app.add_middleware(security_headers)
    app.add_middleware(RequestFrame, metrics=metrics, lanes=lanes)
    return app


def _api(site: Site, metrics: Metrics, lanes: Lanes) -> APIRouter:
    router = APIRouter()
    callers, idempotency = Callers(site.admin.access), Idempotency(site.stores.register)
    limits = RateLimits(site.settings.rate_per_minute)
    for part in (
        ecertificates_router(site.issuer, callers, idempotency, lanes, limits),
        presentations_router(site.issuer, callers),
        verifications_router(site.verifier, callers, metrics, lanes, limits),
        types_router(),
        proofs_router(site.ledger),
        seals_router(site.issuer, callers.check, idempotency),
        keys_router(site.admin, callers.check),
    ):
        router.include_router(part)
    return router


def _pages(shell: Shell[Site], lanes: Lanes) -> APIRouter:
    site = shell.service
    issuer, verifier, ledger = shell.of(site.issuer), shell.of(site.verifier), shell.of(site.ledger)
    verdicts = VerdictPages(verifier, lanes)
    router = APIRouter()
    for part in (
        public_router(verifier, verdicts),
        desk_router(verifier, verdicts),
        wallet_router(issuer),
        ledger_router(ledger, site.ledger.policy),
        seals_pages(issuer),
        trusted_router(verifier),
        reports_router(verifier),
    ):
        router.include_router(part)
    return router


def _page_errors(shell: Shell[Site]) -> Callable[[Request, int, str], Response]:
    """Makes the page for an error outside a page's own route, such as an address that does not exist.

    Its third argument is for machines and is not shown, because the page has texts in the reader's language.
    """
    return lambda request, status, detail: page_for_error(shell, request, HTTPException(status, detail))
