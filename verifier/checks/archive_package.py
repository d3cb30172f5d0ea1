"""Checking a package that is handed over to an e-archive, alone and offline: the four properties 四性.

DA/T 70-2018 names them: 真实性 authenticity, 完整性 integrity, 可用性 usability, 安全性 safety. Each is as good as the
worst of its checks, and a check that could not be made is not passed.

    authenticity   seal, certificates, time-stamps, entitlement; the ledger receipt of every version
    integrity      nothing is missing, added or changed: the package by its manifest, the file by its seal, each
                   version by the digest in the metadata, the metadata by the data that were sealed
    usability      the file opens, every page is drawn, fonts are in it, it claims to be PDF/A
    safety         no active content, no encryption, nothing that is kept elsewhere, no more than can be handled

Whether the licence is in force does not decide the result, because archives also keep revoked and expired licences;
it is stated among the facts. The report inside the package is not read: every check is made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from trust.encoding.archive_package import (
    EVIDENCE,
    LICENCE,
    MAX_PACKAGE_BYTES,
    METADATA_JSON,
    METADATA_XML,
    Package,
    decode_metadata,
    encode_metadata,
    receipt_paths,
)
from trust.encoding.digests import sha256, sm3
from trust.encoding.ecertificate_data import ECertificateData, decode_ecertificate_data
from trust.encoding.trust_list import TrustList, encode_trust_list
from trust.model.errors import Malformed, OperationalError, TrustError, VerificationError
from trust.model.report import Finding, Report, Result, Verdict, decide
from trust.pdf.limits import MAX_FILE_BYTES
from trust.sandbox.workers import Sandbox
from trust.words.language import Language
from trust.words.texts import find_text, text
from verifier import sentences
from verifier.checks.archived_file import ArchivedVersions, decode_versions
from verifier.checks.readability import Readability, decode_readability
from verifier.checks.verifying import Verifier, checks_of_the_seal
from verifier.evidence.bundle import PackedBundle, decode_roots, evidence_from_bundle
from verifier.evidence.evidence import Evidence
from verifier.evidence.trust_list import root_fingerprint

_ABOUT_THE_LICENCE = ("status", "validity")
_INTEGRITY_OF_FILE = ("file.gap", "file.structure", "file.versions", "archive.versions")
_SAFETY_OF_FILE = ("file.active-content",)
_LEAST_FIELDS = (
    "ZZBS", "ZZMC", "ZZLXDM", "ZZBH", "ZZBFJG", "ZZBFJGDM", "ZZBFRQ", "ZZYXQQSRQ", "ZZYXQJZRQ",
    "CZZT", "CZZTDM", "CZZTDMLXDM",
)  # fmt: skip
"""The fields of GB/T 36903 that a licence of any type has here."""


class Property(StrEnum):
    AUTHENTICITY = "authenticity"
    INTEGRITY = "integrity"
    USABILITY = "usability"
    SAFETY = "safety"


@dataclass(frozen=True, slots=True)
class Judged:
    """One property, its result, and the findings of every check that counts towards it."""

    property: Property
    result: Verdict
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True)
class FourProperties:
    """The result of `check_package`. `checked_at` is the time it holds for; `report` is the verifier's on the file."""

    identifier: str
    checked_at: datetime
    result: Verdict
    properties: Sequence[Judged]
    report: Report
    facts: Mapping[str, Any]


def check_package(
    package: Package, sandbox: Sandbox, at: datetime, *, roots: Sequence[bytes] = ()
) -> FourProperties:
    """Runs all checks on a package as of `at`. `roots` are the pinned roots; if empty, the package's own are used."""
    licence = package.files.get(LICENCE, b"")
    evidence = _evidence(package, at, roots)
    report = Verifier(sandbox, live=None).verify_bytes(licence, evidence, at)
    metadata, described = _metadata(package)
    versions = _versions(package, sandbox, evidence.trust_list, licence, len(_listed_versions(metadata)))
    readable = _readability(sandbox, licence)
    seal = [each for each in report.findings if each.check not in _ABOUT_THE_LICENCE]
    whole = [each for each in (*seal, *versions.findings) if each.check in _INTEGRITY_OF_FILE]
    # A changed file has neither integrity nor authenticity, so these findings count for both.
    genuine = [each for each in (*seal, *versions.findings) if each.check not in _SAFETY_OF_FILE]
    needed = [check for check in checks_of_the_seal() if check not in _SAFETY_OF_FILE]
    wanted = [f"archive.receipt.{n}" for n in range(max(1, len(versions.sha256)))]
    properties = (
        _judged(Property.AUTHENTICITY, genuine, [*needed, *wanted]),
        _judged(
            Property.INTEGRITY,
            [
                *_manifest_findings(package),
                *whole,
                *described,
                *_metadata_findings(metadata, readable.data, evidence.trust_list),
                _receipts_finding(package, metadata),
                _versions_finding(metadata, versions),
            ],
            ("file.gap", "file.structure"),
        ),
        _judged(Property.USABILITY, readable.usable, ("file.opens", "file.drawn", "file.fonts", "file.pdfa")),
        _judged(
            Property.SAFETY,
            [
                *(each for each in seal if each.check in _SAFETY_OF_FILE),
                *readable.safe,
                _size_finding(package),
            ],
            ("file.no-active-content", "file.not-encrypted", "file.no-external"),
        ),
    )
    results = {each.result for each in properties}
    result = next((each for each in _WORST_FIRST if each in results), Verdict.PASSED)
    facts = {**readable.facts, "versions": len(versions.sha256), "roots": _roots_of(package)}
    return FourProperties(package.manifest.identifier, at, result, properties, report, facts)


_WORST_FIRST = (Verdict.FAILED, Verdict.INDETERMINATE)


def encode_four_properties(found: FourProperties) -> dict[str, Any]:
    """The result as JSON values, for machines and for the printed report."""
    about = {each.check: each for each in found.report.findings if each.check in _ABOUT_THE_LICENCE}
    return {
        "schema": "yinzheng-four-properties-1",
        "identifier": found.identifier,
        "checked_at": found.checked_at.isoformat(),
        "result": found.result.value,
        "properties": [
            {
                "name": each.property.value,
                "name_zh": property_name(each.property, "zh-CN"),
                "name_en": property_name(each.property, "en"),
                "result": each.result.value,
                "checks": [
                    {
                        "check": finding.check,
                        "result": finding.result.value,
                        "code": finding.code,
                        "detail": finding.detail,
                    }
                    for finding in each.findings
                ],
            }
            for each in found.properties
        ],
        "licence": {
            "status": found.report.facts.get("status"),
            "validity": about["validity"].code if "validity" in about else None,
            "verdict": found.report.verdict.value,
            "code": found.report.code,
            "seal": found.report.facts.get("seal"),
        },
        "facts": dict(found.facts),
    }


def property_name(name: Property, language: Language) -> str:
    return text(language, f"package.property.{name}")


def check_name(check: str, language: Language) -> str:
    """The name of any check in a report on four properties: of the package, or of the verifier."""
    stem, _, number = check.rpartition(".")
    if number.isdigit() and (named := find_text(language, f"package.check.{stem}")):
        return f"{named} {number}"
    return find_text(language, f"package.check.{check}") or sentences.check_name(check, language) or check


# --- Gathering ---


def _evidence(package: Package, at: datetime, roots: Sequence[bytes]) -> Evidence:
    """The evidence from the bundle in the package. A bad bundle becomes a finding among the evidence's problems."""
    try:
        return evidence_from_bundle(PackedBundle(package.files, EVIDENCE), at, roots=roots)
    except TrustError as exc:
        return Evidence.without_list(Finding("evidence.bundle", Result.INDETERMINATE, exc.code, exc.what))


def _versions(
    package: Package, sandbox: Sandbox, trust_list: TrustList | None, licence: bytes, count: int
) -> ArchivedVersions:
    if trust_list is None or len(licence) > MAX_FILE_BYTES:
        finding = Finding("archive.receipt.0", Result.INDETERMINATE, "NOT_PROVEN", "not looked at")
        return ArchivedVersions((finding,), ())
    paths = [path for number in range(max(1, count)) for path in receipt_paths(number)]
    blobs = [package.files.get(path, b"") for path in paths]
    try:
        given = [licence, encode_trust_list(trust_list), *blobs]
        return sandbox.run("archived-versions", {}, given, decode_versions)
    except OperationalError:
        raise  # the service's own fault; says nothing about the file
    except TrustError as exc:
        return ArchivedVersions((Finding("archive.versions", Result.INDETERMINATE, exc.code, exc.what),), ())


def _readability(sandbox: Sandbox, licence: bytes) -> Readability:
    if len(licence) > MAX_FILE_BYTES:
        large = Finding("file.size", Result.FAILED, "TOO_LARGE", f"{len(licence)} bytes")
        return Readability((), (large,), {"size": len(licence)}, None)
    try:
        return sandbox.run("archived-file", {}, [licence], decode_readability)
    except OperationalError:
        raise
    except TrustError as exc:
        failed = Finding("file.opens", Result.FAILED, exc.code, exc.what)
        return Readability((failed,), (), {"size": len(licence)}, None)


def _metadata(package: Package) -> tuple[dict[str, Any], list[Finding]]:
    try:
        tree = decode_metadata(package.files.get(METADATA_JSON, b""))
        if encode_metadata(tree)[1] != package.files.get(METADATA_XML):
            raise VerificationError("metadata.xml says something else than metadata.json.", code="ALTERED")
    except TrustError as exc:
        return {}, [Finding("metadata.form", Result.FAILED, exc.code, exc.what)]
    return tree, [Finding("metadata.form", Result.PASSED)]


# --- Judging ---


def _judged(name: Property, findings: Sequence[Finding], required: Sequence[str]) -> Judged:
    verdict, _ = decide(findings, required)
    return Judged(name, verdict, tuple(findings))


def _manifest_findings(package: Package) -> list[Finding]:
    listed = {each.path: each for each in package.manifest.files}
    there = {*package.files, *package.damaged}
    missing, added = sorted(listed.keys() - there), sorted(there - listed.keys())
    changed = [
        path
        for path, each in sorted(listed.items())
        if path in package.files
        and (each.size, each.sha256, each.sm3)
        != (len(package.files[path]), sha256(package.files[path]).hex(), sm3(package.files[path]).hex())
    ]
    changed += package.damaged
    whole = "; ".join(
        f"{what}: {', '.join(paths)}" for what, paths in (("missing", missing), ("added", added)) if paths
    )
    twice = len(listed) != len(package.manifest.files)
    return [
        Finding("package.files", Result.FAILED, "ALTERED", whole or "a file is listed twice")
        if whole or twice
        else Finding("package.files", Result.PASSED, detail=f"{len(listed)} files"),
        Finding("package.digests", Result.FAILED, "ALTERED", ", ".join(changed))
        if changed
        else Finding("package.digests", Result.PASSED, detail="SHA-256, SM3"),
    ]


def _metadata_findings(
    metadata: Mapping[str, Any], data: bytes | None, trust_list: TrustList | None
) -> list[Finding]:
    """Checks that the metadata match the sealed data and have every field that the type requires."""
    try:
        sealed = decode_ecertificate_data(data or b"")
        licence = metadata["licence"]
        fields, required = licence["fields"], licence["required"]
        same = fields == dict(sealed.metadata) and licence["pid"] == sealed.pid.hex()
    except (Malformed, KeyError, TypeError) as exc:
        detail = exc.what if isinstance(exc, Malformed) else "a part of the metadata is missing"
        return [
            Finding(check, Result.INDETERMINATE, "NOT_PROVEN", detail)
            for check in ("metadata.sealed", "metadata.complete")
        ]
    agree = (
        Finding("metadata.sealed", Result.PASSED, detail=f"{len(fields)} fields")
        if same
        else Finding("metadata.sealed", Result.FAILED, "ALTERED", "they are not those of the file")
    )
    return [agree, _complete(sealed, fields, [*_LEAST_FIELDS, *required], trust_list)]


def _complete(
    sealed: ECertificateData,
    fields: Mapping[str, Any],
    required: Sequence[str],
    trust_list: TrustList | None,
) -> Finding:
    listed = trust_list.type(sealed.type_short, sealed.type_version) if trust_list is not None else None
    if listed is None:
        return Finding(
            "metadata.complete", Result.INDETERMINATE, "UNKNOWN_ISSUER", "the type is not in the trust list"
        )
    missing = sorted({name for name in required if not fields.get(name)})
    if missing:
        return Finding("metadata.complete", Result.FAILED, "INCOMPLETE", ", ".join(missing))
    return Finding("metadata.complete", Result.PASSED, detail=f"{len(set(required))} fields")


def _listed_versions(metadata: Mapping[str, Any]) -> list[Mapping[str, str]]:
    listed = metadata.get("version")
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _receipts_finding(package: Package, metadata: Mapping[str, Any]) -> Finding:
    count = len(_listed_versions(metadata))
    wanted = [path for number in range(count) for path in receipt_paths(number)]
    missing = [path for path in wanted if path not in package.files]
    if missing or not count:
        detail = ", ".join(missing) or "the metadata list no version"
        return Finding("package.receipts", Result.FAILED, "INCOMPLETE", detail)
    return Finding("package.receipts", Result.PASSED, detail=f"{count}")


def _versions_finding(metadata: Mapping[str, Any], versions: ArchivedVersions) -> Finding:
    listed = [each.get("sha256") for each in _listed_versions(metadata)]
    if not versions.sha256:
        return Finding("package.versions", Result.INDETERMINATE, "NOT_PROVEN", "the versions cannot be read")
    if listed != list(versions.sha256):
        detail = f"{len(listed)} are listed, {len(versions.sha256)} are in the file, or a digest differs"
        return Finding("package.versions", Result.FAILED, "ALTERED", detail)
    return Finding("package.versions", Result.PASSED, detail=f"{len(listed)}")


def _size_finding(package: Package) -> Finding:
    small = package.size <= MAX_PACKAGE_BYTES
    result, code = (Result.PASSED, "OK") if small else (Result.FAILED, "TOO_LARGE")
    return Finding("package.size", result, code, f"{package.size} bytes")


def _roots_of(package: Package) -> list[str]:
    try:
        return [
            root_fingerprint(root) for root in decode_roots(package.files.get(f"{EVIDENCE}roots.json", b""))
        ]
    except Malformed:
        return []
