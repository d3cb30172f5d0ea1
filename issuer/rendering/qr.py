"""The QR code printed on a page, in fixed versions, so that its size is known before its text.

    version  modules  alphanumeric characters at level M
    14       73       528
    16       81       656
    18       89       816

The first that fits is used. The box on the page has the size of version 18 with its quiet zone of four modules at 0.371
mm a module (`BOX_MM`), which hand scanners can read from paper; smaller versions get larger modules. The mask is fixed,
because choosing one takes eight times as long as drawing, and readers do not need it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import qrcode
from qrcode.util import MODE_ALPHA_NUM, QRData

from trust.model.errors import Malformed

BOX_MM = 36.0
_CAPACITY = {14: 528, 16: 656, 18: 816}
_ALPHANUMERIC = re.compile(r"[0-9A-Z $%*+\-./:]+")
_QUIET = 4
_MASK = 2


@dataclass(frozen=True, slots=True)
class PrintedCode:
    """A QR code. `svg` fills a square box; `version` is that of the QR code, `module_mm` the printed size of a
    module."""

    version: int
    svg: str

    @property
    def module_mm(self) -> float:
        return BOX_MM / (17 + 4 * self.version + 2 * _QUIET)


def fits_printed_code(text: str) -> bool:
    """True if a text of this length fits into `printed_code`."""
    return len(text) <= max(_CAPACITY.values())


def printed_code(text: str) -> PrintedCode:
    """The QR for `text`. Raises `Malformed` if it is too long or has a character outside the alphanumeric set."""
    if not _ALPHANUMERIC.fullmatch(text):
        raise Malformed("A printed code holds 0-9 A-Z and $%*+-./: only.", "Write the address in upper case.")
    for version, capacity in _CAPACITY.items():
        if len(text) <= capacity:
            return PrintedCode(version, _svg(_modules(text, version)))
    largest = _CAPACITY[18]
    raise Malformed(
        f"A printed code of {len(text)} characters does not fit; {largest} do.",
        "Leave a field out whole.",
        code="QR_TOO_LONG",
    )


def _modules(text: str, version: int) -> list[list[bool]]:
    code = qrcode.QRCode(
        version=version, error_correction=qrcode.constants.ERROR_CORRECT_M, border=0, mask_pattern=_MASK
    )
    code.add_data(QRData(text.encode("ascii"), mode=MODE_ALPHA_NUM, check_data=False))
    code.make(fit=False)
    modules: list[list[bool]] = code.modules
    return modules


def _svg(modules: list[list[bool]]) -> str:
    """The code as SVG: one path with a rectangle for each run of dark modules, which renderers do not blur."""
    runs: list[str] = []
    for y, row in enumerate(modules, _QUIET):
        line = "".join("1" if dark else "0" for dark in row)
        runs.extend(
            f"M{m.start() + _QUIET} {y}h{m.end() - m.start()}v1H{m.start() + _QUIET}z" for m in _DARK(line)
        )
    size = len(modules) + 2 * _QUIET
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{size}v{size}H0z"/><path d="{"".join(runs)}"/></svg>'
    )


_DARK = re.compile("1+").finditer
