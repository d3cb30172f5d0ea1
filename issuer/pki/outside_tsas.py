"""Pinning outside time-stamp authorities, permanently, once they have been in the settings.

Time-stamps must still verify when the settings no longer name their authority, so each authority is stored when it is
first seen, and is in the trust list from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from issuer.pki import sql
from keys.pki.importing import check_time_stamp_chain
from keys.suites import Suite
from trust.encoding.der import split_elements
from trust.encoding.digests import sha256
from trust.encoding.trust_list import TrustState
from trust.model.clock import Clock
from trust.storage import tables
from trust.storage.sql import Database


@dataclass(frozen=True, slots=True)
class PinnedTsa:
    """A pinned authority. `certs` are DER, the signing one first and without the root. `revoked_at`: according to
    the lists of its CAs."""

    tsa_id: str
    suite: Suite
    certs: tuple[bytes, ...]
    root: bytes
    state: TrustState
    since: datetime | None
    revoked_at: datetime | None


def pin_outside_tsa(database: Database, clock: Clock, certs: Sequence[bytes]) -> PinnedTsa:
    """Stores an authority with the certificates (DER) of its file. A repeat returns the stored one.

    Raises `Malformed` if a new one is unsuitable. A known one is not checked again: an expired certificate must prevent
    its use, but not the start of the service.
    """
    tsa_id = sha256(certs[0])[:16].hex()
    with database.read() as connection:
        known = tables.one_row(connection, sql.OutsideTsaRow, id=tsa_id)
    if known is not None:
        return _pinned(known)
    at = clock.now()
    chain = check_time_stamp_chain(certs, at=at)
    row = sql.OutsideTsaRow(
        id=tsa_id,
        suite=chain.suite.value,
        certs=b"".join(chain.certs),
        root=chain.root,
        added_at=tables.to_micros(at),
    )
    with database.write() as connection:
        tables.serialise(connection, "outside tsa")
        known = tables.one_row(connection, sql.OutsideTsaRow, id=tsa_id)
        if known is None:
            tables.insert(connection, row)
    return _pinned(known or row)


def list_outside_tsas(connection: Connection) -> list[PinnedTsa]:
    """All pinned authorities, read in the caller's transaction."""
    return [_pinned(row) for row in tables.all_rows(connection, sql.OutsideTsaRow)]


def _pinned(row: sql.OutsideTsaRow) -> PinnedTsa:
    def time(micros: int | None) -> datetime | None:
        return tables.from_micros(micros) if micros is not None else None

    return PinnedTsa(
        tsa_id=row.id,
        suite=Suite(row.suite),
        certs=split_elements(bytes(row.certs)),
        root=bytes(row.root),
        state=TrustState(row.state),
        since=time(row.since),
        revoked_at=time(row.revoked_at),
    )
