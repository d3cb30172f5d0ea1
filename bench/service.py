"""A small service in a temporary folder, with real keys; what the measurements of documents start from."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from issuer.catalogue import TypeProfile, load_profile
from issuer.ecertificates.issuing import Issuing
from issuer.rendering import PageData, RenderedPage, render
from keys.suites import Suite
from trust.app import samples
from trust.app.compose import Site, open_site
from trust.app.settings import Settings
from trust.model.actor import OPERATOR
from trust.model.ecertificate import Application

SUITES = (Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256)
AUTHORITY = "chuncheng-market"


@dataclass
class Made:
    site: Site
    number: int = 0

    def application(self, suite: Suite) -> Application:
        """A new record each time: the first sample with another licence number."""
        self.number += 1
        with (samples.find_samples() / "food.csv").open(encoding="utf-8", newline="") as lines:
            fields = dict(next(csv.DictReader(lines)))
        (number,) = (f for f in load_profile("FOOD").fields if f.name == "licence_number")
        fields[number.label.zh if number.label.zh in fields else number.name] = f"JY2990101{self.number:07d}"
        return Application("FOOD", AUTHORITY, fields, seal_id(suite), row=self.number)

    def page(self) -> RenderedPage:
        """The page of one licence as typst made it, not yet sealed."""
        kept: list[RenderedPage] = []

        def keeping(profile: TypeProfile, page: PageData) -> RenderedPage:
            kept.append(render(profile, page))
            return kept[-1]

        with mock.patch("issuer.ecertificates.laying_out.render", keeping):
            self.issue(Suite.SM2_SM3)
        return kept[-1]

    def issue(self, suite: Suite, count: int = 1) -> list[bytes]:
        issuing: Issuing = self.site.issuer.issuing
        outcomes = issuing.issue(OPERATOR, [self.application(suite) for _ in range(count)])
        found = []
        for outcome in outcomes:
            assert outcome.issued is not None, outcome.error
            found.append(issuing.issued_file(outcome.issued.pid))
        return found


def seal_id(suite: Suite) -> str:
    return f"{AUTHORITY}-{suite.value.split('-')[0].lower()}"


@contextmanager
def opened(folder: Path) -> Iterator[Made]:
    settings = Settings(
        data=folder,
        database_url=None,
        lock_url=None,
        host="v.chuncheng.example",
        base_url="https://v.chuncheng.example",
        origin="v.chuncheng.example/ledger",
        passphrase="for the bench only",
        passphrase_file=folder / "passphrase",
        language="en",
        kdf_rounds=1000,
    )
    with open_site(settings, create=True) as site:
        for sample in samples.read_authorities(samples.find_samples()):
            if sample.authority.authority_id == AUTHORITY:
                site.issuer.authorities.add(OPERATOR, sample.authority)
        for suite in SUITES:
            site.issuer.seals.make(OPERATOR, seal_id(suite), AUTHORITY, suite, second_line="行政许可专用章")
        load_profile("FOOD")
        yield Made(site)


__all__ = ["AUTHORITY", "SUITES", "Made", "opened", "seal_id"]
