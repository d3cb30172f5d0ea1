"""The pages: what people see and press. Server-rendered, complete without JavaScript.

    app.add_middleware(security_headers)
    add_pages(app, service, access, lanes)

`page_errors(service, access)` makes the page for an error outside a page's route, such as an address that does not
exist; the API answers its own errors itself.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from issuer.pages.seals import seals_router
from issuer.pages.wallet import wallet_router
from ledger.pages.explorer import ledger_router
from ledger.witness.policy import Policy
from trust.app.compose import Service
from trust.people.access import Access
from trust.web.assets import make_templates, static_files
from trust.web.lanes import Lanes
from trust.web.shell import SECURITY_HEADERS, Shell, page_for_error, security_headers
from verifier.pages.checking import VerdictPages
from verifier.pages.desk import desk_router
from verifier.pages.public import public_router
from verifier.pages.reports import reports_router
from verifier.pages.trusted import trusted_router

ROOMS = ("issuer.pages", "verifier.pages", "ledger.pages")
"""Packages with templates and static files."""

__all__ = ["SECURITY_HEADERS", "add_pages", "page_errors", "pages_router", "security_headers"]


def add_pages(
    app: FastAPI, service: Service, access: Access, lanes: Lanes, *, policy: Policy | None = None
) -> None:
    """All pages and their static files. `policy` names the witnesses that the ledger's page counts."""
    app.include_router(pages_router(service, access, lanes, policy=policy))
    app.mount("/static", static_files(ROOMS), name="static")


def pages_router(
    service: Service, access: Access, lanes: Lanes, *, policy: Policy | None = None
) -> APIRouter:
    """All pages; `trust.web.assets.static_files` must be mounted at /static beside them."""
    shell = _shell(service, access)
    checking = VerdictPages(shell, lanes)
    router = APIRouter()
    for part in (
        public_router(shell, checking),
        desk_router(shell, checking),
        wallet_router(shell),
        ledger_router(shell, policy),
        seals_router(shell),
        trusted_router(shell),
        reports_router(shell),
    ):
        router.include_router(part)
    return router


def page_errors(service: Service, access: Access) -> Callable[[Request, int, str], Response]:
    """Makes the page for an error that happened outside a page's own route: (request, status, detail) to page.

    `detail` is for machines and does not get shown: the page says it in the reader's language.
    """
    shell = _shell(service, access)
    return lambda request, status, detail: page_for_error(shell, request, HTTPException(status, detail))


def _shell(service: Service, access: Access) -> Shell[Service]:
    settings = service.settings
    return Shell(service, access, make_templates(ROOMS), settings.host, settings.base_url)
