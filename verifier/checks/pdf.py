"""The verifier's interface to pyHanko.

pyHanko judges the structure of the file, certification, chains by RFC 5280 with CRLs, and whether anything was
changed later. It is called after the raw-bytes gate and in addition to our own checks, never instead of them. No
address in a file is ever fetched (`allow_fetching=False`).
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import algos, cms, crl, x509
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.utils import CMSAlgorithmUsagePolicy
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.policy_decl import AlgorithmUsageConstraint, DisallowWeakAlgorithmsPolicy

from keys import asn1
from keys.pki.chain import ChainTrust, Usage, check_chain
from keys.pki.read import read_x509_cert
from keys.pki.validator import Sm2AwareValidator
from trust.encoding.cms import encode_time_stamp_token
from trust.encoding.digests import digest, sha256
from trust.encoding.trust_list import TrustedSeal, TrustedTsa
from trust.model.errors import Malformed, VerificationError
from trust.pdf.gap import SignedGap
from trust.pdf.geometry import PageAsShown, Rectangle, page_as_shown, pages_of

# The library logs every oddity of a hostile file; our findings report what matters.
_LIBRARY_LOGGERS = ("pyhanko", "pyhanko_certvalidator")


def quiet_library() -> None:
    for name in _LIBRARY_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


class SignaturePolicy(CMSAlgorithmUsagePolicy, DisallowWeakAlgorithmsPolicy):
    """Refuses weak algorithms, and SM2 with any digest but SM3 (the library would allow any pair it does not know)."""

    def digest_combination_allowed(
        self,
        signature_algo: algos.SignedDigestAlgorithm,
        message_digest_algo: algos.DigestAlgorithm,
        moment: datetime | None,
    ) -> AlgorithmUsageConstraint:
        if signature_algo["algorithm"].native == "sm3_sm2":
            fits = message_digest_algo["algorithm"].native == "sm3"
            return AlgorithmUsageConstraint(
                fits, failure_reason=None if fits else "SM2 signs SM3 digests only"
            )
        return super().digest_combination_allowed(signature_algo, message_digest_algo, moment)


def the_one_seal(reader: PdfFileReader, gap: SignedGap, *, further: int = 0) -> EmbeddedPdfSignature:
    """The first seal as the document's structure shows it, after comparing it with the raw bytes in `gap`.

    `reader` reads the file as it was then; `further` is the required number of empty fields for later seals.

    Raises `VerificationError` (FORMAT_FAILURE, SIG_CONSTRAINTS_FAILURE).
    """
    signatures = reader.embedded_signatures
    root = reader.root
    fields = root["/AcroForm"]["/Fields"] if "/AcroForm" in root else ()
    if len(signatures) != 1 or len(fields) != 1 + further:
        raise VerificationError("The form does not hold exactly one seal.", code="SIG_CONSTRAINTS_FAILURE")
    seal = last_signature(reader, gap)
    permissions = root["/Perms"] if "/Perms" in root else generic.DictionaryObject()
    certified = permissions.raw_get("/DocMDP") if "/DocMDP" in permissions else None
    container = seal.sig_object.container_ref
    if (
        not isinstance(certified, generic.IndirectObject)
        or certified.reference != container
        or not isinstance(reader.xrefs[certified.reference], int)
    ):
        raise VerificationError("The seal does not certify the document.", code="SIG_CONSTRAINTS_FAILURE")
    if seal.docmdp_level is not (MDPPerm.FILL_FORMS if further else MDPPerm.NO_CHANGES):
        raise VerificationError("The seal allows later changes.", code="SIG_CONSTRAINTS_FAILURE")
    return seal


def last_signature(reader: PdfFileReader, gap: SignedGap) -> EmbeddedPdfSignature:
    """The last signature of a file. Raises `VerificationError` if it is not the one in `gap`."""
    seal: EmbeddedPdfSignature = reader.embedded_signatures[-1]
    dictionary = seal.sig_object
    if tuple(int(n) for n in dictionary["/ByteRange"]) != gap.byte_range:
        raise VerificationError("The form shows another /ByteRange.", code="FORMAT_FAILURE")
    if not bytes(dictionary["/Contents"]).startswith(gap.cms):
        raise VerificationError("The form shows other /Contents.", code="FORMAT_FAILURE")
    if dictionary["/Filter"] != "/Adobe.PPKLite" or dictionary["/SubFilter"] != "/ETSI.CAdES.detached":
        raise VerificationError("The seal is not ETSI.CAdES.detached.", code="SIG_CONSTRAINTS_FAILURE")
    container = dictionary.container_ref
    if container is None or not isinstance(reader.xrefs[container], int):
        raise VerificationError(
            "The seal does not stand in the file by itself.", code="SIG_CONSTRAINTS_FAILURE"
        )
    if seal.signed_revision != reader.xrefs.total_revisions - 1:
        raise VerificationError("Something was added after the seal.", code="HASH_FAILURE")
    return seal


def allows_later_seals(reader: PdfFileReader) -> bool:
    """True if pyHanko finds that each seal allows everything after it."""
    for signature in reader.embedded_signatures:
        signature.compute_integrity_info()
        if not signature.summarise_integrity_info()["docmdp_ok"]:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Appearance:
    """What a page shows in the seal's place: a one-page PDF of it, upright, and its displayed size in points.

    `drawing` is a digest of all that is drawn, equal for the same drawing in another file. The size was
    rounded up to whole units of `unit` points.
    """

    pdf: bytes
    drawing: bytes
    width: float
    height: float
    unit: float


_ROUNDING = 1.5
_SHOWN = 4
_FLAGS_NOT_SHOWN = 1 | 2 | 32
"""Annotation flags (ISO 32000-2, table 167): Print has to be set; Invisible, Hidden and NoView not."""


def appearance_of(seal: EmbeddedPdfSignature) -> Appearance:
    """The seal's appearance as its page shows it. Raises `VerificationError` (SEAL_NOT_SHOWN)."""
    widget = seal.sig_field
    try:
        flags = int(widget["/F"])
        x1, y1, x2, y2 = (float(each) for each in widget["/Rect"])
        form = widget["/AP"]["/N"]
        one_x, one_y, other_x, other_y = (float(each) for each in form["/BBox"])
        page = _page_with(seal)
    except (KeyError, TypeError, ValueError, PdfError, Malformed) as exc:
        raise VerificationError("The seal has no picture on its page.", code="SEAL_NOT_SHOWN") from exc
    # A rectangle names any two opposite corners (ISO 32000-2, 7.9.5).
    (left, right), (bottom, top) = sorted((one_x, other_x)), sorted((one_y, other_y))
    width, height = abs(x2 - x1), abs(y2 - y1)
    if not flags & _SHOWN or flags & _FLAGS_NOT_SHOWN:
        raise VerificationError("The picture of the seal is hidden.", code="SEAL_NOT_SHOWN")
    distorted = max(abs(right - left - width), abs(top - bottom - height)) > 0.01
    if "/Matrix" in form or distorted:
        raise VerificationError("The picture of the seal is distorted.", code="SEAL_NOT_SHOWN")
    if page is None or not _is_within((x1, y1, x2, y2), page.box):
        raise VerificationError("The seal is not wholly on a page.", code="SEAL_NOT_SHOWN")
    shown = (width, height) if page.turned in (0, 180) else (height, width)
    return Appearance(
        *_page_of(form, (left, bottom, right, top), page),
        shown[0] * page.unit,
        shown[1] * page.unit,
        page.unit,
    )


def _page_with(seal: EmbeddedPdfSignature) -> PageAsShown | None:
    """The one page that has the seal's field among its annotations, the only page where readers draw it; else None."""
    field = seal.sig_field
    reader = seal.reader
    found = []
    for page in pages_of(reader.root):
        if "/Annots" not in page:
            continue
        listed = page["/Annots"]
        raw = [listed.raw_get(n) for n in range(len(listed))]
        if any(
            isinstance(each, generic.IndirectObject) and each.reference == field.container_ref for each in raw
        ):
            found.append(page)
    return page_as_shown(found[0]) if len(found) == 1 else None


def _is_within(rectangle: Sequence[float], box: Sequence[float]) -> bool:
    """True if the rectangle lies in the box, with a tolerance for coordinates rounded to whole points."""
    x1, y1, x2, y2 = rectangle
    (left, right), (bottom, top) = sorted((x1, x2)), sorted((y1, y2))
    return (
        left >= box[0] - _ROUNDING
        and bottom >= box[1] - _ROUNDING
        and right <= box[2] + _ROUNDING
        and top <= box[3] + _ROUNDING
    )


def check_not_shown(seal: EmbeddedPdfSignature) -> None:
    """Checks that an invisible seal has an empty rectangle. Raises `VerificationError` (SEAL_PICTURE_DIFFERS)."""
    widget = seal.sig_field
    if "/AP" in widget or any(float(each) != 0 for each in widget["/Rect"]):
        raise VerificationError("A seal that shows nothing takes a place.", code="SEAL_PICTURE_DIFFERS")


def _page_of(form: Any, box: Rectangle, page: PageAsShown) -> tuple[bytes, bytes]:
    """A PDF with one page, rotated and scaled like `page`, that shows only the form XObject; and a digest of its
    objects."""
    library: Any = generic  # its constructors are not typed
    writer: Any = PdfFileWriter()
    drawn = writer.add_object(writer.import_object(form))
    k = page.unit
    content = writer.add_object(
        generic.StreamObject(stream_data=f"{k:g} 0 0 {k:g} 0 0 cm /Seal Do".encode("ascii"))
    )
    named = library.DictionaryObject({generic.pdf_name("/Seal"): drawn})
    resources = library.DictionaryObject({generic.pdf_name("/XObject"): named})
    new_page: Any = PageObject
    media_box = tuple(each * k for each in box)
    sheet = new_page(contents=content, media_box=media_box, resources=resources)
    sheet["/Rotate"] = library.NumberObject(page.turned)
    writer.insert_page(sheet)
    objects = io.BytesIO()
    for reference, found in sorted(writer.objects.items()):
        objects.write(repr(reference).encode())
        found.write_to_stream(objects, None)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue(), sha256(objects.getvalue())


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """pyHanko's own judgement of one signature."""

    intact: bool
    trusted: bool
    revoked: bool
    whole_file: bool
    time_stamp_trusted: bool
    summary: str


def second_opinion(
    seal: EmbeddedPdfSignature,
    *,
    pinned: TrustedSeal,
    tsa: TrustedTsa,
    crls: Sequence[bytes],
    stamped_at: datetime,
) -> SecondOpinion:
    """Validates the chains of the seal and of the time-stamp at the time of sealing, with revocation required."""
    status = asyncio.run(
        async_validate_pdf_signature(
            seal,
            signer_validation_context=_context(pinned.root, pinned.certs, crls, stamped_at),
            ts_validation_context=_context(tsa.root, tsa.certs, crls, stamped_at),
        )
    )
    stamp = status.timestamp_validity
    return SecondOpinion(
        intact=bool(status.intact and status.valid),
        trusted=bool(status.trusted),
        revoked=bool(status.revoked),
        whole_file=status.coverage is not None and status.coverage.name == "ENTIRE_FILE",
        time_stamp_trusted=bool(stamp and stamp.intact and stamp.valid and stamp.trusted),
        summary=str(status.summary()),
    )


def _check_key(signer_info: Any, cert: x509.Certificate) -> None:
    policy = SignaturePolicy()  # type: ignore[no-untyped-call]  # the library's own
    try:
        allowed = policy.signature_algorithm_allowed(
            signer_info["signature_algorithm"], None, cert.public_key
        )
    except ValueError as exc:
        raise VerificationError("The time-stamp cannot be read.", code="TIME_STAMP_BAD") from exc
    if not allowed:
        raise VerificationError("The time-stamp's key is too short.", code="CRYPTO_CONSTRAINTS_FAILURE")


@dataclass(frozen=True, slots=True)
class CheckedTimeStamp:
    """A verified time-stamp. `is_one_encoding`: the token equals the frame rebuilt from its parts, so every byte of it
    is checked."""

    at: datetime
    is_one_encoding: bool


def check_time_stamp(token: bytes, stamped: bytes, trust: ChainTrust) -> CheckedTimeStamp:
    """Checks a token (RFC 3161 §2.4.2) over the octets `stamped`; its authority must chain to a root of `trust`.

    Raises `VerificationError` (TIME_STAMP_BAD, or what `check_chain` raises) and `EvidenceUnavailableError`.
    """
    asn1.register()
    try:
        signed_data = cms.ContentInfo.load(token, strict=True)["content"]
        stamped_at: datetime = signed_data["encap_content_info"]["content"].parsed["gen_time"].native
        (signer_info,) = signed_data["signer_infos"]
        serial = signer_info["sid"].chosen["serial_number"].native
        certs = [choice.chosen for choice in signed_data["certificates"]]
        (signer,) = (each for each in certs if each.serial_number == serial)
    except Exception as exc:  # asn1crypto raises many kinds on hostile input
        raise VerificationError("The time-stamp cannot be read.", code="TIME_STAMP_BAD") from exc
    others = [*trust.intermediates, *(each.dump() for each in certs if each is not signer)]
    known = ChainTrust(trust.roots, others, trust.crls)
    check_chain(signer.dump(), known, at=stamped_at, usage=Usage.TIME_STAMPING)
    _check_key(signer_info, signer)  # the library does not check the key's length
    try:
        status = asyncio.run(
            validate_tst_signed_data(
                signed_data,
                known.context(stamped_at),
                lambda algorithm: digest(algorithm, stamped),
                SignaturePolicy(),  # type: ignore[no-untyped-call]  # the library's own
            )
        )
    except Exception as exc:  # unknown digest name or wrong type: the result is the same
        raise VerificationError("The time-stamp does not verify.", code="TIME_STAMP_BAD") from exc
    if not (status["intact"] and status["valid"]):
        raise VerificationError("The time-stamp is not over this signature.", code="TIME_STAMP_BAD")
    rebuilt = encode_time_stamp_token(
        suite=read_x509_cert(signer.dump()).suite,
        tsa_certs=[signer.dump(), *(each.dump() for each in certs if each is not signer)],
        tst_info=signed_data["encap_content_info"]["content"].parsed.dump(),
        signed_attrs=b"\x31" + signer_info["signed_attrs"].dump()[1:],
        signature=signer_info["signature"].native,
    )
    return CheckedTimeStamp(stamped_at, rebuilt == token)


def _context(root: bytes, certs: Sequence[bytes], crls: Sequence[bytes], at: datetime) -> Any:
    asn1.register()
    return ValidationContext(
        trust_roots=[x509.Certificate.load(root)],
        other_certs=[x509.Certificate.load(der) for der in certs],
        crls=[crl.CertificateList.load(der) for der in crls],
        allow_fetching=False,
        revocation_mode="require",
        # The CRLs are newer than the seal; what counts is whether it was revoked by the time of its use.
        retroactive_revinfo=True,
        moment=at,
        signature_validator=Sm2AwareValidator(),
        algorithm_usage_policy=SignaturePolicy(),  # type: ignore[no-untyped-call]  # the library's own
    )
