"""EU DSS's word on it: seals that verifiers abroad know pass there, alone and beside the national one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from interop.maven import JavaProgram
from support.world import World, make_world

from trust.model.actor import OPERATOR
from trust.model.report import Verdict
from trust.sandbox.workers import Sandbox
from verifier.evidence.bundle import evidence_from_bundle

pytestmark = pytest.mark.interop
_PARTS = (
    "pades-pdfbox",
    "utils-google-guava",
    "crl-parser-x509crl",
    "policy-jaxb",
    "validation",
    "cms-object",
)
LIBRARIES = [*(f"eu.europa.ec.joinup.sd-dss:dss-{part}:6.4" for part in _PARTS), "org.slf4j:slf4j-nop:2.0.16"]
ABROAD = ("chuncheng-market-rsa3072",)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[World]:
    # DSS asks the clock of the machine, so everything is made now.
    made = make_world(tmp_path_factory.mktemp("dss") / "data", sandbox=sandbox, at=datetime.now(UTC))
    yield made
    made.close()


def issue(
    world: World, number: int, seal: str, *, further: tuple[str, ...] = (), for_abroad: bool = False
) -> bytes:
    application = replace(world.application(number, seal=seal), further_seals=further, for_abroad=for_abroad)
    (outcome,) = world.try_issue(application)
    assert outcome.issued is not None, outcome.error
    return world.site.issuer.issuing.issued_file(outcome.issued.pid)


def test_dss_judges_what_we_seal(world: World, tmp_path: Path) -> None:
    files = {
        "rsa": issue(world, 1, "chuncheng-market-rsa3072"),
        "p256": issue(world, 2, "chuncheng-market-p256"),
        "dual": issue(world, 3, "chuncheng-market-sm2", further=ABROAD),
        "dual-for-abroad": issue(world, 4, "chuncheng-market-sm2", further=ABROAD, for_abroad=True),
    }
    bundle = world.bundle()
    given = tmp_path / "given"
    shutil.copytree(bundle / "crls", given / "crls")
    listed = evidence_from_bundle(bundle, world.clock.now()).trust_list
    assert listed is not None
    (given / "roots").mkdir()
    for number, root in enumerate({each.root for each in listed.seals} | {each.root for each in listed.tsas}):
        (given / "roots" / f"{number}.cer").write_bytes(root)
    for name, pdf in files.items():
        assert world.verify(pdf).verdict is Verdict.PASSED, name
        assert world.verify_offline(pdf, bundle).verdict is Verdict.PASSED, name
        (tmp_path / f"{name}.pdf").write_bytes(pdf)
    folder = tmp_path / "java"
    folder.mkdir()
    with JavaProgram(folder, "CheckDss.java", LIBRARIES) as program:
        lines = program.run(given, *(tmp_path / f"{name}.pdf" for name in files))
    answers = {Path(line.split("\t")[0]).stem: line.split("\t")[1:] for line in lines}
    assert answers["rsa"] == ["TOTAL_PASSED"]
    assert answers["p256"] == ["TOTAL_PASSED"]
    # SM2 is unknown to DSS, and so is who made that seal; the other one has its verdict all the same.
    assert answers["dual-for-abroad"] == ["INDETERMINATE", "TOTAL_PASSED"]
    # A national time-stamp is over SM3, whose identifier ends its validation. When it no longer does, this may go.
    assert answers["dual"] == ["EXCEPTION Unsupported algorithm: 1.2.156.10197.1.401"]


def test_a_time_stamp_for_abroad_is_kept_through_archiving(world: World) -> None:
    pdf = issue(world, 10, "chuncheng-market-sm2", further=ABROAD, for_abroad=True)
    sm3 = b"\x06\x08\x2a\x81\x1c\xcf\x55\x01\x83\x11"  # 1.2.156.10197.1.401
    (outcome,) = world.try_issue(
        replace(world.application(10, seal="chuncheng-market-sm2"), further_seals=ABROAD, for_abroad=True)
    )
    assert outcome.repeated
    assert outcome.issued is not None
    world.clock.advance(hours=30)
    (renewal,) = world.site.issuer.archiving.renew(OPERATOR, [outcome.issued.pid])
    assert renewal.error is None
    later = world.site.issuer.archiving.file(outcome.issued.pid)
    report = world.verify(later)
    assert report.verdict is Verdict.PASSED, report.findings
    assert later.startswith(pdf)
    assert sm3.hex().upper().encode() not in later[len(pdf) :][-65_000:]
    world.clock.advance(hours=-30)
