"""The facade that the administrators' faces are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trust.terminal.opening import Facade

if TYPE_CHECKING:  # commands that open nothing run in the base install, which has no database library
    from trust.audit.sealer import Sealer
    from trust.model.clock import Clock
    from trust.model.ecertificate import IssuingAuthority
    from trust.people.access import Access


class AuthorityLookup(Protocol):
    """The issuing authorities to which API keys may be bound."""

    def get(self, authority_id: str) -> IssuingAuthority:
        """Raises `NotFound`."""


@dataclass(frozen=True, slots=True)
class AdminService:
    """API keys, sessions, and the audit trail."""

    clock: Clock
    access: Access
    sealer: Sealer
    authorities: AuthorityLookup


ADMIN: Facade[AdminService] = Facade("admin")
