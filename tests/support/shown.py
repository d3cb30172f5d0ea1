"""How a licence is shown: as a file, as its printed code, as a picture of its page; also altered and photographed."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import pypdfium2
import zxingcpp
from PIL import Image, ImageChops, ImageFilter


@dataclass(frozen=True)
class Shown:
    """One licence as a file, as the text of its printed code, as a picture of its page, and as a photo of the print."""

    file: bytes
    code: str
    picture: bytes

    def as_(self, form: str) -> bytes | str:
        forms: dict[str, Callable[[], bytes | str]] = {
            "file": lambda: self.file,
            "code": lambda: self.code,
            "picture": lambda: self.picture,
            "photo": lambda: photographed(self.picture),
        }
        return forms[form]()


def photographed(picture: bytes) -> bytes:
    """Printed and photographed: a little askew, seen from the side, unevenly lit, out of focus, grainy, as JPEG."""
    with Image.open(io.BytesIO(picture)) as opened:
        page = opened.convert("L")
    width, height = page.size
    page = page.rotate(3, expand=True, fillcolor=160, resample=Image.Resampling.BICUBIC).resize(
        (width, height)
    )
    askew = (1, 0.03, 0, 0.01, 1, 0, 0.00001, 0.00002)
    page = page.transform(
        page.size, Image.Transform.PERSPECTIVE, askew, Image.Resampling.BICUBIC, fillcolor=160
    )
    light = Image.linear_gradient("L").resize(page.size).point(lambda value: 170 + value // 4)
    page = ImageChops.multiply(page, light).filter(ImageFilter.GaussianBlur(0.8))
    page = Image.blend(page, Image.effect_noise(page.size, 30), 0.08)
    out = io.BytesIO()
    page.save(out, "JPEG", quality=70)
    return out.getvalue()


def saved_anew(good: Shown) -> Shown:
    """What a viewer's "save as" makes of it. The page and its code are as they were."""
    document = pypdfium2.PdfDocument(good.file)
    out = io.BytesIO()
    document.save(out)
    document.close()
    return Shown(out.getvalue(), good.code, good.picture)


def shown(pdf: bytes) -> Shown:
    page = pypdfium2.PdfDocument(pdf)
    image = page[len(page) - 1].render(scale=2.5).to_pil().convert("RGB")
    (code,) = (found.text for found in zxingcpp.read_barcodes(image) if "/Q/" in found.text)
    out = io.BytesIO()
    image.save(out, "PNG")
    return Shown(pdf, code, out.getvalue())


def altered(good: Shown) -> Shown:
    """One byte of the file; one character in the middle of the code, which its picture shows too."""
    import qrcode

    file = good.file[:11] + bytes((good.file[11] ^ 1,)) + good.file[12:]
    at = len(good.code) - 30  # inside the signature
    code = good.code[:at] + ("A" if good.code[at] != "A" else "B") + good.code[at + 1 :]
    out = io.BytesIO()
    qrcode.make(code).get_image().convert("RGB").save(out, "PNG")
    return Shown(file, code, out.getvalue())
