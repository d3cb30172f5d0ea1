"""Using a seal within its term, its policy and its limits. Each use is recorded with the caller who requested it.

Uses before a seal was frozen, lost or revoked stay valid, because time-stamps prove their time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from issuer.sealing.use import SealInUse
from issuer.seals import sql as seals_sql
from issuer.seals.policy import check_allows, day_of, decode_policy
from issuer.seals.registry import ESeal, SealRegistry
from keys.custody import KeyProvider, KeyPurpose
from trust.audit.trail import Act, Trail
from trust.model.actor import Actor, Permission
from trust.model.clock import Clock
from trust.model.errors import Conflict, Malformed, NotFound, NotPermitted
from trust.model.people import as_person, check_second_person
from trust.model.seal import SealPolicy, SealState
from trust.storage import tables
from trust.storage.sql import Database

_APPROVAL_HOURS = 24
_LONGEST_REQUEST = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class SealUses:
    """Use cases on using seals."""

    database: Database
    clock: Clock
    keys: KeyProvider
    registry: SealRegistry
    trail: Trail

    def check_usable(
        self, seal: ESeal, authority_id: str, at: datetime, *, type_short: str, caller: str
    ) -> None:
        """Raises `Conflict` or `NotPermitted` unless the authority may seal this type with the seal at the time
        `at`."""
        if seal.authority_id != authority_id:
            raise Conflict(
                f"The seal {seal.seal_id} belongs to another authority.", "Use the authority's own."
            )
        if seal.state is not SealState.ACTIVE:
            raise Conflict(
                f"The seal {seal.seal_id} is {seal.state.value}.",
                "Use an active seal.",
                code="SEAL_NOT_USABLE",
            )
        if seal.revoked_at is not None:
            raise Conflict(
                f"The certificate of the seal {seal.seal_id} was revoked by its CA.",
                "Make a new seal, with a new certificate.",
                code="SEAL_NOT_USABLE",
            )
        if not seal.not_before <= at <= seal.not_after:
            raise Conflict(
                f"The seal {seal.seal_id} is outside its term.", "Make a new seal.", code="SEAL_NOT_USABLE"
            )
        check_allows(seal.policy, seal.seal_id, type_short=type_short, caller=caller)

    def open(self, seal: ESeal) -> SealInUse:
        """The seal with its opened key. Raises `KeyUnavailable`."""
        key = self.keys.open(seal.key_id, KeyPurpose.SEAL)
        return SealInUse(key, seal.certs, seal.picture_pdf, seal.seal_data)

    def foresee_use(self, seal: ESeal, planned: int, at: datetime) -> None:
        """Raises `Conflict` if the day's limit forbids one more use after `planned` others."""
        limit = seal.policy.per_day
        if limit is None:
            return
        with self.database.read() as connection:
            used = seals_sql.seal_uses_on(connection, seal.seal_id, day_of(at))
        if used + planned >= limit:
            raise _limit_reached(seal.seal_id, limit)

    def lock_uses(
        self, connection: Connection, seal_ids: Collection[str], at: datetime, *, together: bool
    ) -> CountedUses | None:
        """Locks these seals against a freeze until the transaction ends, and counts their uses of the day.

        `together`: other processes may use them at the same time; None if that cannot be, as the uses of one are
        limited.
        """
        # Always in the same order, so that two batches cannot deadlock; and before the state is read and uses are
        # counted.
        for seal_id in sorted(seal_ids):
            tables.serialise(connection, f"use of seal {seal_id}", together=together)
        counted: dict[str, _Counted] = {}
        for seal_id in seal_ids:
            row = tables.stored_row(connection, seals_sql.SealRow, id=seal_id)
            policy = decode_policy(row.policy)
            is_limited = (policy.per_day, policy.second_approval_above) != (None, None)
            if is_limited and together:
                return None
            used = seals_sql.seal_uses_on(connection, seal_id, day_of(at)) if is_limited else 0
            counted[seal_id] = _Counted(SealState(row.state), policy, used)
        return CountedUses(connection, counted)

    def request_many(self, actor: Actor, seal_id: str, count: int) -> int:
        """Asks for a second person's approval of one request for up to `count` documents. Returns the approval's
        number."""
        seal = self.registry.get(seal_id)
        actor.check_may(Permission.HANDLE_SEALS, seal.authority_id)
        if count < 1:
            raise Malformed("The number of documents is at least 1.")
        expires = self.clock.now() + timedelta(hours=_APPROVAL_HOURS)
        row = seals_sql.SealApprovalRow(
            seal_id=seal_id,
            count=count,
            requested_by=as_person(actor.account),
            expires_at=tables.to_micros(expires),
        )
        with self.database.write() as connection:
            number: int = tables.insert(connection, row)
            self.trail.record(connection, actor.ref, Act("seal.request-many", str(number), subject=seal_id))
        return number

    def approve_many(self, actor: Actor, number: int, *, seal_id: str | None = None) -> None:
        """Approves such a request. Raises `NotPermitted` for the person who asked, `NotFound`, `Conflict` (approved
        already)."""
        with self.trail.refusals(actor, "seal.approve-many", subject=seal_id):
            actor.check_may(Permission.REVIEW_SEALS)
            with self.database.write() as connection:
                row = _approval(connection, number)
                if row is None or seal_id not in (None, row.seal_id):
                    raise NotFound(f"There is no request {number}.")
                actor.check_may(Permission.REVIEW_SEALS, self.registry.get(row.seal_id).authority_id)
                by = as_person(actor.account)
                check_second_person(row.requested_by, by, "Nobody approves a request of their own.")
                where = {"id": number, "approved_by": None}
                if tables.update(connection, seals_sql.SealApprovalRow, where, {"approved_by": by}) != 1:
                    raise Conflict(f"The request {number} is approved already.")
                act = Act("seal.approve-many", str(number), subject=row.seal_id)
                self.trail.record(connection, actor.ref, act)

    def check_many(self, counts: Mapping[str, int], approval: int | None, at: datetime) -> None:
        """Raises `NotPermitted` if a request needs a second person's approval by a seal's policy and has none.

        `counts`: documents by seal in one request. Uses the approval up if it is needed.
        """
        for seal_id, count in self._above_limit(counts, at):
            with self.database.write() as connection:
                where = {"id": approval, "used_at": None}
                if not _approves(
                    _approval(connection, approval), seal_id, count, tables.to_micros(at)
                ) or not tables.update(
                    connection, seals_sql.SealApprovalRow, where, {"used_at": tables.to_micros(at)}
                ):
                    raise _needs_approval(seal_id, count)

    def foresee_many(self, counts: Mapping[str, int], approval: int | None, at: datetime) -> None:
        """Raises what `check_many` would raise now, but does not use up the approval."""
        for seal_id, count in self._above_limit(counts, at):
            with self.database.read() as connection:
                row = _approval(connection, approval)
            if not _approves(row, seal_id, count, tables.to_micros(at)):
                raise _needs_approval(seal_id, count)

    def _above_limit(self, counts: Mapping[str, int], at: datetime) -> Iterator[tuple[str, int]]:
        """Yields seals that would be used more often today, over all requests, than their policy allows without
        approval."""
        for seal_id, count in counts.items():
            limit = self.registry.get(seal_id).policy.second_approval_above
            if limit is None:
                continue
            with self.database.read() as connection:
                used = seals_sql.seal_uses_on(connection, seal_id, day_of(at))
            if used + count > limit:
                yield seal_id, count


@dataclass(slots=True)
class _Counted:
    """A seal in the transaction that uses it: `used` times today."""

    state: SealState
    policy: SealPolicy
    used: int


@dataclass(frozen=True, slots=True)
class CountedUses:
    """The uses of seals in one transaction."""

    connection: Connection
    seals: Mapping[str, _Counted]
    rows: list[seals_sql.SealUseRow] = field(default_factory=list)

    def use(self, used: Sequence[ESeal], ecertificate_id: int, at: datetime, *, by: str) -> None:
        """Counts one document with these seals.

        Raises `Conflict` if a seal was taken out of use meanwhile, or its day's limit is reached; `NotPermitted` if it
        is used more often today than its policy and the approvals let through. Nothing is counted then.
        """
        for seal in used:
            self._check(seal.seal_id, at)
        for seal in used:
            self.seals[seal.seal_id].used += 1
            self.rows.append(
                seals_sql.SealUseRow(
                    seal_id=seal.seal_id,
                    ecertificate_id=ecertificate_id,
                    by=by,
                    day=day_of(at),
                    at=tables.to_micros(at),
                )
            )

    def write_down(self, connection: Connection) -> None:
        """Stores the uses, in the transaction that stores what was sealed."""
        ids = tables.next_ids(connection, seals_sql.SealUseRow, len(self.rows))
        for row, row_id in zip(self.rows, ids, strict=True):
            row.id = row_id
        tables.insert_many(connection, self.rows)

    def _check(self, seal_id: str, at: datetime) -> None:
        counted = self.seals[seal_id]
        if counted.state is not SealState.ACTIVE:
            raise Conflict(
                f"The seal {seal_id} is {counted.state.value}.", "Use an active seal.", code="SEAL_NOT_USABLE"
            )
        limit, alone = counted.policy.per_day, counted.policy.second_approval_above
        if limit is not None and counted.used >= limit:
            raise _limit_reached(seal_id, limit)
        # Concurrent requests may each have passed `check_many`; their sum is checked here.
        if (
            alone is not None
            and counted.used >= alone
            and not _is_approved(
                self.connection, seal_id, counted.used - alone, at, more=self._planned(seal_id)
            )
        ):
            raise _needs_approval(seal_id, 1)

    def _planned(self, seal_id: str) -> int:
        return sum(row.seal_id == seal_id for row in self.rows)


def _approval(connection: Connection, number: int | None) -> Any:
    """The approval with this number, or None, also if the number is out of the column's range."""
    if number is None or not 0 < number < 1 << 63:
        return None
    return tables.one_row(connection, seals_sql.SealApprovalRow, id=number)


def _approves(row: Any, seal_id: str, count: int, at: int) -> bool:
    return (
        row is not None
        and (row.seal_id, row.used_at) == (seal_id, None)
        and row.approved_by is not None
        and bool(row.count >= count)
        and bool(at < row.expires_at)
    )


def _is_approved(connection: Connection, seal_id: str, above: int, at: datetime, *, more: int) -> bool:
    """True if approvals cover one more use, after `above` uses above the limit, `more` of which are not stored yet.

    Approvals of the last days count, because a large request may take more than one day. Their sum must exceed the
    uses above the limit, or one approval the uses since it was used up, for a limit that was set later in the day.
    """
    since = tables.to_micros(at - _LONGEST_REQUEST)
    rows = [
        row
        for row in tables.all_rows(connection, seals_sql.SealApprovalRow, seal_id=seal_id)
        if row.approved_by is not None and (row.used_at or 0) >= since
    ]
    if above < sum(row.count for row in rows):
        return True
    return any(
        seals_sql.seal_uses_since(connection, seal_id, row.used_at or 0) + more < row.count for row in rows
    )


def _limit_reached(seal_id: str, limit: int) -> Conflict:
    return Conflict(
        f"The seal {seal_id} has been used {limit} times today, which is its limit.",
        "Go on tomorrow, or ask the seal's keeper for another limit.",
        code="SEAL_LIMIT_REACHED",
        zh=f"印章 {seal_id} 今日已用 {limit} 次，达到上限。请明日继续，或请印章保管人调整上限。",
    )


def _needs_approval(seal_id: str, count: int) -> NotPermitted:
    return NotPermitted(
        f"{count} more documents today with the seal {seal_id} need a second person's approval.",
        "Ask for one with `yinzheng seal request-many`, and name its number.",
        code="SEAL_NEEDS_APPROVAL",
        zh=f"今日再用印章 {seal_id} 签发 {count} 份须经他人批准。"
        "请用 yinzheng seal request-many 申请，再用 --approval 写明批准号。",
    )
