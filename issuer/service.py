"""The facade that the issuer's faces are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

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
    from issuer.guarding.guarding import RegisterGuard
    from issuer.pki.identities import SealIdentities
    from issuer.pki.ocsp import Ocsp
    from issuer.pki.outside_crls import OutsideCrls
    from issuer.pki.pki import Pki
    from issuer.presenting.presenting import Presenting
    from issuer.publishing.publishing import Publishing
    from issuer.seals.lifecycle import Seals
    from ledger.log import Log
    from trust.model.clock import Clock
    from trust.people.access import Access
    from trust.sandbox.lanes import Sandboxes
    from trust.storage.sql import Database


class IssuerService(Protocol):
    """The issuer's use cases, and the parts that they use."""

    @property
    def clock(self) -> Clock: ...
    @property
    def database(self) -> Database: ...
    @property
    def log(self) -> Log: ...
    @property
    def guard(self) -> RegisterGuard: ...
    @property
    def authorities(self) -> Authorities: ...
    @property
    def pki(self) -> Pki: ...
    @property
    def seals(self) -> Seals: ...
    @property
    def identities(self) -> SealIdentities: ...
    @property
    def outside_crls(self) -> OutsideCrls: ...
    @property
    def ocsp(self) -> Ocsp: ...
    @property
    def applying(self) -> Applying: ...
    @property
    def issuing(self) -> Issuing: ...
    @property
    def statuses(self) -> Statuses: ...
    @property
    def erasing(self) -> Erasing: ...
    @property
    def archiving(self) -> Archiving: ...
    @property
    def looking_up(self) -> LookingUp: ...
    @property
    def exporting(self) -> Exporting: ...
    @property
    def compromises(self) -> Compromises: ...
    @property
    def resealing(self) -> Resealing: ...
    @property
    def presenting(self) -> Presenting: ...
    @property
    def publishing(self) -> Publishing: ...
    @property
    def access(self) -> Access: ...
    @property
    def sandboxes(self) -> Sandboxes: ...
    @property
    def base_url(self) -> str:
        """The address of this service, without a slash at the end."""

    def member_files(self) -> Mapping[str, bytes]:
        """The lists of members, as files of an offline bundle by their names in it."""


ISSUER: Facade[IssuerService] = Facade("issuer")
