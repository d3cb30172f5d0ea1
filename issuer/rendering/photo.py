"""A holder's photograph, which is not trusted and therefore encoded again as a plain JPEG.

The received file itself is never printed. Encoding again removes metadata (place and time of the picture), appended
data, colour profiles and everything else that is not the picture.
"""

from __future__ import annotations

import io
import warnings

from PIL import Image, ImageOps

from trust.model.errors import ProfileViolation, Violation

MOST_BYTES = 2_000_000
_MOST_PIXELS = 20_000_000
_LEAST = (180, 240)
_SIZE = (413, 578)  # 35 × 49 mm at 300 dpi


def photo_jpeg(data: bytes, *, field: str = "photo") -> bytes:
    """The photograph as a JPEG of 413 × 578 pixels. Raises `ProfileViolation` if the file is no usable photograph."""
    if len(data) > MOST_BYTES:
        raise _refused(field, "PHOTO_TOO_LARGE", f"{len(data)} bytes", f"at most {MOST_BYTES}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
            if image.width * image.height > _MOST_PIXELS:
                raise _refused(field, "PHOTO_TOO_LARGE", "too many pixels", "scale it down")
            image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Warning) as exc:
        raise _refused(field, "PHOTO_UNREADABLE", "not a JPEG or PNG picture", "save it again") from exc
    if image.width < _LEAST[0] or image.height < _LEAST[1]:
        wanted = f"at least {_LEAST[0]} × {_LEAST[1]}"
        raise _refused(field, "PHOTO_TOO_SMALL", f"{image.width} × {image.height} pixels", wanted)
    layered = ImageOps.exif_transpose(image).convert("RGBA")
    # Use a new image, because an opened one keeps its comments and tags through every conversion.
    sheet = Image.new("RGB", layered.size, "white")
    sheet.paste(layered, mask=layered.getchannel("A"))
    framed = ImageOps.fit(sheet, _SIZE, Image.Resampling.LANCZOS, centering=(0.5, 0.35))
    out = io.BytesIO()
    framed.save(out, "JPEG", quality=88, optimize=True)
    return out.getvalue()


def _refused(field: str, code: str, found: str, todo: str) -> ProfileViolation:
    return ProfileViolation([Violation(field, code, found, todo)])
