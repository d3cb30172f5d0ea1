"""`yinzheng ledger recover --close OLD --begin NEW`: closes a ledger that lost signed entries, and begins another.

Files of the data folder:

    origin              the name of the ledger, if it is not derived from the host
    closed-ledgers      the closed ones: HMAC-SHA256, then CBOR [[origin, [[vkey, from, until], …]], …]
    closed/<name>/      their published files, for clients that still need them
"""

from __future__ import annotations

import re

from issuer.ecertificates import sql as ecertificates_sql
from issuer.publishing import sql as publishing_sql
from keys.service_keys import ServiceKeys
from keys.service_secret import ServiceSecrets
from ledger import sql as ledger_sql
from ledger.closing import (
    CLOSED_FILE,
    begin_anew,
    closed_log,
    lock_new,
    read_closed_ledgers,
    remember_closed,
)
from ledger.opening import checkpoint_keys
from ledger.outside import MARKED_FILE
from ledger.publisher import vkey_of
from ledger.standing import STANDING_FILE
from ledger.statekey import StateKey
from trust.app.compose import open_keys
from trust.app.settings import ORIGIN_FILE, Settings
from trust.app.stores import opened_stores
from trust.encoding.entry import check_log_origin
from trust.model.clock import SystemClock
from trust.model.errors import Malformed
from trust.storage.folder import write_durably
from trust.storage.sql import Database


def close_ledger(settings: Settings, typed: str, new_origin: str) -> int:
    """Closes the ledger of this data folder, whose name `typed` must be, and begins `new_origin`.

    Returns the size at which it is closed. After a crash, repeating the call continues. Raises `Malformed` for another
    name, `Conflict` while the service runs, and what `ledger.closing` raises; then nothing has been changed.
    """
    if typed != settings.origin:
        raise Malformed(
            f"The ledger of this data folder is {settings.origin}, not {typed}.",
            "Type its name as it is: closing it cannot be undone.",
        )
    check_log_origin(new_origin)
    if new_origin == typed:
        raise Malformed("The new ledger has the name of the old one.", "Choose another name.")
    data = settings.data
    with opened_stores(settings) as stores:
        register, ledger, lock_store = stores.register, stores.ledger, stores.lock
        secrets = ServiceSecrets(settings.keys_folder)
        key = secrets.derive("closed ledgers")
        with ledger.read() as connection:
            state = ledger_sql.read_state(connection)
        # Otherwise this is a repetition, and the entries were taken over already.
        if state is None or state.origin != new_origin:
            closed = closed_log(ledger, lock_store, typed)
            held = checkpoint_keys(ServiceKeys(register, open_keys(settings), SystemClock()))
            present = {each.vkey for each in closed.keys.keys if each.until_size == closed.size + 1}
            signers = [each for each in held if vkey_of(typed, each) in present]
            remember_closed(data / CLOSED_FILE, key, closed)
            begin_anew(
                ledger,
                lock_store,
                closed,
                new_origin,
                signers=signers,
                state_key=StateKey(secrets.derive("ledger state")),
            )
        lock_new(ledger, lock_store, new_origin)
        _forget_lists(register)
        _put_aside(settings, typed)
        write_durably(data / ORIGIN_FILE, new_origin.encode() + b"\n")
        (size,) = (
            max(each.until_size or 0 for each in kept) - 1
            for origin, kept in read_closed_ledgers(data / CLOSED_FILE, key).items()
            if origin == typed
        )
        return size


def _forget_lists(register: Database) -> None:
    """Deletes the published status lists, which name the old ledger, so that new ones are made."""
    with register.write() as connection:
        for number in ecertificates_sql.status_list_numbers(connection):
            publishing_sql.forget_status_lists(connection, number, 1 << 62)


def _put_aside(settings: Settings, origin: str) -> None:
    """Moves the published files and the mark of the closed ledger aside, and deletes the files derived from it."""
    data, name = settings.data, re.sub(r"[^a-zA-Z0-9.-]", "_", origin)
    aside = data / "closed" / name
    published = data / "ledger" / "checkpoint"
    if published.exists() and published.read_text("utf-8", "replace").startswith(f"{origin}\n"):
        aside.parent.mkdir(exist_ok=True)
        (data / "ledger").rename(aside)
    mark = settings.ledger_mark
    if mark is not None and mark.exists() and mark.read_text("utf-8", "replace").startswith(f"{origin}\n"):
        mark.rename(mark.with_name(f"{mark.name}.closed-{name}"))
    for file in (data / MARKED_FILE, data / STANDING_FILE):
        file.unlink(missing_ok=True)
