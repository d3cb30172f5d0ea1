"""Results of the issuer's use cases as JSON, for the API and for commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from issuer.archive.archiving import ArchivedVersion
from issuer.ecertificates.issuing import Outcome
from trust.model.errors import (
    ProfileViolation,
    Violation,
)


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome of one row as JSON."""
    if outcome.issued is not None:
        issued = outcome.issued
        return {
            "row": outcome.row,
            "result": "repeated" if outcome.repeated else "issued",
            "identifier": issued.identifier,
            "pid": issued.pid.hex(),
            "ledger_index": issued.entry_seq,
            **({} if outcome.repeats_row is None else {"repeats_row": outcome.repeats_row}),
        }
    if outcome.error is None:
        # A row of a dry run that would be issued, perhaps sharing the licence of an earlier row.
        repeats = {} if outcome.repeats_row is None else {"repeats_row": outcome.repeats_row}
        return {"row": outcome.row, "result": "repeated" if outcome.repeated else "would-issue", **repeats}
    errors: Sequence[Violation] = (
        outcome.error.violations if isinstance(outcome.error, ProfileViolation) else ()
    )
    return {
        "row": outcome.row,
        "result": "refused",
        "code": outcome.error.code,
        "detail": outcome.error.what,
        "todo": outcome.error.todo,
        "errors": [{"field": v.field, "code": v.code, "found": v.found, "todo": v.todo} for v in errors],
    }


def version_json(version: ArchivedVersion) -> dict[str, Any]:
    """A version of a file as JSON."""
    return {
        "number": version.number,
        "level": version.level,
        "sha256": version.sha256.hex(),
        "parent_sha256": version.parent_sha256.hex() if version.parent_sha256 else None,
        "stamped_at": version.stamped_at.isoformat() if version.stamped_at else None,
        "next_due_at": version.next_due_at.isoformat() if version.next_due_at else None,
        "ledger_index": version.entry_seq,
    }
