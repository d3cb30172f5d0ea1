"""What a register answers when it is asked about an e-certificate.

Made by the issuer and read by the verifier, which do not know each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from trust.model.report import Freshness
from trust.model.status import Status


@dataclass(frozen=True, slots=True)
class StatusFact:
    """The status of one e-certificate as far as its source knows it. Reason and time only online."""

    status: Status
    freshness: Freshness
    reason: str | None = None
    changed_at: datetime | None = None
    anchor: LedgerAnchor | None = None


@dataclass(frozen=True, slots=True)
class LedgerAnchor:
    """Which ledger entry commits to a status list, and the checkpoint that proves it.

    `as_of_size`: the list says what all entries below this number say. `witnesses`: who of those that the trust list
    names has cosigned that checkpoint, if enough have; none otherwise.
    """

    index: int
    appended_at: datetime
    as_of_size: int
    checkpoint_size: int
    witnesses: tuple[str, ...] = ()
