"""Drawing a page as a picture. Runs inside the sandbox, because a department's PDF may contain anything."""

from __future__ import annotations

import base64
import ctypes
import io
import math
import resource
import time
from collections.abc import Sequence
from typing import Any

import pypdfium2
from PIL import Image
from pypdfium2 import internal, raw

from trust.model.errors import EvidenceUnavailableError, Malformed

_PIXELS_WIDE = 1240
_MAX_PIXELS = 12_000_000
_MAX_OBJECTS = 50_000
"""The limit for one page, counting an object each time it is shown. A map has ten thousand."""
_MAX_IMAGE_PIXELS = 400_000_000
"""The limit for all pictures on one page: ten scans of it at 600 dpi."""
_MAX_PAINTED, _MAX_PAINTED_THROUGH = 500, 40
"""How often one page may be painted over completely; and with transparent objects, which take ten times as long."""
_SECONDS_TO_SPARE = 0.7
"""Remaining processor time at which drawing is given up, enough to answer before the process is killed."""
_PNG = b"\x89PNG\r\n\x1a\n"


def draw_page_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    """The sandbox job that draws the page numbered `page` (0-based, -1 the last), with its seal, as PNG in base64."""
    return {"png": base64.b64encode(draw_page(blobs[0], int(arguments.get("page", 0)))).decode()}


def decode_png(answer: dict[str, Any]) -> bytes:
    """The picture in the answer of a job that draws. Raises `ValueError` for anything else."""
    png = base64.b64decode(answer["png"], validate=True)
    if not png.startswith(_PNG):
        raise ValueError("not a PNG")
    return png


def seconds_left() -> float:
    """Processor time until this process is killed (`trust.sandbox.workers`); infinite without a limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_CPU)
    return float("inf") if soft == resource.RLIM_INFINITY else soft - time.process_time()


def draw_page(pdf: bytes, page: int, *, pixels_wide: int = _PIXELS_WIDE) -> bytes:
    """The page (0-based, -1 the last) as PNG, 1240 pixels wide by default.

    Raises `Malformed` for a page that cannot be drawn, and `EvidenceUnavailableError` (LIMIT_EXCEEDED) for one with too
    many objects or pixels in its pictures, or that takes too long.
    """
    try:
        document = pypdfium2.PdfDocument(pdf)
    except pypdfium2.PdfiumError as exc:
        raise Malformed("The page cannot be drawn.", "Open the PDF itself.", code="BROKEN_PDF") from exc
    try:
        document.init_forms()  # the visible seal is the appearance of a signature field
        drawn = document[page % len(document)]
        scale = pixels_wide / drawn.get_width()
        if pixels_wide * drawn.get_height() * scale > _MAX_PIXELS:
            raise Malformed("The page is too long to draw.", "Open the PDF itself.", code="LIMIT_EXCEEDED")
        _check_work(drawn)
        picture = _render(document, drawn, scale)
        drawn.close()
    finally:
        document.close()
    out = io.BytesIO()
    picture.convert("RGB").save(out, "PNG", optimize=False)
    return out.getvalue()


def _render(document: pypdfium2.PdfDocument, page: pypdfium2.PdfPage, scale: float) -> Image.Image:
    """As the library's `render`, but in steps, so that it can be stopped."""
    width, height = math.ceil(page.get_width() * scale), math.ceil(page.get_height() * scale)
    if width < 1 or height < 1:
        raise Malformed("The page has no area.", "Open the PDF itself.", code="BROKEN_PDF")
    bitmap = pypdfium2.PdfBitmap.new_native(width, height, format=raw.FPDFBitmap_BGR)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    given = (bitmap, page, 0, 0, width, height, 0, raw.FPDF_ANNOT)
    pause = raw.IFSDK_PAUSE(version=1)
    internal.set_callback(pause, "NeedToPauseNow", lambda _: int(seconds_left() < _SECONDS_TO_SPARE))
    status = raw.FPDF_RenderPageBitmap_Start(*given, pause)
    raw.FPDF_RenderPage_Close(page)
    if status != raw.FPDF_RENDER_DONE:
        raise _too_much()
    if page.formenv:
        raw.FPDF_FFLDraw(page.formenv, *given)
    picture: Image.Image = bitmap.to_pil()
    return picture


def _check_work(page: pypdfium2.PdfPage) -> None:
    """Estimates the work of drawing in advance. Raises `EvidenceUnavailableError` if it is too much."""
    left, bottom, right, top = page.get_bbox()
    area = max(1.0, (right - left) * (top - bottom))
    objects = pixels = 0
    painted = painted_through = 0.0
    edges = [ctypes.c_float() for _ in range(4)]
    width, height = ctypes.c_uint(), ctypes.c_uint()
    waiting = [
        (raw.FPDFPage_GetObject(page, at), False) for at in range(_at_most(raw.FPDFPage_CountObjects(page)))
    ]
    while waiting:
        shown, is_through = waiting.pop()
        objects += 1
        is_through = is_through or bool(raw.FPDFPageObj_HasTransparency(shown))
        if raw.FPDFPageObj_GetBounds(shown, *edges):
            x0, y0, x1, y1 = (each.value for each in edges)
            covered = (
                max(0.0, min(x1, right) - max(x0, left)) * max(0.0, min(y1, top) - max(y0, bottom)) / area
            )
            painted += covered
            painted_through += covered if is_through else 0.0
        kind = raw.FPDFPageObj_GetType(shown)
        if kind == raw.FPDF_PAGEOBJ_IMAGE and raw.FPDFImageObj_GetImagePixelSize(shown, width, height):
            pixels += width.value * height.value
        elif kind == raw.FPDF_PAGEOBJ_FORM:
            count = (
                _at_most(raw.FPDFFormObj_CountObjects(shown) + objects + len(waiting))
                - objects
                - len(waiting)
            )
            waiting += [(raw.FPDFFormObj_GetObject(shown, at), is_through) for at in range(count)]
        if pixels > _MAX_IMAGE_PIXELS or painted > _MAX_PAINTED or painted_through > _MAX_PAINTED_THROUGH:
            raise _too_much()


def _at_most(objects: int) -> int:
    if objects > _MAX_OBJECTS:
        raise _too_much()
    return objects


def _too_much() -> EvidenceUnavailableError:
    return EvidenceUnavailableError(
        "The page takes too much to draw.", "Open the PDF itself.", code="LIMIT_EXCEEDED"
    )
