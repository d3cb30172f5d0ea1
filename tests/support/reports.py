"""What a report tells machines, for tests that look into it."""

from __future__ import annotations

from typing import Any

from trust.model.report import Report


def facts_of(report: Report) -> dict[str, Any]:
    """Its facts as somebody meets them who has read JSON: nothing is known of their kinds."""
    return dict(report.facts)
