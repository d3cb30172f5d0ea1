"""Comparing the sizes of what a page shows in a seal's place and of the picture in its seal data.

A worker that judges files must not decode pictures or draw pages; `seal_drawing` does, in workers of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from trust.model.errors import VerificationError
from verifier.checks.pdf import Appearance
from verifier.checks.seal_on_page import SealOnPage

_MAX_PICTURE_BYTES = 512 * 1024
_MAX_MM = 80
_POINTS_PER_MM = 72 / 25.4
_MOST_SEEN = 4096
_SIZE_TOLERANCE_UNITS = 1.5
"""Tolerance for coordinates in whole units. The drawing itself is compared in its exact size."""
Compare = Callable[[SealOnPage], None]
"""Returns if both show the same picture.

Raises `VerificationError` (SEAL_PICTURE_DIFFERS, SEAL_NOT_SHOWN, SES_MALFORMED).
"""


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


class ComparedBefore:
    """Calls `compare` only for pairs that have not agreed before: a seal shows the same picture on every file."""

    def __init__(self, compare: Compare) -> None:
        self._compare = compare
        self._agree: set[tuple[bytes, bytes, int]] = set()
        self._lock = threading.Lock()

    def __call__(self, seal: SealOnPage) -> None:
        key = seal.key
        with self._lock:
            if key in self._agree:
                return
        self._compare(seal)
        with self._lock:
            if len(self._agree) >= _MOST_SEEN:
                self._agree.clear()
            self._agree.add(key)


def _compare_here(seal: SealOnPage) -> None:
    from verifier.checks.seal_drawing import compare

    compare(seal)


compare_here: Compare = ComparedBefore(_compare_here)
