"""The head of the log carries a MAC, so that nobody who can only write to the database adds an entry to it.

Rows and tiles are checked against what was signed; what is stored and not yet signed has only this. The MAC is over
every column of `ledger_state`, which holds the root of all entries, under a key that is not in the database. A head
of yesterday carries a good MAC too: that is what the lock store is for.
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
    """`key` None: heads without a MAC, as a log has them that is opened by itself."""

    key: bytes | None = None

    def sealed(self, state: LogState) -> LogState:
        return replace(state, mac=self._mac(state)) if self.key is not None else state

    def check(self, state: LogState) -> None:
        """Raises `LedgerHalted` for a head that this service has not written."""
        if self.key is not None and not hmac.compare_digest(state.mac or b"", self._mac(state)):
            raise LedgerHalted(
                f"The stored head of the log, of size {state.size}, was not written by this service.",
                "Run `yinzheng ledger recheck`, find out who changed the database, and restore it.",
            )

    def _mac(self, state: LogState) -> bytes:
        fields = [getattr(state, name) for name in state.__dataclass_fields__ if name != "mac"]
        return hmac.digest(self.key or b"", cbor2.dumps([_LABEL, *fields]), "sha256")
