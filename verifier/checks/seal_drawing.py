"""Comparing the picture that a page shows with the one in the seal data, as people would see them.

One is a drawing in the PDF, the other a picture in the seal data, so their bytes never agree. Both are drawn in the
same size and aligned where their ink begins. A stroke may be a pixel wider, narrower or shifted, as renderers differ;
differences beyond that are averaged over small squares. So only what a person would see counts: another character, a
missing line, a moved star.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pypdfium2
from PIL import Image, ImageChops, ImageFilter, UnidentifiedImageError

from trust.model.errors import VerificationError
from verifier.checks.seal_on_page import SealOnPage

_SQUARES_PER_MM = 2.5
_MOST = 30
"""The largest accepted difference, out of 255. Measured over shapes and lengths of text: the same picture stays at or
below 6, artwork with rough edges at 22; replacing one character by the most similar one (市 by 巿) is above 40 in the
usual print. In the finest print, 24 characters around a star, that one change is 21 and is accepted; replacing it by
any less similar character is above 60 there."""
_INK = 100
_MARGIN = 8
_SIZE_TOLERANCE_PIXELS = 4
_POINTS_PER_MM = 72 / 25.4


def compare_seal_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    """The sandbox job. `blobs`: what the page shows (PDF), the picture (PNG)."""
    shown, picture = blobs
    compare(SealOnPage(shown, b"", picture, int(arguments["width_mm"])))
    return {}


def compare(seal: SealOnPage) -> None:
    """A `Compare` that draws in this process. Raises `VerificationError`."""
    wanted = _load(seal.picture)
    pixels_per_mm = wanted.width / seal.width_mm
    drawn = _draw(seal.shown, pixels_per_mm / _POINTS_PER_MM)
    difference = difference_of(drawn, wanted, pixels_per_mm)
    if difference > _MOST:
        raise VerificationError(
            f"The page shows another picture than the seal data holds (difference {difference} of 255).",
            code="SEAL_PICTURE_DIFFERS",
        )


def difference_of(shown: Image.Image, wanted: Image.Image, pixels_per_mm: float) -> int:
    """The largest difference of mean ink over small squares, 0 to 255, between two pictures of ink (mode L).

    Each is cropped to its ink, because coordinates on a page are whole points and may shift the picture by up to a
    third of a millimetre.
    """
    one, other = _cut(shown), _cut(wanted)
    if max(abs(one.width - other.width), abs(one.height - other.height)) > _SIZE_TOLERANCE_PIXELS:
        return 255
    wanted = _on_ground(other, other.size, (0, 0))
    # A stroke may be a pixel (a twelfth of a millimetre) wider, narrower or shifted; only larger differences count.
    widest, narrowest = wanted.filter(ImageFilter.MaxFilter(3)), wanted.filter(ImageFilter.MinFilter(3))
    side = pixels_per_mm / _SQUARES_PER_MM
    squares = (max(1, round(wanted.width / side)), max(1, round(wanted.height / side)))

    def largest(shift: tuple[int, int]) -> int:
        shown = _on_ground(one, other.size, shift)
        beyond = ImageChops.add(ImageChops.subtract(shown, widest), ImageChops.subtract(narrowest, shown))
        return int(beyond.resize(squares, Image.Resampling.BOX).getextrema()[1])  # type: ignore[arg-type]  # one band

    # The edge of the ink is known only to within a pixel, so the smallest difference of nine alignments counts.
    return min(largest((x, y)) for x in (0, -1, 1) for y in (0, -1, 1))


def _on_ground(ink: Image.Image, size: tuple[int, int], shift: tuple[int, int]) -> Image.Image:
    """The ink in the middle of a picture that is larger than `size` by a margin, moved by `shift`."""
    ground = Image.new("L", (size[0] + 2 * _MARGIN, size[1] + 2 * _MARGIN))
    left, top = _MARGIN + (size[0] - ink.width) // 2, _MARGIN + (size[1] - ink.height) // 2
    ground.paste(ink, (left + shift[0], top + shift[1]))
    return ground


def _cut(ink: Image.Image) -> Image.Image:
    edges = ink.point([255 if value > _INK else 0 for value in range(256)]).getbbox()
    return ink.crop(edges) if edges is not None else ink


def _draw(pdf: bytes, scale: float) -> Image.Image:
    try:
        document = pypdfium2.PdfDocument(pdf)
        try:
            page = document[0]
            drawn = page.render(scale=scale, rev_byteorder=True).to_pil()
            page.close()
        finally:
            document.close()
    except pypdfium2.PdfiumError as exc:
        raise VerificationError("The seal cannot be drawn.", code="SEAL_NOT_SHOWN") from exc
    return _ink(drawn.convert("RGB"))


def _load(picture: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(picture), formats=("PNG",)) as image:
            if not 50 <= image.width <= 2000 or not 50 <= image.height <= 2000:
                raise VerificationError(
                    "The seal data holds a picture of no usable size.", code="SES_MALFORMED"
                )
            coloured = image.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise VerificationError("The picture in the seal data cannot be read.", code="SES_MALFORMED") from exc
    paper = Image.new("RGBA", coloured.size, "white")
    paper.alpha_composite(coloured)
    return _ink(paper.convert("RGB"))


def _ink(picture: Image.Image) -> Image.Image:
    """The ink as a grey picture, taken from the green band, in which both red and black ink are darkest."""
    return ImageChops.invert(picture.getchannel("G"))
