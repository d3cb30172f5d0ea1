"""The inputs of sealing: an e-seal ready to be used, and its place on the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from keys.custody import SigningKey
from trust.model.seal import SealRole
from trust.pdf.further import CONTENTS_HEX_DIGITS, FIELD_OF
from trust.pdf.geometry import PageAsShown

FIELD_NAME = FIELD_OF[SealRole.LEGAL]
FIELD_IN_WORDS = {
    FIELD_OF[SealRole.LEGAL]: "签发机构电子印章 / E-seal of the issuing authority",
    FIELD_OF[SealRole.PERSONAL]: "责任人电子名章 / Name seal of the person responsible",
    FIELD_OF[SealRole.ABROAD]: "供境外核验的电子印章 / E-seal for readers abroad",
}
"""The texts that screen readers read for the fields of seals (/TU)."""
A4 = PageAsShown((0, 0, 595.276, 841.89), 0, 1)
__all__ = ["CONTENTS_HEX_DIGITS", "FIELD_IN_WORDS", "FIELD_NAME", "SealInUse", "SealPlace"]


@dataclass(frozen=True, slots=True)
class SealPlace:
    """The place of a seal: page (0-based; -1 is the last) and rectangle in the page's user space, which is points
    from the bottom left on our own pages. `shown` says how a department's page is shown."""

    page: int
    left: float
    bottom: float
    right: float
    top: float
    shown: PageAsShown = A4

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The rectangle in whole units: left, bottom, right, top. It is rounded so that the picture is never cut
        off."""
        left, bottom = round(self.left), round(self.bottom)
        width, height = math.ceil(self.right - self.left), math.ceil(self.top - self.bottom)
        return left, bottom, left + width, bottom + height


@dataclass(frozen=True, slots=True)
class SealInUse:
    """An e-seal ready to be used: key, certificates (DER; the sealing one first, no root), picture (PDF),
    national seal data (SESeal, DER). `stamped_by`: the digest under its time-stamp, if not the suite's own."""

    key: SigningKey
    certs: Sequence[bytes]
    picture_pdf: bytes
    seal_data: bytes
    stamped_by: str = ""

    @property
    def stamp_digest(self) -> str:
        """The digest over the signature in its time-stamp: that of the suite, or `stamped_by`."""
        return self.stamped_by or self.key.record.suite.digest

    @property
    def suite(self) -> str:
        return self.key.record.suite.value
