"""Sealing a draft, steps 3 and 4 of issuing: the seal with its time-stamp, stored before anything is appended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.kinds import DocumentKind, Step
from issuer.ecertificates.laying_out import LayingOut, Letterhead
from issuer.operations import sql as operations_sql
from issuer.operations.model import LEASE
from issuer.operations.operations import Operations
from issuer.pki.pki import Pki
from issuer.sealing.further import add_further_seal
from issuer.sealing.pdf import SealPlace, SealsPages, seal_department_pdf, seal_pdf
from issuer.sealing.placing import place_seal
from issuer.sealing.use import SealInUse
from issuer.seals.further import FurtherSeal, decode_further, fields_for
from issuer.seals.registry import ESeal, SealRegistry
from issuer.seals.using import SealUses
from keys.suites import Suite
from keys.tsa import TimeStamper
from trust.model.clock import Clock
from trust.model.ecertificate import Draft, PlaceOnPage, SealedECertificate
from trust.model.errors import (
    KeyUnavailable,
    NotFound,
    RequestError,
    TimeStampUnavailable,
    TrustError,
)
from trust.storage.sql import Database

_SEAL_REASON = "电子印章"
_INPUTS = (
    DocumentKind.VALUES,
    DocumentKind.PHOTO,
    DocumentKind.SOURCE,
    DocumentKind.PLACE,
    DocumentKind.FURTHER,
    DocumentKind.FOR_ABROAD,
)
_OF_ONE = (RequestError, KeyUnavailable, TimeStampUnavailable)
"""Errors that concern one draft and not the others of a batch."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that sealing a draft needs from the register. `stored` is what was sealed before, if anything."""

    draft: Draft
    caller: str
    stored: bytes | None = None
    documents: Mapping[DocumentKind, bytes | None] = field(default_factory=dict)
    seals: Sequence[tuple[ESeal, SealInUse, TimeStamper]] = ()
    """The legal seal and the further ones, each with its opened key and its time-stamp authority."""
    further: Sequence[FurtherSeal] = ()
    letterhead: Letterhead | None = None


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A sealed file that is not stored yet."""

    prepared: Prepared
    file: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Stamping:
    """A seal is made once and never again: what is stored first stands."""

    database: Database
    pki: Pki
    registry: SealRegistry
    uses: SealUses
    laying_out: LayingOut
    clock: Clock
    operations: Operations
    seal_page: SealsPages = seal_pdf

    def seal(self, draft: Draft) -> SealedECertificate:
        """Steps 3 and 4 for one draft. If the sealed file is stored already, returns that. Raises `RequestError`,
        `KeyUnavailable`, `TimeStampUnavailable`."""
        (found,) = self.seal_many([draft])
        if isinstance(found, TrustError):
            raise found
        return found

    def seal_many(self, drafts: Sequence[Draft]) -> list[SealedECertificate | TrustError]:
        """Steps 3 and 4 for a batch, stored in one transaction: sealed drafts, or why one is not sealed.

        An error is a `RequestError`, `KeyUnavailable` or `TimeStampUnavailable`. Raises any other.
        """
        answers: dict[int, SealedECertificate | TrustError] = {}
        made: dict[int, _Sealed] = {}
        down: dict[tuple[str, ...], TrustError] = {}
        begun = self.clock.now()
        for position, prepared in enumerate(self._prepare(drafts)):
            if isinstance(prepared, TrustError):
                answers[position] = prepared
                continue
            if prepared.stored is not None:
                answers[position] = SealedECertificate(prepared.draft, prepared.stored)
                continue
            at = self.clock.now()
            if at - begun > LEASE / 2:  # as with a slow time-stamp authority
                self.operations.keep([draft.operation_id for draft in drafts])
                begun = at
            used = tuple(seal.seal_id for seal, _, _ in prepared.seals)
            if used in down:
                answers[position] = down[used]
                continue
            try:
                made[position] = _Sealed(prepared, self._sealed(prepared, at), at)
            except RequestError as exc:
                answers[position] = exc
            except (KeyUnavailable, TimeStampUnavailable) as exc:
                # Others with these seals would wait for the same token or authority, each as long.
                answers[position] = down[used] = exc
        for position, stored in zip(made, self._store(list(made.values())), strict=True):
            answers[position] = stored
        return [answers[position] for position in range(len(drafts))]

    def _prepare(self, drafts: Sequence[Draft]) -> list[Prepared | TrustError]:
        found: list[Prepared | TrustError] = []
        with self.database.snapshot(), self.database.read() as connection:
            ids = [draft.ecertificate_id for draft in drafts]
            documents = ecertificates_sql.documents_of(connection, ids, (DocumentKind.SEALED, *_INPUTS))
            rows = ecertificates_sql.ecertificates_by_id(connection, ids)
            operations = operations_sql.find_operations(connection, [each.operation_id for each in drafts])
            for draft in drafts:
                of = {
                    kind: documents.get((draft.ecertificate_id, kind))
                    for kind in (DocumentKind.SEALED, *_INPUTS)
                }
                try:
                    _check_is_there(rows.get(draft.ecertificate_id), draft)
                    operation = operations.get(draft.operation_id)
                    if rows[draft.ecertificate_id].step == Step.ISSUED:
                        # The same request runs twice at once, and the other one is done.
                        found.append(Prepared(draft, "", b""))
                        continue
                    caller = operation.caller if operation is not None else None
                    found.append(self._prepared(draft, of, caller or ""))
                except _OF_ONE as exc:
                    found.append(exc)
        return found

    def _prepared(
        self, draft: Draft, documents: Mapping[DocumentKind, bytes | None], caller: str
    ) -> Prepared:
        if documents[DocumentKind.SEALED] is not None:
            return Prepared(draft, caller, documents[DocumentKind.SEALED])
        if documents[DocumentKind.VALUES] is None:
            raise NotFound("There is no such e-certificate.", "Check the identifier.")  # erased meanwhile
        at, registry, using = self.clock.now(), self.registry, self.uses
        legal = registry.get(draft.seal_id)
        further = decode_further(self.registry, documents[DocumentKind.FURTHER])
        used = []
        for seal in (legal, *(each.seal for each in further)):
            using.check_usable(seal, draft.authority_id, at, type_short=draft.type_short, caller=caller)
            in_use = using.open(seal)
            is_for_abroad = seal is legal and documents[DocumentKind.FOR_ABROAD] is not None
            stamping = stamping_suite(seal.suite, for_abroad=is_for_abroad)
            if stamping is not seal.suite:
                in_use = replace(in_use, stamped_by=stamping.digest)
            used.append((seal, in_use, self.pki.time_stamp_authority(stamping)))
        letterhead = (
            self.laying_out.letterhead(draft.authority_id) if documents[DocumentKind.SOURCE] is None else None
        )
        return Prepared(draft, caller, None, documents, used, further, letterhead)

    def _store(self, made: Sequence[_Sealed]) -> list[SealedECertificate | TrustError]:
        """Step 4: the sealed files and the uses of seals, in one transaction."""
        if not made:
            return []
        using = self.uses
        uses = [[seal for seal, _, _ in each.prepared.seals] for each in made]
        seal_ids = {seal.seal_id for used in uses for seal in used}
        for together in (True, False):
            answers: list[SealedECertificate | TrustError] = []
            ids = [each.prepared.draft.ecertificate_id for each in made]
            with self.database.write() as connection:
                counted = using.lock_uses(connection, seal_ids, made[-1].at, together=together)
                if counted is None:
                    continue  # a limit of a day has to be counted by one process at a time
                rows = ecertificates_sql.lock_ecertificates(connection, ids)
                stored = ecertificates_sql.documents_of(connection, ids, [DocumentKind.SEALED])
                sealed: dict[int, bytes] = {}
                for each, used in zip(made, uses, strict=True):
                    draft = each.prepared.draft
                    before = stored.get((draft.ecertificate_id, DocumentKind.SEALED)) or sealed.get(
                        draft.ecertificate_id
                    )
                    row = rows.get(draft.ecertificate_id)
                    if row is not None and bytes(row.pid) == draft.pid and row.step == Step.ISSUED:
                        answers.append(SealedECertificate(draft, b""))
                        continue
                    if before is not None and row is not None and bytes(row.pid) == draft.pid:
                        # The same request runs twice at once; the file that was stored first counts, as one use.
                        answers.append(SealedECertificate(draft, before))
                        continue
                    try:
                        _check_is_there(row, draft, step=Step.DRAFT)
                        counted.use(used, draft.ecertificate_id, each.at, by=each.prepared.caller)
                    except RequestError as exc:
                        answers.append(exc)
                        continue
                    sealed[draft.ecertificate_id] = each.file
                    answers.append(SealedECertificate(draft, each.file))
                counted.write_down(connection)
                ecertificates_sql.set_sealed(connection, sealed)
            return answers
        raise AssertionError("a turn that is alone is always given")

    def _sealed(self, prepared: Prepared, at: datetime) -> bytes:
        """The PDF with its legal seal and the further ones."""
        (legal, in_use, tsa), *others = prepared.seals
        draft, documents, further = prepared.draft, prepared.documents, prepared.further
        size_mm = (legal.width_mm, legal.height_mm)
        source = documents[DocumentKind.SOURCE]
        if source is not None:
            asked = PlaceOnPage(*json.loads(documents[DocumentKind.PLACE] or b""))
            place = place_seal(source, asked, size_mm).place
            fields = fields_for(further, place)
            sealed = seal_department_pdf(
                source,
                draft.data,
                seal=in_use,
                tsa=tsa,
                place=place,
                reason=_SEAL_REASON,
                at=at,
                further=fields,
            )
        else:
            assert prepared.letterhead is not None
            page = self.laying_out.lay_out(draft, documents, size_mm, at, prepared.letterhead)
            where = page.seal
            place = SealPlace(where.page, where.x1, where.y1, where.x2, where.y2)
            fields = fields_for(further, place)
            sealed = self.seal_page(
                page.pdf, seal=in_use, tsa=tsa, place=place, reason=_SEAL_REASON, at=at, further=fields
            )
        for place_of, (_, used, stamper) in zip(fields, others, strict=True):
            sealed = add_further_seal(sealed, place_of, seal=used, tsa=stamper, reason=_SEAL_REASON, at=at)
        return sealed


def _check_is_there(
    row: ecertificates_sql.ECertificateRow | None, draft: Draft, *, step: str | None = None
) -> None:
    """Raises `NotFound` if the draft was withdrawn or erased; by then another one may have its row's number."""
    if row is None or bytes(row.pid) != draft.pid or step not in (None, row.step):
        raise NotFound("There is no such e-certificate.", "Check the identifier.")


def stamping_suite(suite: Suite, *, for_abroad: bool) -> Suite:
    """The suite whose time-stamp authorities stamp what a seal of `suite` seals."""
    return Suite.RSA3072_SHA256 if for_abroad and suite is Suite.SM2_SM3 else suite
