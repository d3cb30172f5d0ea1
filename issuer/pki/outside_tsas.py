"""Time-stamp authorities outside that were ever in the settings: pinned for good.

What one stamped has to verify when the settings name it no more, so each is remembered when it is first seen,
and stands in the trust list from then on.
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
    """`certs` are DER, the one that signs first and no root. `revoked_at`: as the lists of its CA say."""

    tsa_id: str
    suite: Suite
    certs: tuple[bytes, ...]
    root: bytes
    state: TrustState
    since: datetime | None
    revoked_at: datetime | None


def pin_outside_tsa(database: Database, clock: Clock, certs: Sequence[bytes]) -> PinnedTsa:
    """Remembers an authority by the certificates (DER) of its file; the same again gives what is there.

    Raises `Malformed` where a new one is not fit. One that is known is not judged again: that its certificate has
    ended stops it from being used, and not the service.
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
    """All that were ever pinned, in the caller's transaction."""
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
