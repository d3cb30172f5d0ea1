"""The service's own certification authorities and time-stamp authorities.

For each family of algorithms there are two separate trees. Seals are under a root and an issuing CA; the time-stamp
authority is under its own root, so that no seal key can ever certify a time.

    seal root ── issuing CA ── seals                time-stamp root ── time-stamp authority
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from issuer.authorities.register import Authorities
from issuer.pki import sql
from issuer.pki.identities import list_identities
from issuer.pki.outside_tsas import list_outside_tsas
from keys.custody import KeyProvider, KeyPurpose, SigningKey
from keys.outside_tsa import OutsideTsa, Rests, TimeStampOrder
from keys.pki.build import Profile, RevokedSerial, Subject, make_crl, make_x509_cert
from keys.service_keys import LEDGER_KEYS, ServiceKeys
from keys.suites import Suite
from keys.tsa import TimeStampAuthority, TimeStamper
from trust.audit.trail import Act
from trust.encoding.trust_list import TrustState
from trust.model.actor import Actor, Permission
from trust.model.clock import Clock
from trust.model.errors import ClockDoubted, KeyUnavailable
from trust.storage import tables
from trust.storage.sql import Database

PKI_FAMILIES = (Suite.SM2_SM3, Suite.RSA3072_SHA256)
"""The family of each suite. P-256 is in the RSA family, because the same verifiers support both."""

_ROOT_YEARS, _CA_YEARS, _TSA_YEARS = 20, 15, 10
_CRL_TERM = timedelta(days=7)
_CRL_REFRESH = timedelta(hours=12)
_CLOCK_SKEW = timedelta(minutes=1)
ORGANISATION = "印证电子证照信任服务"


def family_of(suite: Suite) -> Suite:
    return Suite.SM2_SM3 if suite is Suite.SM2_SM3 else Suite.RSA3072_SHA256


def generation_of(ca_id: str) -> int:
    """1 for `tsa-SM2-SM3`, 2 for `tsa-SM2-SM3.2`."""
    return int(ca_id.partition(".")[2] or 1)


ROLES = {
    "tsa": (Profile.TIME_STAMP, "tsa-root", "时间戳服务", _TSA_YEARS),
    "seal-maker": (Profile.SEAL_MAKER, "seal-root", "电子印章制章者", _CA_YEARS),
    "seal-ca": (Profile.ISSUING, "seal-root", "电子印章签发CA", _CA_YEARS),
}
"""The roles that can be rotated: profile of the certificate, the CA above, name, years."""


@dataclass(frozen=True, slots=True)
class Pki:
    """Use cases on certification authorities and time-stamp authorities."""

    database: Database
    keys: KeyProvider
    clock: Clock
    base_url: str
    service_keys: ServiceKeys
    authorities: Authorities
    time_stamps: Sequence[OutsideTsa | None] = (None,)
    """The configured time-stamp authorities, in order of preference; None is our own."""
    rests: Rests = field(default_factory=Rests, repr=False)

    # --- set-up ---

    def set_up(self) -> None:
        """Makes missing CAs, time-stamp authorities and service keys. Idempotent."""
        at = self.clock.now()
        for family in PKI_FAMILIES:
            self._ensure_tree(family, at)
        for use, purpose, suite in (
            ("trust-root", KeyPurpose.TRUST_LIST, Suite.P256_SHA256),
            ("trust-root-next", KeyPurpose.TRUST_LIST, Suite.P256_SHA256),
            ("present", KeyPurpose.PRESENTATION, Suite.P256_SHA256),
            ("status", KeyPurpose.STATUS_LIST, Suite.P256_SHA256),
            ("report", KeyPurpose.REPORT, Suite.P256_SHA256),
            *((use, KeyPurpose.CHECKPOINT, suite) for use, suite in LEDGER_KEYS.items()),
        ):
            self.service_keys.ensure(use, purpose, suite)

    def set_up_later_keys(self) -> None:
        """Makes the service keys that were added after the first versions, without which an upgraded folder cannot
        sign reports."""
        self.service_keys.ensure("report", KeyPurpose.REPORT, Suite.P256_SHA256)

    def _ensure_tree(self, family: Suite, at: datetime) -> None:
        name = family.value.split("-")[0]
        self._ensure_ca(
            f"seal-root-{family}", Profile.ROOT, None, family, f"{name} 电子印章根CA", _ROOT_YEARS, at
        )
        self._ensure_ca(
            f"seal-ca-{family}",
            Profile.ISSUING,
            f"seal-root-{family}",
            family,
            f"{name} 电子印章签发CA",
            _CA_YEARS,
            at,
        )
        self._ensure_ca(
            f"seal-maker-{family}",
            Profile.SEAL_MAKER,
            f"seal-root-{family}",
            family,
            f"{name} 电子印章制章者",
            _CA_YEARS,
            at,
        )
        self._ensure_ca(
            f"tsa-root-{family}", Profile.ROOT, None, family, f"{name} 时间戳根CA", _ROOT_YEARS, at
        )
        self._ensure_ca(
            f"tsa-{family}",
            Profile.TIME_STAMP,
            f"tsa-root-{family}",
            family,
            f"{name} 时间戳服务",
            _TSA_YEARS,
            at,
        )

    def _ensure_ca(
        self,
        ca_id: str,
        profile: Profile,
        parent: str | None,
        suite: Suite,
        name: str,
        years: int,
        at: datetime,
    ) -> None:
        with self.database.read() as connection:
            if tables.one_row(connection, sql.CaRow, id=ca_id) is not None:
                return
            above = tables.one_row(connection, sql.CaRow, id=parent) if parent else None
        purpose = {
            Profile.ROOT: KeyPurpose.ROOT_CA,
            Profile.ISSUING: KeyPurpose.ISSUING_CA,
            Profile.SEAL_MAKER: KeyPurpose.SEAL_MAKER,
            Profile.TIME_STAMP: KeyPurpose.TIME_STAMP,
        }[profile]
        record = self.keys.generate(purpose, suite, label=ca_id, at=at)
        signer = self.keys.open(above.key_id if above else record.key_id, KeyPurpose.ROOT_CA)
        cert = make_x509_cert(
            profile,
            Subject(name, ORGANISATION),
            record.public_key,
            signer,
            bytes(above.cert) if above else None,
            not_before=at - timedelta(minutes=5),
            not_after=at + timedelta(days=365 * years),
            crl_address=self.crl_address(parent) if parent else None,
            ocsp_address=self.ocsp_address(parent) if parent else None,
        )
        with self.database.write() as connection:
            row = sql.CaRow(
                id=ca_id,
                kind=profile.value,
                suite=suite.value,
                key_id=record.key_id,
                cert=cert,
                parent=parent,
            )
            tables.insert(connection, row)

    # --- time-stamps ---

    def time_stamp_authority(self, suite: Suite) -> TimeStamper:
        """The time-stamp authorities for a seal's suite: those of its family, in the order of the settings."""
        if list(self.time_stamps) == [None]:
            return self._own_time_stamps(suite)
        with self.database.read() as connection:
            revoked = {tsa.certs[0] for tsa in list_outside_tsas(connection) if tsa.revoked_at is not None}
        members: list[TimeStamper] = []
        for each in self.time_stamps:
            if each is None:
                members.append(self._own_time_stamps(suite))
            elif family_of(Suite(each.suite)) is family_of(suite) and each.certs[0] not in revoked:
                members.append(each)
        return TimeStampOrder(family_of(suite).value, members, self.clock, self.rests)

    def _own_time_stamps(self, suite: Suite) -> TimeStampAuthority:
        row = self._current(f"tsa-{family_of(suite)}")
        return TimeStampAuthority(
            self.keys.open(row.key_id, KeyPurpose.TIME_STAMP), (bytes(row.cert),), self.clock
        )

    def issuing_ca(self, suite: Suite) -> sql.CaRow:
        return self._current(f"seal-ca-{family_of(suite)}")

    def seal_maker(self, suite: Suite) -> tuple[SigningKey, bytes]:
        """Key and certificate (DER) of the seal maker 制章者 in the family of the suite."""
        row = self._current(f"seal-maker-{family_of(suite)}")
        return self.keys.open(row.key_id, KeyPurpose.SEAL_MAKER), bytes(row.cert)

    def _ca(self, ca_id: str) -> sql.CaRow:
        with self.database.read() as connection:
            row = tables.one_row(connection, sql.CaRow, id=ca_id)
        if row is None:
            raise KeyUnavailable(f"There is no certification authority {ca_id}.", "Run `yinzheng init`.")
        return row

    def ca(self, ca_id: str) -> sql.CaRow:
        """One of our CAs or authorities, whatever its state. Raises `KeyUnavailable`."""
        return self._ca(ca_id)

    def generations(self, ca_id: str) -> Sequence[sql.CaRow]:
        """Every generation of a CA or authority, oldest first."""
        with self.database.read() as connection:
            rows = tables.all_rows(connection, sql.CaRow)
        found = (row for row in rows if row.id == ca_id or row.id.startswith(f"{ca_id}."))
        return sorted(found, key=lambda row: generation_of(row.id))

    def _current(self, ca_id: str) -> sql.CaRow:
        """The newest generation of a CA or authority that is active."""
        active = [row for row in self.generations(ca_id) if row.state == "active"]
        if not active:
            raise KeyUnavailable(f"There is no active {ca_id}.", "Run `yinzheng init`, or rotate it.")
        return active[-1]

    def rotate(self, actor: Actor, role: str, suite: Suite) -> str:
        """Makes a new key and certificate for a role of `ROLES`, used from now on. Earlier signatures stay valid.

        Returns the id of the new generation. The old one is retired, so signatures that it makes from now on are not
        trusted; a compromised one stays compromised.
        """
        actor.check_may(Permission.SET_UP)
        profile, parent, name, years = ROLES[role]
        family = family_of(suite)
        at = self.clock.now()
        *_, old = self.generations(f"{role}-{family}")
        generation = generation_of(old.id) + 1
        new_id = f"{role}-{family}.{generation}"
        self._ensure_ca(
            new_id,
            profile,
            f"{parent}-{family}",
            family,
            f"{family.value.split('-')[0]} {name} {generation}",
            years,
            at,
        )
        # An issuing CA is not retired, because its certificates stay in use and it still signs its lists.
        if profile is not Profile.ISSUING and old.state == TrustState.ACTIVE.value:
            with self.database.write() as connection:
                values = {"state": TrustState.RETIRED.value, "since": tables.to_micros(at)}
                tables.update(connection, sql.CaRow, {"id": old.id}, values)
        self.authorities.trail.note(actor.ref, Act("ca.rotate", "done", subject=new_id))
        return new_id

    def known_certs(self) -> list[bytes]:
        """The certificates (DER) of all CAs and roots: ours, and those above certificates from outside."""
        with self.database.read() as connection:
            rows = tables.all_rows(connection, sql.CaRow)
            identities, tsas = list_identities(connection), list_outside_tsas(connection)
        known = [bytes(row.cert) for row in rows if Profile(row.kind).is_ca]
        outside = [cert for each in identities for cert in (*each.certs[1:], each.root)]
        outside += [cert for each in tsas for cert in (*each.certs[1:], each.root)]
        return list(dict.fromkeys([*known, *outside]))

    # --- revocation ---

    def crl_address(self, ca_id: str) -> str:
        """The address of the CRL of one of our CAs, which is in every certificate of that CA."""
        return f"{self.base_url}/crl/{ca_id}.crl"

    def ocsp_address(self, ca_id: str) -> str:
        """The OCSP address for one of our CAs, which is in those certificates too."""
        return f"{self.base_url}/ocsp/{ca_id}"

    def crls(
        self, at: datetime, *, no_older_than: datetime | None = None
    ) -> list[tuple[str, bytes, datetime]]:
        """(CA, CRL, next update) of each of our CAs. A new CRL is made when the last one is old or dated in the future
        (by a clock that was wrong then), or when a certificate was revoked.

        `no_older_than`: a new one is also made if the last one was made before this time.
        """
        oldest = tables.to_micros(no_older_than) if no_older_than is not None else 0
        with self.database.read() as connection:
            cas = [row for row in tables.all_rows(connection, sql.CaRow) if Profile(row.kind).is_ca]
            known = {row.ca_id: row for row in tables.all_rows(connection, sql.CrlRow)}
            revoked = tables.all_rows(connection, sql.RevokedCertRow)
        listed = []
        for ca in cas:
            row = known.get(ca.id)
            newest = max((r.entered_at for r in revoked if r.ca_id == ca.id), default=0)
            if (
                row is None
                or newest > row.this_update
                or row.this_update < oldest
                or not -_CLOCK_SKEW < at - tables.from_micros(row.this_update) <= _CRL_REFRESH
            ):
                try:
                    row = self._make_crl(ca, [r for r in revoked if r.ca_id == ca.id], row, at)
                except ClockDoubted:
                    # Keep serving the last list; verifiers see how old it is.
                    if row is None:
                        raise
            listed.append((ca.id, bytes(row.der), tables.from_micros(row.next_update)))
        return listed

    def known_crls(
        self, at: datetime, *, no_older_than: datetime | None = None
    ) -> list[tuple[str, bytes, datetime]]:
        """`crls`, and the kept lists of outside CAs as they are."""
        with self.database.read() as connection:
            rows = tables.all_rows(connection, sql.OutsideCrlRow)
        outside = [
            (f"outside-{row.issuer_id}", bytes(row.der), tables.from_micros(row.next_update))
            for row in rows
            if row.der is not None and row.next_update is not None
        ]
        return [*self.crls(at, no_older_than=no_older_than), *outside]

    def _make_crl(
        self, ca: sql.CaRow, revoked: Sequence[sql.RevokedCertRow], old: sql.CrlRow | None, at: datetime
    ) -> sql.CrlRow:
        purpose = KeyPurpose.ROOT_CA if ca.kind == Profile.ROOT.value else KeyPurpose.ISSUING_CA
        number = old.number + 1 if old else 1
        der = make_crl(
            self.keys.open(ca.key_id, purpose),
            bytes(ca.cert),
            [RevokedSerial(int(r.serial), tables.from_micros(r.revoked_at)) for r in revoked],
            number=number,
            this_update=at,
            next_update=at + _CRL_TERM,
        )
        row = sql.CrlRow(
            ca_id=ca.id,
            number=number,
            der=der,
            this_update=tables.to_micros(at),
            next_update=tables.to_micros(at + _CRL_TERM),
        )
        with self.database.write() as connection:
            tables.serialise(connection, "crl")
            known = tables.one_row(connection, sql.CrlRow, ca_id=ca.id)
            if known is not None and known.number >= number and known.this_update >= row.this_update:
                return known  # another process was first, and its list is not older
            sql.put_crl(connection, row)
        return row
