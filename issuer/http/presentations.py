"""Presentations over HTTP, for a department's own app; holders use their wallet."""

from __future__ import annotations

from datetime import timedelta

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from issuer.http.answers import StartedPresentation
from issuer.presenting.presenting import Level
from issuer.service import IssuerService
from trust.model.actor import Permission
from trust.web.api import (
    API,
    BODY,
    KEY,
    Authorization,
    Body,
    Callers,
    needs,
    private,
    problems,
    read_pid,
)


class PresentBody(Body):
    pid: str = Field(pattern="^[0-9a-f]{32}$", examples=["b5ed1393952db919726bc0fcfefcda45"])
    purpose: str = Field(min_length=1, max_length=60, examples=["办理延续"])
    level: int = Field(default=1, ge=0, le=3)
    audience: str | None = Field(default=None, max_length=64)
    ttl_seconds: int = Field(default=300, ge=15, le=300)


def presentations_router(service: IssuerService, callers: Callers) -> APIRouter:
    router = APIRouter(prefix=API)

    @router.post(
        "/presentations",
        status_code=201,
        operation_id="startPresentation",
        openapi_extra=needs(Permission.PRESENT),
        tags=["holder"],
        response_model=StartedPresentation,
        responses=problems(*KEY, 404, 409, *BODY),
    )
    def present(body: PresentBody, authorization: Authorization) -> Response:
        """Begins to show an e-certificate, for a department's own app; holders use their wallet."""
        who = callers.check(authorization, Permission.PRESENT)
        shown = service.presenting.start(
            who,
            read_pid(body.pid),
            purpose=body.purpose,
            level=Level(body.level),
            audience=body.audience,
            ttl=timedelta(seconds=body.ttl_seconds),
        )
        code, changes_at = service.presenting.code(shown, service.clock.now())
        return private(
            {"code": code, "changes_at": changes_at.isoformat(), "ends_at": shown.expires_at.isoformat()}, 201
        )

    return router
