"""The status of an e-certificate in the register and in lists, by its life in the ledger."""

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
"""The status in lists by the life in the ledger. An erased e-certificate was revoked or replaced before."""

STATUS_AFTER: Final[Mapping[str, Status]] = {
    EntryKind.SUSPENDED.name: Status.SUSPENDED,
    EntryKind.REINSTATED.name: Status.VALID,
    EntryKind.REVOKED.name: Status.REVOKED,
    EntryKind.REPLACED.name: Status.REPLACED,
}
"""The status after an act, by the kind of its entry."""
