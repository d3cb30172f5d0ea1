"""Reading a code out of a picture: a photo of a phone, a scan of a page. Runs inside the sandbox."""

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
from trust.pdf.reading import MAX_FILE_BYTES

_MAX_PIXELS = 64_000_000
"""Of a picture as it is decoded: 48 megapixels, which phones take, and some more."""
_MAX_JPEG_PIXELS = 220_000_000
"""A JPEG is decoded at a half, a quarter or an eighth of its size where it is larger than is needed."""
_ENOUGH_PIXELS = 16_000_000
_MAX_FRAMES = 20
"""Scanners write a TIFF of many pages."""
_MAX_PIXELS_OF_ALL = 400_000_000
"""Of all pages together: twenty of them in 450 dpi."""
_SECONDS_A_FRAME = 1.0
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Each has a beginning below; the library knows some forty others, and would try them all."""
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def looks_like_picture(data: bytes) -> bool:
    return data.startswith(_MAGIC)


def read_picture_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    return {"texts": read_codes(blobs[0])}


def decode_texts(answer: dict[str, Any]) -> list[str]:
    """The texts in the answer of a job that reads codes. Raises `ValueError` for anything else."""
    texts = answer["texts"]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("not a list of texts")
    return texts


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
                    break  # what was found so far is an answer; ended in the middle, there would be none
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
    """The library warns, and then refuses, at limits of its own, which are the same for all formats."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = _MAX_JPEG_PIXELS
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _codes_on(frame: Image.Image) -> list[str]:
    for full in _on_paper(frame):
        # The time of a search grows with the pixels, and a code that is there is large enough.
        factor = math.isqrt(max(1, full.width * full.height // _ENOUGH_PIXELS))
        grey = full.reduce(factor) if factor > 1 else full
        found = zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
        if texts := [code.text for code in found if code.text]:
            return texts
    return []


def _on_paper(frame: Image.Image) -> Iterator[Image.Image]:
    """The picture in grey; where it is transparent, on white and then on black: what lies under it is not known."""
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
