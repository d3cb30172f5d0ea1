"""The MAC of the log's head, so that an attacker who can only write to the database cannot add entries.

Rows and tiles are checked against signed checkpoints; entries that are stored but not yet signed are protected only by
the MAC. It is over every column of `ledger_state`, which contains the root of all entries, under a key that is not in
the database. An old head has a good MAC too; the lock store detects that.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace

import cbor2

from ledger.sql import LogState
from trust.model.errors import LedgerHalted

_LABEL = "yinzheng ledger state 1"


@dataclass(frozen=True, slots=True)
class StateKey:
    """The key of the MAC. None means heads without a MAC, for a log that is opened outside the service."""

    key: bytes | None = None

    def sealed(self, state: LogState) -> LogState:
        return replace(state, mac=self._mac(state)) if self.key is not None else state

    def check(self, state: LogState) -> None:
        """Raises `LedgerHalted` if the MAC of the head is wrong."""
        if self.key is not None and not hmac.compare_digest(state.mac or b"", self._mac(state)):
            raise LedgerHalted(
                f"The stored head of the log, of size {state.size}, was not written by this service.",
                "Run `yinzheng ledger recheck`, find out who changed the database, and restore it.",
            )

    def _mac(self, state: LogState) -> bytes:
        fields = [getattr(state, name) for name in state.__dataclass_fields__ if name != "mac"]
        return hmac.digest(self.key or b"", cbor2.dumps([_LABEL, *fields]), "sha256")
