"""Reserving, step 2 of issuing: identifier, salts, status index and intent in one durable commit."""

from __future__ import annotations

import hmac
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.engine import Connection

from issuer.catalogue import TypeProfile, load_profile
from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.drafting import CheckedApplication, encode_values, metadata_of
from issuer.ecertificates.kinds import DocumentKind, Step
from issuer.operations import sql as operations_sql
from issuer.operations.model import Operation, OperationKind
from issuer.operations.operations import Operations
from issuer.seals.further import FurtherSeal, choose_further, encode_further
from issuer.seals.registry import ESeal, SealRegistry
from trust.encoding.commitment import COMMITTED, FIELD_SALT_BYTES, SALT_BYTES
from trust.encoding.digests import sha256
from trust.encoding.ecertificate_data import ECertificateData, encode_ecertificate_data
from trust.model.clock import Clock, Entropy
from trust.model.ecertificate import Application, Draft
from trust.model.errors import Conflict, NotFound, NumberTaken, RequestError
from trust.model.identifiers import make
from trust.model.parties import Holder, UnifiedSocialCreditCode
from trust.model.status import Status
from trust.storage import tables
from trust.storage.sql import Database

_SERIAL_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_SERIAL_CHARACTERS = 20


class Places:
    """Places in status lists that were taken and not used; they would be lost with the process."""

    def __init__(self) -> None:
        self._left: list[ecertificates_sql.Reservation] = []
        self._turn = threading.Lock()

    def take(
        self, connection: Connection, count: int, entropy: Entropy
    ) -> list[ecertificates_sql.Reservation]:
        with self._turn:
            kept = self._left[:count]
            del self._left[:count]
        fresh = count - len(kept)
        if fresh:
            kept += ecertificates_sql.take_status_indexes(connection, fresh, entropy.bytes(32))
        return kept

    def give_back(self, places: Sequence[ecertificates_sql.Reservation]) -> None:
        with self._turn:
            self._left += places


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A checked record, its legal seal and the further ones, the e-certificate that it replaces, its request's key."""

    checked: CheckedApplication
    seal: ESeal
    further: Sequence[FurtherSeal]
    replaced: ecertificates_sql.ECertificateRow | None
    key: str

    @property
    def version(self) -> int:
        return self.replaced.version + 1 if self.replaced is not None else 1

    @property
    def has_successor(self) -> bool:
        """True if what it replaces was replaced before; that successor may have been erased since."""
        return self.replaced is not None and self.replaced.status == Status.REPLACED.value


@dataclass(frozen=True, slots=True)
class Reserving:
    """One instance serves any number of threads; the register keeps order."""

    database: Database
    operations: Operations
    registry: SealRegistry
    clock: Clock
    entropy: Entropy
    holder_key: bytes
    ids_given_out: int = 0
    """The number behind which a restored register goes on; 0 where it knows all of them."""
    places: Places = field(default_factory=Places)

    def reserve(self, checked: CheckedApplication) -> Draft:
        """Step 2 for one record. Repeating a request returns the same draft. Raises `NumberTaken` for the same number
        with other content, `NotFound`, `Conflict`."""
        (found,) = self.reserve_many([checked])
        if isinstance(found, RequestError):
            raise found
        return found

    def reserve_many(self, records: Sequence[CheckedApplication]) -> list[Draft | RequestError]:
        """Step 2 for a batch, in one transaction: a draft for each record, or why there is none."""
        with self.database.snapshot():
            wanted = [self._wanted(each) for each in records]
        asked: dict[str, _Wanted] = {}
        for each in wanted:
            if isinstance(each, _Wanted):
                asked.setdefault(each.key, each)
        places = self._places_for(asked)
        found: dict[str, tuple[Draft, bytes]] = {}
        with self.database.write() as connection:
            tables.serialise_all(connection, [f"request {key}" for key in asked])
            known = ecertificates_sql.lock_requests(connection, list(asked))
            new = [each for key, each in asked.items() if key not in known]
            refused = {each.key: _replaced_already() for each in new if each.has_successor}
            new = [each for each in new if each.key not in refused]
            if len(new) > len(places):
                places += self.places.take(connection, len(new) - len(places), self.entropy)
            self.places.give_back(places[len(new) :])
            stored = ecertificates_sql.documents_of(
                connection, [row.id or 0 for row in known.values()], [DocumentKind.DATA]
            )
            for key, row in known.items():
                data = stored.get((row.id or 0, DocumentKind.DATA))
                if data is not None:
                    found[key] = replace(draft_of(row, data), repeated=True), bytes(row.fields_digest)
            unfinished = [row.operation_id for row in known.values() if row.step in (Step.DRAFT, Step.SEALED)]
            operations_sql.hold(connection, unfinished, self.operations.now())
            for each, draft in zip(new, self._store(connection, new, places[: len(new)]), strict=True):
                found[each.key] = draft, each.checked.digest
        answers: list[Draft | RequestError] = []
        first: set[str] = set(asked) - set(known)
        for each in wanted:
            if isinstance(each, RequestError):
                answers.append(each)
                continue
            if each.key in refused:
                answers.append(refused[each.key])
                continue
            if each.key not in found:
                answers.append(NotFound("There is no stored data of this e-certificate."))
                continue
            draft, digest = found[each.key]
            if digest != each.checked.digest:
                answers.append(number_taken(each.checked.profile, draft.pid))
            else:
                answers.append(draft if each.key in first else replace(draft, repeated=True))
                first.discard(each.key)
        return answers

    def _wanted(self, checked: CheckedApplication) -> _Wanted | RequestError:
        application, authority, replaced = checked.application, checked.authority, None
        try:
            seal = self.seal_for(application)
            further = self.further_for(application, seal)
        except RequestError as exc:
            return exc
        if application.replaces is not None:
            try:
                with self.database.read() as connection:
                    replaced = ecertificates_sql.get_ecertificate(
                        connection, pid=application.replaces, step=Step.ISSUED
                    )
            except NotFound as exc:
                return exc
            if (replaced.authority_id, replaced.type_short) != (
                authority.authority_id,
                checked.profile.short,
            ):
                return Conflict("A new version keeps the authority and the type of the old one.")
        version = replaced.version + 1 if replaced is not None else 1
        key = request_key(authority.authority_id, checked, version, replaced)
        return _Wanted(checked, seal, further, replaced, key)

    def _places_for(self, asked: Mapping[str, _Wanted]) -> list[ecertificates_sql.Reservation]:
        """Places in status lists, taken in a transaction of their own, because the row that counts them would be a lock
        that all processes share. On SQLite, which has one writer, they are taken later."""
        if self.database.is_sqlite or not asked:
            return []
        with self.database.read() as connection:
            known = ecertificates_sql.known_requests(connection, list(asked))
        count = len(asked) - len(known)
        if count == 0:
            return []
        with self.database.write() as connection:
            return self.places.take(connection, count, self.entropy)

    def _store(
        self,
        connection: Connection,
        new: Sequence[_Wanted],
        places: Sequence[ecertificates_sql.Reservation],
    ) -> list[Draft]:
        if not new:
            return []
        at = self.clock.now()
        micros, count = tables.to_micros(at), len(new)
        ids = tables.next_ids(connection, ecertificates_sql.ECertificateRow, count, after=self.ids_given_out)
        operation_ids = tables.next_ids(connection, operations_sql.OperationRow, count)
        rows, operations, documents, holders, drafts = [], [], [], [], []
        for each, place, row_id, operation_id in zip(new, places, ids, operation_ids, strict=True):
            checked, replaced = each.checked, each.replaced
            application, authority = checked.application, checked.authority
            pid = self.entropy.bytes(16)
            serial = replaced.serial if replaced else self.new_serial()
            identifier, data = self.data_for(checked, pid, serial, each.version, place)
            row = ecertificates_sql.ECertificateRow(
                id=row_id,
                pid=pid,
                identifier=identifier,
                request_key=each.key,
                fields_digest=checked.digest,
                authority_id=authority.authority_id,
                type_short=checked.profile.short,
                type_version=int(checked.profile.version),
                number=checked.fields.number,
                serial=serial,
                version=each.version,
                seal_id=each.seal.seal_id,
                status_list=place.status_list,
                status_index=place.status_index,
                step=Step.DRAFT,
                status=Status.VALID.value,
                operation_id=operation_id,
                replaces_id=replaced.id if replaced else None,
                ref_salt=self.entropy.bytes(SALT_BYTES),
                commit_salts=self.entropy.bytes(SALT_BYTES * len(COMMITTED)),
                created_at=micros,
            )
            rows.append(row)
            operations.append(
                operations_sql.row_of(
                    Operation(
                        operation_id=operation_id,
                        kind=OperationKind.ISSUED,
                        ecertificate_id=row_id,
                        actor=authority.authority_id,
                        at=micros,
                        salt=b"",
                        caller=application.caller,
                        decided_by=application.by,
                    ),
                    operations_sql.end_of_lease(micros),
                )
            )
            documents += [
                ecertificates_sql.DocumentRow(ecertificate_id=row_id, kind=kind, content=content)
                for kind, content in self._inputs(each, data).items()
            ]
            holders += [
                ecertificates_sql.HolderRow(holder_ref=ref, ecertificate_id=row_id)
                for ref in sorted({self.holder_ref(holder) for holder in checked.fields.holders})
            ]
            drafts.append(draft_of(row, data))
        for listed in (rows, operations, documents, holders):
            tables.insert_many(connection, listed)
        return drafts

    def data_for(
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

    def withdraw(self, draft: Draft) -> None:
        """Takes a draft back of which nothing was sealed."""
        with self.database.write() as connection:
            ecertificates_sql.delete_draft(connection, draft.ecertificate_id, draft.pid)

    def seal_for(self, application: Application) -> ESeal:
        if application.seal_id is not None:
            return self.registry.get(application.seal_id)
        return self.registry.for_authority(application.authority_id)

    def further_for(self, application: Application, legal: ESeal) -> list[FurtherSeal]:
        return choose_further(self.registry, application, load_profile(application.type_short), legal)

    def holder_ref(self, holder: Holder) -> bytes:
        """The keyed hash (HMAC-SHA256) by which the register refers to a holder."""
        return hmac.digest(self.holder_key, f"{holder.code_type.value}|{holder.code}".encode(), "sha256")

    def _inputs(self, wanted: _Wanted, data: bytes) -> dict[DocumentKind, bytes]:
        """The documents that are stored with a draft, by kind."""
        checked, application = wanted.checked, wanted.checked.application
        found = {DocumentKind.VALUES: encode_values(checked.fields), DocumentKind.DATA: data}
        if application.photo is not None:
            found[DocumentKind.PHOTO] = application.photo
        if application.source_pdf is not None:
            place = application.place
            assert place is not None, "`check` has chosen one"
            found[DocumentKind.SOURCE] = application.source_pdf
            found[DocumentKind.PLACE] = json.dumps(
                [place.page, place.centre_x_mm, place.centre_y_mm]
            ).encode()
        if application.for_abroad or checked.profile.for_abroad:
            found[DocumentKind.FOR_ABROAD] = b"1"
        if wanted.further:
            found[DocumentKind.FURTHER] = encode_further(wanted.further)
        return found

    def new_serial(self) -> str:
        """20 random characters, so that an identifier does not reveal how many there are or who has them."""
        number = int.from_bytes(self.entropy.bytes(16), "big")
        characters = []
        for _ in range(_SERIAL_CHARACTERS):
            number, rest = divmod(number, len(_SERIAL_ALPHABET))
            characters.append(_SERIAL_ALPHABET[rest])
        return "".join(characters)


def _replaced_already() -> Conflict:
    return Conflict(
        "The e-certificate has been replaced already.", "Replace the newest version, or issue a new one."
    )


def draft_of(row: ecertificates_sql.ECertificateRow, data: bytes) -> Draft:
    """The draft that a row of the register and its committed `data` stand for."""
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


def request_key(
    authority_id: str,
    checked: CheckedApplication,
    version: int,
    replaced: ecertificates_sql.ECertificateRow | None,
) -> str:
    """The business key of a request as a SHA-256 digest (hex): authority, type, number and version."""
    number = checked.fields.number
    lineage = replaced.serial if replaced else ""
    return sha256(f"{authority_id}|{checked.profile.short}|{number}|{version}|{lineage}".encode()).hex()


def number_taken(profile: TypeProfile, pid: bytes) -> NumberTaken:
    return NumberTaken(
        f"This {profile.name.en} number was issued before with other content.",
        "Correct the number, or replace the issued one with `yinzheng replace`.",
        pid=pid,
        zh=f"该{profile.name.zh}编号此前已签发，但内容不同。请更正编号；如需变更内容，请用 yinzheng replace 办理换发。",
    )


def taken_by_row(row: int, pid: bytes) -> NumberTaken:
    return NumberTaken(
        f"Row {row} has the same number with other content.",
        "Correct one of the two rows and send the file again.",
        pid=pid,
        zh=f"与第 {row} 行编号相同、内容不同，请更正其中一行后重新提交。",
    )
