"""Is the picture that a page shows the one in the seal data? Compared as people see it: drawn, side by side.

One is a drawing in the PDF, the other a picture in the seal data, so their bytes never agree. Both are drawn
in the same size; then the mean ink of small squares is compared. Squares average away what two renderers do
differently at edges, and keep what a person would see: another character, a missing line, a moved star.
"""

from __future__ import annotations

import io

import pypdfium2
from PIL import Image, ImageChops, UnidentifiedImageError

from trust.model.errors import VerificationError
from verifier.pdf import Appearance

_DPI = 200
_SQUARE = 4
_MOST = 40
"""Of 255, over a square of half a millimetre. The same picture stays below half of it, measured on every
sample seal; one changed character of the finest print is above twice of it."""
_MAX_PICTURE_BYTES = 512 * 1024
_MAX_MM = 80
_POINTS_PER_MM = 72 / 25.4
_SIZE_TOLERANCE_POINTS = 1.5
"""Places on a page are whole points."""


def check_picture(shown: Appearance, picture: bytes, width_mm: int, height_mm: int) -> None:
    """Returns if the page shows `picture` (PNG) in its size. Raises `VerificationError` (SEAL_PICTURE_DIFFERS)."""
    if not (0 < width_mm <= _MAX_MM and 0 < height_mm <= _MAX_MM) or len(picture) > _MAX_PICTURE_BYTES:
        raise VerificationError("The seal data holds a picture that no seal has.", code="SES_MALFORMED")
    if (
        abs(shown.width - width_mm * _POINTS_PER_MM) > _SIZE_TOLERANCE_POINTS
        or abs(shown.height - height_mm * _POINTS_PER_MM) > _SIZE_TOLERANCE_POINTS
    ):
        raise VerificationError(
            "The page shows the seal in another size than its own.", code="SEAL_PICTURE_DIFFERS"
        )
    size = (round(width_mm / 25.4 * _DPI), round(height_mm / 25.4 * _DPI))
    difference = largest_difference(_draw(shown.pdf, size), _load(picture, size))
    if difference > _MOST:
        raise VerificationError(
            f"The page shows another picture than the seal data holds (difference {difference} of 255).",
            code="SEAL_PICTURE_DIFFERS",
        )


def largest_difference(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of mean ink between two pictures (mode L, same size), 0 to 255."""
    squares = (max(1, one.width // _SQUARE), max(1, one.height // _SQUARE))
    box = Image.Resampling.BOX
    difference = ImageChops.difference(one.resize(squares, box), other.resize(squares, box))
    return int(difference.getextrema()[1])  # type: ignore[arg-type]  # one band


def _draw(pdf: bytes, size: tuple[int, int]) -> Image.Image:
    try:
        document = pypdfium2.PdfDocument(pdf)
        try:
            page = document[0]
            scale = size[0] / page.get_width()
            drawn = page.render(scale=scale, rev_byteorder=True).to_pil()
            page.close()
        finally:
            document.close()
    except pypdfium2.PdfiumError as exc:
        raise VerificationError("The seal cannot be drawn.", code="SEAL_NOT_SHOWN") from exc
    return _ink(drawn.convert("RGB")).resize(size, Image.Resampling.BOX)


def _load(picture: bytes, size: tuple[int, int]) -> Image.Image:
    try:
        with Image.open(io.BytesIO(picture), formats=("PNG",)) as image:
            if image.width > 4000 or image.height > 4000:
                raise VerificationError("The seal data holds too large a picture.", code="SES_MALFORMED")
            coloured = image.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise VerificationError("The picture in the seal data cannot be read.", code="SES_MALFORMED") from exc
    paper = Image.new("RGBA", coloured.size, "white")
    paper.alpha_composite(coloured)
    return _ink(paper.convert("RGB")).resize(size, Image.Resampling.BOX)


def _ink(picture: Image.Image) -> Image.Image:
    """Red ink is darkest in the green band; black would be as well."""
    return ImageChops.invert(picture.getchannel("G"))
