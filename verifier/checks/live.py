"""Judging a live code by the answer that its single use gave.

The issuer of a code says what it stands for (`verifier.ports.LiveCodes`); whether that passes is judged here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trust.model.answers import LiveFact, ShownECertificate
from trust.model.errors import Conflict, EvidenceUnavailableError
from trust.model.report import Finding, Freshness, Result, ShownField
from verifier.checks.standing import status_finding, validity_finding
from verifier.ports import LiveCodes


@dataclass(frozen=True, slots=True)
class JudgedLive:
    """The parts of a report on a live code."""

    findings: Sequence[Finding]
    facts: Mapping[str, Any]
    shown: Sequence[ShownField]
    freshness: Freshness


def redeem_and_judge(codes: LiveCodes, handle: bytes, verifier: str, at: datetime) -> JudgedLive:
    """Redeems the code, which uses it up, and judges the answer. Expired and used codes are findings.

    Raises `Malformed` (NOT_OURS).
    """
    fresh = Freshness(at, None, online=True)
    try:
        redeemed = codes.redeem(handle, verifier, at)
    except (Conflict, EvidenceUnavailableError) as exc:
        finding = Finding("code.live", Result.INDETERMINATE, exc.code, exc.what)
        return JudgedLive((finding,), {}, (), fresh)
    facts: dict[str, Any] = {"presentation": _presentation(redeemed)}
    if redeemed.state == "ELSEWHERE":
        elsewhere = Finding("code.live", Result.INDETERMINATE, "CODE_FOR_ANOTHER")
        return JudgedLive((elsewhere,), facts, (), fresh)
    if redeemed.shown is None:
        code = "CODE_USED" if redeemed.state == "USED" else "CODE_EXPIRED"
        return JudgedLive((Finding("code.live", Result.FAILED, code),), facts, (), fresh)
    shown = redeemed.shown
    findings = (
        Finding("code.live", Result.PASSED),
        status_finding(shown.status),
        validity_finding(shown.begins, shown.ends, at),
    )
    facts |= {"ecertificate": _ecertificate(shown), "status": _status(shown, at)}
    return JudgedLive(findings, facts, shown.fields, fresh)


def _presentation(redeemed: LiveFact) -> dict[str, Any]:
    return {
        "code_state": redeemed.state,
        "purpose": redeemed.purpose,
        "level": redeemed.level,
        "used_at": redeemed.used_at.isoformat() if redeemed.used_at else None,
        "audience": redeemed.audience,
    }


def _ecertificate(shown: ShownECertificate) -> dict[str, Any]:
    return {
        "pid": shown.pid.hex(),
        "type": shown.type_short,
        "type_name_zh": shown.type_name_zh,
        "issuer": shown.authority_id,
        "issuer_name_zh": shown.authority_name_zh,
        "version": shown.version,
        "valid_from": shown.begins.isoformat(),
        "valid_until": shown.ends.isoformat() if shown.ends else None,
    }


def _status(shown: ShownECertificate, at: datetime) -> dict[str, Any]:
    return {
        "status": shown.status.value,
        "as_of": at.isoformat(),
        "next_update": None,
        "reason": shown.status_reason,
        "changed_at": shown.status_at.isoformat() if shown.status_at else None,
        "source": "register",
    }
