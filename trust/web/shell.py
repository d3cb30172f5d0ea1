"""What all pages share: language, templates, sessions, forms, security headers, error pages.

A page answers 200 with the requested content, or an error page that says in the reader's language what happened and
what to do, never a stack trace or JSON. Every answer is `no-store`, because content shown at a counter must not come
back from a cache.

Forms are protected against other sites in two ways. `check_same_site` refuses a POST that, according to the browser,
comes from another site, for every form, with or without a session. Forms of a session also contain its form token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trust.encoding.qr import address_svg
from trust.model.errors import Busy, NotPermitted, TrustError
from trust.people.access import Access
from trust.people.sessions import DESK, WALLET, WebSession
from trust.web.statuses import row_of
from trust.words.language import LANGUAGES, Language, show_date
from trust.words.texts import as_language, preferred_language, show_time, text

S = TypeVar("S", covariant=True)
T = TypeVar("T")

LANGUAGE_COOKIE = "yz_lang"
_YEAR_SECONDS = 365 * 24 * 3600
_log = logging.getLogger(__name__)
_CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'none'; object-src 'none'"
)
SECURITY_HEADERS: Mapping[str, str] = {
    "content-security-policy": _CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


def security_headers(app: ASGIApp) -> ASGIApp:
    """Middleware (`app.add_middleware(security_headers)`) that adds the headers above to every answer.

    A header that a route sets itself, such as for a list that other origins may read, is kept.
    """

    async def with_headers(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                present = {name.lower() for name, _ in headers}
                added = ((k.encode(), v.encode()) for k, v in SECURITY_HEADERS.items())
                headers += [(name, value) for name, value in added if name not in present]
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, send_with_headers if scope["type"] == "http" else send)

    return with_headers


def language_of(request: Request) -> Language:
    """The language of a page: by `?lang=`, else by the cookie, else by the browser's Accept-Language."""
    return (
        as_language(request.query_params.get("lang"))
        or as_language(request.cookies.get(LANGUAGE_COOKIE))
        or preferred_language(request.headers.get("accept-language", ""))
    )


def check_same_site(request: Request) -> None:
    """Raises `NotPermitted` (FORM_EXPIRED) for a form that another site sent.

    Our pages send `Referrer-Policy: no-referrer`, with which a browser's Origin is `null` for our own forms too. So
    Sec-Fetch-Site decides, and Origin only if an old browser sends a real one.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "null")
    is_foreign = (
        site not in ("same-origin", "none")
        if site is not None
        else origin != "null" and urlsplit(origin).netloc != request.headers.get("host")
    )
    if is_foreign:
        raise NotPermitted("Another site sent the form.", "Open the page again.", code="FORM_EXPIRED")


@dataclass(frozen=True, slots=True)
class Shell(Generic[S]):
    """Makes the pages of one face. `service` is the face's facade; `host` and `base_url` are those of its pages."""

    service: S
    access: Access
    templates: Environment
    host: str
    base_url: str

    def of(self, service: T) -> Shell[T]:
        """The same shell for the face of another actor."""
        return Shell(service, self.access, self.templates, self.host, self.base_url)

    # --- pages ---

    def page(self, request: Request, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Renders a template. The value `resend` is a report to show again in the other language."""
        language = language_of(request)
        html = self.templates.get_template(name).render(
            self._words(language)
            | {
                "language": language,
                "here": request.url.path,
                "host": self.host,
                "qr_of_report": self._qr_of_report,
                "resend": None,
            }
            | values
        )
        response = HTMLResponse(html, status, {"cache-control": "no-store", "content-language": language})
        if as_language(request.query_params.get("lang")) is not None:
            response.set_cookie(
                LANGUAGE_COOKIE,
                language,
                max_age=_YEAR_SECONDS,
                samesite="lax",
                secure=self.is_https,
                httponly=True,
            )
        return response

    def go_to(self, path: str) -> RedirectResponse:
        return RedirectResponse(path, 303, {"cache-control": "no-store"})

    def error(self, request: Request, status: int, key: str) -> HTMLResponse:
        """An error page with the texts `error.<key>.title` and `.todo`."""
        return self.page(request, "error.html", status=status, key=key, here="/")

    def _qr_of_report(self, code: str) -> Markup:
        """The address of a report as a QR code, for readers of a printed report."""
        return Markup(address_svg(f"{self.base_url}/r/{code}", code))  # noqa: S704  all of it is ours

    def _words(self, language: Language) -> dict[str, Any]:
        other = next(each for each in LANGUAGES if each != language)
        return {
            "t": lambda key, **values: text(language, key, **values),
            "in_other": lambda key: text(other, key),
            "other_language": other,
            "show_date": lambda value: show_date(value, language),
            "show_time": lambda at: show_time(at, language),
            "pick": lambda zh, en: (en if language == "en" else zh) or zh or en,
        }

    # --- sessions ---

    @property
    def is_https(self) -> bool:
        """True unless the operator set an http:// base address; cookies are then `Secure` and `__Host-`."""
        return not self.base_url.startswith("http://")

    def cookie_name(self, kind: str) -> str:
        return f"__Host-yz_{kind}" if self.is_https else f"yz_{kind}"

    def set_cookie(self, response: Response, kind: str, value: str, hours: float) -> None:
        response.set_cookie(
            self.cookie_name(kind),
            value,
            max_age=int(hours * 3600),
            path="/",
            secure=self.is_https,
            httponly=True,
            samesite="lax",
        )

    def drop_cookie(self, response: Response, kind: str) -> None:
        response.delete_cookie(
            self.cookie_name(kind), path="/", secure=self.is_https, httponly=True, samesite="lax"
        )

    def cookie(self, request: Request, kind: str) -> str:
        return request.cookies.get(self.cookie_name(kind), "")

    def session(self, request: Request, kind: str) -> WebSession | None:
        """The browser's session, or None if it has none or it has ended."""
        token = self.cookie(request, kind)
        if not token:
            return None
        try:
            return self.access.sessions.check_session(token, kind)
        except NotPermitted:
            return None

    def wallet(self, request: Request) -> WebSession:
        return self._required(request, WALLET)

    def desk(self, request: Request) -> WebSession:
        return self._required(request, DESK)

    def _required(self, request: Request, kind: str) -> WebSession:
        session = self.session(request, kind)
        if session is None:
            raise NotPermitted("There is no session.", "Sign in.", code="UNAUTHENTICATED")
        return session


def route_class(shell: Shell[Any]) -> type[APIRoute]:
    """The class for routes of pages, whose errors are pages too."""

    class PageRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()

            async def answer_in_words(request: Request) -> Response:
                try:
                    if request.method == "POST":
                        check_same_site(request)
                    return await answer(request)
                except Exception as exc:  # last resort before the reader would see "Internal Server Error"
                    return page_for_error(shell, request, exc)

            return answer_in_words

    return PageRoute


def page_for_error(shell: Shell[Any], request: Request, exc: Exception) -> Response:
    """The error page for an exception. Faults of the service, except `Busy`, are logged, without the reader's input."""
    status, key = _status_and_words(exc)
    if isinstance(exc, Busy):
        response = shell.error(request, status, key)
        response.headers["retry-after"] = str(exc.retry_after)
        return response
    if status >= 500:
        _log.error("a page failed", exc_info=exc)
    return shell.error(request, status, key)


def _status_and_words(exc: Exception) -> tuple[int, str]:
    match exc:
        case TrustError():
            row = row_of(exc)
            return row.page, row.words
        case RequestValidationError():
            # A malformed address is answered like one that does not exist.
            in_path = any(error["loc"][:1] == ("path",) for error in exc.errors())
            return (404, "not_found") if in_path else (400, "bad_request")
        case HTTPException(status_code=status):
            return status, _WORDS_BY_STATUS.get(status, "bad_request" if status < 500 else "internal")
        case _:
            return 500, "internal"


_WORDS_BY_STATUS = {
    403: "not_permitted",
    404: "not_found",
    405: "not_found",
    409: "conflict",
    410: "gone",
    413: "too_large",
    429: "too_many",
    503: "unavailable",
}
