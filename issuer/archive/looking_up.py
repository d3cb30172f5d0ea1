"""Looking up what was issued, for those who may: an authority sees its own e-certificates, and no others exist for it.

That somebody was given a file or a receipt is written down in the audit trail before it is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from issuer.archive.archiving import ArchivedVersion, Archiving
from issuer.archive.exporting import Exporting
from issuer.ecertificates.reading import Reading
from trust.audit.trail import Act, Trail, refusal_of
from trust.model.actor import Actor, Permission
from trust.model.ecertificate import IssuedECertificate
from trust.model.errors import NotFound


@dataclass(frozen=True, slots=True)
class LookingUp:
    """The use cases. Each raises `NotPermitted`, and the same `NotFound` for another authority's e-certificate as for
    one that does not exist."""

    reading: Reading
    archiving: Archiving
    exporting: Exporting
    trail: Trail

    def get(self, actor: Actor, pid: bytes) -> IssuedECertificate:
        """An e-certificate by its public id."""
        actor.check_may(Permission.READ)
        return self.own(actor, pid, "read")

    def find(self, actor: Actor, identifier: str) -> IssuedECertificate:
        """An e-certificate by its identifier."""
        actor.check_may(Permission.READ)
        return self.own(actor, self.reading.issued(identifier=identifier).pid, "read")

    def file(self, actor: Actor, pid: bytes, version: int | None) -> bytes:
        """A version of the file; 0 is the issued one, None the newest."""
        found = self.get(actor, pid)
        file = self.archiving.file(found.pid, version)
        self.trail.note(actor.ref, Act("read-file", "given", found.pid))
        return file

    def versions(self, actor: Actor, pid: bytes, after: int | None, limit: int) -> Sequence[ArchivedVersion]:
        """Up to `limit` of the issued file and its later versions, in their order, behind that with the number
        `after`."""
        found = self.get(actor, pid)
        listed = self.archiving.page_of_versions(found.pid, after, limit)
        self.trail.note(actor.ref, Act("list-versions", "given", found.pid))
        return listed

    def receipt(self, actor: Actor, pid: bytes, version: int) -> bytes:
        """The ledger receipt of one version (DER, `trust.encoding.receipt`)."""
        found = self.get(actor, pid)
        der = self.exporting.receipt(found.pid, version)
        self.trail.note(actor.ref, Act("read-receipt", "given", found.pid))
        return der

    def own(self, actor: Actor, pid: bytes, action: str) -> IssuedECertificate:
        """An e-certificate that the actor is about to act on; that somebody tried with another authority's is written
        down."""
        found = self.reading.issued(pid=pid)
        if not actor.sees(found.authority_id):
            missing = NotFound("There is no such e-certificate.", "Check the public id.")
            self.trail.note(actor.ref, Act(action, refusal_of(missing), pid))
            raise missing
        return found
