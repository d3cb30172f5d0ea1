"""What administrators are answered over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from trust.model.actor import Permission
from trust.web.answers import Answer
from trust.web.paging import Paged


class ApiKeyAnswer(Answer):
    """An API key without its secret."""

    id: str
    label: str
    authority: str | None = Field(description="null: of no single department")
    scopes: list[Permission]
    state: Literal["active", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


class ApiKeys(Paged):
    keys: list[ApiKeyAnswer]


class SessionAnswer(Answer):
    """An open session. Whose a wallet is does not stand here."""

    id: str
    kind: Literal["wallet", "desk"]
    key: str | None = Field(description="the key that opened a counter's session")
    expires_at: datetime


class OpenSessions(Paged):
    sessions: list[SessionAnswer]


class EndedSessions(Answer):
    ended: int = Field(ge=1)
