"""The picture of a seal (印模), drawn as outlines, or taken from approved artwork.

| shape  | size in mm         | content                                                               |
|--------|--------------------|-----------------------------------------------------------------------|
| round  | 42 or 45           | name on an arc around a star; a second line for special-purpose seals; |
|        |                    | on the lower arc the seal's code of 13 digits (`trust.model.seal`)    |
| oval   | 40 × 30 or 45 × 30 | name on an arc, the purpose below: 发票专用章, 业务专用章             |
| square | 18, 20 or 22       | a person's name, read from the right; 印 or 之印 fills the square      |

Sizes of round seals follow 国发〔1999〕25号 for departments, institutions and companies. Seals with the national emblem
are not drawn here: their artwork is made under supervision and registered unchanged (`uploaded_seal`). Therefore no
parameter chooses the symbol in the centre.

All measures are millimetres, the origin is the top left corner, y points down. A picture consists of a few inks, each a
path of absolute M, L, C and Z, so the SVG needs no font and the PDF is made from the same numbers.

Red ink does not hide black print under it. In the PDF this is the blend mode Multiply, set by the content itself and
not by a transparency group, so that a viewer or a signing tool that places the page on another one blends it with the
content below, and the name and the date under a seal stay black.
"""

from __future__ import annotations

import base64
import bisect
import io
import itertools
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pypdfium2
from PIL import Image, ImageStat, UnidentifiedImageError

from issuer.rendering.fonts import GlyphOutline, glyph_outline, missing_characters, sans_outline
from trust.model.errors import Malformed
from trust.model.seal import SealShape

RED = "#d4191c"
_OPACITY = 0.92
_POINTS_PER_MM = 72 / 25.4
_DIAMETERS = (42.0, 45.0)
_OVALS = {40.0: 30.0, 45.0: 30.0}
_SQUARES = (18.0, 20.0, 22.0)
_UPLOADED_MM = (10, 60)
_CODE = re.compile(r"[0-9]{13}")
_MIN_DPI = 300
_MAX_UPLOAD_BYTES = 512 * 1024
_MAX_UPLOAD_PIXELS = 4_000_000
_MOST_COLOUR_SPREAD = 30
_MOST_PICTURE_BYTES = 14_900
"""Seal data is in every document, within 32 KiB together with certificates, time-stamp and receipt."""


_PICTURES_AT_HAND = 8
"""A seal is drawn when it is applied for, to see whether it can be, and again when it is made."""


@dataclass(frozen=True, slots=True)
class Ink:
    """A filled path; `bold` strokes its outline as well, to thicken letters."""

    path: str
    bold: float = 0.0


@dataclass(frozen=True, slots=True)
class SealPicture:
    """A seal's picture: `inks` if it was drawn, or `artwork` (PNG with transparency) and no inks."""

    svg: str
    width_mm: float
    height_mm: float
    inks: tuple[Ink, ...]
    artwork: bytes | None = None


@lru_cache(maxsize=_PICTURES_AT_HAND)
def draw_seal(
    shape: SealShape,
    name: str,
    second_line: str = "",
    *,
    width_mm: float,
    code: str = "",
    artwork: bytes | None = None,
) -> SealPicture:
    """The picture of a seal of any shape. Raises `Malformed` for arguments that the shape does not allow.

    `code` is only drawn on round seals, because the others have no room for it.
    """
    match shape:
        case SealShape.ROUND:
            picture = round_seal(name, second_line, code, diameter_mm=width_mm)
        case SealShape.OVAL:
            picture = oval_seal(name, second_line, width_mm=width_mm)
        case SealShape.SQUARE:
            picture = square_seal(name, side_mm=width_mm)
        case SealShape.UPLOADED:
            return uploaded_seal(artwork or b"", width_mm=width_mm)
    if artwork is not None:
        raise Malformed("A drawn seal takes no artwork.", "Choose the shape `uploaded`.")
    return picture


def round_seal(name: str, second_line: str = "", code: str = "", *, diameter_mm: float = 42.0) -> SealPicture:
    """The seal of the body called `name`, with a line such as 行政许可专用章 under the star if it has one, and its
    code on the lower arc.

    Raises `Malformed` if the name is not 4 to 24 characters, the second line more than 10, the code not 13 digits,
    a character is in no font, or the diameter is not one of the two.
    """
    if diameter_mm not in _DIAMETERS:
        raise Malformed("A seal with a star is 42 or 45 mm across.", "Choose one of the two.")
    if not 4 <= len(name) <= 24:
        raise Malformed("The name on a seal has 4 to 24 characters.", "Use the registered short name.")
    if len(second_line) > 10:
        raise Malformed("The second line of a seal has at most 10 characters.", "Shorten it.")
    if code and _CODE.fullmatch(code) is None:
        raise Malformed("The code of a seal has 13 digits.", "Leave it out, or give all of them.")
    _check_characters(name + second_line)
    radius = diameter_mm / 2
    unit = diameter_mm / 42
    letters = [*_arc(name, radius, unit, bool(second_line)), *_line(second_line, radius, unit)]
    inks = (
        Ink(_ring(radius, 1.15 * unit) + _star(radius, 6.4 * unit)),
        Ink("".join(letters), bold=(0.17 if len(name) <= 14 else 0.12) * unit),
        *([Ink("".join(_lower_arc(code, radius, unit)), bold=0.06 * unit)] if code else []),
    )
    return SealPicture(_svg(inks, diameter_mm, diameter_mm), diameter_mm, diameter_mm, inks)


def oval_seal(name: str, purpose: str, *, width_mm: float = 40.0) -> SealPicture:
    """An oval seal: the name above, its purpose below. Raises `Malformed` as `round_seal` does."""
    if width_mm not in _OVALS:
        raise Malformed("An oval seal is 40 or 45 mm wide.", "Choose one of the two.")
    if not 4 <= len(name) <= 24:
        raise Malformed("The name on a seal has 4 to 24 characters.", "Use the registered short name.")
    if not 2 <= len(purpose) <= 10:
        raise Malformed("An oval seal says its purpose in 2 to 10 characters.", "Such as 发票专用章.")
    _check_characters(name + purpose)
    height_mm = _OVALS[width_mm]
    half_width, half_height = width_mm / 2, height_mm / 2
    line_height = 4.4
    pitch = min(line_height, (width_mm - 14) / len(purpose))
    purpose_paths = [
        _glyph(
            char,
            min(line_height * 0.92, pitch * 0.95),
            line_height,
            half_width + (index - (len(purpose) - 1) / 2) * pitch,
            half_height + line_height * 1.6,
            0.0,
            0.0,
        )
        for index, char in enumerate(purpose)
    ]
    letters = [*_oval_arc(name, half_width, half_height), *purpose_paths]
    ring = _ellipse(half_width, half_height, 0.1, 1) + _ellipse(half_width, half_height, 1.2, -1)
    inks = (Ink(ring), Ink("".join(letters), bold=0.13))
    return SealPicture(_svg(inks, width_mm, height_mm), width_mm, height_mm, inks)


def square_seal(name: str, *, side_mm: float = 20.0) -> SealPicture:
    """A person's name seal 名章. Up to four characters stand in two columns from the right, longer names in rows.

    Raises `Malformed` if the name is not 2 to 12 characters, or the side not one of the three.
    """
    if side_mm not in _SQUARES:
        raise Malformed("A name seal is 18, 20 or 22 mm wide.", "Choose one of the three.")
    if not 2 <= len(name) <= 12:
        raise Malformed("A name on a name seal has 2 to 12 characters.", "Use the registered name.")
    _check_characters(name)
    border, gap = side_mm * 0.055, side_mm * 0.05
    inner = side_mm - 2 * (border + gap + 0.1)
    start = border + gap + 0.1
    letters = []
    if len(name) <= 4:
        text = name + {2: "之印", 3: "印", 4: ""}[len(name)]
        cell = inner / 2
        for index, char in enumerate(text):
            column, row = 1 - index // 2, index % 2
            letters.append(
                _glyph(
                    char,
                    cell * 0.94,
                    cell * 0.96,
                    start + (column + 0.5) * cell,
                    start + (row + 1) * cell,
                    0.0,
                    0.0,
                )
            )
    else:
        rows = 2 if len(name) <= 8 else 3
        columns = math.ceil(len(name) / rows)
        width, height = inner / columns, inner / rows
        for index, char in enumerate(name):
            row, column = divmod(index, columns)
            letters.append(
                _glyph(
                    char,
                    width * 0.94,
                    height * 0.94,
                    start + (column + 0.5) * width,
                    start + (row + 1) * height,
                    0.0,
                    0.0,
                )
            )
    frame = _rectangle(0.1, side_mm - 0.1) + _rectangle(border + 0.1, side_mm - border - 0.1)
    inks = (Ink(frame), Ink("".join(letters), bold=0.12))
    return SealPicture(_svg(inks, side_mm, side_mm), side_mm, side_mm, inks)


def uploaded_seal(artwork: bytes, *, width_mm: float) -> SealPicture:
    """The picture from approved artwork: a PNG with a transparent background and at least 300 dpi in its real size.

    The PNG is rewritten with nothing but its pixels. Raises `Malformed` with the reason.
    """
    if not _UPLOADED_MM[0] <= width_mm <= _UPLOADED_MM[1] or width_mm != int(width_mm):
        raise Malformed("A seal is 10 to 60 mm wide, in whole millimetres.", "Give its real width.")
    if len(artwork) > _MAX_UPLOAD_BYTES:
        raise Malformed(
            "The artwork is larger than 512 KiB.", "Save it with fewer colours.", code="TOO_LARGE"
        )
    try:
        with Image.open(io.BytesIO(artwork), formats=("PNG",)) as image:
            if image.width * image.height > _MAX_UPLOAD_PIXELS:
                raise Malformed("The artwork has too many pixels.", "Save it at 600 dpi.", code="TOO_LARGE")
            pixels = image.convert("RGBA")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise Malformed("The artwork is not a PNG picture.", "Export it as PNG.", code="UNREADABLE") from exc
    darkest, lightest = pixels.getchannel("A").getextrema()
    if int(darkest) > 0 or int(lightest) < 128:  # type: ignore[arg-type]  # one band
        raise Malformed("The artwork has no transparent ground.", "Remove the white behind the seal.")
    if pixels.width / width_mm * 25.4 < _MIN_DPI:
        raise Malformed(
            f"The artwork has fewer than {_MIN_DPI} dots to the inch at {width_mm:g} mm.",
            "Export it larger.",
        )
    height_mm = round(width_mm * pixels.height / pixels.width)
    if not _UPLOADED_MM[0] <= height_mm <= _UPLOADED_MM[1]:
        raise Malformed("A seal is 10 to 60 mm high.", "Cut the artwork to its edge.")
    _ink_colour(pixels)
    out = io.BytesIO()
    pixels.save(out, "PNG", optimize=True)
    encoded = base64.b64encode(out.getvalue()).decode()
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width_mm:g}mm" height="{height_mm:g}mm" '
        f'viewBox="0 0 {width_mm:g} {height_mm:g}"><image width="{width_mm:g}" height="{height_mm:g}" '
        f'preserveAspectRatio="none" style="mix-blend-mode:multiply" href="data:image/png;base64,{encoded}"/></svg>'
    )
    return SealPicture(svg, float(width_mm), float(height_mm), (), out.getvalue())


def seal_pdf(picture: SealPicture) -> bytes:
    """The picture as a PDF page of exactly its size: vector, transparent, always the same bytes."""
    width, height = picture.width_mm * _POINTS_PER_MM, picture.height_mm * _POINTS_PER_MM
    if picture.artwork is not None:
        return _artwork_pdf(picture.artwork, width, height)
    red = " ".join(f"{int(RED[i : i + 2], 16) / 255:.4f}" for i in (1, 3, 5))
    content = [
        f"/Ink gs {red} rg {red} RG 1 j",
        f"{_POINTS_PER_MM:.6f} 0 0 {-_POINTS_PER_MM:.6f} 0 {height:.4f} cm",
    ]
    for ink in picture.inks:
        content.append(_pdf_path(ink.path))
        content.append(f"{ink.bold:.3f} w B" if ink.bold else "f*")
    stream = zlib.compress("\n".join(content).encode("ascii"), 9)
    graphics_state = f"<< /Type /ExtGState /BM /Multiply /ca {_OPACITY} /CA {_OPACITY} >>"
    return _pdf_file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:.4f} {height:.4f}] "
            f"/Resources << /ExtGState << /Ink {graphics_state} >> >> /Contents 4 0 R >>".encode("ascii"),
            f"<< /Length {len(stream)} /Filter /FlateDecode >>\nstream\n".encode("ascii")
            + stream
            + b"\nendstream",
        ]
    )


def seal_png(picture: SealPicture, dpi: int = 300) -> bytes:
    """The picture as PNG with an alpha channel, for screens."""
    out = io.BytesIO()
    _rendered(picture, dpi).save(out, "PNG", dpi=(dpi, dpi))
    return out.getvalue()


def _rendered(picture: SealPicture, dpi: int) -> Image.Image:
    document = pypdfium2.PdfDocument(seal_pdf(picture))
    try:
        bitmap = document[0].render(scale=dpi / 72, fill_color=(255, 255, 255, 0), rev_byteorder=True)
        image: Image.Image = bitmap.to_pil()
        return image.copy()  # of its own, as the bitmap goes with the document
    finally:
        document.close()


@lru_cache(maxsize=_PICTURES_AT_HAND)
def seal_data_png(picture: SealPicture, dpi: int = 300) -> bytes:
    """The picture as PNG for seal data, as small as print quality allows: one red, four steps of transparency.

    It must be small because every document that the seal is used on contains the seal data.
    """
    ink = bytes.fromhex(RED[1:])
    alpha = _rendered(picture, dpi).getchannel("A")
    densest = round(255 * _OPACITY)
    if picture.artwork is not None:
        with Image.open(io.BytesIO(picture.artwork)) as artwork:
            ink = bytes(_ink_colour(artwork))
            alpha = artwork.getchannel("A").resize(alpha.size, Image.Resampling.BOX)
        densest = int(alpha.getextrema()[1])  # type: ignore[arg-type]  # one band
    steps = 3
    levels = alpha.point([min(steps, round(value * steps / densest)) for value in range(256)])
    indexed = Image.frombytes("P", alpha.size, levels.tobytes())
    indexed.putpalette(ink * (steps + 1))
    transparency = bytes(round(step * densest / steps) for step in range(steps + 1))
    out = io.BytesIO()
    indexed.save(out, "PNG", optimize=True, bits=2, transparency=transparency, dpi=(dpi, dpi))
    if len(out.getvalue()) > _MOST_PICTURE_BYTES:
        raise Malformed("The picture is too fine for seal data.", "Leave out shading.", code="TOO_LARGE")
    return out.getvalue()


# Shapes ----------------------------------------------------------------------------------------------------


def _ring(radius: float, width: float) -> str:
    """Outer and inner circle in opposite directions, so that both fill rules leave the inside empty."""
    return _circle(radius, radius - 0.1, 1) + _circle(radius, radius - 0.1 - width, -1)


def _rectangle(start: float, end: float) -> str:
    a, b = _pair(start, start), _pair(end, start)
    c, d = _pair(end, end), _pair(start, end)
    return f"M{a}L{b}L{c}L{d}Z"


def _ellipse(half_width: float, half_height: float, inset: float, turn: int) -> str:
    k = 4 / 3 * math.tan(math.pi / 8)
    rx, ry = half_width - inset, half_height - inset
    corners = [(0, -1), (1, 0), (0, 1), (-1, 0)]
    path = [f"M{_pair(half_width, half_height - ry)}"]
    for i in range(4):
        (x0, y0), (x1, y1) = corners[i], corners[(i + 1) % 4]
        points = [(x0 - y0 * k, y0 + x0 * k), (x1 + y1 * k, y1 - x1 * k), (x1, y1)]
        path.append(
            "C" + " ".join(_pair(half_width + turn * rx * x, half_height + ry * y) for x, y in points)
        )
    return "".join(path) + "Z"


def _oval_arc(name: str, half_width: float, half_height: float) -> Iterator[str]:
    """The name along the upper half of an oval, evenly spaced along the curve, each character perpendicular to it."""
    count = len(name)
    height = 4.6 if count <= 14 else 4.0
    inset = 0.1 + 1.1 + 0.8 + height
    a, b = half_width - inset, half_height - inset
    steps = 2000
    spread = math.radians(min(100.0, 30.0 + 7.5 * count))
    angles = [-spread + 2 * spread * step / steps for step in range(steps + 1)]
    points = [(a * math.sin(angle), -b * math.cos(angle)) for angle in angles]
    lengths = [0.0]
    for before, after in itertools.pairwise(points):
        lengths.append(lengths[-1] + math.dist(before, after))
    pitch = min(lengths[-1] / (count - 1), 1.35 * height)
    start = (lengths[-1] - pitch * (count - 1)) / 2
    width = min(height * 0.86, pitch * 0.93)
    for index, char in enumerate(name):
        at = min(bisect.bisect_left(lengths, start + index * pitch), steps)
        (x, y), angle = points[at], angles[at]
        upright = math.atan2(math.sin(angle) / a, math.cos(angle) / b)
        yield _glyph(char, width, height, half_width + x, half_height + y, upright, 0.0)


def _check_characters(text: str) -> None:
    for char in missing_characters(text):
        raise Malformed(f"No font has U+{ord(char):04X}.", "Use the standard form of the character.")


def _circle(centre: float, radius: float, turn: int) -> str:
    k = 4 / 3 * math.tan(math.pi / 8) * radius
    corners = [(0, -radius), (radius, 0), (0, radius), (-radius, 0)]
    path = [f"M{_pair(centre, centre - radius)}"]
    for i in range(4):
        (x0, y0), (x1, y1) = corners[i], corners[(i + 1) % 4]
        # The tangent at a point of a circle is the radius turned by a right angle.
        first, second = (
            (x0 - y0 / radius * k, y0 + x0 / radius * k),
            (x1 + y1 / radius * k, y1 - x1 / radius * k),
        )
        points = [(centre + turn * x, centre + y) for x, y in (first, second, (x1, y1))]
        path.append("C" + " ".join(_pair(x, y) for x, y in points))
    return "".join(path) + "Z"


def _star(centre: float, reach: float) -> str:
    """A regular five-pointed star; its inner corners are on the lines between the points."""
    inner = reach * math.sin(math.radians(18)) / math.sin(math.radians(126))
    corners = []
    for k in range(10):
        angle, r = math.pi * k / 5, (inner if k % 2 else reach)
        corners.append(_pair(centre + r * math.sin(angle), centre - r * math.cos(angle)))
    return "M" + "L".join(corners) + "Z"


def _arc(name: str, radius: float, unit: float, has_second_line: bool) -> Iterator[str]:
    """The name clockwise around the star, condensed only as much as its length needs."""
    count = len(name)
    # A short name gets a short arc, a long one nearly all of it, except the foot if a second line is there.
    # Names of up to ten characters end above the middle, so that the arc does not cover issuer and date of a 批文,
    # which are just below it.
    longest = 244.0 if has_second_line else 278.0
    span = min(longest, 25.5 * (count - 1), 170 + max(count - 10, 0) * 12.0)
    height = unit * (5.8 if count <= 10 else max(4.8, 5.8 - 0.09 * (count - 10)))
    foot = radius - unit * (0.1 + 1.15 + 0.95) - height
    step = math.radians(span / (count - 1))
    # Neighbouring characters are closest at their feet; leave a tenth of the pitch between them there.
    width = min(height * 0.86, 2 * foot * math.tan(step / 2) * 0.93)
    for index, char in enumerate(name):
        angle = math.radians(-span / 2) + step * index
        yield _glyph(char, width, height, radius, radius, angle, foot)


def _lower_arc(code: str, radius: float, unit: float) -> Iterator[str]:
    """The code along the inside of the ring at the foot, from left to right, with the digits' tops towards the
    middle."""
    size = 2.3 * unit
    foot = radius - unit * (0.1 + 1.15 + 0.3)
    step = 1.42 * unit / (foot - size / 2)
    for index, digit in enumerate(code):
        angle = (index - (len(code) - 1) / 2) * step
        x, y = radius + foot * math.sin(angle), radius + foot * math.cos(angle)
        yield _placed(sans_outline(digit), size, size, x, y, -angle, 0.0)


def _line(text: str, radius: float, unit: float) -> Iterator[str]:
    """The second line, straight, under the star."""
    if not text:
        return
    height = 3.55 * unit
    room = 20.4 * unit
    pitch = min(height * 0.98, room / len(text))
    width = min(height * 0.92, pitch * 0.95)
    top = radius + 10.3 * unit
    for index, char in enumerate(text):
        x = radius + (index - (len(text) - 1) / 2) * pitch
        yield _glyph(char, width, height, x, top + height, 0.0, 0.0)


def _glyph(char: str, width: float, height: float, x: float, y: float, angle: float, distance: float) -> str:
    """The path of a character in a box of width × height whose foot is `distance` from (x, y), turned by `angle`.

    The box is the whole em with descender, so that ideographs fill it evenly.
    """
    return _placed(glyph_outline(char), width, height, x, y, angle, distance)


def _placed(
    outline: GlyphOutline, width: float, height: float, x: float, y: float, angle: float, distance: float
) -> str:
    em = outline.units_per_em
    sin, cos = math.sin(angle), math.cos(angle)
    half = outline.advance / 2

    def place(point: tuple[float, float]) -> str:
        across = (point[0] - half) / em * width
        up = distance + (point[1] + 0.12 * em) / em * height
        return _pair(x + across * cos + up * sin, y + across * sin - up * cos)

    parts = []
    for name, points in outline.commands:
        match name:
            case "moveTo":
                parts.append("M" + place(points[0]))
            case "lineTo":
                parts.append("L" + place(points[0]))
            case "curveTo":
                parts.append("C" + " ".join(place(point) for point in points))
            case _:
                parts.append("Z")
    return "".join(parts)


def _pair(x: float, y: float) -> str:
    return f"{x:.3f},{y:.3f}"


# Files -----------------------------------------------------------------------------------------------------


def _artwork_pdf(artwork: bytes, width: float, height: float) -> bytes:
    """The artwork as a PDF image with a soft mask, blended like drawn seals."""
    with Image.open(io.BytesIO(artwork)) as image:
        rgb = zlib.compress(image.convert("RGB").tobytes(), 9)
        alpha = zlib.compress(image.getchannel("A").tobytes(), 9)
        size = b"/Width %d /Height %d /BitsPerComponent 8 /Filter /FlateDecode" % image.size
    head = b"<< /Type /XObject /Subtype /Image %b " % size
    content = f"/Ink gs q {width:.4f} 0 0 {height:.4f} 0 0 cm /Artwork Do Q".encode("ascii")
    page = (
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:.4f} {height:.4f}] /Resources << "
        "/ExtGState << /Ink << /Type /ExtGState /BM /Multiply >> >> /XObject << /Artwork 5 0 R >> >> "
        "/Contents 4 0 R >>"
    ).encode("ascii")
    return _pdf_file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            page,
            b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content),
            head
            + b"/ColorSpace /DeviceRGB /SMask 6 0 R /Length %d >>\nstream\n%b\nendstream" % (len(rgb), rgb),
            head + b"/ColorSpace /DeviceGray /Length %d >>\nstream\n%b\nendstream" % (len(alpha), alpha),
        ]
    )


def _ink_colour(pixels: Image.Image) -> tuple[int, int, int]:
    """The colour of the artwork's ink, as the mean of its opaque pixels. Raises `Malformed` if it has several
    colours."""
    opaque = pixels.getchannel("A").point([255 if value >= 200 else 0 for value in range(256)])
    statistics = ImageStat.Stat(pixels.convert("RGB"), opaque)
    if max(statistics.stddev) > _MOST_COLOUR_SPREAD:
        raise Malformed("The artwork has more than one colour of ink.", "A seal is printed in one.")
    red, green, blue = (round(value) for value in statistics.mean)
    return red, green, blue


def _svg(inks: Sequence[Ink], width: float, height: float) -> str:
    paths = "".join(
        f'<path d="{ink.path}" fill-rule="{"nonzero" if ink.bold else "evenodd"}"'
        + (f' stroke="{RED}" stroke-width="{ink.bold:.3f}" stroke-linejoin="round"' if ink.bold else "")
        + "/>"
        for ink in inks
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}mm" height="{height:g}mm" '
        f'viewBox="0 0 {width:g} {height:g}"><g fill="{RED}" opacity="{_OPACITY}" '
        f'style="mix-blend-mode:multiply">{paths}</g></svg>'
    )


def _pdf_path(path: str) -> str:
    """The path in PDF syntax, which has the operator after its numbers."""
    out = []
    for command in (
        path.replace("Z", "Z;").replace("M", ";M").replace("L", ";L").replace("C", ";C").split(";")
    ):
        if command == "Z":
            out.append("h")
        elif command.endswith("Z"):
            out.append(f"{command[1:-1].replace(',', ' ')} {command[0].lower()} h")
        elif command:
            out.append(f"{command[1:].replace(',', ' ')} {command[0].lower()}")
    return "\n".join(out)


def _pdf_file(objects: Sequence[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(out)
