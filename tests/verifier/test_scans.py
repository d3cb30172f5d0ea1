"""Scans and pictures of licences: judged by the code that they show, never called altered, or named with what to do."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pypdfium2
import pytest
from PIL import Image
from support.world import World

from issuer.presenting.presenting import Level
from trust.model.actor import OPERATOR
from trust.model.errors import OperationalError
from trust.model.report import Colour, Report, Verdict
from trust.model.status import StatusAct
from trust.sandbox.lanes import Lane
from verifier.checks.kinds import name_kind
from verifier.checks.pictures import read_codes
from verifier.sentences import words_for

Picture = Image.Image


def page_of(pdf: bytes, scale: float = 2.5) -> Picture:
    document = pypdfium2.PdfDocument(pdf)
    document.init_forms()
    try:
        page: Picture = document[len(document) - 1].render(scale=scale).to_pil().convert("RGB")
        return page
    finally:
        document.close()


def scan_of(*pages: Picture) -> bytes:
    """A PDF as a scanner writes it: a picture on each page."""
    out = io.BytesIO()
    pages[0].save(out, "PDF", resolution=180, save_all=True, append_images=list(pages[1:]))
    return out.getvalue()


def file_of(picture: Picture, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def blank(like: Picture) -> Picture:
    return Image.new("RGB", like.size, "white")


def code_of(report: Report) -> tuple[Verdict, str, Colour]:
    return report.verdict, report.code, report.colour


AMBER_COPY = (Verdict.INDETERMINATE, "COPY_WITH_CODE", Colour.AMBER)


def test_a_scan_is_judged_by_its_code_and_asks_to_be_compared(world: World) -> None:
    _, pdf = world.issue()
    scan = scan_of(page_of(pdf))
    bundle = world.bundle()
    for report in (world.verify(scan), world.verify_offline(scan, bundle)):
        assert code_of(report) == AMBER_COPY, report.findings
        assert report.kind == "scan"
        assert any(each.value == "JY29901010000001" for each in report.shown)
        assert "核对" in words_for(report, "zh-CN").advice
        assert "page" in report.not_checked


@pytest.mark.parametrize(
    ("act", "reason", "expected"),
    [
        (StatusAct.REVOKE, "penalty", (Verdict.FAILED, "REVOKED", Colour.RED)),
        (StatusAct.SUSPEND, "投诉", (Verdict.FAILED, "SUSPENDED", Colour.AMBER)),
    ],
)
def test_a_scan_of_one_that_is_not_in_force_keeps_that_verdict(
    world: World, act: StatusAct, reason: str, expected: tuple[Verdict, str, Colour]
) -> None:
    issued, pdf = world.issue()
    scan = scan_of(page_of(pdf))
    world.site.issuer.statuses.change(OPERATOR, issued.pid, act, reason=reason)
    assert code_of(world.verify(scan)) == expected
    assert code_of(world.verify_offline(scan, world.bundle())) == expected


def test_a_forged_code_on_a_scan_is_no_good(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    _, pdf = world.issue()
    from support.shown import shown

    text = shown(pdf).code
    spoiled = text[:-8] + ("A" * 8 if text[-8:] != "A" * 8 else "B" * 8)
    import qrcode

    scan = scan_of(qrcode.make(spoiled).convert("RGB"))
    assert world.verify(scan).verdict is not Verdict.PASSED
    assert world.verify(scan).code != "COPY_WITH_CODE"


def test_only_the_first_twenty_pages_are_searched(world: World) -> None:
    _, pdf = world.issue()
    page = page_of(pdf, 1.6)
    empty = [blank(page)] * 19
    assert code_of(world.verify(scan_of(*empty, page))) == AMBER_COPY
    late = world.verify(scan_of(*empty, blank(page), page))
    assert (late.verdict, late.code) == (Verdict.INDETERMINATE, "NO_SEAL")


def test_a_scan_without_a_code_of_ours_stays_without_a_seal(world: World) -> None:
    import qrcode

    strange = qrcode.make("https://pay.example/0815").convert("RGB")
    for scan in (scan_of(strange), scan_of(Image.new("RGB", (1200, 1600), "white"))):
        assert world.verify(scan).code == "NO_SEAL"


def test_a_live_code_on_a_scan_is_not_used_up(world: World) -> None:
    import qrcode

    issued, _ = world.issue()
    presenting = world.site.issuer.presenting
    live, _ = presenting.code(
        presenting.start(OPERATOR, issued.pid, purpose="核验", level=Level.NAMED), world.clock.now()
    )
    assert world.verify(scan_of(qrcode.make(live).convert("RGB"))).code == "NO_SEAL"
    assert world.verify(live).verdict is Verdict.PASSED


def side_by_side(*pages: Picture) -> Picture:
    wide = Image.new("RGB", (sum(p.width for p in pages), max(p.height for p in pages)), "white")
    left = 0
    for page in pages:
        wide.paste(page, (left, 0))
        left += page.width
    return wide


def test_two_licences_in_one_picture_are_both_named(world: World) -> None:
    _, one = world.issue(1)
    issued, two = world.issue(2)
    world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
    both = side_by_side(page_of(one, 2), page_of(two, 2))
    for given in (file_of(both, "JPEG", quality=85), scan_of(page_of(one), page_of(two))):
        report = world.verify(given)
        assert (report.verdict, report.code, report.colour) == (
            Verdict.INDETERMINATE, "SEVERAL_LICENCES", Colour.AMBER,
        ), report.findings  # fmt: skip
        values = " ".join(each.value for each in report.shown)
        assert "JY29901010000001" in values
        assert "JY29901010000002" in values
        assert "REVOKED" in values
        listed: Any = report.facts["licences"]
        assert sorted(each["code"] for each in listed) == ["OK", "REVOKED"]
    twice = side_by_side(page_of(one, 2), page_of(one, 2))
    assert world.verify(file_of(twice, "PNG")).code == "OK"


def transparent(picture: Picture, under: int) -> Picture:
    """Ink on nothing; the colour under what is transparent is `under`."""
    grey = picture.convert("L")
    alpha = grey.point([255 if v < 128 else 0 for v in range(256)])
    clear = Image.new("RGBA", picture.size, (under, under, under, 0))
    clear.paste((0, 0, 0, 255), mask=alpha)
    return clear


WAYS: dict[str, Callable[[Picture], bytes]] = {
    "on nothing, black under it": lambda p: file_of(transparent(p, 0), "PNG"),
    "on nothing, white under it": lambda p: file_of(transparent(p, 255), "PNG"),
    "webp on nothing": lambda p: file_of(transparent(p, 0), "WEBP", lossless=True),
    "grey and alpha": lambda p: file_of(transparent(p, 0).convert("LA"), "PNG"),
    "palette with a transparent colour": lambda p: file_of(
        p.convert("L").quantize(2), "PNG", transparency=p.convert("L").quantize(2).getpixel((0, 0))
    ),
    "16 bits": lambda p: file_of(p.convert("I").point(lambda v: v * 257).convert("I;16"), "PNG"),
    "one bit": lambda p: file_of(p.convert("1"), "TIFF"),
    "cmyk": lambda p: file_of(p.convert("CMYK"), "JPEG", quality=90),
    "turned": lambda p: file_of(p.rotate(90, expand=True), "PNG"),
    "second page of a tiff": lambda p: file_of(blank(p), "TIFF", save_all=True, append_images=[p]),
    "gif": lambda p: file_of(p.convert("L"), "GIF"),
    "bmp": lambda p: file_of(p, "BMP"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_pictures_of_every_kind_are_read(world: World, way: Callable[[Picture], bytes]) -> None:
    _, pdf = world.issue()
    report = world.verify(way(page_of(pdf, 2)))
    assert report.code == "OK", report.findings


@pytest.mark.parametrize(
    ("kind", "size", "mode"),
    [
        ("JPEG", (8000, 6000), "RGB"),
        ("PNG", (8000, 6000), "RGB"),
        ("PNG", (8000, 6000), "RGBA"),
        ("JPEG", (16000, 12000), "L"),
    ],
)
def test_forty_eight_megapixels_are_read_in_the_memory_there_is(
    world: World, kind: str, size: tuple[int, int], mode: str
) -> None:
    _, pdf = world.issue()
    page = page_of(pdf, 3)
    large = Image.new(mode, size, "white")
    large.paste(page.convert(mode).resize((page.width * 2, page.height * 2)), (300, 300))
    data = file_of(large, kind, **({"quality": 80} if kind == "JPEG" else {"compress_level": 1}))
    del large
    assert len(data) < 20 * 1024 * 1024
    assert world.verify(data).code == "OK"


def test_a_bomb_of_pixels_is_refused() -> None:
    data = file_of(Image.new("1", (30000, 30000)), "PNG")
    with pytest.raises(Exception, match="too many pixels"):
        read_codes(data)


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name in names:
            packed.writestr(name, b"x" * 40)
    return out.getvalue()


KINDS = {
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), "KIND_HEIC"),
    "avif": (b"\0\0\0\x1cftypavif\0\0\0\0" + bytes(200), "KIND_HEIC"),
    "ofd": (zipped("OFD.xml", "Doc_0/Document.xml"), "KIND_OFD"),
    "ofd, not first": (zipped("Doc_0/Document.xml", "OFD.xml"), "KIND_OFD"),
    "docx": (zipped("[Content_Types].xml", "word/document.xml"), "KIND_OFFICE"),
    "xlsx, types last": (zipped("xl/workbook.xml", "[Content_Types].xml"), "KIND_OFFICE"),
    "odt": (zipped("mimetype", "content.xml"), "KIND_OFFICE"),
    "doc of old": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "KIND_OFFICE"),
    "zip": (zipped("licence.pdf"), "KIND_PACKED"),
    "empty zip": (zipped(), "KIND_PACKED"),
    "rar": (b"Rar!\x1a\x07\x01\0" + bytes(100), "KIND_PACKED"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(100), "KIND_PACKED"),
    "noise": (bytes(range(256)) * 40, None),
}


@pytest.mark.parametrize(("data", "kind"), KINDS.values(), ids=KINDS.keys())
def test_files_that_cannot_be_checked_are_named_with_what_to_do(
    world: World, data: bytes, kind: str | None
) -> None:
    assert name_kind(data) == kind
    report = world.verify(data)
    assert report.colour is Colour.GREY
    assert report.code == (kind or "NOT_A_PDF")
    for language in ("zh-CN", "en"):
        assert words_for(report, language).advice


def test_a_reader_that_cannot_start_is_no_word_about_the_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pdf = world.issue()

    def down(*_: Any) -> Any:
        raise OperationalError("cannot start", code="READER_DOWN")

    picture, scan = file_of(page_of(pdf), "PNG"), scan_of(page_of(pdf))
    monkeypatch.setattr(type(world.site.sandboxes.of[Lane.MACHINE]), "run", down)
    for given in (pdf, picture, scan):
        with pytest.raises(OperationalError):
            world.verify(given)


def test_a_comparing_part_that_cannot_start_is_no_word_about_the_file(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, pdf = world.issue()
    works = type(world.site.sandboxes.of[Lane.MACHINE]).run

    def down(self: Any, job: str, *arguments: Any, **options: Any) -> Any:
        if job == "compare-seal":
            raise OperationalError("cannot start", code="READER_DOWN")
        return works(self, job, *arguments, **options)

    monkeypatch.setattr(type(world.site.sandboxes.of[Lane.MACHINE]), "run", down)
    with pytest.raises(OperationalError):
        world.verify(pdf)
