"""Parsing of times that people type."""

from __future__ import annotations

from datetime import datetime

from trust.model.errors import Malformed


def instant(text: str | None) -> datetime | None:
    """A time given at the command line, or None for None. Raises `Malformed`."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as exc:
        raise Malformed("The time is not in its form.", "Write 2026-11-21T10:00:00+08:00.") from exc
    if at.tzinfo is None:
        raise Malformed("The time has no time zone.", "Add one, such as +08:00.")
    return at
