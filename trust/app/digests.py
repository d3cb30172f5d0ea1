"""Verifying by digest: many files at once, of which only the SHA-256 is sent.

A digest that the register gave out for an e-certificate is the strongest proof that the file is the issued one; what
holds of the e-certificate now is said beside it. A digest that is not known proves nothing: the file may be somebody
else's, a copy that was saved anew, or one that was erased.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from issuer import sql
from issuer.archive import sql as archive_sql
from trust.encoding.ecertificate_data import decode_ecertificate_data
from trust.model.report import Finding, Result, Verdict, decide
from trust.model.status import Status
from trust.storage.sql import Database
from verifier.verifying import status_finding, validity_finding

MAX_DIGESTS = 10_000
_STEP = 400  # how many values one statement takes, on any database
_REQUIRED = ("register.file", "status", "validity")


@dataclass(frozen=True, slots=True)
class CheckedDigest:
    """`pid` is None where the register does not know the digest."""

    sha256: bytes
    verdict: Verdict
    code: str
    pid: bytes | None


def check_digests(database: Database, digests: Sequence[bytes], at: datetime) -> list[CheckedDigest]:
    """One answer for each digest, in their order."""
    found: dict[bytes, CheckedDigest] = {}
    with database.read() as connection:
        for start in range(0, len(digests), _STEP):
            for checked in _check(connection, digests[start : start + _STEP], at):
                found[checked.sha256] = checked
    unknown = (Verdict.INDETERMINATE, "NOT_IN_REGISTER", None)
    return [found.get(each) or CheckedDigest(each, *unknown) for each in digests]


def _check(connection: Connection, digests: Sequence[bytes], at: datetime) -> Iterator[CheckedDigest]:
    known = sql.issued_with_digests(connection, digests)
    for sha256, (row, data) in known.items():
        yield _judge(sha256, row, data, at)
    later = archive_sql.versions_with(connection, [each for each in digests if each not in known])
    for sha256, ecertificate_id in later.items():
        row = sql.get_ecertificate(connection, id=ecertificate_id)
        yield _judge(sha256, row, sql.get_document(connection, ecertificate_id, "data"), at)


def _judge(sha256: bytes, row: sql.ECertificateRow, data: bytes, at: datetime) -> CheckedDigest:
    findings = [Finding("register.file", Result.PASSED)]
    if row.pending_operation is not None:
        findings.append(Finding("status", Result.INDETERMINATE, "TRY_LATER"))
    else:
        findings.append(status_finding(Status(row.status)))
    findings.append(validity_finding(*decode_ecertificate_data(data).validity(), at))
    verdict, code = decide(findings, _REQUIRED)
    return CheckedDigest(sha256, verdict, code, bytes(row.pid))


def digest_json(checked: CheckedDigest) -> dict[str, Any]:
    return {
        "sha256": checked.sha256.hex(),
        "verdict": checked.verdict.value,
        "code": checked.code,
        "pid": checked.pid.hex() if checked.pid else None,
    }
