"""Keys of a log as an outsider knows them."""

from __future__ import annotations

from ledger.logkeys import LogKey, LogKeys
from ledger.note import VerifierKey


def only_key(vkey: VerifierKey) -> LogKeys:
    """A log of which one key is known, as an outsider often knows it."""
    return LogKeys(vkey.name, (LogKey(vkey, 0),))
