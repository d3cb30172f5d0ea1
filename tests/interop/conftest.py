"""Licences of ours, made once, for programs of others to judge."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop.licences import NAMES, Issued, Sealed
from support.ways import sealing
from support.world import START, make_world

from trust.sandbox.workers import Sandbox
from verifier.evidence.bundle import evidence_from_bundle


@pytest.fixture(scope="session")
def issued(
    template_folder: Path, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Iterator[Issued]:
    folder = tmp_path_factory.mktemp("interop") / "data"
    shutil.copytree(template_folder, folder)
    world = make_world(folder, sandbox=sandbox)
    try:
        pdfs = {}
        for number, name in enumerate(NAMES, 9001):
            suite, way = name.split("-")
            pdfs[name] = sealing(world, way).issue(number, suite=suite)[1]
        bundle = world.bundle()
        evidence = evidence_from_bundle(bundle, START)
        assert evidence.trust_list is not None
        made = {}
        for name, pdf in pdfs.items():
            suite = name.split("-")[0]
            seal = next(s for s in evidence.trust_list.seals if s.seal_id == f"chuncheng-market-{suite}")
            gm = suite == "sm2"
            tsa = next(t for t in evidence.trust_list.tsas if (t.suite == "SM2-SM3") is gm)
            made[name] = Sealed(pdf, seal, tsa, tuple(evidence.crls))
        yield Issued(world, bundle, made)
    finally:
        world.close()


@pytest.fixture(params=NAMES)
def sealed(request: pytest.FixtureRequest, issued: Issued) -> Sealed:
    return issued.sealed[request.param]
