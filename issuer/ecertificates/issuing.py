"""Issuing: the walk from an application to an issued e-certificate, and what carries it on after a crash.

    1  check            every reason at once; nothing is stored for a refused row
    2  reserve          identifier, salts, status index, intent: one durable commit
    3  lay out and seal the page, the static code, the seal, the time-stamp
    4  store sealed     before anything is appended: a seal is made once and never again
    5  append           the ledger entry; durable before its index is known
    6  splice           the receipt into the stored file; stored: ISSUED

`issue` does these for many records at a time, in the same steps: one commit for the reservations, one append,
one round of receipts. `resume_unfinished` enters the same walk at step 3, 5 or 6 with what is stored. Asking
again for what was asked before gives what became of it, and seals nothing.
"""

from __future__ import annotations

import hmac
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from issuer.catalogue import TypeProfile, load_profile, shown_fields
from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.drafting import (
    CheckedApplication,
    check_application,
    decode_values,
    encode_values,
    metadata_of,
    printed_claims,
    printed_field_order,
)
from issuer.operations import sql as operations_sql
from issuer.pki.pki import Pki
from issuer.rendering import PageData, fits_printed_code, render
from issuer.sealing.further import add_further_seal
from issuer.sealing.keeping_standards import check_standards
from issuer.sealing.pdf import SealPlace, seal_department_pdf, seal_pdf
from issuer.sealing.placing import place_seal
from issuer.sealing.splice import SealedParts, splice_receipt, take_apart
from issuer.seals.further import FurtherSeal, choose_further, decode_further, encode_further, fields_for
from issuer.seals.lifecycle import Seals
from issuer.seals.registry import ESeal
from keys.custody import KeyPurpose
from keys.suites import Suite
from ledger.log import AppendRequest, Log
from ledger.proof import format_receipt
from trust.encoding import cose
from trust.encoding.codes import PRINTED_AAD, encode_printed_claims, printed_url
from trust.encoding.commitment import (
    COMMITTED,
    FIELD_SALT_BYTES,
    SALT_BYTES,
    document_commit,
    ecertificate_ref,
)
from trust.encoding.digests import sha256
from trust.encoding.ecertificate_data import (
    ECertificateData,
    decode_ecertificate_data,
    encode_ecertificate_data,
)
from trust.encoding.entry import EntryKind
from trust.encoding.receipt import EmbeddedReceipt, Openings, encode_receipt
from trust.model.clock import Clock, Entropy
from trust.model.ecertificate import (
    Application,
    Draft,
    IssuedECertificate,
    PlaceOnPage,
    SealedECertificate,
)
from trust.model.errors import (
    Conflict,
    KeyUnavailable,
    Malformed,
    NotFound,
    NotPermitted,
    NumberTaken,
    OperationalError,
    RequestError,
    StorageError,
    TimeStampUnavailable,
    TrustError,
)
from trust.model.identifiers import make, parse
from trust.model.parties import Holder, UnifiedSocialCreditCode
from trust.model.status import Status
from trust.storage import tables
from trust.storage.sql import Database

FIRST_ARCHIVED_AFTER = timedelta(days=1)
"""By then the issuers of the certificates have made new revocation lists (`issuer.archive.archiving`)."""

BATCH = 32
CLAIMED_FOR = timedelta(minutes=5)
"""How long what a request has reserved is left to it; it may have died."""
"""Records that share one reservation, one append and one round of receipts."""

_FILE_NAME = re.compile(r"(?P<type>[A-Z0-9]+)-(?P<number>.+?)(?:-v(?P<version>\d+))?(?:\.pdf)?")

_SERIAL_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_SERIAL_CHARACTERS = 20
_POINTS_PER_MM = 72 / 25.4
_SEAL_REASON = "电子印章"

FOR_ABROAD = "for-abroad"
"""The document beside a draft that says so."""


def stamping_suite(suite: Suite, *, for_abroad: bool) -> Suite:
    """Whose time-stamp authorities stamp for a seal of `suite`."""
    return Suite.RSA3072_SHA256 if for_abroad and suite is Suite.SM2_SM3 else suite


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one application: an e-certificate, or the reason why not. `row` is the caller's number.

    `repeats_row` is the earlier row of the same request that asked for the very same: one licence is for both.
    """

    row: int
    issued: IssuedECertificate | None
    error: TrustError | None = None
    repeated: bool = False
    repeats_row: int | None = None


Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a dry run remembers of the rows before: who asked for a number, and how often a seal would be used."""

    rows: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    uses: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Issuing:
    """The use case. One instance serves any number of threads; the register and the ledger keep order."""

    database: Database
    log: Log
    pki: Pki
    seals: Seals
    clock: Clock
    entropy: Entropy
    host: str
    holder_key: bytes
    ids_given_out: int = 0
    """Behind which number a restored register goes on; 0 where it knows all of them."""

    # --- the use case ---

    def issue(
        self,
        applications: Sequence[Application],
        *,
        approval: int | None = None,
        on_progress: Progress | None = None,
    ) -> list[Outcome]:
        """Issues each application or says why not; a wrong one stops only itself. Answers in their order.

        `approval` is the number of a second person's approval, where a seal's policy asks for one for so many.
        Raises `NotPermitted` without it, before anything is done.
        """
        self.check_many(applications, approval)
        return self.issue_checked(applications, on_progress=on_progress)

    def check_many(self, applications: Iterable[Application], approval: int | None) -> None:
        """Counts a whole request by seal, and uses up the approval where a seal's policy asks for one.

        Raises `NotPermitted` (SEAL_NEEDS_APPROVAL).
        """
        self._with_approval(self.seals.using.check_many, list(applications), approval)

    def foresee_many(self, applications: Iterable[Application], approval: int | None) -> None:
        """What `check_many` would answer now; uses up nothing."""
        self._with_approval(self.seals.using.foresee_many, list(applications), approval)

    def _with_approval(
        self,
        check: Callable[[Mapping[str, int], int | None, datetime], None],
        applications: Sequence[Application],
        approval: int | None,
    ) -> None:
        try:
            check(self._uses(applications), None, self.clock.now())
        except NotPermitted:
            # Above the limit: what was issued before, when the same request came already, is no use any more.
            new = [each for each in applications if not self._is_issued(each)]
            check(self._uses(new), approval, self.clock.now())

    def _is_issued(self, application: Application) -> bool:
        try:
            return self.find_issued(application) is not None
        except RequestError:
            return False

    def _uses(self, applications: Iterable[Application]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for application in applications:
            try:
                legal = self._seal_for(application)
                further = self._further_for(application, legal)
            except RequestError:
                continue  # its own outcome will say so
            for seal in (legal, *(each.seal for each in further)):
                counts[seal.seal_id] = counts.get(seal.seal_id, 0) + 1
        return counts

    def issue_checked(
        self,
        applications: Sequence[Application],
        *,
        on_progress: Progress | None = None,
        seen: dict[bytes, int] | None = None,
    ) -> list[Outcome]:
        """`issue` for a part of a request that `check_many` has let through as a whole.

        `seen` knows the rows of the parts before by the public id they got; the caller keeps it from part to part.
        Raises `ClockDoubted` before anything is done.
        """
        self.log.check_clock()  # before anything is reserved: under a wrong clock it would have to wait
        outcomes: list[Outcome] = []
        seen = {} if seen is None else seen
        for start in range(0, len(applications), BATCH):
            batch = applications[start : start + BATCH]
            outcomes += self._issue_batch(batch, seen)
            if on_progress is not None:
                on_progress(len(batch))
        return outcomes

    def foresee(self, applications: Iterable[Application], foreseen: Foreseen) -> list[Outcome]:
        """What `issue_checked` would answer now: what a dry run does. Nothing is stored, sealed or counted.

        A row that would come out has neither an e-certificate nor an error. `foreseen` goes from part to part.
        """
        return [self._foresee(application, foreseen) for application in applications]

    def check(self, application: Application) -> CheckedApplication:
        """Step 1 alone: what a dry run does. Raises `RequestError` with every reason."""
        at = self.clock.now()
        profile = load_profile(application.type_short)
        authority = self.pki.authorities.get(application.authority_id)
        checked = check_application(application, profile, authority, at)
        legal = self._seal_for(application)
        further = self._further_for(application, legal)
        for seal in (legal, *(each.seal for each in further)):
            self.seals.using.check_usable(
                seal,
                application.authority_id,
                at,
                type_short=application.type_short,
                caller=application.caller,
            )
        if application.source_pdf is not None:
            # Before anything is reserved: where nobody would see the seal, none is set.
            placed = place_seal(application.source_pdf, application.place, (legal.width_mm, legal.height_mm))
            fields_for(further, placed.place)
            if not application.may_lose_standard:
                check_standards(application.source_pdf)
            checked = replace(checked, application=replace(application, place=placed.asked))
        return checked

    def resume_unfinished(self, *, on_progress: Progress | None = None) -> list[Outcome]:
        """Carries on whatever a crash or an error left between reservation and issue.

        What a request has in its hands at this moment is left to it; its claim runs out if its process died.
        """
        outcomes: list[Outcome] = []
        last = 0
        while True:
            at = self.clock.now()
            with self.database.write() as connection:
                # What has to wait stays unfinished and must not stand before the rest.
                rows, looked_at = ecertificates_sql.claim_unfinished(
                    connection,
                    BATCH,
                    after=last,
                    now=tables.to_micros(at),
                    until=tables.to_micros(at + CLAIMED_FOR),
                )
            if not looked_at:
                return outcomes
            last = looked_at
            ids = [row.id or 0 for row in rows]
            with self._letting_go(ids):
                drafts, finished = self._drafts_from(rows)
                finished += self._finish(drafts)
            outcomes += finished
            if any(outcome.issued is None for outcome in finished):
                self._let_go(ids)
            if on_progress is not None:
                on_progress(len(rows))

    def issued(self, *, pid: bytes | None = None, identifier: str | None = None) -> IssuedECertificate:
        """An issued e-certificate. Raises `NotFound`."""
        where: dict[str, Any] = {"pid": pid} if pid is not None else {"identifier": identifier}
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, **where, step="ISSUED")
            return issued_from(row, ecertificates_sql.get_document(connection, row.id or 0, "data"))

    def named(self, wanted: str, *, exactly: bool = False) -> IssuedECertificate:
        """An issued e-certificate by its identifier, or by its licence number where that means only one; the name of
        its file (FOOD-JY25301020012345-v2.pdf) will do as well.

        Of several versions under one number the current one is meant, unless `exactly` one is wanted. Raises
        `NotFound`, and `Conflict` (SEVERAL_OF_NUMBER), which lists the identifiers to choose from.
        """
        spellings = dict.fromkeys((wanted.strip(), unicodedata.normalize("NFKC", wanted).strip()))
        with self.database.read() as connection:
            for text in spellings:
                if (
                    ecertificates_sql.find_ecertificate(connection, identifier=text, step="ISSUED")
                    is not None
                ):
                    return self.issued(identifier=text)
            rows: list[ecertificates_sql.ECertificateRow] = [
                row
                for text in spellings
                for row in tables.all_rows(
                    connection, ecertificates_sql.ECertificateRow, number=text, step="ISSUED"
                )
            ]
            file = None if rows else _FILE_NAME.fullmatch(wanted.strip())
            if file is not None:
                where = {"type_short": file["type"], "number": file["number"], "step": "ISSUED"}
                version = {"version": int(file["version"])} if file["version"] else {}
                rows = tables.all_rows(connection, ecertificates_sql.ECertificateRow, **where, **version)
        if not rows:
            raise NotFound(
                "There is no such e-certificate.",
                "Give its identifier, or its licence number as it is printed.",
                zh="未找到此标识或编号的证照，请对照证面核对。",
            )
        current = [row for row in rows if row.status != Status.REPLACED.value]
        found = current if len(current) == 1 and not exactly else rows
        if len(found) > 1:
            listed = [f"{row.identifier} ({row.type_short}, {row.status})" for row in found]
            listed_zh = [f"{row.identifier}（{load_profile(row.type_short).name.zh}）" for row in found]
            raise Conflict(
                f"{len(found)} e-certificates have this number: {', '.join(listed)}.",
                "Give the identifier of the one that is meant.",
                code="SEVERAL_OF_NUMBER",
                zh=f"有 {len(found)} 份证照使用此编号，请改用其中一份的标识：{'、'.join(listed_zh)}。",
            )
        return self.issued(pid=bytes(found[0].pid))

    def find_issued(self, application: Application) -> IssuedECertificate | None:
        """What was issued for the very same request before. Raises `RequestError` if it keeps not every rule."""
        checked = self.check(application)
        key = _request_key(checked.authority.authority_id, checked, 1, None)
        with self.database.read() as connection:
            row = ecertificates_sql.find_ecertificate(connection, request_key=key)
            if row is None or row.step != "ISSUED" or bytes(row.fields_digest) != checked.digest:
                return None
            return issued_from(row, ecertificates_sql.get_document(connection, row.id or 0, "data"))

    def issued_file(self, pid: bytes) -> bytes:
        """The issued PDF. Raises `NotFound`."""
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step="ISSUED")
            return ecertificates_sql.get_document(connection, row.id or 0, "issued")

    def holder_ref(self, holder: Holder) -> bytes:
        """The keyed name of a holder in the register."""
        return hmac.digest(self.holder_key, f"{holder.code_type.value}|{holder.code}".encode(), "sha256")

    @contextmanager
    def _letting_go(self, ecertificate_ids: Sequence[int]) -> Iterator[None]:
        """If the block fails, others may carry on at once what it left unfinished."""
        try:
            yield
        except Exception:
            self._let_go(ecertificate_ids)
            raise

    def _let_go(self, ecertificate_ids: Sequence[int]) -> None:
        # What cannot be written now runs out by itself.
        with suppress(OperationalError), self.database.write() as connection:
            ecertificates_sql.release_claims(connection, ecertificate_ids)

    # --- steps ---

    def _issue_batch(self, applications: Sequence[Application], seen: dict[bytes, int]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        drafts: dict[int, Draft] = {}
        twins: dict[int, int] = {}
        repeats: dict[int, int] = {}
        behind: dict[int, bytes] = {}
        for position, application in enumerate(applications):
            try:
                draft = self._reserve(self.check(application))
            except NumberTaken as exc:
                told = _taken_by_row(seen[exc.pid], exc.pid) if exc.pid in seen else exc
                outcomes[position] = Outcome(application.row, None, told)
                behind[position] = exc.pid
                continue
            except RequestError as exc:
                outcomes[position] = Outcome(application.row, None, exc)
                continue
            if draft.pid in seen:
                repeats[position] = seen[draft.pid]
            first = next((p for p, other in drafts.items() if other.pid == draft.pid), None)
            if first is not None:
                # One draft is sealed and appended once, however many rows of the batch ask for it.
                twins[position] = first
                continue
            drafts[position] = draft
            seen.setdefault(draft.pid, application.row)
        with self._letting_go([draft.ecertificate_id for draft in drafts.values()]):
            sealed = self._seal_and_record(applications, drafts, repeats, outcomes)
        for position, first in twins.items():
            if first in sealed:
                row = applications[position].row
                outcomes[position] = Outcome(row, outcomes[first].issued, None, True, repeats[position])
        # Behind a row that was withdrawn the others come anew: its number is free, and they are nobody's twins.
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
        """Steps 3 to 6 for the drafts of a batch, by their positions in it. Which were sealed."""
        sealed: dict[int, SealedECertificate] = {}
        for position, draft in drafts.items():
            try:
                sealed[position] = self._seal(draft)
            except RequestError as exc:
                # The page refused what the rules had let through (a text too long for any size): the intent
                # is withdrawn, so that a corrected row can be sent.
                self._withdraw(draft)
                outcomes[position] = Outcome(applications[position].row, None, exc)
        for position, issued in zip(sealed, self._record(list(sealed.values())), strict=True):
            repeated = drafts[position].repeated
            row = applications[position].row
            outcomes[position] = Outcome(row, issued, None, repeated, repeats.get(position))
        return sealed

    def _finish(self, drafts: Sequence[Draft]) -> list[Outcome]:
        """What cannot be sealed now (the seal was frozen meanwhile, its token or its time-stamps are away) waits, and
        does not stop the others."""
        sealed, waiting = [], []
        for draft in drafts:
            try:
                sealed.append(self._seal(draft))
            except (RequestError, KeyUnavailable, TimeStampUnavailable) as exc:
                waiting.append(Outcome(0, None, exc))
        return [*(Outcome(0, issued) for issued in self._record(sealed)), *waiting]

    def _reserve(self, checked: CheckedApplication) -> Draft:
        """Step 2. The same request again gives the same draft; the same number with other content `Conflict`."""
        application, authority = checked.application, checked.authority
        at = self.clock.now()
        seal = self._seal_for(application)
        with self.database.write() as connection:
            tables.serialise(connection, "reserve")
            version, replaced = 1, None
            if application.replaces is not None:
                replaced = ecertificates_sql.get_ecertificate(
                    connection, pid=application.replaces, step="ISSUED"
                )
                if (replaced.authority_id, replaced.type_short) != (
                    authority.authority_id,
                    checked.profile.short,
                ):
                    raise Conflict("A new version keeps the authority and the type of the old one.")
                version = replaced.version + 1
            request_key = _request_key(authority.authority_id, checked, version, replaced)
            known = ecertificates_sql.find_ecertificate(connection, request_key=request_key)
            if known is not None:
                if bytes(known.fields_digest) != checked.digest:
                    raise _taken(checked.profile, bytes(known.pid))
                if known.step != "ISSUED":
                    claim = {"claimed_until": tables.to_micros(at + CLAIMED_FOR)}
                    tables.update(connection, ecertificates_sql.ECertificateRow, {"id": known.id}, claim)
                return replace(
                    self._draft_of(known, ecertificates_sql.get_document(connection, known.id or 0, "data")),
                    repeated=True,
                )
            (place,) = ecertificates_sql.take_status_indexes(connection, 1, self.entropy.bytes(32))
            pid = self.entropy.bytes(16)
            serial = replaced.serial if replaced else self._new_serial()
            identifier, data = self._data_for(checked, pid, serial, version, place)
            row = ecertificates_sql.ECertificateRow(
                id=self._id_behind_gap(connection),
                pid=pid,
                identifier=identifier,
                request_key=request_key,
                fields_digest=checked.digest,
                authority_id=authority.authority_id,
                type_short=checked.profile.short,
                type_version=int(checked.profile.version),
                number=checked.fields.number,
                serial=serial,
                version=version,
                seal_id=seal.seal_id,
                status_list=place.status_list,
                status_index=place.status_index,
                step="DRAFT",
                status=Status.VALID.value,
                replaces_id=replaced.id if replaced else None,
                ref_salt=self.entropy.bytes(SALT_BYTES),
                commit_salts=self.entropy.bytes(SALT_BYTES * len(COMMITTED)),
                created_at=tables.to_micros(at),
                claimed_until=tables.to_micros(at + CLAIMED_FOR),
            )
            row.id = tables.insert(connection, row)
            row.operation_id = tables.insert(
                connection,
                operations_sql.OperationRow(
                    ecertificate_id=row.id or 0,
                    kind=EntryKind.ISSUED.name,
                    actor=authority.authority_id,
                    note=application.caller,
                    salt=b"",
                    at=tables.to_micros(at),
                ),
            )
            tables.update(
                connection,
                ecertificates_sql.ECertificateRow,
                {"id": row.id},
                {"operation_id": row.operation_id},
            )
            self._store_inputs(connection, row.id or 0, checked, data)
            if further := self._further_for(application, seal):
                ecertificates_sql.put_document(connection, row.id or 0, "further", encode_further(further))
        return self._draft_of(row, data)

    def _data_for(
        self,
        checked: CheckedApplication,
        pid: bytes,
        serial: str,
        version: int,
        place: ecertificates_sql.Reservation,
    ) -> tuple[str, bytes]:
        authority, profile = checked.authority, checked.profile
        identifier = str(
            make(
                type_code=profile.type_code,
                issuer=UnifiedSocialCreditCode(authority.uscc),
                serial=serial,
                version=version,
            )
        )
        metadata = metadata_of(checked.fields, profile, authority, identifier, checked.application.photo)
        data = ECertificateData(
            pid=pid,
            issuer=authority.authority_id,
            type_short=profile.short,
            type_version=int(profile.version),
            version=version,
            status_list=place.status_list,
            status_index=place.status_index,
            metadata=metadata,
            salts={name: self.entropy.bytes(FIELD_SALT_BYTES) for name in metadata},
        )
        return identifier, encode_ecertificate_data(data)

    def _foresee(self, application: Application, foreseen: Foreseen) -> Outcome:
        try:
            checked = self.check(application)
            key = _request_key(checked.authority.authority_id, checked, 1, None)
            if key in foreseen.rows:
                row, digest = foreseen.rows[key]
                if digest != checked.digest:
                    raise _taken_by_row(row, b"")
                return Outcome(application.row, None, repeated=True, repeats_row=row)
            with self.database.read() as connection:
                known = ecertificates_sql.find_ecertificate(connection, request_key=key)
                if known is not None and bytes(known.fields_digest) != checked.digest:
                    raise _taken(checked.profile, bytes(known.pid))
                if known is not None and known.step == "ISSUED":
                    data = ecertificates_sql.get_document(connection, known.id or 0, "data")
                    foreseen.rows[key] = (application.row, checked.digest)
                    return Outcome(application.row, issued_from(known, data), repeated=True)
            seal = self._seal_for(application)
            if known is None:
                self._try_page(checked, seal)
            used = (seal, *(each.seal for each in self._further_for(application, seal)))
            for each in used:
                self.seals.using.foresee_use(each, foreseen.uses.get(each.seal_id, 0), self.clock.now())
        except RequestError as exc:
            return Outcome(application.row, None, exc)
        foreseen.rows[key] = (application.row, checked.digest)
        for each in used:
            foreseen.uses[each.seal_id] = foreseen.uses.get(each.seal_id, 0) + 1
        return Outcome(application.row, None)

    def _try_page(self, checked: CheckedApplication, seal: ESeal) -> None:
        """Draws the page with an identifier of the right form and throws it away. Raises `RequestError`."""
        application, at = checked.application, self.clock.now()
        if application.source_pdf is not None:
            return
        pid = self.entropy.bytes(16)
        identifier, data = self._data_for(
            checked, pid, self._new_serial(), 1, ecertificates_sql.Reservation(0, 0)
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
        documents = {"values": encode_values(checked.fields), "photo": application.photo}
        self._lay_out(draft, documents, (seal.width_mm, seal.height_mm), at)

    def _store_inputs(
        self, connection: Any, ecertificate_id: int, checked: CheckedApplication, data: bytes
    ) -> None:
        application = checked.application
        ecertificates_sql.put_document(connection, ecertificate_id, "values", encode_values(checked.fields))
        ecertificates_sql.put_document(connection, ecertificate_id, "data", data)
        if application.photo is not None:
            ecertificates_sql.put_document(connection, ecertificate_id, "photo", application.photo)
        if application.source_pdf is not None:
            ecertificates_sql.put_document(connection, ecertificate_id, "source", application.source_pdf)
            place = application.place
            assert place is not None, "`check` has chosen one"
            encoded = json.dumps([place.page, place.centre_x_mm, place.centre_y_mm]).encode()
            ecertificates_sql.put_document(connection, ecertificate_id, "place", encoded)
        if application.for_abroad or checked.profile.for_abroad:
            ecertificates_sql.put_document(connection, ecertificate_id, FOR_ABROAD, b"1")
        refs = [self.holder_ref(holder) for holder in checked.fields.holders]
        ecertificates_sql.put_holders(connection, ecertificate_id, refs)

    def _withdraw(self, draft: Draft) -> None:
        with self.database.write() as connection:
            ecertificates_sql.delete_draft(connection, draft.ecertificate_id)

    def _seal(self, draft: Draft) -> SealedECertificate:
        """Steps 3 and 4. What is sealed and stored already is taken from the store."""
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
        in_use = self.seals.using.open(seal)
        stamping = stamping_suite(seal.suite, for_abroad=documents[FOR_ABROAD] is not None)
        tsa = self.pki.time_stamp_authority(stamping)
        if stamping is not seal.suite:
            in_use = replace(in_use, stamped_by=stamping.digest)
        if documents["source"] is not None:
            asked = PlaceOnPage(*json.loads(documents["place"] or b""))
            place = place_seal(documents["source"], asked, (seal.width_mm, seal.height_mm)).place
            fields = fields_for(further, place)
            sealed = seal_department_pdf(
                documents["source"],
                draft.data,
                seal=in_use,
                tsa=tsa,
                place=place,
                reason=_SEAL_REASON,
                at=at,
                further=fields,
            )
        else:
            page = self._lay_out(draft, documents, (seal.width_mm, seal.height_mm), at)
            where = page.seal
            place = SealPlace(where.page, where.x1, where.y1, where.x2, where.y2)
            fields = fields_for(further, place)
            sealed = seal_pdf(
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
        with self.database.write() as connection:
            # In one order everywhere, so that two documents with the same seals never wait for each other.
            used = sorted((seal, *(each.seal for each in further)), key=lambda used: used.seal_id)
            tables.serialise(connection, f"use of seal {used[0].seal_id}")
            stored = ecertificates_sql.find_document(connection, draft.ecertificate_id, "sealed")
            if stored is not None:
                # The same request came twice at once: what was stored first stands, and is one use.
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

    def _lay_out(
        self, draft: Draft, documents: Mapping[str, bytes | None], size_mm: tuple[float, float], at: datetime
    ) -> Any:
        profile = load_profile(draft.type_short)
        authority = self.pki.authorities.get(draft.authority_id)
        data = decode_ecertificate_data(draft.data)
        values = decode_values(documents["values"] or b"", at.date())
        page = PageData(
            fields=shown_fields(profile, values),
            issuer_zh=authority.name_zh,
            issuer_en=authority.name_en,
            issued_on=values.issued_on,
            identifier=parse(draft.identifier),
            host=self.host.lower(),
            qr_text=self._printed_text(data, profile, at),
            ecertificate_json=draft.data,
            created_at=draft.created_at,
            photo=documents["photo"],
            seal_width_mm=size_mm[0],
            seal_height_mm=size_mm[1],
        )
        return render(profile, page)

    def _printed_text(self, data: ECertificateData, profile: TypeProfile, at: datetime) -> str:
        """The static code: fields in the type's order, left out whole from the end until it fits."""
        row = self.pki.service_keys.active("present")
        key = self.pki.keys.open(row.key_id, KeyPurpose.PRESENTATION)
        protected = cose.encode_protected(row.suite, cose.key_id(bytes(row.spki)))
        names = printed_field_order(profile)
        while True:
            claims = printed_claims(data, profile, field_names=names, issued_at=at)
            payload = encode_printed_claims(claims)
            signature = key.sign(cose.to_be_signed(protected, PRINTED_AAD, payload))
            sign1 = cose.encode_sign1(protected, payload, cose.raw_signature(row.suite, signature))
            text = printed_url(self.host, sign1)
            if fits_printed_code(text):
                return text
            if not names:
                raise Malformed(
                    "The host name is too long for a printed code.", "Set a shorter YINZHENG_HOST."
                )
            names = names[:-1]

    def _record(self, sealed: Sequence[SealedECertificate]) -> list[IssuedECertificate]:
        """Steps 5 and 6 for a whole batch."""
        if not sealed:
            return []
        with self.database.read() as connection:
            rows = {
                each.draft.pid: ecertificates_sql.get_ecertificate(connection, pid=each.draft.pid)
                for each in sealed
            }
        todo = [each for each in sealed if rows[each.draft.pid].step != "ISSUED"]
        if todo:
            self._append_and_splice(todo, rows)
        with self.database.read() as connection:
            return [
                issued_from(
                    ecertificates_sql.get_ecertificate(connection, pid=each.draft.pid), each.draft.data
                )
                for each in sealed
            ]

    def _append_and_splice(
        self, sealed: Sequence[SealedECertificate], rows: Mapping[bytes, ecertificates_sql.ECertificateRow]
    ) -> None:
        openings: dict[bytes, Openings] = {}
        parts: dict[bytes, SealedParts] = {}
        requests = []
        seals = {seal.seal_id: seal for seal in self.seals.registry.list()}
        for each in sealed:
            row = rows[each.draft.pid]
            salts = bytes(row.commit_salts)
            opening = Openings(
                content=decode_ecertificate_data(each.draft.data).content,
                ref_salt=bytes(row.ref_salt),
                salts=tuple(salts[n : n + SALT_BYTES] for n in range(0, len(salts), SALT_BYTES)),
            )
            openings[each.draft.pid] = opening
            parts[each.draft.pid] = take_apart(each.sealed)
            requests.append(
                AppendRequest(
                    operation_id=each.draft.operation_id,
                    kind=EntryKind.ISSUED,
                    actor=each.draft.authority_id,
                    subject_id=each.draft.ecertificate_id,
                    ref=ecertificate_ref(each.draft.pid, opening.ref_salt),
                    commit=document_commit(opening.content, parts[each.draft.pid].digests, opening.salts),
                    suite=seals[row.seal_id].suite.value,
                )
            )
        appended = self.log.append(requests)
        receipts = self.log.receipt([entry.seq for entry in appended])
        at = tables.to_micros(self.clock.now())
        finished = []
        with self.database.read() as connection:
            further = {
                each.draft.pid: ecertificates_sql.find_document(
                    connection, each.draft.ecertificate_id, "further"
                )
                for each in sealed
            }
        for each, entry, receipt in zip(sealed, appended, receipts, strict=True):
            last = json.loads(further[each.draft.pid] or b"[]")[-1:]
            seal = seals[last[0] if last else rows[each.draft.pid].seal_id]
            embedded = EmbeddedReceipt(entry.entry_bytes, format_receipt(receipt), openings[each.draft.pid])
            issued = splice_receipt(
                each.sealed,
                parts[each.draft.pid],
                encode_receipt(embedded),
                suite=seal.suite.value,
                sealing_cert=seal.cert,
            )
            finished.append((each.draft, entry.seq, issued))
        with self.database.write() as connection:
            for draft, seq, issued in sorted(finished, key=lambda each: each[0].ecertificate_id):
                locked = ecertificates_sql.lock_ecertificate(connection, draft.ecertificate_id)
                if locked is None or locked.step == "ISSUED":
                    continue  # another hand was faster with the same request: what it stored stands
                ecertificates_sql.put_document(connection, draft.ecertificate_id, "issued", issued)
                tables.update(
                    connection,
                    ecertificates_sql.ECertificateRow,
                    {"id": draft.ecertificate_id},
                    {
                        "step": "ISSUED",
                        "entry_seq": seq,
                        "issued_sha256": sha256(issued),
                        "issued_at": at,
                        "archive_due_at": tables.to_micros(tables.from_micros(at) + FIRST_ARCHIVED_AFTER),
                        "claimed_until": None,
                    },
                )
                tables.update(
                    connection,
                    operations_sql.OperationRow,
                    {"id": draft.operation_id},
                    {"done": True, "entry_seq": seq},
                )

    # --- helpers ---

    def _seal_for(self, application: Application) -> ESeal:
        if application.seal_id is not None:
            return self.seals.registry.get(application.seal_id)
        return self.seals.registry.for_authority(application.authority_id)

    def _further_for(self, application: Application, legal: ESeal) -> list[FurtherSeal]:
        return choose_further(self.seals, application, load_profile(application.type_short), legal)

    def _id_behind_gap(self, connection: Connection) -> int | None:
        """None: the database has the next one. In a restored register it would be one that was given out before."""
        if (
            not self.ids_given_out
            or ecertificates_sql.highest_ecertificate_id(connection) >= self.ids_given_out
        ):
            return None
        return self.ids_given_out + 1

    def _new_serial(self) -> str:
        """20 random characters: an identifier tells nothing about how many there are or who has them."""
        number = int.from_bytes(self.entropy.bytes(16), "big")
        characters = []
        for _ in range(_SERIAL_CHARACTERS):
            number, rest = divmod(number, len(_SERIAL_ALPHABET))
            characters.append(_SERIAL_ALPHABET[rest])
        return "".join(characters)

    def _drafts_from(
        self, rows: Sequence[ecertificates_sql.ECertificateRow]
    ) -> tuple[list[Draft], list[Outcome]]:
        """What can be carried on, and why the rest cannot: data that somebody edited stop only their own draft."""
        drafts: list[Draft] = []
        refused: list[Outcome] = []
        for number, row in enumerate(rows, 1):
            try:
                with self.database.read() as connection:
                    drafts.append(
                        self._draft_of(row, ecertificates_sql.get_document(connection, row.id or 0, "data"))
                    )
            except (NotFound, StorageError) as exc:
                refused.append(Outcome(number, None, exc))
        return drafts, refused

    def _draft_of(self, row: ecertificates_sql.ECertificateRow, data: bytes) -> Draft:
        return Draft(
            ecertificate_id=row.id or 0,
            operation_id=row.operation_id,
            pid=bytes(row.pid),
            identifier=row.identifier,
            type_short=row.type_short,
            authority_id=row.authority_id,
            seal_id=row.seal_id,
            data=data,
            created_at=tables.from_micros(row.created_at),
        )


def issued_from(row: ecertificates_sql.ECertificateRow, data: bytes) -> IssuedECertificate:
    """The e-certificate that a row of the register stands for."""
    return IssuedECertificate(
        pid=bytes(row.pid),
        identifier=row.identifier,
        number=row.number,
        type_short=row.type_short,
        type_version=row.type_version,
        authority_id=row.authority_id,
        seal_id=row.seal_id,
        version=row.version,
        status=Status(row.status),
        status_reason=row.status_reason,
        status_at=tables.from_micros(row.status_at) if row.status_at is not None else None,
        status_list=row.status_list,
        status_index=row.status_index,
        data=data,
        entry_seq=row.entry_seq if row.entry_seq is not None else -1,
        issued_at=tables.from_micros(row.issued_at or row.created_at),
    )


def _request_key(
    authority_id: str,
    checked: CheckedApplication,
    version: int,
    replaced: ecertificates_sql.ECertificateRow | None,
) -> str:
    """Who issues which number in which version: the business key of a request, as a digest."""
    number = checked.fields.number
    lineage = replaced.serial if replaced else ""
    return sha256(f"{authority_id}|{checked.profile.short}|{number}|{version}|{lineage}".encode()).hex()


def _taken(profile: TypeProfile, pid: bytes) -> NumberTaken:
    return NumberTaken(
        f"This {profile.name.en} number was issued before with other content.",
        "Correct the number, or replace the issued one with `yinzheng replace`.",
        pid=pid,
        zh=f"该{profile.name.zh}编号此前已签发，但内容不同。请更正编号；如需变更内容，请用 yinzheng replace 办理换发。",
    )


def _taken_by_row(row: int, pid: bytes) -> NumberTaken:
    return NumberTaken(
        f"Row {row} has the same number with other content.",
        "Correct one of the two rows and send the file again.",
        pid=pid,
        zh=f"与第 {row} 行编号相同、内容不同，请更正其中一行后重新提交。",
    )
