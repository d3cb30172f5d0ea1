"""The answers of a register about an e-certificate.

Made by the issuer and read by the verifier, which do not import each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from trust.model.report import Freshness, ShownField
from trust.model.status import Status


@dataclass(frozen=True, slots=True)
class StatusFact:
    """The status of one e-certificate. Reason and time are known online only."""

    status: Status
    freshness: Freshness
    reason: str | None = None
    changed_at: datetime | None = None
    anchor: LedgerAnchor | None = None


@dataclass(frozen=True, slots=True)
class LedgerAnchor:
    """The ledger entry that commits to a status list, and the checkpoint that proves it.

    `as_of_size`: the list reflects all entries below this number. `witnesses`: the trust list's witnesses that cosigned
    that checkpoint, if they are enough; otherwise empty.
    """

    index: int
    appended_at: datetime
    as_of_size: int
    checkpoint_size: int
    witnesses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileFact:
    """An issued file, and the current status and validity of its e-certificate.

    `status` is None while it is being changed; `ends` is None if it is valid without end.
    """

    pid: bytes
    status: Status | None
    begins: datetime
    ends: datetime | None


@dataclass(frozen=True, slots=True)
class ShownECertificate:
    """What a live code stands for: the e-certificate, and the fields that its holder chose to show."""

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
    """The answer to redeeming a live code.

    `state` is FRESH, REPEAT, EXPIRED, USED, or ELSEWHERE for a code that is meant for another `audience` and is not
    used up; `shown` is set for the first two only. `level` is 0 to 3 (GLOSSARY: disclosure level).
    """

    state: str
    purpose: str
    level: int
    used_at: datetime | None
    audience: str | None
    shown: ShownECertificate | None
