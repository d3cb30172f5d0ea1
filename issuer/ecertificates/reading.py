"""Reading: issued e-certificates by their identifiers, numbers and file names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from issuer.catalogue import load_profile
from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.documents import Documents
from issuer.ecertificates.kinds import DocumentKind, Step
from trust.model.ecertificate import IssuedECertificate
from trust.model.errors import Conflict, NotFound
from trust.model.status import Status
from trust.storage import tables
from trust.storage.sql import Database

_FILE_NAME = re.compile(r"(?P<type>[A-Z0-9]+)-(?P<number>.+?)(?:-v(?P<version>\d+))?(?:\.pdf)?")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the register knows of issued e-certificates."""

    database: Database
    documents: Documents

    def issued(self, *, pid: bytes | None = None, identifier: str | None = None) -> IssuedECertificate:
        """The issued e-certificate with this public id or identifier. Raises `NotFound`."""
        where: dict[str, Any] = {"pid": pid} if pid is not None else {"identifier": identifier}
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, **where, step=Step.ISSUED)
            return issued_from(
                row, ecertificates_sql.get_document(connection, row.id or 0, DocumentKind.DATA)
            )

    def named(self, wanted: str, *, exactly: bool = False) -> IssuedECertificate:
        """The issued e-certificate with this identifier, or with this licence number if only one has it; the name of
        its file (FOOD-JY25301020012345-v2.pdf) is accepted too.

        If several versions have the number, the current one is returned, unless `exactly` is set. Raises `NotFound`,
        and `Conflict` (SEVERAL_OF_NUMBER), which lists the identifiers to choose from.
        """
        spellings = dict.fromkeys((wanted.strip(), unicodedata.normalize("NFKC", wanted).strip()))
        with self.database.read() as connection:
            for text in spellings:
                if (
                    ecertificates_sql.find_ecertificate(connection, identifier=text, step=Step.ISSUED)
                    is not None
                ):
                    return self.issued(identifier=text)
            rows: list[ecertificates_sql.ECertificateRow] = [
                row
                for text in spellings
                for row in tables.all_rows(
                    connection, ecertificates_sql.ECertificateRow, number=text, step=Step.ISSUED
                )
            ]
            file = None if rows else _FILE_NAME.fullmatch(wanted.strip())
            if file is not None:
                where = {"type_short": file["type"], "number": file["number"], "step": Step.ISSUED}
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

    def issued_file(self, pid: bytes) -> bytes:
        """The issued PDF. Raises `NotFound`."""
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step=Step.ISSUED)
            return self.documents.get(connection, row.id or 0, DocumentKind.ISSUED)

    def of_holder(
        self,
        holder_ref: bytes,
        *,
        types: Collection[str] = (),
        after: bytes | None = None,
        limit: int = 50,
    ) -> list[IssuedECertificate]:
        """Up to `limit` e-certificates of a holder, newest first; of these types, if any are given.

        `after` is the public id of the last one of the page before. Raises `NotFound` if that is no e-certificate.
        """
        with self.database.read() as connection:
            before = None
            if after is not None:
                before = ecertificates_sql.get_ecertificate(connection, pid=after).id
            rows = ecertificates_sql.ecertificates_of_holder(
                connection, holder_ref, types=types, before=before, limit=limit
            )
            ids = [row.id or 0 for row in rows]
            data = ecertificates_sql.documents_of(connection, ids, [DocumentKind.DATA])
        return [issued_from(row, data[row.id or 0, DocumentKind.DATA]) for row in rows]

    def held(self, holder_ref: bytes, pid: bytes) -> IssuedECertificate:
        """An e-certificate of this holder. Raises the same `NotFound` for another's as for a missing one."""
        with self.database.read() as connection:
            row = ecertificates_sql.find_ecertificate(connection, pid=pid, step=Step.ISSUED)
            if row is None or holder_ref not in ecertificates_sql.holder_refs_of(connection, row.id or 0):
                raise NotFound("There is no such e-certificate.")
            return issued_from(
                row, ecertificates_sql.get_document(connection, row.id or 0, DocumentKind.DATA)
            )

    def holders_of(self, pid: bytes) -> list[bytes]:
        """The references of the holders of an e-certificate. Raises `NotFound`."""
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid)
            return ecertificates_sql.holder_refs_of(connection, row.id or 0)

    def pid_of_file(self, digest: bytes) -> bytes | None:
        """The e-certificate whose issued file has this SHA-256."""
        with self.database.read() as connection:
            row, _ = ecertificates_sql.issued_with_digests(connection, [digest]).get(digest, (None, b""))
        return bytes(row.pid) if row is not None else None


def issued_from(row: ecertificates_sql.ECertificateRow, data: bytes) -> IssuedECertificate:
    """The e-certificate of a row of the register. `data` is its data file."""
    return IssuedECertificate(
        pid=bytes(row.pid),
        identifier=row.identifier,
        number=row.number,
        serial=row.serial,
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
