"""Reading codes from a picture, such as a photo of a phone or a scan of a page. Runs inside the sandbox."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import zxingcpp
from PIL import Image, ImageSequence, UnidentifiedImageError

from trust.model.errors import Malformed
from trust.pdf.drawing import seconds_left
from trust.pdf.limits import MAX_FILE_BYTES

_MAX_PIXELS = 64_000_000
"""The limit for a decoded picture: the 48 megapixels that phones take, and some more."""
_MAX_JPEG_PIXELS = 220_000_000
"""The limit for a JPEG, higher because a large one is decoded at a half, a quarter or an eighth of its size."""
_ENOUGH_PIXELS = 16_000_000
_MAX_FRAMES = 20
"""How many frames are read; scanners write a TIFF of many pages."""
_MAX_PIXELS_OF_ALL = 400_000_000
"""The limit for all pages together: twenty pages at 450 dpi."""
_SECONDS_A_FRAME = 1.0
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""The formats that are read, each with its magic bytes in `kinds`; the library would try some forty others too."""


def read_picture_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    return {"texts": read_codes(blobs[0])}


def read_codes(data: bytes) -> list[str]:
    """The texts of all QR codes in a picture. Raises `Malformed` (UNREADABLE) where there is none."""
    if len(data) > MAX_FILE_BYTES:
        raise Malformed("The picture is too large.", "Make it smaller.", code="TOO_LARGE")
    texts: dict[str, None] = {}
    try:
        with _limit_of_ours(), Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            pixels = picture.width * picture.height
            if pixels > (_MAX_JPEG_PIXELS if picture.format == "JPEG" else _MAX_PIXELS):
                raise Malformed("The picture has too many pixels.", "Make it smaller.", code="TOO_LARGE")
            if picture.format == "JPEG" and pixels > _ENOUGH_PIXELS:
                picture.draft("L", (picture.width // 2, picture.height // 2))
            left = _MAX_PIXELS_OF_ALL
            for frame in itertools.islice(ImageSequence.Iterator(picture), _MAX_FRAMES):
                left -= frame.width * frame.height
                if texts and (left < 0 or seconds_left() < _SECONDS_A_FRAME):
                    break  # keep what was found; at the time limit of the worker all of it would be lost
                if left < 0:
                    raise Malformed("The pages have too many pixels.", "Send one page.", code="TOO_LARGE")
                texts.update(dict.fromkeys(_codes_on(frame)))
    except Image.DecompressionBombError as exc:
        raise Malformed("The picture has too many pixels.", "Make it smaller.", code="TOO_LARGE") from exc
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as exc:
        if not texts:
            raise Malformed("The picture cannot be read.", "Try another photo.", code="UNREADABLE") from exc
    if not texts:
        raise Malformed(
            "There is no readable QR code in the picture.",
            "Hold it straighter, closer, with more light.",
            code="UNREADABLE",
        )
    return list(texts)


@contextlib.contextmanager
def _limit_of_ours() -> Iterator[None]:
    """Raises the library's own pixel limit, which is the same for all formats; ours are checked by the caller."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = _MAX_JPEG_PIXELS
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _codes_on(frame: Image.Image) -> list[str]:
    for full in _on_paper(frame):
        # Search time grows with the number of pixels, and real codes are large enough to survive scaling down.
        factor = math.isqrt(max(1, full.width * full.height // _ENOUGH_PIXELS))
        grey = full.reduce(factor) if factor > 1 else full
        found = zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
        if texts := [code.text for code in found if code.text]:
            return texts
    return []


def _on_paper(frame: Image.Image) -> Iterator[Image.Image]:
    """The picture in grey; a transparent one first on white, then on black, because its background is not known."""
    if frame.mode.startswith("I"):  # 16 bits: the library would cut them off at 255
        yield frame.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    elif "A" not in frame.getbands() and "transparency" not in frame.info:
        yield frame.convert("L")
    else:
        seen = frame.convert("LA" if frame.mode in ("L", "LA", "1") else "RGBA")
        alpha, grey = seen.getchannel("A"), seen.convert("L")
        del seen
        for paper in (255, 0):
            yield Image.composite(grey, Image.new("L", grey.size, paper), alpha)
