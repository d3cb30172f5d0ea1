"""veraPDF's word on it: what we lay out is PDF/A-3a and PDF/UA-1, a department's PDF stays what of it it was."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typst
from interop.maven import JavaProgram
from support import ways as sealing_ways
from support.world import NAME_SEAL, World, make_world

from issuer.rendering.fonts import typst_fonts
from trust.model.actor import OPERATOR
from trust.model.ecertificate import Application, PlaceOnPage
from trust.model.report import Verdict
from trust.pdf.reading import open_pdf
from trust.pdf.standards import read_standards
from trust.sandbox.workers import Sandbox

pytestmark = pytest.mark.interop
VERAPDF = "org.verapdf:validation-model:1.28.2"
STANDARDS = {
    "a-1b": "1b", "a-1a": "1a", "a-2b": "2b", "a-2u": "2u", "a-2a": "2a", "a-3b": "3b", "a-3a": "3a",
    "a-4": "4", "a-4f": "4f", "a-4e": "4e", "ua-1": "ua1", "a-2a ua-1": "2a", "a-3a ua-1": "3a",
}  # fmt: skip
WAYS = {
    "sm2": ("chuncheng-market-sm2", ()),
    "p256": ("chuncheng-market-p256", ()),
    "rsa": ("chuncheng-market-rsa3072", ()),
    "dual": ("chuncheng-market-sm2", ("chuncheng-market-rsa3072",)),
}
LAID_OUT = {
    **WAYS,
    "person": ("chuncheng-market-sm2", (NAME_SEAL,)),
    "three": ("chuncheng-market-sm2", (NAME_SEAL, "chuncheng-market-rsa3072")),
}
_numbers = itertools.count(7000)


@pytest.fixture(scope="module")
def verapdf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JavaProgram]:
    with JavaProgram(tmp_path_factory.mktemp("verapdf"), "CheckPdfA.java", [VERAPDF]) as program:
        yield program


@pytest.fixture(scope="module")
def world(
    template_folder: Path, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("standards") / "data"
    shutil.copytree(template_folder, folder)
    made = make_world(folder, sandbox=sandbox)
    made.add_name_seal()
    yield made
    made.close()


def samples_of(world: World, short: str) -> list[Application]:
    """Of our samples, the first ones and the hardest."""
    first, *others = world.sample_applications(short)
    return [first, *sorted(others, key=lambda application: len(str(dict(application.fields))))[-3:]]


def letter(standard: str) -> bytes:
    """A department's letter in a standard, as a word processor would export it."""
    source = Path(__file__).parents[2] / "samples" / "pdf" / "approval-letter.typ"
    standards: list[Any] = standard.split()
    return typst.compile(
        source.read_bytes(),
        font_paths=typst_fonts(),
        ignore_system_fonts=True,
        pdf_standards=standards,
    )


def test_departments_pdfs_stay_what_they_were(verapdf: JavaProgram, world: World, tmp_path: Path) -> None:
    expected: dict[Path, str] = {}
    again: list[Path] = []
    for standard, flavour in STANDARDS.items():
        source = letter(standard)
        for way, (seal, further) in (LAID_OUT if "ua" in standard else WAYS).items():
            application = replace(
                world.application(next(_numbers), seal=seal),
                source_pdf=source,
                place=PlaceOnPage(-1, 147, 72),
                further_seals=further,
            )
            (outcome,) = world.try_issue(application)
            assert outcome.error is None, (standard, way, outcome.error)
            assert outcome.issued is not None
            issued = world.site.issuer.issuing.issued_file(outcome.issued.pid)
            assert world.verify(issued).verdict is Verdict.PASSED, (standard, way)
            stem = f"{standard}-{way}".replace(" ", "-")
            expected[tmp_path / f"{stem}.pdf"] = flavour
            (tmp_path / f"{stem}.pdf").write_bytes(issued)
            if "ua-1" in standard:
                again.append(tmp_path / f"{stem}.pdf")
            if way == "sm2":
                world.clock.advance(hours=30)
                (renewal,) = world.site.issuer.archiving.renew(OPERATOR, [outcome.issued.pid])
                assert renewal.error is None, renewal.error
                expected[tmp_path / f"{stem}-archived.pdf"] = flavour
                later = world.site.issuer.archiving.file(outcome.issued.pid)
                (tmp_path / f"{stem}-archived.pdf").write_bytes(later)
    answers = [line.split("\t") for line in verapdf.run("own", *expected)]
    wrong = [a for a in answers if a[1:3] != [expected[Path(a[0])], "yes"]]
    assert not wrong
    accessible = [line.split("\t") for line in verapdf.run("ua1", *again)]
    assert accessible
    assert not [a for a in accessible if a[2] != "yes"]


def test_what_we_lay_out_is_pdf_a_3a_and_pdf_ua_1(verapdf: JavaProgram, world: World, tmp_path: Path) -> None:
    files = []

    def keep(name: str, pdf: bytes) -> None:
        files.append(tmp_path / f"{name}.pdf")
        files[-1].write_bytes(pdf)

    for way, (seal, further) in LAID_OUT.items():
        for sealed_by in sealing_ways.WAYS:
            application = replace(world.application(next(_numbers), seal=seal), further_seals=further)
            (outcome,) = sealing_ways.sealing(world, sealed_by).try_issue(application)
            assert outcome.issued is not None, outcome.error
            keep(f"{way}-{sealed_by}", world.site.issuer.issuing.issued_file(outcome.issued.pid))
            world.clock.advance(hours=30)
            (renewal,) = world.site.issuer.archiving.renew(OPERATOR, [outcome.issued.pid])
            assert renewal.error is None, renewal.error
            keep(f"{way}-{sealed_by}-archived", world.site.issuer.archiving.file(outcome.issued.pid))
    for standard in ("3b", "3a", "ua1"):
        for line in verapdf.run(standard, *files):
            assert line.split("\t")[1:] == [standard, "yes", ""]


@pytest.mark.parametrize("short", ["FOOD", "ROADTP", "MEDPR", "APPROVAL"])
def test_pages_of_every_type_are_pdf_a_3a_and_pdf_ua_1(
    verapdf: JavaProgram, world: World, tmp_path: Path, short: str
) -> None:
    files = []
    for number, record in enumerate(samples_of(world, short)):
        (outcome,) = sealing_ways.sealing(world, "prepared").try_issue(record)
        assert outcome.issued is not None, outcome.error
        files.append(tmp_path / f"{number}.pdf")
        files[-1].write_bytes(world.site.issuer.issuing.issued_file(outcome.issued.pid))
        said = read_standards(open_pdf(files[-1].read_bytes()).root).names
        assert said == "PDF/A-3a, PDF/UA-1"
    for standard in ("3a", "ua1"):
        for line in verapdf.run(standard, *files):
            assert line.split("\t")[1:] == [standard, "yes", ""]


def test_what_could_not_stay_so_is_refused_beforehand_and_sealed_when_told(world: World) -> None:
    size = world.site.ledger.log.size
    application = replace(
        world.application(next(_numbers), seal="chuncheng-market-sm2"),
        source_pdf=letter("ua-1").replace(b"/ParentTree<<", b"/ParentTrex<<"),
        place=PlaceOnPage(-1, 147, 72),
    )
    assert application.source_pdf != letter("ua-1")
    (outcome,) = world.try_issue(application)
    assert outcome.error is not None
    assert outcome.error.code == "STANDARD_LOST"
    assert world.site.ledger.log.size == size
    (outcome,) = world.try_issue(replace(application, may_lose_standard=True))
    assert outcome.issued is not None, outcome.error
    assert world.verify(world.site.issuer.issuing.issued_file(outcome.issued.pid)).verdict is Verdict.PASSED


@pytest.mark.parametrize("standard", STANDARDS)
def test_what_a_file_says_it_is_is_read(standard: str) -> None:
    said = read_standards(open_pdf(letter(standard)).root).names
    assert said.lower().replace("pdf/", "") == standard.replace(" ", ", ")


def test_colours_are_those_of_a_profile_where_the_file_names_none(world: World) -> None:
    source = letter("a-2b")
    assert source.count(b"/OutputIntents") == 1
    application = replace(
        world.application(next(_numbers), seal="chuncheng-market-sm2"),
        source_pdf=source.replace(b"/OutputIntents", b"/OutputIntentz"),
        place=PlaceOnPage(-1, 147, 72),
    )
    (outcome,) = world.try_issue(application)
    assert outcome.issued is not None, outcome.error
    issued = world.site.issuer.issuing.issued_file(outcome.issued.pid)
    assert world.verify(issued).verdict is Verdict.PASSED
    shown = open_pdf(issued).embedded_signatures[0].sig_field["/AP"]["/N"]
    picture = shown["/Resources"]["/XObject"]["/SealPicture"]
    assert picture["/Resources"]["/ColorSpace"]["/DefaultRGB"][0] == "/ICCBased"
