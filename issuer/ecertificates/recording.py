"""Recording, steps 5 and 6 of issuing: the ledger entry, its receipt in the file, the e-certificate issued."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.reading import issued_from
from issuer.operations import sql as operations_sql
from issuer.sealing.splice import SealedParts, splice_receipt, take_apart
from issuer.seals.lifecycle import Seals
from ledger.log import AppendRequest, Log
from ledger.proof import format_receipt
from trust.encoding.commitment import SALT_BYTES, document_commit, ecertificate_ref
from trust.encoding.digests import sha256
from trust.encoding.ecertificate_data import decode_ecertificate_data
from trust.encoding.entry import EntryKind
from trust.encoding.receipt import EmbeddedReceipt, Openings, encode_receipt
from trust.model.clock import Clock
from trust.model.ecertificate import IssuedECertificate, SealedECertificate
from trust.storage import tables
from trust.storage.sql import Database

FIRST_ARCHIVED_AFTER = timedelta(days=1)
"""By then the CAs of the certificates have made new revocation lists (`issuer.archive.archiving`)."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Works on whole batches: one append, one round of receipts."""

    database: Database
    log: Log
    seals: Seals
    clock: Clock

    def record(self, sealed: Sequence[SealedECertificate]) -> list[IssuedECertificate]:
        """Steps 5 and 6 for a batch."""
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
                    continue  # another thread finished the same request first, and its file counts
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
