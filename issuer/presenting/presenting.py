"""Presenting (亮证): live codes that a holder shows, and their one use.

A session starts when the holder begins to show and ends after five minutes, with its first use, or when the holder
stops. Its code changes every 15 seconds; a code stays valid during the next one and 5 seconds more. A single statement
in the database decides which scan is the first. The same verifier scanning again within 30 seconds gets the same
answer, because scanners sometimes read twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.kinds import DocumentKind, Step
from issuer.ecertificates.reading import issued_from
from issuer.presenting import sql as presenting_sql
from trust.audit.trail import Act, Trail
from trust.encoding.codes import (
    STEP_SECONDS,
    LiveHandle,
    decode_live_handle,
    encode_live_handle,
    live_url,
)
from trust.encoding.digests import sha256
from trust.model.actor import Actor, Permission
from trust.model.clock import Clock, Entropy
from trust.model.ecertificate import IssuedECertificate
from trust.model.errors import Conflict, Malformed, NotFound
from trust.model.people import is_same_person
from trust.storage import tables
from trust.storage.sql import Database

MAX_SESSION = timedelta(minutes=5)
_STEP = timedelta(seconds=STEP_SECONDS)
_GRACE = timedelta(seconds=5)
_REPEAT = timedelta(seconds=30)
_MAX_PURPOSE = 60


class Level(IntEnum):
    """How much a presentation discloses (GLOSSARY: disclosure level)."""

    STATUS = 0
    MASKED = 1
    NAMED = 2
    ALL_FIELDS = 3


@dataclass(frozen=True, slots=True)
class Presentation:
    """A session in which a holder shows an e-certificate. `session` is the secret from which codes are made."""

    session: bytes
    started_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    used_by: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A presentation that somebody redeemed. `by` is empty for the public."""

    at: datetime
    by: str
    purpose: str
    level: Level


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The answer to redeeming a code. `state` is FRESH, REPEAT, EXPIRED, USED, or ELSEWHERE for a code that is meant
    for another `audience`, and is not used up."""

    state: str
    issued: IssuedECertificate | None
    purpose: str
    level: Level
    used_at: datetime | None = None
    audience: str | None = None


@dataclass(frozen=True, slots=True)
class Presenting:
    """The use case. `server_key` authenticates codes; it never leaves the service."""

    database: Database
    clock: Clock
    entropy: Entropy
    trail: Trail
    host: str
    server_key: bytes

    def start(
        self,
        actor: Actor,
        pid: bytes,
        *,
        purpose: str,
        level: Level,
        audience: str | None = None,
        ttl: timedelta = MAX_SESSION,
    ) -> Presentation:
        """Begins to show an issued e-certificate to any verifier, or only to the counter or system that `audience`
        names. Raises `Malformed`, `NotFound`."""
        actor.check_may(Permission.PRESENT)
        if not purpose.strip() or len(purpose) > _MAX_PURPOSE or not purpose.isprintable():
            raise Malformed(
                f"A purpose has 1 to {_MAX_PURPOSE} printable characters.", "Say what it is shown for."
            )
        if audience is not None and (not audience.strip() or not audience.isprintable()):
            raise Malformed("An audience has printable characters.", "Name the counter that may check it.")
        if not timedelta(seconds=STEP_SECONDS) <= ttl <= MAX_SESSION:
            raise Malformed("A presentation lasts 15 to 300 seconds.", "Choose a time between.")
        at = self.clock.now()
        session = self.entropy.bytes(10)
        with self.database.write() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step=Step.ISSUED)
            if not actor.sees(row.authority_id):
                raise NotFound("There is no such e-certificate.", "Check the public id.")
            act = Act("present", level.name, pid=pid, purpose=purpose)
            self.trail.record(connection, actor.ref, act)
            tables.insert(
                connection,
                presenting_sql.PresentationRow(
                    session_hash=sha256(session),
                    ecertificate_id=row.id or 0,
                    purpose=purpose,
                    audience=audience,
                    level=int(level),
                    started_at=tables.to_micros(at),
                    expires_at=tables.to_micros(at + ttl),
                ),
            )
        return Presentation(session, at, at + ttl)

    def code(self, presentation: Presentation, at: datetime) -> tuple[str, datetime]:
        """The address to show as a code at the time `at`, and the time of the next one."""
        step = (at - presentation.started_at) // _STEP
        handle = encode_live_handle(LiveHandle(presentation.session, step), self.server_key)
        return live_url(self.host, handle), presentation.started_at + (step + 1) * _STEP

    def look(self, session: bytes, pid: bytes) -> Presentation:
        """The state of a session in which this e-certificate is shown, for the holder's own page. Raises `NotFound`."""
        with self.database.read() as connection:
            row = tables.one_row(connection, presenting_sql.PresentationRow, session_hash=sha256(session))
            of = ecertificates_sql.pids_of(connection, [row.ecertificate_id]) if row is not None else {}
        if row is None or of.get(row.ecertificate_id) != pid:
            raise NotFound("There is no such presentation.")
        return Presentation(
            session,
            tables.from_micros(row.started_at),
            tables.from_micros(row.stopped_at or row.expires_at),
            tables.from_micros(row.used_at) if row.used_at is not None else None,
            row.used_by,
        )

    def stop(self, session: bytes) -> None:
        """Ends the session. Idempotent."""
        at = tables.to_micros(self.clock.now())
        with self.database.write() as connection:
            where = {"session_hash": sha256(session), "stopped_at": None}
            tables.update(connection, presenting_sql.PresentationRow, where, {"stopped_at": at})

    def redeem(self, handle: bytes, verifier: str, at: datetime) -> Redeemed:
        """Uses a code. Only the first use in time gets FRESH. Raises `Malformed` (NOT_OURS) if this service did not
        make it."""
        live = decode_live_handle(handle, self.server_key)
        session_hash = sha256(live.session)
        with self.database.read() as connection:
            row = tables.one_row(connection, presenting_sql.PresentationRow, session_hash=session_hash)
        if row is None:
            raise Malformed("This service did not make the code.", code="NOT_OURS")
        level, meant_for = Level(row.level), row.audience
        if meant_for and not is_same_person(meant_for, verifier):
            return Redeemed("ELSEWHERE", None, row.purpose, level, audience=meant_for)
        step_ends = tables.from_micros(row.started_at) + (live.step + 2) * _STEP + _GRACE
        begins = tables.from_micros(row.started_at) + live.step * _STEP - _GRACE
        in_time = begins <= at <= step_ends and at < tables.from_micros(row.stopped_at or row.expires_at)
        if row.used_at is None:
            if not in_time:
                return Redeemed("EXPIRED", None, row.purpose, level)
            with self.database.write() as connection:
                first = presenting_sql.use_presentation(
                    connection, session_hash, verifier, tables.to_micros(at)
                )
            if first:
                return Redeemed("FRESH", self._shown(row.ecertificate_id), row.purpose, level, at, meant_for)
            with self.database.read() as connection:
                row = tables.stored_row(connection, presenting_sql.PresentationRow, session_hash=session_hash)
        if row.used_at is None:
            return Redeemed("EXPIRED", None, row.purpose, level)
        used_at = tables.from_micros(row.used_at)
        if verifier and row.used_by == verifier and at - used_at <= _REPEAT:
            return Redeemed(
                "REPEAT", self._shown(row.ecertificate_id), row.purpose, level, used_at, meant_for
            )
        return Redeemed("USED", None, row.purpose, level, used_at)

    def history(self, pid: bytes, limit: int = 50) -> list[Shown]:
        """To whom an e-certificate was shown, newest first. Raises `NotFound`."""
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid)
            rows = presenting_sql.presentations_of(connection, [row.id or 0], limit)
        return [
            Shown(tables.from_micros(each.used_at), each.used_by or "", each.purpose, Level(each.level))
            for each in rows
            if each.used_at is not None
        ]

    def _shown(self, ecertificate_id: int) -> IssuedECertificate:
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, id=ecertificate_id)
            if ecertificates_sql.is_changing(connection, row):
                # Do not show an e-certificate as valid that is about to be revoked.
                raise Conflict("The status is being changed at this moment.", "Scan again.", code="TRY_LATER")
            return issued_from(
                row, ecertificates_sql.get_document(connection, ecertificate_id, DocumentKind.DATA)
            )
