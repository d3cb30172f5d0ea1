"""The facade that the issuer's faces are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trust.terminal.opening import Facade

if TYPE_CHECKING:  # commands that open nothing run in the base install, which has no database library
    from collections.abc import Mapping

    from issuer.archive.archiving import Archiving
    from issuer.archive.exporting import Exporting
    from issuer.archive.looking_up import LookingUp
    from issuer.authorities.register import Authorities
    from issuer.compromises.compromises import Compromises
    from issuer.compromises.resealing import Resealing
    from issuer.ecertificates.applying import Applying
    from issuer.ecertificates.issuing import Issuing
    from issuer.ecertificates.statuses import Statuses
    from issuer.erasing.erasing import Erasing
    from issuer.guarding.keeping import RegisterKeeping
    from issuer.pki.identities import SealIdentities
    from issuer.pki.ocsp import Ocsp
    from issuer.pki.outside_crls import OutsideCrls
    from issuer.pki.pki import Pki
    from issuer.presenting.presenting import Presenting
    from issuer.publishing.publishing import Publishing
    from issuer.seals.lifecycle import Seals
    from trust.model.clock import Clock
    from trust.people.invitations import Invitations
    from trust.sandbox.workers import Sandbox


@dataclass(frozen=True, slots=True)
class IssuerService:
    """The issuer's use cases. `issuer.opening` makes it."""

    clock: Clock
    base_url: str
    """The address of this service, without a slash at the end."""
    authorities: Authorities
    pki: Pki
    identities: SealIdentities
    outside_crls: OutsideCrls
    ocsp: Ocsp
    seals: Seals
    applying: Applying
    issuing: Issuing
    statuses: Statuses
    erasing: Erasing
    compromises: Compromises
    resealing: Resealing
    archiving: Archiving
    exporting: Exporting
    looking_up: LookingUp
    presenting: Presenting
    publishing: Publishing
    invitations: Invitations
    register: RegisterKeeping
    drawing: Sandbox
    """Draws pages of genuine files."""
    member_files: Callable[[], Mapping[str, bytes]]
    """The lists of members, as files of an offline bundle by their names in it."""


ISSUER: Facade[IssuerService] = Facade("issuer")
