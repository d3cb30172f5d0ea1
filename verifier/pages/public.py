"""Public pages: the home page with its three entrances, checking, the landing pages of codes, help.

A GET shows no data of a licence and redeems no code, because camera apps, chat previews and mail scanners fetch
addresses by themselves. A verdict is the answer to a POST and has no address.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.params import Path as PathParameter
from fastapi.responses import HTMLResponse

from trust.model.errors import Malformed, NotFound
from trust.sandbox.lanes import Lane
from trust.web.forms import read_form
from trust.web.shell import Shell, language_of, route_class
from verifier.checks.kinds import name_typed
from verifier.pages.checking import Checked, VerdictPages
from verifier.service import VerifierService

_ENCODED = re.compile(r"[A-Za-z2-7]{1,3600}")
_Encoded = Annotated[str, PathParameter(max_length=4000)]


def public_router(shell: Shell[VerifierService], checking: VerdictPages) -> APIRouter:
    router = APIRouter(
        route_class=route_class(shell), include_in_schema=False, default_response_class=HTMLResponse
    )

    # The host that the browser's address bar shows on genuine pages.
    address = urlsplit(shell.base_url).netloc

    @router.get("/")
    def home(request: Request) -> Response:
        log, at = shell.service.ledger_size, shell.service.clock.now()
        return shell.page(request, "home.html", size=log.size, halted=log.halted is not None, at=at)

    @router.get("/help")
    def help_page(request: Request) -> Response:
        return shell.page(request, "help.html")

    @router.get("/verify")
    def verify_form(request: Request) -> Response:
        return shell.page(request, "verify.html", problem=None)

    @router.post("/verify")
    async def verify(request: Request) -> Response:
        language = language_of(request)
        with checking.admitted(request, Lane.PUBLIC):
            try:
                sent = await read_form(request)
            except Malformed as exc:
                if exc.code != "TOO_LARGE":
                    raise
                return _verdict_page(shell, request, checking.too_large(language), status=413)
            thing = sent.file if sent.file is not None else sent.text("code")
            if not thing:
                return shell.page(request, "verify.html", status=400, problem="verify.nothing_sent")
            if isinstance(thing, str) and (report_code := _report_code(thing)):
                return shell.go_to(f"/r/{report_code}")
            return _verdict_page(shell, request, await checking.check(thing, language))

    def _report_code(typed: str) -> str:
        """The typed report code, if it has the printed form or a report is filed under it; otherwise empty."""
        if name_typed(typed) == "report-code":
            return "".join(unicodedata.normalize("NFKC", typed).split()).upper()
        try:
            return shell.service.reporting.find(unicodedata.normalize("NFKC", typed)).code
        except NotFound:
            return ""

    @router.post("/verdict")
    async def verdict_again(request: Request) -> Response:
        sent = await read_form(request)
        checked = await run_in_threadpool(checking.again, sent.text("report"), language_of(request))
        if sent.text("as") == "json":
            return _as_file(checked)
        return _verdict_page(shell, request, checked)

    @router.get("/P/{encoded}")
    @router.get("/p/{encoded}")
    def live_landing(request: Request, encoded: _Encoded) -> Response:
        _check_shape(encoded)
        return shell.page(request, "landing.html", kind="live", address=address)

    @router.get("/Q/{encoded}")
    @router.get("/q/{encoded}")
    def printed_landing(request: Request, encoded: _Encoded) -> Response:
        _check_shape(encoded)
        return shell.page(request, "landing.html", kind="printed", address=address)

    @router.post("/P/{encoded}")
    @router.post("/p/{encoded}")
    async def live_result(request: Request, encoded: _Encoded) -> Response:
        return await _result_of(request, "P", encoded)

    @router.post("/Q/{encoded}")
    @router.post("/q/{encoded}")
    async def printed_result(request: Request, encoded: _Encoded) -> Response:
        return await _result_of(request, "Q", encoded)

    async def _result_of(request: Request, kind: str, encoded: str) -> Response:
        _check_shape(encoded)
        code = f"HTTPS://{shell.host}/{kind}/{encoded}"
        with checking.admitted(request, Lane.PUBLIC):
            return _verdict_page(shell, request, await checking.check(code, language_of(request)))

    return router


def _verdict_page(
    shell: Shell[VerifierService], request: Request, checked: Checked, *, status: int = 200
) -> HTMLResponse:
    return shell.page(
        request,
        "verdict.html",
        status=status,
        view=checked.view,
        carried=checked.carried,
        resend=checked.carried,
        here="/verify",
    )


def _as_file(checked: Checked) -> Response:
    body = json.dumps(checked.report, ensure_ascii=False, indent=2).encode() + b"\n"
    name = f"yinzheng-report-{str(checked.report['verified_at'])[:19].replace(':', '')}.json"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(body, media_type="application/json", headers=headers)


def _check_shape(encoded: str) -> None:
    if not _ENCODED.fullmatch(encoded):
        raise NotFound("Not one of our codes.")
