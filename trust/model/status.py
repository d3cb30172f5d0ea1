"""The states of an e-certificate, and the table of allowed acts.

| from      | suspend   | reinstate | revoke  | replace  |
|-----------|-----------|-----------|---------|----------|
| VALID     | SUSPENDED |           | REVOKED | REPLACED |
| SUSPENDED |           | VALID     | REVOKED | REPLACED |
| REVOKED   |           |           |         |          |
| REPLACED  |           |           |         |          |

EXPIRED is computed from the dates and never stored.
"""

from __future__ import annotations

from enum import StrEnum

from trust.model.errors import (
    Conflict,
)


class Status(StrEnum):
    VALID = "VALID"
    SUSPENDED = "SUSPENDED"
    REVOKED = "REVOKED"
    REPLACED = "REPLACED"


class StatusAct(StrEnum):
    SUSPEND = "suspend"
    REINSTATE = "reinstate"
    REVOKE = "revoke"
    REPLACE = "replace"


class RevocationReason(StrEnum):
    """The reasons of a revocation that Chinese administrative law distinguishes: 撤销, 吊销, 注销."""

    RESCINDED = "rescinded"
    PENALTY = "penalty"
    CANCELLED = "cancelled"


_NEXT: dict[tuple[Status, StatusAct], Status] = {
    (Status.VALID, StatusAct.SUSPEND): Status.SUSPENDED,
    (Status.VALID, StatusAct.REVOKE): Status.REVOKED,
    (Status.VALID, StatusAct.REPLACE): Status.REPLACED,
    (Status.SUSPENDED, StatusAct.REINSTATE): Status.VALID,
    (Status.SUSPENDED, StatusAct.REVOKE): Status.REVOKED,
    (Status.SUSPENDED, StatusAct.REPLACE): Status.REPLACED,
}


def next_status(status: Status, act: StatusAct) -> Status:
    """The state after an act. Raises `Conflict` if the table does not allow it."""
    following = _NEXT.get((status, act))
    if following is None:
        raise Conflict(
            f"An e-certificate that is {status.value} cannot be {_PAST[act]}.",
            "Look at its present status; a revoked or replaced one is final.",
        )
    return following


_PAST = {
    StatusAct.SUSPEND: "suspended",
    StatusAct.REINSTATE: "reinstated",
    StatusAct.REVOKE: "revoked",
    StatusAct.REPLACE: "replaced",
}


STATUS_ACTOR = "status-list"
"""The actor of the entries that anchor status lists."""
