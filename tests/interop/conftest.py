"""Licences of ours, made once, for programs of others to judge."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from asn1crypto import cms
from support.world import START, World, make_world

from keys import asn1
from trust.encoding.trust_list import TrustedSeal, TrustedTsa
from trust.pdf.gap import SignedGap, check_gap
from trust.sandbox import Sandbox
from verifier.evidence import evidence_from_bundle

SUITES = ("sm2", "rsa3072", "p256")


@dataclass(frozen=True)
class Sealed:
    """A licence and what it hangs under."""

    pdf: bytes
    seal: TrustedSeal
    tsa: TrustedTsa
    crls: tuple[bytes, ...]

    @property
    def gap(self) -> SignedGap:
        return check_gap(self.pdf)

    @property
    def content(self) -> bytes:
        return b"".join(self.gap.signed)

    def signer_info(self) -> cms.SignerInfo:
        asn1.register()
        (info,) = cms.ContentInfo.load(self.gap.cms)["content"]["signer_infos"]
        return info

    def with_changed_page(self) -> bytes:
        """One byte of a signed object is different, the file is still a PDF."""
        at = self.pdf.index(b"/Type") + 1
        return self.pdf[:at] + b"T" + self.pdf[at + 1 :].replace(b"/Reason", b"/Rezson", 1)


@dataclass(frozen=True)
class Issued:
    world: World
    bundle: Path
    sealed: dict[str, Sealed]


@pytest.fixture(scope="session")
def issued(
    template_folder: Path, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Iterator[Issued]:
    folder = tmp_path_factory.mktemp("interop") / "data"
    shutil.copytree(template_folder, folder)
    world = make_world(folder, sandbox=sandbox)
    try:
        pdfs = {suite: world.issue(number, suite=suite)[1] for number, suite in enumerate(SUITES, 1)}
        bundle = world.bundle()
        evidence = evidence_from_bundle(bundle, START)
        assert evidence.trust_list is not None
        made = {}
        for suite, pdf in pdfs.items():
            seal = next(s for s in evidence.trust_list.seals if s.seal_id == f"chuncheng-market-{suite}")
            gm = suite == "sm2"
            tsa = next(t for t in evidence.trust_list.tsas if (t.suite == "SM2-SM3") is gm)
            made[suite] = Sealed(pdf, seal, tsa, tuple(evidence.crls))
        yield Issued(world, bundle, made)
    finally:
        world.close()


@pytest.fixture(params=SUITES)
def sealed(request: pytest.FixtureRequest, issued: Issued) -> Sealed:
    return issued.sealed[request.param]
