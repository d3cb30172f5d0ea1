"""Laying out an e-certificate: from checked values to a PDF/A-3a and PDF/UA-1, and the place of its seal.

The page has what a reader needs (fields, issuer, date, the QR, how to check it) and one attachment,
`ecertificate.json`, with the caller's bytes. It does not have the seal, which is drawn when the page is sealed, over
the issuer's name and the date (骑年盖月), at `RenderedPage.seal`.

The same input gives the same bytes, because the time in the file is the caller's, fonts and layouts come with the
service, and nothing else is read.

A page is set at full size first. Each block of text reports its height; one that is too high is set again smaller. A
text that does not fit at the smallest size is refused with `OVER_LONG` and the field to shorten, so nothing is ever cut
off or overlaps.
"""

from __future__ import annotations

import base64
import json
import math
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import typst

from issuer.catalogue import Role, TypeProfile
from issuer.catalogue.checking import show_date
from issuer.rendering.fonts import text_width, typst_fonts
from issuer.rendering.photo import photo_jpeg
from issuer.rendering.qr import printed_code
from issuer.rendering.title import title_lines
from trust.model.errors import OperationalError, ProfileViolation, Violation
from trust.model.identifiers import Identifier

_POINTS_PER_MM = 72 / 25.4
_SCALES = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6)  # 0.6 of 14 pt is 8.4 pt, the smallest readable size
_MOST_PAGES = 12
_PITCH = 29.0  # points from line to line of a 批文
_PITCHES = (25.0, 33.0)
_MOST_EMPTY = 4.5 * _PITCH
"""The most points that may stay empty at the foot of a page before the last. More looks like the document's end."""
_HEAD_LINES = 8  # the height above the text on the first page, in lines
_SEAL_POINTS, _FOOT_POINTS = 200, 180  # heights of the last two lines with the seal, and of code and colophon
_TITLE_EM = 19.0  # of 22 pt: a little less than the type area
_BLANK = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>'
_UNBREAKABLE = re.compile(r"[!-~À-ɏ]{9,}")


@dataclass(frozen=True, slots=True)
class PageData:
    """The content of a page. `fields` are display strings (`issuer.catalogue.shown_fields`), full or masked."""

    fields: Mapping[str, tuple[str, ...]]
    issuer_zh: str
    issuer_en: str
    issued_on: date
    identifier: Identifier
    host: str
    qr_text: str
    ecertificate_json: bytes
    created_at: datetime
    photo: bytes | None = None
    seal_width_mm: float = 42.0
    seal_height_mm: float = 42.0


@dataclass(frozen=True, slots=True)
class SealBox:
    """A rectangle in PDF points, origin at the bottom left of page `page` (from 0)."""

    page: int
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class RenderedPage:
    pdf: bytes
    pages: int
    seal: SealBox
    qr_version: int


def render(profile: TypeProfile, page: PageData) -> RenderedPage:
    """The page of type `profile`. Raises `ProfileViolation` if a text does not fit or the photograph is unsuitable."""
    code = printed_code(page.qr_text)
    inputs = {
        "page": json.dumps(_layout_input(profile, page), ensure_ascii=False),
        "qr": code.svg,
        "ground": _ground(profile.layout),
        "photo": _photo(profile, page),
        "attachment": page.ecertificate_json.decode("utf-8"),
    }
    with _press.lock:
        compiler = _press.compiler(profile.layout)
        try:
            # Most records fit at full size, so make the final PDF at that size at once.
            scales: dict[str, float] = {}
            pdf, too_large = _pdf(compiler, inputs, page, scales)
            if too_large:
                scales = _fitting_scales(compiler, inputs, page.fields)
                pdf, _ = _pdf(compiler, inputs, page, scales)
            filling = _filling_scales(compiler, inputs)
            if filling is not None:
                pdf, _ = _pdf(compiler, inputs, page, filling)
            seal = json.loads(compiler.query("<seal>", field="value", one=True))
        except typst.TypstError as exc:
            raise OperationalError(f"A layout failed: {exc.diagnostic}", "Report it with the type.") from exc
    if seal["pages"] > _MOST_PAGES:
        raise ProfileViolation([_longest([field.name for field in profile.fields], page.fields)])
    return RenderedPage(pdf, seal["pages"], _seal_place(seal, page), code.version)


# Setting and fitting ---------------------------------------------------------------------------------------


def _pdf(
    compiler: typst.Compiler, inputs: dict[str, str], page: PageData, scales: dict[str, float]
) -> tuple[bytes, list[dict[str, Any]]]:
    """The page with its blocks at these scales, and the blocks that are too large."""
    pdf = compiler.compile(
        sys_inputs=inputs | {"scales": json.dumps(scales)},
        format="pdf",
        pdf_standards=["a-3a", "ua-1"],
        timestamp=int(page.created_at.timestamp()),
    )
    assert isinstance(pdf, bytes), "one PDF is one bytes object"
    return pdf, _too_large(compiler, page.fields, scales)


def _fitting_scales(
    compiler: typst.Compiler, inputs: dict[str, str], fields: Mapping[str, tuple[str, ...]]
) -> dict[str, float]:
    """The scale of each block that does not fit at full size."""
    scales: dict[str, float] = {}
    while too_large := _too_large(compiler, fields, scales):
        for block in too_large:
            region = block["region"]
            scales[region] = _smaller(block, fields, scales.get(region, 1.0))
        compiler.compile(sys_inputs=_draft(inputs, scales), format="png", ppi=2)
    return scales


def _filling_scales(compiler: typst.Compiler, inputs: dict[str, str]) -> dict[str, float] | None:
    """The distance between lines, and whether the code is beside the seal, with which a document of several pages
    leaves the least space empty, among a few likely ones. None if the last compiled page is good enough, or none is
    better."""
    marks = _marks(compiler)
    least, found = _emptiness(marks), None
    if least <= _MOST_EMPTY:
        return None
    for scales in _likely_scales(marks):
        compiler.compile(sys_inputs=_draft(inputs, scales), format="png", ppi=2)
        if (empty := _emptiness(_marks(compiler))) < least:
            least, found = empty, scales
        if least <= _MOST_EMPTY:
            break
    return found


def _marks(compiler: typst.Compiler) -> dict[str, dict[str, Any]]:
    """The positions of text, last lines and foot, if the layout reports them (<flow>)."""
    return {mark["name"]: mark for mark in json.loads(compiler.query("<flow>", field="value"))}


def _emptiness(marks: Mapping[str, Mapping[str, Any]]) -> float:
    """How many points stay empty at the foot of pages before the last one."""
    if not marks:
        return 0.0
    text, kept, foot = marks["text"], marks["kept"], marks["foot"]
    empty = 0.0
    if kept["page"] > text["page"]:
        empty += float(text["bottom"] - text["y"])
    if foot["page"] > kept["page"]:
        empty += float(foot["bottom"] / 2)  # a page with the code only
    return empty


def _likely_scales(marks: Mapping[str, Mapping[str, Any]]) -> list[dict[str, float]]:
    """Scales to try. Wider line spacing moves more text to the page of the seal; narrower spacing makes room for
    seal and code. The pitch nearest to the norm's comes first. Each try takes half as long as a page."""
    text, kept = marks["text"], marks["kept"]
    if kept["page"] == text["page"]:  # only the foot did not fit
        return [{"compact": 1.0, "pitch": pitch} for pitch in (29.0, 28.0, 30.0, 27.0, 31.0, 32.0, 33.0)]
    lines = (text["page"] - 1) * 22 + (text["y"] - 105) / _PITCH - _HEAD_LINES
    empty = text["bottom"] - text["y"]
    wider = _PITCH + (empty - _MOST_EMPTY) / max(lines, 1)
    narrower = _PITCH - (_SEAL_POINTS + _FOOT_POINTS - empty) / max(lines, 1)
    tries = [math.ceil(wider * 2) / 2, math.ceil(wider * 2) / 2 + 1, math.floor(narrower * 2) / 2]
    tries.sort(key=lambda each: abs(each - _PITCH))
    return [{"pitch": pitch} for pitch in tries if _PITCHES[0] <= pitch <= _PITCHES[1]]


def _draft(inputs: dict[str, str], scales: dict[str, float]) -> dict[str, str]:
    """Inputs for a quick layout without ornaments and codes, which do not move text."""
    return inputs | {"scales": json.dumps(scales), "qr": _BLANK, "ground": _BLANK, "photo": _BLANK}


def _too_large(
    compiler: typst.Compiler, fields: Mapping[str, tuple[str, ...]], scales: Mapping[str, float]
) -> list[dict[str, Any]]:
    """The blocks of the last compiled page that are too large. A query does not lay out again, so it is cheap."""
    blocks = json.loads(compiler.query("<fit>", field="value"))
    return [block for block in blocks if not _fits(block, fields, scales)]


def _fits(
    block: Mapping[str, Any], fields: Mapping[str, tuple[str, ...]], scales: Mapping[str, float]
) -> bool:
    widest = _widest_run(block["names"], fields) * block["size"] * scales.get(block["region"], 1.0)
    return bool(block["height"] <= block["room"] + 0.01 and widest <= block["column"])


def _smaller(block: Mapping[str, Any], fields: Mapping[str, tuple[str, ...]], scale: float) -> float:
    """The next scale to try. To fill a fraction of its area, text must shrink by the square root of that. Raises
    `ProfileViolation` (OVER_LONG) below the smallest."""
    likely = scale * math.sqrt(block["room"] / max(block["height"], block["room"])) + 0.025
    for step in _SCALES:
        if step < scale and step <= likely:
            return step
    if scale > _SCALES[-1]:
        return _SCALES[-1]
    raise ProfileViolation([_longest(block["names"], fields)])


def _widest_run(names: Sequence[str], fields: Mapping[str, tuple[str, ...]]) -> float:
    """The width in em of the widest run of letters and digits without a possible line break."""
    runs = (run for name in names for value in fields.get(name, ()) for run in _UNBREAKABLE.findall(value))
    return max(map(text_width, runs), default=0.0)


def _longest(names: Sequence[str], fields: Mapping[str, tuple[str, ...]]) -> Violation:
    """The violation for the longest text, which helps most if it is shortened."""
    longest = max(names, key=lambda name: sum(map(len, fields.get(name, ()))))
    return Violation(longest, "OVER_LONG", "more than the page holds", "shorten it")


class _Press:
    """One compiler for each layout, reused. typst compilers keep state, so only one thread may use them at a time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._compilers: dict[str, typst.Compiler] = {}

    def compiler(self, layout: str) -> typst.Compiler:
        if layout not in self._compilers:
            self._compilers[layout] = typst.Compiler(
                input=_layouts() / layout, root=_layouts(), font_paths=typst_fonts(), ignore_system_fonts=True
            )
        return self._compilers[layout]


_press = _Press()


@cache
def _layouts() -> Path:
    # The package must be installed as a folder, because typst reads its sources from disk.
    return Path(cast(Path, files("issuer.rendering").joinpath("layouts")))


@cache
def _ground(layout: str) -> str:
    """The ornaments behind a layout as SVG, cached, because drawing them takes longer than a page."""
    source = _layouts() / layout.replace(".typ", "-ground.typ")
    if not source.exists():
        return ""
    svg = typst.compile(
        source, root=_layouts(), font_paths=typst_fonts(), ignore_system_fonts=True, format="svg"
    )
    # Typst writes nine decimals, but a thousandth of a point is finer than any printer.
    return re.sub(r"-?\d+\.\d+", lambda m: f"{float(m[0]):.3f}".rstrip("0").rstrip("."), svg.decode("utf-8"))


def _layout_input(profile: TypeProfile, page: PageData) -> dict[str, object]:
    return {
        "title": profile.name.zh,
        "title_en": profile.name.en,
        "title_lines": title_lines("".join(page.fields.get("title", ())), _TITLE_EM),
        "fields": [
            {
                "name": field.name,
                "role": field.role.value if field.role else "",
                "zh": field.label.zh,
                "en": field.label.en,
                "values": list(page.fields[field.name]),
            }
            for field in profile.fields
            if page.fields.get(field.name)
        ],
        "issuer_zh": page.issuer_zh,
        "issuer_en": page.issuer_en,
        "issued_on": show_date(page.issued_on),
        "identifier": str(page.identifier),
        "host": page.host,
        "seal": [page.seal_width_mm, page.seal_height_mm],
    }


def _photo(profile: TypeProfile, page: PageData) -> str:
    """The photograph inside an SVG, because inputs of a layout are text."""
    field = profile.with_role(Role.PHOTO)
    if field is None:
        return ""
    if page.photo is None:
        raise ProfileViolation([Violation(field.name, "MISSING", "no photograph", "attach one")])
    data = base64.b64encode(photo_jpeg(page.photo, field=field.name)).decode("ascii")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 35 49">'
        f'<image width="35" height="49" href="data:image/jpeg;base64,{data}"/></svg>'
    )


def _seal_place(placed: Mapping[str, float], page: PageData) -> SealBox:
    width, height = page.seal_width_mm * _POINTS_PER_MM, page.seal_height_mm * _POINTS_PER_MM
    x = placed["x"] - width / 2
    y = placed["height"] - placed["y"] - height / 2
    return SealBox(
        int(placed["page"]) - 1, round(x, 3), round(y, 3), round(x + width, 3), round(y + height, 3)
    )
