"""The OCSP responder of our own CAs: answers from the register, signed by delegated responders.

A responder's key and certificate are made on the first request for its CA. Clients do not check whether a responder is
revoked (id-pkix-ocsp-nocheck), so its certificate is short-lived and renewed in time, for the same key.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy.engine import Connection

from issuer.pki import sql
from issuer.pki.pki import ORGANISATION
from keys.custody import KeyProvider, KeyPurpose
from keys.pki.build import Profile, Subject, make_x509_cert
from keys.pki.ocsp import GOOD, UNKNOWN, CertStatus, Responder, Revoked, make_request, read_request, refusal
from keys.pki.read import read_x509_cert
from keys.suites import Suite
from trust.model.clock import Clock
from trust.model.errors import Malformed, NotFound, OperationalError
from trust.storage import tables
from trust.storage.sql import Database

_log = logging.getLogger("yinzheng.ocsp")
_CLOCK_SKEW = timedelta(minutes=1)
_RESPONDER_TERM, _RENEWED_BEFORE = timedelta(days=30), timedelta(days=10)
ANSWER_TERM = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Ocsp:
    """Answers OCSP requests about certificates of our CAs."""

    database: Database
    clock: Clock
    keys: KeyProvider
    certs_under: Callable[[Connection, str], Collection[bytes]]
    """Returns every certificate (DER) that one of our CAs issued, whatever its state."""

    def answer(self, ca_id: str, request: bytes) -> bytes:
        """The answer to an OCSPRequest (DER in and out). Raises `NotFound` for a CA that is not ours.

        An unreadable request is answered with malformedRequest; if a key or the database is unavailable, the answer is
        tryLater.
        """
        at = self.clock.now()
        with self.database.read() as connection:
            ca = tables.one_row(connection, sql.CaRow, id=ca_id)
        if ca is None or not Profile(ca.kind).is_ca:
            raise NotFound("There is no such certification authority.", "The certificates name them.")
        try:
            asked = read_request(request)
        except Malformed:
            return refusal("malformed_request")
        try:
            responder = self._responder(ca, at)
            with self.database.read() as connection:
                issued = {_serial_of(cert) for cert in self.certs_under(connection, ca_id)}
                revoked = {
                    int(row.serial): tables.from_micros(row.revoked_at)
                    for row in tables.all_rows(connection, sql.RevokedCertRow, ca_id=ca_id)
                }

            def status_of(serial: int) -> CertStatus:
                if serial in revoked:
                    return Revoked(revoked[serial])
                return GOOD if serial in issued else UNKNOWN

            return responder.respond(asked, status_of, at=at, next_update=at + ANSWER_TERM)
        except OperationalError as exc:
            _log.error("an OCSP request could not be answered", extra={"code": exc.code})
            return refusal("try_later")

    def evidence(self, cert: bytes, issuer: bytes) -> tuple[bytes, bytes] | None:
        """The OCSP answer about a certificate of one of our CAs, and the responder's certificate.

        All are DER. None if `issuer` is not one of our CAs. Raises `KeyUnavailable`.
        """
        at = self.clock.now()
        with self.database.read() as connection:
            ca = next(
                (row for row in tables.all_rows(connection, sql.CaRow) if bytes(row.cert) == issuer), None
            )
        if ca is None:
            return None
        # This digest only identifies the certificate and is not signed. All validators support SHA-256, few SM3.
        answer = self.answer(ca.id, make_request([cert], issuer, nonce=None, algorithm="sha256"))
        return answer, self._responder(ca, at).cert

    def _responder(self, ca: sql.CaRow, at: datetime) -> Responder:
        keys = self.keys
        with self.database.read() as connection:
            row = tables.one_row(connection, sql.OcspResponderRow, ca_id=ca.id)
        # A certificate that ends later than a term from now was made while the clock was ahead, and is not valid yet.
        if (
            row is None
            or not _RENEWED_BEFORE <= tables.from_micros(row.not_after) - at <= _RESPONDER_TERM + _CLOCK_SKEW
        ):
            row = self._make_responder(ca, row, at)
        return Responder(keys.open(row.key_id, KeyPurpose.OCSP), bytes(row.cert), bytes(ca.cert))

    def _make_responder(
        self, ca: sql.CaRow, old: sql.OcspResponderRow | None, at: datetime
    ) -> sql.OcspResponderRow:
        # Open the CA's key first, so that no unused responder's key is left behind whenever it is unavailable.
        purpose = KeyPurpose.ROOT_CA if ca.kind == Profile.ROOT.value else KeyPurpose.ISSUING_CA
        ca_key = self.keys.open(ca.key_id, purpose)
        # P-256 under the RSA tree, because the same verifiers support it and it signs twenty times as fast.
        suite = Suite.SM2_SM3 if Suite(ca.suite) is Suite.SM2_SM3 else Suite.P256_SHA256
        if old is None:
            record = self.keys.generate(KeyPurpose.OCSP, suite, label=f"ocsp-{ca.id}", at=at)
            key_id, public_key = record.key_id, record.public_key
        else:
            key_id = old.key_id
            public_key = self.keys.open(key_id, KeyPurpose.OCSP).record.public_key
        not_after = (at + _RESPONDER_TERM).replace(microsecond=0)
        cert = make_x509_cert(
            Profile.OCSP,
            Subject(f"OCSP {ca.id}", ORGANISATION),
            public_key,
            ca_key,
            bytes(ca.cert),
            not_before=at - timedelta(minutes=5),
            not_after=not_after,
            crl_address=None,
        )
        row = sql.OcspResponderRow(
            ca_id=ca.id, key_id=key_id, cert=cert, not_after=tables.to_micros(not_after)
        )
        with self.database.write() as connection:
            tables.serialise(connection, "ocsp responder")
            known = tables.one_row(connection, sql.OcspResponderRow, ca_id=ca.id)
            if known is not None and (old is None or bytes(known.cert) != bytes(old.cert)):
                return known  # another process made one first
            tables.delete(connection, sql.OcspResponderRow, {"ca_id": ca.id})
            tables.insert(connection, row)
        return row


@lru_cache(maxsize=4096)
def _serial_of(cert: bytes) -> int:
    return read_x509_cert(cert).serial
