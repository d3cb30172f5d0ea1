"""Small files that make a reader work long, each in a way of its own. Made at run time."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Callable, Sequence

from PIL import Image

_WHOLE_PAGE = b"0 0 595 842 re f\n"
_PAGE = b"0 0 595 842"


def pdf(objects: Sequence[bytes]) -> bytes:
    out, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def _stream(data: bytes, more: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (more, len(data), data)


def _packed(data: bytes, more: bytes = b"") -> bytes:
    return _stream(zlib.compress(data, 9), more + b"/Filter/FlateDecode")


def page(content: bytes, resources: bytes = b"", more: Sequence[bytes] = (), pages: int = 1) -> bytes:
    """`more` are the objects from number 4 + pages on."""
    one = b"<</Type/Page/Parent 2 0 R/MediaBox[%s]/Contents 3 0 R/Resources<<%s>>>>" % (_PAGE, resources)
    kids = b" ".join(b"%d 0 R" % (4 + number) for number in range(pages))
    tree = b"<</Type/Pages/Count %d/Kids[%s]>>" % (pages, kids)
    return pdf([b"<</Type/Catalog/Pages 2 0 R>>", tree, _packed(content), *[one] * pages, *more])


def _forms(content: bytes, deep: int, wide: int) -> bytes:
    """A form that shows another several times, and so on down."""
    forms = []
    for level in range(deep):
        is_last = level == deep - 1
        inside = b"" if is_last else b"/Resources<</XObject<</F %d 0 R>>>>" % (6 + level)
        forms.append(
            _stream(content if is_last else b"/F Do " * wide, b"/Subtype/Form/BBox[%s]%s" % (_PAGE, inside))
        )
    return page(b"/F Do", b"/XObject<</F 5 0 R>>", forms)


_BLENDED = b"/ExtGState<</G<</ca .5/BM/Luminosity>>>>"
_SHADED = (
    b"/Shading<</S<</ShadingType 2/ColorSpace/DeviceRGB/Coords[0 0 595 842]/Extend[true true]"
    b"/Function<</FunctionType 2/Domain[0 1]/C0[0 0 0]/C1[1 1 1]/N 1.5>>>>>>"
)


def _images(times: int, side: int) -> bytes:
    kind = b"/Subtype/Image/Width %d/Height %d/BitsPerComponent 1/ColorSpace/DeviceGray" % (side, side)
    shown = b"595 0 0 842 0 0 cm " + b"/I Do " * times
    return page(shown, b"/XObject<</I 5 0 R>>", [_packed(bytes(side * side // 8), kind)])


def _curves(count: int) -> bytes:
    chance = random.Random(1)
    return page(
        b"".join(
            b"%d %d m %d %d %d %d %d %d c S\n" % tuple(chance.randrange(800) for _ in range(8))
            for _ in range(count)
        )
    )


def _picture(picture: Image.Image, kind: str, **more: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **more)
    return out.getvalue()


def _finders(side: int, cell: int) -> bytes:
    """The corner of a QR code, everywhere."""
    corner = Image.new("1", (9, 9), 1)
    for y in range(7):
        for x in range(7):
            corner.putpixel((x, y), max(abs(x - 3), abs(y - 3)) == 2)
    sheet = Image.new("1", (side // cell, side // cell), 1)
    for y in range(0, sheet.height, 9):
        for x in range(0, sheet.width, 9):
            sheet.paste(corner, (x, y))
    return _picture(sheet.resize((side, side)), "PNG")


def _frames(count: int, side: int) -> bytes:
    frames = [Image.new("L", (side, side), number % 255) for number in range(count)]
    return _picture(frames[0], "GIF", save_all=True, append_images=frames[1:])


def _noise(side: int, mode: str, kind: str, **more: object) -> bytes:
    size = side * side * (3 if mode == "RGB" else 1)
    return _picture(Image.frombytes(mode, (side, side), random.Random(1).randbytes(size)), kind, **more)


STARVING: dict[str, Callable[[], bytes]] = {
    "ten thousand pages": lambda: page(b"", pages=10_000),
    "page painted over and over": lambda: page(_WHOLE_PAGE * 200_000),
    "page painted through": lambda: page(b"/G gs " + _WHOLE_PAGE * 20_000, _BLENDED),
    "page painted through, in a form": lambda: page(
        b"/F Do",
        b"/XObject<</F 5 0 R>>",
        [
            _packed(
                b"/G gs " + _WHOLE_PAGE * 20_000,
                b"/Subtype/Form/BBox[%s]/Resources<<%s>>" % (_PAGE, _BLENDED),
            )
        ],
    ),
    "shadings": lambda: page(b"/S sh " * 3000, _SHADED),
    "forms in forms": lambda: _forms(b"0 0 100 100 re f", 12, 8),
    "forms in forms, painted": lambda: _forms(_WHOLE_PAGE, 5, 10),
    "three million strokes": lambda: page(b"0 0 m 595 842 l S\n" * 3_000_000),
    "curves": lambda: _curves(400_000),
    "one picture five hundred times": lambda: _images(500, 20_000),
    "content of 900 MB": lambda: page(b" " * (900 << 20)),
    "corners of codes": lambda: _finders(7992, 1),
    "larger corners of codes": lambda: _finders(3204, 2),
    "twenty frames": lambda: _frames(20, 4000),
    "noise": lambda: _noise(2200, "RGB", "PNG", compress_level=1),
    "noise, JPEG": lambda: _noise(8000, "L", "JPEG", quality=1),
    "noise, WebP": lambda: _noise(3000, "RGB", "WEBP", quality=20),
    "zeros": lambda: b"%PDF-1.7\n" + bytes((20 << 20) - 9),
    "beginnings of objects": lambda: b"%PDF-1.7\n" + b"1 0 obj\n<<>>\nendobj\n" * 900_000,
}
