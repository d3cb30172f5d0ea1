"""pyHanko's own validator, with nothing of ours but the SM2 hook, trusts what we seal: revocation required."""

from __future__ import annotations

import io
from datetime import datetime
from typing import Any

import pytest
from asn1crypto import crl, x509
from interop.licences import Sealed
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from support.world import START

from keys import asn1
from keys.pki.validator import Sm2AwareValidator

pytestmark = pytest.mark.interop


def judge(pdf: bytes, root: bytes, tsa_root: bytes, crls: tuple[bytes, ...], at: datetime = START) -> Any:
    asn1.register()

    def context(anchor: bytes) -> ValidationContext:
        return ValidationContext(
            trust_roots=[x509.Certificate.load(anchor)],
            crls=[crl.CertificateList.load(der) for der in crls],
            allow_fetching=False,
            revocation_mode="require",
            retroactive_revinfo=True,
            moment=at,
            signature_validator=Sm2AwareValidator(),
        )

    (signature,) = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
    return validate_pdf_signature(signature, context(root), context(tsa_root))


def test_pyhanko_trusts_the_seal_and_its_time_stamp_over_the_whole_file(sealed: Sealed) -> None:
    status = judge(sealed.pdf, sealed.seal.root, sealed.tsa.root, sealed.crls)
    assert status.bottom_line, status.pretty_print_details()
    assert status.intact
    assert status.valid
    assert status.trusted
    assert status.coverage is SignatureCoverageLevel.ENTIRE_FILE
    assert status.docmdp_ok
    assert status.timestamp_validity.intact
    assert status.timestamp_validity.trusted
    assert status.timestamp_validity.timestamp == START


def test_pyhanko_finds_a_changed_page(sealed: Sealed) -> None:
    status = judge(sealed.with_changed_page(), sealed.seal.root, sealed.tsa.root, sealed.crls)
    assert not status.intact
    assert not status.bottom_line


def test_pyhanko_trusts_nothing_without_revocation_lists(sealed: Sealed) -> None:
    status = judge(sealed.pdf, sealed.seal.root, sealed.tsa.root, ())
    assert status.intact
    assert not status.trusted


def test_pyhanko_does_not_trust_the_seal_under_the_root_of_the_time_stamp(sealed: Sealed) -> None:
    assert not judge(sealed.pdf, sealed.tsa.root, sealed.tsa.root, sealed.crls).trusted


def test_pyhanko_does_not_trust_the_time_stamp_under_the_root_of_the_seal(sealed: Sealed) -> None:
    status = judge(sealed.pdf, sealed.seal.root, sealed.seal.root, sealed.crls)
    assert not status.timestamp_validity.trusted
