"""The registry of e-seals: applied for, reviewed, made, recorded, authorised, used, frozen, renewed, revoked.

`trust.model.seal` has the table of what may follow what. Each step is announced (stored, and the seal claimed
for it), appended to the ledger, and completed; a crash between is carried on by `resume_pending`. What only
takes something away (a freeze, a loss, a revocation) holds from the moment it is announced, whatever the
ledger does: a stolen seal must not wait for a queue.

The person who reviews an application is another than the one who applied. `make` without an application is
for setting up: the operator of the machine, who holds the keys' passphrase anyway, takes all steps at once,
and the history says so.

Only an ACTIVE seal inside its term seals, within its policy, and every use is written down with who had it
used. What it sealed before stays valid: the time-stamp says when it was used. The intervals in which it was
frozen or lost, and since when a revoked one does not count, stand in the trust list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from issuer.authorities import sql as authorities_sql
from issuer.operations import sql as operations_sql
from issuer.pki import sql as pki_sql
from issuer.pki.identities import SealIdentity, list_identities
from issuer.pki.pki import Pki
from issuer.sealing.use import SealInUse
from issuer.seals import sql as seals_sql
from issuer.seals.artwork import SealPicture, draw_seal, seal_data_png, seal_pdf
from issuer.seals.data import SealType, make_seal_data
from issuer.seals.policy import check_allows, day_of, decode_policy, encode_policy
from keys.custody import KeyPurpose
from keys.pki.build import Profile, Subject, make_x509_cert
from keys.pki.read import read_x509_cert
from keys.suites import Suite
from ledger.log import AppendRequest, Log
from trust.encoding.commitment import content_root
from trust.encoding.entry import NO_REF, EntryKind
from trust.encoding.ses import SealPictureData
from trust.model.clock import Entropy, whole_second
from trust.model.errors import Conflict, LedgerBusy, LedgerHalted, Malformed, NotFound, NotPermitted
from trust.model.people import is_same_person
from trust.model.reaching_back import check_second_person
from trust.model.seal import (
    RESTRICTING,
    SealAct,
    SealPolicy,
    SealShape,
    SealState,
    next_seal_state,
    seal_code,
)
from trust.storage import tables

OPERATOR = "operator"
"""Who acts at the machine's own command line."""

_SEAL_YEARS = 5
_BACK = timedelta(minutes=5)
"""A seal's term begins a little before it is made: clocks differ."""
_SEAL_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PERSON = re.compile(r"(?!\s)[^|\x00-\x1f\x7f]{1,64}(?<!\s)")
_MAX_NOTE = 200
_APPROVAL_HOURS = 24
_LONGEST_REQUEST = timedelta(days=7)
_MOST_USES = 100_000
_EVENT_FIELDS = ("act", "at", "by", "detail", "effective_at", "note", "seal_id")
_SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class SealApplication:
    """A seal that is not made yet, or never will be."""

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

    `certs` are DER, the seal's own first and no root; `root` is above them. `identity_id` is set where they come
    from a CA outside, and `revoked_at` once that CA has revoked one of them.
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
    """One step in a seal's life. `entry_seq` is None while the ledger has yet to record it."""

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
    """An interval in which a seal was frozen or lost; `until` is None while it is."""

    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Seals:
    """Use cases on seals."""

    pki: Pki
    log: Log
    entropy: Entropy
    pids_of: Callable[[Connection, Collection[int]], Mapping[int, bytes]]
    """Public ids by the numbers of e-certificates."""

    # --- from application to use ---

    def apply(
        self,
        seal_id: str,
        authority_id: str,
        suite: Suite,
        *,
        by: str,
        second_line: str = "",
        diameter_mm: float = 42.0,
        shape: SealShape = SealShape.ROUND,
        person: str | None = None,
        artwork: bytes | None = None,
        renews: str | None = None,
        note: str = "",
    ) -> SealApplication:
        """申请. The same application again gives the one that is there. Raises `Malformed`, `Conflict`.

        `diameter_mm` is the width of a seal of another shape. `person` is whose name a square seal bears, in
        the affairs of the authority. `artwork` (PNG) is what was approved for a seal that is not drawn here.
        """
        if not _SEAL_ID.fullmatch(seal_id):
            raise Malformed("A seal's id is 1 to 63 of a-z, 0-9 and hyphens.", "Choose another id.")
        if suite is Suite.ED25519:
            raise Malformed(
                "Ed25519 keys do not seal documents.", "Choose SM2-SM3, RSA3072-SHA256 or P256-SHA256."
            )
        authority = self.pki.authorities.get(authority_id)
        if (shape is SealShape.SQUARE) != (person is not None) or (person and second_line):
            raise Malformed("A square seal bears a person's name, and no other seal does.")
        # Drawn now, so that what cannot be drawn or is too fine is refused before anybody reviews it.
        picture = draw_seal(
            shape,
            person or authority.name_zh,
            second_line,
            width_mm=diameter_mm,
            code=seal_code(authority.uscc, seal_id),
            artwork=artwork,
        )
        seal_data_png(picture)
        if renews is not None and self.get(renews).authority_id != authority_id:
            raise Conflict(f"The seal {renews} belongs to another authority.", "Renew the authority's own.")
        at = self.pki.clock.now()
        row = seals_sql.SealRow(
            id=seal_id,
            authority_id=authority_id,
            name=person or authority.name_zh + (f"（{second_line}）" if second_line else ""),
            second_line=second_line,
            suite=suite.value,
            shape=shape.value,
            width_mm=picture.width_mm,
            height_mm=picture.height_mm,
            artwork=picture.artwork,
            renews=renews,
            applied_by=_person(by),
            state=SealState.APPLIED.value,
            state_since=tables.to_micros(at),
        )
        with self.pki.database.write() as connection:
            tables.serialise(connection, "seals")
            known = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
            if known is None:
                _check_code_is_free(connection, authority.uscc, seal_id)
                tables.insert(connection, row)
                events = [self._announce(connection, seal_id, SealAct.APPLY, by=by, note=note, at=at)]
            else:
                same = ("authority_id", "suite", "name", "second_line", "shape", "width_mm", "renews")
                if any(getattr(row, each) != getattr(known, each) for each in same) or (
                    row.artwork or b""
                ) != bytes(known.artwork or b""):
                    raise Conflict(f"The id {seal_id} belongs to another seal.", "Choose another id.")
                events = []
        self._record(events)
        return self.application(seal_id)

    def approve(self, seal_id: str, *, by: str, note: str = "") -> SealApplication:
        """审核. Raises `NotPermitted` for the person who applied."""
        self._check_second_person(seal_id, by)
        self._act(seal_id, SealAct.APPROVE, by=by, note=note)
        return self.application(seal_id)

    def reject(self, seal_id: str, *, by: str, note: str) -> SealApplication:
        self._check_second_person(seal_id, by)
        self._act(seal_id, SealAct.REJECT, by=by, note=note)
        return self.application(seal_id)

    def make_approved(self, seal_id: str, *, by: str, identity: SealIdentity | None = None) -> ESeal:
        """制作: a key and its certificate, the picture, the seal data.

        Key and certificate are fresh and of our own CA, or those of an `identity` from outside. Raises `Conflict`
        for an identity of another suite, outside its term, revoked, or of another seal.
        """
        with self.pki.database.read() as connection:
            row = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
        if row is None:
            raise self._unknown(seal_id)
        next_seal_state(SealState(row.state), SealAct.MAKE)
        keyed = self._with_fresh_key(row) if identity is None else self._with_identity(row, identity)
        detail = identity.identity_id if identity is not None else ""
        try:
            self._act(seal_id, SealAct.MAKE, by=by, detail=detail, values=self._made(row, keyed))
        except IntegrityError as exc:  # of two seals that were made with it at the same time, one is first
            raise _identity_in_use(detail) from exc
        return self.get(seal_id)

    def record(self, seal_id: str, *, by: str) -> ESeal:
        """备案: from now on the seal may be used, and the one that it renews no longer."""
        self._act(seal_id, SealAct.RECORD, by=by)
        self._retire_renewed(seal_id, by)
        return self.get(seal_id)

    def make(
        self,
        seal_id: str,
        authority_id: str,
        suite: Suite,
        *,
        second_line: str = "",
        diameter_mm: float = 42.0,
        identity: SealIdentity | None = None,
    ) -> ESeal:
        """All steps at once, by the operator, for setting up. The same again goes on where it was."""
        self.apply(
            seal_id, authority_id, suite, by=OPERATOR, second_line=second_line, diameter_mm=diameter_mm
        )
        state = self.application(seal_id).state
        if state is SealState.APPLIED:
            self._act(seal_id, SealAct.APPROVE, by=OPERATOR, note="set up by the operator")
            state = SealState.APPROVED
        if state is SealState.APPROVED:
            self.make_approved(seal_id, by=OPERATOR, identity=identity)
            state = SealState.MADE
        return self.record(seal_id, by=OPERATOR) if state is SealState.MADE else self.get(seal_id)

    # --- in use ---

    def authorise(self, seal_id: str, policy: SealPolicy, *, by: str, note: str = "") -> ESeal:
        """用章授权: replaces the policy."""
        encoded = encode_policy(policy)
        self._act(seal_id, SealAct.AUTHORISE, by=by, note=note, detail=encoded)
        return self.get(seal_id)

    def freeze(self, seal_id: str, *, by: str = OPERATOR, note: str = "") -> ESeal:
        self._act(seal_id, SealAct.FREEZE, by=by, note=note)
        return self.get(seal_id)

    def unfreeze(self, seal_id: str, *, by: str = OPERATOR, note: str = "") -> ESeal:
        self._act(seal_id, SealAct.UNFREEZE, by=by, note=note)
        return self.get(seal_id)

    def report_lost(
        self,
        seal_id: str,
        *,
        by: str = OPERATOR,
        note: str = "",
        since: datetime | None = None,
        approved_by: str | None = None,
    ) -> ESeal:
        """挂失. What was sealed since `since` (default: now) no longer counts, even if the seal is found again.

        Further back than three days somebody else has to approve it (`trust.model.reaching_back`).
        """
        self._reach_back(seal_id, SealAct.REPORT_LOST, by, note, since, approved_by)
        return self.get(seal_id)

    def revoke(
        self,
        seal_id: str,
        *,
        by: str = OPERATOR,
        note: str = "",
        since: datetime | None = None,
        approved_by: str | None = None,
    ) -> ESeal:
        """注销, for good; the certificate goes on its CA's list. `since`: when its key was known to others; further
        back than three days somebody else has to approve it."""
        self._reach_back(seal_id, SealAct.REVOKE, by, note, since, approved_by)
        return self.get(seal_id)

    # --- what there is ---

    def list(self) -> list[ESeal]:
        """Every seal that was made."""
        with self.pki.database.read() as connection:
            rows = [row for row in tables.all_rows(connection, seals_sql.SealRow) if row.cert is not None]
            return _seals(connection, rows)

    def applications(self) -> Sequence[SealApplication]:
        """Every seal that is not made, rejected ones included."""
        with self.pki.database.read() as connection:
            return [
                _application(row)
                for row in tables.all_rows(connection, seals_sql.SealRow)
                if row.cert is None
            ]

    def application(self, seal_id: str) -> SealApplication:
        with self.pki.database.read() as connection:
            row = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
        if row is None:
            raise self._unknown(seal_id)
        return _application(row)

    def preview(self, seal_id: str) -> SealPicture:
        """The picture of a seal, made or not: what a reviewer approves."""
        with self.pki.database.read() as connection:
            row = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
        if row is None:
            raise self._unknown(seal_id)
        return self._picture(row)

    def get(self, seal_id: str) -> ESeal:
        seal = self._find(seal_id)
        if seal is None:
            raise self._unknown(seal_id)
        return seal

    def history(self, seal_id: str) -> Sequence[SealEvent]:
        """Every step, oldest first."""
        self.application(seal_id)
        with self.pki.database.read() as connection:
            return [
                _event(row) for row in tables.all_rows(connection, seals_sql.SealEventRow, seal_id=seal_id)
            ]

    def idle(self) -> dict[str, Sequence[Idle]]:
        """By seal, the intervals in which it was frozen or lost."""
        with self.pki.database.read() as connection:
            rows = tables.all_rows(connection, seals_sql.SealEventRow)
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
                    # Time-stamps say whole seconds: what is sealed in the rest of this one says its beginning.
                    intervals[-1] = Idle(intervals[-1].since, event.at.replace(microsecond=0))
                case _:
                    pass
        return found

    def uses(
        self, seal_id: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Sequence[SealUse]:
        """Each use in since <= at < until, oldest first: what a compromise may have touched.

        From the beginning of the second of `since`.
        """
        self.get(seal_id)
        start = tables.to_micros(whole_second(since)) if since else 0
        end = tables.to_micros(until) if until else 1 << 62
        with self.pki.database.read() as connection:
            rows = seals_sql.seal_uses(connection, seal_id, start, end, _MOST_USES)
            pids = self.pids_of(connection, [row.ecertificate_id for row in rows])
        return [
            SealUse(tables.from_micros(row.at), row.by, pids[row.ecertificate_id], row.approval)
            for row in rows
            if row.ecertificate_id in pids
        ]

    def for_authority(self, authority_id: str) -> ESeal:
        """What is used where a request names no seal: the authority's first active one, SM2 before others."""
        active = [
            seal
            for seal in self.list()
            if seal.authority_id == authority_id
            and seal.state is SealState.ACTIVE
            and seal.shape is not SealShape.SQUARE  # a person's name seal stands for nobody else
        ]
        if not active:
            raise NotFound(
                f"The authority {authority_id} has no active seal.",
                "Make one with `yinzheng seal make`.",
                code="UNKNOWN_SEAL",
            )
        return min(active, key=lambda seal: (seal.suite is not Suite.SM2_SM3, seal.not_before, seal.seal_id))

    # --- using ---

    def check_usable(
        self, seal: ESeal, authority_id: str, at: datetime, *, type_short: str, caller: str
    ) -> None:
        """Raises `Conflict` or `NotPermitted` unless this authority may seal this type with it now."""
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
        """The seal ready for use. Raises `KeyUnavailable`."""
        key = self.pki.keys.open(seal.key_id, KeyPurpose.SEAL)
        return SealInUse(key, seal.certs, seal.picture_pdf, seal.seal_data)

    def foresee_use(self, seal: ESeal, planned: int, at: datetime) -> None:
        """Raises `Conflict` where the day's limit would stand against one use after `planned` others."""
        limit = seal.policy.per_day
        if limit is None:
            return
        with self.pki.database.read() as connection:
            used = seals_sql.seal_uses_on(connection, seal.seal_id, day_of(at))
        if used + planned >= limit:
            raise _limit_reached(seal.seal_id, limit)

    def write_down_use(
        self, connection: Connection, seal: ESeal, ecertificate_id: int, at: datetime, *, by: str
    ) -> None:
        """Records a use in the transaction that stores what was sealed.

        Raises `Conflict` if the seal was taken out of use meanwhile, or its day's limit is reached; `NotPermitted` if
        it is used more often today than its policy and the approvals let through.
        """
        # Read again, and before the count: of a freeze and a use at the same time, one is first.
        tables.serialise(connection, f"use of seal {seal.seal_id}")
        row = tables.one_row(connection, seals_sql.SealRow, id=seal.seal_id)
        if row.state != SealState.ACTIVE.value:
            raise Conflict(
                f"The seal {seal.seal_id} is {row.state}.", "Use an active seal.", code="SEAL_NOT_USABLE"
            )
        day, policy = day_of(at), decode_policy(row.policy)
        limit, alone = policy.per_day, policy.second_approval_above
        used = seals_sql.seal_uses_on(connection, seal.seal_id, day) if (limit, alone) != (None, None) else 0
        if limit is not None and used >= limit:
            raise _limit_reached(seal.seal_id, limit)
        # Requests at the same time may have been let through one by one (`check_many`): here they are counted together.
        if (
            alone is not None
            and used >= alone
            and not _is_approved(connection, seal.seal_id, used - alone, at)
        ):
            raise _needs_approval(seal.seal_id, 1)
        use = seals_sql.SealUseRow(
            seal_id=seal.seal_id, ecertificate_id=ecertificate_id, by=by, day=day, at=tables.to_micros(at)
        )
        tables.insert(connection, use)

    # --- many documents at once ---

    def request_many(self, seal_id: str, count: int, *, by: str) -> int:
        """Asks for a second person's approval of one request for up to `count` documents. Gives its number."""
        self.get(seal_id)
        if count < 1:
            raise Malformed("The number of documents is at least 1.")
        expires = self.pki.clock.now() + timedelta(hours=_APPROVAL_HOURS)
        row = seals_sql.SealApprovalRow(
            seal_id=seal_id, count=count, requested_by=_person(by), expires_at=tables.to_micros(expires)
        )
        with self.pki.database.write() as connection:
            number: int = tables.insert(connection, row)
        return number

    def approve_many(self, number: int, *, by: str, seal_id: str | None = None) -> None:
        """Raises `NotPermitted` for the person who asked, `NotFound`, `Conflict` (approved already)."""
        with self.pki.database.write() as connection:
            row = _approval(connection, number)
            if row is None or seal_id not in (None, row.seal_id):
                raise NotFound(f"There is no request {number}.")
            if is_same_person(row.requested_by, _person(by)):
                raise NotPermitted("Nobody approves a request of their own.", "A second person has to.")
            where = {"id": number, "approved_by": None}
            if tables.update(connection, seals_sql.SealApprovalRow, where, {"approved_by": by}) != 1:
                raise Conflict(f"The request {number} is approved already.")

    def check_many(self, counts: Mapping[str, int], approval: int | None, at: datetime) -> None:
        """Raises `NotPermitted` where a seal is asked for more documents than its policy lets through alone.

        `counts`: documents by seal in one request. The approval is used up by it.
        """
        for seal_id, count in self._above_limit(counts, at):
            with self.pki.database.write() as connection:
                where = {"id": approval, "used_at": None}
                if not _approves(
                    _approval(connection, approval), seal_id, count, tables.to_micros(at)
                ) or not tables.update(
                    connection, seals_sql.SealApprovalRow, where, {"used_at": tables.to_micros(at)}
                ):
                    raise _needs_approval(seal_id, count)

    def foresee_many(self, counts: Mapping[str, int], approval: int | None, at: datetime) -> None:
        """What `check_many` would answer now; the approval is not used up."""
        for seal_id, count in self._above_limit(counts, at):
            with self.pki.database.read() as connection:
                row = _approval(connection, approval)
            if not _approves(row, seal_id, count, tables.to_micros(at)):
                raise _needs_approval(seal_id, count)

    def _above_limit(self, counts: Mapping[str, int], at: datetime) -> Iterator[tuple[str, int]]:
        """Seals that would be used more often today, over all requests, than their policy lets through alone."""
        for seal_id, count in counts.items():
            limit = self.get(seal_id).policy.second_approval_above
            if limit is None:
                continue
            with self.pki.database.read() as connection:
                used = seals_sql.seal_uses_on(connection, seal_id, day_of(at))
            if used + count > limit:
                yield seal_id, count

    # --- steps ---

    def resume_pending(self) -> int:
        """Completes what was announced and not completed; says how many.

        Raises `StorageError` (ROW_EDITED) for the first that somebody edited, once the others are through.
        """
        with self.pki.database.read() as connection:
            events, refused = seals_sql.pending_seal_events(connection)
        self._record(events)
        for row in self.list():
            if row.state is SealState.ACTIVE:
                self._retire_renewed(row.seal_id, OPERATOR)
        if refused is not None:
            raise refused
        return len(events)

    def _reach_back(
        self,
        seal_id: str,
        act: SealAct,
        by: str,
        note: str,
        since: datetime | None,
        approved_by: str | None,
    ) -> None:
        at, made = self.pki.clock.now(), self.get(seal_id).not_before
        check_second_person(max(since or at, made), at, by=by, approved_by=approved_by)
        detail = _person(approved_by) if approved_by is not None else ""
        self._act(seal_id, act, by=by, note=note, detail=detail, effective_at=since)

    def _act(
        self,
        seal_id: str,
        act: SealAct,
        *,
        by: str,
        note: str = "",
        detail: str = "",
        effective_at: datetime | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        if effective_at is not None and effective_at > self.pki.clock.now():
            raise Malformed("The time lies in the future.", "Give the time when it happened.")
        if effective_at is not None:
            effective_at = whole_second(effective_at)
        with self.pki.database.write() as connection:
            tables.serialise(connection, f"use of seal {seal_id}")
            # Asked behind every use that was first: what was sealed while a freeze waited came before it.
            at = self.pki.clock.now()
            row = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
            if row is None:
                raise self._unknown(seal_id)
            state = next_seal_state(SealState(row.state), act)
            if effective_at is not None and row.not_before is not None:
                # A seal does nothing before its term, and there are times that no list or certificate can say.
                effective_at = max(effective_at, tables.from_micros(row.not_before))
            if row.pending_event is not None and act not in RESTRICTING:
                raise Conflict(f"The seal {seal_id} is being changed by somebody else.", "Try again.")
            event = self._announce(
                connection, seal_id, act, by=by, note=note, detail=detail, at=at, effective_at=effective_at
            )
            if act in RESTRICTING:
                since = event.effective_at
                if row.state == SealState.RENEWED.value:
                    since = min(since, row.state_since)  # it rests since it was renewed, and not only now
                changes = {
                    "state": state.value,
                    "state_since": since,
                    "pending_event": None,
                    **(values or {}),
                }
                if act is SealAct.REVOKE:
                    self._put_on_crl(connection, row, event)
            else:
                # What is made is stored now and takes effect with the state; a policy, when it is recorded.
                changes = {"pending_event": event.id, **(values or {})}
            where = {"id": seal_id, "state": row.state, "pending_event": row.pending_event}
            if tables.update(connection, seals_sql.SealRow, where, changes) != 1:
                raise Conflict(f"The seal {seal_id} is being changed by somebody else.", "Try again.")
        try:
            self._record([event])
        except (LedgerBusy, LedgerHalted):
            if act not in RESTRICTING:
                raise
            # It holds already; the service goes on trying to record it.

    def _announce(
        self,
        connection: Connection,
        seal_id: str,
        act: SealAct,
        *,
        by: str,
        note: str,
        at: datetime,
        detail: str = "",
        effective_at: datetime | None = None,
    ) -> seals_sql.SealEventRow:
        if len(note) > _MAX_NOTE:
            raise Malformed(f"A note has at most {_MAX_NOTE} characters.", "Shorten it.")
        operation = operations_sql.OperationRow(
            ecertificate_id=0,
            kind=EntryKind.SEAL_EVENT.name,
            actor=OPERATOR,
            salt=b"",
            at=tables.to_micros(at),
        )
        event = seals_sql.SealEventRow(
            seal_id=seal_id,
            act=act.value,
            by=_person(by),
            note=note,
            detail=detail,
            at=tables.to_micros(at),
            effective_at=tables.to_micros(effective_at or at),
            salt=self.entropy.bytes(_SALT_BYTES * len(_EVENT_FIELDS)),
            operation_id=tables.insert(connection, operation),
        )
        event.id = tables.insert(connection, event)
        return event

    def _record(self, events: Sequence[seals_sql.SealEventRow]) -> None:
        """Appends the events and completes them."""
        if not events:
            return
        requests = [
            AppendRequest(
                operation_id=event.operation_id,
                kind=EntryKind.SEAL_EVENT,
                actor=self.application(event.seal_id).authority_id,
                subject_id=None,
                ref=NO_REF,
                commit=event_commit(event),
                suite="",
            )
            for event in events
        ]
        appended = self.log.append(requests)
        self.log.publish()
        with self.pki.database.write() as connection:
            for event, entry in zip(events, appended, strict=True):
                # A freeze between reading the seal's state and writing it would be undone.
                tables.serialise(connection, f"use of seal {event.seal_id}")
                unrecorded = {"id": event.id, "entry_seq": None}
                is_new = tables.update(
                    connection, seals_sql.SealEventRow, unrecorded, {"entry_seq": entry.seq}
                )
                if is_new and event.act == SealAct.AUTHORISE.value:
                    tables.update(
                        connection, seals_sql.SealRow, {"id": event.seal_id}, {"policy": event.detail}
                    )
                done = {"done": True, "entry_seq": entry.seq}
                tables.update(connection, operations_sql.OperationRow, {"id": event.operation_id}, done)
                row = tables.one_row(connection, seals_sql.SealRow, id=event.seal_id)
                if row.pending_event == event.id:
                    state = next_seal_state(SealState(row.state), SealAct(event.act))
                    changes = {"state": state.value, "pending_event": None, "state_since": event.at}
                    tables.update(connection, seals_sql.SealRow, {"id": event.seal_id}, changes)

    def _with_fresh_key(self, row: seals_sql.SealRow) -> _Keyed:
        """A key made now, with a certificate of our own CA."""
        suite = Suite(row.suite)
        authority = self.pki.authorities.get(row.authority_id)
        at = self.pki.clock.now()
        ca = self.pki.issuing_ca(suite)
        key = self.pki.keys.generate(KeyPurpose.SEAL, suite, label=row.id, at=at)
        not_before, not_after = at - _BACK, at + timedelta(days=365 * _SEAL_YEARS)
        cert = make_x509_cert(
            Profile.SEAL,
            Subject(_fitting(row.name), _fitting(authority.name_zh)),
            key.public_key,
            self.pki.keys.open(ca.key_id, KeyPurpose.ISSUING_CA),
            bytes(ca.cert),
            not_before=not_before,
            not_after=not_after,
            crl_address=self.pki.crl_address(ca.id),
            ocsp_address=self.pki.ocsp_address(ca.id),
        )
        return _Keyed(key.key_id, cert, not_before, not_after, ca_id=ca.id)

    def _with_identity(self, row: seals_sql.SealRow, identity: SealIdentity) -> _Keyed:
        """The key and certificate of an identity from outside, from now until the certificate ends."""
        at = self.pki.clock.now()
        if identity.suite is not Suite(row.suite):
            raise Conflict(
                f"The seal {row.id} was applied for in {row.suite}, and the certificate is for "
                f"{identity.suite.value}.",
                "Choose a certificate of the seal's suite.",
                code="IDENTITY_SUITE",
            )
        if not identity.not_before <= at <= identity.not_after:
            raise Conflict(
                f"The certificate {identity.identity_id} is outside its term.",
                "Ask the CA for a new one.",
                code="IDENTITY_TERM",
            )
        if identity.revoked_at is not None:
            raise Conflict(
                f"The certificate {identity.identity_id} was revoked by its CA.",
                "Ask the CA for a new one.",
                code="IDENTITY_REVOKED",
            )
        with self.pki.database.read() as connection:
            other = tables.one_row(connection, seals_sql.SealRow, identity_id=identity.identity_id)
        if other is not None and other.id != row.id:
            raise _identity_in_use(identity.identity_id)
        self.pki.keys.open(identity.key_id, KeyPurpose.SEAL)  # what is not there is told of now
        return _Keyed(
            identity.key_id,
            identity.certs[0],
            max(identity.not_before, at - _BACK),
            identity.not_after,
            identity_id=identity.identity_id,
        )

    def _made(self, row: seals_sql.SealRow, keyed: _Keyed) -> dict[str, Any]:
        """What making a seal adds to its row."""
        picture = self._picture(row)
        at = self.pki.clock.now()
        maker_key, maker_cert = self.pki.seal_maker(Suite(row.suite))
        seal_data = make_seal_data(
            row.id,
            _seal_type(SealShape(row.shape), row.second_line),
            row.name,
            seal_cert=keyed.cert,
            picture=SealPictureData(
                "PNG", seal_data_png(picture), round(picture.width_mm), round(picture.height_mm)
            ),
            made_at=at,
            valid_from=keyed.not_before,
            valid_until=keyed.not_after,
            maker_key=maker_key,
            maker_cert=maker_cert,
        )
        return {
            "key_id": keyed.key_id,
            "ca_id": keyed.ca_id,
            "identity_id": keyed.identity_id,
            "cert": keyed.cert,
            "picture_svg": picture.svg,
            "picture_pdf": seal_pdf(picture),
            "seal_data": seal_data,
            "not_before": tables.to_micros(keyed.not_before.replace(microsecond=0)),
            "not_after": tables.to_micros(keyed.not_after.replace(microsecond=0)),
        }

    def _picture(self, row: seals_sql.SealRow) -> SealPicture:
        shape = SealShape(row.shape)
        authority = self.pki.authorities.get(row.authority_id)
        return draw_seal(
            shape,
            row.name if shape is SealShape.SQUARE else authority.name_zh,
            row.second_line,
            width_mm=row.width_mm,
            code=seal_code(authority.uscc, row.id),
            artwork=bytes(row.artwork) if row.artwork is not None else None,
        )

    def _retire_renewed(self, seal_id: str, by: str) -> None:
        """The seal that this one takes the place of, if it still is in use."""
        with self.pki.database.read() as connection:
            row = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
            old = tables.one_row(connection, seals_sql.SealRow, id=row.renews) if row and row.renews else None
        if old is not None and old.state == SealState.ACTIVE.value:
            self._act(old.id, SealAct.RENEW, by=by, note=f"renewed by {seal_id}")

    def _put_on_crl(
        self, connection: Connection, row: seals_sql.SealRow, event: seals_sql.SealEventRow
    ) -> None:
        if row.cert is None or row.ca_id is None:
            return  # not made; or the CA is outside, and its operator has to be told
        revoked = pki_sql.RevokedCertRow(
            ca_id=row.ca_id,
            serial=str(read_x509_cert(bytes(row.cert)).serial),
            revoked_at=event.effective_at,
            entered_at=event.at,
        )
        tables.insert(connection, revoked)

    def _check_second_person(self, seal_id: str, by: str) -> None:
        if is_same_person(self.application(seal_id).applied_by, by):
            raise NotPermitted("Nobody reviews an application of their own.", "A second person has to.")

    def _find(self, seal_id: str) -> ESeal | None:
        with self.pki.database.read() as connection:
            row = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
            return _seals(connection, [row])[0] if row is not None and row.cert is not None else None

    def _unknown(self, seal_id: str) -> NotFound:
        return NotFound(
            f"There is no seal {seal_id}.", "List them with `yinzheng seal list`.", code="UNKNOWN_SEAL"
        )


def event_commit(event: seals_sql.SealEventRow) -> bytes:
    """The commitment of a SEAL_EVENT entry: each field behind 16 bytes of salt."""
    salts = bytes(event.salt)
    fields = {name: str(getattr(event, name)) for name in _EVENT_FIELDS}
    return content_root(
        fields,
        {name: salts[_SALT_BYTES * n : _SALT_BYTES * (n + 1)] for n, name in enumerate(_EVENT_FIELDS)},
    )


def _approval(connection: Connection, number: int | None) -> Any:
    """The row of this number; None where there is none, also for a number that no column holds."""
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


def _is_approved(connection: Connection, seal_id: str, above: int, at: datetime) -> bool:
    """Whether a second person approved one more use, `above` uses after the day's limit.

    Approvals of the last days count, as a large request may take more than one: all of them together for what is above
    the limit, and one alone for what came after it, whatever was used before there was a limit.
    """
    since = tables.to_micros(at - _LONGEST_REQUEST)
    rows = [
        row
        for row in tables.all_rows(connection, seals_sql.SealApprovalRow, seal_id=seal_id)
        if row.approved_by is not None and (row.used_at or 0) >= since
    ]
    if above < sum(row.count for row in rows):
        return True
    return any(seals_sql.seal_uses_since(connection, seal_id, row.used_at) < row.count for row in rows)


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


def _check_code_is_free(connection: Connection, uscc: str, seal_id: str) -> None:
    """No two seals have one code. Raises `Conflict` in the rare case that the id gives a code that is taken."""
    authorities = {row.id: row.uscc for row in tables.all_rows(connection, authorities_sql.AuthorityRow)}
    code = seal_code(uscc, seal_id)
    for row in tables.all_rows(connection, seals_sql.SealRow):
        if seal_code(authorities[row.authority_id], row.id) == code:
            raise Conflict(f"The code {code} of this id belongs to another seal.", "Choose another id.")


def _seal_type(shape: SealShape, second_line: str) -> SealType:
    if shape is SealShape.SQUARE:
        return SealType.PERSONAL
    known = {"财务专用章": SealType.FINANCE, "发票专用章": SealType.INVOICE, "合同专用章": SealType.CONTRACT}
    return known.get(second_line, SealType.BUSINESS if second_line else SealType.LEGAL_NAME)


def _person(by: str) -> str:
    if not _PERSON.fullmatch(by):
        raise Malformed("Say who acts, in 1 to 64 characters.")
    return by


def _fitting(name: str) -> str:
    """A name attribute of X.509 holds 64 (RFC 5280, Appendix A); libraries count bytes. The trust list has all."""
    while len(name.encode()) > 64:
        name = name.removesuffix("…")[:-1] + "…"
    return name


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


@dataclass(frozen=True, slots=True)
class _Keyed:
    """The key of a seal that is being made, with its certificate (DER) and where that came from."""

    key_id: str
    cert: bytes
    not_before: datetime
    not_after: datetime
    ca_id: str | None = None
    identity_id: str | None = None


def _identity_in_use(identity_id: str) -> Conflict:
    return Conflict(
        f"The certificate {identity_id} belongs to another seal.",
        "Each seal needs a certificate of its own: by it verifiers tell seals apart.",
        code="IDENTITY_IN_USE",
    )


def _seals(connection: Connection, rows: Sequence[seals_sql.SealRow]) -> list[ESeal]:
    """Seals that are made, with what is above each: the CA that issued it, whatever CA issues today."""
    cas = {ca.id: ca for ca in tables.all_rows(connection, pki_sql.CaRow)}
    is_outside = any(row.identity_id is not None for row in rows)
    identities = {each.identity_id: each for each in list_identities(connection)} if is_outside else {}
    found = []
    for row in rows:
        if row.identity_id is not None:
            identity = identities[row.identity_id]
            found.append(_seal(row, identity.certs, identity.root, identity.revoked_at))
        else:
            ca = cas[row.ca_id]
            found.append(_seal(row, (bytes(row.cert or b""), bytes(ca.cert)), bytes(cas[ca.parent].cert)))
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
