"""Handing a licence over to an e-archive: the files of a package, from the register and with evidence.

The verifier checks the package and adds the report on its four properties; the roof connects the two.
"""

from __future__ import annotations

from dataclasses import dataclass

from issuer.archive.archiving import Archiving
from issuer.archive.package import ArchivedRecord, package_files
from issuer.catalogue import load_profile
from issuer.ecertificates.reading import Reading
from issuer.publishing.publishing import Publishing
from issuer.seals.registry import SealRegistry
from keys.asn1 import embedded_receipt
from ledger.log import Log
from trust.model.clock import Clock
from trust.model.ecertificate import IssuedECertificate
from trust.pdf.gap import check_gaps


@dataclass(frozen=True, slots=True)
class Exporting:
    """The use case."""

    log: Log
    clock: Clock
    registry: SealRegistry
    reading: Reading
    archiving: Archiving
    publishing: Publishing

    def files(self, issued: IssuedECertificate) -> dict[str, bytes]:
        """The files of a package by their paths in it: the newest file, its receipts, a fresh offline bundle."""
        self.log.publish()
        bundle = self.publishing.bundle(self.clock.now())
        return package_files(self._record(issued), bundle)

    def receipt(self, pid: bytes, number: int) -> bytes:
        """The receipt (DER) of a version; that of the issued file (0) is inside it. Raises `NotFound`."""
        if number:
            return self.archiving.receipt(pid, number)
        found = embedded_receipt(check_gaps(self.reading.issued_file(pid))[-1].cms)
        assert found is not None, "no file is ISSUED without its receipt"
        return found

    def _record(self, issued: IssuedECertificate) -> ArchivedRecord:
        pid = issued.pid
        versions = self.archiving.versions(pid)
        return ArchivedRecord(
            issued=issued,
            profile=load_profile(issued.type_short),
            seal=self.registry.get(issued.seal_id),
            versions=versions,
            receipts=[self.receipt(pid, version.number) for version in versions],
            file=self.archiving.file(pid),
            ledger_origin=self.log.keys.origin,
        )
