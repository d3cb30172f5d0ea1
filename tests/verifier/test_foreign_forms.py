"""Signatures of others in whatever form they come: checked where that can be done, and never called changed."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import algos, pem
from asn1crypto import cms as asn1_cms
from asn1crypto import keys as asn1_keys
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import signers
from pyhanko.sign.fields import SigFieldSpec
from pyhanko_certvalidator.registry import SimpleCertificateStore
from pyhanko_certvalidator.sig_validate import SignatureValidationContext
from support import odd_pdfs
from support.producers import Producer
from support.signed_by_hand import (
    NATIONAL,
    NULL,
    RFC,
    SM2,
    SM2_1,
    SM2_SM3,
    SM3_PLAIN,
    Hand,
    cms,
    ecdsa_hand,
    indefinite,
    long_lengths,
    signed_letter,
    sm2_hand,
)

from trust.model.report import Report, Result, Verdict, decide
from verifier.checks import foreign
from verifier.checks.examine import examine_pdf
from verifier.checks.foreign_signatures import NotSupported
from verifier.checks.steps import Examination
from verifier.checks.verifying import REQUIRED_FOREIGN
from verifier.sentences import words_for

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
_SHARED = Path(__file__).parents[3] / "shared" / "cases" / "foreign"


@cache
def hand(kind: str) -> Hand:
    return sm2_hand(AT) if kind == "sm2" else ecdsa_hand(AT)


def examine(pdf: bytes, anchor: bytes, *, at: datetime = AT) -> Examination:
    return examine_pdf(pdf, trust_list=None, anchors=[anchor], crls=[], verified_at=at)


def judged(pdf: bytes, anchor: bytes) -> tuple[Verdict, str]:
    return decide(examine(pdf, anchor).findings, REQUIRED_FOREIGN)


def altered(pdf: bytes) -> bytes:
    assert pdf.count(b"(A letter)") == 1
    return pdf.replace(b"(A letter)", b"(B letter)")


# The national form -----------------------------------------------------------------------------------------

_SPELLINGS = list(
    itertools.product((RFC, NATIONAL), (RFC, NATIONAL), (SM2_SM3, SM2_1, SM2), (b"", NULL), (True, False))
)


@pytest.mark.parametrize("spelling", _SPELLINGS)
def test_every_spelling_of_one_algorithm_is_the_same(spelling: tuple[str, str, str, bytes, bool]) -> None:
    signed_type, data_type, signature_oid, parameters, attributes = spelling
    who = hand("sm2")
    pdf = signed_letter(
        lambda signed: cms(
            who,
            signed,
            signed_type=signed_type,
            data_type=data_type,
            signature_oid=signature_oid,
            parameters=parameters,
            attributes=attributes,
        )
    )
    assert judged(pdf, who.root) == (Verdict.PASSED, "OK"), examine(pdf, who.root).findings
    assert judged(altered(pdf), who.root)[0] is Verdict.FAILED


def test_the_plain_spelling_of_the_digest_is_the_same() -> None:
    who = hand("sm2")
    pdf = signed_letter(lambda signed: cms(who, signed, digest_oid=SM3_PLAIN, signed_type=NATIONAL))
    assert judged(pdf, who.root) == (Verdict.PASSED, "OK")


@pytest.mark.parametrize("attributes", [True, False])
def test_the_value_of_a_security_module_is_read_too(attributes: bool) -> None:
    who = hand("sm2")
    pdf = signed_letter(lambda signed: cms(who, signed, attributes=attributes, is_raw=True))
    assert judged(pdf, who.root) == (Verdict.PASSED, "OK")
    assert judged(altered(pdf), who.root)[0] is Verdict.FAILED


@pytest.mark.parametrize("attributes", [True, False])
def test_sm2_without_an_identity_is_told_as_that(attributes: bool) -> None:
    who = sm2_hand(AT)
    pdf = signed_letter(
        lambda signed: cms(replace(who, sign=who.sign_without_identity), signed, attributes=attributes)
    )
    found = examine(pdf, who.root)
    assert decide(found.findings, REQUIRED_FOREIGN) == (Verdict.INDETERMINATE, "SIGNATURE_NOT_SUPPORTED")
    assert "empty identity" in next(f.detail for f in found.findings if f.check == "signature.1")
    assert judged(altered(pdf), who.root)[0] is not Verdict.PASSED


# Other forms -----------------------------------------------------------------------------------------------

_BER: dict[str, Callable[[bytes], bytes]] = {
    "indefinite lengths": indefinite,
    "indefinite, strings in pieces": lambda der: indefinite(der, pieces=True),
    "longer lengths than needed": long_lengths,
    "the outermost only": lambda der: der[:1] + b"\x80" + asn1_cms.ContentInfo.load(der).contents + b"\0\0",
}


@pytest.mark.parametrize("form", _BER)
@pytest.mark.parametrize("kind", ["sm2", "ecdsa"])
def test_ber_is_read_as_what_it_means(kind: str, form: str) -> None:
    who = hand(kind)
    pdf = signed_letter(lambda signed: _BER[form](cms(who, signed)))
    verdict, code = judged(pdf, who.root)
    assert (verdict, code) == (Verdict.PASSED, "OK"), examine(pdf, who.root).findings
    assert judged(altered(pdf), who.root)[0] is not Verdict.PASSED


@pytest.mark.parametrize("kind", ["sm2", "ecdsa"])
def test_something_behind_ber_is_not_the_signature(kind: str) -> None:
    who = hand(kind)
    pdf = signed_letter(lambda signed: indefinite(cms(who, signed)) + b"\0\0A")
    assert judged(pdf, who.root)[0] is not Verdict.PASSED


@pytest.mark.parametrize("kind", ["sm2", "ecdsa"])
def test_without_signed_attributes_only_where_the_kind_allows_it(kind: str) -> None:
    who = hand(kind)
    for sub_filter, passes in ((b"/adbe.pkcs7.detached", True), (b"/ETSI.CAdES.detached", False)):
        pdf = signed_letter(lambda signed: cms(who, signed, attributes=False), sub_filter=sub_filter)
        verdict, code = judged(pdf, who.root)
        assert (verdict is Verdict.PASSED) is passes
        if not passes:
            assert (verdict, code) == (Verdict.INDETERMINATE, "SIGNATURE_NOT_SUPPORTED")


_UNKNOWN = (
    b"/adbe.pkcs7.sha1", b"/adbe.x509.rsa_sha1", b"/GM.PKCS7.detached", b"/SES.V4", b"/ETSI.CAdES", b"", b"/A#20B",
)  # fmt: skip


@pytest.mark.parametrize("sub_filter", _UNKNOWN)
@pytest.mark.parametrize("what", ["a CMS", "something else"])
def test_a_signature_of_an_unknown_kind_is_told_by_its_name(sub_filter: bytes, what: str) -> None:
    who = hand("ecdsa")
    made = (lambda signed: cms(who, signed)) if what == "a CMS" else (lambda signed: b"\x04\x03abc")
    pdf = signed_letter(made, sub_filter=sub_filter)
    found = examine(pdf, who.root)
    assert decide(found.findings, REQUIRED_FOREIGN) == (Verdict.INDETERMINATE, "SIGNATURE_NOT_SUPPORTED")
    detail = next(f.detail for f in found.findings if f.check == "signature.1")
    assert sub_filter[1:].decode().replace("#20", " ") in detail
    report = Report("pdf", AT, Verdict.INDETERMINATE, "SIGNATURE_NOT_SUPPORTED", tuple(found.findings))
    assert "does not mean that it was changed" in words_for(report, "en").sentence


def test_without_an_anchor_a_signature_of_an_unknown_kind_is_of_somebody_unknown() -> None:
    from encoding.test_signed_lists import TRUST_LIST

    who = hand("ecdsa")
    for sub_filter in (*_UNKNOWN, b"/adbe.pkcs7.detached"):
        pdf = signed_letter(lambda signed: cms(who, signed), sub_filter=sub_filter)
        found = examine_pdf(pdf, trust_list=TRUST_LIST, anchors=[], crls=[], verified_at=AT)
        assert decide(found.findings, REQUIRED_FOREIGN) == (Verdict.INDETERMINATE, "UNKNOWN_ISSUER")


_NOT_CHECKED: dict[str, Callable[[Hand, bytes], bytes]] = {
    "a content of its own": lambda who, signed: cms(who, signed, encapsulated=signed[:64]),
    "an algorithm that nobody knows": lambda who, signed: cms(who, signed, signature_oid="1.2.3.4.5"),
    "a digest that nobody knows": lambda who, signed: cms(who, signed, digest_oid="1.2.3.4.6"),
    "RSA with SM3": lambda who, signed: cms(who, signed, signature_oid="1.2.156.10197.1.504"),
    "nothing": lambda who, signed: b"",
    "an envelope": lambda who, signed: cms(who, signed).replace(
        bytes.fromhex("06092a864886f70d010702"), bytes.fromhex("06092a864886f70d010703"), 1
    ),
    "half a signature": lambda who, signed: cms(who, signed)[:200],
    "no certificate": lambda who, signed: cms(who, signed).replace(who.cert, b"\x30\x80" + who.cert[2:]),
}


@pytest.mark.parametrize("case", _NOT_CHECKED)
@pytest.mark.parametrize("kind", ["sm2", "ecdsa"])
def test_what_cannot_be_checked_is_not_called_changed(kind: str, case: str) -> None:
    who = hand(kind)
    pdf = signed_letter(lambda signed: _NOT_CHECKED[case](who, signed))
    assert judged(pdf, who.root)[0] is Verdict.INDETERMINATE, examine(pdf, who.root).findings


# Odd files -------------------------------------------------------------------------------------------------

_TABLES: dict[str, dict[str, Any]] = {
    "a free entry of generation 0": {"entries": {8: b"0000000000 00000 f \n"}},
    "a free entry of generation 65535": {"entries": {8: odd_pdfs.HEAD}},
    "a head of generation 65536": {"head": b"0000000000 65536 f \n"},
    "an entry of generation 99999": {"entries": {8: b"0000000000 99999 f \n"}},
    "/Size too small": {"size": 3},
    "a table that announces one too many": {"count": 9},
    "a table that announces one too few": {"count": 7},
    "a table that begins with 1": {"first": 1},
    "zeros after the end that are signed": {"after": bytes(200)},
    "line ends after the end that are signed": {"after": b"\r\n\r\n  \n"},
    "a byte-order mark that is signed": {"before": b"\xef\xbb\xbf", "counted_from_start": True},
    "/OpenAction": {"catalogue": b"/OpenAction[3 0 R/Fit]"},
}


@pytest.mark.parametrize("case", _TABLES)
def test_what_viewers_overlook_is_a_remark_where_it_is_signed(case: str) -> None:
    who = hand("ecdsa")
    pdf = signed_letter(lambda signed: cms(who, signed), **_TABLES[case])
    found = examine(pdf, who.root)
    assert decide(found.findings, REQUIRED_FOREIGN) == (Verdict.PASSED, "OK"), found.findings
    in_order = case.startswith(("a free entry", "/OpenAction"))
    assert ("NOT_IN_ORDER" in found.facts["remarks"]) is not in_order
    assert judged(altered(pdf), who.root)[0] is Verdict.FAILED


@pytest.mark.parametrize("case", odd_pdfs.REWRITTEN)
def test_an_odd_header_or_end_is_a_remark_too(case: str) -> None:
    who = hand("ecdsa")
    pdf = signed_letter(lambda signed: cms(who, signed), rewrite=odd_pdfs.REWRITTEN[case])
    found = examine(pdf, who.root)
    assert decide(found.findings, REQUIRED_FOREIGN) == (Verdict.PASSED, "OK"), found.findings
    assert found.facts["remarks"] == ["NOT_IN_ORDER", "REVOCATION_NOT_CHECKED"]
    assert judged(altered(pdf), who.root)[0] is Verdict.FAILED


_AROUND = {
    "a byte-order mark": (b"\xef\xbb\xbf", b""),
    "a line before": (b"X-Header: 1\r\n\r\n", b""),
    "zeros": (b"", bytes(500)),
    "a CR LF more": (b"", b"\r\n"),
    "spaces": (b"", b"  "),
    "both": (b"\n", b"\0"),
}


@pytest.mark.parametrize("case", _AROUND)
def test_what_nobody_signed_around_a_file_is_not_covered(case: str) -> None:
    who = hand("ecdsa")
    pdf = signed_letter(lambda signed: cms(who, signed), around=_AROUND[case])
    assert judged(pdf, who.root) == (Verdict.INDETERMINATE, "PARTIAL_COVER")


def test_what_is_added_later_has_to_be_in_order() -> None:
    who = hand("ecdsa")
    pdf = signed_letter(lambda signed: cms(who, signed))
    body = b"4 0 obj\n<</Length 0>>\nstream\n\nendstream\nendobj\n"
    at = len(pdf)
    for table in (
        b"4 1\n%010d 00000 n \n",
        b"4 2\n%010d 00000 n \n",
        b"0 1\n0000000000 65536 f \n4 1\n%010d 00000 n \n",
    ):
        later = odd_pdfs.with_update(pdf, table % at, size=8, bodies=body)
        assert judged(later, who.root) == (Verdict.INDETERMINATE, "PARTIAL_COVER"), table


def test_a_wrong_size_does_not_let_an_update_replace_what_was_signed() -> None:
    # With /Size 3, the content 4 would count as a number that was free when the file was signed.
    who = hand("ecdsa")
    pdf = signed_letter(lambda signed: cms(who, signed), size=3)
    body = b"4 0 obj\n<</Type/XRef/Length 0>>\nstream\n\nendstream\nendobj\n"
    later = odd_pdfs.with_update(pdf, b"4 1\n%010d 00000 n \n" % len(pdf), size=8, bodies=body)
    assert judged(later, who.root) == (Verdict.INDETERMINATE, "PARTIAL_COVER")


def signed_by_the_library(pdf: bytes, made: Producer, name: str = "Signature1") -> bytes:
    """An update with a signature, by a program that overlooks as much as viewers do."""
    simple = signers.SimpleSigner(
        signing_cert=made.signer.asn1_cert,
        signing_key=made.signer.asn1_key,
        cert_registry=SimpleCertificateStore(),
    )
    signing = signers.PdfSigner(
        signers.PdfSignatureMetadata(field_name=name, md_algorithm="sha256"),
        simple,
        new_field_spec=SigFieldSpec(name),
    )
    out = signing.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf), strict=False), bytes_reserved=16384)
    return bytes(out.getvalue())


@pytest.mark.parametrize("case", odd_pdfs.FREE | odd_pdfs.LOOSE | odd_pdfs.HARMLESS)
def test_odd_files_that_others_signed_pass_once_and_twice(case: str) -> None:
    made = Producer("ecdsa", AT)
    made.__dict__["signer"] = made.new_signer(issuer=made.root, crl=False)
    pdf = signed_by_the_library((odd_pdfs.FREE | odd_pdfs.LOOSE | odd_pdfs.HARMLESS)[case](), made)
    twice = signed_by_the_library(pdf, made, "Signature2")
    # By a /Size that is too small the program that signs is misled as well: it writes over what is there.
    for each in (pdf,) if case == "/Size too small" else (pdf, twice):
        found = examine(each, made.root.der)
        assert decide(found.findings, REQUIRED_FOREIGN) == (Verdict.PASSED, "OK"), found.findings
        assert ("NOT_IN_ORDER" in found.facts["remarks"]) is (case in odd_pdfs.LOOSE)


@pytest.mark.parametrize("case", [*_TABLES, *odd_pdfs.REWRITTEN])
def test_nothing_is_overlooked_of_what_is_added_to_an_odd_file(case: str) -> None:
    who = hand("ecdsa")
    if case in _TABLES:
        pdf = signed_letter(lambda signed: cms(who, signed), **_TABLES[case])
    else:
        pdf = signed_letter(lambda signed: cms(who, signed), rewrite=odd_pdfs.REWRITTEN[case])
    body = b"4 0 obj\n<</Length 3>>\nstream\nq Q\nendstream\nendobj\n"
    in_order = odd_pdfs.with_update(pdf, b"4 1\n%010d 00000 n \n" % len(pdf), size=30, bodies=body)
    # A table that cannot be used, so that whoever looks for the objects finds the new one.
    without = pdf + body + b"trailer\n<</Size 30/Root 1 0 R>>\nstartxref\n99999999\n%%EOF\n"
    for changed in (in_order, without):
        assert judged(changed, who.root)[0] is not Verdict.PASSED


def test_what_is_added_in_an_object_stream_is_read_as_strictly() -> None:
    # Who looks for the number finds the catalogue as it was; who goes by the index finds another.
    who = hand("ecdsa")
    pdf = signed_letter(lambda signed: cms(who, signed), size=3)
    start = pdf.index(b"<</Type/Catalog")
    same = pdf[start : pdf.index(b"endobj", start)].strip()
    other = same.replace(b"/Pages 2 0 R", b"/Pages 9 0 R")
    head = b"1 0 9 %d " % (len(same) + 1)
    body = head + same + b" " + other
    packed = len(pdf)
    stream = b"20 0 obj\n<</Type/ObjStm/N 2/First %d/Length %d>>\nstream\n%b\nendstream\nendobj\n" % (
        len(head), len(body), body,
    )  # fmt: skip
    table = packed + len(stream)
    rows = b"\x02" + (20).to_bytes(4, "big") + b"\x01"  # object 1: the second in the stream
    for at in (packed, table):
        rows += b"\x01" + at.to_bytes(4, "big") + b"\0"
    prev = int(pdf[pdf.rindex(b"startxref") + 9 :].split()[0])
    tail = (
        b"21 0 obj\n<</Type/XRef/Size 22/W[1 4 1]/Index[1 1 20 2]/Root 1 0 R/Prev %d/Length %d>>\n"
        b"stream\n%b\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % (prev, len(rows), rows, table)
    )
    assert judged(pdf + stream + tail, who.root) == (Verdict.INDETERMINATE, "PARTIAL_COVER")
    right = tail.replace(rows, b"\x02" + (20).to_bytes(4, "big") + b"\0" + rows[6:])
    found = examine(pdf + stream + right, who.root)
    assert decide(found.findings, REQUIRED_FOREIGN) == (Verdict.PASSED, "OK"), found.findings


# Who and when ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sm2", "ecdsa"])
def test_an_intact_signature_of_somebody_unknown_is_just_that(kind: str) -> None:
    who, other = hand(kind), sm2_hand(AT) if kind == "sm2" else ecdsa_hand(AT)
    pdf = signed_letter(lambda signed: cms(who, signed))
    for anchor in (other.root, hand("ecdsa" if kind == "sm2" else "sm2").root):
        found = examine(pdf, anchor)
        verdict, code = decide(found.findings, REQUIRED_FOREIGN)
        assert (verdict, code) == (Verdict.INDETERMINATE, "NO_CERTIFICATE_CHAIN_FOUND"), found.findings
    report = Report("pdf", AT, verdict, "UNKNOWN_ISSUER", tuple(found.findings), found.facts)
    assert "intact" in words_for(report, "en").sentence
    assert judged(altered(pdf), other.root)[0] is Verdict.FAILED


@pytest.mark.parametrize(("minutes", "told"), [(4, False), (6, True), (120, True), (60 * 24 * 400, True)])
def test_a_time_that_the_signer_claims_ahead_of_ours_is_a_remark(minutes: int, told: bool) -> None:
    who = hand("ecdsa")
    claimed = (AT + timedelta(minutes=minutes)).strftime("D:%Y%m%d%H%M%SZ").encode()
    pdf = signed_letter(lambda signed: cms(who, signed), more=b"/M(%b)" % claimed)
    found = examine(pdf, who.root)
    assert decide(found.findings, REQUIRED_FOREIGN) == (Verdict.PASSED, "OK")
    assert ("CLAIMED_TIME_AHEAD" in found.facts["remarks"]) is told


@pytest.mark.parametrize(
    "claimed", [b"yesterday", b"D:20269999999999Z", b"D:00010101000000Z", b"", b"\xfe\xff\x4e\x00"]
)
def test_a_time_that_is_none_changes_nothing(claimed: bytes) -> None:
    who = hand("ecdsa")
    pdf = signed_letter(lambda signed: cms(who, signed), more=b"/M(%b)" % claimed)
    assert judged(pdf, who.root) == (Verdict.PASSED, "OK"), examine(pdf, who.root).findings


# The collection --------------------------------------------------------------------------------------------

_RIGHT = {
    "02b-crlf-more": (Verdict.INDETERMINATE, "PARTIAL_COVER"),
    "03-padded-with-nul": (Verdict.INDETERMINATE, "PARTIAL_COVER"),
    "04-bom-before": (Verdict.INDETERMINATE, "PARTIAL_COVER"),
    "06-pkcs7-sha1": (Verdict.INDETERMINATE, "SIGNATURE_NOT_SUPPORTED"),
    "p1-info-changed": (Verdict.INDETERMINATE, "PARTIAL_COVER"),
    "p1-xmp-changed": (Verdict.INDETERMINATE, "PARTIAL_COVER"),
}
_REMARKS = {"09-clock-2h-ahead": "CLAIMED_TIME_AHEAD", "03-padded-with-nul": "NOT_IN_ORDER"}


@pytest.mark.skipif(not _SHARED.is_dir(), reason="the collection of inputs is not here")
def test_the_collected_inputs_get_the_right_answer() -> None:
    for path in sorted(_SHARED.glob("*.pdf")):
        pdf = path.read_bytes()
        found = examine(pdf, _anchor_for(path.stem, pdf), at=datetime(2026, 11, 28, 22, 0, tzinfo=UTC))
        expected = _RIGHT.get(path.stem, (Verdict.PASSED, "OK"))
        assert decide(found.findings, REQUIRED_FOREIGN) == expected, (path.name, found.findings)
        if path.stem in _REMARKS:
            assert _REMARKS[path.stem] in found.facts["remarks"]
        assert all(f.result is not Result.FAILED for f in found.findings)


def _anchor_for(name: str, pdf: bytes) -> bytes:
    if name.startswith("p1"):  # its root comes with it
        start = pdf.index(b"/Contents <") + len(b"/Contents <")
        held = asn1_cms.ContentInfo.load(bytes.fromhex(pdf[start : pdf.index(b">", start)].decode()))
        return bytes(list(held["content"]["certificates"])[-1].chosen.dump())
    named = "sm2-root" if name.startswith("sm2") else "root-free" if "free" in name else "root"
    return bytes(pem.unarmor((_SHARED / f"{named}.pem").read_bytes())[2])


def test_of_a_kind_that_is_named_at_length_only_the_beginning_is_said() -> None:
    who = hand("ecdsa")
    pdf = signed_letter(lambda signed: cms(who, signed), sub_filter=b"/" + b"X" * 100)
    (told,) = {f.detail for f in examine(pdf, who.root).findings if "XXX" in f.detail}
    assert told.endswith("X" * 59 + "…")
    assert told.count("X") == 59


@pytest.mark.parametrize("digest_name", ["sha1", "md5", "sm3", "sha224", None])
def test_ecdsa_named_by_its_kind_of_key_counts_with_sha_2_only(digest_name: str | None) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    spki = asn1_keys.PublicKeyInfo.load(
        key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    named = algos.SignedDigestAlgorithm({"algorithm": algos.SignedDigestAlgorithmId("1.2.840.10045.2.1")})

    def check(name: str | None, made: bytes) -> None:
        context = SignatureValidationContext(contextual_md_algorithm=name)
        foreign._Validator().validate_signature(made, b"signed", spki, named, context)

    check("sha256", key.sign(b"signed", ec.ECDSA(hashes.SHA256())))
    kinds = {"sha1": hashes.SHA1(), "md5": hashes.MD5(), "sm3": hashes.SM3(), "sha224": hashes.SHA224()}
    made = key.sign(b"signed", ec.ECDSA(kinds.get(digest_name or "", hashes.SHA256())))
    with pytest.raises((InvalidSignature, NotSupported)):
        check(digest_name, made)
