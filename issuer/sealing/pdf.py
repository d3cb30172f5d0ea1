"""The issuer's door to pyHanko: everything that is done to a PDF to seal it.

`seal_pdf` places the seal picture and signs: ETSI.CAdES.detached, certified with no changes allowed
(DocMDP P=1), with a signature time-stamp (PAdES B-T). Pages of ours are written by `issuer.sealing.prepared`;
every other file is laid out by pyHanko here. The CMS inside is written by `trust.encoding.cms` either way, so
the verifier can rebuild it byte for byte. Nothing here knows of the ledger.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from asn1crypto import algos, cms, x509
from pyhanko.pdf_utils import embed, generic, layout
from pyhanko.pdf_utils.content import PdfContent
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import signers
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter, append_signature_field
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers.pdf_cms import Signer
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator.registry import SimpleCertificateStore

from issuer.sealing.keeping_standards import Kept, add_to_structure, what_to_keep
from issuer.sealing.prepared import seal_prepared
from issuer.sealing.use import CONTENTS_HEX_DIGITS, FIELD_IN_WORDS, FIELD_NAME, SealInUse, SealPlace
from keys import asn1
from keys.tsa import TimeStamper
from trust.encoding.cms import (
    SIGNATURE_TIME_STAMP_OID,
    encode_attribute,
    encode_constant_seal_attributes,
    encode_seal_cms,
    encode_signed_attributes,
)
from trust.encoding.digests import digest
from trust.model.errors import Malformed
from trust.pdf.anew import write_anew
from trust.pdf.data_file import ATTACHMENT_NAME, PIECE
from trust.pdf.further import FurtherField
from trust.pdf.geometry import PageAsShown
from trust.pdf.reading import (
    PdfRefused,
    cut_to_shape,
    has_attachments,
    has_form,
    open_as_viewers_do,
    open_pdf,
    take_inventory,
)

_NOTHING_SAID = Kept()
_SIGNATURE_MECHANISM = {"SM2-SM3": "sm3_sm2", "RSA3072-SHA256": "sha256_rsa", "P256-SHA256": "sha256_ecdsa"}


class SealsPages(Protocol):
    """How a page of ours is sealed: `seal_pdf`, or one of its two ways alone."""

    def __call__(
        self,
        pdf: bytes,
        *,
        seal: SealInUse,
        tsa: TimeStamper,
        place: SealPlace,
        reason: str,
        at: datetime,
        further: Sequence[FurtherField] = (),
    ) -> bytes: ...


def seal_pdf(
    pdf: bytes,
    *,
    seal: SealInUse,
    tsa: TimeStamper,
    place: SealPlace,
    reason: str,
    at: datetime,
    further: Sequence[FurtherField] = (),
) -> bytes:
    """The sealed PDF. The key signs exactly once. Raises `Malformed` where pyHanko refuses the file.

    A page of ours takes the prepared way; every other file the plain one. Both give the same seal.
    """
    sealed = seal_prepared(pdf, seal=seal, tsa=tsa, place=place, reason=reason, at=at, further=further)
    if sealed is None:
        sealed = seal_plain(pdf, seal=seal, tsa=tsa, place=place, reason=reason, at=at, further=further)
    return sealed


def seal_plain(
    pdf: bytes,
    *,
    seal: SealInUse,
    tsa: TimeStamper,
    place: SealPlace,
    reason: str,
    at: datetime,
    further: Sequence[FurtherField] = (),
) -> bytes:
    """The same for any PDF that pyHanko can read. Raises `Malformed` where it refuses the file."""
    try:
        return _sign(_writer(pdf), seal, tsa, place, reason, at, further)
    except (PdfError, SigningError) as exc:
        raise Malformed(
            "The PDF cannot be sealed.", "Save it anew from its source.", code="BROKEN_PDF"
        ) from exc


def seal_department_pdf(
    pdf: bytes,
    attachment: bytes,
    *,
    seal: SealInUse,
    tsa: TimeStamper,
    place: SealPlace,
    reason: str,
    at: datetime,
    further: Sequence[FurtherField] = (),
) -> bytes:
    """The same for a PDF that a department made: the data goes in and the seal is set, in one revision.

    What says that it is PDF/A or PDF/UA stays so, unless `lost_by_sealing` said otherwise.
    """
    try:
        writer = _writer(pdf)
        _forget_empty_parts(writer)
        kept = what_to_keep(writer.root)
        if kept.standards.allows_attachments:
            _attach(writer, attachment)
        else:
            _keep_as_private_data(writer, attachment, at)
        return _sign(writer, seal, tsa, place, reason, at, further, kept)
    except (PdfError, SigningError, NotImplementedError) as exc:
        raise Malformed(
            "The PDF cannot be sealed.", "Save it anew from its source.", code="BROKEN_PDF"
        ) from exc


def _writer(pdf: bytes) -> IncrementalPdfFileWriter:
    """An update begins on a line of its own (ISO 19005-1 §6.1.8)."""
    return IncrementalPdfFileWriter(io.BytesIO(pdf if pdf.endswith((b"\n", b"\r")) else pdf + b"\n"))


def _attach(writer: IncrementalPdfFileWriter, data: bytes) -> None:
    stream = embed.EmbeddedFileObject.from_file_data(
        writer,
        data,
        mime_type="application/json",
        params=embed.EmbeddedFileParams(embed_size=True, embed_checksum=False),
    )
    embed.embed_file(
        writer,
        embed.FileSpec(
            ATTACHMENT_NAME,
            file_name=ATTACHMENT_NAME,
            embedded_data=stream,
            description="e-certificate data",
            af_relationship=generic.pdf_name("/Data"),
        ),
    )


def _keep_as_private_data(writer: IncrementalPdfFileWriter, data: bytes, at: datetime) -> None:
    library: Any = generic  # whose constructors are not typed
    untyped: Any = writer
    stream = library.StreamObject(stream_data=data)
    stream.compress()
    piece = library.DictionaryObject(
        {
            "/LastModified": library.pdf_date(at),
            "/Private": writer.add_object(stream),
        }
    )
    root = untyped.root
    pieces = root["/PieceInfo"] if "/PieceInfo" in root else library.DictionaryObject()
    pieces[PIECE] = piece
    if "/PieceInfo" in root:
        untyped.update_container(pieces)
    else:
        root["/PieceInfo"] = pieces
    untyped.update_root()


@dataclass(frozen=True, slots=True)
class Stampable:
    """A department's PDF that may be stamped: how many pages it has, and its bytes as they are sealed.

    They are the given ones, but for what stood before the header and after the end; of a file that can be read in more
    than one way they are what viewers see, written anew.
    """

    pages: int
    pdf: bytes


def prepare_stampable(pdf: bytes) -> Stampable:
    """Raises `PdfRefused`: not a PDF, broken, encrypted, too large, ACTIVE_CONTENT, ALREADY_SIGNED,
    HAS_ATTACHMENTS, HAS_FORM.
    """
    opened = open_as_viewers_do(pdf)
    _check_content(opened.reader)
    if not opened.loose:
        as_it_is = cut_to_shape(pdf)
        try:
            return Stampable(_check_content(open_pdf(as_it_is)), as_it_is)
        except PdfRefused as exc:
            if exc.code != "BROKEN_PDF":
                raise
    plain = write_anew(opened.reader, opened.data)
    return Stampable(_check_content(open_pdf(plain)), plain)


def check_stampable(pdf: bytes) -> int:
    """The number of pages of a department's PDF that may be stamped. Raises `PdfRefused` as `prepare_stampable`."""
    return prepare_stampable(pdf).pages


def _check_content(reader: PdfFileReader) -> int:
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
    if has_form(reader):
        raise PdfRefused("The PDF has form fields.", "Flatten the form first.", code="HAS_FORM")
    if has_attachments(reader):
        raise PdfRefused("The PDF has attachments.", "Remove them first.", code="HAS_ATTACHMENTS")
    return inventory.pages


def _forget_empty_parts(writer: Any) -> None:
    """An empty form and an empty list of attachments are nothing, and would stand in the way of ours."""
    root = writer.root
    for key in ("/AcroForm", "/AF"):
        if key in root:
            del root[key]
    held = root.raw_get("/Names") if "/Names" in root else None
    names = held.get_object() if held is not None else None
    if isinstance(names, generic.DictionaryObject) and "/EmbeddedFiles" in names:
        del names["/EmbeddedFiles"]
        if isinstance(held, generic.IndirectObject):
            writer.mark_update(held.reference)
    writer.update_root()


def _sign(
    writer: IncrementalPdfFileWriter,
    seal: SealInUse,
    tsa: TimeStamper,
    place: SealPlace,
    reason: str,
    at: datetime,
    further: Sequence[FurtherField],
    kept: Kept = _NOTHING_SAID,
) -> bytes:
    asn1.register()
    empty = _add_empty_fields(writer, further, place.page) if further else []
    _add_seal_field(writer, place, empty)
    metadata = _metadata(seal, reason, at, bool(further))
    signer = signers.PdfSigner(
        metadata,
        _FrameSigner(seal, tsa),
        stamp_style=StaticStampStyle(
            background=_PictureOfSeal(seal.picture_pdf, place.shown, kept),
            background_layout=layout.SimpleBoxLayoutRule(
                x_align=layout.AxisAlignment.ALIGN_MID,
                y_align=layout.AxisAlignment.ALIGN_MID,
                margins=layout.Margins(0, 0, 0, 0),
            ),
            background_opacity=1.0,
            border_width=0,
        ),
    )
    # Reserving room up front also spares pyHanko's dry run: the key signs once.
    out: Any = signer.sign_pdf(writer, bytes_reserved=CONTENTS_HEX_DIGITS)
    return bytes(out.getvalue())


def _add_seal_field(writer: IncrementalPdfFileWriter, place: SealPlace, empty: Sequence[Any]) -> None:
    """The field of the first seal, and its place in the structure of a tagged document; behind it those of the
    fields for further seals that are on the page (`empty`)."""
    untyped: Any = writer
    words = FIELD_IN_WORDS[FIELD_NAME]
    spec = SigFieldSpec(FIELD_NAME, on_page=place.page, box=place.box, readable_field_name=words)
    append_signature_field(writer, spec)
    fields = untyped.root["/AcroForm"]["/Fields"]
    page, _ = untyped.find_page_for_modification(place.page)
    for widget in (fields.raw_get(len(fields) - 1), *empty):
        add_to_structure(writer, page, widget)


def _add_empty_fields(
    writer: IncrementalPdfFileWriter, further: Sequence[FurtherField], page: int
) -> list[Any]:
    """The fields for further seals, with what `issuer.sealing.prepared` writes into them. Those on the page."""
    library: Any = generic  # whose constructors are not typed
    untyped: Any = writer
    page_ref, _ = untyped.find_page_for_modification(page)
    fields, shown = [], []
    for field in further:
        box = field.box or (0, 0, 0, 0)
        lock = library.DictionaryObject.read_from_stream(
            io.BytesIO(field.lock), library.TrailerReference(writer)
        )
        entries = {
            "/FT": library.NameObject("/Sig"),
            "/T": library.TextStringObject(field.name),
            "/TU": library.TextStringObject(FIELD_IN_WORDS[field.name]),
            "/Type": library.NameObject("/Annot"),
            "/Subtype": library.NameObject("/Widget"),
            "/F": library.NumberObject(132),
            "/Rect": library.ArrayObject([library.NumberObject(each) for each in box]),
            "/Lock": lock,
        }
        if field.box is not None:
            entries["/P"] = page_ref
        fields.append(writer.add_object(library.DictionaryObject(entries)))
        if field.box is not None:
            untyped.register_annotation(page_ref, fields[-1])
            shown.append(fields[-1])
    form = library.DictionaryObject({"/Fields": library.ArrayObject(fields)})
    writer.root["/AcroForm"] = writer.add_object(form)
    untyped.update_root()
    return shown


def _metadata(seal: SealInUse, reason: str, at: datetime, is_followed: bool) -> signers.PdfSignatureMetadata:
    return signers.PdfSignatureMetadata(
        field_name=FIELD_NAME,
        md_algorithm=seal.key.record.suite.digest,
        subfilter=SigSeedSubFilter.PADES,
        reason=reason,
        certify=True,
        docmdp_permissions=MDPPerm.FILL_FORMS if is_followed else MDPPerm.NO_CHANGES,
    )


class _FrameSigner(Signer):
    """A pyHanko signer that leaves the key with its custodian and writes the CMS frame itself."""

    def __init__(self, seal: SealInUse, tsa: TimeStamper) -> None:
        self._seal = seal
        self._tsa = tsa
        store = SimpleCertificateStore()
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

    async def signed_attrs(
        self,
        data_digest: bytes,
        digest_algorithm: str,
        attr_settings: Any = None,
        content_type: Any = "data",
        use_pades: Any = False,
        timestamper: Any = None,
        dry_run: Any = False,
        is_pdf_sig: Any = True,
    ) -> cms.CMSAttributes:
        """Ours, whatever pyHanko would choose: both ways of sealing sign the same attributes."""
        constant = encode_constant_seal_attributes(
            self._seal.suite, self._seal.certs[0], self._seal.seal_data
        )
        return cms.CMSAttributes.load(encode_signed_attributes(constant, data_digest))

    async def async_sign_prescribed_attributes(
        self,
        digest_algorithm: str,
        signed_attrs: cms.CMSAttributes,
        cms_version: Any = "v1",
        dry_run: bool = False,
        timestamper: Any = None,
        encap_content_info: Any = None,
    ) -> cms.ContentInfo:
        encoded = signed_attrs.dump()
        signature = await self.async_sign_raw(encoded, digest_algorithm, dry_run)
        imprint = digest(self._seal.stamp_digest, signature)
        token = self._tsa.stamp(imprint, self._seal.stamp_digest)
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
    """The seal's own one-page PDF as a vector picture, upright and in its size on the page as it is shown."""

    def __init__(self, picture_pdf: bytes, shown: PageAsShown, kept: Kept) -> None:
        self._picture_pdf = picture_pdf
        self._shown = shown
        self._kept = kept
        super().__init__()

    def render(self) -> bytes:
        writer: Any = self._ensure_writer
        xobject = writer.import_page_as_xobject(PdfFileReader(io.BytesIO(self._picture_pdf)), page_ix=0)
        self.resources.xobject[generic.pdf_name("/SealPicture")] = xobject
        self._keep_standards(xobject.get_object())
        left, bottom, right, top = xobject.get_object()["/BBox"]
        width, height = float(abs(right - left)), float(abs(top - bottom))
        if self._shown.is_plain:
            self.box = layout.BoxConstraints(width=width, height=height)
            return b"/SealPicture Do"
        wide, high = (height, width) if self._shown.turned in (90, 270) else (width, height)
        self.box = layout.BoxConstraints(width=wide / self._shown.unit, height=high / self._shown.unit)
        matrix = " ".join(f"{each:.6g}" for each in self._shown.upright(width, height))
        return f"{matrix} cm /SealPicture Do".encode("ascii")

    def _keep_standards(self, picture: Any) -> None:
        library: Any = generic
        resources = picture["/Resources"]
        if self._kept.opaque and "/ExtGState" in resources:
            states = resources["/ExtGState"]
            for name in states:
                state = states[name]
                for key in ("/BM", "/ca", "/CA", "/SMask"):
                    state.pop(key, None)
        if self._kept.profile is not None:
            stream = library.StreamObject({"/N": library.NumberObject(3)}, stream_data=self._kept.profile)
            profile = self._ensure_writer.add_object(stream)
            by_profile = library.ArrayObject([library.NameObject("/ICCBased"), profile])
            resources["/ColorSpace"] = library.DictionaryObject({"/DefaultRGB": by_profile})


__all__ = [
    "CONTENTS_HEX_DIGITS",
    "FIELD_NAME",
    "SealInUse",
    "SealPlace",
    "SealsPages",
    "Stampable",
    "check_stampable",
    "prepare_stampable",
    "seal_department_pdf",
    "seal_pdf",
    "seal_plain",
]
