"""Licences of ours, made once, for programs of others to judge."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from interop.licences import SUITES, Issued, Sealed
from support.world import START, make_world

from trust.sandbox import Sandbox
from verifier.evidence import evidence_from_bundle


@pytest.fixture(scope="session")
def issued(
    template_folder: Path, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Iterator[Issued]:
    folder = tmp_path_factory.mktemp("interop") / "data"
    shutil.copytree(template_folder, folder)
    world = make_world(folder, sandbox=sandbox)
    try:
        pdfs = {suite: world.issue(number, suite=suite)[1] for number, suite in enumerate(SUITES, 9001)}
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
