"""The facade that the verifier's faces are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from trust.terminal.opening import Facade

if TYPE_CHECKING:  # a command that opens nothing runs in the base install, where there is no database library
    from trust.model.actor import Actor
    from trust.model.clock import Clock
    from verifier.checking import Checking
    from verifier.membership.keeping import MemberBundles
    from verifier.ports import Entries, Lists, Names, Size
    from verifier.reports.filing import Reporting
    from verifier.reports.packages import Exported
    from verifier.sight import Sights


@dataclass(frozen=True, slots=True)
class VerifierService:
    """The verifier's use cases, and the ports that its faces use directly. `verifier.opening` makes it."""

    clock: Clock
    checking: Checking
    reporting: Reporting
    sights: Sights
    member_bundles: MemberBundles
    members: Entries
    lists: Lists
    names: Names
    ledger_size: Size
    """The size of the ledger, for the home page."""
    report_form_key: bytes = field(repr=False)
    """The key that authenticates a report that a page carries from one form to the next."""


class PackageService(Protocol):
    """Packages for an e-archive, which the issuer makes and the verifier checks."""

    def export_package(self, actor: Actor, identifier: str) -> Exported:
        """The package of one e-certificate in its current state. Raises `NotFound`."""


VERIFIER: Facade[VerifierService] = Facade("verifier")
CHECKING: Facade[VerifierService] = Facade("checking")
"""The same, for commands that change nothing; opening it makes no request to the outside."""
PACKAGES: Facade[PackageService] = Facade("packages")
