"""The fonts of pages, and the characters that they can draw.

They come from packages, so that a page looks the same on every machine and no system font is ever used: Noto Serif SC
for a department's texts, Noto Sans SC for small print. Fallbacks of the serif are Noto Serif TC and Noto Serif JP: of
the 2,377 rarer ideographs that may be on a page (𠮷 and others in names), they have all but 65 in the same weight and
kind of face, some in the shape of their region. The last fallback is Noto Sans CJK SC, which has them all.

The order here is that in the layouts (`common.typ`), so the page can show any character that `missing_characters` does
not return. Fonts are opened when they are first needed, and only once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typst
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.ttLib import TTFont

from trust.model.errors import OperationalError

SERIF = "Noto Serif SC"
SANS = "Noto Sans SC"
RARE = ("Noto Serif TC", "Noto Serif JP")
FALLBACK = "Noto Sans CJK SC"

_PACKAGES = ("pylopdf_fonts_zh_cn", "pylopdf_fonts_zh_tw", "pylopdf_fonts_jp", "noto_cjk_sans_otc")
_FALLBACK_FACE = 2  # the third face of the collection has the glyph shapes used in mainland China


@dataclass(frozen=True, slots=True)
class GlyphOutline:
    """One glyph: pen commands in font units (y upwards), the advance width, and the units in an em."""

    commands: tuple[tuple[str, tuple[tuple[float, float], ...]], ...]
    advance: float
    units_per_em: int


@cache
def typst_fonts() -> typst.Fonts:
    """The fonts for the compiler: only our files, none of the machine."""
    folders = [_folder(package) for package in _PACKAGES]
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)


def missing_characters(text: str) -> Sequence[str]:
    """The characters of `text` that none of the fonts can draw, each once, in order."""
    drawable = _drawable()
    return tuple(char for char in dict.fromkeys(text) if ord(char) not in drawable)


def glyph_outline(char: str) -> GlyphOutline:
    """The outline of a character in the first font that has it. The caller must have checked `missing_characters`."""
    for font, glyphs, names in _faces():
        if ord(char) in names:
            return _outline(font, glyphs, glyphs[names[ord(char)]])
    raise OperationalError(f"No font has U+{ord(char):04X}.", "Ask missing_characters before drawing.")


def sans_outline(char: str) -> GlyphOutline:
    """The outline of a digit in the sans, whose digits can be distinguished at the size of small print."""
    font = _sans()
    glyphs = font.getGlyphSet()
    glyph = glyphs[font.getBestCmap()[ord(char)]]
    return _outline(font, glyphs, glyph)


def text_width(text: str) -> float:
    """The width in em of a run on one line, without kerning."""
    return sum(_width(char) for char in text)


def _outline(font: Any, glyphs: Any, glyph: Any) -> GlyphOutline:
    pen = DecomposingRecordingPen(glyphs)
    glyph.draw(pen)
    commands = tuple((name, tuple(points)) for name, points in pen.value)
    return GlyphOutline(commands, float(glyph.width), int(font["head"].unitsPerEm))


@cache
def _width(char: str) -> float:
    owner = next(((font, names) for font, _, names in _faces() if ord(char) in names), None)
    if owner is None:
        return 1.0
    font, names = owner
    return float(font["hmtx"][names[ord(char)]][0] / font["head"].unitsPerEm)


@cache
def _drawable() -> frozenset[int]:
    return frozenset(point for _, _, names in _faces() for point in names)


@cache
def _faces() -> tuple[tuple[Any, Any, dict[int, str]], ...]:
    """(font, its glyphs, character to glyph name), the serif first; fontTools has no types."""
    china, taiwan, japan, collection = map(_folder, _PACKAGES)
    fonts = (
        TTFont(china / "NotoSerifSC-Regular.otf", lazy=True),
        TTFont(taiwan / "NotoSerifTC-Regular.otf", lazy=True),
        TTFont(japan / "NotoSerifJP-Regular.otf", lazy=True),
        TTFont(collection / "NotoSansCJK-Regular.ttc", lazy=True, fontNumber=_FALLBACK_FACE),
    )
    return tuple((font, font.getGlyphSet(), font.getBestCmap()) for font in fonts)


@cache
def _sans() -> Any:
    return TTFont(_folder(_PACKAGES[0]) / "NotoSansSC-Regular.otf", lazy=True)


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise OperationalError(f"The font package {package} is not installed.", "Install yinzheng[server].")
    return Path(spec.origin).parent
