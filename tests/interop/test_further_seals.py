"""Licences with several seals, judged by others: each seal by itself, and what the first allows."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
from asn1crypto import crl, x509
from interop.licences import Issued
from interop.test_bouncycastle import SHA256, SM3, Answers, ask
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from support.ways import WAYS, sealing
from support.world import NAME_SEAL, START

from keys import asn1
from keys.pki.validator import Sm2AwareValidator
from trust.encoding.trust_list import TrustedSeal, TrustedTsa
from trust.pdf.gap import check_gaps
from verifier.evidence.bundle import evidence_from_bundle

pytestmark = pytest.mark.interop
SEALS = ("chuncheng-market-sm2", NAME_SEAL, "chuncheng-market-rsa3072")


@dataclasses.dataclass(frozen=True)
class Triple:
    """A licence with three seals, and of each seal what it hangs under."""

    pdf: bytes
    seals: tuple[TrustedSeal, ...]
    tsas: tuple[TrustedTsa, ...]
    crls: tuple[bytes, ...]


@pytest.fixture(scope="module")
def triples(issued: Issued) -> dict[str, Triple]:
    world = issued.world
    world.add_name_seal()
    pdfs = {}
    for number, way in enumerate(WAYS, 9501):
        application = dataclasses.replace(world.application(number, seal=SEALS[0]), further_seals=SEALS[1:])
        (outcome,) = sealing(world, way).try_issue(application)
        assert outcome.issued is not None, outcome.error
        pdfs[way] = world.site.issuer.issuing.issued_file(outcome.issued.pid)
    evidence = evidence_from_bundle(world.bundle(), START)
    listed = evidence.trust_list
    assert listed is not None
    trusted = tuple(next(s for s in listed.seals if s.seal_id == seal_id) for seal_id in SEALS)
    tsas = tuple(
        next(t for t in listed.tsas if (t.suite == "SM2-SM3") == (seal.suite == "SM2-SM3"))
        for seal in trusted
    )
    return {way: Triple(pdf, trusted, tsas, tuple(evidence.crls)) for way, pdf in pdfs.items()}


def context(anchor: bytes, crls: tuple[bytes, ...]) -> Any:
    return ValidationContext(
        trust_roots=[x509.Certificate.load(anchor)],
        crls=[crl.CertificateList.load(der) for der in crls],
        allow_fetching=False,
        revocation_mode="require",
        retroactive_revinfo=True,
        moment=START,
        signature_validator=Sm2AwareValidator(),
    )


@pytest.mark.parametrize("way", WAYS)
def test_pyhanko_trusts_each_seal_and_what_came_after_it(triples: dict[str, Triple], way: str) -> None:
    asn1.register()
    given = triples[way]
    signatures = PdfFileReader(io.BytesIO(given.pdf)).embedded_signatures
    assert [each.docmdp_level for each in signatures] == [MDPPerm.FILL_FORMS, None, MDPPerm.NO_CHANGES]
    for number, (signature, seal, tsa) in enumerate(zip(signatures, given.seals, given.tsas, strict=True)):
        status = validate_pdf_signature(
            signature, context(seal.root, given.crls), context(tsa.root, given.crls)
        )
        assert status.bottom_line, status.pretty_print_details()
        assert status.docmdp_ok
        is_last = number == len(signatures) - 1
        expected = SignatureCoverageLevel.ENTIRE_FILE if is_last else SignatureCoverageLevel.ENTIRE_REVISION
        assert status.coverage is expected


@pytest.fixture(scope="module")
def answers(triples: dict[str, Triple], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    cases = {}
    for way, given in triples.items():
        for number, gap in enumerate(check_gaps(given.pdf)):
            content = b"".join(gap.signed)
            for case, changed in (
                ("good", content),
                ("changed", content[:-200] + bytes((content[-200] ^ 1,)) + content[-199:]),
            ):
                cases[way, f"{number}-{case}"] = {
                    "content.bin": changed,
                    "seal.cms": gap.cms,
                    "anchor.der": given.seals[number].root,
                    "tsa-anchor.der": given.tsas[number].root,
                }
    return ask(cases, tmp_path_factory.mktemp("bouncycastle"))


@pytest.mark.parametrize("way", WAYS)
def test_bouncycastle_accepts_each_seal(answers: Answers, way: str) -> None:
    for number, algorithm in enumerate((SM3, SM3, SHA256)):
        word, found, _ = answers.lines[way, f"{number}-good"].split()
        assert (word, found) == ("OK", algorithm)
        assert answers.lines[way, f"{number}-changed"].startswith("REFUSED signature ")
