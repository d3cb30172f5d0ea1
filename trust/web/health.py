"""For operators: is it alive, is it ready, how much does it do, which version is it.

/metrics    Prometheus' text format, at an address of the operators' own (YINZHENG_METRICS_LISTEN), and at the
            public one to a bearer token (YINZHENG_METRICS_TOKEN or _FILE); without either it is not there. How many
            licences a department issues and how often checks fail is nobody's business, and by a peer's address
            alone a service cannot tell a proxy on the same machine from its operator.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from fastapi import APIRouter, FastAPI, Request, Security
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.security import HTTPBearer

from trust.model.errors import NotFound, NotPermitted
from trust.web.answers import Answer
from trust.web.api import answers, problems

_log = logging.getLogger("yinzheng.health")
_METRICS_TOKEN = HTTPBearer(
    scheme_name="metricsToken", auto_error=False, description="YINZHENG_METRICS_TOKEN"
)


class Alive(Answer):
    status: Literal["ok"]


class Ready(Answer):
    """`parts`: whether each part works, by its name. `notes`: codes of what an operator should know."""

    status: Literal["ok", "not ready"]
    parts: dict[str, bool]
    notes: list[str]


class Version(Answer):
    name: Literal["yinzheng"]
    version: str


@dataclass(frozen=True, slots=True)
class Health:
    """What operators are answered.

    `parts`: whether each part works, by its name; one that raises does not. `notes`: codes of what an operator should
    know and what does not keep the service from its work. `metrics`: the exposition text and its media type. `token`:
    who shows it at the public address gets the metrics; None: nobody does.
    """

    parts: Mapping[str, Callable[[], object]]
    notes: Callable[[], Sequence[str]]
    metrics: Callable[[], tuple[str, str]]
    token: str | None

    def ready(self) -> dict[str, bool]:
        return {name: _works(name, question) for name, question in self.parts.items()}

    def metrics_for(self, request: Request) -> Response:
        """At the public address. Raises `NotFound` where no token was set, `NotPermitted` for a wrong one."""
        if self.token is None:
            raise NotFound("There is no such page.", "Check the address.")
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Compared in a time that does not tell how much of it is right.
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.token.encode()):
            raise NotPermitted(
                "Metrics are given to a token.",
                "Send it as `Authorization: Bearer …`.",
                code="UNAUTHENTICATED",
            )
        return self.metrics_answer()

    def metrics_answer(self) -> Response:
        text, media_type = self.metrics()
        return PlainTextResponse(text, media_type=media_type)


def health_router(health: Health) -> APIRouter:
    router = APIRouter()

    @router.get("/livez", tags=["operator"], operation_id="livez", response_model=Alive)
    def livez() -> Response:
        return JSONResponse({"status": "ok"})

    @router.get(
        "/readyz",
        tags=["operator"],
        operation_id="readyz",
        response_model=Ready,
        responses={503: {"model": Ready, "description": "a part does not work"}},
    )
    def readyz() -> Response:
        parts = health.ready()
        ready = all(parts.values())
        status = 200 if ready else 503
        return Response(
            json.dumps(
                {"status": "ok" if ready else "not ready", "parts": parts, "notes": list(health.notes())}
            ),
            status,
            media_type="application/json",
        )

    @router.get(
        "/metrics",
        tags=["operator"],
        operation_id="metrics",
        response_class=Response,
        responses={**problems(401, 404), 200: answers("text/plain", "the metrics")},
        dependencies=[Security(_METRICS_TOKEN)],
    )
    def read_metrics(request: Request) -> Response:
        """Counts and gauges in the form that Prometheus reads, to the operators' bearer token."""
        return health.metrics_for(request)

    @router.get("/version", tags=["operator"], operation_id="version", response_model=Version)
    def read_version() -> Response:
        try:
            return JSONResponse({"name": "yinzheng", "version": version("yinzheng")})
        except PackageNotFoundError:
            return JSONResponse({"name": "yinzheng", "version": "0"})

    return router


def metrics_app(health: Health) -> FastAPI:
    """What is served at the operators' own address: /metrics and nothing else."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/metrics")
    def read_metrics() -> Response:
        return health.metrics_answer()

    return app


def _works(name: str, question: Callable[[], object]) -> bool:
    try:
        return bool(question())
    except Exception as exc:  # whatever it is, the answer is "not ready"
        _log.error("a part of the service does not work: %s", name, exc_info=exc)
        return False
