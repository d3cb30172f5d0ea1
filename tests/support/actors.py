"""Actors for tests."""

from __future__ import annotations

import hmac

from trust.audit.trail import Trail
from trust.model.actor import SCOPES, Actor, ActorKind
from trust.model.clock import Clock, SystemEntropy
from trust.storage.sql import Database


def client_of(authority_id: str | None, key_id: str = "abcdefghij") -> Actor:
    """A client of a department that may do everything that keys can allow."""
    return Actor(ActorKind.CLIENT, key_id, authority_id, "its system", frozenset(SCOPES))


def trail_of(database: Database, clock: Clock) -> Trail:
    """An audit trail with MACs under a key of its own."""
    return Trail(database, clock, SystemEntropy(), lambda data: hmac.digest(b"audit trail", data, "sha256"))
