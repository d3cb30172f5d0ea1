"""The documents of an e-certificate: small ones in the register, the PDF in one file of its own that a row names.

While an e-certificate is being issued, the department's page and the sealed file stand in the register, in the
transactions of the steps. With the receipt the file becomes an object (`trust.storage.objects`), the row refers to it,
and those copies go. The department's page is the beginning of the sealed file, so that a second row refers to a part of
the same object; only where a page was written anew it is an object of its own.

A row of a reference has the kind `issued@` or `source@`, so that its MAC covers what it refers to.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from issuer.ecertificates import sql
from issuer.ecertificates.kinds import DocumentKind
from trust.encoding.digests import sha256
from trust.jobs.queue import Queue, work_off
from trust.model.errors import NotFound, StorageError
from trust.storage.objects import Objects
from trust.storage.sql import Database

_DELETE = "delete-objects"
_A_FOLDER = 1000
"""E-certificates with neighbouring numbers are in one folder, which is synced once for all of a batch."""
_REFERENCES = {
    DocumentKind.ISSUED: DocumentKind.ISSUED_OBJECT,
    DocumentKind.SOURCE: DocumentKind.SOURCE_OBJECT,
}


@dataclass(frozen=True, slots=True)
class Reference:
    """The first `length` bytes of an object, which have this SHA-256."""

    name: str
    length: int
    digest: bytes

    def encode(self) -> bytes:
        return self.digest + self.length.to_bytes(8, "big") + self.name.encode("ascii")

    @classmethod
    def decode(cls, encoded: bytes) -> Reference:
        return cls(encoded[40:].decode("ascii"), int.from_bytes(encoded[32:40], "big"), encoded[:32])


@dataclass(frozen=True, slots=True)
class StoredFiles:
    """Objects that are written, and the rows that will refer to them."""

    contents: Mapping[str, bytes]
    rows: Sequence[sql.DocumentRow]


@dataclass(frozen=True, slots=True)
class Documents:
    """Reads and writes documents. The register's are read and written in the caller's transaction."""

    objects: Objects
    queue: Queue

    # --- reading ---

    def get(self, connection: Connection, ecertificate_id: int, kind: DocumentKind) -> bytes:
        """One document. Raises `NotFound`; `StorageError` if its file is missing or not the one that was stored."""
        found = self.find(connection, ecertificate_id, kind)
        if found is None:
            raise NotFound(f"There is no stored {kind} of this e-certificate.")
        return found

    def find(self, connection: Connection, ecertificate_id: int, kind: DocumentKind) -> bytes | None:
        """As `get`; None if there is no such document."""
        if kind not in _REFERENCES:
            return sql.find_document(connection, ecertificate_id, kind)
        of = (kind, _REFERENCES[kind])
        stored = sql.documents_of(connection, [ecertificate_id], of)
        referred = stored.get((ecertificate_id, _REFERENCES[kind]))
        if referred is not None:
            return self._read(Reference.decode(referred))
        return stored.get((ecertificate_id, kind))

    def what_is_wrong(self, kind: str, content: bytes) -> str | None:
        """What is wrong with the file that a row refers to; None if nothing is, or the row is no reference."""
        if kind not in _REFERENCES.values():
            return None
        try:
            self._read(Reference.decode(content))
        except (StorageError, ValueError) as exc:
            return exc.what if isinstance(exc, StorageError) else "It refers to nothing."
        return None

    def _read(self, reference: Reference) -> bytes:
        found = self.objects.get(reference.name)[: reference.length]
        if sha256(found) != reference.digest:
            raise StorageError(
                f"The stored file {reference.name} is not the one that was stored.",
                "Put it back from a backup of the folder `documents`, and look who changed it.",
                code="OBJECT_EDITED",
            )
        return found

    # --- writing ---

    def write(self, issued: Mapping[int, bytes], sources: Mapping[int, bytes]) -> StoredFiles:
        """Writes issued files and departments' pages, by e-certificate, as objects; durable on return."""
        contents: dict[str, bytes] = {}
        rows = []
        for ecertificate_id, file in issued.items():
            name = object_name(ecertificate_id)
            contents[name] = file
            rows.append(_row(ecertificate_id, DocumentKind.ISSUED, Reference(name, len(file), sha256(file))))
            source = sources.get(ecertificate_id)
            if source is None:
                continue
            if not file.startswith(source):
                name = object_name(ecertificate_id)
                contents[name] = source
            rows.append(
                _row(ecertificate_id, DocumentKind.SOURCE, Reference(name, len(source), sha256(source)))
            )
        self.objects.put_all(contents)
        return StoredFiles(contents, rows)

    def refer(self, connection: Connection, files: StoredFiles, ecertificate_ids: Collection[int]) -> None:
        """Refers to written files of these e-certificates, and drops the copies in the register.

        Raises `StorageError` if one was swept away since, as after a process was stopped for hours.
        """
        rows = [row for row in files.rows if row.ecertificate_id in ecertificate_ids]
        self.objects.renew({Reference.decode(row.content).name for row in rows})
        sql.delete_documents(
            connection, ecertificate_ids, (DocumentKind.SEALED, DocumentKind.ISSUED, DocumentKind.SOURCE)
        )
        sql.put_documents(connection, rows)

    # --- deleting ---

    def let_go(self, connection: Connection, ecertificate_id: int) -> list[str]:
        """In the transaction that deletes the rows: the objects that they name, which are deleted after it."""
        self.queue.enqueue(connection, _DELETE, [str(ecertificate_id)])
        return sorted(self._names(connection, ecertificate_id))

    def delete_let_go(self, database: Database) -> int:
        """Deletes the objects of e-certificates whose rows were deleted, and what a crash left of them; the number of
        e-certificates. One whose objects cannot be deleted now is tried again later."""

        def delete(numbers: Sequence[str]) -> None:
            for number in map(int, numbers):
                with database.read() as connection:
                    kept = self._names(connection, number)
                self.objects.delete_but(beginning_of_names(number), kept)

        return work_off(self.queue, _DELETE, delete)

    def is_named(self, connection: Connection, name: str) -> bool:
        """Whether a row refers to this object."""
        return name in self._names(connection, number_in(name))

    def _names(self, connection: Connection, ecertificate_id: int) -> set[str]:
        stored = sql.documents_of(connection, [ecertificate_id], tuple(_REFERENCES.values()))
        return {Reference.decode(content).name for content in stored.values()}


def object_name(ecertificate_id: int) -> str:
    """A new name for an object of this e-certificate. The number of its row stands in it, and nothing about it."""
    return f"{beginning_of_names(ecertificate_id)}{secrets.token_hex(8)}.pdf"


def beginning_of_names(ecertificate_id: int) -> str:
    """How the names of all objects of this e-certificate begin, and no others."""
    return f"{ecertificate_id // _A_FOLDER}/{ecertificate_id}-"


def number_in(name: str) -> int:
    """The number of the e-certificate in an object's name; 0 if it has none."""
    number = name.rpartition("/")[2].partition("-")[0]
    return int(number) if number.isdecimal() else 0


def _row(ecertificate_id: int, kind: DocumentKind, reference: Reference) -> sql.DocumentRow:
    return sql.DocumentRow(
        ecertificate_id=ecertificate_id, kind=_REFERENCES[kind], content=reference.encode()
    )
