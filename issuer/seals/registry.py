"""Reading the registry of e-seals: applications, seals, their histories and uses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from issuer.pki import sql as pki_sql
from issuer.pki.identities import list_identities
from issuer.seals import sql as seals_sql
from issuer.seals.policy import day_of, decode_policy
from keys.suites import Suite
from trust.model.clock import whole_second
from trust.model.errors import NotFound
from trust.model.seal import (
    SealAct,
    SealPolicy,
    SealShape,
    SealState,
)
from trust.storage import tables
from trust.storage.sql import Database

_MOST_USES = 100_000


@dataclass(frozen=True, slots=True)
class SealApplication:
    """A seal that is not made yet, or was rejected."""

    seal_id: str
    authority_id: str
    name: str
    second_line: str
    suite: Suite
    state: SealState
    applied_by: str
    renews: str | None


@dataclass(frozen=True, slots=True)
class ESeal:
    """电子印章. `picture_svg` is the artwork; `seal_data` the SESeal (DER).

    `certs` are DER, the seal's own first and without the root; `root` is the root above them. `identity_id` is set if
    they come from an outside CA, and `revoked_at` once that CA has revoked one of them.
    """

    seal_id: str
    authority_id: str
    name: str
    second_line: str
    suite: Suite
    shape: SealShape
    state: SealState
    state_since: datetime
    not_before: datetime
    not_after: datetime
    certs: tuple[bytes, ...]
    root: bytes
    identity_id: str | None
    revoked_at: datetime | None
    picture_svg: str
    picture_pdf: bytes
    width_mm: float
    height_mm: float
    seal_data: bytes
    key_id: str
    ca_id: str
    policy: SealPolicy

    @property
    def cert(self) -> bytes:
        return self.certs[0]


@dataclass(frozen=True, slots=True)
class SealEvent:
    """One step in a seal's life. `entry_seq` is None until the ledger has recorded it."""

    act: SealAct
    by: str
    note: str
    at: datetime
    effective_at: datetime
    detail: str
    entry_seq: int | None


@dataclass(frozen=True, slots=True)
class SealUse:
    at: datetime
    by: str
    pid: bytes
    approval: int | None


@dataclass(frozen=True, slots=True)
class Idle:
    """An interval in which a seal was frozen or lost; `until` is None while it still is."""

    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class SealRegistry:
    """Queries on seals."""

    database: Database
    pids_of: Callable[[Connection, Collection[int]], Mapping[int, bytes]]
    """Returns public ids by row ids of e-certificates."""

    def list(self) -> list[ESeal]:
        """Every seal that was made."""
        with self.database.read() as connection:
            rows = [row for row in tables.all_rows(connection, seals_sql.SealRow) if row.cert is not None]
            return _seals(connection, rows)

    def applications(self) -> Sequence[SealApplication]:
        """Every seal that is not made, rejected ones included."""
        with self.database.read() as connection:
            return [
                _application(row)
                for row in tables.all_rows(connection, seals_sql.SealRow)
                if row.cert is None
            ]

    def page(
        self, after: str | None, limit: int, *, authority_id: str | None = None
    ) -> Sequence[tuple[SealApplication, ESeal | None]]:
        """Seals in the order of their ids, made or not, behind the seal `after`; of this authority, if one is given."""
        where = {"authority_id": authority_id} if authority_id is not None else {}
        with self.database.read() as connection:
            rows = tables.rows_after(
                connection, seals_sql.SealRow, ["id"], None if after is None else [after], limit, **where
            )
            made = {
                seal.seal_id: seal
                for seal in _seals(connection, [row for row in rows if row.cert is not None])
            }
        return [(_application(row), made.get(row.id)) for row in rows]

    def application(self, seal_id: str) -> SealApplication:
        with self.database.read() as connection:
            row = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
        if row is None:
            raise self.unknown(seal_id)
        return _application(row)

    def get(self, seal_id: str) -> ESeal:
        seal = self.find(seal_id)
        if seal is None:
            raise self.unknown(seal_id)
        return seal

    def history(self, seal_id: str) -> Sequence[SealEvent]:
        """Every step, oldest first."""
        self.application(seal_id)
        with self.database.read() as connection:
            return [
                _event(row) for row in tables.all_rows(connection, seals_sql.SealEventRow, seal_id=seal_id)
            ]

    def page_of_history(self, seal_id: str, after: int | None, limit: int) -> Sequence[tuple[int, SealEvent]]:
        """Steps behind the one with the number `after`, oldest first, each with its number."""
        with self.database.read() as connection:
            rows = tables.rows_after(
                connection,
                seals_sql.SealEventRow,
                ["id"],
                None if after is None else [after],
                limit,
                seal_id=seal_id,
            )
        return [(row.id or 0, _event(row)) for row in rows]

    def page_of_uses(
        self, seal_id: str, since: datetime | None, after: Sequence[int] | None, limit: int
    ) -> Sequence[tuple[tuple[int, int], SealUse | None]]:
        """Uses since that time and behind the one with the key `after`, oldest first, each with its key: day and
        number. None in place of the use: the e-certificate was erased."""
        self.get(seal_id)
        with self.database.read() as connection:
            start, day = (tables.to_micros(whole_second(since)), day_of(since)) if since else (0, 0)
            rows = seals_sql.page_of_uses(connection, seal_id, start, day, after, limit)
            pids = self.pids_of(connection, [row.ecertificate_id for row in rows])
        return [
            (
                (row.day, row.id or 0),
                SealUse(tables.from_micros(row.at), row.by, pids[row.ecertificate_id], row.approval)
                if row.ecertificate_id in pids
                else None,
            )
            for row in rows
        ]

    def idle(self) -> dict[str, Sequence[Idle]]:
        """By seal, the intervals in which it was frozen or lost."""
        with self.database.read() as connection:
            rows = seals_sql.idle_events(connection)
        found: dict[str, Any] = {}
        for row in rows:
            intervals = found.setdefault(row.seal_id, [])
            event = _event(row)
            is_open = bool(intervals) and intervals[-1].until is None
            match event.act:
                case SealAct.FREEZE | SealAct.REPORT_LOST if not is_open:
                    intervals.append(Idle(event.effective_at, None))
                case SealAct.REPORT_LOST if event.effective_at < intervals[-1].since:
                    intervals[-1] = Idle(event.effective_at, None)
                case SealAct.UNFREEZE if is_open and event.entry_seq is not None:
                    # Time-stamps have whole seconds, so later uses in the same second bear the time of its beginning.
                    intervals[-1] = Idle(intervals[-1].since, event.at.replace(microsecond=0))
                case _:
                    pass
        return found

    def uses(
        self, seal_id: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[SealUse]:
        """Each use in since <= at < until, oldest first, to find what a compromise may affect.

        `since` is truncated to the whole second.
        """
        self.get(seal_id)
        start = tables.to_micros(whole_second(since)) if since else 0
        end = tables.to_micros(until) if until else 1 << 62
        with self.database.read() as connection:
            rows = seals_sql.seal_uses(connection, seal_id, start, end, _MOST_USES)
            pids = self.pids_of(connection, [row.ecertificate_id for row in rows])
        return [
            SealUse(tables.from_micros(row.at), row.by, pids[row.ecertificate_id], row.approval)
            for row in rows
            if row.ecertificate_id in pids
        ]

    def for_authority(self, authority_id: str) -> ESeal:
        """The seal for requests that name none: the authority's first active one, SM2 before others. Raises
        `NotFound`."""
        # A person's name seal is never the authority's own.
        active = [seal for seal in self.active_of(authority_id) if seal.shape is not SealShape.SQUARE]
        if not active:
            raise NotFound(
                f"The authority {authority_id} has no active seal.",
                "Make one with `yinzheng seal make`.",
                code="UNKNOWN_SEAL",
            )
        return min(active, key=lambda seal: (seal.suite is not Suite.SM2_SM3, seal.not_before, seal.seal_id))

    def active_of(self, authority_id: str) -> Sequence[ESeal]:
        """The authority's seals that are in use."""
        with self.database.read() as connection:
            wanted = {"authority_id": authority_id, "state": SealState.ACTIVE.value}
            return _seals(connection, tables.all_rows(connection, seals_sql.SealRow, **wanted))

    def find(self, seal_id: str) -> ESeal | None:
        with self.database.read() as connection:
            row = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
            return _seals(connection, [row])[0] if row is not None and row.cert is not None else None

    def unknown(self, seal_id: str) -> NotFound:
        return NotFound(
            f"There is no seal {seal_id}.", "List them with `yinzheng seal list`.", code="UNKNOWN_SEAL"
        )


def _application(row: seals_sql.SealRow) -> SealApplication:
    return SealApplication(
        row.id,
        row.authority_id,
        row.name,
        row.second_line,
        Suite(row.suite),
        SealState(row.state),
        row.applied_by,
        row.renews,
    )


def _event(row: seals_sql.SealEventRow) -> SealEvent:
    return SealEvent(
        SealAct(row.act),
        row.by,
        row.note,
        tables.from_micros(row.at),
        tables.from_micros(row.effective_at),
        row.detail,
        row.entry_seq,
    )


def _seals(connection: Connection, rows: Sequence[seals_sql.SealRow]) -> list[ESeal]:
    """The made seals among `rows`, each with the certificates of the CA that issued it, which may not be today's CA."""
    cas = {ca.id: ca for ca in tables.all_rows(connection, pki_sql.CaRow)}
    is_outside = any(row.identity_id is not None for row in rows)
    identities = {each.identity_id: each for each in list_identities(connection)} if is_outside else {}
    found = []
    for row in rows:
        if row.identity_id is not None:
            identity = identities[row.identity_id]
            found.append(_seal(row, identity.certs, identity.root, identity.revoked_at))
        else:
            ca = cas[row.ca_id or ""]
            found.append(
                _seal(row, (bytes(row.cert or b""), bytes(ca.cert)), bytes(cas[ca.parent or ""].cert))
            )
    return found


def _seal(
    row: seals_sql.SealRow, certs: tuple[bytes, ...], root: bytes, revoked_at: datetime | None = None
) -> ESeal:
    return ESeal(
        seal_id=row.id,
        authority_id=row.authority_id,
        name=row.name,
        second_line=row.second_line,
        suite=Suite(row.suite),
        shape=SealShape(row.shape),
        state=SealState(row.state),
        state_since=tables.from_micros(row.state_since),
        not_before=tables.from_micros(row.not_before or 0),
        not_after=tables.from_micros(row.not_after or 0),
        certs=certs,
        root=root,
        identity_id=row.identity_id,
        revoked_at=revoked_at,
        picture_svg=row.picture_svg or "",
        picture_pdf=bytes(row.picture_pdf or b""),
        width_mm=row.width_mm,
        height_mm=row.height_mm,
        seal_data=bytes(row.seal_data or b""),
        key_id=row.key_id or "",
        ca_id=row.ca_id or "",
        policy=decode_policy(row.policy),
    )
