"""Archiving: making later versions of licences before the evidence in the last one expires.

    1  gather   certificates and revocation lists made after the last signature or time-stamp
    2  stamp    the update with them, and a time-stamp over everything: PAdES B-LTA (`trust.pdf.update`)
    3  store    the update, durably, before anything is appended
    4  append   a LATER_VERSION entry; its receipt is detached, because the file is final
    5  finish   the receipt and the due time of the next version are stored

The first version is due a day after issue, when the CAs have made new revocation lists; each further one after a year,
or in time before the certificate or the algorithm of the last time-stamp expires. After a crash behind step 3,
`resume_pending` continues. The issued file and every version stay valid, because each is the beginning of the next.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy.engine import Connection

from issuer.archive import sql as archive_sql
from issuer.archive.evidence import gather_evidence, read_seals, read_signed
from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.documents import Documents
from issuer.ecertificates.kinds import DocumentKind, Step
from issuer.ecertificates.recording import FIRST_ARCHIVED_AFTER
from issuer.ecertificates.stamping import stamping_suite
from issuer.operations import sql as operations_sql
from issuer.operations.model import Operation, OperationKind
from issuer.operations.operations import Operations
from issuer.pki.ocsp import Ocsp
from issuer.pki.pki import Pki
from issuer.seals.registry import SealRegistry
from keys.pki.read import read_x509_cert
from keys.suites import Suite
from keys.tsa import TimeStamper
from ledger.log import Appended, AppendRequest, Log
from ledger.proof import format_receipt
from trust.audit.trail import Act
from trust.encoding.commitment import (
    COMMITTED,
    SALT_BYTES,
    DocumentDigests,
    document_commit,
    ecertificate_ref,
)
from trust.encoding.digests import digest, sha256
from trust.encoding.ecertificate_data import decode_ecertificate_data
from trust.encoding.entry import EntryKind
from trust.encoding.receipt import EmbeddedReceipt, Openings, encode_receipt
from trust.model.actor import SYSTEM, Actor, Permission
from trust.model.clock import Clock, Entropy
from trust.model.errors import Conflict, NotFound, TrustError
from trust.pdf.gap import SignedGap, check_gaps
from trust.pdf.reading import open_pdf
from trust.pdf.update import CONTENTS_HEX_DIGITS, DocumentEvidence, encode_update, read_version
from trust.storage import tables
from trust.storage.sql import Database

_log = logging.getLogger("yinzheng.archive")
AGAIN_AFTER = timedelta(days=365)
_BEFORE_CERT_ENDS, _BEFORE_ALGORITHM_ENDS = timedelta(days=90), timedelta(days=365)
_BATCH = 32

ALGORITHM_ENDS = {
    Suite.RSA3072_SHA256: datetime(2036, 1, 1, tzinfo=UTC),
    Suite.P256_SHA256: datetime(2036, 1, 1, tzinfo=UTC),
}
"""The time from which signatures of a suite should not be relied upon. NIST IR 8547 (initial public draft), table 2,
disallows RSA and ECDSA after 2035. No date is published for SM2."""


@dataclass(frozen=True, slots=True)
class Due:
    """An e-certificate that is due for a later version. `versions`: the number of later versions that it has
    already."""

    pid: bytes
    identifier: str
    since: datetime
    versions: int


@dataclass(frozen=True, slots=True)
class ArchivedVersion:
    """A version of a file. `number` 0 is the issued file. `parent_sha256` is the digest of the version before."""

    number: int
    level: str
    sha256: bytes
    parent_sha256: bytes | None
    stamped_at: datetime | None
    next_due_at: datetime | None
    entry_seq: int | None


@dataclass(frozen=True, slots=True)
class Renewal:
    """The result for one e-certificate: the number of its new version, or why there is none."""

    pid: bytes
    number: int | None
    error: TrustError | None = None


@dataclass(frozen=True, slots=True)
class _Made:
    """A version that is not stored yet."""

    row: ecertificates_sql.ECertificateRow
    number: int
    update: bytes
    version: archive_sql.LaterVersionRow


Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Archiving:
    """The use case."""

    database: Database
    documents: Documents
    log: Log
    clock: Clock
    entropy: Entropy
    pki: Pki
    ocsp: Ocsp
    registry: SealRegistry
    operations: Operations

    # --- queries ---

    def due(self, at: datetime, *, limit: int = 1000) -> list[Due]:
        """The e-certificates that are due at `at`, longest due first."""
        with self.database.read() as connection:
            rows = archive_sql.due(connection, tables.to_micros(at), limit)
        return [
            Due(bytes(row.pid), row.identifier, tables.from_micros(row.archive_due_at), row.versions)
            for row in rows
        ]

    def count_due(self, at: datetime) -> int:
        with self.database.read() as connection:
            return archive_sql.count_due(connection, tables.to_micros(at))

    def versions(self, pid: bytes) -> list[ArchivedVersion]:
        """The issued file and its later versions, in their order. Raises `NotFound`."""
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step=Step.ISSUED)
            later = archive_sql.versions_of(connection, row.id or 0)
        found = [_issued_version(row)]
        for each in later:
            if each.entry_seq is not None:
                found.append(_later_version(each, found[-1].sha256))
        return found

    def page_of_versions(self, pid: bytes, after: int | None, limit: int) -> list[ArchivedVersion]:
        """Up to `limit` versions behind the one with the number `after`. Raises `NotFound`."""
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step=Step.ISSUED)
            found = [_issued_version(row)]
            # From the one before on, because a version names the file that it grew out of.
            before = 0 if after is None else max(after - 1, 0)
            for each in archive_sql.versions_after(connection, row.id or 0, before, limit + 1):
                found.append(_later_version(each, found[-1].sha256))
        return [each for each in found if after is None or each.number > after][:limit]

    def file(self, pid: bytes, number: int | None = None) -> bytes:
        """A version of the file; None is the newest. Raises `NotFound`."""
        versions = self.versions(pid)
        number = versions[-1].number if number is None else number
        if not 0 <= number < len(versions):
            raise NotFound("There is no such version of the file.", "List its versions first.")
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step=Step.ISSUED)
            return b"".join(_parts(connection, self.documents, row.id or 0, number))

    def receipt(self, pid: bytes, number: int) -> bytes:
        """The receipt (DER, `trust.encoding.receipt`) of a later version. Raises `NotFound`."""
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step=Step.ISSUED)
            return ecertificates_sql.get_document(connection, row.id or 0, archive_sql.receipt_kind(number))

    # --- making versions ---

    def renew_due(
        self, actor: Actor, at: datetime, *, on_progress: Progress | None = None
    ) -> Iterator[Renewal]:
        """Makes a new version of each e-certificate that is due, and yields the results. Those that fail stay due."""
        after = (-1, -1)
        while True:
            with self.database.read() as connection:
                rows = archive_sql.due(connection, tables.to_micros(at), _BATCH, after=after)
            if not rows:
                return
            after = (rows[-1].archive_due_at, rows[-1].id)
            yield from self.renew(actor, [bytes(row.pid) for row in rows])
            if on_progress is not None:
                on_progress(len(rows))

    def renew(self, actor: Actor, pids: Sequence[bytes]) -> list[Renewal]:
        """Makes a new version of each, due or not. A failure does not affect the others."""
        actor.check_may(Permission.ARCHIVE)
        made: list[Operation] = []
        pids_by_id: dict[int, bytes] = {}
        outcomes: dict[bytes, Renewal] = {}
        crls = self._revocation_lists()
        for pid in dict.fromkeys(pids):
            try:
                each = self._make(pid, crls)
                made.append(self._store(actor, each))
                pids_by_id[each.version.ecertificate_id] = pid
                outcomes[pid] = Renewal(pid, each.number)
            except TrustError as exc:
                outcomes[pid] = Renewal(pid, None, exc)
        # One that was erased meanwhile does not affect the others.
        for operation, error in self.operations.complete_each(
            made, _Completing(self.database, self.log, self.operations)
        ):
            if error is not None:
                pid = pids_by_id[operation.ecertificate_id]
                outcomes[pid] = Renewal(pid, None, error)
        return list(outcomes.values())

    def resume_pending(self) -> int:
        """Appends the versions that were stored and not appended; returns their number."""
        return self.operations.carry_on(
            (OperationKind.LATER_VERSION,), _Completing(self.database, self.log, self.operations)
        )

    def run(self) -> None:
        """Completes pending versions, then makes those that are due, for `Keeper`."""
        self.resume_pending()
        renewals = self.renew_due(SYSTEM, self.clock.now())
        failed = Counter(each.error.code for each in renewals if each.error is not None)
        for code, count in failed.items():
            _log.error("licences could not be renewed for the archive", extra={"code": code, "count": count})

    def _revocation_lists(self) -> Callable[[datetime], list[bytes]]:
        """A function that returns revocation lists no older than a moment. It makes them again only if necessary."""
        known: list[tuple[datetime, list[bytes]]] = []

        def no_older_than(moment: datetime) -> list[bytes]:
            if not known or known[-1][0] < moment:
                pki = self.pki
                listed = pki.known_crls(self.clock.now(), no_older_than=moment)
                known.append((moment, [der for _, der, _ in listed]))
            return known[-1][1]

        return no_older_than

    def _make(self, pid: bytes, crls: Callable[[datetime], list[bytes]]) -> _Made:
        with self.database.read() as connection:
            row = ecertificates_sql.get_ecertificate(connection, pid=pid, step=Step.ISSUED)
            later = archive_sql.versions_of(connection, row.id or 0)
            if any(each.entry_seq is None for each in later):
                raise Conflict("A version of this file is being made already.", "Try again in a minute.")
            data = b"".join(_parts(connection, self.documents, row.id or 0, len(later)))
            fields = ecertificates_sql.get_document(connection, row.id or 0, DocumentKind.DATA)
            is_for_abroad = (
                ecertificates_sql.find_document(connection, row.id or 0, DocumentKind.FOR_ABROAD) is not None
            )
        gaps = check_gaps(data)
        # The first update contains evidence for the seals; each further one for the time-stamp of the one before.
        signed = read_signed(gaps[-1].cms) if later else read_seals([gap.cms for gap in gaps])
        evidence = gather_evidence(
            signed,
            known_certs=self.pki.known_certs(),
            crls=crls(signed.at),
            ocsp=self.ocsp.evidence,
        )
        before = read_version(data, open_pdf(data))
        head, tail = encode_update(before, _without(evidence, before.evidence))
        suite = stamping_suite(self.registry.get(row.seal_id).suite, for_abroad=is_for_abroad)
        tsa = self.pki.time_stamp_authority(suite)
        update = _stamp(data, head, tail, tsa)
        return self._described(row, fields, len(later) + 1, data, update)

    def _described(
        self,
        row: ecertificates_sql.ECertificateRow,
        fields: bytes,
        number: int,
        data: bytes,
        update: bytes,
    ) -> _Made:
        gap = _checked_gap(data, update)
        # Read from the token which of the configured authorities made it.
        stamp = read_signed(gap.cms)
        stamped_at, tsa_cert = stamp.at, stamp.signers[0]
        suite = read_x509_cert(tsa_cert).suite
        salts = self.entropy.bytes(SALT_BYTES * len(COMMITTED))
        content = decode_ecertificate_data(fields).content
        version = archive_sql.LaterVersionRow(
            ecertificate_id=row.id or 0,
            number=number,
            operation_id=0,
            suite=suite.value,
            commit=document_commit(content, _digests(gap), _split(salts)),
            salts=salts,
            sha256=sha256(data + update),
            stamped_at=tables.to_micros(stamped_at),
            due_at=tables.to_micros(_next_due(stamped_at, suite, tsa_cert)),
        )
        return _Made(row, number, update, version)

    def _store(self, actor: Actor, made: _Made) -> Operation:
        """Step 3. Raises `Conflict` if the same version was stored meanwhile, and `NotFound` if all was erased."""
        version = made.version
        with self.database.write() as connection:
            row = ecertificates_sql.lock_ecertificate(connection, version.ecertificate_id)
            if row is None or row.step != Step.ISSUED:
                raise NotFound("There is no such e-certificate.", "Check the identifier.")
            operation = self.operations.announce(
                connection,
                OperationKind.LATER_VERSION,
                by=actor.ref,
                ecertificate_id=version.ecertificate_id,
                actor=made.row.authority_id,
            )
            version.operation_id = operation.operation_id
            version.id = archive_sql.insert_version(connection, version)
            ecertificates_sql.put_document(
                connection, version.ecertificate_id, archive_sql.update_kind(version.number), made.update
            )
        return operation


@dataclass(frozen=True, slots=True)
class _Completing:
    """`issuer.operations.operations.Completing` for later versions. `receipts`: encoded, by operation."""

    database: Database
    log: Log
    operations: Operations
    receipts: dict[int, bytes] = field(default_factory=dict)

    def request(self, operation: Operation) -> AppendRequest | None:
        with self.database.read() as connection:
            version = archive_sql.version_of(connection, operation)
            row = ecertificates_sql.find_ecertificate(
                connection, id=operation.ecertificate_id, step=Step.ISSUED
            )
        if version is None or row is None:
            return None
        return AppendRequest(
            operation_id=operation.operation_id,
            kind=EntryKind.LATER_VERSION,
            actor=row.authority_id,
            subject_id=operation.ecertificate_id,
            ref=ecertificate_ref(bytes(row.pid), bytes(row.ref_salt)),
            commit=bytes(version.commit),
            suite=version.suite,
        )

    def prepare(self, operations: Sequence[Operation], appended: Sequence[Appended]) -> None:
        receipts = self.log.receipt([entry.seq for entry in appended])
        with self.database.read() as connection:
            for operation, entry, receipt in zip(operations, appended, receipts, strict=True):
                row = ecertificates_sql.find_ecertificate(
                    connection, id=operation.ecertificate_id, step=Step.ISSUED
                )
                version = archive_sql.version_of(connection, operation)
                if row is None or version is None:
                    continue  # erased since
                data = ecertificates_sql.get_document(
                    connection, operation.ecertificate_id, DocumentKind.DATA
                )
                openings = Openings(
                    decode_ecertificate_data(data).content, bytes(row.ref_salt), _split(bytes(version.salts))
                )
                self.receipts[operation.operation_id] = encode_receipt(
                    EmbeddedReceipt(entry.entry_bytes, format_receipt(receipt), openings)
                )

    def lock(self, connection: Connection, operations: Sequence[Operation]) -> None:
        ecertificates_sql.lock_ecertificates(connection, [each.ecertificate_id for each in operations])

    def finish(self, connection: Connection, appended: Sequence[tuple[Operation, Appended]]) -> None:
        for operation, entry in appended:
            version = archive_sql.version_of(connection, operation)
            receipt = self.receipts.get(operation.operation_id)
            if version is None or receipt is None:
                continue  # erased since; the receipt would open what was erased
            kind = archive_sql.receipt_kind(version.number)
            ecertificates_sql.put_document(connection, operation.ecertificate_id, kind, receipt)
            row = ecertificates_sql.find_ecertificate(connection, id=operation.ecertificate_id)
            self.operations.write_down(
                connection,
                operation,
                Act("archive", f"version {version.number}", pid=bytes(row.pid) if row is not None else None),
            )
            tables.update(
                connection, archive_sql.LaterVersionRow, {"id": version.id}, {"entry_seq": entry.seq}
            )
            tables.update(
                connection,
                ecertificates_sql.ECertificateRow,
                {"id": operation.ecertificate_id},
                {"archive_due_at": version.due_at},
            )

    def let_go(self, connection: Connection, operation: Operation) -> None:
        version = archive_sql.version_of(connection, operation)
        if version is not None:
            archive_sql.delete_version(connection, version)
        operations_sql.delete_operation(connection, operation.operation_id)


def _parts(connection: Connection, documents: Documents, ecertificate_id: int, number: int) -> list[bytes]:
    """The issued file and the first `number` updates."""
    kinds = [archive_sql.update_kind(each) for each in range(1, number + 1)]
    updates = [ecertificates_sql.get_document(connection, ecertificate_id, kind) for kind in kinds]
    return [documents.get(connection, ecertificate_id, DocumentKind.ISSUED), *updates]


def _without(found: DocumentEvidence, held: DocumentEvidence) -> DocumentEvidence:
    """The parts of `found` that are not in `held`."""
    return DocumentEvidence(
        tuple(der for der in found.certs if der not in held.certs),
        tuple(der for der in found.ocsps if der not in held.ocsps),
        tuple(der for der in found.crls if der not in held.crls),
    )


def _stamp(data: bytes, head: bytes, tail: bytes, tsa: TimeStamper) -> bytes:
    algorithm = Suite(tsa.suite).digest
    token = tsa.stamp(digest(algorithm, data, head, tail), algorithm)
    digits = token.hex().upper().encode("ascii")
    if len(digits) > CONTENTS_HEX_DIGITS:
        raise Conflict("The time-stamp does not fit into the room reserved.", code="NO_ROOM")
    return b"".join((head, b"<", digits.ljust(CONTENTS_HEX_DIGITS, b"0"), b">", tail))


def _checked_gap(data: bytes, update: bytes) -> SignedGap:
    """The gap of the new version, read back. Raises if the written version cannot be read, so that it is not stored."""
    whole = data + update
    read_version(whole, open_pdf(whole))
    return check_gaps(whole)[-1]


def _digests(gap: SignedGap) -> DocumentDigests:
    return DocumentDigests(digest("sha256", *gap.signed), digest("sm3", *gap.signed), sha256(gap.cms))


def _split(salts: bytes) -> tuple[bytes, ...]:
    return tuple(salts[at : at + SALT_BYTES] for at in range(0, len(salts), SALT_BYTES))


def _next_due(stamped_at: datetime, suite: Suite, tsa_cert: bytes) -> datetime:
    ends = [stamped_at + AGAIN_AFTER, read_x509_cert(tsa_cert).not_after - _BEFORE_CERT_ENDS]
    if suite in ALGORITHM_ENDS:
        ends.append(ALGORITHM_ENDS[suite] - _BEFORE_ALGORITHM_ENDS)
    # Never sooner than a day, so that no version after version is made if the authority's certificate is about to end.
    return max(min(ends), stamped_at + FIRST_ARCHIVED_AFTER)


def _issued_version(row: ecertificates_sql.ECertificateRow) -> ArchivedVersion:
    return ArchivedVersion(0, "PAdES-B-T", bytes(row.issued_sha256 or b""), None, None, None, row.entry_seq)


def _later_version(row: archive_sql.LaterVersionRow, parent_sha256: bytes) -> ArchivedVersion:
    return ArchivedVersion(
        row.number,
        "PAdES-B-LTA",
        bytes(row.sha256),
        parent_sha256,
        tables.from_micros(row.stamped_at),
        tables.from_micros(row.due_at),
        row.entry_seq,
    )
