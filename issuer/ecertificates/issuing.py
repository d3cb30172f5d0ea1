"""Issuing: the steps from an application to an issued e-certificate, and resuming them after a crash.

    1  check            gives every reason at once; nothing is stored for a refused row
    2  reserve          `reserving`: identifier, salts, status index, intent in one durable commit
    3  lay out and seal `laying_out`, `stamping`: the page, the static code, the seal, the time-stamp
    4  store sealed     before anything is appended, because a document is sealed only once
    5  append           `recording`: the ledger entry; durable before its index is known
    6  splice           the receipt into the stored file; once that is stored, the step is ISSUED

`issue` takes these steps for many records at a time, with one append and one batch of receipts. `resume_unfinished`
continues at step 3, 5 or 6 from what is stored. Repeating a request returns its outcome and seals nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from issuer.authorities.register import Authorities
from issuer.catalogue import load_profile
from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.documents import Documents
from issuer.ecertificates.drafting import CheckedApplication, check_application, encode_values
from issuer.ecertificates.kinds import DocumentKind, Step
from issuer.ecertificates.laying_out import LayingOut
from issuer.ecertificates.reading import Reading, issued_from
from issuer.ecertificates.recording import Recording
from issuer.ecertificates.reserving import (
    Reserving,
    draft_of,
    number_taken,
    request_key,
    taken_by_row,
)
from issuer.ecertificates.stamping import Stamping
from issuer.operations import sql as operations_sql
from issuer.operations.model import Operation, OperationKind
from issuer.operations.operations import Operations
from issuer.pki.pki import Pki
from issuer.sealing.keeping_standards import check_standards
from issuer.sealing.placing import place_seal
from issuer.seals.further import fields_for
from issuer.seals.registry import ESeal, SealRegistry
from issuer.seals.using import SealUses
from ledger.log import Log
from trust.audit.trail import Act, Trail, refusal_of
from trust.model.actor import Actor, Permission
from trust.model.clock import Clock, Entropy
from trust.model.ecertificate import Application, Draft, IssuedECertificate, SealedECertificate
from trust.model.errors import (
    Conflict,
    NotFound,
    NotPermitted,
    NumberTaken,
    RequestError,
    StorageError,
    TrustError,
)
from trust.storage.sql import Database

BATCH = 32
"""Records that share one reservation, one append and one round of receipts."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one application: an e-certificate, or the reason why not. `row` is the caller's number.

    `repeats_row` is an earlier row of the same request with identical content, which shares the licence with this one.
    """

    row: int
    issued: IssuedECertificate | None
    error: TrustError | None = None
    repeated: bool = False
    repeats_row: int | None = None


Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a dry run remembers of earlier rows: which row has a number, and how often each seal would be used."""

    rows: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)


def of_actor(actor: Actor, applications: Iterable[Application]) -> list[Application]:
    """The applications in the name of the actor. Raises `NotPermitted` if one is not for the actor to make."""
    actor.check_may(Permission.ISSUE)
    asked = [replace(each, caller=actor.caller, by=actor.ref) for each in applications]
    for authority_id in {each.authority_id for each in asked}:
        actor.check_may(Permission.ISSUE, authority_id)
    return asked


@dataclass(frozen=True, slots=True)
class Issuing(Reading):
    """The use case. One instance may be used by many threads, because register and ledger serialise their writes."""

    log: Log
    clock: Clock
    entropy: Entropy
    trail: Trail
    authorities: Authorities
    uses: SealUses
    operations: Operations
    reserving: Reserving
    laying_out: LayingOut
    stamping: Stamping
    recording: Recording

    # --- the use case ---

    def issue(
        self,
        actor: Actor,
        applications: Sequence[Application],
        *,
        approval: int | None = None,
        on_progress: Progress | None = None,
    ) -> list[Outcome]:
        """Issues each application or says why not; an invalid one does not affect the others. Outcomes are in the same
        order.

        `approval` is the number of a second person's approval, which a seal's policy may require for so many documents.
        Raises `NotPermitted` if it is missing, before anything is done.
        """
        self.check_many(actor, applications, approval)
        return self.issue_checked(actor, applications, on_progress=on_progress)

    def check_many(self, actor: Actor, applications: Iterable[Application], approval: int | None) -> None:
        """Counts the documents of a whole request by seal, and uses up the approval if a seal's policy requires one.

        Raises `NotPermitted` (SEAL_NEEDS_APPROVAL).
        """
        with self.trail.refusals(actor, "issue"):
            self._with_approval(self.uses.check_many, of_actor(actor, applications), approval)

    def foresee_many(self, actor: Actor, applications: Iterable[Application], approval: int | None) -> None:
        """Raises what `check_many` would raise now, but does not use up the approval."""
        self._with_approval(self.uses.foresee_many, of_actor(actor, applications), approval)

    def _with_approval(
        self,
        check: Callable[[Mapping[str, int], int | None, datetime], None],
        applications: Sequence[Application],
        approval: int | None,
    ) -> None:
        try:
            check(self._uses(applications), None, self.clock.now())
        except NotPermitted:
            # Above the limit, do not count what an earlier copy of the same request has issued.
            new = [each for each in applications if not self._is_issued(each)]
            check(self._uses(new), approval, self.clock.now())

    def _is_issued(self, application: Application) -> bool:
        try:
            return self._find_issued(application) is not None
        except RequestError:
            return False

    def _uses(self, applications: Iterable[Application]) -> dict[str, int]:
        counts: dict[str, int] = {}
        with self.database.snapshot():
            for application in applications:
                try:
                    legal = self.reserving.seal_for(application)
                    further = self.reserving.further_for(application, legal)
                except RequestError:
                    continue  # its outcome will contain the error
                for seal in (legal, *(each.seal for each in further)):
                    counts[seal.seal_id] = counts.get(seal.seal_id, 0) + 1
        return counts

    def issue_checked(
        self,
        actor: Actor,
        applications: Sequence[Application],
        *,
        on_progress: Progress | None = None,
        seen: dict[bytes, int] | None = None,
    ) -> list[Outcome]:
        """`issue` for a part of a request, after `check_many` has accepted the whole request.

        `seen` maps public ids to the rows of earlier parts; the caller passes the same dict with every part.
        Raises `ClockDoubted` before anything is done.
        """
        with self.trail.refusals(actor, "issue"):
            applications = of_actor(actor, applications)
        self.log.check_clock()  # before anything is reserved, because with a wrong clock it could not be finished
        outcomes: list[Outcome] = []
        seen = {} if seen is None else seen
        for start in range(0, len(applications), BATCH):
            batch = applications[start : start + BATCH]
            finished = self._issue_batch(batch, seen)
            self._write_down_refused(actor, finished)
            outcomes += finished
            if on_progress is not None:
                on_progress(len(batch))
        return outcomes

    def _write_down_refused(self, actor: Actor, outcomes: Sequence[Outcome]) -> None:
        refused = [
            Act("issue", refusal_of(each.error))
            for each in outcomes
            if isinstance(each.error, NotPermitted | Conflict)
        ]
        if refused:
            with self.database.write() as connection:
                self.trail.record(connection, actor.ref, *refused)

    def foresee(self, actor: Actor, applications: Iterable[Application], foreseen: Foreseen) -> list[Outcome]:
        """The outcomes that `issue_checked` would give now, for a dry run. Nothing is stored, sealed or counted.

        A row that would be issued has neither an e-certificate nor an error. `foreseen` is passed from part to part.
        """
        return [self._foresee(application, foreseen) for application in of_actor(actor, applications)]

    def check(self, actor: Actor, application: Application) -> CheckedApplication:
        """Step 1 alone. Raises `RequestError` with every reason."""
        (asked,) = of_actor(actor, [application])
        return self._check(asked)

    def _check(self, application: Application) -> CheckedApplication:
        at = self.clock.now()
        profile = load_profile(application.type_short)
        authority = self.authorities.get(application.authority_id)
        checked = check_application(application, profile, authority, at)
        legal = self.reserving.seal_for(application)
        further = self.reserving.further_for(application, legal)
        for seal in (legal, *(each.seal for each in further)):
            self.uses.check_usable(
                seal,
                application.authority_id,
                at,
                type_short=application.type_short,
                caller=application.caller,
            )
        if application.source_pdf is not None:
            # Refuse a place where the seal would not be visible before anything is reserved.
            placed = place_seal(application.source_pdf, application.place, (legal.width_mm, legal.height_mm))
            fields_for(further, placed.place)
            if not application.may_lose_standard:
                check_standards(application.source_pdf)
            checked = replace(checked, application=replace(application, place=placed.asked))
        return checked

    def resume_unfinished(self, *, on_progress: Progress | None = None) -> list[Outcome]:
        """Resumes everything that a crash or an error left between reservation and issue.

        Leaves to a running request what that has in hand (`issuer.operations.operations`). One that has to wait, as its
        seal is frozen, stays unfinished and does not affect the others.
        """
        outcomes: list[Outcome] = []
        for claimed, refused in self.operations.claim((OperationKind.ISSUED,), BATCH):
            with self.operations.releasing(claimed):
                drafts, finished = self._drafts_from(claimed)
                finished += self._finish(drafts)
            if refused is not None:
                finished.append(Outcome(0, None, refused))
            outcomes += finished
            if any(outcome.issued is None for outcome in finished):
                self.operations.release(claimed)
            if on_progress is not None:
                on_progress(len(claimed))
        return outcomes

    def finish_or_withdraw_next_version(self, ecertificate_id: int) -> None:
        """If a version that replaces this e-certificate is sealed and not yet issued, issues it; withdraws one that is
        not sealed. Raises `Conflict` if a request has it in hand."""
        with self.database.write() as connection:
            row = ecertificates_sql.next_version_of(connection, ecertificate_id)
            if row is not None:
                # Locked before its operation, as where operations are completed.
                row = ecertificates_sql.lock_ecertificate(connection, row.id or 0)
            if row is None or row.step not in (Step.DRAFT, Step.SEALED):
                return
            if not operations_sql.take(connection, row.operation_id, self.operations.now()):
                raise Conflict(
                    "The e-certificate is being replaced at this moment.", "Try again in a minute."
                )
            if row.step == Step.DRAFT:
                ecertificates_sql.delete_draft(connection, row.id or 0, bytes(row.pid))
                return
        self.recording.record([self.stamping.seal(self._draft_of(row))])

    def find_issued(self, actor: Actor, application: Application) -> IssuedECertificate | None:
        """The e-certificate that was issued for an identical request before, or None. Raises `RequestError` if the
        application violates a rule."""
        (asked,) = of_actor(actor, [application])
        return self._find_issued(asked)

    def _find_issued(self, application: Application) -> IssuedECertificate | None:
        checked = self._check(application)
        key = request_key(checked.authority.authority_id, checked, 1, None)
        with self.database.read() as connection:
            row = ecertificates_sql.find_ecertificate(connection, request_key=key)
            if row is None or row.step != Step.ISSUED or bytes(row.fields_digest) != checked.digest:
                return None
            return issued_from(
                row, ecertificates_sql.get_document(connection, row.id or 0, DocumentKind.DATA)
            )

    # --- steps ---

    def _issue_batch(self, applications: Sequence[Application], seen: dict[bytes, int]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        drafts: dict[int, Draft] = {}
        twins: dict[int, int] = {}
        repeats: dict[int, int] = {}
        behind: dict[int, bytes] = {}
        checked: dict[int, CheckedApplication] = {}
        with self.database.snapshot():
            for position, application in enumerate(applications):
                try:
                    checked[position] = self._check(application)
                except RequestError as exc:
                    outcomes[position] = Outcome(application.row, None, exc)
        reserved = self.reserving.reserve_many(list(checked.values()))
        for position, draft in zip(checked, reserved, strict=True):
            application = applications[position]
            if isinstance(draft, RequestError):
                told: RequestError = draft
                if isinstance(draft, NumberTaken):
                    behind[position] = draft.pid
                    told = taken_by_row(seen[draft.pid], draft.pid) if draft.pid in seen else draft
                outcomes[position] = Outcome(application.row, None, told)
                continue
            if draft.pid in seen:
                repeats[position] = seen[draft.pid]
            first = next((p for p, other in drafts.items() if other.pid == draft.pid), None)
            if first is not None:
                # Seal and append a draft once, however many rows of the batch ask for it.
                twins[position] = first
                continue
            drafts[position] = draft
            seen.setdefault(draft.pid, application.row)
        in_hand = [each.operation_id for each in drafts.values()]
        with self.operations.releasing_ids(in_hand):
            sealed = self._seal_and_record(applications, drafts, repeats, outcomes)
        for position, first in twins.items():
            if first in sealed:
                row = applications[position].row
                outcomes[position] = Outcome(row, outcomes[first].issued, None, True, repeats[position])
        # A withdrawn row has freed its number, so rows that conflicted with it or repeated it are tried again.
        withdrawn = {drafts[p].pid for p in drafts if p not in sealed}
        again = [p for p, pid in behind.items() if pid in withdrawn]
        again = sorted([*again, *(p for p, first in twins.items() if first not in sealed)])
        if again:
            outcomes |= zip(again, self._issue_batch([applications[p] for p in again], seen), strict=True)
        return [outcomes[position] for position in range(len(applications))]

    def _seal_and_record(
        self,
        applications: Sequence[Application],
        drafts: Mapping[int, Draft],
        repeats: Mapping[int, int],
        outcomes: dict[int, Outcome],
    ) -> dict[int, SealedECertificate]:
        """Steps 3 to 6 for the drafts of a batch, by their positions in it. Returns those that were sealed."""
        sealed: dict[int, SealedECertificate] = {}
        failed: TrustError | None = None
        for (position, draft), found in zip(
            drafts.items(), self.stamping.seal_many(list(drafts.values())), strict=True
        ):
            if isinstance(found, SealedECertificate):
                sealed[position] = found
            elif isinstance(found, RequestError):
                # The layout refused what the rules allow (such as a text too long for any size), so the reservation
                # is withdrawn, and a corrected row can be sent.
                self.reserving.withdraw(draft)
                outcomes[position] = Outcome(applications[position].row, None, found)
            else:
                failed = failed or found
        for position, issued in zip(sealed, self.recording.record(list(sealed.values())), strict=True):
            repeated = drafts[position].repeated
            row = applications[position].row
            outcomes[position] = Outcome(row, issued, None, repeated, repeats.get(position))
        if failed is not None:
            raise failed
        return sealed

    def _finish(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """Steps 3 to 6 for resumed drafts. A draft that cannot be sealed now (its seal is frozen, its token or the
        time-stamp authority unavailable) waits and does not affect the others."""
        sealed, waiting = [], []
        for found in self.stamping.seal_many(drafts):
            if isinstance(found, SealedECertificate):
                sealed.append(found)
            else:
                waiting.append(Outcome(0, None, found))
        return [*(Outcome(0, issued) for issued in self.recording.record(sealed)), *waiting]

    def _foresee(self, application: Application, foreseen: Foreseen) -> Outcome:
        try:
            checked = self._check(application)
            key = request_key(checked.authority.authority_id, checked, 1, None)
            if key in foreseen.rows:
                row, digest = foreseen.rows[key]
                if digest != checked.digest:
                    raise taken_by_row(row, b"")
                return Outcome(application.row, None, repeated=True, repeats_row=row)
            with self.database.read() as connection:
                known = ecertificates_sql.find_ecertificate(connection, request_key=key)
                if known is not None and bytes(known.fields_digest) != checked.digest:
                    raise number_taken(checked.profile, bytes(known.pid))
                if known is not None and known.step == Step.ISSUED:
                    data = ecertificates_sql.get_document(connection, known.id or 0, DocumentKind.DATA)
                    foreseen.rows[key] = (application.row, checked.digest)
                    return Outcome(application.row, issued_from(known, data), repeated=True)
            seal = self.reserving.seal_for(application)
            if known is None:
                self._try_page(checked, seal)
            used = (seal, *(each.seal for each in self.reserving.further_for(application, seal)))
            for each in used:
                self.uses.foresee_use(each, foreseen.uses.get(each.seal_id, 0), self.clock.now())
        except RequestError as exc:
            return Outcome(application.row, None, exc)
        foreseen.rows[key] = (application.row, checked.digest)
        for each in used:
            foreseen.uses[each.seal_id] = foreseen.uses.get(each.seal_id, 0) + 1
        return Outcome(application.row, None)

    def _try_page(self, checked: CheckedApplication, seal: ESeal) -> None:
        """Draws the page with a sample identifier and discards it. Raises `RequestError` if it cannot be drawn."""
        application, at = checked.application, self.clock.now()
        if application.source_pdf is not None:
            return
        pid = self.entropy.bytes(16)
        identifier, data = self.reserving.data_for(
            checked, pid, self.reserving.new_serial(), 1, ecertificates_sql.Reservation(0, 0)
        )
        draft = Draft(
            ecertificate_id=0,
            operation_id=0,
            pid=pid,
            identifier=identifier,
            type_short=application.type_short,
            authority_id=checked.authority.authority_id,
            seal_id=seal.seal_id,
            data=data,
            created_at=at,
        )
        documents = {
            DocumentKind.VALUES: encode_values(checked.fields),
            DocumentKind.PHOTO: application.photo,
        }
        letterhead = self.laying_out.letterhead(draft.authority_id)
        self.laying_out.lay_out(draft, documents, (seal.width_mm, seal.height_mm), at, letterhead)

    # --- helpers ---

    def _drafts_from(self, operations: Sequence[Operation]) -> tuple[list[Draft], list[Outcome]]:
        """The drafts that can be resumed, and why the others cannot. An edited row affects only its own draft."""
        drafts: list[Draft] = []
        refused: list[Outcome] = []
        with self.database.read() as connection:
            rows = ecertificates_sql.drafts_of(connection, operations)
        for number, operation in enumerate(operations, 1):
            row = rows.get(operation.operation_id)
            if row is None:
                continue
            try:
                drafts.append(self._draft_of(row))
            except (NotFound, StorageError) as exc:
                refused.append(Outcome(number, None, exc))
        return drafts, refused

    def _draft_of(self, row: ecertificates_sql.ECertificateRow) -> Draft:
        with self.database.read() as connection:
            return draft_of(row, ecertificates_sql.get_document(connection, row.id or 0, DocumentKind.DATA))


def make_issuing(
    database: Database,
    documents: Documents,
    log: Log,
    operations: Operations,
    pki: Pki,
    registry: SealRegistry,
    uses: SealUses,
    clock: Clock,
    entropy: Entropy,
    trail: Trail,
    *,
    host: str,
    holder_key: bytes,
    ids_given_out: int,
) -> Issuing:
    """The use case with its steps. `ids_given_out`: the number behind which a restored register goes on, else 0."""
    laying_out = LayingOut(pki.keys, pki.service_keys, pki.authorities, host)
    return Issuing(
        database,
        documents,
        log=log,
        clock=clock,
        entropy=entropy,
        trail=trail,
        authorities=pki.authorities,
        uses=uses,
        operations=operations,
        reserving=Reserving(database, operations, registry, clock, entropy, holder_key, ids_given_out),
        laying_out=laying_out,
        stamping=Stamping(database, pki, registry, uses, laying_out, clock, operations),
        recording=Recording(database, documents, log, operations, registry, clock),
    )
