"""The life of e-seals: application, review, making, recording, authorisation, freezing, renewal, revocation.

`trust.model.seal` has the table of allowed acts. Each step is announced (stored, and the seal claimed for it), appended
to the ledger, and completed; after a crash in between, `resume_pending` completes it. Acts that only restrict (a
freeze, a loss, a revocation) take effect when they are announced, whatever the ledger does, because a stolen seal must
not wait for a queue.

An application must be reviewed by another person than the one who applied. `make` without an application is for setting
up: the operator of the machine, who has the keys' passphrase anyway, takes all steps at once, and the history shows
that.

Only an ACTIVE seal can be used, within its term and policy, and every use is recorded with the caller who requested it
(`issuer.seals.using`). Earlier uses stay valid, because time-stamps prove their time. The trust list contains the
intervals in which a seal was frozen or lost, and the time from which a revoked one does not count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from issuer.authorities import sql as authorities_sql
from issuer.authorities.register import Authorities
from issuer.operations.model import Operation, OperationKind
from issuer.operations.operations import Operations
from issuer.pki import sql as pki_sql
from issuer.pki.identities import SealIdentity
from issuer.seals import sql as seals_sql
from issuer.seals.artwork import SealPicture, draw_seal, seal_data_png
from issuer.seals.making import SealMaking, identity_in_use
from issuer.seals.policy import encode_policy
from issuer.seals.registry import ESeal, SealApplication, SealRegistry
from issuer.seals.using import SealUses
from keys.pki.read import read_x509_cert
from keys.suites import Suite
from ledger.log import Appended, AppendRequest, Log
from trust.audit.trail import Act, Trail
from trust.encoding.commitment import content_root
from trust.encoding.entry import NO_REF, EntryKind
from trust.model.actor import SYSTEM, Actor, Permission
from trust.model.clock import Clock, Entropy, whole_second
from trust.model.errors import Conflict, LedgerBusy, LedgerHalted, Malformed, NotPermitted
from trust.model.people import as_person, check_second_person
from trust.model.reaching_back import check_reaching_back
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
from trust.storage.sql import Database

_SEAL_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_MAX_NOTE = 200
_EVENT_FIELDS = ("act", "at", "by", "detail", "effective_at", "note", "seal_id")
_SALT_BYTES = 16
_ANNOUNCED_BY = "operator"
_PERMISSION_FOR = {
    SealAct.APPROVE: Permission.REVIEW_SEALS,
    SealAct.REJECT: Permission.REVIEW_SEALS,
    SealAct.AUTHORISE: Permission.REVIEW_SEALS,
    SealAct.UNFREEZE: Permission.REVIEW_SEALS,
}
"""What an act on a seal needs; all others, `Permission.HANDLE_SEALS`."""


@dataclass(frozen=True, slots=True)
class Seals:
    """Use cases on the life of seals."""

    database: Database
    log: Log
    clock: Clock
    entropy: Entropy
    trail: Trail
    authorities: Authorities
    registry: SealRegistry
    using: SealUses
    making: SealMaking
    operations: Operations

    def apply(
        self,
        actor: Actor,
        seal_id: str,
        authority_id: str,
        suite: Suite,
        *,
        second_line: str = "",
        diameter_mm: float = 42.0,
        shape: SealShape = SealShape.ROUND,
        person: str | None = None,
        artwork: bytes | None = None,
        renews: str | None = None,
        note: str = "",
    ) -> SealApplication:
        """申请. Repeating an application returns the existing one. Raises `Malformed`, `Conflict`.

        `diameter_mm` is the width if the seal is not round. `person` is the name on a square seal, which is used in the
        affairs of the authority. `artwork` (PNG) is the approved picture of a seal that is not drawn here.
        """
        actor.check_may(Permission.HANDLE_SEALS, authority_id)
        if not _SEAL_ID.fullmatch(seal_id):
            raise Malformed("A seal's id is 1 to 63 of a-z, 0-9 and hyphens.", "Choose another id.")
        if suite is Suite.ED25519:
            raise Malformed(
                "Ed25519 keys do not seal documents.", "Choose SM2-SM3, RSA3072-SHA256 or P256-SHA256."
            )
        authority = self.authorities.get(authority_id)
        if (shape is SealShape.SQUARE) != (person is not None) or (person and second_line):
            raise Malformed("A square seal bears a person's name, and no other seal does.")
        # Draw it now, so that a picture that cannot be drawn or is too detailed is refused before the review.
        picture = draw_seal(
            shape,
            person or authority.name_zh,
            second_line,
            width_mm=diameter_mm,
            code=seal_code(authority.uscc, seal_id),
            artwork=artwork,
        )
        seal_data_png(picture)
        if renews is not None and self.registry.get(renews).authority_id != authority_id:
            raise Conflict(f"The seal {renews} belongs to another authority.", "Renew the authority's own.")
        at = self.clock.now()
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
            applied_by=as_person(actor.account),
            state=SealState.APPLIED.value,
            state_since=tables.to_micros(at),
        )
        with self.database.write() as connection:
            tables.serialise(connection, "seals")
            known = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
            if known is None:
                _check_code_is_free(connection, authority.uscc, seal_id)
                tables.insert(connection, row)
                _, operation = self._announce(
                    connection, actor, seal_id, SealAct.APPLY, SealState.APPLIED, note=note, at=at
                )
                announced = [operation]
            else:
                same = ("authority_id", "suite", "name", "second_line", "shape", "width_mm", "renews")
                if any(getattr(row, each) != getattr(known, each) for each in same) or (
                    row.artwork or b""
                ) != bytes(known.artwork or b""):
                    raise Conflict(f"The id {seal_id} belongs to another seal.", "Choose another id.")
                announced = []
        self._record(announced)
        return self.registry.application(seal_id)

    def approve(self, actor: Actor, seal_id: str, *, note: str = "") -> SealApplication:
        """审核. Raises `NotPermitted` for the person who applied."""
        self._review(actor, seal_id, SealAct.APPROVE, note)
        return self.registry.application(seal_id)

    def reject(self, actor: Actor, seal_id: str, *, note: str) -> SealApplication:
        self._review(actor, seal_id, SealAct.REJECT, note)
        return self.registry.application(seal_id)

    def make_approved(self, actor: Actor, seal_id: str, *, identity: SealIdentity | None = None) -> ESeal:
        """制作: a key and its certificate, the picture, the seal data.

        Key and certificate are new ones of our own CA, or those of an `identity` from outside. Raises `Conflict` for an
        identity of another suite, outside its term, revoked, or in use by another seal.
        """
        with self.database.read() as connection:
            row = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
        if row is None:
            raise self.registry.unknown(seal_id)
        actor.check_may(Permission.HANDLE_SEALS, row.authority_id)
        if identity is not None and actor.organisation is not None:
            # Such certificates belong to no department.
            raise NotPermitted(
                "A department's key cannot choose a certificate from outside.",
                "Ask the operator to make the seal.",
            )
        next_seal_state(SealState(row.state), SealAct.MAKE)
        keyed = (
            self.making.with_fresh_key(row) if identity is None else self.making.with_identity(row, identity)
        )
        detail = identity.identity_id if identity is not None else ""
        try:
            self._act(actor, seal_id, SealAct.MAKE, detail=detail, values=self.making.made(row, keyed))
        except IntegrityError as exc:  # another seal was made with it at the same time
            raise identity_in_use(detail) from exc
        return self.registry.get(seal_id)

    def record(self, actor: Actor, seal_id: str) -> ESeal:
        """备案: from now on the seal may be used, and the seal that it renews may not."""
        self._act(actor, seal_id, SealAct.RECORD)
        self._retire_renewed(seal_id, actor)
        return self.registry.get(seal_id)

    def make(
        self,
        actor: Actor,
        seal_id: str,
        authority_id: str,
        suite: Suite,
        *,
        second_line: str = "",
        diameter_mm: float = 42.0,
        identity: SealIdentity | None = None,
    ) -> ESeal:
        """All steps at once, by the operator, for setting up. Repeating the call continues at the first missing
        step."""
        actor.check_may(Permission.SET_UP)
        self.apply(actor, seal_id, authority_id, suite, second_line=second_line, diameter_mm=diameter_mm)
        state = self.registry.application(seal_id).state
        if state is SealState.APPLIED:
            self._act(actor, seal_id, SealAct.APPROVE, note="set up by the operator")
            state = SealState.APPROVED
        if state is SealState.APPROVED:
            self.make_approved(actor, seal_id, identity=identity)
            state = SealState.MADE
        return self.record(actor, seal_id) if state is SealState.MADE else self.registry.get(seal_id)

    def authorise(self, actor: Actor, seal_id: str, policy: SealPolicy, *, note: str = "") -> ESeal:
        """用章授权: replaces the policy. Raises `Malformed`, `Conflict`."""
        encoded = encode_policy(policy)
        self._act(actor, seal_id, SealAct.AUTHORISE, note=note, detail=encoded)
        return self.registry.get(seal_id)

    def freeze(self, actor: Actor, seal_id: str, *, note: str = "") -> ESeal:
        self._act(actor, seal_id, SealAct.FREEZE, note=note)
        return self.registry.get(seal_id)

    def unfreeze(self, actor: Actor, seal_id: str, *, note: str = "") -> ESeal:
        self._act(actor, seal_id, SealAct.UNFREEZE, note=note)
        return self.registry.get(seal_id)

    def report_lost(
        self,
        actor: Actor,
        seal_id: str,
        *,
        note: str = "",
        since: datetime | None = None,
        approved_by: str | None = None,
    ) -> ESeal:
        """挂失. Uses from `since` on (default: now) no longer count, even if the seal is found again.

        Going back more than three days needs a second person's approval (`trust.model.reaching_back`).
        """
        self._reach_back(actor, seal_id, SealAct.REPORT_LOST, note, since, approved_by)
        return self.registry.get(seal_id)

    def revoke(
        self,
        actor: Actor,
        seal_id: str,
        *,
        note: str = "",
        since: datetime | None = None,
        approved_by: str | None = None,
    ) -> ESeal:
        """注销, finally; the certificate is put on its CA's revocation list. `since`: when others may have got the
        key; going back more than three days needs a second person's approval."""
        self._reach_back(actor, seal_id, SealAct.REVOKE, note, since, approved_by)
        return self.registry.get(seal_id)

    def preview(self, seal_id: str) -> SealPicture:
        """The picture of a seal, also before it is made, for the reviewer."""
        with self.database.read() as connection:
            row = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
        if row is None:
            raise self.registry.unknown(seal_id)
        return self.making.picture(row)

    def resume_pending(self) -> int:
        """Completes the steps that were announced and not completed; returns their number.

        An edited row does not stop the others. Raises `StorageError` (ROW_EDITED) for the first one afterwards.
        """
        try:
            return self.operations.carry_on((OperationKind.SEAL_EVENT,), self._completing)
        finally:
            for row in self.registry.list():
                if row.state is SealState.ACTIVE:
                    self._retire_renewed(row.seal_id, SYSTEM)

    def _reach_back(
        self,
        actor: Actor,
        seal_id: str,
        act: SealAct,
        note: str,
        since: datetime | None,
        approved_by: str | None,
    ) -> None:
        at, made = self.clock.now(), self.registry.get(seal_id).not_before
        with self.trail.refusals(actor, f"seal.{act.value}", subject=seal_id):
            check_reaching_back(max(since or at, made), at, actor, approved_by)
        detail = as_person(approved_by) if approved_by is not None else ""
        self._act(actor, seal_id, act, note=note, detail=detail, effective_at=since)

    def _act(
        self,
        actor: Actor,
        seal_id: str,
        act: SealAct,
        *,
        note: str = "",
        detail: str = "",
        effective_at: datetime | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        if effective_at is not None and effective_at > self.clock.now():
            raise Malformed("The time lies in the future.", "Give the time when it happened.")
        if effective_at is not None:
            effective_at = whole_second(effective_at)
        with (
            self.trail.refusals(actor, f"seal.{act.value}", subject=seal_id),
            self.database.write() as connection,
        ):
            tables.serialise(connection, f"use of seal {seal_id}")
            # Read the clock only after earlier uses have committed, so that what was sealed while a freeze waited dates
            # from before it.
            at = self.clock.now()
            row = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
            if row is None:
                raise self.registry.unknown(seal_id)
            actor.check_may(_PERMISSION_FOR.get(act, Permission.HANDLE_SEALS), row.authority_id)
            state = next_seal_state(SealState(row.state), act)
            if effective_at is not None and row.not_before is not None:
                # A seal cannot be used before its term, and very early times cannot be encoded in lists and
                # certificates.
                effective_at = max(effective_at, tables.from_micros(row.not_before))
            if row.pending_event is not None and act not in RESTRICTING:
                raise Conflict(f"The seal {seal_id} is being changed by somebody else.", "Try again.")
            event, operation = self._announce(
                connection,
                actor,
                seal_id,
                act,
                state,
                note=note,
                detail=detail,
                at=at,
                effective_at=effective_at,
            )
            if act in RESTRICTING:
                since = event.effective_at
                if row.state == SealState.RENEWED.value:
                    since = min(since, row.state_since)  # it has been out of use since it was renewed
                changes = {
                    "state": state.value,
                    "state_since": since,
                    "pending_event": None,
                    **(values or {}),
                }
                if act is SealAct.REVOKE:
                    self._put_on_crl(connection, row, event)
            else:
                # Key, certificate and picture are stored now and take effect with the state; a policy, when it is
                # recorded.
                changes = {"pending_event": event.id, **(values or {})}
            where = {"id": seal_id, "state": row.state, "pending_event": row.pending_event}
            if tables.update(connection, seals_sql.SealRow, where, changes) != 1:
                raise Conflict(f"The seal {seal_id} is being changed by somebody else.", "Try again.")
        try:
            self._record([operation])
        except (LedgerBusy, LedgerHalted):
            if act not in RESTRICTING:
                raise

    def _announce(
        self,
        connection: Connection,
        actor: Actor,
        seal_id: str,
        act: SealAct,
        state: SealState,
        *,
        note: str,
        at: datetime,
        detail: str = "",
        effective_at: datetime | None = None,
    ) -> tuple[seals_sql.SealEventRow, Operation]:
        if len(note) > _MAX_NOTE:
            raise Malformed(f"A note has at most {_MAX_NOTE} characters.", "Shorten it.")
        operation = self.operations.announce(
            connection,
            OperationKind.SEAL_EVENT,
            by=actor.ref,
            actor=_ANNOUNCED_BY,
            at=tables.to_micros(at),
        )
        event = seals_sql.SealEventRow(
            seal_id=seal_id,
            act=act.value,
            by=as_person(actor.account),
            note=note,
            detail=detail,
            at=tables.to_micros(at),
            effective_at=tables.to_micros(effective_at or at),
            salt=self.entropy.bytes(_SALT_BYTES * len(_EVENT_FIELDS)),
            operation_id=operation.operation_id,
        )
        event.id = tables.insert(connection, event)
        self.trail.record(connection, actor.ref, Act(f"seal.{act.value}", state.value, subject=seal_id))
        return event, operation

    def _record(self, operations: Sequence[Operation]) -> None:
        """Appends the announced steps and completes them."""
        if operations:
            self.operations.complete(operations, self._completing)

    @property
    def _completing(self) -> _Completing:
        return _Completing(self.database, self.log)

    def _retire_renewed(self, seal_id: str, actor: Actor) -> None:
        """Takes the seal that this one renews out of use, if it is still active."""
        with self.database.read() as connection:
            row = tables.one_row(connection, seals_sql.SealRow, id=seal_id)
            old = tables.one_row(connection, seals_sql.SealRow, id=row.renews) if row and row.renews else None
        if old is not None and old.state == SealState.ACTIVE.value:
            self._act(actor, old.id, SealAct.RENEW, note=f"renewed by {seal_id}")

    def _put_on_crl(
        self, connection: Connection, row: seals_sql.SealRow, event: seals_sql.SealEventRow
    ) -> None:
        if row.cert is None or row.ca_id is None:
            return  # not made yet, or of an outside CA, which its operator has to inform
        revoked = pki_sql.RevokedCertRow(
            ca_id=row.ca_id,
            serial=str(read_x509_cert(bytes(row.cert)).serial),
            revoked_at=event.effective_at,
            entered_at=event.at,
        )
        tables.insert(connection, revoked)

    def _review(self, actor: Actor, seal_id: str, act: SealAct, note: str) -> None:
        with self.trail.refusals(actor, f"seal.{act.value}", subject=seal_id):
            actor.check_may(Permission.REVIEW_SEALS)
            applied_by = self.registry.application(seal_id).applied_by
            check_second_person(applied_by, actor.account, "Nobody reviews an application of their own.")
        self._act(actor, seal_id, act, note=note)


@dataclass(frozen=True, slots=True)
class _Completing:
    """`issuer.operations.operations.Completing` for steps in the life of seals."""

    database: Database
    log: Log

    def request(self, operation: Operation) -> AppendRequest | None:
        with self.database.read() as connection:
            event = seals_sql.event_of(connection, operation)
            seal = tables.stored_row(connection, seals_sql.SealRow, id=event.seal_id)
        return AppendRequest(
            operation_id=operation.operation_id,
            kind=EntryKind.SEAL_EVENT,
            actor=seal.authority_id,
            subject_id=None,
            ref=NO_REF,
            commit=event_commit(event),
            suite="",
        )

    def prepare(self, operations: Sequence[Operation], appended: Sequence[Appended]) -> None:
        self.log.publish()

    def lock(self, connection: Connection, operations: Sequence[Operation]) -> None:
        # Otherwise a freeze between reading the seal's state and writing it would be undone.
        seals = {seals_sql.event_of(connection, each).seal_id for each in operations}
        tables.serialise_all(connection, [f"use of seal {each}" for each in seals])

    def finish(self, connection: Connection, appended: Sequence[tuple[Operation, Appended]]) -> None:
        for operation, entry in appended:
            event = seals_sql.event_of(connection, operation)
            unrecorded = {"id": event.id, "entry_seq": None}
            is_new = tables.update(connection, seals_sql.SealEventRow, unrecorded, {"entry_seq": entry.seq})
            if is_new and event.act == SealAct.AUTHORISE.value:
                tables.update(connection, seals_sql.SealRow, {"id": event.seal_id}, {"policy": event.detail})
            row = tables.stored_row(connection, seals_sql.SealRow, id=event.seal_id)
            if row.pending_event == event.id:
                state = next_seal_state(SealState(row.state), SealAct(event.act))
                changes = {"state": state.value, "pending_event": None, "state_since": event.at}
                tables.update(connection, seals_sql.SealRow, {"id": event.seal_id}, changes)

    def let_go(self, connection: Connection, operation: Operation) -> None:
        """Nothing: the ledger refuses no step of a seal."""


def event_commit(event: seals_sql.SealEventRow) -> bytes:
    """The commitment of a SEAL_EVENT entry: each field with 16 bytes of salt."""
    salts = bytes(event.salt)
    fields = {name: str(getattr(event, name)) for name in _EVENT_FIELDS}
    return content_root(
        fields,
        {name: salts[_SALT_BYTES * n : _SALT_BYTES * (n + 1)] for n, name in enumerate(_EVENT_FIELDS)},
    )


def _check_code_is_free(connection: Connection, uscc: str, seal_id: str) -> None:
    """Raises `Conflict` in the rare case that the code derived from the id belongs to another seal."""
    authorities = {row.id: row.uscc for row in tables.all_rows(connection, authorities_sql.AuthorityRow)}
    code = seal_code(uscc, seal_id)
    for row in tables.all_rows(connection, seals_sql.SealRow):
        if seal_code(authorities[row.authority_id], row.id) == code:
            raise Conflict(f"The code {code} of this id belongs to another seal.", "Choose another id.")
