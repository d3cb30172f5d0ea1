"""E-seals: made for an authority, used on documents, frozen, unfrozen, revoked.

    ACTIVE ⇄ FROZEN        ACTIVE, FROZEN → REVOKED (final)

A seal is a key with its X.509 certificate and a picture. Only an ACTIVE seal inside its term seals. What it
sealed before stays valid: the time-stamp says when it was used. A revoked seal's certificate goes on its
CA's revocation list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from issuer import sql
from issuer.artwork import round_seal, seal_data_png, seal_pdf
from issuer.authorities import Authorities, family_of
from issuer.seal_data import SealType, make_seal_data
from issuer.sealing.pdf import SealInUse
from keys.custody import KeyPurpose
from keys.pki.build import Profile, Subject, make_x509_cert
from keys.pki.read import read_x509_cert
from keys.suites import Suite
from trust.encoding.ses import SealPictureData
from trust.model.errors import Conflict, Malformed, NotFound

_SEAL_YEARS = 5
_SEAL_ID = re.compile(r"^[a-z0-9][a-z0-9-]{0,62}$")


class SealState(StrEnum):
    ACTIVE = "active"
    FROZEN = "frozen"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class ESeal:
    """电子印章. `cert` is DER; `picture_svg` is the artwork; `seal_data` the SESeal (DER)."""

    seal_id: str
    authority_id: str
    name: str
    second_line: str
    suite: Suite
    state: SealState
    state_since: datetime
    not_before: datetime
    not_after: datetime
    cert: bytes
    picture_svg: str
    picture_pdf: bytes
    width_mm: float
    seal_data: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class Seals:
    """Use cases on seals."""

    authorities: Authorities

    def make(
        self,
        seal_id: str,
        authority_id: str,
        suite: Suite,
        *,
        second_line: str = "",
        diameter_mm: float = 42.0,
    ) -> ESeal:
        """Makes a seal with a fresh key. The same request again gives the seal that is there."""
        if not _SEAL_ID.match(seal_id):
            raise Malformed("A seal's id is 1 to 63 of a-z, 0-9 and hyphens.", "Choose another id.")
        if suite is Suite.ED25519:
            raise Malformed(
                "Ed25519 keys do not seal documents.", "Choose SM2-SM3, RSA3072-SHA256 or P256-SHA256."
            )
        authority = self.authorities.get(authority_id)
        known = self._find(seal_id)
        if known is not None:
            if (known.authority_id, known.suite, known.second_line) == (authority_id, suite, second_line):
                return known
            raise Conflict(f"The id {seal_id} belongs to another seal.", "Choose another id.")
        picture = round_seal(authority.name_zh, second_line, diameter_mm=diameter_mm)
        at = self.authorities.clock.now()
        ca = self.authorities.issuing_ca(suite)
        record = self.authorities.keys.generate(KeyPurpose.SEAL, suite, label=seal_id, at=at)
        common_name = authority.name_zh + (f"（{second_line}）" if second_line else "")
        not_before, not_after = at - timedelta(minutes=5), at + timedelta(days=365 * _SEAL_YEARS)
        cert = make_x509_cert(
            Profile.SEAL,
            Subject(_fitting(common_name), _fitting(authority.name_zh)),
            record.public_key,
            self.authorities.keys.open(ca.key_id, KeyPurpose.ISSUING_CA),
            bytes(ca.cert),
            not_before=not_before,
            not_after=not_after,
            crl_address=f"{self.authorities.base_url}/crl/{ca.id}.crl",
        )
        maker_key, maker_cert = self.authorities.seal_maker(suite)
        seal_data = make_seal_data(
            seal_id,
            SealType.BUSINESS if second_line else SealType.LEGAL_NAME,
            common_name,
            seal_cert=cert,
            picture=SealPictureData(
                "PNG", seal_data_png(picture), round(picture.width_mm), round(picture.height_mm)
            ),
            made_at=at,
            valid_from=not_before,
            valid_until=not_after,
            maker_key=maker_key,
            maker_cert=maker_cert,
        )
        row = sql.SealRow(
            id=seal_id,
            authority_id=authority_id,
            name=common_name,
            second_line=second_line,
            suite=suite.value,
            key_id=record.key_id,
            ca_id=ca.id,
            cert=cert,
            picture_svg=picture.svg,
            picture_pdf=seal_pdf(picture),
            width_mm=picture.width_mm,
            seal_data=seal_data,
            state=SealState.ACTIVE.value,
            state_since=sql.to_micros(at),
            not_before=sql.to_micros(not_before.replace(microsecond=0)),
            not_after=sql.to_micros(not_after.replace(microsecond=0)),
        )
        with self.authorities.database.write() as connection:
            sql.insert(connection, row)
        return self.get(seal_id)

    def list(self) -> list[ESeal]:
        with self.authorities.database.read() as connection:
            return [_seal(row) for row in sql.all_rows(connection, sql.SealRow)]

    def get(self, seal_id: str) -> ESeal:
        seal = self._find(seal_id)
        if seal is None:
            raise NotFound(
                f"There is no seal {seal_id}.", "List them with `yinzheng seal list`.", code="UNKNOWN_SEAL"
            )
        return seal

    def for_authority(self, authority_id: str) -> ESeal:
        """What is used where a request names no seal: the authority's first active one, SM2 before others."""
        active = [s for s in self.list() if s.authority_id == authority_id and s.state is SealState.ACTIVE]
        if not active:
            raise NotFound(
                f"The authority {authority_id} has no active seal.",
                "Make one with `yinzheng seal make`.",
                code="UNKNOWN_SEAL",
            )
        return min(active, key=lambda seal: (seal.suite is not Suite.SM2_SM3, seal.not_before, seal.seal_id))

    def check_usable(self, seal: ESeal, authority_id: str, at: datetime) -> None:
        """Raises `Conflict` unless this authority may seal with it now."""
        if seal.authority_id != authority_id:
            raise Conflict(
                f"The seal {seal.seal_id} belongs to another authority.", "Use the authority's own."
            )
        if seal.state is not SealState.ACTIVE:
            raise Conflict(
                f"The seal {seal.seal_id} is {seal.state.value}.",
                "Use an active seal.",
                code="SEAL_NOT_USABLE",
            )
        if not seal.not_before <= at <= seal.not_after:
            raise Conflict(
                f"The seal {seal.seal_id} is outside its term.", "Make a new seal.", code="SEAL_NOT_USABLE"
            )

    def open(self, seal: ESeal) -> SealInUse:
        """The seal ready for use. Raises `KeyUnavailable`."""
        ca = self.authorities.issuing_ca(seal.suite)
        key = self.authorities.keys.open(seal.key_id, KeyPurpose.SEAL)
        return SealInUse(key, (seal.cert, bytes(ca.cert)), seal.picture_pdf, seal.seal_data)

    def freeze(self, seal_id: str) -> ESeal:
        return self._change(seal_id, {SealState.ACTIVE}, SealState.FROZEN)

    def unfreeze(self, seal_id: str) -> ESeal:
        return self._change(seal_id, {SealState.FROZEN}, SealState.ACTIVE)

    def revoke(self, seal_id: str) -> ESeal:
        return self._change(seal_id, {SealState.ACTIVE, SealState.FROZEN}, SealState.REVOKED)

    def _change(self, seal_id: str, before: set[SealState], after: SealState) -> ESeal:
        at = sql.to_micros(self.authorities.clock.now())
        seal = self.get(seal_id)
        if seal.state not in before:
            raise Conflict(f"The seal {seal_id} is {seal.state.value} and cannot become {after.value}.")
        with self.authorities.database.write() as connection:
            changed = sql.update(
                connection,
                sql.SealRow,
                {"id": seal_id, "state": seal.state.value},
                {"state": after.value, "state_since": at},
            )
            if changed != 1:
                raise Conflict(f"The seal {seal_id} is being changed by somebody else.", "Try again.")
            if after is SealState.REVOKED:
                serial = str(read_x509_cert(seal.cert).serial)
                ca_id = f"seal-ca-{family_of(seal.suite)}"
                sql.insert(connection, sql.RevokedCertRow(ca_id=ca_id, serial=serial, revoked_at=at))
        return self.get(seal_id)

    def _find(self, seal_id: str) -> ESeal | None:
        with self.authorities.database.read() as connection:
            row = sql.one_row(connection, sql.SealRow, id=seal_id)
        return _seal(row) if row is not None else None


def _fitting(name: str) -> str:
    """A name attribute of X.509 holds 64 (RFC 5280, Appendix A); libraries count bytes. The trust list has all."""
    while len(name.encode()) > 64:
        name = name.removesuffix("…")[:-1] + "…"
    return name


def _seal(row: sql.SealRow) -> ESeal:
    return ESeal(
        seal_id=row.id,
        authority_id=row.authority_id,
        name=row.name,
        second_line=row.second_line,
        suite=Suite(row.suite),
        state=SealState(row.state),
        state_since=sql.from_micros(row.state_since),
        not_before=sql.from_micros(row.not_before),
        not_after=sql.from_micros(row.not_after),
        cert=bytes(row.cert),
        picture_svg=row.picture_svg,
        picture_pdf=bytes(row.picture_pdf),
        width_mm=row.width_mm,
        seal_data=bytes(row.seal_data),
        key_id=row.key_id,
    )
