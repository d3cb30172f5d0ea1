"""The gate and the structure behind it: each rule broken by itself, and each known attack made from a real licence."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms
from PIL import Image
from pyhanko.pdf_utils import embed, generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from support.ways import WAYS, sealing
from support.world import MARKET, START, World

from issuer.sealing.pdf import CONTENTS_HEX_DIGITS, SealInUse, SealPlace, seal_department_pdf
from issuer.sealing.splice import splice_receipt, take_apart
from issuer.seals.artwork import round_seal, seal_data_png, seal_pdf
from issuer.seals.data import SealType, make_seal_data
from keys import asn1
from keys.custody import FileKeyProvider, KeyPurpose, SigningKey
from keys.pki.build import Profile, Subject, make_x509_cert
from keys.pki.chain import ChainTrust
from keys.pki.read import read_x509_cert
from keys.suites import Suite
from keys.tsa import TimeStampAuthority, TimeStamper
from trust.app.compose import SERVICE_READING_JOBS
from trust.encoding.cms import SEAL_DATA_OID, SIGNATURE_TIME_STAMP_OID, encode_attribute, encode_seal_cms
from trust.encoding.ecertificate_data import decode_ecertificate_data
from trust.encoding.ses import decode_seal
from trust.model.errors import EvidenceUnavailableError, TrustError, VerificationError
from trust.model.report import Report, Result, Verdict
from trust.pdf.gap import GapRefused, SignedGap, check_gap
from trust.sandbox.workers import Apart, Sandbox
from verifier.checks.answers import decode_examination
from verifier.checks.examine import examine_pdf, examine_pdf_job
from verifier.checks.seal_data import SealDataTrust, judge_seal
from verifier.checks.seal_drawing import compare
from verifier.checks.seal_on_page import SealOnPage
from verifier.checks.steps import Examination
from verifier.evidence.bundle import evidence_from_bundle
from verifier.evidence.evidence import Evidence

# One licence for the whole file: nothing here changes the world it was issued in.


class Given:
    """Two licences of one world and what a verifier knows."""

    def __init__(self, world: World) -> None:
        asn1.register()
        self.world = world
        self.issued, self.pdf = world.issue(1)
        _, self.other = world.issue(2)
        self.evidence: Evidence = evidence_from_bundle(world.bundle(), START)

    def examine(self, pdf: bytes) -> Examination:
        return examine_pdf(
            pdf,
            trust_list=self.evidence.trust_list,
            anchors=(),
            crls=self.evidence.crls,
            verified_at=START,
        )

    def refusal(self, pdf: bytes) -> str:
        """The check that refused the file. Its data must not be shown."""
        found = self.examine(pdf)
        assert found.data is None
        return next(f.check for f in found.findings if f.result is not Result.PASSED)

    def examine_apart(self, pdf: bytes) -> Examination:
        """As the sandbox does it: judged in one place, drawn in another, with JSON between them."""
        arguments = {"verified_at": START.isoformat(), "anchors": 0}
        blobs = [pdf, self.evidence.trust_list_payload, *self.evidence.crls]
        return decode_examination(json.loads(json.dumps(examine_pdf_job(arguments, blobs))), compare)

    def blame(self, pdf: bytes) -> tuple[str, str]:
        found = self.examine(pdf)
        apart = self.examine_apart(pdf)
        assert (apart.findings, apart.data) == (found.findings, found.data)
        assert json.dumps(apart.facts) == json.dumps(found.facts)
        assert found.data is None
        return next((f.check, f.code) for f in found.findings if f.result is not Result.PASSED)


@pytest.fixture(scope="module", params=WAYS)
def given(
    request: pytest.FixtureRequest,
    template_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    sandbox: Sandbox,
) -> Iterator[Given]:
    import shutil

    from support.world import make_world

    folder = tmp_path_factory.mktemp("gate") / "data"
    shutil.copytree(template_folder, folder)
    world = make_world(folder, sandbox=sandbox)
    try:
        made = Given(sealing(world, request.param))
        assert made.examine(made.pdf).data is not None
        yield made
    finally:
        world.close()


# The rules -------------------------------------------------------------------------------------------------


def with_gap(pdf: bytes, contents: bytes) -> bytes:
    """Other hex digits of the same number in /Contents."""
    _, start, end, _ = check_gap(pdf).byte_range
    assert len(contents) == end - start
    return pdf[:start] + contents + pdf[end:]


def with_byte_range(pdf: bytes, change: Callable[[int, int, int], str]) -> bytes:
    """Another /ByteRange in as many characters, so that nothing else moves."""
    match = re.search(rb"/ByteRange \[0 (\d+) (\d+) (\d+)\]", pdf)
    assert match
    new = change(*(int(n) for n in match.groups())).encode()
    assert len(new) == len(match.group())
    return pdf[: match.start()] + new + pdf[match.end() :]


def padded(text: str, a: int, b: int, c: int) -> str:
    return text.ljust(len(f"/ByteRange [0 {a} {b} {c}]"))


def gap_of(pdf: bytes) -> bytes:
    _, start, end, _ = check_gap(pdf).byte_range
    return pdf[start:end]


def grown(pdf: bytes, extra: bytes) -> bytes:
    return pdf + extra


Spoil = Callable[[bytes], bytes]
RULES: dict[str, tuple[str, Spoil]] = {
    "no ByteRange": ("rule 2", lambda p: p.replace(b"/ByteRange", b"/ByteRagne")),
    "two ByteRanges": ("rule 2", lambda p: p.replace(b"%%EOF", b"/ByteRange [0 1 2 3]\n%%EOF")),
    "a second ByteRange in a comment": ("rule 2", lambda p: p + b"%/ByteRange\n"),
    "ByteRange not from zero": (
        "rule 2", lambda p: with_byte_range(p, lambda a, b, c: f"/ByteRange [1 {a} {b} {c}]")),
    "ByteRange with two spaces": (
        "rule 2", lambda p: with_byte_range(p, lambda a, b, c: padded(f"/ByteRange [0  {a} {b} {c // 10}]", a, b, c))),
    "ByteRange with five numbers": (
        "rule 2", lambda p: with_byte_range(p, lambda a, b, c: padded(f"/ByteRange [0 {a} {b} 1 2]", a, b, c))),
    "ByteRange with a leading zero": (
        "rule 2", lambda p: with_byte_range(p, lambda a, b, c: f"/ByteRange [0 0{str(a)[1:]} {b} {c}]")),
    "ByteRange with a negative number": (
        "rule 2", lambda p: with_byte_range(p, lambda a, b, c: f"/ByteRange [0 -{str(a)[1:]} {b} {c}]")),
    "ByteRange with a sum": (
        "rule 2", lambda p: with_byte_range(p, lambda a, b, c: f"/ByteRange [0 +{str(a)[1:]} {b} {c}]")),
    "ByteRange as a hexadecimal name": ("rule 2", lambda p: p.replace(b"/ByteRange", b"/Byte#52ange")),
    "ends before it begins": (
        "rule 4", lambda p: with_byte_range(
            p, lambda a, b, c: f"/ByteRange [0 {b} {str(a).rjust(len(str(a)), '1')} {c}]")),
    "does not reach the end": (
        "rule 4", lambda p: with_byte_range(p, lambda a, b, c: f"/ByteRange [0 {a} {b} {c - 1}]")),
    "reaches beyond the end": (
        "rule 4", lambda p: with_byte_range(p, lambda a, b, c: f"/ByteRange [0 {a} {b} {c + 1}]")),
    "bytes after the end": ("rule 4", lambda p: p + b"\n"),
    "a gap one byte wider": (
        "rule 3", lambda p: with_byte_range(p, lambda a, b, c: f"/ByteRange [0 {a} {b + 1} {c - 1}]")),
    "a gap that begins earlier": (
        "rule 3", lambda p: with_byte_range(p, lambda a, b, c: f"/ByteRange [0 {a - 1} {b} {c}]")),
    "a gap without its bracket": (
        "rule 3", lambda p: with_byte_range(p, lambda a, b, c: f"/ByteRange [0 {a + 1} {b} {c}]")),
    "lower case": ("rule 3", lambda p: with_gap(p, gap_of(p).lower())),
    "a space among the digits": ("rule 3", lambda p: with_gap(p, gap_of(p)[:-3] + b" 0>")),
    "a line end among the digits": ("rule 3", lambda p: with_gap(p, gap_of(p)[:-3] + b"\n0>")),
    "a comment among the digits": ("rule 3", lambda p: with_gap(p, gap_of(p)[:-3] + b"%0>")),
    "the string ends early": ("rule 3", lambda p: with_gap(p, gap_of(p)[:-3] + b"0>>")),
    "a dictionary in the gap": ("rule 3", lambda p: with_gap(p, gap_of(p)[:-5] + b"0>/A>")),
    "another key before the gap": ("rule 3", lambda p: p.replace(b"/Contents <", b"/Contentz <")),
    "another white space before the gap": ("rule 3", lambda p: p.replace(b"/Contents <", b"/Contents\n<")),
    "an odd number of digits": (
        "rule 3",
        lambda p: with_byte_range(_shorter_gap(p), lambda a, b, c: f"/ByteRange [0 {a} {b - 1} {c}]"),
    ),
    "no DER at all": ("rule 5", lambda p: with_gap(p, b"<" + b"F" * (len(gap_of(p)) - 2) + b">")),
    "a length that is not the shortest": (
        "rule 5", lambda p: with_gap(p, b"<308300" + gap_of(p)[5:-3] + b">")),
    "BER with an indefinite length": ("rule 5", lambda p: with_gap(p, b"<3080" + gap_of(p)[5:])),
    "something behind the DER": ("rule 5", lambda p: with_gap(p, gap_of(p)[:-3] + b"01>")),
    "something far behind the DER": ("rule 5", lambda p: with_gap(p, gap_of(p)[:-21] + b"4142" + b"0" * 16 + b">")),
    "a DER that is longer than the gap": ("rule 5", lambda p: with_gap(p, b"<3084FFFFFFFF" + gap_of(p)[13:])),
}  # fmt: skip


def _shorter_gap(pdf: bytes) -> bytes:
    """One zero fewer in the gap."""
    _, _, end, _ = check_gap(pdf).byte_range
    return pdf[: end - 2] + pdf[end - 1 :]


@pytest.mark.parametrize("name", RULES)
def test_a_file_that_breaks_one_rule_is_refused_by_it(given: Given, name: str) -> None:
    rule, spoil = RULES[name]
    spoiled = spoil(given.pdf)
    assert spoiled != given.pdf
    with pytest.raises(GapRefused) as refused:
        check_gap(spoiled)
    assert refused.value.what.startswith(rule), refused.value.what
    given.refusal(spoiled)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: b"\n" + p,
        lambda p: b"MZ" + p,
        lambda p: p.replace(b"%PDF-", b"%PDG-", 1),
        lambda p: p + b"\n\n\n",
        lambda p: p + b"trailer",
        lambda p: p[: p.rindex(b"%%EOF")],
        lambda p: p[: p.rindex(b"%%EOF")] + b"%%EOG\n",
        lambda p: p.replace(b"startxref", b"startxxxx"),
    ],
)
def test_a_file_that_begins_or_ends_otherwise_is_refused(
    given: Given, spoil: Callable[[bytes], bytes]
) -> None:  # rule 1
    assert given.refusal(spoil(given.pdf)) == "file.format"


def test_the_gate_gives_the_signature_and_everything_else(given: Given) -> None:
    gap: SignedGap = check_gap(given.pdf)
    _, start, end, rest = gap.byte_range
    assert gap.signed == (given.pdf[:start], given.pdf[end:])
    assert end + rest == len(given.pdf)
    assert cms.ContentInfo.load(gap.cms, strict=True)["content_type"].native == "signed_data"


# Incremental updates ---------------------------------------------------------------------------------------


Change = Callable[[IncrementalPdfFileWriter], None]


def updated(pdf: bytes, change: Change) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    made = out.getvalue()
    assert made.startswith(pdf)
    assert len(made) > len(pdf)
    return made


def _touch(writer: IncrementalPdfFileWriter) -> None:
    writer.root["/Lang"] = generic.pdf_string("en")
    writer.update_root()


def _action(writer: IncrementalPdfFileWriter) -> generic.DictionaryObject:
    return generic.DictionaryObject(
        {
            generic.pdf_name("/S"): generic.pdf_name("/JavaScript"),
            generic.pdf_name("/JS"): generic.pdf_string("1"),
        }
    )


def _open_action(writer: IncrementalPdfFileWriter) -> None:
    writer.root["/OpenAction"] = _action(writer)
    writer.update_root()


def _page_action(writer: IncrementalPdfFileWriter) -> None:
    page_ref, _ = writer.find_page_for_modification(0)
    page_ref.get_object()["/AA"] = generic.DictionaryObject({generic.pdf_name("/O"): _action(writer)})
    writer.mark_update(page_ref)


def _named_script(writer: IncrementalPdfFileWriter) -> None:
    names = writer.root["/Names"]
    names["/JavaScript"] = generic.DictionaryObject(
        {generic.pdf_name("/Names"): generic.ArrayObject([generic.pdf_string("x"), _action(writer)])}
    )
    writer.update_container(names)
    writer.update_root()


def _page_content(writer: IncrementalPdfFileWriter) -> None:
    stream = generic.StreamObject(stream_data=b"0 0 500 500 re f")
    page_ref, _ = writer.find_page_for_modification(0)
    page_ref.get_object()["/Contents"] = writer.add_object(stream)
    writer.mark_update(page_ref)


def _annotation(writer: IncrementalPdfFileWriter) -> None:
    note = generic.DictionaryObject(
        {
            generic.pdf_name("/Type"): generic.pdf_name("/Annot"),
            generic.pdf_name("/Subtype"): generic.pdf_name("/FreeText"),
            generic.pdf_name("/Rect"): generic.ArrayObject(
                [generic.NumberObject(n) for n in (0, 0, 300, 300)]
            ),
            generic.pdf_name("/Contents"): generic.pdf_string("valid until 2099"),
        }
    )
    page_ref, _ = writer.find_page_for_modification(0)
    page = page_ref.get_object()
    page["/Annots"] = generic.ArrayObject([*page["/Annots"], writer.add_object(note)])
    writer.mark_update(page_ref)


def _attachment(writer: IncrementalPdfFileWriter) -> None:
    stream = embed.EmbeddedFileObject.from_file_data(writer, b"{}", mime_type="application/json")
    embed.embed_file(writer, embed.FileSpec("other.json", embedded_data=stream))


def _without_perms(writer: IncrementalPdfFileWriter) -> None:
    del writer.root["/Perms"]
    writer.update_root()


def _without_form(writer: IncrementalPdfFileWriter) -> None:
    del writer.root["/AcroForm"]
    writer.update_root()


@pytest.mark.parametrize(
    "change",
    [_touch, _open_action, _page_action, _named_script, _page_content, _annotation, _attachment, _without_perms,
     _without_form],
    ids=lambda change: change.__name__.strip("_"),
)  # fmt: skip
def test_nothing_can_be_added_by_an_incremental_update(given: Given, change: Change) -> None:
    given.refusal(updated(given.pdf, change))


@pytest.mark.parametrize("change", [_open_action, _page_action, _named_script])
def test_active_content_is_called_by_its_name(given: Given, change: Change) -> None:
    assert given.blame(updated(given.pdf, change)) == ("file.active-content", "ACTIVE_CONTENT")


@pytest.mark.parametrize("change", [_touch, _annotation, _page_content, _attachment])
def test_an_update_whose_byte_range_was_stretched_over_it_is_refused(given: Given, change: Change) -> None:
    """The attacker makes rule 4 fit again. The digest then covers what was never signed."""
    made = updated(given.pdf, change)
    _, start, end, rest = check_gap(given.pdf).byte_range
    old, new = (f"/ByteRange [0 {start} {end} {n}]".encode() for n in (rest, len(made) - end))
    # One digit more needs one byte from elsewhere: the space in the dictionary is free before it is signed.
    assert len(new) == len(old) + 1
    tail = made[end:].replace(old, new).replace(b"/Filter /Adobe.PPKLite", b"/Filter/Adobe.PPKLite")
    stretched = made[:end] + tail
    assert len(stretched) == len(made)
    check_gap(stretched)
    assert given.refusal(stretched) in ("file.structure", "seal.signature")


# More than one seal ----------------------------------------------------------------------------------------


def place(millimetres: float = 42.0) -> SealPlace:
    side = millimetres * 72 / 25.4
    return SealPlace(0, 100, 100, 100 + side, 100 + side)


def test_a_second_seal_is_refused(given: Given) -> None:
    from pyhanko.sign import signers
    from pyhanko.sign.fields import SigFieldSpec

    from issuer.sealing.pdf import _FrameSigner

    site = given.world.site
    seal = site.issuer.seals.using.open(site.issuer.seals.registry.get("chuncheng-market-rsa3072"))
    tsa = site.issuer.pki.time_stamp_authority(Suite.RSA3072_SHA256)
    meta = signers.PdfSignatureMetadata(field_name="Seal2", md_algorithm="sha256")
    writer = IncrementalPdfFileWriter(io.BytesIO(given.pdf))

    class Reckless(signers.PdfSigner):
        def _enforce_certification_constraints(self, reader: PdfFileReader) -> None:
            """pyHanko itself would refuse to sign a document that is certified with no changes allowed."""

    signer = Reckless(meta, _FrameSigner(seal, tsa), new_field_spec=SigFieldSpec("Seal2"))
    twice = signer.sign_pdf(writer, bytes_reserved=CONTENTS_HEX_DIGITS).getvalue()
    assert twice.startswith(given.pdf)
    assert given.blame(twice) == ("file.structure", "SIG_CONSTRAINTS_FAILURE")


# Things of one licence in another, and of one authority in another's ---------------------------------------


def rewritten(pdf: bytes, *, own_certs: list[bytes] | None = None, **parts: bytes) -> bytes:
    """The licence with some parts of its CMS exchanged, in the frame that the verifier would build."""
    gap = check_gap(pdf)
    (signer,) = cms.ContentInfo.load(gap.cms)["content"]["signer_infos"]
    unsigned = {a["type"].dotted: a["values"][0].dump() for a in signer["unsigned_attrs"]}
    found = [choice.chosen.dump() for choice in cms.ContentInfo.load(gap.cms)["content"]["certificates"]]
    certs = own_certs or found
    by_subject = {read_x509_cert(cert).serial: cert for cert in certs}
    serial = signer["sid"].chosen["serial_number"].native
    frame = encode_seal_cms(
        suite="SM2-SM3",
        x509_certs=certs,
        sealing_cert=by_subject.get(serial, certs[0]),
        signed_attrs=b"\x31" + signer["signed_attrs"].dump()[1:],
        signature=parts.get("signature", signer["signature"].native),
        unsigned_attrs=[
            encode_attribute(
                SIGNATURE_TIME_STAMP_OID, parts.get("token", unsigned[SIGNATURE_TIME_STAMP_OID])
            ),
            encode_attribute(asn1.RECEIPT_OID, parts.get("receipt", unsigned[asn1.RECEIPT_OID])),
        ],
    )
    room = len(gap_of(pdf)) - 2
    return with_gap(pdf, b"<" + frame.hex().upper().encode().ljust(room, b"0") + b">")


def unsigned_of(pdf: bytes, oid: str) -> bytes:
    (signer,) = cms.ContentInfo.load(check_gap(pdf).cms)["content"]["signer_infos"]
    return bytes(next(a["values"][0].dump() for a in signer["unsigned_attrs"] if a["type"].dotted == oid))


def test_the_rewriting_of_these_tests_changes_nothing_by_itself(given: Given) -> None:
    assert rewritten(given.pdf) == given.pdf


def test_a_time_stamp_from_another_licence_is_refused(given: Given) -> None:
    token = unsigned_of(given.other, SIGNATURE_TIME_STAMP_OID)
    assert given.blame(rewritten(given.pdf, token=token)) == ("seal.signature", "TIME_STAMP_BAD")


def test_a_receipt_from_another_licence_is_refused(given: Given) -> None:
    receipt = unsigned_of(given.other, asn1.RECEIPT_OID)
    assert given.blame(rewritten(given.pdf, receipt=receipt)) == ("ledger.receipt", "LEDGER_MISMATCH")


def test_a_signature_from_another_licence_is_refused(given: Given) -> None:
    (signer,) = cms.ContentInfo.load(check_gap(given.other).cms)["content"]["signer_infos"]
    made = rewritten(given.pdf, signature=signer["signature"].native)
    assert given.blame(made) == ("seal.signature", "SIG_CRYPTO_FAILURE")


def test_the_whole_cms_of_another_licence_is_refused(given: Given) -> None:
    assert given.blame(with_gap(given.pdf, gap_of(given.other))) == ("seal.signature", "HASH_FAILURE")


def test_a_licence_that_was_sealed_and_never_recorded_is_not_in_the_ledger(given: Given) -> None:
    _, _, sealed = given.world.issue_and_keep_sealed(99)
    assert given.blame(sealed) == ("ledger.receipt", "NOT_IN_LEDGER")


class Impostor:
    """A CA, a seal and a time-stamp authority of an attacker's own, with the very names of ours."""

    def __init__(self, given: Given, folder: Path) -> None:
        site = given.world.site
        keys = FileKeyProvider(folder, lambda: b"evil", kdf_rounds=10)

        def key(purpose: KeyPurpose) -> SigningKey:
            record = keys.generate(purpose, Suite.SM2_SM3, label="", at=START)
            return keys.open(record.key_id, purpose)

        def named_as(der: bytes) -> Subject:
            from asn1crypto import x509

            name = x509.Certificate.load(der).subject.native
            return Subject(name["common_name"], name["organization_name"])

        real = site.issuer.seals.using.open(site.issuer.seals.registry.get("chuncheng-market-sm2"))
        real_tsa = site.issuer.pki.time_stamp_authority(Suite.SM2_SM3)
        root = bytes(site.issuer.pki.ca("seal-root-SM2-SM3").cert)
        term: dict[str, Any] = {
            "not_before": START - timedelta(days=9),
            "not_after": START + timedelta(days=900),
            "crl_address": None,
        }
        root_key, ca_key = key(KeyPurpose.ROOT_CA), key(KeyPurpose.ISSUING_CA)
        seal_key, tsa_key = key(KeyPurpose.SEAL), key(KeyPurpose.TIME_STAMP)

        def cert(profile: Profile, like: bytes, of: SigningKey, by: SigningKey, under: bytes | None) -> bytes:
            return make_x509_cert(profile, named_as(like), of.record.public_key, by, under, **term)

        self.root = cert(Profile.ROOT, root, root_key, root_key, None)
        ca = cert(Profile.ISSUING, real.certs[1], ca_key, root_key, self.root)
        leaf = cert(Profile.SEAL, real.certs[0], seal_key, ca_key, ca)
        stamp = cert(Profile.TIME_STAMP, real_tsa.certs[0], tsa_key, root_key, self.root)
        assert read_x509_cert(leaf).subject == read_x509_cert(real.certs[0]).subject
        self.seal = SealInUse(seal_key, (leaf, ca), real.picture_pdf, real.seal_data)
        self.tsa = TimeStampAuthority(tsa_key, (stamp,), given.world.clock)


@pytest.fixture(scope="module")
def impostor(given: Given, tmp_path_factory: pytest.TempPathFactory) -> Impostor:
    return Impostor(given, tmp_path_factory.mktemp("impostor"))


def forged(given: Given, seal: SealInUse, tsa: TimeStamper, where: SealPlace | None = None) -> bytes:
    """A page with the same data, sealed anew, with the receipt of the real licence."""
    import pypdfium2

    blank = pypdfium2.PdfDocument.new()
    blank.new_page(595, 842)
    out = io.BytesIO()
    blank.save(out)
    sealed = seal_department_pdf(
        out.getvalue(), given.issued.data, seal=seal, tsa=tsa, place=where or place(), reason="x", at=START
    )
    receipt = unsigned_of(given.pdf, asn1.RECEIPT_OID)
    return splice_receipt(sealed, take_apart(sealed), receipt, suite="SM2-SM3", sealing_cert=seal.certs[0])


def test_a_seal_under_a_ca_of_the_same_name_is_of_an_unknown_issuer(given: Given, impostor: Impostor) -> None:
    assert given.blame(forged(given, impostor.seal, impostor.tsa)) == ("seal.issuer", "UNKNOWN_ISSUER")


def test_a_time_stamp_of_an_authority_of_the_same_name_is_not_believed(
    given: Given, impostor: Impostor
) -> None:
    site = given.world.site
    real = site.issuer.seals.using.open(site.issuer.seals.registry.get("chuncheng-market-sm2"))
    assert given.blame(forged(given, real, impostor.tsa)) == ("seal.signature", "UNKNOWN_TIME_STAMP")


def test_the_real_seal_on_another_page_has_no_receipt_of_its_own(given: Given) -> None:
    site = given.world.site
    real = site.issuer.seals.using.open(site.issuer.seals.registry.get("chuncheng-market-sm2"))
    tsa = site.issuer.pki.time_stamp_authority(Suite.SM2_SM3)
    assert given.blame(forged(given, real, tsa)) == ("ledger.receipt", "LEDGER_MISMATCH")


def test_the_page_must_show_the_picture_that_the_seal_data_holds(given: Given) -> None:
    """The key is the right one and everything is signed, but the page shows another body's seal."""
    site = given.world.site
    real = site.issuer.seals.using.open(site.issuer.seals.registry.get("chuncheng-market-sm2"))
    tsa = site.issuer.pki.time_stamp_authority(Suite.SM2_SM3)
    other = replace(real, picture_pdf=seal_pdf(round_seal("春城市交通运输局", "行政许可专用章")))
    with_other = forged(given, other, tsa)
    assert given.blame(with_other) == ("seal.picture", "SEAL_PICTURE_DIFFERS")
    report = given.world.verify(with_other)
    assert (report.verdict, report.code) == (Verdict.FAILED, "WRONG_PICTURE")
    at_45 = forged(given, real, tsa, place(45.0))
    assert given.blame(at_45) == ("seal.picture", "SEAL_PICTURE_DIFFERS")


def test_no_other_finding_says_more_than_one_that_was_drawn_apart(given: Given) -> None:
    """A genuine licence whose picture is refused by whoever draws: what came after it is forgotten."""
    assert given.examine_apart(given.pdf).findings == given.examine(given.pdf).findings

    def answer(code: str, kind: type[TrustError]) -> Examination:
        def refuse(_: SealOnPage) -> None:
            raise kind("refused", code=code)

        blobs = [given.pdf, given.evidence.trust_list_payload, *given.evidence.crls]
        arguments = {"verified_at": START.isoformat(), "anchors": 0}
        return decode_examination(examine_pdf_job(arguments, blobs), refuse)

    for code, kind, result in (
        ("SEAL_PICTURE_DIFFERS", VerificationError, Result.FAILED),
        ("LIMIT_EXCEEDED", EvidenceUnavailableError, Result.INDETERMINATE),
    ):
        found = answer(code, kind)
        assert found.data is None
        assert "ledger" not in found.facts
        last = found.findings[-1]
        assert (last.check, last.result, last.code) == ("seal.picture", result, code)
        assert all(each.result is Result.PASSED for each in found.findings[:-1])


def test_who_judges_files_has_no_decoder_of_pictures_loaded() -> None:
    """Every module that such a worker of the running service loads, with what the module loads ahead."""
    places = {place for place in SERVICE_READING_JOBS.values() if not isinstance(place, Apart)}
    assert len(places) == 3
    code = (
        "import importlib, sys\n"
        f"for name in {sorted(place.split(':')[0] for place in places)}:\n"
        "    getattr(importlib.import_module(name), 'prepare', lambda: None)()\n"
        "print([name for name in ('PIL', 'pypdfium2', 'zxingcpp') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("of another seal", "SES_SIGNER_NOT_LISTED"),
        ("another name", "SES_OTHER_SEAL"),
        ("another id", "SES_OTHER_SEAL"),
        ("made by itself", "NO_CERTIFICATE_CHAIN_FOUND"),
        ("made by another under the root", "UNKNOWN_ISSUER"),
        ("made by an impostor", "NO_CERTIFICATE_CHAIN_FOUND"),
        ("one byte changed", "SIG_CRYPTO_FAILURE"),
        ("out of its term", "SES_TERM"),
        ("nothing", "MALFORMED"),
    ],
)
def test_seal_data_that_is_not_the_seals_own_is_refused(
    given: Given, impostor: Impostor, change: str, code: str
) -> None:
    """Everything about the signature is right; only the seal data inside it is spoilt."""
    site = given.world.site
    found = site.issuer.seals.registry.get("chuncheng-market-sm2")
    real = site.issuer.seals.using.open(found)
    maker_key, maker_cert = site.issuer.pki.seal_maker(Suite.SM2_SM3)
    made: dict[str, Any] = {
        "seal_id": found.seal_id,
        "seal_type": SealType.BUSINESS,
        "name": found.name,
        "seal_cert": real.certs[0],
        "picture": decode_seal(real.seal_data).info.picture,
        "made_at": START,
        "valid_from": found.not_before,
        "valid_until": found.not_after,
        "maker_key": maker_key,
        "maker_cert": maker_cert,
    }
    match change:
        case "of another seal":
            other = site.issuer.seals.registry.get("yunling-transport-sm2")
            seal_data = site.issuer.seals.using.open(other).seal_data
        case "another name":
            seal_data = make_seal_data(**(made | {"name": "春城市交通运输局"}))
        case "another id":
            seal_data = make_seal_data(**(made | {"seal_id": "chuncheng-market-new"}))
        case "made by itself":
            seal_data = make_seal_data(**(made | {"maker_key": real.key, "maker_cert": real.certs[0]}))
        case "made by another under the root":
            pki = site.issuer.pki
            root_key = pki.keys.open(pki.ca("seal-root-SM2-SM3").key_id, KeyPurpose.ROOT_CA)
            cert = make_x509_cert(
                Profile.SEAL_MAKER,
                Subject("SM2 电子印章制章者", "印证"),
                impostor.seal.key.record.public_key,
                root_key,
                bytes(pki.ca("seal-root-SM2-SM3").cert),
                not_before=START - timedelta(days=1),
                not_after=START + timedelta(days=900),
                crl_address=None,
            )
            seal_data = make_seal_data(**(made | {"maker_key": impostor.seal.key, "maker_cert": cert}))
        case "made by an impostor":
            seal_data = make_seal_data(
                **(made | {"maker_key": impostor.seal.key, "maker_cert": impostor.seal.certs[0]})
            )
        case "one byte changed":
            seal_data = real.seal_data.replace(b"PNG\r", b"PNG\n", 1)
        case "out of its term":
            seal_data = make_seal_data(
                **(made | {"valid_from": START + timedelta(days=1), "valid_until": START + timedelta(days=2)})
            )
        case _:
            seal_data = b"\x30\x00"
    tsa = site.issuer.pki.time_stamp_authority(Suite.SM2_SM3)
    spoilt = forged(given, replace(real, seal_data=seal_data), tsa)
    assert given.blame(spoilt) == ("seal.data", code)


def test_the_seal_data_on_a_licence_passes_the_standards_own_checks(given: Given) -> None:
    """Read back out of the file, judged as a foreign system would: by the structure and the chains alone."""
    signed = cms.ContentInfo.load(check_gap(given.pdf).cms)["content"]["signer_infos"][0]["signed_attrs"]
    (value,) = (a["values"][0].dump() for a in signed if a["type"].dotted == SEAL_DATA_OID)
    root = bytes(given.world.site.issuer.pki.ca("seal-root-SM2-SM3").cert)
    trust = ChainTrust((root,), (), tuple(der for _, der, _ in given.world.site.issuer.pki.crls(START)))
    judged = judge_seal(value, SealDataTrust(trust, trust, trust), at=START)
    assert [finding.result for finding in judged.findings] == [Result.PASSED] * 4
    assert judged.seal is not None
    assert judged.seal.info.picture.kind == "PNG"
    assert (judged.seal.info.picture.width_mm, judged.seal.info.picture.height_mm) == (42, 42)
    png = Image.open(io.BytesIO(judged.seal.info.picture.data))
    assert png.size == (497, 497)
    assert len(value) < 14_000
    assert seal_data_png(round_seal("春城市市场监督管理局")) != judged.seal.info.picture.data


@pytest.mark.parametrize("how", ["swapped", "added", "leaf only"])
def test_certificates_of_an_impostor_in_a_real_seal_are_refused(
    given: Given, impostor: Impostor, how: str
) -> None:
    signed_data = cms.ContentInfo.load(check_gap(given.pdf).cms)["content"]
    real = [choice.chosen.dump() for choice in signed_data["certificates"]]
    certs = {"swapped": list(impostor.seal.certs), "added": [*real, impostor.root], "leaf only": real[:1]}[
        how
    ]
    check, code = given.blame(rewritten(given.pdf, own_certs=certs))
    assert (check, code) in (("seal.issuer", "UNKNOWN_ISSUER"), ("seal.signature", "SIG_CONSTRAINTS_FAILURE"))
    assert code == ("UNKNOWN_ISSUER" if how == "swapped" else code)


def test_what_the_gate_refuses_is_refused_by_the_service_too(given: Given) -> None:
    """One walk through the whole verifier, sandbox included: red, and without the data."""
    reports: list[Report] = [
        given.world.verify(updated(given.pdf, _annotation)),
        given.world.verify_offline(given.pdf + b"\n", given.world.bundle()),
    ]
    for report in reports:
        assert report.verdict is Verdict.FAILED
        assert report.shown == ()
    assert decode_ecertificate_data(given.issued.data).issuer == MARKET.authority_id
