"""What was added to files of others after they were signed, what is known of revocation, and who made a time-stamp."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm
from support.producers import Producer, contract

from trust.model.report import Report, Verdict, decide
from verifier.checks.examine import examine_pdf
from verifier.checks.steps import Examination
from verifier.checks.verifying import REQUIRED_FOREIGN
from verifier.sentences import signer_words, words_for

_XMP = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:ModifyDate="{date}">'
    "<dc:title>{title}</dc:title></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end='r'?>"
)


@cache
def producer() -> Producer:
    return Producer("ecdsa")


def _updated(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    writer._update_meta = lambda: None  # type: ignore[method-assign]  # it would write a date of its own
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _packet(title: str, date: str = "2026-11-01T00:00:00Z") -> Callable[[IncrementalPdfFileWriter], None]:
    def change(writer: IncrementalPdfFileWriter) -> None:
        stream = generic.StreamObject(
            {
                generic.pdf_name("/Type"): generic.pdf_name("/Metadata"),
                generic.pdf_name("/Subtype"): generic.pdf_name("/XML"),
            },
            stream_data=_XMP.format(title=title, date=date).encode(),
        )
        writer.root["/Metadata"] = writer.add_object(stream)
        writer.update_root()

    return change


def _info(**entries: str) -> Callable[[IncrementalPdfFileWriter], None]:
    def change(writer: IncrementalPdfFileWriter) -> None:
        made = generic.DictionaryObject(
            {generic.pdf_name(f"/{key}"): generic.pdf_string(value) for key, value in entries.items()}
        )
        writer.set_info(writer.add_object(made))

    return change


def _no_packet(writer: IncrementalPdfFileWriter) -> None:
    del writer.root["/Metadata"]
    writer.update_root()


def _declared(writer: IncrementalPdfFileWriter) -> None:
    stream = generic.StreamObject(
        {generic.pdf_name("/Type"): generic.pdf_name("/Metadata")},
        stream_data=b'<!DOCTYPE x [<!ENTITY a "b">]><x:xmpmeta xmlns:x="adobe:ns:meta/"/>',
    )
    writer.root["/Metadata"] = writer.add_object(stream)
    writer.update_root()


@cache
def base() -> bytes:
    """A page with a title in /Info and in XMP."""
    titled = _updated(contract(), _packet("Loan contract"))
    return _updated(titled, _info(Title="Loan contract", ModDate="D:20261101000000Z", Producer="A"))


@cache
def signed(certified: bool) -> bytes:
    more: dict[str, Any] = {"certify": True, "docmdp_permissions": MDPPerm.NO_CHANGES} if certified else {}
    return producer().sign(base(), "B-T", **more)


def examine(pdf: bytes, made: Producer | None = None, *, crls: bool = True) -> Examination:
    made = made or producer()
    at = made.at + timedelta(minutes=5)
    return examine_pdf(
        pdf, trust_list=None, anchors=[made.root.der], crls=made.crls(at) if crls else [], verified_at=at
    )


def verdict(found: Examination) -> tuple[Verdict, str]:
    return decide(found.findings, REQUIRED_FOREIGN)


def _redated(writer: IncrementalPdfFileWriter) -> None:
    old = writer.root["/Metadata"]
    packet, count = re.subn(rb"\d{4}-\d\d-\d\dT", b"2031-01-01T", old.data)
    assert count
    writer.root["/Metadata"] = writer.add_object(
        generic.StreamObject({generic.pdf_name("/Type"): generic.pdf_name("/Metadata")}, stream_data=packet)
    )
    writer.update_root()


def _with_more(before: bytes, more: bytes) -> Callable[[IncrementalPdfFileWriter], None]:
    def change(writer: IncrementalPdfFileWriter) -> None:
        packet = writer.root["/Metadata"].data
        at = packet.rindex(before)
        stream = generic.StreamObject(
            {generic.pdf_name("/Type"): generic.pdf_name("/Metadata")},
            stream_data=packet[:at] + more + packet[at:],
        )
        writer.root["/Metadata"] = writer.add_object(stream)
        writer.update_root()

    return change


CHANGED = {
    "another title in /Info": _info(Title="Licence until 2099", ModDate="D:20261102000000Z"),
    "no title in /Info": _info(ModDate="D:20261102000000Z"),
    "an author more in /Info": _info(Title="Loan contract", Author="Somebody Else"),
    "a key of one's own in /Info": _info(Title="Loan contract", ValidUntil="2099"),
    "another title in XMP": _packet("Licence until 2099"),
    "no XMP any more": _no_packet,
    "XMP that declares something": _declared,
    "XMP with a typed node": _with_more(
        b"</rdf:RDF>", b'<v:Licence xmlns:v="urn:v" rdf:about=""><v:until>2099</v:until></v:Licence>'
    ),
    "XMP with something beside the RDF": _with_more(b"</x:xmpmeta>", b"<until>2099</until>"),
    "XMP with a text beside the RDF": _with_more(b"</x:xmpmeta>", b"until 2099"),
    "XMP with a text in the RDF": _with_more(b"</rdf:RDF>", b"until 2099"),
}
SAME = {
    "/Info with another date and program": _info(
        Title="Loan contract", ModDate="D:20271102000000Z", Producer="B"
    ),
    "XMP with another date": _redated,
}


@pytest.mark.parametrize("case", CHANGED)
@pytest.mark.parametrize("certified", [True, False])
def test_what_a_file_says_of_itself_is_not_changed_where_nobody_signs(certified: bool, case: str) -> None:
    found = examine(_updated(signed(certified), CHANGED[case]))
    assert verdict(found) == (Verdict.INDETERMINATE, "PARTIAL_COVER"), found.findings
    assert next(f.check for f in found.findings if f.code == "PARTIAL_COVER") == (
        "signature.1" if certified else "file.end"
    )


@pytest.mark.parametrize("case", SAME)
@pytest.mark.parametrize("certified", [True, False])
def test_the_date_of_an_update_and_its_program_are_no_change(certified: bool, case: str) -> None:
    found = examine(_updated(signed(certified), SAME[case]))
    assert verdict(found) == (Verdict.PASSED, "OK"), found.findings


def test_a_later_signer_answers_for_a_new_title() -> None:
    made = producer()
    retitled = _updated(signed(False), CHANGED["another title in /Info"])
    again = made.sign(retitled, "B-T", signer=made.new_signer("Second"), field_name="Signature2")
    assert verdict(examine(again)) == (Verdict.PASSED, "OK")


@pytest.mark.parametrize("level", ["B-LT", "B-LTA"])
def test_evidence_may_be_added_to_what_allows_no_change(level: str) -> None:
    pdf = producer().sign(base(), level, certify=True, docmdp_permissions=MDPPerm.NO_CHANGES)
    assert verdict(examine(pdf)) == (Verdict.PASSED, "OK"), examine(pdf).findings


@pytest.mark.parametrize("names_its_list", [True, False])
@pytest.mark.parametrize("days", [1, 3])
def test_what_was_revoked_before_it_signed_does_not_pass_once_it_has_run_out(
    days: int, names_its_list: bool
) -> None:
    made = Producer("ecdsa")
    signer = made.new_signer(days=(-1, 2), crl=names_its_list)
    pdf = made.sign(contract(), "B-LTA", signer=signer)
    at = made.at + timedelta(days=days)
    lists = made.crls(at)
    good = examine_pdf(pdf, trust_list=None, anchors=[made.root.der], crls=lists, verified_at=at)
    assert verdict(good) == (Verdict.PASSED, "OK"), good.findings
    made.revoked.append(signer.cert.serial_number)
    lists = made.crls(at, revoked_at=made.at - timedelta(hours=2))
    found = examine_pdf(pdf, trust_list=None, anchors=[made.root.der], crls=lists, verified_at=at)
    assert verdict(found) == (Verdict.INDETERMINATE, "SEAL_CERT_REVOKED"), found.findings
    lists = made.crls(at, revoked_at=made.at + timedelta(hours=2))
    later = examine_pdf(pdf, trust_list=None, anchors=[made.root.der], crls=lists, verified_at=at)
    assert verdict(later) == (Verdict.PASSED, "OK"), later.findings


# Revocation ------------------------------------------------------------------------------------------------


def _silent(made: Producer) -> bytes:
    """By a certificate that does not say who knows of its revocation."""
    return made.sign(contract(), signer=made.new_signer(issuer=made.ca, crl=False))


def test_that_revocation_was_not_checked_is_said() -> None:
    made = producer()
    pdf = made.sign(contract(), signer=made.new_signer(issuer=made.root, crl=False))
    found = examine(pdf, crls=False)
    assert verdict(found) == (Verdict.PASSED, "OK")
    assert found.facts["remarks"] == ["REVOCATION_NOT_CHECKED"]
    report = Report("pdf", made.at, Verdict.PASSED, "OK", (), found.facts, not_checked=("revocation",))
    assert "revocation was not checked" in words_for(report, "en").sentence
    assert "未核查" in words_for(report, "zh-CN").sentence
    assert "revocation was not checked" in [line for _, line in signer_words(found.facts, "en")]
    assert examine(pdf).facts["remarks"] == [], "a list at hand was asked"


def test_a_list_at_hand_is_asked_whether_a_certificate_names_it_or_not() -> None:
    made = Producer("ecdsa")
    signer = made.new_signer(issuer=made.ca, crl=False)
    pdf = made.sign(contract(), signer=signer)
    assert verdict(examine(pdf, made)) == (Verdict.PASSED, "OK")
    made.revoked.append(signer.cert.serial_number)
    assert verdict(examine(pdf, made)) == (Verdict.INDETERMINATE, "SEAL_CERT_REVOKED")


def test_a_list_of_somebody_else_says_nothing() -> None:
    made, other = producer(), Producer("ecdsa")
    found = examine_pdf(
        made.sign(contract(), signer=made.new_signer(issuer=made.root, crl=False)),
        trust_list=None,
        anchors=[made.root.der],
        crls=other.crls(made.at),
        verified_at=made.at + timedelta(minutes=5),
    )
    assert verdict(found) == (Verdict.PASSED, "OK")
    assert found.facts["remarks"] == ["REVOCATION_NOT_CHECKED"]


# Time-stamps -----------------------------------------------------------------------------------------------


def test_a_time_stamp_of_an_authority_that_nobody_knows_says_so() -> None:
    made, other = Producer("ecdsa"), Producer("ecdsa")
    made.__dict__["tsa"] = other.tsa  # of another root
    found = examine(made.sign(contract(), "B-T"), made)
    assert verdict(found) == (Verdict.INDETERMINATE, "UNKNOWN_TIME_STAMP"), found.findings
    report = Report(
        "pdf", made.at, Verdict.INDETERMINATE, "UNKNOWN_TIME_STAMP", tuple(found.findings), found.facts
    )
    assert "authority" in words_for(report, "en").sentence


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_signer_under_an_anchor_that_nobody_named_is_unknown(kind: str) -> None:
    made, other = Producer(kind), Producer(kind)
    self_signed = made.sign(contract(), signer=made.root)
    for pdf in (made.sign(contract()), made.sign(contract(), "B-LTA"), self_signed):
        found = examine(pdf, other)
        assert verdict(found)[0] is Verdict.INDETERMINATE
        first = next(f for f in found.findings if f.check == "signature.1")
        assert first.code in ("NO_CERTIFICATE_CHAIN_FOUND", "CERT_USAGE"), found.findings
