"""The frame of every request: a trace id, limits on the body's size and time, one JSON log line, metrics.

A log line names the route's template, never the path, because the part after /P/ and /Q/ is a secret or contains
printed fields, and a path may contain an identifier. Bodies, queries and headers are never logged.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import secrets
import time
from urllib.parse import urlsplit, urlunsplit

from anyio import fail_after, sleep
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trust.model.errors import Busy
from trust.sandbox.lanes import Lane
from trust.web.lanes import Lanes
from trust.web.metrics import Metrics
from trust.web.problems import problem

MAX_BODY = 21 * 1024 * 1024
BODY_SECONDS = 60.0
TURNED_AWAY_AFTER = 1.0
_log = logging.getLogger("yinzheng.access")
_TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$")


class RequestFrame:
    """A pure ASGI middleware, so that it can count streamed bodies without buffering them."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, lanes: Lanes | None = None, body_seconds: float | None = None
    ) -> None:
        self._app = app
        self._lanes = lanes
        self._body_seconds = body_seconds or BODY_SECONDS
        self._metrics = metrics
        self._has_warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if not self._has_warned and b"x-forwarded-for" in headers and _is_this_machine(scope.get("client")):
            self._has_warned = True
            _log.warning("a proxy on this machine is not named: see YINZHENG_PROXIES")
        parent = _TRACEPARENT.match(headers.get(b"traceparent", b"").decode("latin-1"))
        trace_id = parent.group(1) if parent else secrets.token_hex(16)
        scope.setdefault("state", {})["trace_id"] = trace_id
        started, status, taken, is_whole = time.perf_counter(), 500, 0, False
        # Pages limit their own uploads, so that a browser gets the refusal as a page.
        limit = MAX_BODY if scope["path"].startswith("/api/") else None

        async def limited_receive() -> Message:
            nonlocal taken, is_whole
            # After the body, receive() waits for the client to disconnect, which has no time limit.
            with fail_after(None if is_whole else started + self._body_seconds - time.perf_counter()):
                message = await receive()
            taken += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if limit is not None and taken > limit:
                raise _TooLarge
            return message

        async def noting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *(_without_host(each, headers) for each in message.get("headers", [])),
                    (b"x-trace-id", trace_id.encode()),
                    *(
                        (name.encode(), text.encode())
                        for name, text in scope["state"].get("headers", {}).items()
                    ),
                ]
            await send(message)

        try:
            if self._lanes is not None and _is_anonymous_upload(scope, headers):
                self._lanes.check_room(Lane.PUBLIC)
            if limit is not None and _declared_length(headers) > limit:
                raise _TooLarge
            await self._app(scope, limited_receive, noting_send)
        except _TooLarge:
            status = 413
            response = problem(413, "TOO_LARGE", "The request is larger than 20 MiB.", trace_id=trace_id)
            await response(scope, receive, noting_send)
        except Busy as exc:
            # Refuse a flood cheaply, before anything is routed or read, but with a delay, so that a client that ignores
            # Retry-After cannot ask hundreds of times a second.
            status = 503
            await sleep(TURNED_AWAY_AFTER)
            response = problem(503, exc.code, exc.what, todo=exc.todo, trace_id=trace_id)
            response.headers["Retry-After"] = str(exc.retry_after)
            await response(scope, receive, noting_send)
        except TimeoutError:
            status = 408
            response = problem(408, "TOO_SLOW", "The request did not arrive in time.", trace_id=trace_id)
            await response(scope, receive, noting_send)
        finally:
            route = scope.get("route")
            template = getattr(route, "path", None) or "(none)"
            seconds = time.perf_counter() - started
            self._metrics.request(scope["method"], template, status, seconds)
            _log.info(
                "request",
                extra={
                    "method": scope["method"],
                    "route": template,
                    "status": status,
                    "ms": round(seconds * 1000, 1),
                    "trace_id": trace_id,
                },
            )


def _without_host(header: tuple[bytes, bytes], asked: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    """A header; a redirect to the host in the request's Host header is made relative, because clients set that."""
    name, value = header
    if name.lower() != b"location" or b"://" not in value:
        return header
    parts = urlsplit(value.decode("latin-1"))
    if parts.netloc != asked.get(b"host", b"").decode("latin-1"):
        return header
    return name, urlunsplit(("", "", parts.path or "/", parts.query, parts.fragment)).encode("latin-1")


def _is_anonymous_upload(scope: Scope, headers: dict[bytes, bytes]) -> bool:
    """True for an upload by a program without a key; browsers get a page that says the same."""
    return (
        scope["method"] == "POST"
        and scope["path"] == "/api/v1/verifications"
        and headers.get(b"content-type", b"").startswith(b"multipart/")
        and b"authorization" not in headers
    )


def _is_this_machine(client: tuple[str, int] | None) -> bool:
    try:
        return client is not None and ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


class _TooLarge(Exception):
    pass


def _declared_length(headers: dict[bytes, bytes]) -> int:
    try:
        return int(headers.get(b"content-length", b"0"))
    except ValueError:
        return 0
