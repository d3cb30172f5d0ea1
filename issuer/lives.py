"""What the life that the ledger keeps means in the register's and the verifiers' words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ledger.lifecycle import Life
from trust.model.status import Status

STATUS_OF_LIFE: Final[Mapping[Life, Status]] = {
    Life.VALID: Status.VALID,
    Life.SUSPENDED: Status.SUSPENDED,
    Life.REVOKED: Status.REVOKED,
    Life.REPLACED: Status.REPLACED,
    Life.ERASED: Status.REVOKED,
}
"""What a list says of an e-certificate; one that was erased has been revoked or replaced before."""
