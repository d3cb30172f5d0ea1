"""Recording, steps 5 and 6 of issuing: the ledger entry, its receipt in the file, the e-certificate issued."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.engine import Connection

from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.documents import Documents, StoredFiles
from issuer.ecertificates.kinds import DocumentKind, Step
from issuer.ecertificates.reading import issued_from
from issuer.operations import sql as operations_sql
from issuer.operations.model import Operation
from issuer.operations.operations import Operations
from issuer.sealing.splice import SealedParts, splice_receipt, take_apart
from issuer.seals.registry import ESeal, SealRegistry
from ledger.log import Appended, AppendRequest, Log
from ledger.proof import format_receipt
from trust.audit.trail import Act
from trust.encoding.commitment import SALT_BYTES, document_commit, ecertificate_ref
from trust.encoding.ecertificate_data import decode_ecertificate_data
from trust.encoding.entry import EntryKind
from trust.encoding.receipt import EmbeddedReceipt, Openings, encode_receipt
from trust.model.clock import Clock
from trust.model.ecertificate import IssuedECertificate, SealedECertificate
from trust.model.errors import NotFound
from trust.storage import tables
from trust.storage.sql import Database

FIRST_ARCHIVED_AFTER = timedelta(days=1)
"""By then the CAs of the certificates have made new revocation lists (`issuer.archive.archiving`)."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Works on whole batches: one append, one round of receipts, one transaction."""

    database: Database
    documents: Documents
    log: Log
    operations: Operations
    registry: SealRegistry
    clock: Clock

    def record(self, sealed: Sequence[SealedECertificate]) -> list[IssuedECertificate]:
        """Steps 5 and 6 for a batch."""
        if not sealed:
            return []
        ids = [each.draft.ecertificate_id for each in sealed]
        with self.database.read() as connection:
            rows = ecertificates_sql.ecertificates_by_id(connection, ids)
            todo = [each for each in sealed if _is_unfinished(rows.get(each.draft.ecertificate_id), each)]
            operations = operations_sql.operations_with(
                connection, [each.draft.operation_id for each in todo]
            )
            inputs = ecertificates_sql.documents_of(
                connection,
                [each.draft.ecertificate_id for each in todo],
                [DocumentKind.FURTHER, DocumentKind.SOURCE],
            )
        if todo:
            batch = _Batch(self, rows, {each.draft.operation_id: each for each in todo}, inputs)
            self.operations.complete(operations, batch)
            with self.database.read() as connection:
                rows = ecertificates_sql.ecertificates_by_id(connection, ids)
        found = []
        for each in sealed:
            row = rows.get(each.draft.ecertificate_id)
            if row is None or row.step != Step.ISSUED or bytes(row.pid) != each.draft.pid:
                raise NotFound("There is no such e-certificate.", "Check the identifier.")
            found.append(issued_from(row, each.draft.data))
        return found


def _is_unfinished(row: ecertificates_sql.ECertificateRow | None, sealed: SealedECertificate) -> bool:
    return row is not None and row.step == Step.SEALED and bytes(row.pid) == sealed.draft.pid


@dataclass(frozen=True, slots=True)
class _Batch:
    """`issuer.operations.operations.Completing` for issues. `rows` and `inputs` are by e-certificate, `seals` by their
    ids, all others by operation."""

    recording: Recording
    rows: Mapping[int, ecertificates_sql.ECertificateRow]
    sealed: Mapping[int, SealedECertificate]
    inputs: Mapping[tuple[int, str], bytes]
    openings: dict[int, Openings] = field(default_factory=dict)
    parts: dict[int, SealedParts] = field(default_factory=dict)
    issued: dict[int, bytes] = field(default_factory=dict)
    files: list[StoredFiles] = field(default_factory=list)
    seals: dict[str, ESeal] = field(default_factory=dict)

    def request(self, operation: Operation) -> AppendRequest:
        draft, sealed = self.sealed[operation.operation_id].draft, self.sealed[operation.operation_id].sealed
        row = self.rows[operation.ecertificate_id]
        salts = bytes(row.commit_salts)
        opening = Openings(
            content=decode_ecertificate_data(draft.data).content,
            ref_salt=bytes(row.ref_salt),
            salts=tuple(salts[n : n + SALT_BYTES] for n in range(0, len(salts), SALT_BYTES)),
        )
        parts = take_apart(sealed)
        self.openings[operation.operation_id], self.parts[operation.operation_id] = opening, parts
        return AppendRequest(
            operation_id=operation.operation_id,
            kind=EntryKind.ISSUED,
            actor=operation.actor,
            subject_id=operation.ecertificate_id,
            ref=ecertificate_ref(draft.pid, opening.ref_salt),
            commit=document_commit(opening.content, parts.digests, opening.salts),
            suite=self._seal(row.seal_id).suite.value,
        )

    def prepare(self, operations: Sequence[Operation], appended: Sequence[Appended]) -> None:
        receipts = self.recording.log.receipt([entry.seq for entry in appended])
        for operation, entry, receipt in zip(operations, appended, receipts, strict=True):
            number = operation.operation_id
            last = json.loads(self.inputs.get((operation.ecertificate_id, DocumentKind.FURTHER), b"[]"))[-1:]
            seal = self._seal(last[0] if last else self.rows[operation.ecertificate_id].seal_id)
            embedded = EmbeddedReceipt(entry.entry_bytes, format_receipt(receipt), self.openings[number])
            self.issued[number] = splice_receipt(
                self.sealed[number].sealed,
                self.parts[number],
                encode_receipt(embedded),
                suite=seal.suite.value,
                sealing_cert=seal.cert,
            )
        self.files.append(
            self.recording.documents.write(
                {each.ecertificate_id: self.issued[each.operation_id] for each in operations},
                {of: content for (of, kind), content in self.inputs.items() if kind == DocumentKind.SOURCE},
            )
        )

    def lock(self, connection: Connection, operations: Sequence[Operation]) -> None:
        ecertificates_sql.lock_ecertificates(connection, [each.ecertificate_id for each in operations])

    def finish(self, connection: Connection, appended: Sequence[tuple[Operation, Appended]]) -> None:
        at = self.recording.clock.now()
        self.recording.operations.write_down_each(
            connection,
            [
                (operation, Act("issue", "issued", pid=self.sealed[operation.operation_id].draft.pid))
                for operation, _ in appended
            ],
        )
        ids = [operation.ecertificate_id for operation, _ in appended]
        self.recording.documents.refer(connection, self.files[-1], ids)
        ecertificates_sql.set_issued(
            connection,
            {
                operation.ecertificate_id: (self.issued[operation.operation_id], entry.seq)
                for operation, entry in appended
            },
            at=tables.to_micros(at),
            due_at=tables.to_micros(at + FIRST_ARCHIVED_AFTER),
        )

    def let_go(self, connection: Connection, operation: Operation) -> None:
        """Nothing: what is sealed stays and is appended later."""

    def _seal(self, seal_id: str) -> ESeal:
        if seal_id not in self.seals:
            self.seals[seal_id] = self.recording.registry.get(seal_id)
        return self.seals[seal_id]
