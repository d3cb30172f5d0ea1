"""The picture of a seal (印模): a round red seal with a star, drawn as outlines.

Sizes follow 国发〔1999〕25号: 42 or 45 mm for departments, institutions and companies, with a five-pointed star.
Bodies whose seal carries the national emblem are not served here: their artwork is made under supervision
and registered as it is. There is therefore no parameter for what stands in the centre.

All measures are millimetres, the origin is the top left corner, y points down. A picture is a few inks, each a
path of absolute M, L, C and Z, so the SVG needs no font and the PDF is written from the same numbers.

Red ink lies on black print without hiding it. In the PDF this is the blend mode Multiply, set by the content
itself and not by a transparency group: a viewer or a signing tool that places the page on another one then
blends with what is below, and the name and the date under a seal stay black.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pypdfium2
from PIL import Image

from issuer.rendering.fonts import glyph_outline, missing_characters
from trust.model.errors import Malformed

RED = "#d4191c"
_OPACITY = 0.92
_POINTS_PER_MM = 72 / 25.4
_DIAMETERS = (42.0, 45.0)


@dataclass(frozen=True, slots=True)
class Ink:
    """A filled path; `bold` strokes its outline as well, to thicken letters."""

    path: str
    bold: float = 0.0


@dataclass(frozen=True, slots=True)
class SealPicture:
    svg: str
    width_mm: float
    height_mm: float
    inks: tuple[Ink, ...]


def round_seal(name: str, second_line: str = "", *, diameter_mm: float = 42.0) -> SealPicture:
    """The seal of the body called `name`, with a line such as 行政许可专用章 under the star if it has one.

    Raises `Malformed` if the name is not 4 to 24 characters, the second line more than 10, a character is in
    no font, or the diameter is not one of the two.
    """
    if diameter_mm not in _DIAMETERS:
        raise Malformed("A seal with a star is 42 or 45 mm across.", "Choose one of the two.")
    if not 4 <= len(name) <= 24:
        raise Malformed("The name on a seal has 4 to 24 characters.", "Use the registered short name.")
    if len(second_line) > 10:
        raise Malformed("The second line of a seal has at most 10 characters.", "Shorten it.")
    for char in missing_characters(name + second_line):
        raise Malformed(f"No font has U+{ord(char):04X}.", "Use the standard form of the character.")
    radius = diameter_mm / 2
    unit = diameter_mm / 42
    letters = [*_arc(name, radius, unit, bool(second_line)), *_line(second_line, radius, unit)]
    inks = (
        Ink(_ring(radius, 1.15 * unit) + _star(radius, 6.4 * unit)),
        Ink("".join(letters), bold=(0.17 if len(name) <= 14 else 0.12) * unit),
    )
    return SealPicture(_svg(inks, diameter_mm), diameter_mm, diameter_mm, inks)


def seal_pdf(picture: SealPicture) -> bytes:
    """The picture as a PDF page of exactly its size: vector, transparent, the same bytes every time."""
    width, height = picture.width_mm * _POINTS_PER_MM, picture.height_mm * _POINTS_PER_MM
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
    """The picture as PNG with an alpha channel, for screens and for SES seal data."""
    document = pypdfium2.PdfDocument(seal_pdf(picture))
    try:
        bitmap = document[0].render(scale=dpi / 72, fill_color=(255, 255, 255, 0), rev_byteorder=True)
        image = bitmap.to_pil()
    finally:
        document.close()
    out = io.BytesIO()
    image.save(out, "PNG", dpi=(dpi, dpi))
    return out.getvalue()


def seal_data_png(picture: SealPicture, dpi: int = 300) -> bytes:
    """The picture as small as print quality allows, for seal data: one red, four steps of transparency.

    The seal data travels in every document that the seal is used on, so its size is everybody's.
    """
    with Image.open(io.BytesIO(seal_png(picture, dpi))) as image:
        alpha = image.getchannel("A")
    steps, densest = 3, round(255 * _OPACITY)
    levels = alpha.point([min(steps, round(value * steps / densest)) for value in range(256)])
    indexed = Image.frombytes("P", alpha.size, levels.tobytes())
    indexed.putpalette(bytes.fromhex(RED[1:]) * (steps + 1))
    transparency = bytes(round(step * densest / steps) for step in range(steps + 1))
    out = io.BytesIO()
    indexed.save(out, "PNG", optimize=True, bits=2, transparency=transparency, dpi=(dpi, dpi))
    return out.getvalue()


# Shapes ----------------------------------------------------------------------------------------------------


def _ring(radius: float, width: float) -> str:
    """Outer and inner circle in opposite directions, so that both fill rules leave the middle free."""
    return _circle(radius, radius - 0.1, 1) + _circle(radius, radius - 0.1 - width, -1)


def _circle(centre: float, radius: float, turn: int) -> str:
    k = 4 / 3 * math.tan(math.pi / 8) * radius
    corners = [(0, -radius), (radius, 0), (0, radius), (-radius, 0)]
    path = [f"M{_pair(centre, centre - radius)}"]
    for i in range(4):
        (x0, y0), (x1, y1) = corners[i], corners[(i + 1) % 4]
        # The tangent at a point of a circle is the point turned by a right angle.
        first, second = (
            (x0 - y0 / radius * k, y0 + x0 / radius * k),
            (x1 + y1 / radius * k, y1 - x1 / radius * k),
        )
        points = [(centre + turn * x, centre + y) for x, y in (first, second, (x1, y1))]
        path.append("C" + " ".join(_pair(x, y) for x, y in points))
    return "".join(path) + "Z"


def _star(centre: float, reach: float) -> str:
    """A regular five-pointed star: the inner corners lie on the lines between the points."""
    inner = reach * math.sin(math.radians(18)) / math.sin(math.radians(126))
    corners = []
    for k in range(10):
        angle, r = math.pi * k / 5, (inner if k % 2 else reach)
        corners.append(_pair(centre + r * math.sin(angle), centre - r * math.cos(angle)))
    return "M" + "L".join(corners) + "Z"


def _arc(name: str, radius: float, unit: float, has_second_line: bool) -> Iterator[str]:
    """The name clockwise around the star, condensed as much as its length needs and no more."""
    count = len(name)
    # Few characters would look lost on a long arc, many need nearly all of it; a second line needs its foot.
    longest = 244.0 if has_second_line else 278.0
    span = min(longest, 25.5 * (count - 1) if count <= 9 else 204 + (count - 9) * 9.0)
    height = unit * (5.8 if count <= 10 else max(4.8, 5.8 - 0.09 * (count - 10)))
    foot = radius - unit * (0.1 + 1.15 + 0.95) - height
    step = math.radians(span / (count - 1))
    # Neighbours are nearest at their feet; leave a tenth of the pitch between them there.
    width = min(height * 0.86, 2 * foot * math.tan(step / 2) * 0.93)
    for index, char in enumerate(name):
        angle = math.radians(-span / 2) + step * index
        yield _glyph(char, width, height, radius, radius, angle, foot)


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
    """A character in a box of width × height whose foot is `distance` from (x, y), turned by `angle`.

    The ideographic box is the whole em, descender included, so characters fill the box evenly.
    """
    outline = glyph_outline(char)
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


def _svg(inks: Sequence[Ink], size: float) -> str:
    paths = "".join(
        f'<path d="{ink.path}" fill-rule="{"nonzero" if ink.bold else "evenodd"}"'
        + (f' stroke="{RED}" stroke-width="{ink.bold:.3f}" stroke-linejoin="round"' if ink.bold else "")
        + "/>"
        for ink in inks
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size:g}mm" height="{size:g}mm" '
        f'viewBox="0 0 {size:g} {size:g}"><g fill="{RED}" opacity="{_OPACITY}" '
        f'style="mix-blend-mode:multiply">{paths}</g></svg>'
    )


def _pdf_path(path: str) -> str:
    """The same commands in the order PDF wants them: numbers first, then the operator."""
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
