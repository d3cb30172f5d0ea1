"""What a PDF depends on, which decides whether it can be read in the long term.

This module only collects facts; the caller judges them. Fonts of all revisions count, because a later version of a
licence replaces none. Runs inside the sandbox.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pypdfium2
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from trust.model.errors import Malformed
from trust.pdf.reading import MAX_PAGES, PdfRefused, walk_objects
from trust.pdf.standards import read_standards

_PIXELS_WIDE, _MAX_PIXELS, _MAX_DEPTH = 300, 2_000_000, 60
_FONT_FILES = ("/FontFile", "/FontFile2", "/FontFile3")
_EXTERNAL_NAMES = frozenset({"/URI", "/URL", "/GoToR", "/GoToE", "/OPI"})
"""Links, external files, and external pictures (ISO 32000-2 §12.6.4, §7.11.5, §14.11.7)."""


@dataclass(frozen=True, slots=True)
class Needs:
    """`fonts_missing`: names of fonts whose glyphs are not in the file. `pdfa`: the claimed level, such as 3b."""

    fonts: int
    fonts_missing: tuple[str, ...]
    external: tuple[str, ...]
    pdfa: str | None


def read_needs(reader: PdfFileReader) -> Needs:
    """The needs of a file. Raises `PdfRefused` if its objects cannot be walked."""
    fonts, missing, external = 0, set(), set()
    try:
        for _, _, found in walk_objects(reader):
            for each in _dictionaries(found, 0):
                if "/Type" in each and each["/Type"] == "/Font":
                    fonts += 1
                    if not _is_embedded(each):
                        missing.add(str(each.get("/BaseFont", "?")))
                external |= {
                    str(name) for name in each if name in _EXTERNAL_NAMES and not _names_a_norm(each, name)
                }
                if "/FS" in each and each["/FS"] == "/URL":
                    external.add("/URL")
                if "/S" in each and each["/S"] in _EXTERNAL_NAMES:
                    external.add(str(each["/S"]))
                if isinstance(each, generic.StreamObject) and "/F" in each:
                    external.add("/F")  # its data are in another file (ISO 32000-2 table 5)
        return Needs(fonts, tuple(sorted(missing)), tuple(sorted(external)), _claim(reader))
    except PdfRefused:
        raise
    except Exception as exc:  # a parser may raise anything on hostile input
        raise PdfRefused("The PDF is broken and cannot be read.", code="BROKEN_PDF") from exc


def count_drawn_pages(pdf: bytes) -> tuple[int, int]:
    """The number of pages, all of which are drawn, and the number of pages that are not blank.

    Raises `Malformed` for a page that cannot be drawn.
    """
    try:
        document = pypdfium2.PdfDocument(pdf)
    except pypdfium2.PdfiumError as exc:
        raise Malformed("The file cannot be opened by a viewer.", code="BROKEN_PDF") from exc
    try:
        document.init_forms()  # the visible seal is the appearance of a signature field
        pages = len(document)
        if not 1 <= pages <= MAX_PAGES:
            raise Malformed("The file has no pages, or too many.", code="LIMIT_EXCEEDED")
        return pages, sum(_shows_something(document, number) for number in range(pages))
    except pypdfium2.PdfiumError as exc:
        raise Malformed("A page cannot be drawn.", code="BROKEN_PDF") from exc
    finally:
        document.close()


def _shows_something(document: Any, number: int) -> bool:
    page = document[number]
    try:
        scale = _PIXELS_WIDE / page.get_width()
        if _PIXELS_WIDE * page.get_height() * scale > _MAX_PIXELS:
            raise Malformed("A page is too long to draw.", code="LIMIT_EXCEEDED")
        picture = page.render(scale=scale, may_draw_forms=True).to_pil().convert("L")
    finally:
        page.close()
    darkest, brightest = picture.getextrema()
    return bool(darkest != brightest)


def _dictionaries(found: Any, depth: int) -> Iterator[generic.DictionaryObject]:
    """Every dictionary inside one object, references not followed."""
    if depth > _MAX_DEPTH:
        raise PdfRefused("The PDF is nested too deeply.", code="LIMIT_EXCEEDED")
    if isinstance(found, generic.DictionaryObject):
        yield found
        for key in found:
            yield from _dictionaries(found.raw_get(key), depth + 1)
    elif isinstance(found, generic.ArrayObject):
        for index in range(len(found)):
            yield from _dictionaries(found.raw_get(index), depth + 1)


def _names_a_norm(found: generic.DictionaryObject, name: str) -> bool:
    """True for the address of a developer extension's specification (ISO 32000-2 §7.12.3, ISO/TS 32002), which is not
    fetched."""
    return name == "/URL" and "/BaseVersion" in found and "/ExtensionLevel" in found


def _is_embedded(font: generic.DictionaryObject) -> bool:
    """True if the font's glyphs are in the file. Type 0 fonts have them in a descendant, which is checked by itself;
    Type 3 fonts in procedures."""
    if font["/Subtype"] in ("/Type0", "/Type3"):
        return True
    return "/FontDescriptor" in font and any(name in font["/FontDescriptor"] for name in _FONT_FILES)


def _claim(reader: PdfFileReader) -> str | None:
    """The claimed PDF/A level, from the metadata of the catalogue (ISO 19005-1 §6.7.11)."""
    said = read_standards(reader.root)
    return f"{said.part}{said.level.lower()}" if said.part else None
