"""Pictures of QR codes (ISO/IEC 18004): black on white with four modules of border, as SVG or PNG.

The code of a live presentation is always version 4 at level M (33 modules, up to 90 alphanumeric characters), so that
a session's codes keep their size while they change, and a webcam can read them at arm's length.
"""

from __future__ import annotations

import re
from pathlib import Path

import qrcode
import qrcode.image.svg
from qrcode.util import MODE_ALPHA_NUM, QRData

from trust.model.errors import Malformed

_VERSION = 4
_BORDER = 4
_RUNS = re.compile("1+").finditer


def live_code_svg(address: str, title: str) -> str:
    """An `<svg role="img">` with the label `title`, which is not escaped and must be our own text."""
    code = qrcode.QRCode(version=_VERSION, error_correction=qrcode.constants.ERROR_CORRECT_M, border=0)
    code.add_data(QRData(address.encode("ascii"), mode=MODE_ALPHA_NUM))
    code.make(fit=False)
    return _drawn(code, title)


def address_svg(address: str, title: str) -> str:
    """An SVG of any address of ours, in the size that it needs. `title` as in `live_code_svg`."""
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=0)
    code.add_data(address)
    code.make(fit=True)
    return _drawn(code, title)


def _drawn(code: qrcode.QRCode, title: str) -> str:
    size = len(code.modules) + 2 * _BORDER
    path = "".join(
        f"M{run.start() + _BORDER} {y}h{run.end() - run.start()}v1H{run.start() + _BORDER}z"
        for y, row in enumerate(code.modules, _BORDER)
        for run in _RUNS("".join("1" if dark else "0" for dark in row))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {size} {size}" '
        f'shape-rendering="crispEdges"><title>{title}</title>'
        f'<path fill="#fff" d="M0 0h{size}v{size}H0z"/><path fill="#000" d="{path}"/></svg>'
    )


def write_qr(text: str, path: Path) -> None:
    """Writes the picture in the format of the file's suffix. Raises `Malformed` for an unknown suffix."""
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
