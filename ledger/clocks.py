"""The clocks beside this machine's own, and an operator's word that its own is right (`ledger.clockguard`).

<data>/accepted-time    2028-01-02T10:00:00+00:00, written by `yinzheng ledger accept-time`; good for a day
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from keys.outside_tsa import OutsideTsa
from ledger.clockguard import AskTime
from ledger.witness.client import ProveConsistency, Witnesses
from trust.model.errors import EvidenceUnavailableError, OperationalError
from trust.storage.folder import write_durably
from trust.storage.sql import Database

_ACCEPTED_FILE = "accepted-time"


def accept_time(data: Path, at: datetime) -> None:
    """Raises `OperationalError` (NOT_INITIALISED) where there is no data folder."""
    if not (data / "host").exists():
        raise OperationalError(
            f"{data} is not a data folder.", "Run `yinzheng init --data DIR` first.", code="NOT_INITIALISED"
        )
    write_durably(data / _ACCEPTED_FILE, at.astimezone(UTC).isoformat(timespec="seconds").encode() + b"\n")


def accepted_at(data: Path) -> datetime | None:
    """When an operator last said so; None for never, or for what cannot be read."""
    try:
        found = datetime.fromisoformat((data / _ACCEPTED_FILE).read_text().strip())
    except (OSError, ValueError):
        return None
    return found if found.tzinfo is not None else None


@dataclass(frozen=True, slots=True)
class Asked:
    """The witnesses, and what they are asked to cosign: the newest checkpoint, which is signed already."""

    witnesses: Witnesses
    note: Callable[[], str]
    consistency: ProveConsistency


def second_clocks(
    database: Database,
    time_stamps: Sequence[OutsideTsa | None],
    witnesses: Callable[[], Asked | None] | None,
) -> list[tuple[str, AskTime]]:
    """By name: the database server's, each outside time-stamp authority's, a witness's. SQLite has no server.

    `witnesses` is None where there is no policy, so that there are none to ask.
    """
    listed: list[tuple[str, AskTime]] = []
    if not database.is_sqlite:
        listed.append(("the database server", database.server_time))
    listed += [(f"the time-stamp authority {each.url}", each.now) for each in time_stamps if each is not None]
    if witnesses is not None:
        listed.append(("a witness of the ledger", lambda: _witness_time(witnesses())))
    return listed


def _witness_time(asked: Asked | None) -> datetime:
    """A witness puts its own time beside what it cosigns."""
    if asked is None:
        raise EvidenceUnavailableError("There is no witness.")
    answers = asked.witnesses.cosign(asked.note(), asked.consistency).outcomes
    times = [each.cosigned_at for each in answers if each.cosigned_at is not None]
    if not times:
        raise EvidenceUnavailableError("No witness answers.")
    return datetime.fromtimestamp(max(times), UTC)
