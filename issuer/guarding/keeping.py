"""What an operator does when the register and the ledger differ, as after a restore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from issuer.ecertificates.documents import Documents
from issuer.guarding.gaps import follow_ledger
from issuer.guarding.guarding import RegisterGuard
from issuer.guarding.register_check import RegisterFinding, check_register
from issuer.publishing.auditing import ListFinding, audit_status_lists
from ledger.log import Log
from trust.audit.trail import Act, Trail
from trust.model.actor import Actor
from trust.model.clock import Clock
from trust.storage.sql import Database


@dataclass(frozen=True, slots=True)
class RegisterKeeping:
    """The use cases."""

    database: Database
    documents: Documents
    log: Log
    clock: Clock
    trail: Trail
    guard: RegisterGuard

    def check(self) -> Sequence[RegisterFinding]:
        """Compares every row with the ledger and with its MAC, documents and their files included."""
        return check_register(self.database, self.log, self.guard, documents=self.documents)[1]

    def differing(self) -> Sequence[tuple[str, str]]:
        """Table and key of every row that is not what the ledger says."""
        return self.guard.differing()

    @property
    def is_behind(self) -> bool:
        """True if the ledger has an entry about the register that the register does not know."""
        return self.guard.lost_entry is not None

    def accept(self, actor: Actor) -> None:
        """The rows count as they are from now on; recorded in the ledger."""
        self.guard.enrol()
        self.trail.note(actor.ref, Act("register.accept", "done"))

    def follow_ledger(self) -> int:
        """Gives e-certificates the status again that the ledger says; the number of those that changed."""
        return follow_ledger(self.database, self.log, self.clock)

    def audit_status_lists(self) -> tuple[int, Sequence[ListFinding]]:
        """Makes the published status lists again out of the entries: their number, and where they differ."""
        return audit_status_lists(self.database, self.log.entries(), self.log.keys)
