"""Filing reports: each gets a code, a signature, and the evidence that reproduces its result.

    report        the JSON that callers get, signed as compact JWS (typ "ecert-report+jwt") by the service's report key
    report code   12 characters, "7K3M-9QTD-2F5X", to look up a printed report at /r/<code>
    filed         what anyone may see there: time, kind of object, its digest, the verdict; no fields, no names
    evidence      trust list, revocation lists and answers of the register as they were (`KeptEvidence`)

A report that cannot be filed is still returned, without a code: a live code works only once, and a counter must get its
verdict. Checks of live codes cannot be repeated, because they showed the register as it was at that moment.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from trust.encoding.digests import sha256
from trust.encoding.kept_evidence import KeptEvidence, decode_kept_evidence, encode_kept_evidence
from trust.encoding.report import encode_payload
from trust.encoding.trust_list import TrustList
from trust.model.clock import Clock, Entropy
from trust.model.errors import EvidenceUnavailableError, NotFound, OperationalError
from trust.model.report import Report
from trust.sandbox.lanes import Lane
from trust.storage import tables
from trust.storage.sql import Database
from verifier.evidence.evidence import Evidence
from verifier.evidence.recording import Recorder, replay
from verifier.evidence.trust_list import check_trust_list
from verifier.ports import Lists, ReportSigner
from verifier.reports import sql
from verifier.reports.sql import FiledReportRow

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_LENGTH = 12
_KEPT = {
    Lane.PUBLIC: timedelta(days=90),
    Lane.COUNTER: timedelta(days=3 * 365),
    Lane.MACHINE: timedelta(days=3 * 365),
}
_MOST_KNOWN = 4096
_NOT_REPEATABLE = frozenset({"live-code"})
_log = logging.getLogger("yinzheng.reports")


@dataclass(frozen=True, slots=True)
class FiledReport:
    """What is filed under a report code. `input_sha256` is None after the e-certificate was erased."""

    code: str
    verified_at: datetime
    kind: str
    verdict: str
    headline: str
    input_sha256: bytes | None
    payload_sha256: bytes
    is_repeatable: bool
    kept_until: datetime


@dataclass(frozen=True, slots=True)
class Repeated:
    """A check repeated with the recorded evidence. `is_same`: the report equals the filed one byte for byte."""

    report: Report
    is_same: bool


class Reporting:
    """The use cases on reports."""

    def __init__(
        self,
        database: Database,
        signer: ReportSigner,
        lists: Lists,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._database = database
        self._signer = signer
        self._lists = lists
        self._clock = clock
        self._entropy = entropy
        self._kept: set[bytes] = set()

    def file(
        self,
        report: Report,
        value: Mapping[str, Any],
        given: bytes | str,
        recorder: Recorder,
        *,
        lane: Lane,
        pid: bytes | None,
    ) -> dict[str, Any]:
        """`value` (the report's JSON) with `report_code` and `report_seal`, filed under the code.

        `pid` is the e-certificate's public id if the object is what was sealed. The report on an object that could not
        be read is not filed.
        """
        plain = {**value, "report_code": None, "report_seal": None}
        if not report.was_read:
            return plain
        try:
            return self._file(report, plain, given, recorder, lane, pid)
        except (OperationalError, SQLAlchemyError) as exc:
            _log.error("a report was not filed", extra={"code": getattr(exc, "code", "STORAGE_FAILED")})
            return plain

    def _file(
        self,
        report: Report,
        plain: dict[str, Any],
        given: bytes | str,
        recorder: Recorder,
        lane: Lane,
        pid: bytes | None,
    ) -> dict[str, Any]:
        code = self._new_code()
        payload = encode_payload({**plain, "report_code": show_code(code)})
        sealed = self._signer.sign(payload)
        kept = recorder.kept() if report.kind not in _NOT_REPEATABLE else None
        evidence = encode_kept_evidence(kept) if kept is not None else None
        row = FiledReportRow(
            code=code,
            at=tables.to_micros(report.verified_at),
            kind=report.kind,
            verdict=report.verdict.value,
            headline=report.code,
            input_sha256=sha256(given.encode() if isinstance(given, str) else given),
            payload_sha256=sha256(payload),
            evidence=evidence,
            pid=pid,
            kept_until=tables.to_micros(report.verified_at + _KEPT[lane]),
        )
        lists = {sha256(each): each for each in recorder.lists()} if kept is not None else {}
        # They are never deleted, so what this process has stored need not be offered again with every report.
        missing = [digest for digest in lists if digest not in self._kept]
        with self._database.write() as connection:
            for digest in missing:
                sql.keep_list(connection, digest, lists[digest])
            tables.insert(connection, row)
        self._kept = {*(self._kept if len(self._kept) < _MOST_KNOWN else ()), *missing}
        value: dict[str, Any] = json.loads(payload)
        return value | {"report_seal": sealed.decode()}

    def find(self, code: str) -> FiledReport:
        """The report filed under a code, as people write it. Raises `NotFound`."""
        row = self._row(code)
        return FiledReport(
            code=show_code(row.code),
            verified_at=tables.from_micros(row.at),
            kind=row.kind,
            verdict=row.verdict,
            headline=row.headline,
            input_sha256=bytes(row.input_sha256) if row.input_sha256 is not None else None,
            payload_sha256=bytes(row.payload_sha256),
            is_repeatable=row.evidence is not None,
            kept_until=tables.from_micros(row.kept_until),
        )

    def evidence_of(self, code: str) -> Evidence:
        """The recorded evidence. Raises `NotFound`, and `EvidenceUnavailableError` if it is not stored."""
        row = self._row(code)
        if row.evidence is None:
            raise EvidenceUnavailableError(
                "The evidence of this report is not kept.",
                "Live codes are not judged again; what belonged to an erased e-certificate is gone.",
                code="NOT_REPEATABLE",
            )
        kept = decode_kept_evidence(bytes(row.evidence))
        listed = self._lists.numbered(kept.trust_list) if kept.trust_list is not None else None
        with self._database.read() as connection:
            crls = [sql.kept_list(connection, digest) for digest in kept.crls]
            wanted = kept.member.trust_list if kept.member is not None else None
            members = sql.kept_list(connection, wanted) if wanted is not None else None
        missing = (listed is None and kept.trust_list is not None) or (members is None and wanted is not None)
        if missing or None in crls:
            raise EvidenceUnavailableError(
                "A list of then is missing.", "Restore it from a backup.", code="NOT_REPEATABLE"
            )
        roots = self._lists.roots()
        trust_list = check_trust_list(listed, roots) if listed is not None else None
        lists = [crl for crl in crls if crl is not None]
        return replay(kept, trust_list, lists, _list_of_member(kept, trust_list, members))

    def prune(self) -> None:
        """Removes reports and lists that need not be kept any longer."""
        with self._database.write() as connection:
            sql.prune_reports(connection, tables.to_micros(self._clock.now()))

    def _row(self, code: str) -> FiledReportRow:
        with self._database.read() as connection:
            row = tables.one_row(connection, FiledReportRow, code=read_code(code))
        if row is None:
            raise NotFound("There is no report under this code.", "Compare it with the report.")
        return row

    def _new_code(self) -> str:
        number = int.from_bytes(self._entropy.bytes(8))
        return "".join(_ALPHABET[number >> (5 * place) & 31] for place in range(_CODE_LENGTH))


def _list_of_member(
    kept: KeptEvidence, trust_list: TrustList | None, compact: bytes | None
) -> TrustList | None:
    if kept.member is None or compact is None or trust_list is None:
        return None
    entry = next(each for each in trust_list.members if each.member_id == kept.member.member_id)
    return check_trust_list(compact, entry.roots)


def show_code(code: str) -> str:
    """The code in groups of four, as it is displayed."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))


def read_code(text: str) -> str:
    """Normalises a typed code: any case, with or without hyphens, I, L and O read as 1, 1 and 0.

    Raises `NotFound` if it cannot be a code.
    """
    code = text.upper().replace("-", "").replace(" ", "").translate(str.maketrans("ILO", "110"))
    if len(code) != _CODE_LENGTH or not set(code) <= set(_ALPHABET):
        raise NotFound("This is not a report code.", "It has twelve letters and digits.")
    return code
