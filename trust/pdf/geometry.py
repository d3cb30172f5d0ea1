"""Positions on a page as it is shown, by /MediaBox, /CropBox, /Rotate and /UserUnit.

    user space      the coordinates in a PDF: units of /UserUnit times 1/72 inch, any origin, never rotated
    as shown        millimetres from the left and bottom edge of what a reader shows and prints

The crop box is shown, clipped to the media box (ISO 32000-2 §14.11.2) and rotated clockwise by /Rotate (§7.7.3.3). All
but /UserUnit may be inherited from the page tree (§7.7.3.4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from trust.model.errors import Malformed
from trust.pdf.reading import MAX_PAGES

Rectangle = tuple[float, float, float, float]
"""left, bottom, right, top"""

_POINTS_PER_MM = 72 / 25.4
_A_LETTER: Rectangle = (0, 0, 612, 792)
"""The size that readers assume if a page has no /MediaBox."""
_MOST_LEVELS = 60
_MOST_UNIT = 75_000
"""The largest /UserUnit that readers support (ISO 32000-1, annex C)."""


@dataclass(frozen=True, slots=True)
class PageAsShown:
    """`box` is the visible part in user space; `turned` is 0, 90, 180 or 270 degrees clockwise; `unit` is /UserUnit."""

    box: Rectangle
    turned: int
    unit: float

    @property
    def units_per_mm(self) -> float:
        return _POINTS_PER_MM / self.unit

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height as shown, in millimetres."""
        left, bottom, right, top = self.box
        width, height = (right - left) / self.units_per_mm, (top - bottom) / self.units_per_mm
        return (height, width) if self.turned in (90, 270) else (width, height)

    @property
    def is_plain(self) -> bool:
        """True if user space and the page as shown differ only in the origin."""
        return self.turned == 0 and self.unit == 1

    def to_user_space(self, shown: Rectangle) -> Rectangle:
        """Converts a rectangle in millimetres as shown to user space."""
        (x1, y1), (x2, y2) = self._to_user(shown[0], shown[1]), self._to_user(shown[2], shown[3])
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    def as_shown(self, rectangle: Rectangle) -> Rectangle:
        """The inverse: converts a rectangle in user space to millimetres as shown."""
        (x1, y1), (x2, y2) = self._to_shown(*rectangle[:2]), self._to_shown(*rectangle[2:])
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    def upright(self, width: float, height: float) -> tuple[float, float, float, float, float, float]:
        """The matrix that draws a picture of `width` × `height` points upright and in its size into a form whose origin
        is its lower left corner in user space."""
        k = 1 / self.unit
        match self.turned:
            case 90:
                return 0, k, -k, 0, height * k, 0
            case 180:
                return -k, 0, 0, -k, width * k, height * k
            case 270:
                return 0, -k, k, 0, 0, width * k
            case _:
                return k, 0, 0, k, 0, 0

    def _to_user(self, x: float, y: float) -> tuple[float, float]:
        left, bottom, right, top = self.box
        u, v = x * self.units_per_mm, y * self.units_per_mm
        match self.turned:
            case 90:
                return right - v, bottom + u
            case 180:
                return right - u, top - v
            case 270:
                return left + v, top - u
            case _:
                return left + u, bottom + v

    def _to_shown(self, a: float, b: float) -> tuple[float, float]:
        left, bottom, right, top = self.box
        match self.turned:
            case 90:
                u, v = b - bottom, right - a
            case 180:
                u, v = right - a, top - b
            case 270:
                u, v = top - b, a - left
            case _:
                u, v = a - left, b - bottom
        return u / self.units_per_mm, v / self.units_per_mm


def pages_of(root: Any) -> list[Any]:
    """The page dictionaries in their order. Raises `Malformed` (PAGE_SIZE) for a malformed page tree."""
    found: list[Any] = []
    waiting, met = [(root["/Pages"], 0)], 0
    while waiting:
        node, depth = waiting.pop()
        met += 1
        if depth > _MOST_LEVELS or met > 2 * MAX_PAGES + _MOST_LEVELS:
            raise _unusable()
        if "/Kids" in node:
            kids = node["/Kids"]
            waiting += [(kids[n], depth + 1) for n in reversed(range(len(kids)))]
        else:
            found.append(node)
    return found


def page_as_shown(page: Any) -> PageAsShown:
    """The geometry of a page dictionary. Raises `Malformed` (PAGE_SIZE) if the page has no usable size."""
    try:
        media = _rectangle(_inherited(page, "/MediaBox"), _A_LETTER)
        crop = _rectangle(_inherited(page, "/CropBox"), media)
        box = _shared(media, crop)
        turned = int(_inherited(page, "/Rotate") or 0)
        unit = float(page["/UserUnit"]) if "/UserUnit" in page else 1.0
    except (TypeError, ValueError, KeyError, IndexError) as exc:
        raise _unusable() from exc
    if turned % 90 or not 0 < unit <= _MOST_UNIT or not math.isfinite(sum(box)):
        raise _unusable()
    if box[2] - box[0] < 1 or box[3] - box[1] < 1:
        raise _unusable()
    return PageAsShown(box, turned % 360, unit)


def _unusable() -> Malformed:
    return Malformed(
        "A page of the PDF has no size that can be used.", "Save it anew from its source.", code="PAGE_SIZE"
    )


def _inherited(page: Any, key: str) -> Any:
    for _ in range(_MOST_LEVELS):
        if key in page:
            return page[key]
        if "/Parent" not in page:
            return None
        page = page["/Parent"]
    return None


def _rectangle(found: Any, otherwise: Rectangle) -> Rectangle:
    """A rectangle from any two opposite corners (ISO 32000-2 §7.9.5)."""
    if found is None:
        return otherwise
    x1, y1, x2, y2 = (float(each) for each in found)
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


def _shared(media: Rectangle, crop: Rectangle) -> Rectangle:
    """The part of the crop box inside the media box; if it is empty, the media box, as readers do."""
    shared = (max(media[0], crop[0]), max(media[1], crop[1]), min(media[2], crop[2]), min(media[3], crop[3]))
    return shared if shared[0] < shared[2] and shared[1] < shared[3] else media
