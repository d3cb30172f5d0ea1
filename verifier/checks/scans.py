"""Reading the codes on the pages of a PDF that is a scan or was printed to a new file.

Drawing and decoding happen in a worker that does nothing else (`trust.sandbox.workers.Apart`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pypdfium2

from trust.model.errors import Malformed, TrustError
from trust.pdf.drawing import draw_page, seconds_left
from verifier.checks.pictures import read_codes

MAX_PAGES = 20
_PIXELS_WIDE = 2000
_SECONDS_A_PAGE = 1.5
_ONCE_MORE_WIDE = 3200
"""The width of a second try: at the first size, a small code on a large page has few pixels for each module."""


def read_pages_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    """The sandbox job that returns the texts of the QR codes on the first pages, and how many pages were read."""
    try:
        document = pypdfium2.PdfDocument(blobs[0])
    except pypdfium2.PdfiumError as exc:
        raise Malformed("The file cannot be opened by a viewer.", code="BROKEN_PDF") from exc
    try:
        pages = len(document)
    finally:
        document.close()
    texts: dict[str, None] = {}
    looked_at = 0
    for number in range(min(pages, MAX_PAGES)):
        if seconds_left() < _SECONDS_A_PAGE:
            break  # keep what was found; at the time limit of the worker all of it would be lost
        looked_at += 1
        for pixels_wide in (_PIXELS_WIDE, _ONCE_MORE_WIDE):
            try:
                found = read_codes(draw_page(blobs[0], number, pixels_wide=pixels_wide))
            except TrustError:
                continue  # a page without a code, or one that cannot be drawn
            texts.update(dict.fromkeys(found))
            break
    return {"texts": list(texts), "pages": pages, "looked_at": looked_at}
