"""API keys and sessions for administrators, as JSON for the API and for commands."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from trust.people.api_clients import ApiKey
from trust.people.sessions import OpenSession


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
