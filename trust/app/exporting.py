"""The package for an e-archive: the issuer gathers what is in it, the verifier checks it and adds its report."""

from __future__ import annotations

from trust.app.compose import Service
from trust.model.ecertificate import IssuedECertificate
from verifier.exporting import Exported, add_report
from verifier.pages.four_properties import four_properties_page


def export_package(service: Service, issued: IssuedECertificate) -> Exported:
    """The package of one e-certificate, in the state it has now."""
    files = service.exporting.files(issued)
    at = service.clock.now()
    return add_report(files, issued.identifier, at, service.sandbox, four_properties_page)
