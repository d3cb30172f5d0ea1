"""(b) sealing, (c) issuing from record to issued file, (d) verifying; one process, one thread each."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from asn1crypto import crl, x509
from asn1crypto import pem as asn1_pem
from cryptography.hazmat.primitives import serialization
from PIL import Image, ImageDraw
from pyhanko.pdf_utils.images import PdfImage
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import signers
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

from bench.measuring import Measured, rate
from bench.service import SUITES, Made, seal_id
from issuer.sealing.pdf import SealPlace, seal_pdf
from keys.pki.validator import Sm2AwareValidator
from keys.suites import Suite
from trust.model.report import Result, Verdict
from trust.sandbox.lanes import Lane
from verifier.checks.examine import examine_pdf
from verifier.checks.pdf import quiet_library


def run(made: Made, folder: Path) -> Iterator[Measured]:
    quiet_library()
    page = made.page()
    yield from _sealing(made, page.pdf, page.seal, folder)
    yield from _issuing(made)
    yield from _verifying(made)


# (b) -------------------------------------------------------------------------------------------------------


def _sealing(made: Made, pdf: bytes, where: Any, folder: Path) -> Iterator[Measured]:
    site = made.site
    place = SealPlace(where.page, where.x1, where.y1, where.x2, where.y2)
    box = tuple(round(n) for n in (where.x1, where.y1, where.x2, where.y2))
    rsa = site.issuer.seals.using.open(site.issuer.seals.registry.get(seal_id(Suite.RSA3072_SHA256)))
    image = _picture()
    key_file, cert_file = folder / "key.pem", folder / "cert.pem"
    assert rsa.key.pyca is not None  # its key is in a file
    plain = rsa.key.pyca.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key_file.write_bytes(plain)
    cert_file.write_bytes(asn1_pem.armor("CERTIFICATE", rsa.certs[0]))
    chain_file = folder / "chain.pem"
    chain_file.write_bytes(asn1_pem.armor("CERTIFICATE", rsa.certs[1]))

    def pyhanko(signer: Any, stamp: Any, **settings: Any) -> bytes:
        meta = signers.PdfSignatureMetadata(
            field_name="Seal1", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES, certify=True,
            docmdp_permissions=MDPPerm.NO_CHANGES,
        )  # fmt: skip
        field = SigFieldSpec("Seal1", on_page=where.page, box=box)
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
        with_stamp = signers.PdfSigner(meta, signer, stamp_style=stamp, new_field_spec=field)
        return bytes(with_stamp.sign_pdf(writer, **settings).getvalue())

    def stock() -> bytes:
        """As its manual shows: the key and the picture from their files for every document."""
        signer = signers.SimpleSigner.load(str(key_file), str(cert_file), ca_chain_files=[str(chain_file)])
        return pyhanko(signer, StaticStampStyle(background=PdfImage(image), border_width=0))

    tuned_signer = _Loaded(rsa)

    def tuned() -> bytes:
        stamp = StaticStampStyle(background=PdfImage(image), border_width=0)
        return pyhanko(tuned_signer, stamp, bytes_reserved=16384)

    per_second, count = rate(stock)
    yield Measured("seal", "stock pyHanko, RSA-3072, image, no time-stamp", per_second, count)
    per_second, count = rate(tuned)
    yield Measured("seal", "tuned pyHanko, RSA-3072, image, no time-stamp", per_second, count)
    for suite in SUITES:
        seal = site.issuer.seals.using.open(site.issuer.seals.registry.get(seal_id(suite)))
        tsa = site.issuer.pki.time_stamp_authority(suite)
        at = datetime.now(UTC)

        def ours(seal: Any = seal, tsa: Any = tsa, at: Any = at) -> bytes:
            return seal_pdf(pdf, seal=seal, tsa=tsa, place=place, reason="电子印章", at=at)

        per_second, count = rate(ours)
        yield Measured(
            "seal", f"ours, {suite}, vector, time-stamp", per_second, count,
            of="tuned pyHanko, RSA-3072, image, no time-stamp",
        )  # fmt: skip
    key_file.unlink()


class _Loaded(signers.Signer):
    """pyHanko at its best without our frame: the key is loaded once."""

    def __init__(self, seal: Any) -> None:
        self._key = seal.key
        store = SimpleCertificateStore()
        certs = [x509.Certificate.load(der) for der in seal.certs]
        store.register_multiple(certs[1:])
        super().__init__(signing_cert=certs[0], cert_registry=store)

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        return bytes(384) if dry_run else self._key.sign(data)


def _picture() -> Image.Image:
    """A round seal as others have it: 360 × 360 pixels with transparency."""
    image = Image.new("RGBA", (360, 360), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((6, 6, 354, 354), outline=(200, 0, 0, 230), width=10)
    for at in range(60, 300, 12):
        draw.line((at, 90, 360 - at, 270), fill=(200, 0, 0, at // 2), width=3)
    return image


# (c) -------------------------------------------------------------------------------------------------------


def _issuing(made: Made) -> Iterator[Measured]:
    for suite in SUITES:
        per_second, count = rate(partial(made.issue, suite, 32), seconds=3, at_least=2, each=32)
        yield Measured("issue", f"{suite}, batches of 32", per_second, count)
    per_second, count = rate(lambda: made.issue(Suite.SM2_SM3), seconds=2)
    yield Measured("issue", "SM2-SM3, one at a time", per_second, count)


# (d) -------------------------------------------------------------------------------------------------------


def _verifying(made: Made) -> Iterator[Measured]:
    site = made.site
    for suite in SUITES:
        (pdf,) = made.issue(suite)
        at = datetime.now(UTC)
        evidence = site.verifier.checking.online.gather(at)
        assert evidence.trust_list is not None
        seal = next(s for s in evidence.trust_list.seals if s.seal_id == seal_id(suite))
        gm = suite is Suite.SM2_SM3
        tsa = next(t for t in evidence.trust_list.tsas if (t.suite == "SM2-SM3") is gm)

        def plain(
            pdf: bytes = pdf, seal: Any = seal, tsa: Any = tsa, evidence: Any = evidence, at: Any = at
        ) -> None:
            (embedded,) = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
            ours, stamps = (
                ValidationContext(
                    trust_roots=[x509.Certificate.load(root)],
                    crls=[crl.CertificateList.load(der) for der in evidence.crls],
                    allow_fetching=False, revocation_mode="require", retroactive_revinfo=True, moment=at,
                    signature_validator=Sm2AwareValidator(),
                )
                for root in (seal.root, tsa.root)
            )  # fmt: skip
            status = asyncio.run(async_validate_pdf_signature(embedded, ours, stamps))
            assert status.bottom_line

        def examine(pdf: bytes = pdf, evidence: Any = evidence, at: Any = at) -> None:
            found = examine_pdf(
                pdf, trust_list=evidence.trust_list, anchors=(), crls=evidence.crls, verified_at=at
            )
            assert all(f.result is Result.PASSED for f in found.findings)

        def whole(pdf: bytes = pdf, evidence: Any = evidence, at: Any = at) -> None:
            assert (
                site.verifier.checking.verifiers[Lane.MACHINE].verify_bytes(pdf, evidence, at).verdict
                is Verdict.PASSED
            )

        name = f"plain pyHanko, {suite}"
        per_second, count = rate(plain)
        yield Measured("verify", name, per_second, count)
        per_second, count = rate(examine)
        yield Measured("verify", f"ours in the process, {suite}", per_second, count, of=name)
        per_second, count = rate(whole)
        yield Measured("verify", f"ours in the sandbox, {suite}", per_second, count, of=name)
