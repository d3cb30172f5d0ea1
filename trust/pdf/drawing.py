"""Drawing a page as a picture. Runs inside the sandbox, for a department's PDF may hold anything."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import pypdfium2

from trust.model.errors import Malformed

_PIXELS_WIDE = 1240
_MAX_PIXELS = 12_000_000
_PNG = b"\x89PNG\r\n\x1a\n"


def draw_page_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    """The page numbered `page` (0-based, -1 the last) of the PDF, with its seal, as PNG in base64."""
    return {"png": base64.b64encode(draw_page(blobs[0], int(arguments.get("page", 0)))).decode()}


def decode_png(answer: dict[str, Any]) -> bytes:
    """The picture in the answer of a job that draws. Raises `ValueError` for anything else."""
    png = base64.b64decode(answer["png"], validate=True)
    if not png.startswith(_PNG):
        raise ValueError("not a PNG")
    return png


def draw_page(pdf: bytes, page: int, *, pixels_wide: int = _PIXELS_WIDE) -> bytes:
    """PNG, 1240 pixels wide unless told otherwise. Raises `Malformed` for a page that cannot be drawn."""
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
        picture = drawn.render(scale=scale, may_draw_forms=True).to_pil()
        drawn.close()
    finally:
        document.close()
    out = io.BytesIO()
    picture.convert("RGB").save(out, "PNG", optimize=False)
    return out.getvalue()
