"""`yinzheng ledger recover`: rebuilds the ledger's database from its published files, with the register's ids.

The service cannot be opened while its database is behind, so only the necessary parts are opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from issuer.answers.recovery import RegisterIdentities
from keys.service_keys import ServiceKeys
from keys.service_secret import ServiceSecrets
from ledger.clocks import accept_time
from ledger.opening import checkpoint_keys
from ledger.outside import MARKED_FILE, LedgerMark
from ledger.publisher import vkey_of
from ledger.recover import Recovered, recover
from ledger.statekey import StateKey
from ledger.text import decode_utf8
from ledger.tilefolder import SM3_FOLDER, TileFolder
from trust.app.closing import close_ledger
from trust.app.compose import open_keys
from trust.app.settings import Settings
from trust.app.stores import opened_stores
from trust.model.clock import SystemClock


def recover_ledger(
    settings: Settings,
    source: Path | None,
    *,
    even_if_not_behind: bool = False,
    nothing_issued_since: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Recovered:
    """Fills the ledger's database from `source` (by default the service's own published files).

    The checkpoint of a mirror and the mark outside the folder show how far the ledger was signed; without either, the
    operator must confirm that nothing was issued since (`nothing_issued_since`).

    Raises what `ledger.recover.recover` raises, and `Conflict` while the service runs on SQLite. On PostgreSQL the
    operator must stop every process first; a forgotten one stops by itself at its next entry.
    """
    data = settings.data
    with opened_stores(settings) as stores:
        register, ledger, lock_store = stores.register, stores.ledger, stores.lock
        key = checkpoint_keys(ServiceKeys(register, open_keys(settings), SystemClock()))[0]
        recovered = recover(
            ledger,
            lock_store,
            TileFolder(source or data / "ledger"),
            log_vkey=vkey_of(settings.origin, key),
            identities=RegisterIdentities(register),
            even_if_not_behind=even_if_not_behind,
            state_key=StateKey(ServiceSecrets(settings.keys_folder).derive("ledger state")),
            known_outside=_known_outside(settings, source),
            nothing_issued_since=nothing_issued_since,
            on_progress=on_progress,
        )
        # Only in our own folder, never in a mirror.
        for folder in (data / "ledger", data / "ledger" / SM3_FOLDER):
            TileFolder(folder).set_aside_beyond(recovered.size)
        return recovered


def _known_outside(settings: Settings, source: Path | None) -> list[str]:
    """Signed checkpoints that were not restored together with the data folder."""
    found = []
    if settings.ledger_mark is not None:
        marked = LedgerMark(settings.ledger_mark, settings.data / MARKED_FILE).note()
        if marked is not None:
            found.append(marked)
    if source is not None and not source.resolve().is_relative_to(settings.data):
        published = TileFolder(source).read_checkpoint()
        if published is not None:
            found.append(decode_utf8(published))
    return found


@dataclass(frozen=True, slots=True)
class Rescue:
    """`ledger.service.RescueService` for the folder of these settings."""

    settings: Settings

    def accept_time(self) -> datetime:
        at = SystemClock().now()
        accept_time(self.settings.data, at)
        return at

    def recover(
        self,
        source: Path | None,
        *,
        even_if_not_behind: bool = False,
        nothing_issued_since: bool = False,
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Recovered:
        return recover_ledger(
            self.settings,
            source,
            even_if_not_behind=even_if_not_behind,
            nothing_issued_since=nothing_issued_since,
            on_progress=on_progress,
        )

    def close(self, origin: str, new_origin: str) -> int:
        return close_ledger(self.settings, origin, new_origin)
