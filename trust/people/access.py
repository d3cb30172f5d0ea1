"""Access control in one object: API clients, sessions, invitations, and the audit trail."""

from __future__ import annotations

from dataclasses import dataclass

from trust.audit.trail import Trail
from trust.model.clock import Clock, Entropy
from trust.people.api_clients import ApiClients
from trust.people.invitations import Invitations
from trust.people.sessions import Sessions
from trust.storage.sql import Database


@dataclass(frozen=True, slots=True)
class Access:
    """The access control that the faces are given."""

    clients: ApiClients
    sessions: Sessions
    invitations: Invitations
    trail: Trail


def open_access(database: Database, clock: Clock, entropy: Entropy, trail: Trail) -> Access:
    clients = ApiClients(database, clock, entropy, trail)
    return Access(
        clients,
        Sessions(database, clock, entropy, trail, clients),
        Invitations(database, clock, entropy, trail),
        trail,
    )
