"""Finding the signatures in a PDF that others signed, through its form, and telling which can be checked here.

    /SubFilter                what is done
    ETSI.CAdES.detached       checked; signed attributes have to be there (EN 319 142-1 §6.3)
    adbe.pkcs7.detached       checked; RFC 5652 or the national form (GM/T 0010, GB/T 35275), attributes or not
    ETSI.RFC3161              checked, as a document time-stamp
    anything else             reported by its name: adbe.pkcs7.sha1, adbe.x509.rsa_sha1, those of seal makers

BER is converted: the bytes that the form shows are replaced by the same values in definite form, and the gap is
compared with those. A signature that a library cannot parse is reported as not supported, which says nothing about
the file.
"""

from __future__ import annotations

import binascii
import contextlib
import io
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asn1crypto import core
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from trust.encoding.der import definite_form, element_length
from trust.encoding.plain_text import one_line
from trust.model.errors import EvidenceUnavailableError, VerificationError
from trust.pdf.reading import Inventory

FAMILIES = {"/ETSI.CAdES.detached": "PAdES", "/adbe.pkcs7.detached": "PKCS7"}
TIME_STAMP = "/ETSI.RFC3161"
_MAX_SIGNATURES = 12
_HEX = re.compile(rb"<[0-9A-Fa-f]*>")
_SPACED_HEX = re.compile(rb"<[0-9A-Fa-f\0\t\n\x0c\r ]*>")
_OBJECT = re.compile(rb"[\0\t\n\x0c\r ]*\d+[\0\t\n\x0c\r ]+\d+[\0\t\n\x0c\r ]+obj[\0\t\n\x0c\r ]*")
_CONTENTS = re.compile(rb"/Contents[\x00\t\n\x0c\r ]*\Z")


class NotSupported(Exception):
    """A signature of a kind that is not checked here; `what` says which, in words."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class _Signature(EmbeddedPdfSignature):
    """The library's class, but a malformed /M (claimed time) does not prevent validation."""

    @property
    def self_reported_timestamp(self) -> datetime | None:
        """The unproven time that the signer claims; None if it cannot be read."""
        try:
            at: datetime | None = super().self_reported_timestamp
            return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)
        except Exception:  # no verdict depends on it
            return None


@dataclass(frozen=True, slots=True)
class FoundSignature:
    """One filled signature field. If it is not supported, `embedded` is None and `why` gives the reason.

    `is_rewritten`: it was in BER, and is read in definite form.
    """

    name: str
    sub_filter: str
    kind: str
    revision: int
    embedded: EmbeddedPdfSignature | None
    why: str = ""
    is_rewritten: bool = False

    @property
    def is_time_stamp(self) -> bool:
        return self.kind == "/DocTimeStamp" or self.sub_filter == TIME_STAMP


def find_signatures(reader: PdfFileReader, inventory: Inventory) -> list[FoundSignature]:
    """The signatures in the order they were made.

    Raises `EvidenceUnavailableError` (HIDDEN_SIGNATURE, ONLY_TIME_STAMPS, LIMIT_EXCEEDED).
    """
    untyped: Any = enumerate_sig_fields
    filled = list(untyped(reader, filled_status=True))
    if len(filled) > _MAX_SIGNATURES:
        raise EvidenceUnavailableError("There are too many signatures.", code="LIMIT_EXCEEDED")
    found = sorted((_find(reader, *each) for each in filled), key=lambda each: each.revision)
    # A viewer may show a signature that is not in the form, and the library silently leaves it out. It may be a
    # left-over or a usage right (ISO 32000-1 §12.8.2.3), which is no sign of tampering.
    if inventory.signature_dictionaries != len(found):
        raise EvidenceUnavailableError(
            f"The file holds {inventory.signature_dictionaries} signature dictionaries, and its form shows "
            f"{len(found)}.",
            code="HIDDEN_SIGNATURE",
        )
    if all(each.is_time_stamp for each in found):
        raise EvidenceUnavailableError(
            "The form of the file shows time-stamps only.", code="ONLY_TIME_STAMPS"
        )
    return found


def _find(reader: PdfFileReader, name: Any, value: Any, field: Any) -> FoundSignature:
    dictionary = value.get_object()
    sub_filter, kind = (str(dictionary[key]) if key in dictionary else "" for key in ("/SubFilter", "/Type"))
    revision, embedded, why, rewritten = 0, None, "", False
    try:
        revision = reader.xrefs.get_last_change(value.reference)
        if sub_filter not in (*FAMILIES, TIME_STAMP):
            named = one_line(sub_filter.lstrip("/"), 60) or "no /SubFilter"
            raise NotSupported(f"a signature of the kind {named}")
        rewritten = _rewrite(dictionary)
        untyped: Any = _Signature
        embedded = untyped(reader, field, str(name))
        _check_kind(embedded, sub_filter)
    except NotSupported as exc:
        embedded, why = None, exc.what
    except Exception as exc:  # what a library cannot parse proves nothing
        embedded, why = None, f"a signature that cannot be taken apart ({type(exc).__name__})"
    return FoundSignature(str(name), sub_filter, kind, revision, embedded, why, rewritten)


def _rewrite(dictionary: Any) -> bool:
    """Replaces the signature's BER by the same values in definite form; True if it did. Raises `NotSupported`."""
    contents = bytes(dictionary.raw_get("/Contents").original_bytes)
    with contextlib.suppress(ValueError):
        if element_length(contents) <= len(contents):
            return False
    try:
        definite, length = definite_form(contents)
    except ValueError as exc:
        raise NotSupported("a signature that is no CMS") from exc
    if contents.count(0, length) != len(contents) - length or len(definite) > len(contents):
        raise NotSupported("a signature in BER of another form")
    library: Any = generic
    dictionary["/Contents"] = library.ByteStringObject(definite.ljust(len(contents), b"\0"))
    return True


def _check_kind(signature: EmbeddedPdfSignature, sub_filter: str) -> None:
    """Raises `NotSupported` for a kind that the library would judge by the rules of another kind."""
    encapsulated = signature.signed_data["encap_content_info"]["content"]
    if sub_filter != TIME_STAMP and encapsulated.native is not None:
        raise NotSupported("a signature that carries a content of its own")
    if len(signature.signed_data["signer_infos"]) != 1:
        raise NotSupported("a signature of several signers at once")
    if signature.signer_info["signed_attrs"] is core.VOID and sub_filter != "/adbe.pkcs7.detached":
        raise NotSupported("a signature without signed attributes, which its kind asks for")


def check_gap(data: bytes, reader: PdfFileReader, found: FoundSignature) -> int:
    """The offset at which the bytes covered by this signature end.

    Raises `VerificationError` (FORMAT_FAILURE) if the values contradict each other, and `NotSupported` for valid forms
    of writing that are not read here.
    """

    def bad(what: str) -> VerificationError:
        return VerificationError(what, code="FORMAT_FAILURE")

    assert found.embedded is not None
    dictionary = found.embedded.sig_object
    numbers = [int(each) for each in dictionary["/ByteRange"]]
    if len(numbers) != 4:
        raise NotSupported(f"a /ByteRange of {len(numbers)} numbers")
    zero, start, end, rest = numbers
    if zero != 0 or not 0 < start < end or rest < 0 or end + rest > len(data):
        raise bad("/ByteRange does not name two stretches of the file.")
    if _SPACED_HEX.fullmatch(data, start, end) is not None and _HEX.fullmatch(data, start, end) is None:
        raise NotSupported("white space between the digits of /Contents")  # the white space is not signed
    if _HEX.fullmatch(data, start, end) is None or _CONTENTS.search(data, max(0, start - 32), start) is None:
        raise bad("What is not signed is not the one value of /Contents.")
    digits = data[start + 1 : end - 1]
    try:
        contents = binascii.unhexlify(digits)
        definite, length = definite_form(contents) if found.is_rewritten else (b"", element_length(contents))
    except ValueError as exc:
        raise bad("What is not signed is not the signature.") from exc
    if length > len(contents) or contents.count(0, length) != len(contents) - length:
        raise bad("After the signature in /Contents stands something other than zeros.")
    if bytes(dictionary["/Contents"]) != (
        definite.ljust(len(contents), b"\0") if found.is_rewritten else contents
    ):
        raise bad("The form shows other /Contents than stand in the gap.")
    container = dictionary.container_ref
    offset = reader.xrefs[container] if container is not None else None
    if not isinstance(offset, int):
        raise NotSupported("a signature that does not stand in the file by itself")
    if not offset < start or _end_of_object(data, offset, container) < end:
        raise bad("What is not signed is not of this signature.")
    return end + rest


def _end_of_object(data: bytes, offset: int, reference: Any) -> int:
    """The offset at which the object that begins at `offset` ends, found by parsing it. Raises `NotSupported`."""
    begin = _OBJECT.match(data, offset)
    if begin is None:
        raise NotSupported("a signature that does not stand where the table says")
    stream = io.BytesIO(data)
    stream.seek(begin.end())
    untyped: Any = generic.read_object
    untyped(stream, reference)
    return stream.tell()
