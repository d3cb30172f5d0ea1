"""Placing the seal on a department's own page, in millimetres of the page as shown, upright and completely visible.

A place where the seal would be cut off, or in the margin that printers leave white, is refused before anything is
reserved, because a licence without a visible seal would pass every other check.
"""

from __future__ import annotations

from dataclasses import dataclass

from issuer.sealing.use import SealPlace
from trust.model.ecertificate import PlaceOnPage
from trust.model.errors import Malformed
from trust.pdf.geometry import PageAsShown, page_as_shown, pages_of
from trust.pdf.reading import open_pdf

EDGE_MM = 5.0
_FROM_RIGHT_MM, _FROM_BOTTOM_MM = 60.0, 60.0
"""The default place of the seal's centre: the lower right, over the issuer's name on most letters."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The requested or default place (`asked`), and the rectangle on the page (`place`)."""

    asked: PlaceOnPage
    place: SealPlace


def place_seal(pdf: bytes, asked: PlaceOnPage | None, size_mm: tuple[float, float]) -> Placed:
    """The place of a seal of this size (width, height) on the page. Raises `Malformed` (PLACE_NO_PAGE,
    PLACE_NO_ROOM, PLACE_OFF_PAGE, PAGE_SIZE)."""
    pages = pages_of(open_pdf(pdf).root)
    number = -1 if asked is None else asked.page
    if not -len(pages) <= number < len(pages):
        raise Malformed(
            f"The PDF has {len(pages)} pages, so there is no page {number}.",
            "Count from 0; -1 is the last page.",
            code="PLACE_NO_PAGE",
        )
    page = page_as_shown(pages[number])
    if asked is None:
        asked = _usual(page, size_mm)
    return Placed(asked, _on_page(page, asked, size_mm))


def _usual(page: PageAsShown, size_mm: tuple[float, float]) -> PlaceOnPage:
    (width, height), (wide, high) = page.size_mm, size_mm
    x = min(max(width - _FROM_RIGHT_MM, width / 2), width - EDGE_MM - wide / 2)
    y = min(max(_FROM_BOTTOM_MM, EDGE_MM + high / 2), height - EDGE_MM - high / 2)
    return PlaceOnPage(-1, x, y)


def _on_page(page: PageAsShown, asked: PlaceOnPage, size_mm: tuple[float, float]) -> SealPlace:
    (width, height), (wide, high) = page.size_mm, size_mm
    left, right = asked.centre_x_mm - wide / 2, asked.centre_x_mm + wide / 2
    bottom, top = asked.centre_y_mm - high / 2, asked.centre_y_mm + high / 2
    least_x, most_x = EDGE_MM + wide / 2, width - EDGE_MM - wide / 2
    least_y, most_y = EDGE_MM + high / 2, height - EDGE_MM - high / 2
    if least_x > most_x or least_y > most_y:
        raise Malformed(
            f"The page is {width:.0f} × {height:.0f} mm, too small for a seal of {wide:.0f} × {high:.0f} mm.",
            "Use a larger page or a smaller seal.",
            code="PLACE_NO_ROOM",
        )
    # Tolerate a tenth of a millimetre for rounding.
    if not (least_x - 0.1 <= asked.centre_x_mm <= most_x + 0.1) or not (
        least_y - 0.1 <= asked.centre_y_mm <= most_y + 0.1
    ):
        raise Malformed(
            f"The seal would not be wholly on the page, or nearer than {EDGE_MM:.0f} mm to its edge.",
            f"The page is shown {width:.0f} × {height:.0f} mm: place the centre from {least_x:.0f} to {most_x:.0f} mm "
            f"from the left and from {least_y:.0f} to {most_y:.0f} mm from the bottom.",
            code="PLACE_OFF_PAGE",
        )
    return SealPlace(asked.page, *page.to_user_space((left, bottom, right, top)), page)
