"""The allowed order of entries about one e-certificate, as the ledger enforces it.

| after     | ISSUED | SUSPENDED | REINSTATED | REVOKED | REPLACED | LATER_VERSION | ERASED |
|-----------|--------|-----------|------------|---------|----------|---------------|--------|
| nothing   | VALID  |           |            |         |          |               |        |
| VALID     |        | SUSPENDED |            | REVOKED | REPLACED | VALID         |        |
| SUSPENDED |        |           | VALID      | REVOKED | REPLACED | SUSPENDED     |        |
| REVOKED   |        |           |            |         |          | REVOKED       | ERASED |
| REPLACED  |        |           |            |         |          | REPLACED      | ERASED |
| ERASED    |        |           |            |         |          |               |        |

The register has the same table for its own requests (`trust.model.status`); here the single writer that assigns numbers
enforces it, so that one of two contradicting requests is always refused. An e-certificate in force cannot be erased; it
must be cancelled first.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from trust.encoding.entry import EntryKind
from trust.model.errors import Conflict


class Life(IntEnum):
    """The state of an e-certificate after its last entry. The numbers are stored."""

    VALID = 1
    SUSPENDED = 2
    REVOKED = 3
    REPLACED = 4
    ERASED = 5


ABOUT_AN_ECERTIFICATE: Final = frozenset(
    {
        EntryKind.ISSUED,
        EntryKind.SUSPENDED,
        EntryKind.REINSTATED,
        EntryKind.REVOKED,
        EntryKind.REPLACED,
        EntryKind.LATER_VERSION,
        EntryKind.ERASED,
    }
)

_NEXT: Final[dict[tuple[Life | None, EntryKind], Life]] = {
    (None, EntryKind.ISSUED): Life.VALID,
    (Life.VALID, EntryKind.SUSPENDED): Life.SUSPENDED,
    (Life.VALID, EntryKind.REVOKED): Life.REVOKED,
    (Life.VALID, EntryKind.REPLACED): Life.REPLACED,
    (Life.VALID, EntryKind.LATER_VERSION): Life.VALID,
    (Life.SUSPENDED, EntryKind.REINSTATED): Life.VALID,
    (Life.SUSPENDED, EntryKind.REVOKED): Life.REVOKED,
    (Life.SUSPENDED, EntryKind.REPLACED): Life.REPLACED,
    (Life.SUSPENDED, EntryKind.LATER_VERSION): Life.SUSPENDED,
    (Life.REVOKED, EntryKind.LATER_VERSION): Life.REVOKED,
    (Life.REVOKED, EntryKind.ERASED): Life.ERASED,
    (Life.REPLACED, EntryKind.LATER_VERSION): Life.REPLACED,
    (Life.REPLACED, EntryKind.ERASED): Life.ERASED,
}


def next_life(life: Life | None, kind: EntryKind) -> Life:
    """The state after an entry of `kind` in state `life`. Raises `Conflict` if the table does not allow it."""
    following = _NEXT.get((life, kind))
    if following is None:
        before = "is not in the ledger" if life is None else f"is {life.name}"
        raise Conflict(
            f"The e-certificate {before}, so no {kind.name} entry can follow.",
            "Look at its present status; a revoked or replaced one is final.",
        )
    return following
