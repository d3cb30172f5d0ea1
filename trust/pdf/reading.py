"""Opening a PDF that somebody else made, with limits, and looking at every object in it.

Used by the issuer (a department's own PDF to be stamped) and by the verifier (anything at all). Both call it
inside the sandbox. What is found is plain data; no pyHanko object leaves this module but the reader itself.

Objects are looked at by their parsed names, in every revision, object streams included, and never by a
search over raw bytes: compressed data hits `/JS` by chance, and a name may be spelled `/J#53`.
"""

from __future__ import annotations

import binascii
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.decode_limits import (
    DecodeLimits,
    DecodePurpose,
    DocumentDecodeBudget,
    StreamDecodeLimits,
)
from pyhanko.pdf_utils.reader import PdfFileReader

from trust.model.errors import Malformed, TrustError

MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_PAGES = 200
MAX_OBJECTS = 200_000
MAX_FIELDS = 10_000
MAX_ATTACHMENT_BYTES = 1024 * 1024
_MAX_DEPTH = 60
_HEX_STEP = 1 << 16

ACTIVE_NAMES = frozenset(
    {
        "/JavaScript",
        "/JS",
        "/Launch",
        "/OpenAction",
        "/AA",
        "/SubmitForm",
        "/ImportData",
        "/GoToR",
        "/GoToE",
        "/RichMedia",
        "/XFA",
    }
)
"""Names that make a document act. None of them has a place in a licence."""
DOCUMENT_TYPE = "<!DOCTYPE"
"""How an inventory calls metadata that declare entities."""


class PdfRefused(Malformed):
    """The PDF cannot be taken, for the reason that `code` names."""


def open_pdf(data: bytes) -> PdfFileReader:
    """A strict reader. Raises `PdfRefused` (NOT_A_PDF, TOO_LARGE, BROKEN_PDF, ENCRYPTED)."""
    check_outer_shape(data)
    _check_declared(data)
    _read_hex_strings_at_once()
    try:
        reader = PdfFileReader(io.BytesIO(data), strict=True, decode_limits=_LIMITS)
        if reader.encrypted:
            raise PdfRefused("The PDF is encrypted.", "Save it without a password.", code="ENCRYPTED")
        if int(reader.trailer_view["/Size"]) > MAX_OBJECTS:
            raise PdfRefused("The PDF declares too many objects.", code="LIMIT_EXCEEDED")
        if not isinstance(reader.root, generic.DictionaryObject):
            raise PdfRefused("The PDF has no catalogue.", code="BROKEN_PDF")
    except TrustError:
        raise
    except Exception as exc:  # a parser may raise anything on hostile input, RecursionError included
        raise PdfRefused(
            "The PDF is broken and cannot be read.", "Save it anew from its source.", code="BROKEN_PDF"
        ) from exc
    return reader


_library_read_hex: Any = generic.read_hex_string_from_stream


def _read_hex_strings_at_once() -> None:
    """Lets pyHanko read a hex string in one go. Idempotent.

    It reads digit by digit, which for the 65,536 of a seal is a third of a verification. Whatever is not digits only
    goes to the library as before.
    """
    generic.read_hex_string_from_stream = _read_hex_string


def _read_hex_string(stream: Any) -> Any:
    start = stream.tell()
    parts: list[bytes] = []
    while part := stream.read(_HEX_STEP):
        digits, end, _ = part.partition(b">")
        parts.append(digits)
        if end:
            break
    read = b"".join(parts)
    digits = read[1:]
    if not part or not read.startswith(b"<") or digits.translate(None, generic.HEX_DIGITS):
        stream.seek(start)
        return _library_read_hex(stream)
    stream.seek(start + len(read) + 1)
    return generic.pdf_string(binascii.unhexlify(digits + b"0" * (len(digits) % 2)))


def check_outer_shape(data: bytes) -> None:
    """Size, first bytes, last bytes: nothing before %PDF- and nothing after %%EOF but one line end."""
    if len(data) > MAX_FILE_BYTES:
        raise PdfRefused(
            f"The file is larger than {MAX_FILE_BYTES // (1024 * 1024)} MiB.",
            "Make it smaller.",
            code="TOO_LARGE",
        )
    if not data.startswith(b"%PDF-"):
        raise PdfRefused("The file is not a PDF.", "Choose the PDF itself.", code="NOT_A_PDF")
    tail = data[-64:].rstrip(b"\r\n")
    if len(data[-64:]) - len(tail) > 2 or not tail.endswith(b"%%EOF") or b"startxref" not in tail:
        raise PdfRefused("The PDF does not end where it should.", "Save it anew.", code="BROKEN_PDF")


_DECLARED = re.compile(rb"/Size\s+(\d{6,})|/Index\s*\[([\d\s]*)\]")


def _check_declared(data: bytes) -> None:
    """How many objects the tables declare, before a reader makes room for them.

    A name may be spelled otherwise; then the limits of the sandbox end it.
    """
    for match in _DECLARED.finditer(data):
        numbers = [int(number) for number in (match[1] or match[2] or b"").split()]
        if sum(numbers if match[1] else numbers[1::2]) > MAX_OBJECTS:
            raise PdfRefused("The PDF declares too many objects.", code="LIMIT_EXCEEDED")


def walk_objects(reader: PdfFileReader) -> Iterator[tuple[int, generic.Reference, Any]]:
    """(revision, reference, object) for every object that any revision of the file adds or replaces."""
    for revision in range(reader.xrefs.total_revisions):
        for ref in reader.xrefs.explicit_refs_in_revision(revision):
            # The newest version of an object comes from the reader's cache, and stays there for later readers.
            newest = reader.xrefs.get_last_change(ref) == revision
            yield revision, ref, reader.get_object(ref, revision=None if newest else revision)  # type: ignore[no-untyped-call]  # the library's own


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the objects of a file say by their names. `seals` are signatures that are no document time-stamps."""

    active_names: frozenset[str]
    seals: int
    signature_dictionaries: int
    signature_fields: int
    revisions: int
    pages: int


def take_inventory(reader: PdfFileReader) -> Inventory:
    """Walks everything once. Raises `PdfRefused` where the file cannot be walked within the limits."""
    active: set[str] = set()
    seals, signatures = 0, 0
    fields: dict[tuple[int, int], int] = {}
    try:
        for _, ref, found in walk_objects(reader):
            fields_here = 0
            for dictionary in _dictionaries(found, 0, active):
                kind = dictionary.raw_get("/Type") if "/Type" in dictionary else None
                # A dictionary with /ByteRange is a signature whatever it calls itself.
                if kind in ("/Sig", "/DocTimeStamp") or "/ByteRange" in dictionary:
                    signatures += 1
                    seals += kind != "/DocTimeStamp"
                if "/FT" in dictionary and dictionary["/FT"] == "/Sig":
                    fields_here += 1
                if kind == "/Metadata" and _declares_types(dictionary):
                    active.add(DOCUMENT_TYPE)
            # A field that is filled later stands in two revisions, and is one field.
            key = (ref.idnum, ref.generation)
            fields[key] = max(fields_here, fields.get(key, 0))
        for name in reader.trailer_view:
            if name in ACTIVE_NAMES:
                active.add(str(name))
        pages = _count_leaves(reader.root, "/Pages", MAX_PAGES)
        if "/AcroForm" in reader.root and "/Fields" in reader.root["/AcroForm"]:
            _count_leaves(reader.root["/AcroForm"], "/Fields", MAX_FIELDS)
    except TrustError:
        raise
    except Exception as exc:  # see open_pdf
        raise PdfRefused("The PDF is broken and cannot be read.", "Save it anew.", code="BROKEN_PDF") from exc
    if not 1 <= pages <= MAX_PAGES:
        raise PdfRefused(f"The PDF has more than {MAX_PAGES} pages, or none.", code="LIMIT_EXCEEDED")
    return Inventory(
        frozenset(active), seals, signatures, sum(fields.values()), reader.xrefs.total_revisions, pages
    )


def _count_leaves(parent: generic.DictionaryObject, key: str, most: int) -> int:
    """The leaves of the tree under `key`: of pages or of form fields, as they are and not as a /Count says.

    A branch has /Kids. One that is met twice would be walked for ever, or once more at each level.
    """
    waiting, seen, leaves = [parent.raw_get(key)], set[Any](), 0
    while waiting:
        found = waiting.pop()
        if isinstance(found, generic.IndirectObject):
            if found.reference in seen or len(seen) > 2 * most:
                raise PdfRefused("The PDF has a tree that is none, or too large.", code="LIMIT_EXCEEDED")
            seen.add(found.reference)
            found = found.get_object()  # type: ignore[no-untyped-call]  # the library's own
        if isinstance(found, generic.DictionaryObject) and "/Kids" in found:
            waiting.append(found.raw_get("/Kids"))
        elif isinstance(found, generic.ArrayObject):
            waiting += [found.raw_get(index) for index in range(len(found))]
        else:
            leaves += 1
    return leaves


def attachments(reader: PdfFileReader) -> dict[str, bytes]:
    """Every embedded file by its name. Raises `PdfRefused` for a name tree that is not flat."""
    found: dict[str, bytes] = {}
    try:
        # `get` would hand out an unresolved reference; [] resolves it.
        if "/Names" not in reader.root or "/EmbeddedFiles" not in reader.root["/Names"]:
            return {}
        tree = reader.root["/Names"]["/EmbeddedFiles"]
        if "/Kids" in tree:
            raise PdfRefused("The attachments are not in one flat list.", code="SIG_CONSTRAINTS_FAILURE")
        listed = list(tree["/Names"])
        for name, spec in zip(listed[0::2], listed[1::2], strict=True):
            stream = spec.get_object()["/EF"]["/F"]
            if str(name) in found:
                raise PdfRefused("Two attachments have one name.", code="SIG_CONSTRAINTS_FAILURE")
            data = bytes(stream.data)
            if len(data) > MAX_ATTACHMENT_BYTES:
                raise PdfRefused("An attachment is too large.", code="LIMIT_EXCEEDED")
            found[str(name)] = data
    except TrustError:
        raise
    except Exception as exc:  # see open_pdf
        raise PdfRefused("The attachments of the PDF cannot be read.", code="BROKEN_PDF") from exc
    return found


def _declares_types(found: Any) -> bool:
    """XMP has no use for a DTD (ISO 16684-1 §7.3); whoever writes one wants entities expanded or fetched."""
    if not isinstance(found, generic.StreamObject):
        return False
    packet = found.read_data(DecodePurpose.XMP_METADATA).replace(b"\0", b"")  # in UTF-16 as well
    return b"<!DOCTYPE" in packet or b"<!ENTITY" in packet


_MIB = 1024 * 1024
_LIMITS = DecodeLimits(
    per_stream=StreamDecodeLimits(max_output_size=64 * _MIB),
    document_budget=DocumentDecodeBudget(base_allowance=128 * _MIB, max_ratio=0),
)


def _dictionaries(found: Any, depth: int, active: set[str]) -> Iterator[generic.DictionaryObject]:
    """Every dictionary inside one object, references not followed; collects active names on the way."""
    if depth > _MAX_DEPTH:
        raise PdfRefused("The PDF is nested too deeply.", code="LIMIT_EXCEEDED")
    if isinstance(found, generic.NameObject):
        if found in ACTIVE_NAMES:
            active.add(str(found))
    elif isinstance(found, generic.DictionaryObject):
        yield found
        for key in found:
            if key in ACTIVE_NAMES:
                active.add(str(key))
            yield from _dictionaries(found.raw_get(key), depth + 1, active)
    elif isinstance(found, generic.ArrayObject):
        for index in range(len(found)):
            yield from _dictionaries(found.raw_get(index), depth + 1, active)
