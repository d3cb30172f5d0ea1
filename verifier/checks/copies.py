"""Comparing a copy that was altered or saved again with the issued file. Runs in the sandbox's drawing workers.

The copy itself is not trusted. Its printed code is read to find the issued file; a user who may see that file is
shown the differences as text and marked on a picture of the copy.
"""

from __future__ import annotations

import base64
import difflib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pypdfium2
from PIL import Image, ImageChops, ImageDraw

from trust.model.errors import Malformed, TrustError
from trust.pdf.drawing import decode_png, draw_page
from verifier.checks.pictures import read_codes

_MAX_PAGES = 20
_MAX_LINES = 40
_MAX_CHARACTERS = 200
_CELL = 12
_SEEN = 60
_PIXELS_WIDE, _PIXELS_FOR_CODES = 900, 2000


@dataclass(frozen=True, slots=True)
class Compared:
    """Differing lines (`page`, `was`, `now`), the number of further ones, page counts, and the marked copy (PNG)."""

    lines: Sequence[Mapping[str, Any]]
    more: int
    pages: Sequence[int]
    png: bytes


def decode_compared(answer: dict[str, Any]) -> Compared:
    """Decodes the answer of `compare_job`. Raises `ValueError` for anything else."""
    lines, numbers = answer["lines"], [answer["more"], *answer["pages"]]
    texts = [each[name] for each in lines for name in ("was", "now")]
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(each, int) for each in numbers):
        raise ValueError("not a comparison")
    lines = [{"page": int(each["page"]), "was": each["was"], "now": each["now"]} for each in lines]
    return Compared(lines, numbers[0], numbers[1:], decode_png(answer))


def read_copy_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    """The sandbox job that returns the texts of the QR codes on the first and the last page."""
    texts: list[str] = []
    for page in (0, -1):
        try:
            texts += [
                text
                for text in read_codes(draw_page(blobs[0], page, pixels_wide=_PIXELS_FOR_CODES))
                if text not in texts
            ]
        except TrustError:
            continue
    return {"texts": texts}


def compare_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    """The sandbox job. `blobs`: the issued file, the copy. Returns differing lines, page counts and the marked copy."""
    issued, copy = (_texts(each) for each in blobs)
    lines = list(_differences(issued, copy))
    page = int(lines[0]["page"]) if lines else 0
    marked, cells = _marked(blobs[0], blobs[1], min(page, len(issued) - 1, len(copy) - 1))
    return {
        "lines": lines[:_MAX_LINES],
        "more": max(0, len(lines) - _MAX_LINES),
        "pages": [len(issued), len(copy)],
        "cells": cells,
        "png": base64.b64encode(marked).decode(),
    }


def _texts(pdf: bytes) -> list[list[str]]:
    """The lines of each page."""
    try:
        document = pypdfium2.PdfDocument(pdf)
    except pypdfium2.PdfiumError as exc:
        raise Malformed("The copy cannot be read.", code="BROKEN_PDF") from exc
    try:
        found = []
        for number in range(min(len(document), _MAX_PAGES)):
            page = document[number]
            text = page.get_textpage().get_text_bounded()
            found.append([line.strip() for line in text.splitlines() if line.strip()])
    finally:
        document.close()
    return found


def _differences(issued: list[list[str]], copy: list[list[str]]) -> Iterator[dict[str, Any]]:
    for page in range(max(len(issued), len(copy))):
        one = issued[page] if page < len(issued) else []
        other = copy[page] if page < len(copy) else []
        for kind, a, b, c, d in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
            if kind != "equal":
                was, now = " ".join(one[a:b]), " ".join(other[c:d])
                yield {"page": page, "was": was[:_MAX_CHARACTERS], "now": now[:_MAX_CHARACTERS]}


def _marked(issued: bytes, copy: bytes, page: int) -> tuple[bytes, int]:
    """The page of the copy (PNG) with a red mark at each place that looks different, and the number of marks."""
    one, other = (_picture(each, page) for each in (issued, copy))
    difference = ImageChops.difference(one.convert("L").resize(other.size), other.convert("L"))
    coarse = difference.resize(
        (max(1, other.width // _CELL), max(1, other.height // _CELL)), Image.Resampling.BOX
    )
    shown = other.convert("RGB")
    pen = ImageDraw.Draw(shown, "RGBA")
    cells = 0
    for y in range(coarse.height):
        for x in range(coarse.width):
            if int(coarse.getpixel((x, y))) > _SEEN // 4:  # type: ignore[arg-type]  # one band
                cells += 1
                pen.rectangle(
                    (x * _CELL - 2, y * _CELL - 2, (x + 1) * _CELL + 2, (y + 1) * _CELL + 2),
                    (214, 40, 40, 90),
                )
    out = io.BytesIO()
    shown.save(out, "PNG")
    return out.getvalue(), cells


def _picture(pdf: bytes, page: int) -> Image.Image:
    with Image.open(io.BytesIO(draw_page(pdf, page))) as drawn:
        scale = _PIXELS_WIDE / drawn.width
        return drawn.convert("RGB").resize((_PIXELS_WIDE, round(drawn.height * scale)))
