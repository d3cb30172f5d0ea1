"""The pages: what people see and press. Server-rendered, complete without JavaScript.

    app.add_middleware(security_headers)
    add_pages(app, service, access, lanes)

`page_errors(service, access)` makes the page for an error outside a page's route, such as an address that does not
exist; the API answers its own errors itself.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from ledger.witness.policy import Policy
from trust.app.access import Access
from trust.app.compose import Service
from trust.app.pages.checking import Checking
from trust.app.pages.desk import desk_router
from trust.app.pages.ledger import ledger_router
from trust.app.pages.public import public_router
from trust.app.pages.reports import reports_router
from trust.app.pages.seals import seals_router
from trust.app.pages.shell import SECURITY_HEADERS, Shell, make_templates, page_for_error, security_headers
from trust.app.pages.trusted import trusted_router
from trust.app.pages.wallet import wallet_router
from trust.web.lanes import Lanes

__all__ = ["SECURITY_HEADERS", "add_pages", "page_errors", "pages_router", "security_headers", "static_app"]


def add_pages(
    app: FastAPI, service: Service, access: Access, lanes: Lanes, *, policy: Policy | None = None
) -> None:
    """All pages and their static files. `policy` names the witnesses that the ledger's page counts."""
    app.include_router(pages_router(service, access, lanes, policy=policy))
    app.mount("/static", static_app(), name="static")


def pages_router(
    service: Service, access: Access, lanes: Lanes, *, policy: Policy | None = None
) -> APIRouter:
    """All pages; `static_app` must be mounted at /static beside them."""
    shell = Shell(service, access, make_templates())
    checking = Checking(shell, lanes)
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
    shell = Shell(service, access, make_templates())
    return lambda request, status, detail: page_for_error(shell, request, HTTPException(status, detail))


def static_app() -> StaticFiles:
    """The style sheet, our small scripts and pictures. Addresses carry a digest, so they may be kept for ever."""
    return _Static(directory=str(files("trust.app.pages").joinpath("static")))


class _Static(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response
