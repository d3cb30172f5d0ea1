"""Declaring that others may know the key of one of our time-stamp authorities, seal makers or seal CAs.

    1  withdraw   its state becomes COMPROMISED from a given time on, and its root revokes its certificate
    2  revoke     seals that are no longer trusted: all under the CA, or those that the maker made since
    3  report     all files that no longer pass, so that they can be sealed again (`issuer.compromises.resealing`)

It takes effect with the next trust list and is permanent. Earlier files stay valid, because their time-stamps and
ledger entries show when they were made. An attacker with the key of a time-stamp authority can backdate, but a
backdated file has no ledger entry of that time, and making one also needs a seal's key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from issuer.archive import sql as archive_sql
from issuer.pki import sql
from issuer.pki.pki import PKI_FAMILIES, ROLES, Pki, family_of
from issuer.seals.lifecycle import Seals
from issuer.seals.registry import ESeal, SealRegistry, SealUse
from keys.pki.build import Profile
from keys.pki.read import read_x509_cert
from keys.suites import Suite
from trust.audit.trail import Act, Trail
from trust.encoding.ses import decode_seal
from trust.encoding.trust_list import TrustState
from trust.model.actor import Actor, Permission
from trust.model.clock import Clock, whole_second
from trust.model.errors import Malformed, NotFound
from trust.model.reaching_back import check_reaching_back
from trust.model.seal import SealState
from trust.storage import tables
from trust.storage.sql import Database

_CERT_STARTS_BEFORE = timedelta(minutes=5)
"""`Pki` backdates certificates by this, for clocks that are behind."""

_NOT_REVOKED = (SealState.MADE, SealState.ACTIVE, SealState.FROZEN, SealState.LOST, SealState.RENEWED)


@dataclass(frozen=True, slots=True)
class TouchedFile:
    """A file that no longer passes. `version` 0 is the issued file; `seal_id` is the seal on it."""

    pid: bytes
    version: int
    at: datetime
    seal_id: str | None


@dataclass(frozen=True, slots=True)
class Touched:
    """The consequences of a compromise: `seals` and `files` that must be made again."""

    ca_id: str
    since: datetime
    seals: Sequence[str]
    files: Sequence[TouchedFile]


@dataclass(frozen=True, slots=True)
class Compromises:
    """The use case."""

    database: Database
    clock: Clock
    trail: Trail
    pki: Pki
    registry: SealRegistry
    seals: Seals

    def declare(
        self,
        actor: Actor,
        ca_id: str,
        since: datetime,
        *,
        note: str = "",
        approved_by: str | None = None,
    ) -> Touched:
        """Withdraws an authority from a time on. Repeating the call, also with an earlier time, completes missing
        steps.

        Raises `NotFound` (also for a root), `Malformed` for a time in the future, and `NotPermitted` without a second
        person if the time is far in the past.
        """
        at = self.clock.now()
        if since > at:
            raise Malformed(
                "The time lies in the future.", "Give the time since when others may have the key."
            )
        with self.trail.refusals(actor, "compromised", subject=ca_id):
            actor.check_may(Permission.SET_UP)
            check_reaching_back(since, at, actor, approved_by)
        since = whole_second(since)
        self._withdraw(actor, ca_id, since, at)
        touched = self.touched(ca_id, since)
        for seal_id in touched.seals:
            seal = self.registry.get(seal_id)
            if seal.state in _NOT_REVOKED:
                why = note or f"{ca_id} compromised"
                self.seals.revoke(actor, seal_id, note=why, since=since, approved_by=approved_by)
        return touched

    def touched(self, ca_id: str, since: datetime) -> Touched:
        """The seals and files that no longer pass if this key is only trusted until `since`."""
        row = self._get(ca_id)
        match Profile(row.kind):
            case Profile.TIME_STAMP:
                return Touched(ca_id, since, (), self._stamped(row, since))
            case Profile.SEAL_MAKER:
                made = [seal for seal in self.registry.list() if _is_made_by(seal, bytes(row.cert), since)]
            case _:
                made = [seal for seal in self.registry.list() if seal.ca_id == ca_id]
        files = [
            _file(use, seal.seal_id) for seal in made for use in self.registry.uses(seal.seal_id, since=since)
        ]
        return Touched(ca_id, since, [seal.seal_id for seal in made], files)

    def _withdraw(self, actor: Actor, ca_id: str, since: datetime, at: datetime) -> None:
        row = self._get(ca_id)
        moment = tables.to_micros(since) if row.since is None else min(tables.to_micros(since), row.since)
        with self.database.write() as connection:
            tables.serialise(connection, "certification authorities")
            values = {"state": TrustState.COMPROMISED.value, "since": moment}
            tables.update(connection, sql.CaRow, {"id": ca_id}, values)
            _put_on_list(connection, row, moment, tables.to_micros(at))
            act = Act("compromised", since.isoformat(), subject=ca_id)
            self.trail.record(connection, actor.ref, act)

    def _stamped(self, row: sql.CaRow, since: datetime) -> list[TouchedFile]:
        """The sealed files and later versions that this generation of a time-stamp authority stamped since."""
        family = Suite(row.suite)
        until = self._relieved_at(row)
        files = [
            _file(use, seal.seal_id)
            for seal in self.registry.list()
            if family_of(seal.suite) is family
            for use in self.registry.uses(seal.seal_id, since=since, until=until)
        ]
        suites = [suite.value for suite in Suite if family_of(suite) is family]
        end = tables.to_micros(until) if until is not None else 1 << 62
        with self.database.read() as connection:
            later = archive_sql.stamped_between(connection, suites, tables.to_micros(since), end)
        files += [
            TouchedFile(pid, version.number, tables.from_micros(version.stamped_at), None)
            for pid, version in later
        ]
        return files

    def _relieved_at(self, row: sql.CaRow) -> datetime | None:
        """The time when the next generation took over; None if there is none."""
        generations = self.pki.generations(row.id.partition(".")[0])
        place = [each.id for each in generations].index(row.id)
        if place + 1 == len(generations):
            return None
        return read_x509_cert(bytes(generations[place + 1].cert)).not_before + _CERT_STARTS_BEFORE

    def _get(self, ca_id: str) -> sql.CaRow:
        known = [row for family in PKI_FAMILIES for role in ROLES for row in self._generations(role, family)]
        row = next((each for each in known if each.id == ca_id), None)
        if row is None:
            listed = ", ".join(each.id for each in known)
            raise NotFound(f"There is no authority {ca_id} that can be withdrawn.", f"Name one of {listed}.")
        return row

    def _generations(self, role: str, family: Suite) -> Sequence[sql.CaRow]:
        return self.pki.generations(f"{role}-{family}")


def _put_on_list(connection: Connection, row: sql.CaRow, since: int, at: int) -> None:
    """Puts the certificate on the revocation list of the root above, or changes the time of an existing entry."""
    assert row.parent is not None, "only what has a root above can be withdrawn"
    serial = str(read_x509_cert(bytes(row.cert)).serial)
    if tables.one_row(connection, sql.RevokedCertRow, ca_id=row.parent, serial=serial) is None:
        entry = sql.RevokedCertRow(ca_id=row.parent, serial=serial, revoked_at=since, entered_at=at)
        tables.insert(connection, entry)
    else:
        times = {"revoked_at": since, "entered_at": at}
        tables.update(connection, sql.RevokedCertRow, {"ca_id": row.parent, "serial": serial}, times)


def _is_made_by(seal: ESeal, maker: bytes, since: datetime) -> bool:
    made = decode_seal(seal.seal_data)
    return made.maker_cert == maker and made.info.created_at >= since


def _file(use: SealUse, seal_id: str) -> TouchedFile:
    return TouchedFile(use.pid, 0, use.at, seal_id)
