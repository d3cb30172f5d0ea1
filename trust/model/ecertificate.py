"""The order of issuing, carried by types: each step accepts only what the step before returned.

Application 申请 → Draft 待签 → SealedECertificate 已签章 → IssuedECertificate 已签发
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from trust.model.actor import ActorRef
from trust.model.status import Status


@dataclass(frozen=True, slots=True)
class IssuingAuthority:
    """签发机构, an issuing authority. `functions` says which types of e-certificates it is entitled to issue."""

    authority_id: str
    uscc: str
    name_zh: str
    name_en: str
    functions: Sequence[str]


@dataclass(frozen=True, slots=True)
class PlaceOnPage:
    """Where a department wants its seal on its own PDF: page (0-based, -1 last), and the seal's centre in
    millimetres from the left and from the bottom edge."""

    page: int
    centre_x_mm: float
    centre_y_mm: float


@dataclass(frozen=True, slots=True)
class Application:
    """A department's request: the record as received, with its picture or its own page.

    `caller` and `by` are who asks, as a seal's policy and as the audit trail name them; issuing sets them by its actor.
    `further_seals` are those beside the authority's own: a person's name seal, a seal for readers abroad.
    `for_abroad`: the national seal's time-stamp must also be one that verifiers abroad support (SHA-256, not SM3).
    `may_lose_standard`: the department's own page need not stay PDF/A or PDF/UA.
    """

    type_short: str
    authority_id: str
    fields: Mapping[str, str | Sequence[str]]
    seal_id: str | None = None
    photo: bytes | None = None
    source_pdf: bytes | None = None
    place: PlaceOnPage | None = None
    row: int = 0
    replaces: bytes | None = None
    caller: str = "operator"
    by: ActorRef | None = None
    further_seals: Sequence[str] = ()
    may_lose_standard: bool = False
    for_abroad: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A record that passed every check and is stored, with its identifier, index and salts fixed.

    `repeated` is True if the same request was stored before; this is then the draft of that request.
    """

    ecertificate_id: int
    operation_id: int
    pid: bytes
    identifier: str
    type_short: str
    authority_id: str
    seal_id: str
    data: bytes
    created_at: datetime
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class SealedECertificate:
    """A draft whose page is sealed and time-stamped, and whose bytes are stored."""

    draft: Draft
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuedECertificate:
    """An e-certificate that is in the ledger, with its receipt inside the file."""

    pid: bytes
    identifier: str
    number: str
    serial: str
    type_short: str
    type_version: int
    authority_id: str
    seal_id: str
    version: int
    status: Status
    status_reason: str | None
    status_at: datetime | None
    status_list: int
    status_index: int
    data: bytes
    entry_seq: int
    issued_at: datetime
