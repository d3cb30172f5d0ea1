"""/r: what was filed under a report code: only that the check was made, without fields, names or pictures.

A reader of a printed report compares its code, time, verdict and digest with this page.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.params import Path as PathParameter
from fastapi.responses import HTMLResponse

from trust.model.errors import NotFound
from trust.model.report import Report, Verdict
from trust.web.shell import Shell, language_of, route_class
from trust.words.texts import text
from verifier.reports.filing import FiledReport, read_code, show_code
from verifier.service import VerifierService


def reports_router(shell: Shell[VerifierService]) -> APIRouter:
    router = APIRouter(
        route_class=route_class(shell), include_in_schema=False, default_response_class=HTMLResponse
    )

    @router.get("/r")
    def ask(request: Request, code: str = "") -> Response:
        if code.strip():
            return shell.go_to(f"/r/{_as_typed(code)}")
        return shell.page(request, "report.html", filed=None, code="", problem=False)

    @router.get("/r/{code}")
    def look_up(request: Request, code: Annotated[str, PathParameter(max_length=40)]) -> Response:
        try:
            filed = shell.service.reporting.find(code)
        except NotFound:
            return shell.page(request, "report.html", status=404, filed=None, code=code, problem=True)
        return shell.page(
            request, "report.html", filed=filed, colour=_colour(filed), code=filed.code, problem=False
        )

    @router.get("/r/{code}/print.css")
    def on_every_page(request: Request, code: Annotated[str, PathParameter(max_length=40)]) -> Response:
        """The code at the foot of every printed page; a style sheet, since the page may hold no style of its own."""
        try:
            shown = show_code(read_code(code))
        except NotFound:
            return Response(status_code=404)
        words = text(language_of(request), "verdict.report_code")
        css = f'@page {{ @bottom-left {{ content: "{words} {shown}"; font-size: 9pt; }} }}\n'
        return Response(css, media_type="text/css", headers={"cache-control": "no-store"})

    return router


def _colour(filed: FiledReport) -> str:
    report = Report(filed.kind, filed.verified_at, Verdict(filed.verdict), filed.headline, ())
    return report.colour.value


def _as_typed(code: str) -> str:
    return (
        "".join(letter for letter in code[:40] if letter.isascii() and (letter.isalnum() or letter == "-"))
        or "-"
    )
