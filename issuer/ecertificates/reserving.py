"""Reserving, step 2 of issuing: identifier, salts, status index and intent in one durable commit."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy.engine import Connection

from issuer.catalogue import TypeProfile, load_profile
from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.drafting import CheckedApplication, encode_values, metadata_of
from issuer.operations import sql as operations_sql
from issuer.seals.further import FurtherSeal, choose_further, encode_further
from issuer.seals.lifecycle import Seals
from issuer.seals.registry import ESeal
from trust.encoding.commitment import COMMITTED, FIELD_SALT_BYTES, SALT_BYTES
from trust.encoding.digests import sha256
from trust.encoding.ecertificate_data import ECertificateData, encode_ecertificate_data
from trust.encoding.entry import EntryKind
from trust.model.clock import Clock, Entropy
from trust.model.ecertificate import Application, Draft
from trust.model.errors import Conflict, NumberTaken
from trust.model.identifiers import make
from trust.model.parties import Holder, UnifiedSocialCreditCode
from trust.model.status import Status
from trust.storage import tables
from trust.storage.sql import Database

CLAIMED_FOR = timedelta(minutes=5)
"""How long a draft stays with the request that reserved it; after that another process may carry it on."""

FOR_ABROAD = "for-abroad"
"""The document beside a draft that is sealed for abroad."""

_SERIAL_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_SERIAL_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class Reserving:
    """One instance serves any number of threads; the register keeps order."""

    database: Database
    seals: Seals
    clock: Clock
    entropy: Entropy
    holder_key: bytes
    ids_given_out: int = 0
    """The number behind which a restored register goes on; 0 where it knows all of them."""

    def reserve(self, checked: CheckedApplication) -> Draft:
        """Step 2. Repeating a request returns the same draft; the same number with other content raises `Conflict`."""
        application, authority = checked.application, checked.authority
        at = self.clock.now()
        seal = self.seal_for(application)
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
            key = request_key(authority.authority_id, checked, version, replaced)
            known = ecertificates_sql.find_ecertificate(connection, request_key=key)
            if known is not None:
                # Read again under its lock: at this moment another request may finish or withdraw it.
                known = ecertificates_sql.lock_ecertificate(connection, known.id or 0)
            if known is not None:
                if bytes(known.fields_digest) != checked.digest:
                    raise number_taken(checked.profile, bytes(known.pid))
                if known.step != "ISSUED":
                    claim = {"claimed_until": tables.to_micros(at + CLAIMED_FOR)}
                    tables.update(connection, ecertificates_sql.ECertificateRow, {"id": known.id}, claim)
                return replace(
                    draft_of(known, ecertificates_sql.get_document(connection, known.id or 0, "data")),
                    repeated=True,
                )
            (place,) = ecertificates_sql.take_status_indexes(connection, 1, self.entropy.bytes(32))
            pid = self.entropy.bytes(16)
            serial = replaced.serial if replaced else self.new_serial()
            identifier, data = self.data_for(checked, pid, serial, version, place)
            row = ecertificates_sql.ECertificateRow(
                id=self._id_behind_gap(connection),
                pid=pid,
                identifier=identifier,
                request_key=key,
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
            if further := self.further_for(application, seal):
                ecertificates_sql.put_document(connection, row.id or 0, "further", encode_further(further))
        return draft_of(row, data)

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
        with self.database.write() as connection:
            ecertificates_sql.delete_draft(connection, draft.ecertificate_id)

    def seal_for(self, application: Application) -> ESeal:
        if application.seal_id is not None:
            return self.seals.registry.get(application.seal_id)
        return self.seals.registry.for_authority(application.authority_id)

    def further_for(self, application: Application, legal: ESeal) -> list[FurtherSeal]:
        return choose_further(self.seals, application, load_profile(application.type_short), legal)

    def holder_ref(self, holder: Holder) -> bytes:
        """The keyed hash (HMAC-SHA256) by which the register refers to a holder."""
        return hmac.digest(self.holder_key, f"{holder.code_type.value}|{holder.code}".encode(), "sha256")

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

    def _id_behind_gap(self, connection: Connection) -> int | None:
        """The row id to use, so that a restored register does not give out an id twice. None lets the database
        choose."""
        if (
            not self.ids_given_out
            or ecertificates_sql.highest_ecertificate_id(connection) >= self.ids_given_out
        ):
            return None
        return self.ids_given_out + 1

    def new_serial(self) -> str:
        """20 random characters, so that an identifier does not reveal how many there are or who has them."""
        number = int.from_bytes(self.entropy.bytes(16), "big")
        characters = []
        for _ in range(_SERIAL_CHARACTERS):
            number, rest = divmod(number, len(_SERIAL_ALPHABET))
            characters.append(_SERIAL_ALPHABET[rest])
        return "".join(characters)


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
