"""Findings on an e-certificate's current status and on its term of validity."""

from __future__ import annotations

from datetime import datetime, timedelta

from trust.model.report import Finding, Result
from trust.model.status import Status

SKEW = timedelta(seconds=60)
"""How far the clocks of two honest machines may differ."""


def status_finding(status: Status) -> Finding:
    """REVOKED, SUSPENDED and REPLACED are facts about the licence: FAILED, each under its own code."""
    if status is Status.VALID:
        return Finding("status", Result.PASSED)
    return Finding("status", Result.FAILED, status.value, "by the issuing authority")


def validity_finding(begins: datetime, ends: datetime | None, at: datetime) -> Finding:
    """NOT_YET, EXPIRED or PASSED; the detail is the day that decided."""
    if at < begins - SKEW:
        return Finding("validity", Result.FAILED, "NOT_YET", begins.isoformat())
    if ends is not None and at > ends:
        return Finding("validity", Result.FAILED, "EXPIRED", ends.isoformat())
    return Finding("validity", Result.PASSED, "OK", ends.isoformat() if ends else "long-term")
