"""API keys and sessions over HTTP: listed and taken back by whoever has the scope `admin`, for all departments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse

from trust.app.compose import Service
from trust.model.errors import Conflict, NotPermitted
from trust.people.access import Access
from trust.people.api_clients import ApiCaller, ApiKey
from trust.people.sessions import OpenSession

CallerOf = Callable[[str | None, str], ApiCaller]
Authorization = Annotated[str | None, Header()]


def keys_router(service: Service, access: Access, caller: CallerOf) -> APIRouter:
    router = APIRouter(prefix="/access", tags=["operator"])

    def administrator(authorization: str | None) -> ApiCaller:
        who = caller(authorization, "admin")
        if who.authority_id is not None:
            raise NotPermitted(
                "The key is bound to a department, and keys of all departments stand here.",
                "Use a key that is bound to none.",
            )
        return who

    @router.get("/keys", operation_id="listApiKeys")
    def list_keys(authorization: Authorization = None) -> JSONResponse:
        """Every key that there is or was, without its secret."""
        administrator(authorization)
        now = service.clock.now()
        return _fresh({"keys": [key_json(key, now) for key in access.clients.list_api_keys()]})

    @router.post("/keys/{key_id}/revoke", operation_id="revokeApiKey")
    def revoke_key(key_id: str, authorization: Authorization = None) -> JSONResponse:
        """Ends a key and the sessions that it opened, at once and for good."""
        who = administrator(authorization)
        if key_id == who.key_id:
            raise Conflict("A key does not revoke itself.", "Use another, or the command line.")
        access.clients.revoke_api_key(key_id)
        access.trail.record(who.label, "revoke-key", None, None, key_id)
        now = service.clock.now()
        (revoked,) = (key for key in access.clients.list_api_keys() if key.key_id == key_id)
        return _fresh(key_json(revoked, now))

    @router.get("/sessions", operation_id="listSessions")
    def list_sessions(authorization: Authorization = None) -> JSONResponse:
        """Open sessions of counters and wallets; of whom a wallet is, does not stand here."""
        administrator(authorization)
        return _fresh({"sessions": [session_json(each) for each in access.sessions.list_sessions()]})

    @router.post("/sessions/{session_id}/end", operation_id="endSession")
    def end_session(session_id: str, authorization: Authorization = None) -> JSONResponse:
        """Ends a session at once, on every process."""
        who = administrator(authorization)
        ended = access.sessions.end_sessions(session_id=session_id)
        access.trail.record(who.label, "end-session", None, None, session_id)
        return _fresh({"ended": ended})

    return router


def key_json(key: ApiKey, now: datetime) -> dict[str, Any]:
    state = "revoked" if key.revoked_at is not None else "active" if key.expires_at > now else "expired"
    return {
        "id": key.key_id,
        "label": key.label,
        "authority": key.authority_id,
        "scopes": list(key.scopes),
        "state": state,
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at.isoformat(),
        "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
    }


def session_json(session: OpenSession) -> dict[str, Any]:
    return {
        "id": session.session_id,
        "kind": session.kind,
        "key": session.key_id,
        "expires_at": session.expires_at.isoformat(),
    }


def _fresh(answer: dict[str, Any]) -> JSONResponse:
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})
