"""What may follow what in the life of one e-certificate, as the ledger enforces it.

| after     | ISSUED | SUSPENDED | REINSTATED | REVOKED | REPLACED | LATER_VERSION | ERASED |
|-----------|--------|-----------|------------|---------|----------|---------------|--------|
| nothing   | VALID  |           |            |         |          |               |        |
| VALID     |        | SUSPENDED |            | REVOKED | REPLACED | VALID         |        |
| SUSPENDED |        |           | VALID      | REVOKED | REPLACED | SUSPENDED     |        |
| REVOKED   |        |           |            |         |          | REVOKED       | ERASED |
| REPLACED  |        |           |            |         |          | REPLACED      | ERASED |
| ERASED    |        |           |            |         |          |               |        |

The register has the same table for its own requests (`trust.model.status`); here it is enforced by the one
writer that gives out numbers, so that of two contradicting requests one is refused whatever came before.
What is in force is not erased: an e-certificate is cancelled first.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from trust.encoding.entry import EntryKind
from trust.model.errors import Conflict


class Life(IntEnum):
    """Where an e-certificate stands after its last entry. The numbers are stored."""

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
    """Where an entry of `kind` leads from `life`. Raises `Conflict` where the table has no entry."""
    following = _NEXT.get((life, kind))
    if following is None:
        before = "is not in the ledger" if life is None else f"is {life.name}"
        raise Conflict(
            f"The e-certificate {before}, so no {kind.name} entry can follow.",
            "Look at its present status; a revoked or replaced one is final.",
        )
    return following
