"""What the life that the ledger keeps means in the register's and the verifiers' words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.lifecycle import Life
from trust.encoding.entry import EntryKind
from trust.model.status import Status

STATUS_OF_LIFE: Final[Mapping[Life, Status]] = {
    Life.VALID: Status.VALID,
    Life.SUSPENDED: Status.SUSPENDED,
    Life.REVOKED: Status.REVOKED,
    Life.REPLACED: Status.REPLACED,
    Life.ERASED: Status.REVOKED,
}
"""What a list says of an e-certificate; one that was erased has been revoked or replaced before."""

STATUS_AFTER: Final[Mapping[str, Status]] = {
    EntryKind.SUSPENDED.name: Status.SUSPENDED,
    EntryKind.REINSTATED.name: Status.VALID,
    EntryKind.REVOKED.name: Status.REVOKED,
    EntryKind.REPLACED.name: Status.REPLACED,
}
"""Where an act on the status leads, by the kind of its entry."""
