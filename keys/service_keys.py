"""Keys of the service itself, by use: trust-root, trust-root-next, present, status, report, checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from keys import sql
from keys.custody import KeyProvider, KeyPurpose
from keys.suites import Suite
from trust.model.clock import Clock
from trust.model.errors import KeyUnavailable
from trust.storage import tables
from trust.storage.sql import Database

LEDGER_KEYS = {"checkpoint": Suite.ED25519, "checkpoint-sm2": Suite.SM2_SM3}
"""Uses of the keys that sign the ledger's checkpoints, and their suites."""

_SERVICE_YEARS = 5
_BACK = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class ServiceKeys:
    """The assignment of keys in custody to uses."""

    database: Database
    keys: KeyProvider
    clock: Clock

    def ensure(self, use: str, purpose: KeyPurpose, suite: Suite) -> None:
        """Makes a key for the use if there is none."""
        with self.database.read() as connection:
            if tables.one_row(connection, sql.ServiceKeyRow, use=use) is not None:
                return
        self.add(use, purpose, suite)

    def add(self, use: str, purpose: KeyPurpose, suite: Suite) -> sql.ServiceKeyRow:
        """Makes one more key for a use."""
        at = self.clock.now()
        record = self.keys.generate(purpose, suite, label=use, at=at)
        row = sql.ServiceKeyRow(
            key_id=record.key_id,
            use=use,
            suite=suite.value,
            spki=record.public_key,
            state="active",
            not_before=tables.to_micros(at - _BACK),
            not_after=tables.to_micros(at + timedelta(days=365 * _SERVICE_YEARS)),
        )
        with self.database.write() as connection:
            tables.insert(connection, row)
        return row

    def active(self, use: str) -> sql.ServiceKeyRow:
        """The active key for a use. Raises `KeyUnavailable`."""
        with self.database.read() as connection:
            rows = tables.all_rows(connection, sql.ServiceKeyRow, use=use, state="active")
        if not rows:
            raise KeyUnavailable(f"There is no active key for {use}.", "Run `yinzheng init`.")
        newest: sql.ServiceKeyRow = max(rows, key=lambda row: row.not_before)
        return newest

    def checkpoint_keys(self) -> list[sql.ServiceKeyRow]:
        """Every key that the ledger has or had, Ed25519 first. The ledger itself records which of them sign."""
        with self.database.read() as connection:
            return [
                row
                for use in LEDGER_KEYS
                for row in sorted(
                    tables.all_rows(connection, sql.ServiceKeyRow, use=use),
                    key=lambda row: int(row.not_before),
                )
            ]
