"""API keys and sessions over HTTP: clients with the scope `admin` list and revoke those of all departments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from trust.admin.answers import ApiKeyAnswer, ApiKeys, EndedSessions, OpenSessions
from trust.admin.service import AdminService
from trust.admin.shown import key_json, session_json
from trust.model.actor import Actor, Permission
from trust.web.api import API, KEY, Authorization, needs, problems
from trust.web.paging import LINK, USUAL_LIMIT, After, Limit, cut, page_answer, read_cursor

CallerOf = Callable[[str | None, Permission], Actor]


def keys_router(service: AdminService, caller: CallerOf) -> APIRouter:
    access = service.access
    router = APIRouter(prefix=f"{API}/access", tags=["operator"])

    def administrator(authorization: str | None) -> Actor:
        return caller(authorization, Permission.ADMINISTER)

    @router.get(
        "/keys",
        operation_id="listApiKeys",
        openapi_extra=needs(Permission.ADMINISTER),
        response_model=ApiKeys,
        responses={**problems(*KEY, 422), 200: {"headers": LINK}},
    )
    def list_keys(
        request: Request, authorization: Authorization, after: After = None, limit: Limit = USUAL_LIMIT
    ) -> JSONResponse:
        """Every key that there is or was, without its secret."""
        who = administrator(authorization)
        now = service.clock.now()
        found = access.clients.page_of_api_keys(who, read_cursor(after), limit + 1)
        page, cursor = cut(found, limit, lambda key: key.key_id)
        return page_answer(request, "keys", [key_json(key, now) for key in page], cursor)

    @router.post(
        "/keys/{key_id}/revoke",
        operation_id="revokeApiKey",
        openapi_extra=needs(Permission.ADMINISTER),
        response_model=ApiKeyAnswer,
        responses=problems(*KEY, 404, 409),
    )
    def revoke_key(key_id: str, authorization: Authorization) -> JSONResponse:
        """Ends a key and the sessions that it opened, at once and for good."""
        who = administrator(authorization)
        access.clients.revoke_api_key(who, key_id)
        now = service.clock.now()
        (revoked,) = (key for key in access.clients.list_api_keys(who) if key.key_id == key_id)
        return _fresh(key_json(revoked, now))

    @router.get(
        "/sessions",
        operation_id="listSessions",
        openapi_extra=needs(Permission.ADMINISTER),
        response_model=OpenSessions,
        responses={**problems(*KEY, 422), 200: {"headers": LINK}},
    )
    def list_sessions(
        request: Request, authorization: Authorization, after: After = None, limit: Limit = USUAL_LIMIT
    ) -> JSONResponse:
        """Open sessions of counters and wallets; of whom a wallet is, does not stand here."""
        who = administrator(authorization)
        found = access.sessions.page_of_sessions(who, read_cursor(after), limit + 1)
        page, cursor = cut(found, limit, lambda session: session.session_id)
        return page_answer(request, "sessions", [session_json(each) for each in page], cursor)

    @router.post(
        "/sessions/{session_id}/end",
        operation_id="endSession",
        openapi_extra=needs(Permission.ADMINISTER),
        response_model=EndedSessions,
        responses=problems(*KEY, 404),
    )
    def end_session(session_id: str, authorization: Authorization) -> JSONResponse:
        """Ends a session at once, on every process."""
        who = administrator(authorization)
        ended = access.sessions.end_sessions(who, session_id=session_id)
        return _fresh({"ended": ended})

    return router


def _fresh(answer: dict[str, Any]) -> JSONResponse:
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})
