"""Pages: every type with easy and hard content, judged by reading the PDF back."""

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import zxingcpp
from PIL import Image
from pyhanko.pdf_utils.reader import PdfFileReader

from issuer.catalogue import check_fields, load_profile, shown_fields
from issuer.rendering import BOX_MM, PageData, RenderedPage, missing_characters, printed_code, render
from issuer.rendering.photo import photo_jpeg
from trust.model.errors import Malformed, ProfileViolation
from trust.model.identifiers import make
from trust.model.parties import UnifiedSocialCreditCode

SAMPLES = Path(__file__).parents[2] / "samples"
QR_CODES = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
TYPES = ["FOOD", "ROADTP", "MEDPR", "APPROVAL"]
SHORT_NAME, LONG_NAME = "云岭县税务局", "云岭彝族傣族自治县民族宗教事务和市场监督管理委员"
LONG_ADDRESS = (
    "云岭彝族傣族自治县滇水镇人民中路与环湖东路交叉口东南侧一百二十米春城国际会展与冷链物流综合产业园二期工程第十七号楼"
    "裙楼负一层至地上三层（含夹层）B1-08、B1-09、L1-01至L1-26号商铺及附属库房，以及北侧临时摊位一至四十号"
)
HARD = {
    "FOOD": {
        "holder_name": "㐂𠮷堂（云岭彝族傣族自治县）国际餐饮文化传播与冷链食品集团股份有限公司第十七分公司",
        "legal_representative": "Maximiliana Constantina von Hohenfels-Beispielburg",
        "domicile": LONG_ADDRESS,
        "premises": LONG_ADDRESS,
        "business_items": "热食类食品制售；冷食类食品制售（含凉菜、含烧卤熟肉）；生食类食品制售（即食果蔬）；"
        "糕点类食品制售（含裱花蛋糕）；自制饮品制售（含自酿酒）；预包装食品（含冷藏冷冻食品）销售；散装食品（含熟食）销售；特殊食品销售",
        "supervised_by": "云岭彝族傣族自治县民族宗教事务和市场监督管理委员会滇水镇食品药品监督管理所",
    },
    "ROADTP": {
        "holder_name": "㐂𠮷（云岭）国际多式联运与城市公共交通投资建设运营管理集团有限责任公司；"
        "云岭彝族傣族自治县长途客运联合经营服务有限公司；Beispiel Überland-Transport & Logistik (Yunling) GmbH",
        "holder_code": "91350100M000100Y43；11430000006122244L；11330105002500287C",
        "holder_code_type": "",
        "address": LONG_ADDRESS,
        "person_in_charge": "买买提江·阿卜杜示例·努尔样本江",
        "business_scope": "；".join(
            f"{place}{kind}客运" for kind in ("班车", "包车") for place in ("县内", "县际", "市际", "省际")
        )
        + "；道路普通货物运输；货物专用运输（集装箱）；大型物件运输；危险货物运输（3类、8类）（剧毒化学品除外）",
    },
    "MEDPR": {
        "holder_name": "Anneliese-Wilhelmina Mustermann y González de la Peña",
        "holder_code_type": "普通护照",
        "holder_code": "X00EXAMPLE12",
        "practice_scope": "内科专业；儿科专业；急救医学专业；"
        "全科医学专业；重症医学科专业（含心血管、呼吸、神经重症监护）",
        "main_institution": "㐂𠮷（春城）国际医疗中心暨云岭彝族傣族自治县民族医药研究院附属综合医院",
        "practice_region": "云岭省、滇水省、彩云自治区（多点执业备案）",
    },
    "APPROVAL": {
        "title": "关于云岭彝族傣族自治县㐂𠮷河流域"
        "山水林田湖草沙一体化保护和系统治理工程（二期）可行性研究报告及初步设计概算的批复",
        "holder_name": "云岭彝族傣族自治县㐂𠮷河流域综合治理工程建设管理中心；春城市湿地保护中心",
        "holder_code": "91350100M000100Y43；11430000006122244L",
        "body": "\n".join(
            f"第{n}条　" + "请严格按照批复的建设内容和规模组织实施，落实环境保护各项要求。" * 6
            for n in range(14)
        ),
        "annexes": "工程概算核定表；审批部门招标核准意见；建设内容和规模一览表（含各乡镇分项工程量及其对应的责任单位）",
        "copies_to": "；".join(f"云岭县示例第{n}局" for n in range(12)),
    },
}
TEXT = "HTTPS://V.CHUNCHENG.EXAMPLE/Q/" + "A7K2MZQ5" * 97

Case = tuple[str, PageData, RenderedPage, pypdfium2.PdfDocument]
"""Its type, what it says, the page, and that page opened."""


def sample(short: str) -> dict[str, str]:
    with (SAMPLES / f"{short.lower()}.csv").open(encoding="utf-8", newline="") as rows:
        row = next(csv.DictReader(rows))
    fields = [load_profile(short).field_named(column) for column in row]
    return {field.name: value for field, value in zip(fields, row.values(), strict=True) if field}


def page_data(
    short: str, change: Mapping[str, str] | None = None, issuer: str = SHORT_NAME, text: str = TEXT
) -> PageData:
    profile = load_profile(short)
    checked = check_fields(
        profile,
        {**sample(short), **(change or {})},
        today=date(2025, 12, 1),
        missing_characters=missing_characters,
    )
    photo = checked.one("photo")
    return PageData(
        fields=shown_fields(profile, checked),
        issuer_zh=issuer,
        issuer_en="An Invented Bureau",
        issued_on=checked.issued_on,
        identifier=make(
            type_code=profile.type_code,
            issuer=UnifiedSocialCreditCode("11430000006122244L"),
            serial="7K2MZQ5A9D3F1B8C6E40",
        ),
        host="v.chuncheng.example",
        qr_text=text,
        ecertificate_json='{"说明": "印证"}'.encode(),
        created_at=datetime(2025, 12, 1, 2, 3, 4, tzinfo=UTC),
        photo=(SAMPLES / photo).read_bytes() if photo else None,
    )


@pytest.fixture(scope="module", params=[(s, h) for s in TYPES for h in ("easy", "hard")], ids="-".join)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    short, kind = request.param
    data = page_data(short, HARD[short], LONG_NAME) if kind == "hard" else page_data(short)
    page = render(load_profile(short), data)
    document = pypdfium2.PdfDocument(page.pdf)
    yield short, data, page, document
    document.close()


def characters(page: pypdfium2.PdfPage) -> Iterator[tuple[str, float, float, float, float]]:
    """(character, left, bottom, right, top) of everything printed with ink."""
    text = page.get_textpage()
    for index in range(text.count_chars()):
        char = text.get_text_range(index, 1)
        if char.strip():
            yield char, *text.get_charbox(index)


def test_the_code_is_read_from_the_printed_page(case: Case) -> None:
    _, data, page, document = case
    image = document[page.pages - 1].render(scale=200 / 72, grayscale=True).to_pil()
    found = zxingcpp.read_barcodes(image, formats=QR_CODES)
    assert [code.text for code in found] == [data.qr_text]


def test_the_attachment_is_the_only_one_and_holds_the_bytes_given(case: Case) -> None:
    _, data, _, document = case
    assert document.count_attachments() == 1
    attachment = document.get_attachment(0)
    assert attachment.get_name() == "ecertificate.json"
    assert bytes(attachment.get_data()) == data.ecertificate_json
    json.loads(bytes(attachment.get_data()))


def test_the_file_says_that_it_is_pdf_a_3a_and_pdf_ua_1_and_what_it_is(case: Case) -> None:
    short, data, page, document = case
    assert b"<pdfaid:part>3</pdfaid:part>" in page.pdf
    assert b"<pdfaid:conformance>A</pdfaid:conformance>" in page.pdf
    assert b"<pdfuaid:part>1</pdfuaid:part>" in page.pdf
    assert b"/DisplayDocTitle true" in page.pdf
    assert document.get_metadata_value("Author") == data.issuer_zh
    assert document.get_metadata_value("Title").startswith(load_profile(short).name.zh)
    assert b"/Lang" in page.pdf
    assert b"/AFRelationship/Data" in page.pdf.replace(b" ", b"")


def elements(pdf: bytes) -> Iterator[tuple[str, str | None, int]]:
    """The structure in reading order: (type, alternative text, depth)."""
    tree = PdfFileReader(io.BytesIO(pdf)).root["/StructTreeRoot"]
    waiting = [(tree["/K"][0], 0)]
    while waiting:
        element, depth = waiting.pop(0)
        yield element["/S"], element.get("/Alt"), depth
        kids = element.get("/K", [])
        inner = [kids[n] for n in range(len(kids))] if isinstance(kids, list) else [kids]
        waiting[:0] = [(kid, depth + 1) for kid in inner if isinstance(kid, dict) and "/S" in kid]


def test_who_hears_a_page_finds_its_title_its_text_in_order_and_words_for_pictures(case: Case) -> None:
    short, _, page, _ = case
    found = list(elements(page.pdf))
    kinds = [kind for kind, _, _ in found]
    assert kinds.count("/H1") == 1
    assert kinds.index("/H1") <= 2, "at most the letterhead before it"
    figures = [words for kind, words, _ in found if kind == "/Figure"]
    assert len(figures) == (2 if short == "MEDPR" else 1), "ornaments are none"
    assert all(figures)
    assert any("v.chuncheng.example" in (words or "") for words in figures)
    assert b"/Lang(en)" in page.pdf or short == "APPROVAL"


def test_the_place_of_the_seal_is_on_its_page_and_around_the_date(case: Case) -> None:
    _, _, page, document = case
    place = page.seal
    sheet = document[place.page]
    width, height = sheet.get_size()
    assert 0 < place.x1 < place.x2 < width
    assert 0 < place.y1 < place.y2 < height
    assert place.x2 - place.x1 == pytest.approx(42 * 72 / 25.4, abs=0.01)
    inside = sheet.get_textpage().get_text_bounded(place.x1 - 10, place.y1, place.x2 + 10, place.y2)
    assert "月" in inside
    assert "日" in inside


def test_every_value_is_on_the_page_whole(case: Case) -> None:
    short, data, _, document = case
    shown = "".join(document[n].get_textpage().get_text_range() for n in range(len(document)))
    # A paragraph goes on after the page number that stands between its halves.
    text = re.sub(r"—\d+—", "", "".join(shown.split()).replace("\ufffe", "").replace("\u00ad", ""))
    for name, values in data.fields.items():
        hidden = {"photo", "holder_code_type"} | (
            {"holder_code", "valid_from"} if short == "APPROVAL" else set()
        )
        if name in hidden:
            continue
        for value in values:
            assert "".join(value.split()) in text or value == "长期", name
    assert str(data.identifier) in text
    assert data.issuer_zh in text


def test_the_identifier_stands_on_one_line_and_is_copied_whole(case: Case) -> None:
    _, data, page, document = case
    text = document[page.pages - 1].get_textpage()
    found = text.search(str(data.identifier)).get_next()
    assert found is not None
    start, _ = found
    boxes = [text.get_charbox(start + n) for n in range(len(str(data.identifier)))]
    assert max(box[1] for box in boxes) - min(box[1] for box in boxes) < 4
    sizes = {pypdfium2.raw.FPDFText_GetFontSize(text.raw, start + n) for n in range(len(boxes))}
    assert min(sizes) >= 7.9
    # Set narrower where it must be, but never so that letters could not be told apart.
    assert boxes[-1][2] - boxes[0][0] > 0.8 * 8 * len(boxes) * 0.55


def test_the_page_says_what_it_is_and_what_a_print_of_it_is_worth(case: Case) -> None:
    short, _, page, document = case
    what = "文件" if short == "APPROVAL" else "证照"
    text = "".join(document[page.pages - 1].get_textpage().get_text_range().split())
    assert f"本{what}为电子{what}，与纸质{what}具有同等法律效力；打印件请扫码核验。" in text


def test_rare_characters_stand_among_serif_in_serif(case: Case) -> None:
    _, data, page, _ = case
    rare = {char for values in data.fields.values() for value in values for char in value} & set("𠮷")
    assert (b"NotoSerifJP" in page.pdf) == bool(rare)
    assert b"NotoSansCJK" not in page.pdf


def test_nothing_is_printed_over_anything_else_or_off_the_page(case: Case) -> None:
    _, _, _, document = case
    for number in range(len(document)):
        sheet = document[number]
        width, height = sheet.get_size()
        boxes = list(characters(sheet))
        for char, left, bottom, right, top in boxes:
            assert left > 40, char
            assert right < width - 40, char
            assert bottom > 40, char
            assert top < height - 40, char
        boxes.sort(key=lambda box: box[1])
        for i, (char, left, bottom, right, top) in enumerate(boxes):
            for other, left2, bottom2, right2, top2 in boxes[i + 1 :]:
                if left2 >= right:
                    break
                across, up = min(right, right2) - left2, min(top, top2) - max(bottom, bottom2)
                if across <= 0 or up <= 0:
                    continue
                smaller = min((right - left) * (top - bottom), (right2 - left2) * (top2 - bottom2))
                assert across * up < 0.3 * smaller + 0.5, (number, char, other)


def test_no_text_comes_near_the_code(case: Case) -> None:
    """Four modules around the code stay white; the box is 36 mm and a frame of 0.7 mm."""
    _, _, page, document = case
    sheet = document[page.pages - 1]
    image = sheet.render(scale=200 / 72, grayscale=True).to_pil()
    corners = zxingcpp.read_barcodes(image, formats=QR_CODES)[0].position
    scale = 72 / 200
    quiet = 4 * printed_code(TEXT).module_mm * 72 / 25.4 - 1
    left, right = corners.top_left.x * scale - quiet, corners.bottom_right.x * scale + quiet
    top = sheet.get_height() - corners.top_left.y * scale + quiet
    bottom = sheet.get_height() - corners.bottom_right.y * scale - quiet
    for char, l2, b2, r2, t2 in characters(sheet):
        assert r2 <= left or l2 >= right or t2 <= bottom or b2 >= top, char


@pytest.mark.parametrize("name", [SHORT_NAME, "春城市市场监督管理局", "春城市卫生健康委员会", LONG_NAME])
@pytest.mark.parametrize("short", TYPES)
@pytest.mark.parametrize("diameter", [42, 45])
def test_the_issuers_name_does_not_run_under_the_letters_of_the_ring(
    short: str, name: str, diameter: float
) -> None:
    """Certificates have it above the ring. A 批文 has it below the middle, as its norm wants (GB/T 9704 §7.3.5.1);
    there the letters of names of usual length end above it."""
    data = replace(page_data(short, issuer=name), seal_width_mm=diameter, seal_height_mm=diameter)
    page = render(load_profile(short), data)
    document = pypdfium2.PdfDocument(page.pdf)
    text = document[page.seal.page].get_textpage()
    shown = text.get_text_range()
    at = [m.start() for m in re.finditer(name, shown)]
    middle = (page.seal.y1 + page.seal.y2) / 2
    boxes = [text.get_charbox(n) for n in at]
    near = [box for box in boxes if abs((box[1] + box[3]) / 2 - middle) < 40 * 72 / 25.4]
    assert near
    for _, bottom, _, top in near:
        if short == "APPROVAL":
            assert middle - 12 * 72 / 25.4 < bottom < top < middle - 3
        else:
            assert bottom > page.seal.y2
    document.close()


@pytest.mark.parametrize("length", range(14, 60))
def test_no_character_stands_alone_on_the_last_line_of_a_value(length: int) -> None:
    address = ("云岭彝族傣族自治县滇水镇人民中路与环湖东路交叉口东南侧" * 3)[: length - 1] + "房"
    data = page_data("FOOD", {"domicile": address})
    document = pypdfium2.PdfDocument(render(load_profile("FOOD"), data).pdf)
    text = document[0].get_textpage()
    at = text.get_text_range().index("房")
    level = text.get_charbox(at)[1]
    beside = [
        char
        for char, left, bottom, _, top in characters(document[0])
        if 60 * 72 / 25.4 < left < 198 * 72 / 25.4 and bottom - 6 < level < top
    ]
    assert len(beside) >= 3
    document.close()


def test_a_food_licence_is_an_original_and_names_who_issued_it() -> None:
    document = pypdfium2.PdfDocument(render(load_profile("FOOD"), page_data("FOOD")).pdf)
    text = "".join(document[0].get_textpage().get_text_range().split())
    document.close()
    assert "（正本）" in text
    assert "发证机关" in text


def approval(length: int, code: str, annexes: str) -> PageData:
    body = "一、同意。" + "请严格按照批复的建设内容和规模组织实施落实环境保护各项要求、" * 9 + "完毕。"
    last = ("二、工程总投资核定为若干万元，" + "资金来源为市级财政资金，" * 60)[: length - 1] + "。"
    return page_data("APPROVAL", {"body": f"{body}\n{last}", "project_code": code, "annexes": annexes})


@pytest.mark.parametrize("annexes", ["", "概算表", "概算表；招标意见；一览表"])
@pytest.mark.parametrize("code", ["", "2501-990100-04-01-100508"])
@pytest.mark.parametrize("length", range(20, 700, 61))
def test_the_seal_of_an_approval_follows_its_text_and_leaves_no_page_half_empty(
    length: int, code: str, annexes: str
) -> None:
    page = render(load_profile("APPROVAL"), approval(length, code, annexes))
    document = pypdfium2.PdfDocument(page.pdf)
    foot = 35 * 72 / 25.4
    if page.seal.page:
        text = [
            bottom for _, _, bottom, _, _ in characters(document[page.seal.page - 1]) if bottom > foot + 1
        ]
        assert min(text) - foot < 5 * 29
    above = [
        bottom for _, _, bottom, _, _ in characters(document[page.seal.page]) if bottom > page.seal.y2 - 8
    ]
    assert 0 < min(above) - page.seal.y2 < 29, "its top within one line of the text"
    assert len({round(bottom / 12) for bottom in above}) >= 2, "two lines stay with it"
    assert page.pages == page.seal.page + 1, "the code is on the same page"
    document.close()


@pytest.mark.parametrize(
    "unit", ["请严格按照批复的建设内容和规模组织实施，", "See Überland 12 ", "金额4,860万元（含税）、"]
)
@pytest.mark.parametrize("length", range(90, 1000, 130))
def test_a_last_paragraph_that_goes_on_beside_the_seal_loses_nothing_and_breaks_no_word(
    unit: str, length: int
) -> None:
    """It is set in two parts where nothing else stays with the seal."""
    words = (unit * 100)[:length].strip() + "。"
    page = render(
        load_profile("APPROVAL"), page_data("APPROVAL", {"body": words, "project_code": "", "annexes": ""})
    )
    document = pypdfium2.PdfDocument(page.pdf)
    shown = "\n".join(sheet.get_textpage().get_text_range() for sheet in document).replace("\ufffe", "")
    document.close()
    plain = re.sub(r"—\d+—", "", "".join(shown.split()))
    assert "".join(words.split()) in plain
    lines = shown.split("\n")
    for before, after in itertools.pairwise(lines):
        broken = before.rstrip("\r")[-1:] + after[:1]
        assert not re.fullmatch(r"[A-Za-zÜ0-9]{2}", broken) or "—" in before + after, (before, after)
        assert after[:1] not in "，。、）", after


@pytest.mark.parametrize(
    ("body", "black", "song"),
    [
        (
            "一、建设内容\n工程建设期。\n二、投资概算\n总投资若干。",
            ("一、", "设内容", "投资概"),
            ("工程建设期", "总投资若"),
        ),
        (
            "一、批准第一期。工程按文本。\n二、核定投资。资金自筹。",
            ("第一期", "核定投"),
            ("工程按", "资金自"),
        ),
        ("一、批准第一期。工程按文本。\n二、请严格执行。", ("一、", "二、"), ("第一期", "工程按", "请严格")),
    ],
)
def test_headings_of_the_first_level_are_in_black_letter_and_look_alike(
    body: str, black: tuple[str, ...], song: tuple[str, ...]
) -> None:
    document = pypdfium2.PdfDocument(
        render(load_profile("APPROVAL"), page_data("APPROVAL", {"body": body})).pdf
    )
    text = document[0].get_textpage()
    shown = text.get_text_range()

    def font(part: str) -> str:
        buffer, flags = pypdfium2.raw.ctypes.create_string_buffer(200), pypdfium2.raw.ctypes.c_int()
        index = shown.index(part)
        pypdfium2.raw.FPDFText_GetFontInfo(text.raw, index, buffer, 200, flags)
        return str(buffer.value.decode().split("+")[-1])

    assert {font(part) for part in black} == {"NotoSansSC-Regular"}
    assert {font(part) for part in song} == {"NotoSerifSC-Regular"}
    document.close()


def test_the_colophon_names_issuer_and_day_also_where_nobody_gets_a_copy() -> None:
    data = page_data("APPROVAL", {"copies_to": ""})
    page = render(load_profile("APPROVAL"), data)
    document = pypdfium2.PdfDocument(page.pdf)
    text = "".join(document[page.pages - 1].get_textpage().get_text_range().split())
    document.close()
    assert "日印发" in text
    assert "抄送" not in text


@pytest.mark.parametrize("short", TYPES)
def test_the_same_page_is_the_same_bytes(short: str) -> None:
    profile = load_profile(short)
    first = render(profile, page_data(short)).pdf
    render(profile, page_data(short, HARD[short]))
    assert render(profile, page_data(short)).pdf == first


def test_a_page_is_dated_by_its_caller() -> None:
    profile = load_profile("FOOD")
    other = replace(page_data("FOOD"), created_at=datetime(2024, 1, 1, tzinfo=UTC))
    document = pypdfium2.PdfDocument(render(profile, other).pdf)
    assert document.get_metadata_value("CreationDate").startswith("D:20240101")
    document.close()


@pytest.mark.parametrize(
    ("short", "field"), [("FOOD", "premises"), ("ROADTP", "business_scope"), ("MEDPR", "practice_scope")]
)
def test_a_text_that_does_not_fit_at_the_smallest_size_is_refused_by_name(short: str, field: str) -> None:
    data = page_data(short)
    too_much = replace(data, fields=dict(data.fields) | {field: ("很长的内容" * 400,)})
    with pytest.raises(ProfileViolation) as refused:
        render(load_profile(short), too_much)
    assert [(reason.field, reason.code) for reason in refused.value.violations] == [(field, "OVER_LONG")]


def test_a_word_that_cannot_be_broken_is_refused_when_it_is_wider_than_its_column() -> None:
    data = page_data("FOOD")
    with pytest.raises(ProfileViolation, match="premises: more than the page holds"):
        render(load_profile("FOOD"), replace(data, fields=dict(data.fields) | {"premises": ("W" * 90,)}))


def test_a_document_of_more_than_twelve_pages_is_refused() -> None:
    data = page_data("APPROVAL")
    with pytest.raises(ProfileViolation) as refused:
        render(load_profile("APPROVAL"), replace(data, fields=dict(data.fields) | {"body": ("长文" * 4000,)}))
    assert refused.value.violations[0].field == "body"


def test_a_seal_of_45_mm_gets_a_larger_place_with_the_same_centre() -> None:
    profile = load_profile("FOOD")
    small = render(profile, page_data("FOOD")).seal
    large = render(profile, replace(page_data("FOOD"), seal_width_mm=45, seal_height_mm=45)).seal
    assert large.x2 - large.x1 == pytest.approx(45 * 72 / 25.4, abs=0.01)
    assert large.x1 + large.x2 == pytest.approx(small.x1 + small.x2, abs=0.01)
    assert large.y1 + large.y2 == pytest.approx(small.y1 + small.y2, abs=0.01)


def test_text_that_looks_like_typst_is_only_text() -> None:
    hostile = '#panic("x") *bold* $x$ \\ <seal> @ref // #sys.inputs'
    data = page_data("FOOD")
    page = render(load_profile("FOOD"), replace(data, fields=dict(data.fields) | {"domicile": (hostile,)}))
    document = pypdfium2.PdfDocument(page.pdf)
    assert "*bold*" in document[0].get_textpage().get_text_range()
    document.close()


# The code


@pytest.mark.parametrize(
    ("length", "version"), [(30, 14), (528, 14), (529, 16), (656, 16), (657, 18), (816, 18)]
)
def test_the_first_version_that_fits_is_taken(length: int, version: int) -> None:
    code = printed_code(TEXT[:30] + "A" * (length - 30))
    assert code.version == version
    assert code.module_mm >= 0.37


def test_a_text_that_fits_no_version_is_refused() -> None:
    with pytest.raises(Malformed) as refused:
        printed_code("A" * 817)
    assert refused.value.code == "QR_TOO_LONG"


@pytest.mark.parametrize("text", ["", "https://lower.example", "HTTPS://X/印", "A\nB"])
def test_a_text_outside_the_alphanumeric_set_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        printed_code(text)


def test_the_box_holds_the_largest_version_with_its_quiet_zone() -> None:
    assert BOX_MM / 97 >= 0.37


# Fonts


def test_rare_characters_are_covered_and_others_are_named_once_in_order() -> None:
    assert missing_characters("㐂𠮷张三·Peña（）") == ()
    assert missing_characters("春𪚥\ue000𪚥") == ("𪚥", "\ue000")


# Photographs


def picture(
    mode: str = "RGB", size: tuple[int, int] = (300, 400), form: str = "PNG", **options: Any
) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size).save(out, form, **options)
    return out.getvalue()


def test_a_type_with_a_photograph_demands_one() -> None:
    with pytest.raises(ProfileViolation) as refused:
        render(load_profile("MEDPR"), replace(page_data("MEDPR"), photo=None))
    assert refused.value.violations[0].code == "MISSING"


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_a_photograph_of_any_mode_becomes_a_plain_jpeg(mode: str) -> None:
    image = Image.open(io.BytesIO(photo_jpeg(picture(mode))))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (413, 578))


def test_the_smallest_photograph_is_taken() -> None:
    assert photo_jpeg(picture(size=(180, 240)))


def test_what_hides_in_a_photograph_is_dropped() -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET-PLACE"
    source = picture(form="JPEG", exif=exif, comment=b"SECRET-COMMENT") + b"SECRET-TAIL"
    assert b"SECRET" in source
    assert b"SECRET" not in photo_jpeg(source)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "PHOTO_UNREADABLE"),
        (b"GIF89a" + bytes(50), "PHOTO_UNREADABLE"),
        (picture()[:60], "PHOTO_UNREADABLE"),
        (bytes(2_000_001), "PHOTO_TOO_LARGE"),
        (picture(size=(100, 140)), "PHOTO_TOO_SMALL"),
        (picture(size=(179, 240)), "PHOTO_TOO_SMALL"),
        (picture(size=(180, 239)), "PHOTO_TOO_SMALL"),
        (picture("1", (6000, 6000)), "PHOTO_TOO_LARGE"),
        (picture(form="GIF"), "PHOTO_UNREADABLE"),
    ],
)
def test_what_is_no_usable_photograph_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(ProfileViolation) as refused:
        photo_jpeg(data)
    assert refused.value.violations[0].code == code
