"""Errors over HTTP: RFC 9457 problems for machines, pages for people.

`trust.web.statuses` has the status codes. A negative verdict is not an error: it is a 200 with a report.
"""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from trust.model.errors import Busy, OperationalError, ProfileViolation, TrustError
from trust.web.rate_limits import RateLimited
from trust.web.statuses import row_of
from trust.words.refusals import violation_zh

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger("yinzheng.http")

_LONGEST_NAME = 64
_OURS_ALONE = frozenset(
    {
        "STORAGE_FAILED",
        "KEY_UNAVAILABLE",
        "TOKEN_UNAVAILABLE",
        "TOKEN_PIN",
        "TOKEN_KEY",
        "ROW_EDITED",
        "INTERNAL",
    }
)
"""Codes of errors whose texts name internal parts of this service."""

_TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not permitted",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    410: "Gone",
    411: "Length required",
    412: "Precondition failed",
    413: "Too large",
    415: "Unsupported media type",
    422: "Not acceptable as it is",
    428: "Precondition required",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available at the moment",
}


def problem_value(
    status: int,
    code: str,
    detail: str,
    *,
    trace_id: str = "",
    violations: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The members of a problem. `type` contains the code; it is an identifier, not an address to fetch."""
    body: dict[str, Any] = {
        "type": f"urn:yinzheng:problem:{code.lower().replace('_', '-')}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
        "trace_id": trace_id,
    }
    return body | {"errors": violations} if violations else body


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    todo: str = "",
    trace_id: str = "",
    violations: list[dict[str, Any]] | None = None,
) -> JSONResponse:
    """One problem object (`trust.web.answers.Problem`)."""
    said = f"{detail} {todo}".strip()
    body = problem_value(status, code, said, trace_id=trace_id, violations=violations)
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (429, 503):
        headers["Retry-After"] = "1"
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def add_problem_handlers(app: FastAPI, page_for: Any) -> None:
    """Answers every error with a problem or, for browsers, with the page of `page_for(request, status, detail)`."""

    def answer(request: Request, status: int, code: str, detail: str, **more: Any) -> Response:
        if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/"):
            page: Response | None = page_for(request, status, detail) if page_for else None
            if page is not None:
                return page
        return problem(status, code, detail, trace_id=getattr(request.state, "trace_id", ""), **more)

    @app.exception_handler(TrustError)
    async def on_trust_error(request: Request, exc: TrustError) -> Response:
        status = row_of(exc).api
        if isinstance(exc, Busy):
            _log.warning("turned away", extra={"code": exc.code})
        elif status >= 500:
            _log.error("operation failed", extra={"code": exc.code, "what": exc.what}, exc_info=exc)
        violations = None
        if isinstance(exc, ProfileViolation):
            violations = [
                {
                    "pointer": f"/fields/{v.field}",
                    "code": v.code,
                    "detail": f"{v.found}: {v.todo}",
                    "detail_zh": v.zh or violation_zh(v.code) or v.found,
                }
                for v in exc.violations
            ]
            return answer(
                request,
                status,
                exc.code,
                f"{len(exc.violations)} field(s) cannot be accepted.",
                violations=violations,
            )
        if isinstance(exc, OperationalError) and exc.code in _OURS_ALONE:
            # The text names a database, a folder or a key, so it was only logged (above).
            response = answer(
                request, status, exc.code, "The service cannot do this now.", todo="Try again later."
            )
        else:
            response = answer(request, status, exc.code, exc.what, todo=exc.todo)
        if isinstance(exc, Busy | RateLimited):
            response.headers["Retry-After"] = str(exc.retry_after)
        return response

    @app.exception_handler(RequestValidationError)
    async def on_validation_error(request: Request, exc: RequestValidationError) -> Response:
        # The invalid input itself is left out, because it may contain personal data.
        violations = [
            {
                # The name of an unknown member is whatever was sent, so it is cut.
                "pointer": "/" + "/".join(str(part)[:_LONGEST_NAME] for part in error["loc"]),
                "code": error["type"],
                "detail": error["msg"],
            }
            for error in exc.errors()
        ]
        return answer(
            request, 422, "VALIDATION_FAILED", "The request is not in its form.", violations=violations
        )

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, exc: HTTPException) -> Response:
        code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "TOO_LARGE", 415: "UNSUPPORTED_MEDIA"}.get(
            exc.status_code, "BAD_REQUEST"
        )
        response = answer(request, exc.status_code, code, str(exc.detail))
        for name, value in (exc.headers or {}).items():
            response.headers[name] = value
        return response

    @app.exception_handler(Exception)
    async def on_anything(request: Request, exc: Exception) -> Response:
        _log.error("unforeseen error", exc_info=exc)
        return answer(request, 500, "INTERNAL", "Something went wrong on our side.")
