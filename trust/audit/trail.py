"""The audit trail: who did what to which e-certificate, for which purpose and with what outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from trust.audit import sql
from trust.audit.sql import AuditRow
from trust.model.clock import Clock
from trust.storage.sql import Database
from trust.storage.tables import from_micros, insert, to_micros

_MAX_ACTOR = 64


@dataclass(frozen=True, slots=True)
class AuditEvent:
    at: datetime
    actor: str
    action: str
    pid: bytes | None
    purpose: str | None
    outcome: str


@dataclass(frozen=True, slots=True)
class Trail:
    """The audit trail. Events are added and read, never changed."""

    database: Database
    clock: Clock

    def record(self, actor: str, action: str, pid: bytes | None, purpose: str | None, outcome: str) -> None:
        """Adds an event. No argument may contain a name, a number or a code."""
        row = AuditRow(
            at=to_micros(self.clock.now()),
            actor=actor[:_MAX_ACTOR],
            action=action,
            pid=pid,
            purpose=purpose,
            outcome=outcome,
        )
        with self.database.write() as connection:
            insert(connection, row)

    def of(self, pid: bytes, *, actions: Sequence[str] = (), limit: int = 50) -> list[AuditEvent]:
        """The events of one e-certificate, newest first."""
        with self.database.read() as connection:
            rows = sql.audit_rows(connection, pid=pid, actions=actions, limit=limit)
        return [_audit_event(row) for row in rows]

    def by(self, actor: str, *, since: datetime, limit: int = 20) -> list[AuditEvent]:
        """The events of one actor, newest first."""
        with self.database.read() as connection:
            rows = sql.audit_rows(connection, actor=actor, since=to_micros(since), limit=limit)
        return [_audit_event(row) for row in rows]


def _audit_event(row: AuditRow) -> AuditEvent:
    pid = bytes(row.pid) if row.pid is not None else None
    return AuditEvent(from_micros(row.at), row.actor, row.action, pid, row.purpose, row.outcome)
