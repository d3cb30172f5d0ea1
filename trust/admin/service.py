"""What the administrators' faces are handed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from trust.terminal.opening import Facade

if TYPE_CHECKING:  # a command that opens nothing runs in the base install, where there is no database library
    from trust.model.clock import Clock
    from trust.model.ecertificate import IssuingAuthority
    from trust.people.access import Access


class AuthorityLookup(Protocol):
    """The authorities that keys may be bound to."""

    def get(self, authority_id: str) -> IssuingAuthority:
        """Raises `NotFound`."""


class AdminService(Protocol):
    """Who may, and what was done."""

    @property
    def clock(self) -> Clock: ...
    @property
    def access(self) -> Access: ...
    @property
    def authorities(self) -> AuthorityLookup: ...


ADMIN: Facade[AdminService] = Facade("admin")
