"""The register's answers about one e-certificate or one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from issuer.archive import sql as archive_sql
from issuer.ecertificates import sql
from issuer.ecertificates.kinds import DocumentKind, Step
from trust.encoding.ecertificate_data import decode_ecertificate_data
from trust.model.answers import FileFact, StatusFact
from trust.model.errors import EvidenceUnavailableError
from trust.model.report import Freshness
from trust.model.status import Status
from trust.storage import tables
from trust.storage.sql import Database
from trust.storage.unbelieved import instead_of_edited

_STEP = 400
"""The number of values in one statement, which any database supports."""


@dataclass(frozen=True, slots=True)
class RegisterAnswers:
    """`verifier.ports.Register` of this deployment."""

    database: Database

    def look_up(self, pid: bytes, status_list: int, index: int, at: datetime) -> StatusFact:
        with instead_of_edited(edited), self.database.read() as connection:
            row = sql.find_ecertificate(connection, pid=pid)
            is_changing = row is not None and sql.is_changing(connection, row)
        if row is None:
            raise EvidenceUnavailableError(
                "The register does not know this e-certificate.",
                "Ask the issuing department.",
                code="UNKNOWN_ISSUER",
            )
        if is_changing:
            raise EvidenceUnavailableError(
                "The status is being changed at this moment.", "Check again in a moment.", code="TRY_LATER"
            )
        return StatusFact(
            Status(row.status),
            Freshness(at, None, online=True),
            row.status_reason,
            tables.from_micros(row.status_at) if row.status_at is not None else None,
        )

    def pid_of_file(self, sha256: bytes) -> bytes | None:
        with instead_of_edited(edited), self.database.read() as connection:
            row = sql.find_ecertificate(connection, issued_sha256=sha256)
            if row is None and (later := archive_sql.version_with(connection, sha256)) is not None:
                row = sql.find_ecertificate(connection, id=later.ecertificate_id)
        return bytes(row.pid) if row is not None else None

    def is_erased(self, pid: bytes) -> bool:
        with instead_of_edited(edited), self.database.read() as connection:
            row = sql.find_ecertificate(connection, pid=pid)
        return row is not None and row.step == Step.ERASED

    def files_with(self, digests: Sequence[bytes]) -> dict[bytes, FileFact]:
        found: dict[bytes, FileFact] = {}
        with self.database.read() as connection:
            for start in range(0, len(digests), _STEP):
                found |= _files_with(connection, digests[start : start + _STEP])
        return found


def _files_with(connection: Connection, digests: Sequence[bytes]) -> dict[bytes, FileFact]:
    issued = sql.issued_with_digests(connection, digests)
    found = {sha256: _file_fact(connection, row, data) for sha256, (row, data) in issued.items()}
    later = archive_sql.versions_with(connection, [each for each in digests if each not in found])
    for sha256, ecertificate_id in later.items():
        row = sql.get_ecertificate(connection, id=ecertificate_id)
        found[sha256] = _file_fact(
            connection, row, sql.get_document(connection, ecertificate_id, DocumentKind.DATA)
        )
    return found


def _file_fact(connection: Connection, row: sql.ECertificateRow, data: bytes) -> FileFact:
    status = Status(row.status) if not sql.is_changing(connection, row) else None
    return FileFact(bytes(row.pid), status, *decode_ecertificate_data(data).validity())


def edited() -> EvidenceUnavailableError:
    """The error that outsiders get instead of that for an edited row (ROW_EDITED), which is the operator's to mend."""
    return EvidenceUnavailableError(
        "What the register says of it was changed by another hand.",
        "Ask the issuing department.",
        code="REGISTER_EDITED",
    )
