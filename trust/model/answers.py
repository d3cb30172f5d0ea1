"""What a register answers when it is asked about an e-certificate.

Made by the issuer and read by the verifier, which do not know each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from trust.model.report import Freshness, ShownField
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


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file that the register gave out, and what holds of its e-certificate now.

    `status` is None while it is being changed; `ends` is None for one that is valid without end.
    """

    pid: bytes
    status: Status | None
    begins: datetime
    ends: datetime | None


@dataclass(frozen=True, slots=True)
class ShownECertificate:
    """What a live code stands for: the e-certificate, and the fields that its holder shows."""

    pid: bytes
    type_short: str
    type_name_zh: str | None
    authority_id: str
    authority_name_zh: str | None
    version: int
    begins: datetime
    ends: datetime | None
    status: Status
    status_reason: str | None
    status_at: datetime | None
    fields: Sequence[ShownField]


@dataclass(frozen=True, slots=True)
class LiveFact:
    """What the one use of a live code gave.

    `state` is FRESH, REPEAT, EXPIRED, USED, or ELSEWHERE for a code that is meant for another `audience` and is not
    used up; `shown` only stands beside the first two. `level` is 0 to 3 (GLOSSARY: disclosure level).
    """

    state: str
    purpose: str
    level: int
    used_at: datetime | None
    audience: str | None
    shown: ShownECertificate | None
