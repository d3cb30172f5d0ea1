"""Verifying many files at once by their SHA-256 digests, without sending the files.

If the register issued a file with this digest, the file is certainly the issued one; the e-certificate's current
status and validity are added. An unknown digest proves nothing: the file may come from another issuer, may be a copy
that was saved again, or may have been erased.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trust.model.answers import FileFact
from trust.model.report import Finding, Result, Verdict, decide
from verifier.checks.standing import status_finding, validity_finding
from verifier.ports import KnownFiles

MAX_DIGESTS = 10_000
_REQUIRED = ("register.file", "status", "validity")


@dataclass(frozen=True, slots=True)
class CheckedDigest:
    """The answer for one digest. `pid` is None if the register does not know the digest."""

    sha256: bytes
    verdict: Verdict
    code: str
    pid: bytes | None


def check_digests(files: KnownFiles, digests: Sequence[bytes], at: datetime) -> list[CheckedDigest]:
    """One answer for each digest, in their order."""
    known = files.files_with(digests)
    return [_judge(each, known.get(each), at) for each in digests]


def _judge(sha256: bytes, fact: FileFact | None, at: datetime) -> CheckedDigest:
    if fact is None:
        return CheckedDigest(sha256, Verdict.INDETERMINATE, "NOT_IN_REGISTER", None)
    if fact.status is None:
        status = Finding("status", Result.INDETERMINATE, "TRY_LATER")
    else:
        status = status_finding(fact.status)
    findings = [
        Finding("register.file", Result.PASSED),
        status,
        validity_finding(fact.begins, fact.ends, at),
    ]
    verdict, code = decide(findings, _REQUIRED)
    return CheckedDigest(sha256, verdict, code, fact.pid)


def digest_json(checked: CheckedDigest) -> dict[str, Any]:
    return {
        "sha256": checked.sha256.hex(),
        "verdict": checked.verdict.value,
        "code": checked.code,
        "pid": checked.pid.hex() if checked.pid else None,
    }
