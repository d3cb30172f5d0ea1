"""What departments bring to be stamped: odd files that every viewer opens are sealed, and what acts is refused."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.writer import copy_into_new_writer
from support import odd_pdfs
from support.world import World

from issuer.sealing.pdf import prepare_stampable
from trust.model.report import Verdict
from trust.pdf import lasting, reading
from trust.pdf.reading import PdfRefused, open_pdf
from trust.pdf.standards import has_rgb_intent

_ODD_ENDS = {
    name: (lambda rewrite=rewrite: rewrite(odd_pdfs.letter())) for name, rewrite in odd_pdfs.REWRITTEN.items()
}
_SEALED = _ODD_ENDS | odd_pdfs.FREE | odd_pdfs.LOOSE | odd_pdfs.AROUND | odd_pdfs.HARMLESS
_SHARED = Path(__file__).parents[3] / "shared" / "cases" / "stamp"
_REFUSED_THERE = {"owner-password": "ENCRYPTED"}
_PLACED_ELSEWHERE = {"a6", "rotate90", "rotate270-scan", "mediabox-offset"}


def stamped(world: World, pdf: bytes, number: int = 1) -> bytes:
    asked = world.application(number, seal="chuncheng-market-sm2")
    (outcome,) = world.try_issue(dataclasses.replace(asked, source_pdf=prepare_stampable(pdf).pdf))
    assert outcome.issued is not None, outcome.error
    return world.site.issuer.issuing.issued_file(outcome.issued.pid)


def test_odd_files_that_viewers_open_are_sealed_and_verify(world: World) -> None:
    for number, (name, make) in enumerate(_SEALED.items(), 1):
        sealed = stamped(world, make(), number)
        report = world.verify(sealed)
        assert report.verdict is Verdict.PASSED, (name, report.findings)
        assert b"A letter" in sealed, name


@pytest.mark.parametrize("case", odd_pdfs.FREE | odd_pdfs.HARMLESS)
def test_what_is_in_good_order_is_sealed_as_it_is(case: str) -> None:
    pdf = _SEALED[case]()
    assert prepare_stampable(pdf).pdf == pdf


@pytest.mark.parametrize("case", [*odd_pdfs.LOOSE, *_ODD_ENDS])
def test_what_can_be_read_in_two_ways_is_written_anew(case: str) -> None:
    pdf = _SEALED[case]()
    made = prepare_stampable(pdf).pdf
    assert made != pdf
    assert made == prepare_stampable(pdf).pdf
    assert open_pdf(made).xrefs.total_revisions == 1
    assert not open_pdf(made).xrefs.hybrid_xrefs_present


def test_what_can_only_be_read_loosely_inside_is_written_anew_too() -> None:
    pdf = odd_pdfs.letter(odd_pdfs.page_objects(b"/AcroForm<</Fields[9 0 R]>>"))
    made = prepare_stampable(pdf).pdf
    assert made != pdf
    assert open_pdf(made).root["/Type"] == "/Catalog"


@pytest.mark.parametrize("case", odd_pdfs.ACTING)
def test_what_acts_when_it_is_opened_is_refused(case: str) -> None:
    with pytest.raises(PdfRefused) as refused:
        prepare_stampable(odd_pdfs.ACTING[case]())
    assert refused.value.code == "ACTIVE_CONTENT"


def test_an_action_that_acts_in_an_earlier_revision_is_refused() -> None:
    script = odd_pdfs.letter(
        odd_pdfs.page_objects(b"/OpenAction 6 0 R", more={6: b"<</S/JavaScript/JS(1)>>"})
    )
    body = b"6 0 obj\n<</S/GoTo/D(a)>>\nendobj\n"
    table = b"6 1\n%010d 00000 n \n" % len(script)
    with pytest.raises(PdfRefused, match="JavaScript"):
        prepare_stampable(odd_pdfs.with_update(script, table, size=7, bodies=body))


@pytest.mark.parametrize("case", odd_pdfs.FULL)
def test_what_is_in_the_way_is_refused_with_its_reason(case: str) -> None:
    code, make = odd_pdfs.FULL[case]
    with pytest.raises(PdfRefused) as refused:
        prepare_stampable(make())
    assert refused.value.code == code


@pytest.mark.parametrize(("user", "words"), [("", "owner password"), ("secret", "takes a password to open")])
def test_of_a_protected_file_it_is_said_by_which_password(user: str, words: str) -> None:
    writer = copy_into_new_writer(open_pdf(odd_pdfs.letter()))
    writer.encrypt("owner", user)
    out = io.BytesIO()
    writer.write(out)
    with pytest.raises(PdfRefused, match=words) as refused:
        prepare_stampable(out.getvalue())
    assert refused.value.code == "ENCRYPTED"


def test_a_free_entry_hides_nothing_that_acts() -> None:
    # The object is there; the table says that it is free, and an update says that it is not.
    pdf = odd_pdfs.letter(
        odd_pdfs.page_objects(b"/Foo 6 0 R", more={6: b"<</S/JavaScript/JS(1)>>"}),
        entries={6: b"0000000000 00000 f \n"},
    )
    assert prepare_stampable(pdf).pages == 1
    at = pdf.index(b"6 0 obj")
    used_again = odd_pdfs.with_update(pdf, b"6 1\n%010d 00000 n \n" % at, size=7)
    with pytest.raises(PdfRefused) as refused:
        prepare_stampable(used_again)
    assert refused.value.code == "ACTIVE_CONTENT"


def _shared() -> list[Path]:
    return sorted(each for each in _SHARED.glob("*.pdf") if each.stem not in _PLACED_ELSEWHERE)


@pytest.mark.skipif(not _SHARED.is_dir(), reason="the collection of inputs is not here")
def test_the_collected_inputs_get_the_right_answer(world: World) -> None:
    for number, path in enumerate(_shared(), 1):
        if path.stem in _REFUSED_THERE:
            with pytest.raises(PdfRefused) as refused:
                prepare_stampable(path.read_bytes())
            assert refused.value.code == _REFUSED_THERE[path.stem]
            continue
        report = world.verify(stamped(world, path.read_bytes(), number))
        assert report.verdict is Verdict.PASSED, (path.name, report.findings)


@pytest.mark.parametrize(("most", "is_refused"), [(3, False), (2, True)])
def test_a_tree_is_walked_as_far_as_it_may_be_large(most: int, is_refused: bool) -> None:
    leaf = generic.DictionaryObject()
    for _ in range(2):
        above = generic.DictionaryObject()
        above[generic.pdf_name("/Kids")] = generic.ArrayObject([leaf])
        leaf = above
    parent = generic.DictionaryObject({generic.pdf_name("/Names"): leaf})
    if is_refused:
        with pytest.raises(PdfRefused) as refused:
            reading._has_leaves(parent, "/Names", "/Leaves", most)
        assert refused.value.code == "LIMIT_EXCEEDED"
    else:
        assert not reading._has_leaves(parent, "/Names", "/Leaves", most)


@pytest.mark.parametrize(
    ("root", "is_rgb"),
    [
        ({"/OutputIntents": [{"/DestOutputProfile": {"/N": 3}}]}, True),
        ({"/OutputIntents": [{"/DestOutputProfile": {"/N": 4}}]}, False),
        ({"/OutputIntents": [{"/DestOutputProfile": {"/N": 3}}, {"/DestOutputProfile": {"/N": 1}}]}, False),
        ({"/OutputIntents": [{}, {"/DestOutputProfile": {"/N": 3}}]}, True),
        ({"/OutputIntents": [{}]}, False),
        ({"/OutputIntents": [{"/DestOutputProfile": {}}]}, False),
        ({}, False),
    ],
)
def test_an_intent_is_rgb_only_if_each_of_its_profiles_is(root: dict[str, object], is_rgb: bool) -> None:
    assert has_rgb_intent(root) is is_rgb


@pytest.mark.parametrize(
    ("keys", "name", "is_norm"),
    [
        (("/BaseVersion", "/ExtensionLevel", "/URL"), "/URL", True),
        (("/ExtensionLevel", "/URL"), "/URL", False),
        (("/BaseVersion", "/URL"), "/URL", False),
        (("/BaseVersion", "/ExtensionLevel", "/F"), "/F", False),
    ],
)
def test_only_an_extension_may_name_an_address(keys: tuple[str, ...], name: str, is_norm: bool) -> None:
    found = generic.DictionaryObject({generic.pdf_name(key): generic.NullObject() for key in keys})
    assert lasting._names_a_norm(found, name) is is_norm
