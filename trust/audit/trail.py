"""The audit trail: who did what to which e-certificate or seal, for which purpose and with what outcome.

An act is written down in its own transaction (`record`), so there is none without its row; a refusal, and a look at
personal data, in one of their own (`note`, `refusals`). What anybody does without a name is counted by the minute
(`count`) and not listed, so that nobody can flood the trail. No argument may contain a name, a number or a code of a
holder.

Each row has a MAC. `trust.audit.sealer` chains committed rows in batches and anchors them in the ledger.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.engine import Connection

from trust.audit import sql
from trust.audit.rows import RowKey, fields_of, purpose_commit
from trust.audit.sql import AuditRow
from trust.model.actor import PUBLIC, Actor, ActorRef
from trust.model.clock import Clock, Entropy
from trust.model.errors import Conflict, NotPermitted, TrustError
from trust.storage.sql import Database
from trust.storage.tables import from_micros, insert_rows, to_micros

_MAX_ACTOR, _MAX_ACTION, _MAX_OUTCOME = 96, 48, 64
_SALT_BYTES = _UID_BYTES = 16
_COUNTED_FOR_MICROS = 60_000_000
_MOST_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """A row of the trail. `number` is None until it is sealed. `times` is above 1 for what is counted by the minute."""

    row_id: int
    number: int | None
    at: datetime
    actor: str
    organisation: str | None
    name: str
    action: str
    pid: bytes | None
    subject: str | None
    purpose: str | None
    outcome: str
    times: int


@dataclass(frozen=True, slots=True)
class Act:
    """What is written down about an act. `subject` is what it was done to, if that is no e-certificate: a seal's id.

    The trail cuts `outcome` to 64 characters.
    """

    action: str
    outcome: str
    pid: bytes | None = None
    subject: str | None = None
    purpose: str | None = None


class Counts:
    """What was counted and is not yet written down."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.of: Counter[tuple[str, str, bytes | None]] = Counter()
        self.since = 0


@dataclass(frozen=True, slots=True)
class Trail:
    """The audit trail. Rows are added and read, never changed."""

    database: Database
    clock: Clock
    entropy: Entropy
    key: RowKey = field(repr=False)
    counts: Counts = field(default_factory=Counts)

    # --- writing ---

    def record(self, connection: Connection, by: ActorRef, *acts: Act) -> None:
        """Writes down acts in the transaction that does them."""
        self.record_each(connection, [(by, act) for act in acts])

    def record_each(self, connection: Connection, acts: Sequence[tuple[ActorRef, Act]]) -> None:
        """`record` for acts of several actors."""
        insert_rows(connection, [self._row(by, act) for by, act in acts])

    def note(self, by: ActorRef, act: Act) -> None:
        """Writes down what changes nothing: a refusal, or that somebody was given something."""
        with self.database.write() as connection:
            self.record(connection, by, act)

    @contextmanager
    def refusals(
        self, actor: Actor, action: str, *, pid: bytes | None = None, subject: str | None = None
    ) -> Iterator[None]:
        """Writes down that the act in this block was refused ("refused CONFLICT"), and raises the error again.

        Mistakes in what was typed are no refusals.
        """
        try:
            yield
        except (NotPermitted, Conflict) as exc:
            self.note(actor.ref, Act(action, refusal_of(exc), pid, subject))
            raise

    def count(self, action: str, outcome: str, pid: bytes | None = None) -> None:
        """Counts what somebody without a name did. Written down within a minute, or when `flush` is called."""
        now = to_micros(self.clock.now())
        with self.counts.turn:
            self.counts.since = self.counts.since or now
            self.counts.of[action, outcome, pid] += 1
        self.flush_due()

    def flush_due(self) -> None:
        """Writes down what was counted, if that began a minute ago or is much."""
        now = to_micros(self.clock.now())
        with self.counts.turn:
            is_old = abs(now - self.counts.since) >= _COUNTED_FOR_MICROS
            is_due = bool(self.counts.of) and (is_old or len(self.counts.of) >= _MOST_COUNTED)
        if is_due:
            self.flush()

    def flush(self) -> None:
        """Writes down what was counted, however little."""
        with self.counts.turn:
            counted, self.counts.of, self.counts.since = self.counts.of, Counter(), 0
        if not counted:
            return
        rows = [
            self._row(PUBLIC.ref, Act(action, outcome, pid), times)
            for (action, outcome, pid), times in counted.items()
        ]
        try:
            with self.database.write() as connection:
                insert_rows(connection, rows)
        except BaseException:
            with self.counts.turn:
                self.counts.of.update(counted)
            raise

    def _row(self, by: ActorRef, act: Act, times: int = 1) -> AuditRow:
        salt = self.entropy.bytes(_SALT_BYTES) if act.purpose is not None else None
        row = AuditRow(
            uid=self.entropy.bytes(_UID_BYTES),
            at=to_micros(self.clock.now()),
            actor=by.ref[:_MAX_ACTOR],
            organisation=by.organisation,
            actor_name=by.name or None,
            action=act.action[:_MAX_ACTION],
            pid=act.pid,
            subject=act.subject,
            purpose=act.purpose,
            purpose_salt=salt,
            purpose_commit=purpose_commit(act.purpose, salt) if act.purpose is not None and salt else None,
            outcome=act.outcome[:_MAX_OUTCOME],
            times=times,
        )
        row.mac = self.key(fields_of(row))
        return row

    # --- reading ---

    def of(self, pid: bytes, *, actions: Sequence[str] = (), limit: int = 50) -> list[AuditEvent]:
        """The events of one e-certificate, newest first."""
        self.flush()
        return self.list(pid=pid, actions=actions, limit=limit)

    def by(self, actor: str, *, since: datetime, limit: int = 20) -> list[AuditEvent]:
        """The events of one actor, newest first."""
        return self.list(actor=actor, since=since, limit=limit)

    def list(
        self,
        *,
        pid: bytes | None = None,
        actor: str | None = None,
        actions: Sequence[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[AuditEvent]:
        """The events that meet all conditions, newest first. `before` is the `row_id` of the last one seen."""
        with self.database.read() as connection:
            rows = sql.audit_rows(
                connection,
                pid=pid,
                actor=actor,
                actions=actions,
                since=to_micros(since) if since is not None else 0,
                until=to_micros(until) if until is not None else None,
                before=before,
                limit=limit,
            )
        return [_audit_event(row) for row in rows]


def refusal_of(error: TrustError) -> str:
    """The outcome of an act that was refused."""
    return f"refused {error.code}"


def _audit_event(row: AuditRow) -> AuditEvent:
    return AuditEvent(
        row.id or 0,
        row.number,
        from_micros(row.at),
        row.actor,
        row.organisation,
        row.actor_name or "",
        row.action,
        bytes(row.pid) if row.pid is not None else None,
        row.subject,
        row.purpose,
        row.outcome,
        row.times,
    )
