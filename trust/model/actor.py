"""Who acts, and what they may do.

Every use case takes the actor first and checks the permission itself, so that a new face cannot forget to. What is
written down about an actor, in the audit trail and beside an operation, is an `ActorRef`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from trust.model.errors import NotPermitted


class ActorKind(StrEnum):
    """PERSON: somebody with an account. CLIENT: the API key of another system. HOLDER: with their wallet. DEVICE: a
    counter or a reader at a gate. OPERATOR: at the machine's command line. SYSTEM: rounds of the service itself.
    PUBLIC: anybody, unnamed."""

    PERSON = "person"
    CLIENT = "client"
    HOLDER = "holder"
    DEVICE = "device"
    OPERATOR = "operator"
    SYSTEM = "system"
    PUBLIC = "public"


class Permission(StrEnum):
    """What may be done. The values of those that an API key may have are its scopes."""

    ISSUE = "cert.issue"
    CHANGE_STATUS = "cert.status"
    READ = "cert.read"
    PRESENT = "cert.present"
    VERIFY = "verify"
    DESK = "desk"
    HANDLE_SEALS = "seal"
    REVIEW_SEALS = "seal.review"
    ADMINISTER = "admin"
    ERASE = "cert.erase"
    ARCHIVE = "cert.archive"
    SET_UP = "set-up"
    """Authorities, CAs, certificates from outside, compromises, members, keys of the ledger."""


SCOPES: Final = (
    Permission.ISSUE,
    Permission.CHANGE_STATUS,
    Permission.READ,
    Permission.PRESENT,
    Permission.VERIFY,
    Permission.DESK,
    Permission.HANDLE_SEALS,
    Permission.REVIEW_SEALS,
    Permission.ADMINISTER,
)
"""The permissions that an API key may have, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class ActorRef:
    """What is written down about an actor.

    `ref` is "<kind>:<id>", such as "client:k3xy7abcde" or "operator:root". `organisation` is the id of the authority
    for which it acts, None for no particular one. `name` is what people are shown: the label of a key, never the name
    of a holder.
    """

    ref: str
    organisation: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something that acts. `organisation` None: not bound to one authority."""

    kind: ActorKind
    actor_id: str
    organisation: str | None
    name: str
    permissions: frozenset[Permission]

    @property
    def ref(self) -> ActorRef:
        return ActorRef(
            f"{self.kind}:{self.actor_id}" if self.actor_id else self.kind, self.organisation, self.name
        )

    @property
    def caller(self) -> str:
        """The name by which a seal's policy knows the actor: the id of an API key, or "operator"."""
        return "operator" if self.kind in (ActorKind.OPERATOR, ActorKind.SYSTEM) else self.actor_id

    @property
    def account(self) -> str:
        """The account by which persons are told apart where an act needs two: the id of an API key, or who acts at the
        command line."""
        return self.actor_id or self.kind

    def check_may(self, permission: Permission, authority_id: str | None = None) -> None:
        """Raises `NotPermitted` without the permission, or if it is one for another authority only."""
        if permission not in self.permissions:
            raise NotPermitted(
                f"The key has no scope {permission}.", "Ask the operator for a key that has it."
            )
        if authority_id is not None and self.organisation not in (None, authority_id):
            raise NotPermitted("This key cannot act for another authority.", "Use that authority's key.")

    def sees(self, authority_id: str) -> bool:
        """True if what belongs to this authority may be shown at all; to others it does not exist."""
        return self.organisation in (None, authority_id)


def operator(login: str = "") -> Actor:
    """The actor of the machine's own command line, who may do everything. `login` is the account on the machine."""
    return Actor(ActorKind.OPERATOR, login, None, "", frozenset(Permission))


OPERATOR: Final = operator()
SYSTEM: Final = Actor(ActorKind.SYSTEM, "", None, "", frozenset(Permission))
"""The rounds of the service itself, which carry on what others decided."""
HOLDER: Final = Actor(ActorKind.HOLDER, "", None, "", frozenset({Permission.PRESENT}))
"""A holder with their own wallet; who, is not written down."""
PUBLIC: Final = Actor(ActorKind.PUBLIC, "", None, "", frozenset({Permission.VERIFY}))
