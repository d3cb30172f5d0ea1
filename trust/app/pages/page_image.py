"""The first page of an issued PDF as a picture, seal and all, for a holder to look at.

Only files that this service sealed and stored come here, never an upload: those are opened in the sandbox.
pdfium is not safe for threads, so one page is drawn at a time.
"""

from __future__ import annotations

import io
import threading

import pypdfium2

_MAX_PIXELS_WIDE = 1240


class PageImages:
    """Draws pages, one after the other."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def first_page_png(self, pdf: bytes) -> bytes:
        with self._turn:
            document = pypdfium2.PdfDocument(pdf)
            try:
                document.init_forms()  # the visible seal is the appearance of a signature field
                page = document[0]
                picture = page.render(scale=_MAX_PIXELS_WIDE / page.get_width(), may_draw_forms=True).to_pil()
                page.close()
            finally:
                document.close()
        out = io.BytesIO()
        picture.convert("RGB").save(out, "PNG", optimize=False)
        return out.getvalue()
