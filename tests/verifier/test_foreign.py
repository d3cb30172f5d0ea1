"""Signed PDFs of others: what they made well passes with its level, and what was done to it afterwards is seen."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from asn1crypto import cms
from asn1crypto import ocsp as asn1_ocsp
from encoding.test_signed_lists import TRUST_LIST
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.validation import DocumentSecurityStore
from support.producers import LEVELS, Party, Producer, contract, with_field

from trust.encoding.digests import sha256
from trust.model.report import Report, Result, Verdict, decide
from verifier.checks.examine import examine_pdf
from verifier.checks.steps import Examination
from verifier.checks.verifying import REQUIRED_FOREIGN
from verifier.sentences import signer_words, words_for

KINDS = ("rsa", "ecdsa")


@cache
def producer(kind: str) -> Producer:
    return Producer(kind)


@cache
def signed(kind: str, level: str) -> bytes:
    return producer(kind).sign(contract(), level)


def examine(pdf: bytes, made: Producer, *, crls: bool = True, days: int = 0) -> Examination:
    at = made.at + timedelta(days=days, minutes=5)
    lists = made.crls(at) if crls else []
    return examine_pdf(pdf, trust_list=None, anchors=[made.root.der], crls=lists, verified_at=at)


def verdict(found: Examination) -> tuple[Verdict, str]:
    return decide(found.findings, REQUIRED_FOREIGN)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_files_of_other_producers_pass_with_their_level(kind: str, level: str) -> None:
    found = examine(signed(kind, level), producer(kind))
    assert verdict(found) == (Verdict.PASSED, "OK"), found.findings
    words = words_for(Report("pdf", producer(kind).at, Verdict.PASSED, "OK", (), found.facts), "en")
    assert "not an e-certificate" in words.sentence
    assert found.facts["signatures"][0]["format"] == f"PAdES-{level}"
    assert found.facts["profile"] == "foreign"
    assert found.data is None


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", KINDS)
def test_without_anchors_a_file_of_others_is_not_ours_and_not_called_altered(kind: str, level: str) -> None:
    made = producer(kind)
    found = examine_pdf(signed(kind, level), trust_list=TRUST_LIST, anchors=[], crls=[], verified_at=made.at)
    assert verdict(found) == (Verdict.INDETERMINATE, "UNKNOWN_ISSUER"), found.findings
    assert sha256(made.signer.der).hex() in found.facts["signed_with"]


@pytest.mark.parametrize("level", ["B-LT", "B-LTA"])
@pytest.mark.parametrize("kind", KINDS)
def test_evidence_in_the_file_is_enough(kind: str, level: str) -> None:
    found = examine(signed(kind, level), producer(kind), crls=False)
    assert verdict(found) == (Verdict.PASSED, "OK"), found.findings


@pytest.mark.parametrize("level", ["B-B", "B-T"])
def test_without_any_word_on_revocation_nothing_is_decided(level: str) -> None:
    found = examine(signed("rsa", level), producer("rsa"), crls=False)
    assert verdict(found)[0] is Verdict.INDETERMINATE
    given = Report(
        "pdf", producer("rsa").at, Verdict.INDETERMINATE, "STATUS_STALE", found.findings, found.facts
    )
    assert "bundle" not in words_for(given, "en").advice, "no bundle of ours would help"
    assert "B-LT" in words_for(given, "en").advice


def test_a_certificate_that_names_no_list_needs_none() -> None:
    made = producer("ecdsa")
    plain = made.new_signer(issuer=made.root, crl=False)
    assert verdict(examine(made.sign(contract(), signer=plain), made, crls=False)) == (Verdict.PASSED, "OK")
    alone = dataclasses.replace(made)
    found = examine_pdf(
        made.sign(contract(), signer=plain),
        trust_list=None,
        anchors=[plain.der],
        crls=[],
        verified_at=alone.at + timedelta(minutes=5),
    )
    assert verdict(found) == (Verdict.PASSED, "OK"), found.findings


@pytest.mark.parametrize(
    ("level", "expected"),
    [("B-B", Verdict.INDETERMINATE), ("B-T", Verdict.INDETERMINATE), ("B-LTA", Verdict.PASSED)],
)
def test_after_its_certificates_ran_out_only_the_archived_one_passes(level: str, expected: Verdict) -> None:
    made = Producer("ecdsa")
    short = made.new_signer(days=(-1, 2))
    pdf = made.sign(contract(), level, signer=short)
    assert verdict(examine(pdf, made))[0] is Verdict.PASSED
    assert verdict(examine(pdf, made, days=3))[0] is expected


def test_two_signatures_one_after_the_other_pass() -> None:
    made = producer("rsa")
    second = made.new_signer("Second party")
    pdf = made.sign(signed("rsa", "B-T"), "B-T", signer=second, field_name="Signature2")
    found = examine(pdf, made)
    assert verdict(found) == (Verdict.PASSED, "OK"), found.findings
    signers = [line for _, line in signer_words(found.facts, "en")]
    assert len(signers) == 2
    assert "Second party" in signers[1]
    assert "picture" not in signers[1]


def test_of_a_later_signature_it_is_said_that_it_shows_something() -> None:
    made = producer("rsa")
    pdf = with_field(signed("rsa", "B-T"), "Signature2")
    found = examine(
        made.sign(pdf, "B-T", signer=made.new_signer("Second party"), field_name="Signature2"), made
    )
    assert verdict(found) == (Verdict.PASSED, "OK"), found.findings
    first, second = (line for _, line in signer_words(found.facts, "en"))
    assert ("picture of its own" in first, "picture of its own" in second) == (False, True)


def test_a_signer_that_is_not_proven_is_called_so_and_his_name_is_made_plain() -> None:
    other = Producer("rsa", producer("rsa").at)
    liar = other.new_signer("Central Bank\x1b[2J\u202e")
    found = examine(other.sign(contract(), signer=liar), producer("rsa"))
    ((label, line),) = signer_words(found.facts, "en")
    assert label == "Signed, it says, by"
    assert "Central Bank\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}" in line


@pytest.mark.parametrize("level", ["B-LT", "B-LTA"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_ocsp_answer_in_the_file_is_enough(kind: str, level: str) -> None:
    made = Producer(kind, by_ocsp=True)
    found = examine(made.sign(contract(), level), made)
    assert verdict(found) == (Verdict.PASSED, "OK"), found.findings
    assert found.facts["signatures"][0]["format"] == f"PAdES-{level}"
    later = verdict(examine(made.sign(contract(), "B-LT"), made, days=8))[0]
    assert later is Verdict.INDETERMINATE, "the answer was good for seven days"
    without = examine(made.sign(contract(), "B-T"), made)
    assert verdict(without)[0] is Verdict.INDETERMINATE, "lists say nothing where a responder is named"


def test_an_ocsp_answer_of_who_may_not_answer_is_not_enough() -> None:
    made = Producer("ecdsa", by_ocsp=True)
    stranger = Producer("ecdsa", made.at, by_ocsp=True)
    for by in (made.new_signer("Another customer"), stranger.responder, made.signer):
        pdf = made.sign(contract(), "B-B")
        pdf = with_evidence(pdf, made.ocsp_answer(made.signer, by=by))
        assert verdict(examine(pdf, made))[0] is Verdict.INDETERMINATE
    good = with_evidence(made.sign(contract(), "B-B"), made.ocsp_answer(made.signer))
    assert verdict(examine(good, made)) == (Verdict.PASSED, "OK")


def test_an_ocsp_answer_that_says_revoked_is_believed() -> None:
    made = Producer("ecdsa", by_ocsp=True)
    pdf = made.sign(contract(), "B-B")
    made.revoked.append(made.signer.cert.serial_number)
    found = examine(with_evidence(pdf, made.ocsp_answer(made.signer)), made)
    assert verdict(found)[0] is not Verdict.PASSED
    assert next(f.code for f in found.findings if f.check == "signature.1") == "SEAL_CERT_REVOKED"


def with_evidence(pdf: bytes, answer: bytes) -> bytes:
    """A DSS with one OCSP answer, behind a signature: whoever has the file can add it."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    DocumentSecurityStore.supply_dss_in_writer(
        writer, sig_contents=None, ocsps=[asn1_ocsp.OCSPResponse.load(answer)]
    )
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


# Who signed ------------------------------------------------------------------------------------------------


def refused(pdf: bytes, made: Producer, **more: Any) -> tuple[str, str, Verdict]:
    found = examine(pdf, made, **more)
    decided = next(each for each in found.findings if each.result is not Result.PASSED)
    return decided.check, decided.code, verdict(found)[0]


SIGNERS: dict[str, tuple[Callable[[Producer], Party], Verdict]] = {
    "of another CA with the same names": (lambda p: Producer(p.kind, p.at).signer, Verdict.INDETERMINATE),
    "an end entity that acts as a CA": (
        lambda p: p.new_signer(issuer=p.new_signer("Issuing CA")), Verdict.INDETERMINATE),
    "a key for encryption": (lambda p: p.new_signer(usage="encrypt"), Verdict.INDETERMINATE),
    "RSA with 1024 bits": (lambda p: p.new_signer(kind="rsa1024"), Verdict.INDETERMINATE),
    "not valid yet": (lambda p: p.new_signer(days=(2, 300)), Verdict.INDETERMINATE),
    "expired": (lambda p: p.new_signer(days=(-300, -2)), Verdict.INDETERMINATE),
}  # fmt: skip


@pytest.mark.parametrize("case", SIGNERS)
def test_a_signer_that_leads_to_no_anchor_does_not_pass(case: str) -> None:
    made = producer("ecdsa")
    make, expected = SIGNERS[case]
    pdf = made.sign(contract(), signer=make(made))
    assert refused(pdf, made)[::2] == ("signature.1", expected)


def test_a_revoked_signer_fails() -> None:
    made = Producer("ecdsa")
    pdf = made.sign(contract(), "B-T")
    assert verdict(examine(pdf, made))[0] is Verdict.PASSED
    made.revoked.append(made.signer.cert.serial_number)
    check, code, how = refused(pdf, made)
    assert (check, code) == ("signature.1", "SEAL_CERT_REVOKED")
    assert how is not Verdict.PASSED


@pytest.mark.parametrize("level", ["B-T", "B-LTA"])
def test_a_time_stamp_by_a_short_key_does_not_count(level: str) -> None:
    made = Producer("ecdsa", tsa_kind="rsa1024")
    check, code, how = refused(made.sign(contract(), level), made)
    assert (check, code, how) == ("signature.1", "CRYPTO_CONSTRAINTS_FAILURE", Verdict.INDETERMINATE)


@pytest.mark.parametrize("digest", ["sha1", "md5"])
def test_a_weak_digest_does_not_pass(digest: str) -> None:
    made = producer("rsa")
    check, code, how = refused(made.sign(contract(), digest=digest), made)
    assert (check, how) == ("signature.1", Verdict.INDETERMINATE), code


# What was done to the file afterwards ----------------------------------------------------------------------


def updated(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def _page_content(writer: IncrementalPdfFileWriter) -> None:
    page_ref, _ = writer.find_page_for_modification(0)
    page_ref.get_object()["/Contents"] = writer.add_object(generic.StreamObject(stream_data=b"0 0 9 9 re f"))
    writer.mark_update(page_ref)


def _annotation(writer: IncrementalPdfFileWriter) -> None:
    page_ref, _ = writer.find_page_for_modification(0)
    page = page_ref.get_object()
    note = generic.DictionaryObject(
        {
            generic.pdf_name("/Type"): generic.pdf_name("/Annot"),
            generic.pdf_name("/Subtype"): generic.pdf_name("/FreeText"),
            generic.pdf_name("/Rect"): generic.ArrayObject([generic.NumberObject(n) for n in (0, 0, 9, 9)]),
            generic.pdf_name("/Contents"): generic.pdf_string("7,000,000"),
        }
    )
    old = page.get("/Annots", [])
    page["/Annots"] = generic.ArrayObject([*old, writer.add_object(note)])
    writer.mark_update(page_ref)


def _unlisted_signature(writer: IncrementalPdfFileWriter) -> None:
    first = writer.prev.embedded_signatures[0]
    copy = generic.DictionaryObject({key: first.sig_object.raw_get(key) for key in first.sig_object})
    writer.add_object(copy)


def _script(writer: IncrementalPdfFileWriter) -> None:
    writer.root["/OpenAction"] = generic.DictionaryObject(
        {
            generic.pdf_name("/S"): generic.pdf_name("/JavaScript"),
            generic.pdf_name("/JS"): generic.pdf_string("1"),
        }
    )
    writer.update_root()


def _hidden_form(writer: IncrementalPdfFileWriter) -> None:
    writer.root["/AcroForm"] = generic.DictionaryObject(
        {generic.pdf_name("/Fields"): generic.ArrayObject([])}
    )
    writer.update_root()


@pytest.mark.parametrize(
    ("change", "check"),
    [(_page_content, "signature.1"), (_annotation, "signature.1"), (_unlisted_signature, "file.signatures"),
     (_script, "file.active-content"), (_hidden_form, "file.signatures")],
    ids=lambda given: getattr(given, "__name__", given).strip("_"),
)  # fmt: skip
@pytest.mark.parametrize("level", ["B-B", "B-LTA"])
def test_an_update_is_seen(
    level: str, change: Callable[[IncrementalPdfFileWriter], None], check: str
) -> None:
    found, code, how = refused(updated(signed("ecdsa", level), change), producer("ecdsa"))
    assert (found, how is Verdict.PASSED) == (check, False), code


def _five_numbers() -> generic.ArrayObject:
    return generic.ArrayObject([generic.NumberObject(n) for n in (0, 0, 595, 842, 0)])


PAINTED: dict[str, Callable[[bytes, Producer], bytes]] = {
    "a time-stamp that shows something": lambda p, by: by.stamp(with_field(p, "Stamp")),
    "an empty field before a time-stamp": lambda p, by: by.stamp(with_field(p, "Empty")),
    "hidden from some viewers only": lambda p, by: by.stamp(
        with_field(p, "Stamp", F=generic.NumberObject(32))
    ),
    "a rectangle that some read and some do not": lambda p, by: by.stamp(
        with_field(p, "Stamp", Rect=_five_numbers())
    ),
    "smaller than can be seen, which some enlarge": lambda p, by: by.stamp(
        with_field(p, "Stamp", Rect=generic.ArrayObject([generic.FloatObject(n) for n in (0, 0, 0.01, 0.01)]))
    ),
}


@pytest.mark.parametrize("case", PAINTED)
@pytest.mark.parametrize("level", ["B-B", "B-LTA"])
def test_nobody_paints_on_a_signed_page_without_signing(level: str, case: str) -> None:
    made = producer("rsa")
    pdf = PAINTED[case](signed("rsa", level), made)
    assert refused(pdf, made) == ("signature.1", "PARTIAL_COVER", Verdict.INDETERMINATE)


def test_the_place_of_another_signer_is_not_for_a_time_stamp() -> None:
    made = producer("rsa")
    pdf = made.sign(with_field(contract(), "Other party"))
    assert verdict(examine(pdf, made)) == (Verdict.PASSED, "OK")
    assert refused(made.stamp(pdf, "Other party"), made)[:2] == ("signature.1", "PARTIAL_COVER")
    assert verdict(examine(made.stamp(pdf), made)) == (Verdict.PASSED, "OK")


def test_a_time_stamp_before_the_signature_may_show_something() -> None:
    made = producer("rsa")
    stamped = made.stamp(with_field(contract(), "Stamp"))
    assert verdict(examine(made.sign(stamped), made)) == (Verdict.PASSED, "OK")


@pytest.mark.parametrize(
    "changes", [{"box": (0, 0, 0, 0)}, {"F": generic.NumberObject(2)}], ids=["no place", "hidden"]
)
def test_a_time_stamp_that_shows_nothing_may_have_a_picture(changes: dict[str, Any]) -> None:
    # As iText writes it: an appearance stream, and a rectangle without a size.
    made = producer("rsa")
    pdf = made.stamp(with_field(signed("rsa", "B-T"), "Stamp", **changes))
    assert verdict(examine(pdf, made)) == (Verdict.PASSED, "OK")


def gap(pdf: bytes) -> tuple[int, int]:
    start = pdf.index(b"/Contents <") + len(b"/Contents ")
    return start, pdf.index(b">", start) + 1


def in_gap(pdf: bytes, place: int, new: bytes) -> bytes:
    """`new` at a place in the gap, counted from its end where it is negative."""
    start, end = gap(pdf)
    at = end + place if place < 0 else start + place
    return pdf[:at] + new + pdf[at + len(new) :]


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "something in the padding": lambda p: in_gap(p, -9, b"41"),
    "a space in the gap": lambda p: in_gap(p, -9, b" "),
    "the string ends early": lambda p: in_gap(p, -9, b">"),
    "an indefinite length": lambda p: in_gap(p, 1, b"3080"),
    "no signature in the gap": lambda p: in_gap(p, 1, b"00" * 40),
    "a byte of the signature": lambda p: _without(p, "signature"),
    "a byte of the signed digest": lambda p: _without(p, "signed_attrs"),
    "a byte of the page": lambda p: p.replace(b"/MediaBox", b"/MediaBoy", 1),
    "no byte range": lambda p: p.replace(b"/ByteRange", b"/ByteRangf"),
    "another sub-filter": lambda p: p.replace(b"/ETSI.CAdES.detached", b"/adbe.x509.rsa_sha1 "),
    "a signature that is none": lambda p: p.replace(b"/FT /Sig", b"/FT /Txt"),
    "bytes after the end": lambda p: p + b"%",
    "bytes before the beginning": lambda p: b"x" + p,
    "the gap widened over the dictionary": lambda p: _range(p, lambda a, b, c: (a - 12, b, c)),
    "the gap narrowed": lambda p: _range(p, lambda a, b, c: (a, b - 2, c + 2)),
    "less than the file": lambda p: _range(p, lambda a, b, c: (a, b, c - 3)),
    "more than the file": lambda p: _range(p, lambda a, b, c: (a, b, c + 3)),
    "a byte range from one": lambda p: p.replace(b"/ByteRange [0", b"/ByteRange [1"),
}


def _without(pdf: bytes, part: str) -> bytes:
    """The last bit of a part of the signer info changed."""
    start, end = gap(pdf)
    signer = cms.ContentInfo.load(bytes.fromhex(pdf[start + 1 : end - 1].decode()))["content"][
        "signer_infos"
    ][0]
    value = signer[part].contents
    old = value.hex().encode()
    old = old if old in pdf else old.upper()
    assert pdf.count(old) == 1
    return pdf.replace(old, (value[:-1] + bytes([value[-1] ^ 1])).hex().encode())


def _range(pdf: bytes, change: Callable[[int, int, int], tuple[int, int, int]]) -> bytes:
    start = pdf.index(b"/ByteRange [") + len(b"/ByteRange [")
    end = pdf.index(b"]", start)
    _, *numbers = (int(each) for each in pdf[start:end].split())
    new = " ".join(str(each) for each in (0, *change(*numbers))).encode()
    return pdf[:start] + new.ljust(end - start) + pdf[end:]


@pytest.mark.parametrize("case", SPOILED)
@pytest.mark.parametrize("kind", KINDS)
def test_a_spoiled_file_does_not_pass(kind: str, case: str) -> None:
    pdf = signed(kind, "B-T")
    spoiled = SPOILED[case](pdf)
    assert spoiled != pdf
    found = examine(spoiled, producer(kind))
    assert verdict(found)[0] is not Verdict.PASSED


def test_a_time_stamp_of_another_signature_does_not_pass() -> None:
    made = producer("ecdsa")
    one, other = made.sign(contract(), "B-T"), made.sign(contract(), "B-T")

    def taken(pdf: bytes) -> cms.ContentInfo:
        start, end = gap(pdf)
        return cms.ContentInfo.load(bytes.fromhex(pdf[start + 1 : end - 1].decode()))

    mixed, giver = taken(one).copy(), taken(other)
    mixed["content"]["signer_infos"][0]["unsigned_attrs"] = giver["content"]["signer_infos"][0][
        "unsigned_attrs"
    ]
    start, end = gap(one)
    digits = mixed.dump(force=True).hex().encode().ljust(end - start - 2, b"0")
    assert len(digits) == end - start - 2
    spoiled = one[: start + 1] + digits + one[end - 1 :]
    check, code, how = refused(spoiled, made)
    assert (check, how is Verdict.PASSED) == ("signature.1", False), code
