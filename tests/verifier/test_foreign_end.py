"""What stands behind the last signature of others' files: no byte that a viewer could use and no table names."""

from __future__ import annotations

import io
import re
from functools import cache

import pypdfium2
import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from support.producers import Producer, contract

from trust.model.report import Verdict, decide
from verifier.checks.examine import examine_pdf
from verifier.checks.steps import Examination
from verifier.checks.verifying import REQUIRED_FOREIGN

_LEVELS = ("B-B", "B-LT", "B-LTA")
_HIDDEN = 990


@cache
def producer() -> Producer:
    return Producer("ecdsa")


@cache
def signed(level: str) -> bytes:
    return producer().sign(contract(), level)


def verdict(pdf: bytes) -> tuple[Verdict, str]:
    return decide(_examine(pdf).findings, REQUIRED_FOREIGN)


def _examine(pdf: bytes) -> Examination:
    made = producer()
    return examine_pdf(
        pdf, trust_list=None, anchors=[made.root.der], crls=made.crls(made.at), verified_at=made.at
    )


def _startxref(pdf: bytes) -> bytes:
    return bytes(re.findall(rb"startxref\s+(\d+)", pdf)[-1])


def another_page(pdf: bytes) -> bytes:
    """The page with a black square in place of its text, as objects that no table names."""
    reader = PdfFileReader(io.BytesIO(pdf))
    page, pages = reader.root["/Pages"]["/Kids"].raw_get(0), reader.root.raw_get("/Pages")
    root = reader.trailer_view.raw_get("/Root")
    return (
        b"\n%d 0 obj\n<</Type/Page/Parent %d 0 R/MediaBox[0 0 595 842]/Contents %d 0 R>>\nendobj\n"
        b"%d 0 obj\n<</Length 16>>\nstream\n0 0 400 400 re f\nendstream\nendobj\n"
        b"trailer\n<</Size %d/Root %d 0 R>>\n"
    ) % (page.idnum, pages.idnum, _HIDDEN, _HIDDEN, _HIDDEN + 1, root.idnum)


def black(pdf: bytes) -> int:
    document = pypdfium2.PdfDocument(pdf)
    try:
        return int(document[0].render(scale=0.2).to_pil().convert("L").histogram()[0])
    finally:
        document.close()


POINTERS = {
    "as it should be": b"startxref\n%b\n%%%%EOF\n",
    "on one line": b"startxref %b %%%%EOF\n",
    "without a space": b"startxref%b\n%%%%EOF\n",
    "another sign": b"startxrefX\n%b\n%%%%EOF\n",
    "a tabulator that is none": b"startxref\n\x0b%b\n%%%%EOF\n",
    "two numbers": b"startxref 9\n%b\n%%%%EOF\n",
    "a sign before it": b"startxref\n+%b\n%%%%EOF\n",
}


@pytest.mark.parametrize("level", _LEVELS)
@pytest.mark.parametrize("pointer", POINTERS)
def test_objects_that_no_table_names_do_not_pass(level: str, pointer: str) -> None:
    pdf = signed(level)
    changed = pdf + another_page(pdf) + POINTERS[pointer] % _startxref(pdf)
    assert verdict(changed) == (Verdict.INDETERMINATE, "PARTIAL_COVER")


@pytest.mark.parametrize("level", _LEVELS)
def test_a_number_that_only_the_library_reads_does_not_pass(level: str) -> None:
    """A viewer cannot read it, looks for objects itself, and shows another page."""
    pdf, number = signed(level), _startxref(signed(level))
    changed = pdf + another_page(pdf) + b"startxref\n%b_%b\n%%%%EOF\n" % (number[:1], number[1:])
    assert black(changed) > 1000 > black(pdf), "or the case is none any more"
    assert verdict(changed) == (Verdict.INDETERMINATE, "PARTIAL_COVER")


@pytest.mark.parametrize("level", _LEVELS)
def test_a_remark_behind_the_end_does_not_pass(level: str) -> None:
    pdf = signed(level)
    changed = pdf + b"% valid until 2099\nstartxref\n" + _startxref(pdf) + b"\n%%EOF\n"
    assert verdict(changed) == (Verdict.INDETERMINATE, "PARTIAL_COVER")


def _into_update(pdf: bytes, more: bytes) -> bytes:
    """Bytes between the last object of the last update and its table, which moves the table only."""
    at = int(_startxref(pdf))
    end = pdf.rindex(b"startxref")
    return pdf[:at] + more + pdf[at:end] + b"startxref\n%d\n%%%%EOF\n" % (at + len(more))


@pytest.mark.parametrize(
    "more",
    [
        b"990 0 obj\n<</Length 16>>\nstream\n0 0 400 400 re f\nendstream\nendobj\n",
        b"990 0 obj <</Type/Page>>",
        b"trailer\n<</Root 1 0 R>>\n",
        b"startxref\n1\n%%EOF\n",
        b"% 990 0 obj\n",
        b"anything\n",
    ],
)
def test_nothing_may_stand_between_the_objects_of_an_update(more: bytes) -> None:
    assert verdict(_into_update(signed("B-LT"), more)) == (Verdict.INDETERMINATE, "PARTIAL_COVER")


@pytest.mark.parametrize("more", [b"", b"\r\n  \n", b"% written by a program 1.0\n"])
def test_what_programs_write_between_them_does_no_harm(more: bytes) -> None:
    assert verdict(_into_update(signed("B-LT"), more)) == (Verdict.PASSED, "OK")


@pytest.mark.parametrize("tail", [b"", b"\n", b"\r\n"])
def test_a_line_end_is_no_change(tail: bytes) -> None:
    assert verdict(signed("B-LT").rstrip(b"\r\n") + tail) == (Verdict.PASSED, "OK")


@pytest.mark.parametrize("level", _LEVELS)
def test_as_they_were_signed_they_pass(level: str) -> None:
    assert verdict(signed(level)) == (Verdict.PASSED, "OK")
