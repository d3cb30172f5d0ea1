"""Reports as JSON, for the API and for commands."""

from __future__ import annotations

from typing import Any

from trust.encoding.report import encode_report
from trust.model.report import Report
from verifier.reports.filing import FiledReport
from verifier.sentences import messages_of


def report_json(report: Report) -> dict[str, Any]:
    """The report as JSON values, with its texts in both languages."""
    return encode_report(report, messages_of(report))


def filed_report_json(filed: FiledReport) -> dict[str, Any]:
    """A filed report as JSON values."""
    return {
        "report_code": filed.code,
        "verified_at": filed.verified_at.isoformat(),
        "kind": filed.kind,
        "verdict": filed.verdict,
        "code": filed.headline,
        "input_sha256": filed.input_sha256.hex() if filed.input_sha256 else None,
        "report_sha256": filed.payload_sha256.hex(),
        "repeatable": filed.is_repeatable,
        "kept_until": filed.kept_until.isoformat(),
    }
