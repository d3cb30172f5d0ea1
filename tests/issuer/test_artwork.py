"""Seal pictures: shape, size, transparency, and that print below the ink stays black."""

import io
import itertools
import math
import re
import xml.etree.ElementTree as ElementTree
from hashlib import sha256

import pypdfium2
import pytest
from PIL import Image, ImageChops, ImageFilter

from issuer.seals import artwork
from issuer.seals.artwork import SealPicture, round_seal, seal_data_png, seal_pdf, seal_png
from trust.model.errors import Malformed

NAMES = [
    "云岭县税务局",
    "春城市市场监督管理局",
    "春城高新技术产业开发区管理委员会行政审批局",
    "云岭彝族傣族自治县民族宗教事务和市场监督管理委员",
]


def alpha(picture: SealPicture, dpi: int = 200) -> Image.Image:
    image = Image.open(io.BytesIO(seal_png(picture, dpi)))
    assert image.mode == "RGBA"
    return image.getchannel("A")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("second", ["", "行政许可专用章"])
@pytest.mark.parametrize("diameter", [42, 45])
def test_a_seal_page_is_exactly_the_size_of_the_seal(name: str, second: str, diameter: float) -> None:
    document = pypdfium2.PdfDocument(seal_pdf(round_seal(name, second, diameter_mm=diameter)))
    assert len(document) == 1
    assert document[0].get_size() == pytest.approx((diameter * 72 / 25.4,) * 2, abs=0.01)
    document.close()


@pytest.mark.parametrize("name", NAMES)
def test_the_letters_keep_clear_of_ring_and_star(name: str) -> None:
    """Going outwards from the centre there is star, nothing, letters, nothing, ring."""
    image = alpha(round_seal(name, "行政许可专用章"), 300)
    middle, mm = image.width / 2, image.width / 42
    for low, high in ((6.9, 9.6), (18.95, 19.6)):
        for angle in range(-90, 91):  # the upper half: the second line is in the lower
            for tenth in range(int(low * 10), int(high * 10)):
                x = middle + tenth / 10 * mm * math.sin(math.radians(angle))
                y = middle - tenth / 10 * mm * math.cos(math.radians(angle))
                assert image.getpixel((int(x), int(y))) == 0, (tenth, angle)


CODE = "9901010123456"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("second", ["", "行政许可专用章"])
@pytest.mark.parametrize("diameter", [42.0, 45.0])
def test_the_code_stands_on_the_lower_arc_and_touches_nothing(
    name: str, second: str, diameter: float
) -> None:
    """The picture with the code differs from that without it at the foot only, where that had nothing."""
    without, with_code = (
        alpha(round_seal(name, second, code, diameter_mm=diameter), 300) for code in ("", CODE)
    )
    digits = ImageChops.subtract(with_code, without)
    assert ImageChops.subtract(without, with_code).getextrema() == (0, 0)
    box = digits.getbbox()
    assert box is not None
    left, top, right, _ = box
    mm = with_code.width / diameter
    unit = diameter / 42
    assert top / mm > 21 * unit + 14.3 * unit
    assert abs((left + right) / 2 - with_code.width / 2) < 0.4 * mm
    # a quarter of a millimetre around each digit is free
    grown = digits.point([255 if value else 0 for value in range(256)]).filter(ImageFilter.MaxFilter(5))
    _, darkest = ImageChops.multiply(grown, without).getextrema()
    assert isinstance(darkest, (int, float))
    assert darkest < 3


def test_each_digit_has_its_place_from_left_to_right() -> None:
    plain = alpha(round_seal(NAMES[1], "", CODE), 300)
    places = []
    for index in range(13):
        changed = CODE[:index] + str((int(CODE[index]) + 3) % 10) + CODE[index + 1 :]
        box = ImageChops.difference(plain, alpha(round_seal(NAMES[1], "", changed), 300)).getbbox()
        assert box is not None
        assert (box[2] - box[0]) / (plain.width / 42) < 2.5
        places.append((box[0] + box[2]) / 2)
    assert places == sorted(places)
    assert min(b - a for a, b in itertools.pairwise(places)) > plain.width / 42


@pytest.mark.parametrize(
    "code", ["990101012345", "99010101234567", "99010101234AB", "９９０１０１０１２３４５６"]
)
def test_a_code_has_thirteen_digits(code: str) -> None:
    with pytest.raises(Malformed):
        round_seal(NAMES[0], "", code)


def test_the_letters_of_names_of_usual_length_end_above_issuer_and_date() -> None:
    for name in ("云岭县税务局", "春城市发展和改革局", "春城市市场监督管理局"):
        image = alpha(round_seal(name), 200)
        mm = image.width / 42
        band = image.crop((int(2.8 * mm), int(22.3 * mm), int(14.5 * mm), int(28 * mm)))
        assert band.getbbox() is None


def test_the_picture_is_red_on_nothing() -> None:
    image = Image.open(io.BytesIO(seal_png(round_seal(NAMES[1]), 150)))
    corner, middle = image.getpixel((0, 0)), image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(corner, tuple)
    assert isinstance(middle, tuple)
    assert corner[3] == 0
    red, green, blue, ink = middle
    assert (red, green, blue) == pytest.approx((212, 25, 28), abs=3)
    assert ink > 220


def test_the_svg_needs_no_font_and_no_other_file() -> None:
    root = ElementTree.fromstring(round_seal(NAMES[1], "行政许可专用章").svg)
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {"svg", "g", "path"}
    assert "href" not in round_seal(NAMES[1]).svg


def test_every_path_uses_only_absolute_commands() -> None:
    for ink in round_seal(NAMES[2], "行政审批专用章").inks:
        assert re.fullmatch(r"[MLCZ0-9., -]+", ink.path)


def test_the_pdf_blends_without_a_group_so_that_print_below_shows() -> None:
    pdf = seal_pdf(round_seal(NAMES[0]))
    assert b"/BM /Multiply" in pdf
    assert b"/Group" not in pdf


def test_the_same_name_gives_the_same_bytes() -> None:
    assert seal_pdf(round_seal(NAMES[0], "章")) == seal_pdf(round_seal(NAMES[0], "章"))


def test_rare_characters_are_drawn_from_the_fallback_font() -> None:
    assert alpha(round_seal("㐂𠮷县教育局")).getbbox() is not None


@pytest.mark.parametrize(
    ("name", "second", "diameter"),
    [
        ("局", "", 42),
        ("局" * 25, "", 42),
        ("云岭县税务局", "章" * 11, 42),
        ("云岭县税务局", "", 50),
        ("云岭县𪚥务局", "", 42),
    ],
)
def test_what_no_seal_can_carry_is_refused(name: str, second: str, diameter: float) -> None:
    with pytest.raises(Malformed):
        round_seal(name, second, diameter_mm=diameter)


@pytest.mark.parametrize("diameter", [42.0, 45.0])
def test_the_fullest_seal_fits_into_seal_data(diameter: float) -> None:
    seal = round_seal("彝族傣族藏族羌族" * 3, "彝族傣族自治县专用章", CODE, diameter_mm=diameter)
    assert len(seal_data_png(seal)) < 14_900


def test_letters_of_an_oval_seal_are_smaller_from_the_fifteenth_on() -> None:
    def size(count: int) -> float:
        """The height of the first stroke of the first letter, which is the same one each time."""
        first = next(artwork._oval_arc("口" * count, 22.5, 15.0))
        (x0, y0), (x1, y1) = re.findall(r"(-?[\d.]+),(-?[\d.]+)", first)[1:3]
        return math.dist((float(x0), float(y0)), (float(x1), float(y1)))

    assert size(13) == pytest.approx(size(14), rel=0.01)
    assert size(15) == pytest.approx(size(14) * 4.0 / 4.6, rel=0.01)


def test_a_seal_is_drawn_as_it_was() -> None:
    """Seals that are made again look as those before them. Whoever changes how they are drawn writes new digests."""
    name = NAMES[-1] + "会"
    drawn = {
        "round": (round_seal(name[:n], line) for n in range(4, 25) for line in ("", "行政许可专用章")),
        "oval": (artwork.oval_seal(name[:n], "发票专用章") for n in range(4, 25)),
        "square": (artwork.square_seal(name[:n]) for n in range(2, 13)),
    }
    digests = {
        shape: sha256("".join(each.svg for each in pictures).encode()).hexdigest()[:32]
        for shape, pictures in drawn.items()
    }
    assert digests == {
        "round": "62d7118666bdaffc3e90be1117410107",
        "oval": "d6fb1e817d88c700394f2e9f6d222f9c",
        "square": "d36ae59b55f274fb41f3f1b76eb4513a",
    }
