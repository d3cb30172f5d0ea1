"""Operations as values: kinds, and what is written down about each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from trust.model.actor import ActorRef

LEASE = timedelta(minutes=5)
"""How long operations stay with the process that announced or claimed them, if it does not ask again."""


class OperationKind(StrEnum):
    """What an operation does. All but the last two have the name of their entry in the ledger (`EntryKind`).

    REGISTER: a change of recorded rows (`issuer.guarding`). GAP: marks the gap in a restored register.
    """

    ISSUED = "ISSUED"
    SUSPENDED = "SUSPENDED"
    REINSTATED = "REINSTATED"
    REVOKED = "REVOKED"
    REPLACED = "REPLACED"
    LATER_VERSION = "LATER_VERSION"
    ERASED = "ERASED"
    STATUS_LIST = "STATUS_LIST"
    SEAL_EVENT = "SEAL_EVENT"
    AUDIT_TRAIL = "AUDIT_TRAIL"
    REGISTER = "REGISTER"
    GAP = "GAP"


STATUS_KINDS = (
    OperationKind.SUSPENDED,
    OperationKind.REINSTATED,
    OperationKind.REVOKED,
    OperationKind.REPLACED,
)
"""The kinds of acts that change the status of an e-certificate."""


@dataclass(frozen=True, slots=True)
class Operation:
    """An act that was decided on. `ecertificate_id` is 0 for an act on something else.

    `actor` is the authority in the ledger's entry. `at` is in microseconds since 1970, as the commitments of status
    entries contain it. `reason` and `note` belong to a status act, `reason` also to an erasure, whose two persons are
    `requested_by` and `approved_by`. `caller` is who asked for an issue, as a seal's policy names them. `decided_by` is
    who decided, for the audit trail; None for acts from before it was written down. `entry_seq` is None until an
    operation is done.
    """

    operation_id: int
    kind: OperationKind
    ecertificate_id: int
    actor: str
    at: int
    salt: bytes
    reason: str | None = None
    note: str | None = None
    caller: str | None = None
    requested_by: str | None = None
    approved_by: str | None = None
    decided_by: ActorRef | None = None
    is_done: bool = False
    entry_seq: int | None = None
