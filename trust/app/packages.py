"""Handing a licence over to an e-archive: the issuer makes the package, the verifier checks it and adds its report."""

from __future__ import annotations

from dataclasses import dataclass

from issuer.service import IssuerService
from trust.audit.trail import Act, Trail
from trust.model.actor import Actor
from trust.sandbox.workers import Sandbox
from verifier.pages.four_properties import four_properties_page
from verifier.reports.packages import Exported, add_report


@dataclass(frozen=True, slots=True)
class Packages:
    """`verifier.service.PackageService` of this deployment."""

    issuer: IssuerService
    trail: Trail
    sandbox: Sandbox

    def export_package(self, actor: Actor, identifier: str) -> Exported:
        issuer = self.issuer
        issued = issuer.looking_up.get(actor, issuer.issuing.named(identifier).pid)
        self.trail.note(actor.ref, Act("export-package", "given", issued.pid))
        files = issuer.exporting.files(issued)
        return add_report(files, issued.identifier, issuer.clock.now(), self.sandbox, four_properties_page)
