"""Files of others before the whole verifier: by an anchor that is named, by a CA in the trust list, by neither."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from encoding.test_signed_lists import TRUST_LIST
from support.signed_by_hand import NATIONAL, SM2_1, Hand, cms, ecdsa_hand, indefinite, signed_letter, sm2_hand

from trust.encoding.trust_list import TrustedAnchor, TrustState
from trust.model.report import Colour, Report, Verdict
from trust.sandbox.workers import Sandbox
from verifier.checks.verifying import Verifier
from verifier.evidence.evidence import Evidence, ListedStatus
from verifier.sentences import words_for

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
_TERM = (AT - timedelta(days=1), AT + timedelta(days=1))


def _with_spaces(pdf: bytes) -> bytes:
    """As the form of a hex string allows; the bytes that are signed stay what they are."""
    end = pdf.index(b">", pdf.index(b"/Contents <"))
    assert pdf[end - 2 : end] == b"00"
    return pdf[: end - 2] + b"\n " + pdf[end:]


@cache
def files() -> dict[str, tuple[Hand, bytes, bool]]:
    """Who signed, the file, and whether it passes with the right anchor."""
    sm2, ecdsa = sm2_hand(AT), ecdsa_hand(AT)

    def plain(signed: bytes) -> bytes:
        return cms(ecdsa, signed)

    return {
        "in order": (ecdsa, signed_letter(plain), True),
        "national": (
            sm2,
            signed_letter(lambda signed: cms(sm2, signed, signed_type=NATIONAL, signature_oid=SM2_1)),
            True,
        ),
        "BER": (ecdsa, signed_letter(lambda signed: indefinite(plain(signed))), True),
        "a wrong table": (ecdsa, signed_letter(plain, size=3, count=9), True),
        "a byte-order mark": (ecdsa, signed_letter(plain, around=(b"\xef\xbb\xbf", b"")), False),
        "zeros": (ecdsa, signed_letter(plain, around=(b"", bytes(99))), False),
        "another kind": (ecdsa, signed_letter(plain, sub_filter=b"/adbe.pkcs7.sha1"), False),
        "a word of the syntax in a text": (ecdsa, signed_letter(plain, more=b"/Reason(see endobj)"), True),
        "spaces in the gap": (ecdsa, _with_spaces(signed_letter(plain)), False),
        "a script": (ecdsa, signed_letter(plain, catalogue=b"/OpenAction<</S/JavaScript/JS(1)>>"), False),
        "of a seal maker": (ecdsa, signed_letter(lambda _: b"\x30\x03\x02\x01\x05", sub_filter=b"/SES"), False),
    }  # fmt: skip


def verify(
    sandbox: Sandbox, pdf: bytes, *, named: bytes | None = None, listed: bytes | None = None
) -> Report:
    anchors = (
        (TrustedAnchor(TrustState.ACTIVE, AT - timedelta(days=1), "外部", "Outside", listed, *_TERM),)
        if listed
        else ()
    )
    known = dataclasses.replace(TRUST_LIST, anchors=anchors)
    evidence = Evidence(known, (), ListedStatus({}), None, online=False)
    return Verifier(sandbox, live=None).verify_bytes(pdf, evidence, AT, anchors=[named] if named else [])


@pytest.mark.parametrize("case", files())
def test_a_file_is_judged_the_same_by_a_named_and_by_a_listed_anchor(sandbox: Sandbox, case: str) -> None:
    who, pdf, passes = files()[case]
    for report in (verify(sandbox, pdf, named=who.root), verify(sandbox, pdf, listed=who.root)):
        assert report.colour is Colour.AMBER, report.findings
        assert (report.verdict is Verdict.PASSED) is passes, report.findings
        assert report.verdict is not Verdict.FAILED
        if passes:
            assert report.not_checked == ("revocation",)
            assert "revocation was not checked" in words_for(report, "en").sentence


@pytest.mark.parametrize("case", files())
def test_without_an_anchor_it_is_of_somebody_unknown_and_was_not_changed(sandbox: Sandbox, case: str) -> None:
    report = verify(sandbox, files()[case][1])
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "UNKNOWN_ISSUER"), report.findings
    assert report.colour is Colour.AMBER


@pytest.mark.parametrize("pdf", [b"%PDF-1.7\nnothing", b"%PDF-1.7\n" + bytes(500) + b"startxref\n9\n%%EOF\n"])
def test_what_nobody_can_read_was_not_changed(sandbox: Sandbox, pdf: bytes) -> None:
    for report in (verify(sandbox, pdf), verify(sandbox, pdf, named=files()["in order"][0].root)):
        assert (report.verdict, report.colour) == (Verdict.INDETERMINATE, Colour.AMBER)
        assert "not known" in words_for(report, "en").sentence
