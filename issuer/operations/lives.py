"""The status of an e-certificate in the register and in lists, by its life in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from issuer.operations.model import OperationKind
from ledger.lifecycle import Life
from trust.model.status import Status

STATUS_OF_LIFE: Final[Mapping[Life, Status]] = {
    Life.VALID: Status.VALID,
    Life.SUSPENDED: Status.SUSPENDED,
    Life.REVOKED: Status.REVOKED,
    Life.REPLACED: Status.REPLACED,
    Life.ERASED: Status.REVOKED,
}
"""The status in lists by the life in the ledger. An erased e-certificate was revoked or replaced before."""

STATUS_AFTER: Final[Mapping[OperationKind, Status]] = {
    OperationKind.SUSPENDED: Status.SUSPENDED,
    OperationKind.REINSTATED: Status.VALID,
    OperationKind.REVOKED: Status.REVOKED,
    OperationKind.REPLACED: Status.REPLACED,
}
"""The status after an act."""
