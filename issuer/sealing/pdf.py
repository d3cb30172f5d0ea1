"""The issuer's door to pyHanko: everything that is done to a PDF to seal it.

`seal_pdf` places the seal picture and signs: ETSI.CAdES.detached, certified with no changes allowed
(DocMDP P=1), with a signature time-stamp (PAdES B-T). pyHanko lays out the file; the CMS inside is written
by `trust.encoding.cms`, so the verifier can rebuild it byte for byte. Nothing here knows of the ledger.

65,536 hex digits are reserved for /Contents: 32 KiB of CMS, room for certificates, time-stamp and receipt.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import algos, cms, x509
from pyhanko.pdf_utils import embed, generic, layout
from pyhanko.pdf_utils.content import PdfContent
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import signers
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator.registry import SimpleCertificateStore

from keys import asn1
from keys.custody import SigningKey
from keys.tsa import TimeStampAuthority
from trust.encoding.cms import SIGNATURE_TIME_STAMP_OID, encode_attribute, encode_seal_cms
from trust.encoding.der import set_of
from trust.encoding.digests import digest
from trust.model.errors import Malformed
from trust.pdf.reading import PdfRefused, open_pdf, take_inventory

CONTENTS_HEX_DIGITS = 65_536
FIELD_NAME = "Seal1"
ATTACHMENT_NAME = "ecertificate.json"
_SIGNATURE_MECHANISM = {"SM2-SM3": "sm3_sm2", "RSA3072-SHA256": "sha256_rsa", "P256-SHA256": "sha256_ecdsa"}


@dataclass(frozen=True, slots=True)
class SealPlace:
    """Where the seal goes: page (0-based; -1 is the last) and rectangle in PDF points, origin bottom left."""

    page: int
    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True, slots=True)
class SealInUse:
    """An e-seal ready to be used: key, certificates (DER; the sealing one first, no root), picture (PDF),
    national seal data (SESeal, DER)."""

    key: SigningKey
    certs: Sequence[bytes]
    picture_pdf: bytes
    seal_data: bytes

    @property
    def suite(self) -> str:
        return self.key.record.suite.value


def seal_pdf(
    pdf: bytes, *, seal: SealInUse, tsa: TimeStampAuthority, place: SealPlace, reason: str, at: datetime
) -> bytes:
    """The sealed PDF. The key signs exactly once. Raises `Malformed` where pyHanko refuses the file."""
    try:
        return _sign(IncrementalPdfFileWriter(io.BytesIO(pdf)), seal, tsa, place, reason, at)
    except (PdfError, SigningError) as exc:
        raise Malformed(
            "The PDF cannot be sealed.", "Save it anew from its source.", code="BROKEN_PDF"
        ) from exc


def seal_department_pdf(
    pdf: bytes,
    attachment: bytes,
    *,
    seal: SealInUse,
    tsa: TimeStampAuthority,
    place: SealPlace,
    reason: str,
    at: datetime,
) -> bytes:
    """The same for a PDF that a department made: the data is attached and the seal set in one revision."""
    try:
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
        stream = embed.EmbeddedFileObject.from_file_data(
            writer,
            attachment,
            mime_type="application/json",
            params=embed.EmbeddedFileParams(embed_size=True, embed_checksum=False),
        )
        embed.embed_file(
            writer,
            embed.FileSpec(
                ATTACHMENT_NAME,
                embedded_data=stream,
                description="e-certificate data",
                af_relationship=generic.pdf_name("/Data"),
            ),
        )
        return _sign(writer, seal, tsa, place, reason, at)
    except (PdfError, SigningError, NotImplementedError) as exc:
        raise Malformed(
            "The PDF cannot be sealed.", "Save it anew from its source.", code="BROKEN_PDF"
        ) from exc


def check_stampable(pdf: bytes) -> int:
    """The number of pages of a department's PDF that may be stamped.

    Raises `PdfRefused`: not a PDF, broken, encrypted, too large, ACTIVE_CONTENT, ALREADY_SIGNED,
    HAS_ATTACHMENTS, HAS_FORM.
    """
    reader = open_pdf(pdf)
    inventory = take_inventory(reader)
    if inventory.signature_dictionaries or inventory.signature_fields:
        raise PdfRefused(
            "The PDF already has a signature or a field for one.",
            "Give the PDF as it was before it was signed.",
            code="ALREADY_SIGNED",
        )
    if inventory.active_names:
        raise PdfRefused(
            f"The PDF has active content ({', '.join(sorted(inventory.active_names))}).",
            "Print it to a plain PDF first.",
            code="ACTIVE_CONTENT",
        )
    root = reader.root
    if "/AcroForm" in root:
        raise PdfRefused("The PDF has form fields.", "Flatten the form first.", code="HAS_FORM")
    if "/AF" in root or ("/Names" in root and "/EmbeddedFiles" in root["/Names"]):
        raise PdfRefused("The PDF has attachments.", "Remove them first.", code="HAS_ATTACHMENTS")
    return inventory.pages


def _sign(
    writer: IncrementalPdfFileWriter,
    seal: SealInUse,
    tsa: TimeStampAuthority,
    place: SealPlace,
    reason: str,
    at: datetime,
) -> bytes:
    asn1.register()
    metadata = _metadata(seal, reason, at)
    signer = signers.PdfSigner(
        metadata,
        _FrameSigner(seal, tsa),
        stamp_style=StaticStampStyle(
            background=_PictureOfSeal(seal.picture_pdf),
            background_layout=layout.SimpleBoxLayoutRule(
                x_align=layout.AxisAlignment.ALIGN_MID,
                y_align=layout.AxisAlignment.ALIGN_MID,
                margins=layout.Margins(0, 0, 0, 0),
            ),
            background_opacity=1.0,
            border_width=0,
        ),
        new_field_spec=SigFieldSpec(
            FIELD_NAME,
            on_page=place.page,
            box=(round(place.left), round(place.bottom), round(place.right), round(place.top)),
        ),
    )
    # Reserving room up front also spares pyHanko's dry run: the key signs once.
    out: Any = signer.sign_pdf(writer, bytes_reserved=CONTENTS_HEX_DIGITS)
    return bytes(out.getvalue())


def _metadata(seal: SealInUse, reason: str, at: datetime) -> signers.PdfSignatureMetadata:
    return signers.PdfSignatureMetadata(
        field_name=FIELD_NAME,
        md_algorithm=seal.key.record.suite.digest,
        subfilter=SigSeedSubFilter.PADES,
        reason=reason,
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
    )


class _FrameSigner(Signer):
    """A pyHanko signer that leaves the key with its custodian and writes the CMS frame itself."""

    def __init__(self, seal: SealInUse, tsa: TimeStampAuthority) -> None:
        self._seal = seal
        self._tsa = tsa
        store = SimpleCertificateStore()  # type: ignore[no-untyped-call]  # the library's own
        loaded = [x509.Certificate.load(der) for der in seal.certs]
        store.register_multiple(loaded[1:])
        super().__init__(
            signing_cert=loaded[0],
            cert_registry=store,
            signature_mechanism=algos.SignedDigestAlgorithm({"algorithm": _SIGNATURE_MECHANISM[seal.suite]}),
        )

    async def async_sign_raw(self, data: bytes, digest_algorithm: str, dry_run: bool = False) -> bytes:
        if dry_run:
            return bytes(512)
        if digest_algorithm != self._seal.key.record.suite.digest:
            raise SigningError(f"{self._seal.suite} does not sign {digest_algorithm} digests")
        return self._seal.key.sign(data)

    async def async_sign_prescribed_attributes(
        self,
        digest_algorithm: str,
        signed_attrs: cms.CMSAttributes,
        cms_version: Any = "v1",
        dry_run: bool = False,
        timestamper: Any = None,
        encap_content_info: Any = None,
    ) -> cms.ContentInfo:
        seal_data = encode_attribute(asn1.SEAL_DATA_OID, self._seal.seal_data)
        encoded = set_of([*(attribute.dump() for attribute in signed_attrs), seal_data])
        signature = await self.async_sign_raw(encoded, digest_algorithm, dry_run)
        imprint = digest(digest_algorithm, signature)
        token = self._tsa.stamp(imprint, digest_algorithm)
        frame = encode_seal_cms(
            suite=self._seal.suite,
            x509_certs=self._seal.certs,
            sealing_cert=self._seal.certs[0],
            signed_attrs=encoded,
            signature=signature,
            unsigned_attrs=[encode_attribute(SIGNATURE_TIME_STAMP_OID, token)],
        )
        return cms.ContentInfo.load(frame)


class _PictureOfSeal(PdfContent):
    """The seal's own one-page PDF, drawn as a vector picture."""

    def __init__(self, picture_pdf: bytes) -> None:
        self._picture_pdf = picture_pdf
        super().__init__()

    def render(self) -> bytes:
        writer: Any = self._ensure_writer
        xobject = writer.import_page_as_xobject(PdfFileReader(io.BytesIO(self._picture_pdf)), page_ix=0)
        self.resources.xobject[generic.pdf_name("/SealPicture")] = xobject
        left, bottom, right, top = xobject.get_object()["/BBox"]
        self.box = layout.BoxConstraints(width=abs(right - left), height=abs(top - bottom))
        return b"/SealPicture Do"
