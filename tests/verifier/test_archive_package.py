"""A package for an e-archive: whole and genuine it passes alone; each spoiling turns the right property red."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pypdfium2
import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PdfFileWriter, copy_into_new_writer
from support.world import World, make_world

from trust.encoding.archive_package import (
    LICENCE,
    METADATA_JSON,
    METADATA_XML,
    decode_metadata,
    decode_package,
    encode_metadata,
    encode_package,
)
from trust.model.actor import OPERATOR
from trust.model.errors import Malformed, OperationalError
from trust.model.report import Result, Verdict
from trust.model.status import StatusAct
from trust.sandbox.workers import Sandbox
from verifier.checks.archive_package import FourProperties, Property, check_package
from verifier.checks.readability import examine_readability
from verifier.checks.verifying import SANDBOX_JOBS
from verifier.reports.packages import Exported

ALL = tuple(Property)
Spoil = Callable[[dict[str, bytes]], None]


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Iterator[tuple[Exported, Exported]]:
    """Packages of two licences, each with a later version."""
    world = make_world(tmp_path_factory.mktemp("package") / "data", sandbox=sandbox)
    try:
        yield archived(world, 1), archived(world, 2)
    finally:
        world.close()


def archived(world: World, number: int) -> Exported:
    issued, _ = world.issue(number)
    world.clock.advance(days=1)
    (renewal,) = world.site.issuer.archiving.renew(OPERATOR, [issued.pid])
    assert renewal.error is None
    return world.site.packages.export_package(OPERATOR, issued.identifier)


@pytest.fixture
def judge(exported: tuple[Exported, Exported], sandbox: Sandbox) -> Callable[..., FourProperties]:
    """Judges the first package, spoiled, with a manifest that fits what was made of it."""

    def judge(spoil: Spoil | None = None) -> FourProperties:
        package = decode_package(exported[0].package)
        files = dict(package.files)
        if spoil is not None:
            spoil(files)
        at = package.manifest.made_at
        return check_package(decode_package(encode_package(files, "x", at)), sandbox, at)

    return judge


def results(found: FourProperties) -> dict[Property, Verdict]:
    return {each.property: each.result for each in found.properties}


def wrong(found: FourProperties) -> set[str]:
    return {f.check for each in found.properties for f in each.findings if f.result is not Result.PASSED}


def only(found: FourProperties, bad: dict[Property, Verdict]) -> None:
    assert results(found) == {each: bad.get(each, Verdict.PASSED) for each in ALL}, wrong(found)


def test_a_package_passes_alone_and_the_report_inside_says_the_same(
    exported: tuple[Exported, Exported], judge: Callable[..., FourProperties]
) -> None:
    found = judge()
    only(found, {})
    assert found.result is Verdict.PASSED
    made = exported[0]
    assert results(made.checked) == results(found)
    files = decode_package(made.package).files
    report = json.loads(files["report/four-properties.json"])
    assert [each["name_zh"] for each in report["properties"]] == ["真实性", "完整性", "可用性", "安全性"]
    assert all(each["checks"] for each in report["properties"])
    assert {"receipts/0.der", "receipts/1.der", "receipts/1.tlog-proof"} <= files.keys()
    for language, title in (("zh-CN", "四性检测报告"), ("en", "four properties")):
        page = files[f"report/four-properties.{language}.html"].decode()
        assert title in page
        assert page.count('class="result PASSED"') == sum(
            len(each["checks"]) for each in report["properties"]
        )
        assert "http" not in page
        assert "<script" not in page


def test_there_is_one_zip_for_one_set_of_files(exported: tuple[Exported, Exported]) -> None:
    package = decode_package(exported[0].package)
    turned = dict(reversed(list(package.files.items())))
    again = encode_package(turned, package.manifest.identifier, package.manifest.made_at)
    assert again == exported[0].package


def flip_in_licence(files: dict[str, bytes]) -> None:
    data = bytearray(files[LICENCE])
    data[2000] ^= 1
    files[LICENCE] = bytes(data)


def change_metadata(change: Callable[[Any], None]) -> Spoil:
    def spoil(files: dict[str, bytes]) -> None:
        tree = decode_metadata(files[METADATA_JSON])
        change(tree)
        files[METADATA_JSON], files[METADATA_XML] = encode_metadata(tree)

    return spoil


def test_a_changed_file_is_neither_genuine_nor_whole(judge: Callable[..., FourProperties]) -> None:
    found = results(judge(flip_in_licence))
    assert found[Property.AUTHENTICITY] is Verdict.FAILED
    assert found[Property.INTEGRITY] is Verdict.FAILED


def test_a_licence_that_somebody_else_sealed_is_not_genuine(judge: Callable[..., FourProperties]) -> None:
    found = judge(lambda files: files.update({LICENCE: pdf(b"BT ET")}))
    assert results(found)[Property.AUTHENTICITY] is Verdict.FAILED


def test_the_receipt_of_another_licence_is_found(
    judge: Callable[..., FourProperties], exported: tuple[Exported, Exported]
) -> None:
    other = decode_package(exported[1].package).files
    for number in (0, 1):
        names = (f"receipts/{number}.der", f"receipts/{number}.tlog-proof")
        found = judge(lambda files, names=names: files.update({name: other[name] for name in names}))
        only(found, {Property.AUTHENTICITY: Verdict.FAILED})
        assert wrong(found) == {f"archive.receipt.{number}"}


def test_a_receipt_text_that_says_something_else_is_found(judge: Callable[..., FourProperties]) -> None:
    name = "receipts/1.tlog-proof"
    found = judge(lambda files: files.update({name: files[name] + b"\n"}))
    only(found, {Property.AUTHENTICITY: Verdict.FAILED})


def test_a_missing_receipt_leaves_the_package_incomplete(judge: Callable[..., FourProperties]) -> None:
    found = judge(lambda files: files.pop("receipts/1.der"))
    only(found, {Property.AUTHENTICITY: Verdict.INDETERMINATE, Property.INTEGRITY: Verdict.FAILED})


def test_without_evidence_nothing_is_genuine_and_nothing_is_called_false(
    judge: Callable[..., FourProperties],
) -> None:
    found = judge(lambda files: files.pop("evidence/trust-list.jws"))
    assert results(found)[Property.AUTHENTICITY] is Verdict.INDETERMINATE
    assert results(found)[Property.USABILITY] is Verdict.PASSED


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda tree: tree["licence"]["fields"].update(ZZBH="JY29901010000009"), "metadata.sealed"),
        (lambda tree: tree["licence"]["fields"].pop("KZ_FDDBR"), "metadata.complete"),
        (lambda tree: tree["version"].pop(), "package.versions"),
        (lambda tree: tree["version"][0].update(sha256="00" * 32), "package.versions"),
    ],
)
def test_metadata_that_do_not_fit_the_file_are_found(
    judge: Callable[..., FourProperties], change: Callable[[Any], None], check: str
) -> None:
    found = judge(change_metadata(change))
    assert results(found)[Property.INTEGRITY] is Verdict.FAILED
    assert check in wrong(found)
    assert results(found)[Property.USABILITY] is Verdict.PASSED


def test_two_forms_of_the_metadata_that_differ_are_found(judge: Callable[..., FourProperties]) -> None:
    def spoil(files: dict[str, bytes]) -> None:
        files[METADATA_XML] = files[METADATA_XML].replace(b"<number>0<", b"<number>7<")

    found = judge(spoil)
    assert results(found)[Property.INTEGRITY] is Verdict.FAILED
    assert "metadata.form" in wrong(found)


def test_a_file_that_cannot_be_opened_is_not_usable(judge: Callable[..., FourProperties]) -> None:
    found = results(judge(lambda files: files.update({LICENCE: files[LICENCE][:-100]})))
    assert found[Property.USABILITY] is Verdict.FAILED
    assert found[Property.SAFETY] is Verdict.INDETERMINATE


@pytest.mark.parametrize("broken", ["archived-versions", "archived-file", "examine-pdf"])
def test_a_reader_that_cannot_start_is_no_word_about_the_package(
    exported: tuple[Exported, Exported], broken: str
) -> None:
    package = decode_package(exported[0].package)
    with (
        Sandbox({**SANDBOX_JOBS, broken: "tests.support.no_such_module:job"}, workers=1) as sandbox,
        pytest.raises(OperationalError) as refused,
    ):
        check_package(package, sandbox, package.manifest.made_at)
    assert refused.value.code == "READER_DOWN"


@pytest.mark.parametrize("path", [LICENCE, METADATA_XML, "receipts/0.der", "evidence/roots.json"])
def test_a_byte_that_was_changed_on_the_way_is_found(
    exported: tuple[Exported, Exported], sandbox: Sandbox, path: str
) -> None:
    """Neither the zip's checksums nor the manifest were mended."""
    package = exported[0].package
    content = decode_package(package).files[path]
    spoiled = bytearray(package)
    spoiled[package.index(content) + len(content) // 2] ^= 1
    opened = decode_package(bytes(spoiled))
    assert opened.damaged == (path,)
    found = check_package(opened, sandbox, opened.manifest.made_at)
    assert results(found)[Property.INTEGRITY] is Verdict.FAILED
    assert "package.digests" in wrong(found)


def test_a_file_that_was_added_is_found(exported: tuple[Exported, Exported], sandbox: Sandbox) -> None:
    out = io.BytesIO(exported[0].package)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr("evidence/more.crl", b"x")
    opened = decode_package(out.getvalue())
    found = check_package(opened, sandbox, opened.manifest.made_at)
    assert results(found)[Property.INTEGRITY] is Verdict.FAILED
    assert "package.files" in wrong(found)


def zip_of(name: str, compression: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.writestr("manifest.json", b"{}")
        archive.writestr(name, b"x" * 1000)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"PK", b"%PDF-1.7", zip_of("../outside"), zip_of("/absolute"), zip_of("a/../b"), zip_of("a\\b"),
        zip_of("x", zipfile.ZIP_DEFLATED), zip_of("x"),
    ],
)  # fmt: skip
def test_what_is_no_package_is_refused_before_it_is_opened(data: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        decode_package(data)
    assert refused.value.code in ("NO_PACKAGE", "TOO_LARGE")


def test_a_revoked_licence_is_as_good_a_record_as_any(world: World) -> None:
    issued, _ = world.issue()
    world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="cancelled")
    world.clock.advance(seconds=10)
    made = world.site.packages.export_package(OPERATOR, issued.identifier)
    only(made.checked, {})
    assert (made.checked.report.verdict, made.checked.report.code) == (Verdict.FAILED, "REVOKED")
    assert made.later_versions == 0


# --- files that are not ours ---


def pdf(content: bytes, *, font: bool = False, **root: Any) -> bytes:
    """A page with this content, and with a font that is not in the file."""
    writer = PdfFileWriter()
    resources = generic.DictionaryObject()
    if font:
        helvetica = generic.DictionaryObject(
            {
                generic.pdf_name("/Type"): generic.pdf_name("/Font"),
                generic.pdf_name("/Subtype"): generic.pdf_name("/Type1"),
                generic.pdf_name("/BaseFont"): generic.pdf_name("/Helvetica"),
            }
        )
        fonts = generic.DictionaryObject({generic.pdf_name("/F1"): writer.add_object(helvetica)})
        resources[generic.pdf_name("/Font")] = fonts
    page = generic.DictionaryObject(
        {
            generic.pdf_name("/Type"): generic.pdf_name("/Page"),
            generic.pdf_name("/MediaBox"): generic.ArrayObject(map(generic.NumberObject, (0, 0, 300, 300))),
            generic.pdf_name("/Resources"): resources,
            generic.pdf_name("/Contents"): writer.add_object(generic.StreamObject(stream_data=content)),
        }
    )
    writer.insert_page(page)
    for name, value in root.items():
        writer.root[generic.pdf_name(f"/{name}")] = value
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def action(kind: str, key: str) -> generic.DictionaryObject:
    return generic.DictionaryObject(
        {generic.pdf_name("/S"): generic.pdf_name(kind), generic.pdf_name(key): generic.pdf_string("x")}
    )


def encrypted() -> bytes:
    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(pdf(b""))))
    writer.encrypt(owner_pass="secret")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "side", "check", "code"),
    [
        (pdf(b"BT /F1 20 Tf 50 50 Td (Seal) Tj ET", font=True), "usable", "file.fonts", "FONT_NOT_EMBEDDED"),
        (pdf(b"0 0 9 9 re f"), "usable", "file.pdfa", "NO_PDFA"),
        (pdf(b""), "usable", "file.drawn", "BLANK"),
        (
            pdf(b"", OpenAction=action("/JavaScript", "/JS")),
            "safe",
            "file.no-active-content",
            "ACTIVE_CONTENT",
        ),
        (pdf(b"", Link=action("/URI", "/URI")), "safe", "file.no-external", "EXTERNAL_REFERENCE"),
        (encrypted(), "safe", "file.not-encrypted", "ENCRYPTED"),
        (b"%PDF-1.7\nnothing", "usable", "file.opens", "BROKEN_PDF"),
        (b"%PDF-1.7\n" + b" " * (21 * 1024 * 1024), "safe", "file.size", "TOO_LARGE"),
    ],
)
def test_what_a_file_lacks_is_named(data: bytes, side: str, check: str, code: str) -> None:
    found = examine_readability(data)
    listed = {each.check: each for each in getattr(found, side)}
    assert (listed[check].code, listed[check].result is Result.PASSED) == (code, False)


def test_pages_are_counted_by_the_viewer_too() -> None:
    document = pypdfium2.PdfDocument.new()
    for _ in range(3):
        document.new_page(100, 100)
    out = io.BytesIO()
    document.save(out)
    document.close()
    found = examine_readability(out.getvalue())
    assert found.facts["pages"] == 3
    assert {each.check: each.result for each in found.usable}["file.pages"] is Result.PASSED


def test_a_time_at_which_the_evidence_says_nothing_decides_nothing(
    exported: tuple[Exported, Exported], sandbox: Sandbox
) -> None:
    package = decode_package(exported[0].package)
    late = package.manifest.made_at.replace(year=package.manifest.made_at.year + 30)
    assert isinstance(late, datetime)
    assert results(check_package(package, sandbox, late))[Property.AUTHENTICITY] is Verdict.INDETERMINATE
