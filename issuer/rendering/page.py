"""Lay out one e-certificate: checked values in, a PDF/A-3b and the place of its seal out.

The page carries what a reader needs (fields, issuer, date, the QR, how to check it) and one attachment,
`ecertificate.json`, with the caller's bytes. It does not carry the seal: that is drawn when the page is
sealed, over the issuer's name and the date (骑年盖月), at `RenderedPage.seal`.

The same input gives the same bytes: the time in the file is the caller's, fonts and layouts come with the
service, and nothing else is read.

A layout tries its sizes from large to small. If a text does not fit at the smallest, the page is refused with
`OVER_LONG` and the fields that are too long; nothing is ever cut, and nothing runs into anything else.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import cast

import typst

from issuer.catalogue import Role, TypeProfile
from issuer.catalogue.checking import show_date
from issuer.rendering.fonts import typst_fonts
from issuer.rendering.photo import photo_jpeg
from issuer.rendering.qr import printed_code
from trust.model.errors import OperationalError, ProfileViolation, Violation
from trust.model.identifiers import Identifier

_POINTS_PER_MM = 72 / 25.4
_OVER_LONG = "yinzheng-over-long:"  # agreed with layouts/common.typ


@dataclass(frozen=True, slots=True)
class PageData:
    """What stands on the page. `fields` are display strings (`issuer.catalogue.shown_fields`), full or masked."""

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
class SealPlace:
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
    seal: SealPlace
    qr_version: int


def render(profile: TypeProfile, page: PageData) -> RenderedPage:
    """The page of type `profile`. Raises `ProfileViolation` if a text or the photograph does not suit it."""
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
            pdf = compiler.compile(
                sys_inputs=inputs, format="pdf", pdf_standards=["a-3b"], pdf_tags=False, timestamp=int(page.created_at.timestamp())
            )
            # Same inputs, so the compiler answers this from what it has just laid out.
            placed = json.loads(compiler.query("<seal>", field="value", one=True))
        except typst.TypstError as exc:
            raise _layout_error(exc) from exc
    assert isinstance(pdf, bytes), "one PDF is one bytes object"
    return RenderedPage(pdf, placed["pages"], _seal_place(placed, page), code.version)


class _Press:
    """One compiler for each layout, kept warm. typst compilers remember their inputs: one thread at a time."""

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
    # Installed packages are folders here; typst reads its sources from disk.
    return Path(cast(Path, files("issuer.rendering").joinpath("layouts")))


@cache
def _ground(layout: str) -> str:
    """The ornaments behind a layout as SVG. Drawing them takes longer than a page, so they are drawn once."""
    source = _layouts() / layout.replace(".typ", "-ground.typ")
    if not source.exists():
        return ""
    svg = typst.compile(source, root=_layouts(), font_paths=typst_fonts(), ignore_system_fonts=True, format="svg")
    # Typst writes nine decimals; a thousandth of a point is finer than any printer.
    return re.sub(r"-?\d+\.\d+", lambda m: f"{float(m[0]):.3f}".rstrip("0").rstrip("."), svg.decode("utf-8"))


def _layout_input(profile: TypeProfile, page: PageData) -> dict[str, object]:
    return {
        "title": profile.name.zh,
        "title_en": profile.name.en,
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
    """The photograph inside an SVG: inputs to a layout are text."""
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


def _layout_error(exc: typst.TypstError) -> Exception:
    """A layout has one way to refuse: it panics with our mark and the fields that are too long."""
    _, mark, tail = exc.message.partition(_OVER_LONG)
    if mark:
        names = tail.split(";")[0].split(",")
        return ProfileViolation(
            [Violation(name, "OVER_LONG", "more than the page holds", "shorten it") for name in names]
        )
    return OperationalError(f"A layout failed: {exc.diagnostic}", "Report it with the certificate type.")


def _seal_place(placed: Mapping[str, float], page: PageData) -> SealPlace:
    width, height = page.seal_width_mm * _POINTS_PER_MM, page.seal_height_mm * _POINTS_PER_MM
    x = placed["x"] - width / 2
    y = placed["height"] - placed["y"] - height / 2
    return SealPlace(int(placed["page"]) - 1, round(x, 3), round(y, 3), round(x + width, 3), round(y + height, 3))
