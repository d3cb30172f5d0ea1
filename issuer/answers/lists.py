"""The lists that this deployment signs, and signatures on its reports."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from issuer.pki.pki import Pki
from issuer.publishing import sql
from issuer.publishing.publishing import Publishing
from keys.custody import KeyProvider, KeyPurpose
from keys.service_keys import ServiceKeys
from trust.encoding import cose, jws
from trust.encoding.digests import sha256
from trust.encoding.report import REPORT_TYP
from trust.storage import tables
from trust.storage.sql import Database


@dataclass(frozen=True, slots=True)
class PublishedLists:
    """`verifier.ports.Lists` of this deployment."""

    publishing: Publishing
    pki: Pki
    database: Database

    def together(self) -> AbstractContextManager[None]:
        return self.database.snapshot()

    def newest(self, at: datetime) -> bytes:
        return self.publishing.trust_list(at)

    def numbered(self, seq: int) -> bytes | None:
        with self.database.read() as connection:
            row = tables.one_row(connection, sql.TrustListRow, seq=seq)
        return bytes(row.compact) if row is not None else None

    def roots(self) -> Sequence[bytes]:
        return self.publishing.roots()

    def crls(self, at: datetime) -> Sequence[bytes]:
        return [der for _, der, _ in self.pki.known_crls(at)]


@dataclass(frozen=True, slots=True)
class ReportSigning:
    """`verifier.ports.ReportSigner` with this deployment's key for reports."""

    keys: KeyProvider
    service_keys: ServiceKeys

    def sign(self, payload: bytes) -> bytes:
        row = self.service_keys.active("report")
        key = self.keys.open(row.key_id, KeyPurpose.REPORT)
        signed = jws.signing_input(payload, REPORT_TYP, sha256(bytes(row.spki)))
        return jws.compact(signed, cose.raw_signature(row.suite, key.sign(signed)))
