"""Making a seal: its key, its certificate (of our own CA, or from outside), its picture and its seal data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from issuer.authorities.register import Authorities
from issuer.pki.identities import SealIdentity
from issuer.pki.pki import Pki
from issuer.seals import sql as seals_sql
from issuer.seals.artwork import SealPicture, draw_seal, seal_data_png, seal_pdf
from issuer.seals.data import SealType, make_seal_data
from keys.custody import KeyProvider, KeyPurpose
from keys.pki.build import Profile, Subject, make_x509_cert
from keys.suites import Suite
from trust.encoding.ses import SealPictureData
from trust.model.clock import Clock
from trust.model.errors import Conflict
from trust.model.seal import (
    SealShape,
    seal_code,
)
from trust.storage import tables
from trust.storage.sql import Database

_SEAL_YEARS = 5
_BACK = timedelta(minutes=5)
"""A seal's term begins this much before it is made, because clocks differ."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """The key of a seal that is being made, with its certificate (DER) and the origin of that."""

    key_id: str
    cert: bytes
    not_before: datetime
    not_after: datetime
    ca_id: str | None = None
    identity_id: str | None = None


@dataclass(frozen=True, slots=True)
class SealMaking:
    """Makes keys, certificates, pictures and seal data for `Seals`."""

    database: Database
    clock: Clock
    keys: KeyProvider
    authorities: Authorities
    pki: Pki

    def with_fresh_key(self, row: seals_sql.SealRow) -> Keyed:
        """Makes a key, and a certificate of our own CA for it."""
        suite = Suite(row.suite)
        authority = self.authorities.get(row.authority_id)
        at = self.clock.now()
        ca = self.pki.issuing_ca(suite)
        key = self.keys.generate(KeyPurpose.SEAL, suite, label=row.id, at=at)
        not_before, not_after = at - _BACK, at + timedelta(days=365 * _SEAL_YEARS)
        cert = make_x509_cert(
            Profile.SEAL,
            Subject(_fitting(row.name), _fitting(authority.name_zh)),
            key.public_key,
            self.keys.open(ca.key_id, KeyPurpose.ISSUING_CA),
            bytes(ca.cert),
            not_before=not_before,
            not_after=not_after,
            crl_address=self.pki.crl_address(ca.id),
            ocsp_address=self.pki.ocsp_address(ca.id),
        )
        return Keyed(key.key_id, cert, not_before, not_after, ca_id=ca.id)

    def with_identity(self, row: seals_sql.SealRow, identity: SealIdentity) -> Keyed:
        """The key and certificate of an identity from outside; the term begins now and ends with the certificate."""
        at = self.clock.now()
        if identity.suite is not Suite(row.suite):
            raise Conflict(
                f"The seal {row.id} was applied for in {row.suite}, and the certificate is for "
                f"{identity.suite.value}.",
                "Choose a certificate of the seal's suite.",
                code="IDENTITY_SUITE",
            )
        if not identity.not_before <= at <= identity.not_after:
            raise Conflict(
                f"The certificate {identity.identity_id} is outside its term.",
                "Ask the CA for a new one.",
                code="IDENTITY_TERM",
            )
        if identity.revoked_at is not None:
            raise Conflict(
                f"The certificate {identity.identity_id} was revoked by its CA.",
                "Ask the CA for a new one.",
                code="IDENTITY_REVOKED",
            )
        with self.database.read() as connection:
            other = tables.one_row(connection, seals_sql.SealRow, identity_id=identity.identity_id)
        if other is not None and other.id != row.id:
            raise identity_in_use(identity.identity_id)
        self.keys.open(identity.key_id, KeyPurpose.SEAL)  # raises now if the key is missing
        return Keyed(
            identity.key_id,
            identity.certs[0],
            max(identity.not_before, at - _BACK),
            identity.not_after,
            identity_id=identity.identity_id,
        )

    def made(self, row: seals_sql.SealRow, keyed: Keyed) -> dict[str, Any]:
        """The values that making a seal adds to its row."""
        picture = self.picture(row)
        at = self.clock.now()
        maker_key, maker_cert = self.pki.seal_maker(Suite(row.suite))
        seal_data = make_seal_data(
            row.id,
            _seal_type(SealShape(row.shape), row.second_line),
            row.name,
            seal_cert=keyed.cert,
            picture=SealPictureData(
                "PNG", seal_data_png(picture), round(picture.width_mm), round(picture.height_mm)
            ),
            made_at=at,
            valid_from=keyed.not_before,
            valid_until=keyed.not_after,
            maker_key=maker_key,
            maker_cert=maker_cert,
        )
        return {
            "key_id": keyed.key_id,
            "ca_id": keyed.ca_id,
            "identity_id": keyed.identity_id,
            "cert": keyed.cert,
            "picture_svg": picture.svg,
            "picture_pdf": seal_pdf(picture),
            "seal_data": seal_data,
            "not_before": tables.to_micros(keyed.not_before.replace(microsecond=0)),
            "not_after": tables.to_micros(keyed.not_after.replace(microsecond=0)),
        }

    def picture(self, row: seals_sql.SealRow) -> SealPicture:
        shape = SealShape(row.shape)
        authority = self.authorities.get(row.authority_id)
        return draw_seal(
            shape,
            row.name if shape is SealShape.SQUARE else authority.name_zh,
            row.second_line,
            width_mm=row.width_mm,
            code=seal_code(authority.uscc, row.id),
            artwork=bytes(row.artwork) if row.artwork is not None else None,
        )


def identity_in_use(identity_id: str) -> Conflict:
    return Conflict(
        f"The certificate {identity_id} belongs to another seal.",
        "Each seal needs a certificate of its own: by it verifiers tell seals apart.",
        code="IDENTITY_IN_USE",
    )


def _seal_type(shape: SealShape, second_line: str) -> SealType:
    if shape is SealShape.SQUARE:
        return SealType.PERSONAL
    known = {"财务专用章": SealType.FINANCE, "发票专用章": SealType.INVOICE, "合同专用章": SealType.CONTRACT}
    return known.get(second_line, SealType.BUSINESS if second_line else SealType.LEGAL_NAME)


def _fitting(name: str) -> str:
    """The name cut to 64, the limit of a name attribute of X.509 (RFC 5280, Appendix A), which libraries count in
    bytes. The trust list has the full name."""
    while len(name.encode()) > 64:
        name = name.removesuffix("…")[:-1] + "…"
    return name
