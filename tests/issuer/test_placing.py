"""The seal on a department's own page: where it was asked for as the page is shown, upright, in its size, in view."""

from __future__ import annotations

import io
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from support.world import MARKET, World

from issuer.sealing.placing import EDGE_MM, Placed, place_seal
from issuer.sealing.use import SealPlace
from keys.suites import Suite
from trust.model.actor import OPERATOR, operator
from trust.model.ecertificate import Application, PlaceOnPage
from trust.model.errors import Malformed
from trust.model.report import Verdict
from trust.model.seal import SealShape
from trust.pdf.geometry import PageAsShown

A4, A6 = (0, 0, 595, 842), (0, 0, 298, 420)
SEAL_MM = 42
_MM = 25.4 / 72
_numbers = itertools.count(500)


def page_pdf(*, inherit: bool = False, pages: int = 1, **entries: Any) -> bytes:
    """A PDF of `pages` equal pages with these entries in each, or in the tree above them."""
    library: Any = generic
    writer: Any = PdfFileWriter()
    for _ in range(pages):
        content = writer.add_object(library.StreamObject(stream_data=b"0.9 g 20 20 50 50 re f"))
        page: Any = PageObject(contents=content, media_box=A4, resources=library.DictionaryObject())
        target = page
        writer.insert_page(page)
        if inherit:
            del page["/MediaBox"]
            target = writer.root["/Pages"]
            target["/MediaBox"] = library.ArrayObject([library.NumberObject(n) for n in A4])
        for name, value in entries.items():
            target[f"/{name}"] = (
                library.ArrayObject([library.FloatObject(each) for each in value])
                if isinstance(value, tuple)
                else library.FloatObject(value)
                if isinstance(value, float)
                else library.NumberObject(value)
            )
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def stamp(world: World, source: bytes, place: PlaceOnPage | None, **more: Any) -> bytes:
    application: Application = replace(
        world.application(next(_numbers), seal="chuncheng-market-sm2"), source_pdf=source, place=place, **more
    )
    (outcome,) = world.try_issue(application)
    if outcome.error is not None:
        raise outcome.error
    assert outcome.issued is not None
    return world.site.issuer.issuing.issued_file(outcome.issued.pid)


def red_ink_mm(pdf: bytes, number: int, unit: float) -> tuple[float, float, float, float]:
    """Where red is seen on the page as a reader draws it: left, bottom, right, top in millimetres."""
    document = pypdfium2.PdfDocument(pdf)
    document.init_forms()
    page = document[number % len(document)]
    scale = 4 / unit
    picture = page.render(scale=scale).to_pil().convert("RGB")
    red, green, _ = picture.split()
    ink = red.point(lambda v: 255 if v > 150 else 0)
    pale = green.point(lambda v: 255 if v < 120 else 0)
    from PIL import ImageChops

    box = ImageChops.multiply(ink, pale).getbbox()
    assert box is not None, "no red ink is shown"
    x1, y1, x2, y2 = (each / scale * _MM * unit for each in box)
    high = picture.height / scale * _MM * unit
    document.close()
    return x1, high - y2, x2, high - y1


GEOMETRIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "turned 90": {"Rotate": 90},
    "turned 180": {"Rotate": 180},
    "turned 270": {"Rotate": 270},
    "turned back": {"Rotate": -90},
    "turned more than once": {"Rotate": 450},
    "turned above": {"Rotate": 90, "inherit": True},
    "origin elsewhere": {"MediaBox": (-100, 50, 495, 892)},
    "origin elsewhere, turned": {"MediaBox": (-100, 50, 495, 892), "Rotate": 270},
    "corners swapped": {"MediaBox": (595, 842, 0, 0)},
    "cropped": {"CropBox": (40, 60, 560, 800)},
    "cropped, turned": {"CropBox": (40, 60, 560, 800), "Rotate": 90},
    "cropped beyond the paper": {"CropBox": (-500, -500, 5000, 5000)},
    "cropped above": {"CropBox": (40, 60, 560, 800), "inherit": True},
    "units of two points": {"UserUnit": 2.0, "MediaBox": (0, 0, 297.5, 421)},
    "units of two points, turned": {"UserUnit": 2.0, "MediaBox": (10, 10, 307.5, 431), "Rotate": 90},
    "units of a half": {"UserUnit": 0.5, "MediaBox": (0, 0, 1190, 1684)},
}


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_the_seal_is_where_it_was_asked_for_as_the_page_is_shown(
    world: World, geometry: dict[str, Any]
) -> None:
    sealed = stamp(world, page_pdf(**geometry), PlaceOnPage(0, 70, 50))
    report = world.verify(sealed)
    assert report.verdict is Verdict.PASSED, report.findings
    left, bottom, right, top = red_ink_mm(sealed, 0, geometry.get("UserUnit", 1.0))
    assert (left + right) / 2 == pytest.approx(70, abs=0.8)
    assert (bottom + top) / 2 == pytest.approx(50, abs=0.8)
    assert right - left == pytest.approx(SEAL_MM, abs=1.2)
    assert top - bottom == pytest.approx(SEAL_MM, abs=1.2)


def test_the_page_that_was_named_carries_it(world: World) -> None:
    sealed = stamp(world, page_pdf(pages=3), PlaceOnPage(1, 70, 50))
    red_ink_mm(sealed, 1, 1)
    for other in (0, 2):
        with pytest.raises(AssertionError, match="no red ink"):
            red_ink_mm(sealed, other, 1)


@pytest.mark.parametrize(
    ("entries", "place", "code"),
    [
        ({}, PlaceOnPage(0, 1, 50), "PLACE_OFF_PAGE"),
        ({}, PlaceOnPage(0, 70, 25), "PLACE_OFF_PAGE"),
        ({}, PlaceOnPage(0, 209, 50), "PLACE_OFF_PAGE"),
        ({}, PlaceOnPage(0, 70, 275), "PLACE_OFF_PAGE"),
        ({}, PlaceOnPage(0, 1500, 1500), "PLACE_OFF_PAGE"),
        ({}, PlaceOnPage(1, 70, 50), "PLACE_NO_PAGE"),
        ({}, PlaceOnPage(-2, 70, 50), "PLACE_NO_PAGE"),
        ({"MediaBox": A6}, PlaceOnPage(0, 150, 60), "PLACE_OFF_PAGE"),
        ({"CropBox": (300, 0, 595, 842)}, PlaceOnPage(0, 90, 60), "PLACE_OFF_PAGE"),
        ({"MediaBox": (0, 0, 140, 140)}, PlaceOnPage(0, 25, 25), "PLACE_NO_ROOM"),
        ({"MediaBox": (0, 0, 140, 140)}, None, "PLACE_NO_ROOM"),
        ({"MediaBox": (0, 0, 0, 0)}, PlaceOnPage(0, 25, 25), "PAGE_SIZE"),
        ({"Rotate": 45}, PlaceOnPage(0, 70, 50), "PAGE_SIZE"),
        ({"UserUnit": -1.0}, PlaceOnPage(0, 70, 50), "PAGE_SIZE"),
    ],
)
def test_a_place_out_of_view_is_refused_before_anything_is_reserved(
    world: World, entries: dict[str, Any], place: PlaceOnPage | None, code: str
) -> None:
    number = next(_numbers)
    size = world.site.ledger.log.size
    application = replace(world.application(number, seal="chuncheng-market-sm2"), place=place)
    (outcome,) = world.try_issue(replace(application, source_pdf=page_pdf(**entries)))
    assert outcome.error is not None
    assert outcome.error.code == code
    with pytest.raises(Malformed):
        world.site.issuer.issuing.check(OPERATOR, replace(application, source_pdf=page_pdf(**entries)))
    assert world.site.ledger.log.size == size
    # Nothing stands in the way of the same number with a good place: nothing was reserved.
    (outcome,) = world.try_issue(replace(application, source_pdf=page_pdf(), place=PlaceOnPage(0, 70, 50)))
    assert outcome.error is None
    assert not outcome.repeated


@pytest.mark.parametrize("entries", [{}, {"MediaBox": A6}, {"Rotate": 90}, {"MediaBox": (0, 0, 160, 160)}])
def test_without_a_place_the_seal_stands_at_the_lower_right_in_view(
    world: World, entries: dict[str, Any]
) -> None:
    source = page_pdf(**entries)
    sealed = stamp(world, source, None)
    assert world.verify(sealed).verdict is Verdict.PASSED
    left, bottom, right, _ = red_ink_mm(sealed, 0, 1)
    width = pypdfium2.PdfDocument(source)[0].get_width() * _MM
    assert left > EDGE_MM - 0.8
    assert bottom > EDGE_MM - 0.8
    assert right < width - EDGE_MM + 0.8
    assert (left + right) / 2 >= width / 2 - 1


def test_a_name_seal_is_refused_beforehand_where_it_would_not_stand_upright(world: World) -> None:
    seals = world.site.issuer.seals
    seals.apply(operator("clerk"), 
        "person", MARKET.authority_id, Suite.SM2_SM3,
        shape=SealShape.SQUARE, person="沈青禾", diameter_mm=18,
    )  # fmt: skip
    seals.approve(operator("chief"), "person")
    seals.make_approved(operator("maker"), "person")
    seals.record(operator("chief"), "person")
    size = world.site.ledger.log.size
    for entries in ({"Rotate": 90}, {"UserUnit": 2.0}, {"MediaBox": (-100, -100, 500, 700)}):
        with pytest.raises(Exception, match="name seal"):
            stamp(world, page_pdf(**entries), PlaceOnPage(0, 130, 50), further_seals=("person",))
    assert world.site.ledger.log.size == size


@pytest.mark.parametrize(
    ("entries", "box", "code"),
    [
        ({}, (700, 100, 819, 219), "SEAL_NOT_SHOWN"),
        ({}, (-60, 100, 59, 219), "SEAL_NOT_SHOWN"),
        ({"CropBox": (0, 300, 595, 842)}, (100, 100, 219, 219), "SEAL_NOT_SHOWN"),
        ({"Rotate": 90}, (100, 100, 219, 219), "SEAL_PICTURE_DIFFERS"),
        ({"UserUnit": 2.0}, (100, 100, 219, 219), "SEAL_PICTURE_DIFFERS"),
    ],
)
def test_a_seal_that_nobody_sees_or_that_lies_on_its_side_does_not_pass(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    entries: dict[str, Any],
    box: tuple[int, int, int, int],
    code: str,
) -> None:
    """What an issuer without these rules would have set."""
    there = Placed(PlaceOnPage(0, 0, 0), SealPlace(0, *box))
    for step in ("issuing", "stamping"):
        monkeypatch.setattr(f"issuer.ecertificates.{step}.place_seal", lambda *_: there)
    report = world.verify(stamp(world, page_pdf(**entries), None))
    assert report.verdict is Verdict.FAILED
    assert next((f.check, f.code) for f in report.findings if f.code != "OK") == ("seal.picture", code)


CASES = Path(__file__).parents[3] / "shared" / "cases" / "stamp"


@pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is not here")
@pytest.mark.parametrize("name", ["rotate90", "rotate270-scan", "mediabox-offset", "a6", "plain"])
def test_pages_of_real_life(world: World, name: str) -> None:
    source = (CASES / f"{name}.pdf").read_bytes()
    sealed = stamp(world, source, PlaceOnPage(0, 60, 40))
    assert world.verify(sealed).verdict is Verdict.PASSED
    left, bottom, right, top = red_ink_mm(sealed, 0, 1)
    assert ((left + right) / 2, (bottom + top) / 2) == pytest.approx((60, 40), abs=0.8)
    assert right - left == pytest.approx(SEAL_MM, abs=1.2)


boxes = st.tuples(st.floats(-500, 500), st.floats(-500, 500), st.floats(100, 2000), st.floats(100, 2000)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
pages = st.builds(PageAsShown, boxes, st.sampled_from([0, 90, 180, 270]), st.floats(0.1, 20))


@given(pages, st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)))
def test_shown_and_user_space_are_inverse(page: PageAsShown, part: tuple[float, float, float, float]) -> None:
    width, height = page.size_mm
    x1, x2 = sorted((part[0] * width, part[1] * width))
    y1, y2 = sorted((part[2] * height, part[3] * height))
    there = page.to_user_space((x1, y1, x2, y2))
    assert page.as_shown(there) == pytest.approx((x1, y1, x2, y2), abs=1e-6)
    assert page.box[0] - 1e-6 <= there[0] <= there[2] <= page.box[2] + 1e-6
    assert page.box[1] - 1e-6 <= there[1] <= there[3] <= page.box[3] + 1e-6
    assert page.to_user_space((0, 0, width, height)) == pytest.approx(page.box, abs=1e-6)


def test_the_same_place_is_found_again() -> None:
    placed = place_seal(page_pdf(Rotate=90), None, (42, 42))
    assert place_seal(page_pdf(Rotate=90), placed.asked, (42, 42)) == placed
