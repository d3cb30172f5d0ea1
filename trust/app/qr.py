"""QR pictures of live codes: black on white with four modules of border, PNG or SVG."""

from __future__ import annotations

from pathlib import Path

import qrcode
import qrcode.image.svg
from qrcode.util import MODE_ALPHA_NUM, QRData

from trust.model.errors import Malformed


def write_qr(text: str, path: Path) -> None:
    """Writes the picture in the format of the file's ending. Raises `Malformed` for another ending."""
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, box_size=10, border=4)
    code.add_data(QRData(text, mode=MODE_ALPHA_NUM) if text == text.upper() else text)
    code.make(fit=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix.lower():
        case ".png":
            code.make_image().save(str(path))
        case ".svg":
            code.make_image(image_factory=qrcode.image.svg.SvgPathFillImage).save(str(path))
        case _:
            raise Malformed("A picture of a code is .png or .svg.", "Choose one of the two endings.")
