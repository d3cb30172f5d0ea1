"""Sealing a draft, steps 3 and 4 of issuing: the seal with its time-stamp, stored before anything is appended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.laying_out import LayingOut
from issuer.ecertificates.reserving import FOR_ABROAD
from issuer.operations import sql as operations_sql
from issuer.pki.pki import Pki
from issuer.sealing.further import add_further_seal
from issuer.sealing.pdf import SealPlace, SealsPages, seal_department_pdf, seal_pdf
from issuer.sealing.placing import place_seal
from issuer.seals.further import FurtherSeal, decode_further, fields_for
from issuer.seals.lifecycle import Seals
from issuer.seals.registry import ESeal
from keys.suites import Suite
from trust.model.clock import Clock
from trust.model.ecertificate import Draft, PlaceOnPage, SealedECertificate
from trust.storage import tables
from trust.storage.sql import Database

_SEAL_REASON = "电子印章"


@dataclass(frozen=True, slots=True)
class Stamping:
    """A seal is made once and never again: what is stored stands."""

    database: Database
    pki: Pki
    seals: Seals
    laying_out: LayingOut
    clock: Clock
    seal_page: SealsPages = seal_pdf

    def seal(self, draft: Draft) -> SealedECertificate:
        """Steps 3 and 4. If the sealed file is stored already, returns that."""
        with self.database.read() as connection:
            stored = ecertificates_sql.find_document(connection, draft.ecertificate_id, "sealed")
            if stored is None:
                documents = {
                    kind: ecertificates_sql.find_document(connection, draft.ecertificate_id, kind)
                    for kind in ("values", "photo", "source", "place", "further", FOR_ABROAD)
                }
                caller = operations_sql.caller_of(connection, draft.operation_id)
        if stored is not None:
            return SealedECertificate(draft, stored)
        at = self.clock.now()
        seal = self.seals.registry.get(draft.seal_id)
        self.seals.using.check_usable(
            seal, draft.authority_id, at, type_short=draft.type_short, caller=caller
        )
        further = decode_further(self.seals, documents["further"])
        for each in further:
            self.seals.using.check_usable(
                each.seal, draft.authority_id, at, type_short=draft.type_short, caller=caller
            )
        sealed = self._sealed(draft, documents, seal, further, at)
        with self.database.write() as connection:
            # Always in the same order, so that two documents with the same seals cannot deadlock.
            used = sorted((seal, *(each.seal for each in further)), key=lambda used: used.seal_id)
            tables.serialise(connection, f"use of seal {used[0].seal_id}")
            stored = ecertificates_sql.find_document(connection, draft.ecertificate_id, "sealed")
            if stored is not None:
                # The same request runs twice at once; the file that was stored first counts, as one use.
                return SealedECertificate(draft, stored)
            for one in used:
                self.seals.using.write_down_use(connection, one, draft.ecertificate_id, at, by=caller)
            ecertificates_sql.put_document(connection, draft.ecertificate_id, "sealed", sealed)
            tables.update(
                connection,
                ecertificates_sql.ECertificateRow,
                {"id": draft.ecertificate_id},
                {"step": "SEALED"},
            )
        return SealedECertificate(draft, sealed)

    def _sealed(
        self,
        draft: Draft,
        documents: Mapping[str, bytes | None],
        seal: ESeal,
        further: Sequence[FurtherSeal],
        at: datetime,
    ) -> bytes:
        """The PDF with its legal seal and the further ones."""
        in_use = self.seals.using.open(seal)
        stamping = stamping_suite(seal.suite, for_abroad=documents[FOR_ABROAD] is not None)
        tsa = self.pki.time_stamp_authority(stamping)
        if stamping is not seal.suite:
            in_use = replace(in_use, stamped_by=stamping.digest)
        size_mm = (seal.width_mm, seal.height_mm)
        source = documents["source"]
        if source is not None:
            asked = PlaceOnPage(*json.loads(documents["place"] or b""))
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
            page = self.laying_out.lay_out(draft, documents, size_mm, at)
            where = page.seal
            place = SealPlace(where.page, where.x1, where.y1, where.x2, where.y2)
            fields = fields_for(further, place)
            sealed = self.seal_page(
                page.pdf, seal=in_use, tsa=tsa, place=place, reason=_SEAL_REASON, at=at, further=fields
            )
        for place_of, each in zip(fields, further, strict=True):
            sealed = add_further_seal(
                sealed,
                place_of,
                seal=self.seals.using.open(each.seal),
                tsa=self.pki.time_stamp_authority(each.seal.suite),
                reason=_SEAL_REASON,
                at=at,
            )
        return sealed


def stamping_suite(suite: Suite, *, for_abroad: bool) -> Suite:
    """The suite whose time-stamp authorities stamp what a seal of `suite` seals."""
    return Suite.RSA3072_SHA256 if for_abroad and suite is Suite.SM2_SM3 else suite
