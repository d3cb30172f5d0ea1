"""Sealing again, in bulk, the e-certificates that were sealed with a seal that is no longer trusted.

Each e-certificate is issued as its next version with the same record and another seal, and the old one becomes REPLACED
with the reason "re-sealed". No progress is stored: the next run finds what was sealed since and is still in force, so
it continues an interrupted one.

Only e-certificates in force are sealed again. A new seal would bring back a revoked or expired one, and reinstate a
suspended one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from issuer.ecertificates import sql
from issuer.ecertificates.documents import Documents
from issuer.ecertificates.drafting import decode_values
from issuer.ecertificates.kinds import DocumentKind, Step
from issuer.ecertificates.reading import Reading
from issuer.ecertificates.statuses import Statuses
from issuer.seals.registry import SealRegistry
from issuer.seals.using import SealUses
from trust.encoding.ecertificate_data import decode_ecertificate_data
from trust.model.actor import Actor, Permission
from trust.model.clock import Clock
from trust.model.ecertificate import Application, IssuedECertificate, PlaceOnPage
from trust.model.errors import Conflict, Malformed, TrustError
from trust.model.seal import SealState
from trust.model.status import Status
from trust.storage.sql import Database

RESEALED = "re-sealed"
"""The reason in the status entry of a replaced e-certificate."""


class ResealState(StrEnum):
    """RESEALED: this run made a next version. DONE: there was one before. OVER: no longer in force. FAILED: see the
    error."""

    RESEALED = "re-sealed"
    DONE = "done"
    OVER = "over"
    FAILED = "failed"


_INPUTS = (
    DocumentKind.PHOTO,
    DocumentKind.SOURCE,
    DocumentKind.PLACE,
    DocumentKind.FURTHER,
    DocumentKind.FOR_ABROAD,
)


@dataclass(frozen=True, slots=True)
class Resealed:
    """The result for one e-certificate; `issued` is its next version if this run made it."""

    identifier: str
    result: ResealState
    issued: IssuedECertificate | None = None
    error: TrustError | None = None


@dataclass(frozen=True, slots=True)
class Resealing:
    """The use case."""

    database: Database
    documents: Documents
    clock: Clock
    registry: SealRegistry
    uses: SealUses
    reading: Reading
    statuses: Statuses

    def plan(self, actor: Actor, old_seal: str, since: datetime | None = None) -> Sequence[bytes]:
        """The public ids of e-certificates sealed with this seal since a time; by default since it is no longer
        trusted.

        Raises `Conflict` if no time is given and the seal is neither revoked nor lost.
        """
        seal = self.registry.get(old_seal)
        actor.check_may(Permission.ISSUE, seal.authority_id)
        if since is None:
            if seal.state not in (SealState.REVOKED, SealState.LOST):
                raise Conflict(
                    f"The seal {old_seal} is {seal.state.value}: since when it is not believed is not known.",
                    "Revoke it or report it lost first, or name the time with --since.",
                )
            since = seal.state_since
        return list(dict.fromkeys(use.pid for use in self.registry.uses(old_seal, since=since)))

    def reseal(
        self,
        actor: Actor,
        pids: Sequence[bytes],
        old_seal: str,
        new_seal: str,
        *,
        approval: int | None = None,
    ) -> Iterator[Resealed]:
        """Seals each again, or says why not; a failure does not affect the others.

        `new_seal` replaces `old_seal` on each document; its other seals stay.

        For the second approval by the seal's policy, the whole run is one request. Raises `NotPermitted` before
        anything is done.
        """
        actor.check_may(Permission.ISSUE)
        actor.check_may(Permission.CHANGE_STATUS)
        found = [self.reading.issued(pid=pid) for pid in pids]
        at = self.clock.now()
        todo = [each for each in found if _left_out(each, at) is None]
        self.uses.check_many({new_seal: len(todo)}, approval, at)
        for each in found:
            yield _left_out(each, at) or self._reseal(actor, each, old_seal, new_seal)

    def _reseal(self, actor: Actor, old: IssuedECertificate, old_seal: str, new_seal: str) -> Resealed:
        try:
            if old.status is Status.SUSPENDED:
                raise Conflict(
                    "The e-certificate is suspended; a new version would be in force.",
                    "Reinstate or revoke it, and run this again.",
                )
            if new_seal == old_seal:
                raise Malformed("The new seal is the old one.", "Name another seal of the authority.")
            application = self._application(old, old_seal, new_seal)
            outcome = self.statuses.replace_checked(actor, old.pid, application, reason=RESEALED)
        except TrustError as exc:
            return Resealed(old.identifier, ResealState.FAILED, None, exc)
        if outcome.error is not None:
            return Resealed(old.identifier, ResealState.FAILED, None, outcome.error)
        return Resealed(old.identifier, ResealState.RESEALED, outcome.issued)

    def _application(self, old: IssuedECertificate, old_seal: str, new_seal: str) -> Application:
        """An application for the next version, from the record as it was checked then, with its picture or its own
        page."""
        with self.database.read() as connection:
            row = sql.get_ecertificate(connection, pid=old.pid, step=Step.ISSUED)
            values = sql.get_document(connection, row.id or 0, DocumentKind.VALUES)
            photo, source, place, further, abroad = (
                self.documents.find(connection, row.id or 0, kind) for kind in _INPUTS
            )
        checked = decode_values(values, old.issued_at.date())
        return Application(
            type_short=old.type_short,
            authority_id=old.authority_id,
            fields=checked.values,
            seal_id=new_seal if old.seal_id == old_seal else old.seal_id,
            further_seals=tuple(
                new_seal if each == old_seal else each for each in json.loads(further or b"[]")
            ),
            photo=photo,
            source_pdf=source,
            place=_place(place) if place is not None else None,
            replaces=old.pid,
            for_abroad=abroad is not None,
            may_lose_standard=True,  # it was accepted with or without the standard when it was sealed first
        )


def _left_out(issued: IssuedECertificate, at: datetime) -> Resealed | None:
    """The result if there is nothing to do, otherwise None."""
    if issued.status is Status.REPLACED:
        return Resealed(issued.identifier, ResealState.DONE)
    _, ends = decode_ecertificate_data(issued.data).validity()
    if issued.status is Status.REVOKED or (ends is not None and ends < at):
        return Resealed(issued.identifier, ResealState.OVER)
    return None


def _place(encoded: bytes) -> PlaceOnPage:
    page, centre_x, centre_y = json.loads(encoded)
    return PlaceOnPage(int(page), float(centre_x), float(centre_y))
