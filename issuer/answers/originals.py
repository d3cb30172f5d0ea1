"""Issued files, for counters that may see them, and the names of authorities and types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from issuer.authorities.register import Authorities
from issuer.catalogue import load_catalogue
from issuer.ecertificates import sql
from issuer.ecertificates.kinds import DocumentKind
from issuer.ecertificates.reading import Reading
from issuer.rendering.photo import photo_jpeg
from trust.encoding.digests import sha256
from trust.model.errors import NotFound, ProfileViolation
from trust.storage.sql import Database


@dataclass(frozen=True, slots=True)
class OriginalAnswers:
    """`verifier.ports.Originals` of this deployment."""

    database: Database
    reading: Reading

    def authority_of(self, pid: bytes) -> str:
        return self.reading.issued(pid=pid).authority_id

    def issued_file(self, pid: bytes) -> bytes:
        return self.reading.issued_file(pid)

    def portrait(self, pid: bytes, photo_sha256: str) -> bytes:
        with self.database.read() as connection:
            row = sql.find_ecertificate(connection, pid=pid)
            photo = (
                sql.find_document(connection, row.id or 0, DocumentKind.PHOTO) if row is not None else None
            )
        if photo is None or sha256(photo).hex() != photo_sha256:
            raise NotFound("There is no such photograph.")  # erased, or of another service
        try:
            return photo_jpeg(photo)
        except ProfileViolation as exc:
            raise NotFound("The photograph cannot be drawn.") from exc


@dataclass(frozen=True, slots=True)
class RegisterNames:
    """`verifier.ports.Names` of this deployment."""

    authorities: Authorities
    database: Database

    def authorities_en(self) -> Mapping[str, str]:
        return {each.authority_id: each.name_en for each in self.authorities.list()}

    def types(self) -> Mapping[str, tuple[str, str]]:
        return {short: (each.name.zh, each.name.en) for short, each in load_catalogue().items()}

    def types_of(self, pids: Collection[bytes]) -> Mapping[bytes, tuple[str, str]]:
        types, found = self.types(), {}
        with self.database.read() as connection:
            for pid in set(pids):
                row = sql.find_ecertificate(connection, pid=pid)
                if row is not None:
                    found[pid] = types[row.type_short]
        return found
