"""Reading a code out of a picture: a photo of a phone, a scan of a page. Runs inside the sandbox."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import zxingcpp
from PIL import Image, UnidentifiedImageError

from trust.model.errors import Malformed
from trust.pdf.reading import MAX_FILE_BYTES

_MAX_PIXELS = 40_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Each has a beginning below; the library knows some forty others, and would try them all."""
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")


def looks_like_picture(data: bytes) -> bool:
    return data.startswith(_MAGIC)


def read_picture_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    return {"texts": read_codes(blobs[0])}


def read_codes(data: bytes) -> list[str]:
    """The texts of all QR codes in a picture. Raises `Malformed` (UNREADABLE) where there is none."""
    if len(data) > MAX_FILE_BYTES:
        raise Malformed("The picture is too large.", "Make it smaller.", code="TOO_LARGE")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                raise Malformed("The picture has too many pixels.", "Make it smaller.", code="TOO_LARGE")
            grey = picture.convert("L")
    except Image.DecompressionBombError as exc:
        raise Malformed("The picture has too many pixels.", "Make it smaller.", code="TOO_LARGE") from exc
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as exc:
        raise Malformed("The picture cannot be read.", "Try another photo.", code="UNREADABLE") from exc
    found = zxingcpp.read_barcodes(grey, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode))
    texts = [code.text for code in found if code.text]
    if not texts:
        raise Malformed(
            "There is no readable QR code in the picture.",
            "Hold it straighter, closer, with more light.",
            code="UNREADABLE",
        )
    return texts
