"""Handing a licence over to an e-archive: what the register has, what proves it, and the checks on both.

1  gather   the newest file, its receipts, a fresh offline bundle
2  pack     the files and their manifest
3  check    the package as anybody would who gets it: alone, offline
4  report   goes in, the manifest is made anew; nothing else changes
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from issuer.archive.package import Record, package_files
from issuer.catalogue import load_profile
from keys.asn1 import embedded_receipt
from trust.app.compose import Service
from trust.encoding.archive_package import REPORT, decode_package, encode_package
from trust.model.ecertificate import IssuedECertificate
from trust.pdf.gap import check_gaps
from trust.words.language import Language
from trust.words.texts import show_time
from verifier.archive_package import (
    FourProperties,
    check_name,
    check_package,
    encode_four_properties,
)


@dataclass(frozen=True, slots=True)
class Exported:
    """The zip, and what its checks found. `later_versions`: 0 means that the file was never archived."""

    package: bytes
    checked: FourProperties
    later_versions: int


def export_package(service: Service, issued: IssuedECertificate) -> Exported:
    """The package of one e-certificate, in the state it has now. What its checks find is told, not raised."""
    at = service.clock.now()
    files = package_files(_record(service, issued), _bundle(service, at))
    draft = decode_package(encode_package(files, issued.identifier, at))
    checked = check_package(draft, service.sandbox, at)
    report = encode_four_properties(checked)
    files[f"{REPORT}.json"] = (
        json.dumps(report, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
    )
    languages: tuple[Language, ...] = ("zh-CN", "en")
    for language in languages:
        files[f"{REPORT}.{language}.html"] = four_properties_page(report, language).encode()
    later = sum(path.endswith(".der") for path in files) - 1
    return Exported(encode_package(files, issued.identifier, at), checked, later)


def four_properties_page(report: dict[str, Any], language: Language) -> str:
    """The report to print, from its JSON: one page that needs nothing beside it."""
    from trust.web.assets import make_templates

    side = 1 if language == "en" else 0
    return (
        make_templates(["trust.app.pages"])
        .get_template("four_properties.html")
        .render(
            report=report,
            language=language,
            words=_WORDS,
            side=side,
            name_of=lambda check: check_name(check, side),
            checked_at=show_time(datetime.fromisoformat(report["checked_at"]), language),
        )
    )


def _record(service: Service, issued: IssuedECertificate) -> Record:
    archiving, pid = service.archiving, issued.pid
    versions = archiving.versions(pid)
    return Record(
        issued=issued,
        profile=load_profile(issued.type_short),
        seal=service.seals.get(issued.seal_id),
        versions=versions,
        receipts=[receipt_of(service, pid, version.number) for version in versions],
        file=archiving.file(pid),
        ledger_origin=service.log.keys.origin,
    )


def receipt_of(service: Service, pid: bytes, number: int) -> bytes:
    """The receipt (DER) of a version; that of the issued file is inside it. Raises `NotFound`."""
    if number:
        return service.archiving.receipt(pid, number)
    found = embedded_receipt(check_gaps(service.issuing.issued_file(pid))[-1].cms)
    assert found is not None, "no file is ISSUED without its receipt"
    return found


def _bundle(service: Service, at: datetime) -> dict[str, bytes]:
    service.log.publish()
    return service.publishing.bundle(at)


_WORDS = {
    "title": ("电子档案四性检测报告", "Report on the four properties of an electronic record"),
    "record": ("证照标识", "Identifier"),
    "checked_at": ("检测时点", "As of"),
    "result": ("结论", "Result"),
    "check": ("检测项", "Check"),
    "detail": ("说明", "Detail"),
    "state": ("证照状态（不影响四性）", "State of the licence (no part of the four properties)"),
    "roots": ("信任根指纹（请与公布的核对）", "Trust roots (compare with the published ones)"),
    "PASSED": ("通过", "passed"),
    "FAILED": ("未通过", "failed"),
    "INDETERMINATE": ("无法确定", "cannot be told"),
    "NOT_CHECKED": ("未检测", "not checked"),
    "note": (
        "每项结果均由程序对移交包实际检测得出；四性名称见 DA/T 70-2018。可用 yinzheng archive check 重新检测。",
        "Every result is that of a check on the package itself; DA/T 70-2018 names the four properties. "
        "`yinzheng archive check` makes the checks again.",
    ),
}
