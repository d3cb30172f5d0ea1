"""A seal as a page shows it, with the picture to compare it with."""

from __future__ import annotations

from dataclasses import dataclass

from trust.encoding.digests import sha256


@dataclass(frozen=True, slots=True)
class SealOnPage:
    """What a page shows in a seal's place, and the picture (PNG) that its seal data holds, `width_mm` wide."""

    shown: bytes
    drawing: bytes
    picture: bytes
    width_mm: int

    @property
    def key(self) -> tuple[bytes, bytes, int]:
        """A key that is equal for the same seal on another file."""
        return self.drawing, sha256(self.picture), self.width_mm
