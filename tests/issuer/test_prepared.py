"""Both ways of sealing a page make the same seal; what the prepared way does not know, it leaves alone."""

from __future__ import annotations

import gc
import io
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import typst
from asn1crypto import cms
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.general import as_signing_certificate_v2
from support.plain_pages import OBJECTS, TRAILER, build
from support.ways import SEALING, sealing
from support.world import START, World, make_world

from issuer.sealing.pdf import SealInUse, SealPlace, SealsPages, seal_pdf, seal_plain
from issuer.sealing.prepared import seal_prepared
from keys import asn1
from keys.custody import KeyRecord, SigningKey
from keys.suites import Suite, check_signature
from keys.tsa import TimeStamper
from trust.app import samples
from trust.encoding.cms import SEAL_DATA_OID, encode_attribute, encode_constant_seal_attributes
from trust.model.errors import Conflict, Malformed
from trust.model.report import Verdict
from trust.pdf.gap import check_gap

SUITES = {
    "sm2": Suite.SM2_SM3,
    "rsa3072": Suite.RSA3072_SHA256,
    "p256": Suite.P256_SHA256,
}
PLACE = SealPlace(0, 100.4, 99.6, 219.4, 218.6)


@dataclass
class CountingKey:
    """A key that says how often it signed."""

    inner: SigningKey
    count: int = 0

    @property
    def record(self) -> KeyRecord:
        return self.inner.record

    @property
    def pyca(self) -> Any:
        return self.inner.pyca

    def sign(self, message: bytes) -> bytes:
        self.count += 1
        return self.inner.sign(message)


@dataclass
class Desk:
    """Where things are sealed: a seal, its key and its time-stamp authority."""

    seal: SealInUse
    tsa: TimeStamper
    key: CountingKey

    def prepared(self, pdf: bytes, place: SealPlace = PLACE, at: datetime = START) -> bytes | None:
        return seal_prepared(pdf, seal=self.seal, tsa=self.tsa, place=place, reason="电子印章", at=at)

    def plain(self, pdf: bytes, place: SealPlace = PLACE) -> bytes:
        return seal_plain(pdf, seal=self.seal, tsa=self.tsa, place=place, reason="电子印章", at=START)

    def sealed(self, pdf: bytes, place: SealPlace = PLACE) -> bytes:
        return seal_pdf(pdf, seal=self.seal, tsa=self.tsa, place=place, reason="电子印章", at=START)


@pytest.fixture(scope="module")
def desks(template_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Desk]]:
    asn1.register()
    folder = tmp_path_factory.mktemp("desks") / "data"
    shutil.copytree(template_folder, folder)
    world = make_world(folder)
    made = {}
    for name, suite in SUITES.items():
        seal = world.site.issuer.seals.using.open(
            world.site.issuer.seals.registry.get(f"chuncheng-market-{name}")
        )
        key = CountingKey(seal.key)
        made[name] = Desk(replace(seal, key=key), world.site.issuer.pki.time_stamp_authority(suite), key)
    yield made
    world.close()


@pytest.fixture(params=SUITES)
def desk(request: pytest.FixtureRequest, desks: dict[str, Desk]) -> Desk:
    return desks[request.param]


@pytest.fixture
def quick(desks: dict[str, Desk]) -> Desk:
    """One desk, for what does not depend on the suite."""
    return desks["p256"]


@pytest.fixture(scope="module")
def pages() -> dict[str, bytes]:
    """Pages as typst writes them, one with links and three pages long."""

    def page(source: str) -> bytes:
        pdf = typst.compile(source.encode(), format="pdf", pdf_standards=["a-3b"])
        assert isinstance(pdf, bytes)
        return pdf

    link = '#link("https://v.chuncheng.example/")[go]'
    return {
        "one": page("Page"),
        "three": page("One #pagebreak() Two #pagebreak() Three"),
        "links": page(f"{link} and {link} #pagebreak() {link}"),
    }


# The same seal ---------------------------------------------------------------------------------------------


def shape(pdf: bytes) -> dict[str, Any]:
    """All that the update says, without the numbers of objects, in the words of pyHanko's reader."""
    reader = PdfFileReader(io.BytesIO(pdf))
    root = reader.root
    (signature,) = reader.embedded_signatures
    (field,) = (each.get_object() for each in root["/AcroForm"]["/Fields"])
    page = field["/P"]
    dictionary = signature.sig_object
    appearance = field["/AP"]["/N"]
    picture = appearance["/Resources"]["/XObject"]["/SealPicture"]
    assert root["/Perms"].raw_get("/DocMDP").reference == field.raw_get("/V").reference
    return {
        "revisions": reader.xrefs.total_revisions,
        "root": sorted(root),
        "extensions": plain_value(root["/Extensions"]),
        "version": str(root["/Version"]) if "/Version" in root else None,
        "form": (sorted(root["/AcroForm"]), int(root["/AcroForm"]["/SigFlags"])),
        "field": {key: str(field[key]) for key in ("/FT", "/T", "/Type", "/Subtype", "/F", "/Rect")},
        "field keys": sorted(field),
        "page": (sorted(page), str(page["/MediaBox"]), str(page.raw_get("/Contents"))),
        "annotations": [str(each.get_object()["/Subtype"]) for each in page["/Annots"]],
        "signature": sorted(dictionary),
        "says": {
            key: plain_value(dictionary[key]) for key in ("/Filter", "/SubFilter", "/Reason", "/Reference")
        },
        "room": check_gap(pdf).byte_range[2] - check_gap(pdf).byte_range[1],
        "level": signature.docmdp_level,
        "picture": (bytes(picture.data), str(picture["/BBox"]), plain_value(picture["/Resources"])),
        "structure": grown(reader, field),
        "trailer": sorted(reader.trailer.flatten()),
        "first id": bytes(reader.trailer["/ID"][0].original_bytes),
    }


def grown(reader: PdfFileReader, field: Any) -> Any:
    """What the structure says of the field, if there is any: the last element, and the parent tree about it."""
    if "/StructTreeRoot" not in reader.root:
        return None
    tree = reader.root["/StructTreeRoot"]
    top = tree["/K"][0]
    last, kids = top["/K"][len(top["/K"]) - 1], len(top["/K"])
    numbers = tree["/ParentTree"]["/Nums"]
    parents = {int(numbers[n]): numbers.raw_get(n + 1).reference for n in range(0, len(numbers), 2)}
    key = int(field["/StructParent"])
    assert parents[key] == top["/K"].raw_get(kids - 1).reference
    assert last["/K"]["/Obj"] == field
    assert last["/K"]["/Pg"] == last["/Pg"] == field["/P"]
    assert last["/P"] == top
    return {
        "says": (sorted(last), str(last["/S"]), sorted(last["/K"]), str(field["/TU"]), kids, key),
        "numbers": (sorted(parents), int(tree["/ParentTreeNextKey"]), str(field["/P"]["/Tabs"])),
        "keys": (sorted(tree), sorted(top)),
    }


def plain_value(value: Any) -> Any:
    """Dictionaries without their order, references resolved."""
    value = value.get_object()
    if isinstance(value, generic.DictionaryObject):
        return {str(key): plain_value(value[key]) for key in value}
    if isinstance(value, generic.ArrayObject):
        return [plain_value(each) for each in value]
    return str(value)


def drawn(pdf: bytes) -> list[bytes]:
    document = pypdfium2.PdfDocument(pdf)
    document.init_forms()
    try:
        return [page.render(scale=1.5, may_draw_forms=True).to_pil().tobytes() for page in document]
    finally:
        document.close()


def parts(pdf: bytes) -> tuple[dict[str, bytes], list[bytes]]:
    """Signed attributes by name, and the certificates."""
    signed_data = cms.ContentInfo.load(check_gap(pdf).cms, strict=True)["content"]
    (info,) = signed_data["signer_infos"]
    attributes = {each["type"].native: each["values"].dump() for each in info["signed_attrs"]}
    return attributes, [choice.chosen.dump() for choice in signed_data["certificates"]]


@pytest.mark.parametrize("name", ["one", "three", "links"])
@pytest.mark.parametrize("number", [0, -1])
def test_both_ways_make_the_same_seal(desk: Desk, pages: dict[str, bytes], name: str, number: int) -> None:
    place = replace(PLACE, page=number)
    fast, plain = desk.prepared(pages[name], place), desk.plain(pages[name], place)
    assert fast is not None
    assert fast.startswith(pages[name])
    assert shape(fast) == shape(plain)
    assert drawn(fast) == drawn(plain)
    (attributes, certs), (other_attributes, other_certs) = parts(fast), parts(plain)
    assert list(attributes) == list(other_attributes)
    assert certs == other_certs
    del attributes["message_digest"], other_attributes["message_digest"]
    assert attributes == other_attributes


@pytest.mark.parametrize("name", SUITES)
def test_the_signed_attributes_are_those_of_the_library(desks: dict[str, Desk], name: str) -> None:
    from asn1crypto import x509

    seal = desks[name].seal
    content_type, certificate, seal_data = encode_constant_seal_attributes(
        seal.suite, seal.certs[0], seal.seal_data
    )
    assert seal_data == encode_attribute(SEAL_DATA_OID, seal.seal_data)
    assert content_type == cms.CMSAttribute({"type": "content_type", "values": ("data",)}).dump()
    ess = as_signing_certificate_v2(x509.Certificate.load(seal.certs[0]), seal.key.record.suite.digest)
    assert certificate == cms.CMSAttribute({"type": "signing_certificate_v2", "values": (ess,)}).dump()


@pytest.mark.parametrize("name", ["one", "three", "links"])
@pytest.mark.parametrize("seal_page", [seal_pdf, *SEALING.values()], ids=["either", *SEALING])
def test_the_key_signs_once(quick: Desk, pages: dict[str, bytes], name: str, seal_page: SealsPages) -> None:
    before = quick.key.count
    seal_page(pages[name], seal=quick.seal, tsa=quick.tsa, place=PLACE, reason="电子印章", at=START)
    assert quick.key.count == before + 1


@pytest.mark.parametrize(
    "box", [(10, 10, 60, 60), (10, 10, 310, 210), (0.5, 1.5, 120.49, 60.51), (200, 300, 100, 150)]
)
def test_a_seal_of_another_size_looks_the_same(
    quick: Desk, pages: dict[str, bytes], box: tuple[float, float, float, float]
) -> None:
    place = SealPlace(0, *box)
    fast = quick.prepared(pages["one"], place)
    assert fast is not None
    assert drawn(fast) == drawn(quick.plain(pages["one"], place))
    assert drawn(fast) != drawn(pages["one"])


def test_annotations_that_are_there_stay_in_front(quick: Desk, pages: dict[str, bytes]) -> None:
    fast = quick.prepared(pages["links"])
    assert fast is not None
    assert shape(fast)["annotations"] == ["/Link", "/Link", "/Widget"]


def test_the_seal_goes_on_the_page_that_was_named(quick: Desk, pages: dict[str, bytes]) -> None:
    unsealed = drawn(pages["three"])
    for number, index in ((0, 0), (1, 1), (2, 2), (-1, 2)):
        fast = quick.prepared(pages["three"], replace(PLACE, page=number))
        assert fast is not None
        changed = [at for at, (old, new) in enumerate(zip(unsealed, drawn(fast), strict=True)) if old != new]
        assert changed == [index]


def test_the_file_says_the_time_it_was_told(quick: Desk, pages: dict[str, bytes]) -> None:
    from datetime import timedelta, timezone

    east = START.astimezone(timezone(timedelta(hours=8)))
    fast = quick.prepared(pages["one"], at=east)
    assert fast is not None
    assert b"/M (D:20261123020000Z)" in fast


def test_a_reason_may_hold_any_character(quick: Desk, pages: dict[str, bytes]) -> None:
    reason = "㐂𠮷堂 (1) \\ >> endobj"
    fast = seal_prepared(pages["one"], seal=quick.seal, tsa=quick.tsa, place=PLACE, reason=reason, at=START)
    assert fast is not None
    (signature,) = PdfFileReader(io.BytesIO(fast)).embedded_signatures
    assert signature.sig_object["/Reason"] == reason


@pytest.mark.parametrize("short", [short for short, _, _ in samples.RECORDS])
def test_pages_of_every_type_are_known_and_pass(short: str, world: World) -> None:
    """The prepared way insists: a layout that comes to write something new fails here, and not in silence."""
    application = world.sample_applications(short)[0]
    (outcome,) = sealing(world, "prepared").try_issue(application)
    assert outcome.issued is not None, outcome.error
    report = world.verify(world.site.issuer.issuing.issued_file(outcome.issued.pid))
    assert report.verdict is Verdict.PASSED


def test_many_threads_seal_with_one_seal(desk: Desk, pages: dict[str, bytes]) -> None:
    def work(number: int) -> bytes:
        sealed = desk.prepared(pages["three"], replace(PLACE, page=number % 3))
        assert sealed is not None
        return sealed

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(work, range(24)))
    record = desk.key.record
    for sealed in made:
        (info,) = cms.ContentInfo.load(check_gap(sealed).cms)["content"]["signer_infos"]
        signed = b"\x31" + info["signed_attrs"].dump()[1:]
        check_signature(record.suite, record.public_key, signed, info["signature"].native)
    assert len(set(made)) == len(made)


def test_memory_does_not_grow_with_the_number_of_seals(desk: Desk, pages: dict[str, bytes]) -> None:
    for _ in range(20):
        desk.prepared(pages["one"])
    gc.collect()
    tracemalloc.start()
    try:
        desk.prepared(pages["one"])
        objects, (held, _) = len(gc.get_objects()), tracemalloc.get_traced_memory()
        for _ in range(500):
            desk.prepared(pages["one"])
        gc.collect()
        assert len(gc.get_objects()) - objects < 100
        assert tracemalloc.get_traced_memory()[0] - held < 64 * 1024
    finally:
        tracemalloc.stop()


# What is not known -----------------------------------------------------------------------------------------


def test_a_page_of_the_plain_shape_is_known(quick: Desk) -> None:
    """The good world from which each of the following differs in one thing."""
    fast = quick.prepared(build())
    assert fast is not None
    same = shape(quick.plain(build()))
    # pyHanko gives a file without XMP metadata its own.
    same["root"].remove("/Metadata")
    assert shape(fast) == same


CATALOGUE, PAGES, PAGE = 1, 2, 3
TAGGED: dict[int, bytes] = {
    CATALOGUE: b"<</Type/Catalog/Pages 2 0 R/StructTreeRoot 7 0 R/MarkInfo<</Marked true>>>>",
    7: b"<</Type/StructTreeRoot/K[8 0 R]/ParentTree<</Nums[0 9 0 R]>>/ParentTreeNextKey 1>>",
    8: b"<</Type/StructElem/S/Document/P 7 0 R/K[10 0 R]>>",
    9: b"[10 0 R]",
    10: b"<</Type/StructElem/S/P/P 8 0 R/K[0]/Pg 3 0 R>>",
}


def tagged(number: int, old: bytes, new: bytes) -> dict[str, Any]:
    assert old in TAGGED[number]
    return {"objects": {**TAGGED, number: TAGGED[number].replace(old, new)}}


@pytest.mark.parametrize(
    "change",
    [
        {"objects": TAGGED},
        tagged(7, b"/ParentTreeNextKey 1", b"/ParentTreeNextKey 40"),
        tagged(7, b"/ParentTreeNextKey 1", b""),
        tagged(7, b"Nums[0 9 0 R]", b"Nums[0 9 0 R 7 10 0 R]"),
        tagged(7, b"Nums[0 9 0 R]", b"Nums[]"),
        tagged(8, b"/K[10 0 R]", b"/K[]"),
        tagged(CATALOGUE, b"true", b"false"),
    ],
)
def test_a_structure_of_the_plain_shape_grows_as_through_pyhanko(quick: Desk, change: dict[str, Any]) -> None:
    pdf = build(**change)
    fast = quick.prepared(pdf)
    assert fast is not None
    same = shape_of_any(quick.plain(pdf))
    same["root"].remove("/Metadata")
    assert shape_of_any(fast) == same


def shape_of_any(pdf: bytes) -> dict[str, Any]:
    if b"/Marked false" in pdf:
        reader = PdfFileReader(io.BytesIO(pdf))
        assert "/StructParent" not in reader.embedded_signatures[0].sig_field
        return {"root": sorted(reader.root), "field": sorted(reader.embedded_signatures[0].sig_field)}
    return shape(pdf)


UNKNOWN: dict[str, dict[str, Any]] = {
    "an empty form": {"objects": {CATALOGUE: b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[]>>>>"}},
    "permissions": {"objects": {CATALOGUE: b"<</Type/Catalog/Pages 2 0 R/Perms<<>>>>"}},
    "an action": {"objects": {CATALOGUE: b"<</Type/Catalog/Pages 2 0 R/OpenAction[3 0 R /Fit]>>"}},
    "a version": {"objects": {CATALOGUE: b"<</Type/Catalog/Pages 2 0 R/Version/1.6>>"}},
    "extensions": {"objects": {CATALOGUE: b"<</Type/Catalog/Pages 2 0 R/Extensions<<>>>>"}},
    "names of destinations": {"objects": {CATALOGUE: b"<</Type/Catalog/Pages 2 0 R/Names<</Dests<<>>>>>>"}},
    "a name with an escape": {"objects": {CATALOGUE: b"<</Type/Catalog/P#61ges 2 0 R>>"}},
    "a comment": {"objects": {CATALOGUE: b"<</Type/Catalog%\n/Pages 2 0 R>>"}},
    "a null": {"objects": {CATALOGUE: b"<</Type/Catalog/Pages 2 0 R/Lang null>>"}},
    "a string with brackets": {"objects": {CATALOGUE: b"<</Type/Catalog/Pages 2 0 R/Lang(z(h))>>"}},
    "an intermediate page node": {
        "objects": {PAGES: b"<</Type/Pages/Count 1/Kids[7 0 R]>>", 3: b"<</Type/Page/Resources<<>>"
                    b"/MediaBox[0 0 595 842]/Parent 7 0 R/Contents 4 0 R>>",
                    7: b"<</Type/Pages/Count 1/Kids[3 0 R]/Parent 2 0 R>>"}},
    "an inherited size": {
        "objects": {PAGES: b"<</Type/Pages/Count 1/Kids[3 0 R]/MediaBox[0 0 595 842]>>",
                    PAGE: b"<</Type/Page/Resources<<>>/Parent 2 0 R/Contents 4 0 R>>"}},
    "a rotated page": {
        "objects": {PAGE: OBJECTS[PAGE].replace(b"/Parent", b"/Rotate 90/Parent")}},
    "a crop box": {"objects": {PAGE: OBJECTS[PAGE].replace(b"/Parent", b"/CropBox[0 0 99 99]/Parent")}},
    "a unit": {"objects": {PAGE: OBJECTS[PAGE].replace(b"/Parent", b"/UserUnit 2/Parent")}},
    "annotations elsewhere": {
        "objects": {PAGE: OBJECTS[PAGE].replace(b"/Parent", b"/Annots 7 0 R/Parent"), 7: b"[]"}},
    "an annotation in place": {
        "objects": {PAGE: OBJECTS[PAGE].replace(
            b"/Parent", b"/Annots[<</Type/Annot/Subtype/Text/Rect[0 0 9 9]>>]/Parent")}},
    "a structure without its root": tagged(CATALOGUE, b"7 0 R", b"99 0 R"),
    "a structure with two topmost elements": tagged(7, b"/K[8 0 R]", b"/K[8 0 R 10 0 R]"),
    "a topmost element alone": tagged(7, b"/K[8 0 R]", b"/K 8 0 R"),
    "a topmost element with text of its own": tagged(8, b"/K[10 0 R]", b"/K[10 0 R 0]"),
    "a topmost element with one part": tagged(8, b"/K[10 0 R]", b"/K 10 0 R"),
    "a parent tree elsewhere": tagged(7, b"<</Nums[0 9 0 R]>>", b"9 0 R"),
    "a parent tree with branches": tagged(7, b"<</Nums[0 9 0 R]>>", b"<</Kids[9 0 R]>>"),
    "a parent tree out of order": tagged(7, b"Nums[0 9 0 R]", b"Nums[3 9 0 R 0 10 0 R]"),
    "a structure with classes": tagged(7, b"/K[", b"/ClassMap<<>>/K["),
    "a structure that is the page": tagged(7, b"/K[8 0 R]", b"/K[3 0 R]"),
    "an older version of the format": {"header": b"%PDF-1.4\n"},
    "a newer version of the format": {"header": b"%PDF-2.0\n"},
    "no identifiers": {"trailer": b"<</Size %d/Root 1 0 R/Info 5 0 R>>"},
    "hexadecimal identifiers": {"trailer": b"<</Size %d/Root 1 0 R/Info 5 0 R/ID[<6162><6364>]>>"},
    "no document information": {"trailer": b"<</Size %d/Root 1 0 R/ID[(ab)(cd)]>>"},
    "another entry in the trailer": {"trailer": TRAILER.replace(b"/Info", b"/Private 1/Info")},
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_of_the_plain_shape_goes_through_pyhanko(quick: Desk, name: str) -> None:
    pdf = build(**UNKNOWN[name])
    before = quick.key.count
    assert quick.prepared(pdf) is None
    assert quick.key.count == before, "nothing may be signed before the page is known"
    sealed = quick.sealed(pdf)
    assert quick.key.count == before + 1
    check_gap(sealed)
    (signature,) = PdfFileReader(io.BytesIO(sealed)).embedded_signatures
    signature.compute_integrity_info()
    assert signature.compute_digest() == parts_digest(sealed)


def parts_digest(sealed: bytes) -> bytes:
    (info,) = cms.ContentInfo.load(check_gap(sealed).cms)["content"]["signer_infos"]
    found = next(a for a in info["signed_attrs"] if a["type"].native == "message_digest")
    return bytes(found["values"][0].native)


def with_an_update(pdf: bytes) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    writer.root["/Lang"] = generic.pdf_string("en")
    writer.update_root()
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def with_a_stream_of_references(pdf: bytes) -> bytes:
    from pyhanko.pdf_utils.writer import copy_into_new_writer

    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(pdf)), writer_kwargs={"stream_xrefs": True})
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize("change", [with_an_update, with_a_stream_of_references])
def test_a_file_in_another_arrangement_goes_through_pyhanko(
    quick: Desk, pages: dict[str, bytes], change: Any
) -> None:
    pdf = change(pages["one"])
    assert quick.prepared(pdf) is None
    check_gap(quick.sealed(pdf))


def test_what_was_sealed_is_not_sealed_again(quick: Desk, pages: dict[str, bytes]) -> None:
    sealed = quick.sealed(pages["one"])
    assert quick.prepared(sealed) is None
    with pytest.raises(Malformed):
        quick.sealed(sealed)


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda p: b"",
    "no PDF": lambda p: b"PK" + p[2:],
    "something before the header": lambda p: b"\n" + p,
    "cut in the middle": lambda p: p[: len(p) // 2],
    "a line too many at the end": lambda p: p + b"\n\n",
    "something behind the end": lambda p: p + b"x",
    "a start that is off by one": lambda p: p.replace(b"startxref\n", b"startxref\n1"),
    "a table that is too short": lambda p: p.replace(b"xref\n0 7", b"xref\n0 6"),
    "an entry of another generation": lambda p: p.replace(b" 00000 n", b" 00001 n"),
    "entries that are free": lambda p: p.replace(b" 00000 n", b" 00000 f"),
    "entries that point elsewhere": lambda p: p.replace(b"3 0 obj\n", b"4 0 obj\n"),
    "an object without its end": lambda p: p.replace(b"endobj", b"endobk"),
    "a dictionary without its end": lambda p: p.replace(b"2 0 R>>", b"2 0 R> "),
    "a key that stands twice": lambda p: p.replace(b"/Contents 4 0 R", b"/Parent   2 0 R"),
    "a parent that is another": lambda p: p.replace(b"/Parent 2", b"/Parent 1"),
    "a count that is another": lambda p: p.replace(b"/Count 1", b"/Count 2"),
    "a page that is its own parent": lambda p: p.replace(b"/Kids[3 0 R]", b"/Kids[2 0 R]"),
    "a catalogue that is a page": lambda p: p.replace(b"/Root 1", b"/Root 3"),
    "an encrypted file": lambda p: p.replace(b"/Info 5 0 R", b"/Encrypt<<>>"),
    "an older table": lambda p: p.replace(b"/Info 5 0 R", b"/Prev 00009"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_left_alone(quick: Desk, name: str) -> None:
    spoiled = BROKEN[name](build())
    assert spoiled != build()
    before = quick.key.count
    assert quick.prepared(spoiled) is None
    assert quick.key.count == before


def test_a_page_that_is_not_there_is_left_alone(quick: Desk, pages: dict[str, bytes]) -> None:
    for number in (3, 99, -2):
        assert quick.prepared(pages["three"], replace(PLACE, page=number)) is None


def test_any_one_byte_changed_is_left_alone_or_sealed_whole(quick: Desk) -> None:
    """Nothing is raised, and what is sealed is the file that was given, gate and all."""
    page = build()
    kept = 0
    for position in range(len(page)):
        for mask in (0x01, 0x80):
            spoiled = page[:position] + bytes((page[position] ^ mask,)) + page[position + 1 :]
            sealed = quick.prepared(spoiled)
            if sealed is not None:
                kept += 1
                assert sealed.startswith(spoiled)
                assert check_gap(sealed).signed[0].startswith(spoiled)
                # And pyHanko reads page and catalogue as they were read here.
                (signature,) = PdfFileReader(io.BytesIO(sealed)).embedded_signatures
                assert signature.sig_field["/P"]["/Type"] == "/Page"
                assert signature.reader.root["/Perms"]["/DocMDP"] == signature.sig_object
    assert 0 < kept < len(page) * 2


OTHER_PICTURES: dict[str, Callable[[bytes], bytes]] = {
    "no PDF": lambda p: b"",
    "two parts of content": lambda p: p.replace(b"/Contents 4 0 R", b"/Contents[4 0 R]"),
    "resources elsewhere": lambda p: p.replace(b"<< /Ink <<", b"<< /Ink 4 0 R"),
    "another filter": lambda p: p.replace(b"/FlateDecode", b"/ASCIIHexDe"),
    "a size that is no number": lambda p: p.replace(b"[0 0 119.0551 119.0551]", b"[0 0 119.0551 /Portrai]"),
    "another origin": lambda p: p.replace(b"[0 0 119", b"[1 0 119"),
}


@pytest.mark.parametrize("name", OTHER_PICTURES)
def test_a_picture_that_is_not_our_artwork_is_left_alone(
    quick: Desk, pages: dict[str, bytes], name: str
) -> None:
    picture = OTHER_PICTURES[name](quick.seal.picture_pdf)
    assert picture != quick.seal.picture_pdf
    other = replace(quick, seal=replace(quick.seal, picture_pdf=picture))
    assert other.prepared(pages["one"]) is None


def test_any_one_byte_of_a_picture_changed_raises_nothing(quick: Desk) -> None:
    picture = quick.seal.picture_pdf
    for position in [*range(420), *range(len(picture) - 240, len(picture))]:
        spoiled = picture[:position] + bytes((picture[position] ^ 0x01,)) + picture[position + 1 :]
        sealed = replace(quick, seal=replace(quick.seal, picture_pdf=spoiled)).prepared(build())
        if sealed is not None:
            check_gap(sealed)


def test_a_picture_of_another_make_goes_through_pyhanko(quick: Desk, pages: dict[str, bytes]) -> None:
    document = pypdfium2.PdfDocument(quick.seal.picture_pdf)
    out = io.BytesIO()
    document.save(out)
    document.close()
    other = replace(quick, seal=replace(quick.seal, picture_pdf=out.getvalue()))
    assert other.prepared(pages["one"]) is None
    assert drawn(other.sealed(pages["one"])) == drawn(quick.sealed(pages["one"]))


def test_certificates_that_leave_no_room_are_refused(quick: Desk, pages: dict[str, bytes]) -> None:
    crowd = replace(quick.seal, certs=(quick.seal.certs[0], *[quick.seal.certs[1]] * 60))
    with pytest.raises(Conflict) as refused:
        replace(quick, seal=crowd).prepared(pages["one"])
    assert refused.value.code == "NO_ROOM"
