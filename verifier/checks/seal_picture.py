"""Comparing the sizes of what a page shows in a seal's place and of the picture in its seal data.

A worker that judges files must not decode pictures or draw pages; `seal_drawing` does, in workers of its own.
"""

from __future__ import annotations

from trust.model.errors import VerificationError
from verifier.checks.answers import Compare, ComparedBefore
from verifier.checks.pdf import Appearance
from verifier.checks.seal_on_page import SealOnPage

_MAX_PICTURE_BYTES = 512 * 1024
_MAX_MM = 80
_POINTS_PER_MM = 72 / 25.4
_SIZE_TOLERANCE_UNITS = 1.5
"""Tolerance for coordinates in whole units. The drawing itself is compared in its exact size."""


def seal_on_page(shown: Appearance, picture: bytes, width_mm: int, height_mm: int) -> SealOnPage:
    """The pair to be compared by drawing. Raises `VerificationError` (SEAL_PICTURE_DIFFERS) if the sizes differ."""
    if not (0 < width_mm <= _MAX_MM and 0 < height_mm <= _MAX_MM) or len(picture) > _MAX_PICTURE_BYTES:
        raise VerificationError("The seal data holds a picture that no seal has.", code="SES_MALFORMED")
    tolerance = _SIZE_TOLERANCE_UNITS * max(1.0, shown.unit)
    if (
        abs(shown.width - width_mm * _POINTS_PER_MM) > tolerance
        or abs(shown.height - height_mm * _POINTS_PER_MM) > tolerance
    ):
        raise VerificationError(
            "The page shows the seal in another size than its own.", code="SEAL_PICTURE_DIFFERS"
        )
    return SealOnPage(shown.pdf, shown.drawing, picture, width_mm)


def _compare_here(seal: SealOnPage) -> None:
    from verifier.checks.seal_drawing import compare

    compare(seal)


compare_here: Compare = ComparedBefore(_compare_here)
