"""The facade that the ledger's faces are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trust.terminal.opening import Facade

if TYPE_CHECKING:  # a command that opens nothing runs in the base install, where there is no database library
    from datetime import datetime
    from pathlib import Path

    from ledger.keeping import Witnessing
    from ledger.keychange import KeyChange
    from ledger.lockstore import LockStore
    from ledger.log import Log
    from ledger.recover import Recovered
    from ledger.witness.policy import Policy
    from trust.model.clock import Clock
    from trust.model.ecertificate import IssuingAuthority
    from trust.storage.sql import Database


class AuthorityLookup(Protocol):
    """Looks up the actors of entries."""

    def get(self, authority_id: str) -> IssuingAuthority:
        """The authority with this id. Raises `NotFound`."""


class ChangedRow(Protocol):
    """A row of the register that does not match the ledger."""

    @property
    def table(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def what(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LedgerService:
    """The log, its files and databases, and the use cases on it. `ledger.opening` makes it."""

    clock: Clock
    log: Log
    ledger_folder: Path
    ledger_database: Database
    lock_store: LockStore
    policy: Policy | None
    witnessing: Witnessing | None
    key_change: KeyChange
    authorities: AuthorityLookup
    check_register: Callable[[], Sequence[ChangedRow]]
    """Compares the register with the ledger and returns the rows that differ."""


class RescueService(Protocol):
    """What is done to the data folder of a service that does not run, or cannot be opened."""

    def accept_time(self) -> datetime:
        """Takes this machine's clock for right, for a day. Gives what it says. Raises `OperationalError`."""

    def recover(
        self,
        source: Path | None,
        *,
        even_if_not_behind: bool = False,
        nothing_issued_since: bool = False,
        on_progress: Callable[[int, int], None] = ...,
    ) -> Recovered:
        """Fills the ledger's database out of published files; without `source`, out of those of the folder."""

    def close(self, origin: str, new_origin: str) -> int:
        """Ends the ledger of this name and begins another, which goes on with its entries; gives their number."""


LEDGER: Facade[LedgerService] = Facade("ledger")
RESCUE: Facade[RescueService] = Facade("rescue")
