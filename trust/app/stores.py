"""Opening the databases of a data folder, in the same way for every use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from ledger.lockstore import LockStore
from trust.app.database import migrate_ledger, migrate_register
from trust.app.settings import Settings
from trust.storage.folder import DataFolderLock
from trust.storage.sql import Database


@dataclass(frozen=True, slots=True)
class Stores:
    """The register, the ledger's rows, and the store that keeps the ledger's head."""

    register: Database
    ledger: Database
    lock: LockStore


@contextlib.contextmanager
def opened_stores(settings: Settings) -> Iterator[Stores]:
    """The open databases, migrated to this version's schema. Raises `Conflict` while another process writes to them
    on SQLite."""
    data, shared = settings.data, settings.database_url
    with contextlib.ExitStack() as stack:
        if shared is None:
            stack.enter_context(DataFolderLock(data))
        register = stack.enter_context(Database(shared or data / "register.sqlite"))
        ledger = stack.enter_context(Database(shared or data / "ledger.sqlite"))
        lock = stack.enter_context(Database(settings.lock_url or data / "lock" / "lock.sqlite"))
        migrate_register(register)
        migrate_ledger(ledger)
        yield Stores(register, ledger, LockStore(lock))
