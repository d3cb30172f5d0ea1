"""A small world to test in: a service with two departments, their seals, and records that pass."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from issuer.catalogue import load_profile
from issuer.ecertificates.issuing import Outcome
from issuer.ecertificates.recording import Recording
from issuer.ecertificates.records import read_records
from issuer.operations.model import LEASE
from keys.suites import Suite
from trust.app import samples
from trust.app.compose import Site, open_site
from trust.app.settings import Settings
from trust.encoding.plain_zip import encode_zip
from trust.model.actor import OPERATOR, operator
from trust.model.ecertificate import Application, IssuedECertificate, IssuingAuthority, SealedECertificate
from trust.model.report import Report
from trust.model.seal import SealShape
from trust.sandbox.lanes import Lane
from trust.sandbox.workers import Sandbox
from verifier.checks.verifying import Verifier
from verifier.evidence.bundle import evidence_from_bundle

METRICS_TOKEN = "for-operators-only-in-tests"
FOR_OPERATORS = {"authorization": f"Bearer {METRICS_TOKEN}"}
NAME_SEAL = "chuncheng-market-person"

MARKET = IssuingAuthority(
    "chuncheng-market",
    "11990100MB9X100103",
    "春城市市场监督管理局",
    "Chuncheng Market Regulation Bureau",
    ("market-regulation",),
)
JINCHUAN = IssuingAuthority(
    "jinchuan-market",
    "11980200MB9X10037U",
    "锦川市市场监督管理局",
    "Jinchuan Market Regulation Bureau",
    ("market-regulation",),
)
"""Of another city, whose service is another deployment."""
TRANSPORT = IssuingAuthority(
    "yunling-transport",
    "11990121MB9X20016T",
    "云岭县交通运输局",
    "Yunling County Transport Bureau",
    ("transport",),
)
START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)

FOOD = {
    "licence_number": "JY29901010000001",
    "holder_name": "春城百味餐饮管理有限公司",
    "holder_code": "91990101MA6K1001XL",
    "legal_representative": "阿依古丽·买买提",
    "domicile": "云岭省春城市滇水区示例路11号1幢101室",
    "premises": "云岭省春城市滇水区示例路11号1幢101室",
    "business_form": "餐饮服务经营者",
    "business_items": "热食类食品制售；冷食类食品制售",
    "valid_from": "2026-11-01",
    "issued_on": "2026-11-01",
}


@dataclass
class StoppedClock:
    """Stands where it is put."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class World:
    site: Site
    clock: StoppedClock
    folder: Path
    market: IssuingAuthority = MARKET
    _bundles: list[int] = field(default_factory=list)

    def add_name_seal(self) -> None:
        """`NAME_SEAL`, a person's, beside the seals of `MARKET`."""
        seals = self.site.issuer.seals
        seals.apply(
            operator("clerk"),
            NAME_SEAL,
            MARKET.authority_id,
            Suite.SM2_SM3,
            shape=SealShape.SQUARE,
            person="沈青禾",
            diameter_mm=18,
        )
        seals.approve(operator("chief"), NAME_SEAL)
        seals.make_approved(operator("maker"), NAME_SEAL)
        seals.record(operator("chief"), NAME_SEAL)

    def outlast_leases(self) -> None:
        """What a process that died had in hand is free again."""
        self.clock.advance(seconds=LEASE.total_seconds() + 1)

    def close(self) -> None:
        self.site.close()

    def application(self, number: int = 1, *, seal: str | None = None, **changes: str) -> Application:
        today = (self.clock.at - timedelta(days=1)).date().isoformat()
        dates = {} if self.clock.at.year == START.year else {"valid_from": today, "issued_on": today}
        fields = {**FOOD, "licence_number": f"JY2990101{number:07d}", **dates, **changes}
        return Application("FOOD", self.market.authority_id, fields, seal, row=number)

    def sample_applications(self, short: str) -> list[Application]:
        """For every sample record of a type; its authority and a seal of it are there afterwards."""
        site, folder = self.site, samples.find_samples()
        name, authority = next(
            (name, authority) for kind, name, authority in samples.RECORDS if kind == short
        )
        for sample in samples.read_authorities(folder):
            if sample.authority.authority_id == authority:
                site.issuer.authorities.add(OPERATOR, sample.authority)
                if authority not in {seal.authority_id for seal in site.issuer.seals.registry.list()}:
                    site.issuer.seals.make(OPERATOR, f"{authority}-sm2", authority, sample.suite)
        seal = next(
            seal.seal_id for seal in site.issuer.seals.registry.list() if seal.authority_id == authority
        )
        profile = load_profile(short)
        return [
            site.issuer.applying.application_from(record, profile, authority=authority, seal=seal)
            for record in read_records(folder / name, profile)
        ]

    def try_issue(self, *applications: Application) -> list[Outcome]:
        return self.site.issuer.issuing.issue(OPERATOR, list(applications))

    def issue(
        self, number: int = 1, *, suite: str = "sm2", **changes: str
    ) -> tuple[IssuedECertificate, bytes]:
        """An issued e-certificate and its PDF."""
        (outcome,) = self.try_issue(
            self.application(number, seal=f"{self.market.authority_id}-{suite}", **changes)
        )
        assert outcome.error is None, outcome.error
        assert outcome.issued is not None
        return outcome.issued, self.site.issuer.issuing.issued_file(outcome.issued.pid)

    def issue_and_keep_sealed(self, number: int = 1) -> tuple[IssuedECertificate, bytes, bytes]:
        """An issued e-certificate, its PDF, and the PDF as it was sealed, without its receipt."""
        kept: list[SealedECertificate] = []

        class Keeping(Recording):
            def record(self, sealed: Sequence[SealedECertificate]) -> list[IssuedECertificate]:
                kept.extend(sealed)
                return Recording.record(self, sealed)

        issuing = self.site.issuer.issuing
        keeping = Keeping(*(getattr(issuing.recording, each.name) for each in fields(Recording)))
        asked = self.application(number, seal=f"{self.market.authority_id}-sm2")
        (outcome,) = replace(issuing, recording=keeping).issue(OPERATOR, [asked])
        assert outcome.issued is not None
        return outcome.issued, issuing.issued_file(outcome.issued.pid), kept[0].sealed

    def verify(self, given: bytes | str, *, verifier: str = "", at: datetime | None = None) -> Report:
        at = at or self.clock.now()
        evidence = self.site.verifier.checking.online.gather(at)
        if isinstance(given, str):
            return self.site.verifier.checking.verifiers[Lane.MACHINE].verify_text(
                given, evidence, at, verifier=verifier
            )
        return self.site.verifier.checking.verifiers[Lane.MACHINE].verify_bytes(
            given, evidence, at, verifier=verifier
        )

    def bundle(self) -> Path:
        """A fresh offline bundle."""
        self._bundles.append(1)
        folder = self.folder / f"bundle-{len(self._bundles)}"
        members = self.site.verifier.member_bundles.files()
        self.site.issuer.publishing.write_bundle(folder, self.clock.now(), members)
        return folder

    def packed_bundle(self) -> bytes:
        """The same as one zip file, as others fetch it."""
        files = self.site.issuer.publishing.bundle(self.clock.now())
        return encode_zip(files | self.site.verifier.member_bundles.files())

    def verify_offline(self, given: bytes | str, bundle: Path, *, at: datetime | None = None) -> Report:
        at = at or self.clock.now()
        evidence = evidence_from_bundle(bundle, at)
        verifier = Verifier(self.site.sandboxes.of[Lane.MACHINE], live=None)
        if isinstance(given, str):
            return verifier.verify_text(given, evidence, at)
        return verifier.verify_bytes(given, evidence, at)


def settings_at(
    folder: Path,
    *,
    database_url: str | None = None,
    lock_url: str | None = None,
    host: str = "v.chuncheng.example",
) -> Settings:
    return Settings(
        data=folder,
        database_url=database_url,
        lock_url=lock_url,
        host=host,
        base_url=f"https://{host}",
        origin=f"{host}/ledger",
        passphrase="for tests only",
        passphrase_file=folder / "passphrase",
        language="en",
        kdf_rounds=1000,
        clock_gap=timedelta(days=100 * 366),  # tests move their clocks by years
        metrics_token=METRICS_TOKEN,
    )


def make_world(
    folder: Path,
    *,
    database_url: str | None = None,
    lock_url: str | None = None,
    sandbox: Sandbox | None = None,
    at: datetime = START,
) -> World:
    """Opens the service in `folder`, making what is missing. `at` is when its clock stands still first."""
    clock = StoppedClock(at)
    settings = settings_at(folder, database_url=database_url, lock_url=lock_url)
    site = open_site(settings, create=True, clock=clock, sandbox=sandbox)
    if site.issuer.seals.registry.list():
        # A copy of a template, or opened again: making seals draws them first, which takes its time.
        return World(site, clock, folder)
    for authority in (MARKET, TRANSPORT):
        site.issuer.authorities.add(OPERATOR, authority)
    for suite in (Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256):
        name = suite.value.split("-")[0].lower()
        site.issuer.seals.make(
            OPERATOR, f"chuncheng-market-{name}", MARKET.authority_id, suite, second_line="行政许可专用章"
        )
    site.issuer.seals.make(OPERATOR, "yunling-transport-sm2", TRANSPORT.authority_id, Suite.SM2_SM3)
    return World(site, clock, folder)


def make_neighbour(
    folder: Path, *, sandbox: Sandbox | None = None, host: str = "v.jinchuan.example", at: datetime = START
) -> World:
    """Another deployment: another city's service, with one department and one seal."""
    clock = StoppedClock(at)
    site = open_site(settings_at(folder, host=host), create=True, clock=clock, sandbox=sandbox)
    if site.issuer.seals.registry.list():
        return World(site, clock, folder, JINCHUAN)  # a copy of a template
    site.issuer.authorities.add(OPERATOR, JINCHUAN)
    site.issuer.seals.make(OPERATOR, f"{JINCHUAN.authority_id}-sm2", JINCHUAN.authority_id, Suite.SM2_SM3)
    return World(site, clock, folder, JINCHUAN)


def world_in(template: Path, folder: Path, sandbox: Sandbox) -> World:
    """A world in a copy of a template, which takes less time than making one."""
    shutil.copytree(template, folder)
    return make_world(folder, sandbox=sandbox)
