"""The fast way to seal our own pages: constant parts are encoded once, and the rest is written directly.

`seal_prepared` returns the sealed PDF, or None if the page differs from what our layouts write; the caller then seals
it with pyHanko (`issuer.sealing.pdf`), which supports any PDF. Both ways make the same objects in one incremental
update, the same signature dictionary, the same signed attributes and the same CMS frame. Two things differ: here /Info
and the XMP metadata stay as typst wrote them (pyHanko enters itself as producer), and /M is the caller's instant.

The update (ISO 32000-1 §7.5.6), N being the page's /Size:

    page         as it was, and /Annots with the widget at its end
    catalogue    as it was, and /AcroForm N, /Perms << /DocMDP N+4 >>, /Extensions ESIC 1 (ISO 32000-1 §7.12)
    N            /AcroForm: /Fields [ N+1 ], /SigFlags 3
    N+1          the widget and field "Seal1": /TU, /Rect, /P, /AP N+3, /V N+4; printed and locked
    N+2          the seal's picture as a form XObject, prepared
    N+3          the appearance: the picture, placed in the rectangle
    N+4          /Sig: /Contents of 65,536 hex digits, /ByteRange, ETSI.CAdES.detached, DocMDP with /P 1
    N+5, …       empty fields for further seals, if any (`trust.pdf.further`); then /P is 2
    structure    its root, its topmost element, and new elements, in a tagged file (`issuer.sealing.plain_structure`)
    xref, trailer with /Prev

A page is accepted only after checking its form (`trust.pdf.plain`), never by trying and catching errors: its catalogue,
its flat page tree and its page may have the keys listed here and no others. So files with a form, a signature, a
rotation, their own version or anything unknown are not sealed this way.

No key is kept here: only parts made from certificates and pictures are cached between seals.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from issuer.sealing.plain_structure import PlainStructure, is_tagged, read_structure
from issuer.sealing.use import CONTENTS_HEX_DIGITS, FIELD_IN_WORDS, FIELD_NAME, SealInUse, SealPlace
from keys.tsa import TimeStamper
from trust.encoding.cms import (
    SIGNATURE_TIME_STAMP_OID,
    encode_attribute,
    encode_constant_seal_attributes,
    encode_seal_cms,
    encode_signed_attributes,
)
from trust.encoding.digests import digest
from trust.model.errors import Conflict
from trust.pdf.further import FurtherField, appearance
from trust.pdf.plain import Entries, PlainPdf, parse_entries, read_plain_pdf, reference, references
from trust.pdf.update import UpdatedFile, write_signed_update

_CATALOGUE_NEEDS = {b"Type", b"Pages"}
_CATALOGUE_MAY = _CATALOGUE_NEEDS | {
    b"Metadata", b"OutputIntents", b"Lang", b"ViewerPreferences", b"Names", b"AF", b"StructTreeRoot", b"MarkInfo",
    b"Outlines",
}  # fmt: skip
_PAGES = {b"Type", b"Count", b"Kids"}
_PAGE_NEEDS = {b"Type", b"Resources", b"MediaBox", b"Parent", b"Contents"}
_PAGE_MAY = _PAGE_NEEDS | {b"Annots", b"StructParents", b"Tabs"}
_ESIC = b"/ESIC << /Type /DeveloperExtensions /BaseVersion /1.7 /ExtensionLevel 1 >>"
_ISO_32002 = (
    b"/ISO_ [ << /Type /DeveloperExtensions /BaseVersion /2.0 /ExtensionLevel 32002 "
    b"/ExtensionRevision (:2022) /URL (https://www.iso.org/standard/45875.html) >> ]"
)
_DECLARED: dict[str, Entries] = {
    "SM2-SM3": {b"Extensions": b"<< %b >>" % _ESIC},
    "RSA3072-SHA256": {b"Extensions": b"<< %b >>" % _ESIC},
    # ECDSA was added in PDF 2.0, and its curves in ISO/TS 32002; pyHanko declares both.
    "P256-SHA256": {b"Version": b"/2.0", b"Extensions": b"<< %b %b >>" % (_ESIC, _ISO_32002)},
}
_BOX_AT_ORIGIN = re.compile(rb"\[ ?0 0 (\d{1,5}(?:\.\d{1,6})?) (\d{1,5}(?:\.\d{1,6})?) ?\]")
_LARGEST_FILE = 999_999_999
"""Larger offsets have more digits than are reserved for them."""


def seal_prepared(
    pdf: bytes,
    *,
    seal: SealInUse,
    tsa: TimeStamper,
    place: SealPlace,
    reason: str,
    at: datetime,
    further: Sequence[FurtherField] = (),
) -> bytes | None:
    """The sealed PDF, or None if page or picture has another form than expected. The key signs exactly once.

    `reason` is text; `at` is an aware time; `further` are the empty fields for seals to come. Raises
    `KeyUnavailable`, and `Conflict` (NO_ROOM) if certificates and time-stamp do not fit.
    """
    prepared = _prepare(seal.suite, seal.certs[0], seal.picture_pdf, seal.seal_data)
    page = _read_page(pdf, place.page)
    if prepared is None or page is None:
        return None
    before, after = _update(page, prepared, place, reason, at, further)
    algorithm = seal.key.record.suite.digest
    signed_attrs = encode_signed_attributes(prepared.attributes, digest(algorithm, pdf, before, after))
    signature = seal.key.sign(signed_attrs)
    token = tsa.stamp(digest(seal.stamp_digest, signature), seal.stamp_digest)
    frame = encode_seal_cms(
        suite=seal.suite,
        x509_certs=seal.certs,
        sealing_cert=seal.certs[0],
        signed_attrs=signed_attrs,
        signature=signature,
        unsigned_attrs=[encode_attribute(SIGNATURE_TIME_STAMP_OID, token)],
    )
    digits = frame.hex().upper().encode("ascii")
    if len(digits) > CONTENTS_HEX_DIGITS:
        raise Conflict("The seal's certificates do not fit into the room reserved.", code="NO_ROOM")
    return b"".join((pdf, before, b"<", digits.ljust(CONTENTS_HEX_DIGITS, b"0"), b">", after))


# Parts that are the same for every page ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Picture:
    """The seal's picture: an encoded form XObject (dictionary, stream), width and height in points."""

    xobject: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Prepared:
    """The parts of a seal that are the same on every page: its picture, its constant signed attributes (DER), and
    the entries that its suite requires in the catalogue."""

    picture: _Picture
    declared: Entries
    attributes: tuple[bytes, ...]


def picture_as_xobject(picture_pdf: bytes) -> bytes | None:
    """The page that `issuer.seals.artwork` writes, as an encoded form XObject; None for any other page."""
    picture = _read_picture(picture_pdf)
    return picture.xobject if picture is not None else None


@lru_cache(maxsize=64)
def _prepare(suite: str, cert: bytes, picture_pdf: bytes, seal_data: bytes) -> _Prepared | None:
    """The constant parts of a seal, cached by the values of the arguments, so that another certificate or picture
    gives new ones; contains no key."""
    picture = _read_picture(picture_pdf)
    if picture is None:
        return None
    return _Prepared(picture, _DECLARED[suite], encode_constant_seal_attributes(suite, cert, seal_data))


def _read_picture(picture_pdf: bytes) -> _Picture | None:
    """The page that `issuer.seals.artwork` writes, as a form XObject; None for a page that refers to other objects."""
    file = read_plain_pdf(picture_pdf)
    page = _page_of(file, 0) if file is not None else None
    if file is None or page is None or set(page.page) != _PAGE_NEEDS:
        return None
    contents = file.stream(reference(page.page[b"Contents"]) or 0)
    box = _BOX_AT_ORIGIN.fullmatch(page.page[b"MediaBox"])
    resources = parse_entries(page.page[b"Resources"], 0)
    if contents is None or resources is None or box is None or b" R" in page.page[b"Resources"]:
        return None
    entries, data = contents
    if set(entries) != {b"Length", b"Filter"} or entries[b"Filter"] != b"/FlateDecode":
        return None
    xobject = (
        b"<<\n/Type /XObject\n/Subtype /Form\n/BBox %b\n/Resources %b\n/Filter /FlateDecode\n/Length %d\n>>\n"
        b"stream\n%b\nendstream" % (page.page[b"MediaBox"], page.page[b"Resources"], len(data), data)
    )
    width, height = int(float(box[1])), int(float(box[2]))
    return _Picture(xobject, width, height) if width > 0 and height > 0 else None


# The page --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Page:
    """One of our own pages: its file, the numbers and entries of the catalogue and of the page, and the structure of
    a tagged file."""

    file: PlainPdf
    catalogue_number: int
    catalogue: Entries
    page_number: int
    page: Entries
    structure: PlainStructure | None


def _read_page(pdf: bytes, index: int) -> _Page | None:
    """Page `index` (-1 is the last) of a file that can be sealed here; None if anything in it is unknown."""
    file = read_plain_pdf(pdf) if len(pdf) <= _LARGEST_FILE else None
    if file is None or not {b"ID", b"Info"} <= set(file.trailer) or _first_id(file) is None:
        return None
    page = _page_of(file, index)
    if page is None or (b"Annots" in page.page and references(page.page[b"Annots"]) is None):
        return None
    return page


def _page_of(file: PlainPdf, index: int) -> _Page | None:
    root = reference(file.trailer[b"Root"])
    catalogue = file.dictionary(root) if root is not None else None
    if root is None or catalogue is None or not _CATALOGUE_NEEDS <= set(catalogue) <= _CATALOGUE_MAY:
        return None
    if catalogue[b"Type"] != b"/Catalog" or not _names_files_only(catalogue):
        return None
    pages_number = reference(catalogue[b"Pages"])
    pages = file.dictionary(pages_number) if pages_number is not None else None
    if pages is None or set(pages) != _PAGES or pages[b"Type"] != b"/Pages":
        return None
    kids = references(pages[b"Kids"])
    if not kids or len(set(kids)) != len(kids) or pages[b"Count"] != b"%d" % len(kids):
        return None
    if not -1 <= index < len(kids):
        return None
    number = kids[index]
    page = file.dictionary(number)
    if page is None or not _PAGE_NEEDS <= set(page) <= _PAGE_MAY or page[b"Type"] != b"/Page":
        return None
    if reference(page[b"Parent"]) != pages_number or len({root, pages_number, number}) != 3:
        return None
    structure = read_structure(file, catalogue) if is_tagged(catalogue) else None
    if structure is not None:
        others = {root, pages_number, number, structure.root_number, structure.top_number}
        if len(others) != 5:
            return None
    elif is_tagged(catalogue):
        return None
    return _Page(file, root, catalogue, number, page, structure)


def _names_files_only(catalogue: Entries) -> bool:
    if b"Names" not in catalogue:
        return True
    names = parse_entries(catalogue[b"Names"], 0)
    return names is not None and set(names[0]) == {b"EmbeddedFiles"}


def _first_id(file: PlainPdf) -> bytes | None:
    """The file's permanent identifier, a literal string, with its brackets (ISO 32000-1 §14.4)."""
    parts = file.trailer[b"ID"].strip(b"[]").replace(b")", b"(").split(b"(")
    if len(parts) != 5 or [parts[0], parts[4]] != [b"", b""] or parts[2].strip(b" ") or not parts[1]:
        return None
    return b"(%b)" % parts[1]


# The update ------------------------------------------------------------------------------------------------


def _update(
    page: _Page,
    prepared: _Prepared,
    place: SealPlace,
    reason: str,
    at: datetime,
    further: Sequence[FurtherField],
) -> tuple[bytes, bytes]:
    """The bytes to be appended to the page's file: those up to the gap of the signature, and those after it."""
    file = page.file
    form, widget, image, drawn, signature = range(file.size, file.size + 5)
    empty = {signature + n: field for n, field in enumerate(further, 1)}
    widgets = [widget, *(number for number, field in empty.items() if field.box is not None)]
    tree = page.structure
    parents = {
        number: b"/StructParent %d\n" % (tree.next_key + n) if tree is not None else b""
        for n, number in enumerate(widgets)
    }
    added = {b"Annots": _with(page.page.get(b"Annots"), widgets)}
    bodies = {
        page.page_number: _changed(page.page, {**added, b"Tabs": b"/S"} if tree is not None else added),
        page.catalogue_number: _changed(
            page.catalogue,
            {
                b"AcroForm": b"%d 0 R" % form,
                **prepared.declared,
                b"Perms": b"<< /DocMDP %d 0 R >>" % signature,
            },
        ),
        form: b"<<\n/Fields %b\n/SigFlags 3\n>>" % _with(None, [widget, *empty]),
        widget: (
            b"<<\n/FT /Sig\n/T (%b)\n/TU %b\n/Type /Annot\n/Subtype /Widget\n/F 132\n/Rect [ %d %d %d %d ]\n"
            b"/P %d 0 R\n%b/AP << /N %d 0 R >>\n/V %d 0 R\n>>"
            % (
                FIELD_NAME.encode("ascii"),
                _text(FIELD_IN_WORDS[FIELD_NAME]),
                *place.box,
                page.page_number,
                parents[widget],
                drawn,
                signature,
            )
        ),
        image: prepared.picture.xobject,
        drawn: _appearance(prepared.picture, image, place),
        **{
            number: _empty_field(field, page.page_number, parents.get(number, b""))
            for number, field in empty.items()
        },
    }
    if tree is not None:
        grown = tree.grown(page.page_number, signature + 1 + len(empty), widgets)
        bodies |= {number: _changed(entries, {}) for number, entries in grown.items()}
    rest = (
        b"\n/Type /Sig\n/Filter /Adobe.PPKLite\n/SubFilter /ETSI.CAdES.detached\n/M (D:%b)\n/Reason %b\n"
        % (at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode("ascii"), _text(reason))
    )
    rest += (
        b"/Reference [ << /Type /SigRef /TransformMethod /DocMDP /TransformParams "
        b"<< /Type /TransformParams /V /1.2 /P %d >> >> ]\n" % (2 if further else 1)
    )
    updated = UpdatedFile(
        data=file.data,
        size=file.size,
        table=file.table,
        ends_in_stream=False,
        trailer=b"/Root %b\n/Info %b\n" % (file.trailer[b"Root"], file.trailer[b"Info"]),
        # The second identifier is new, the first one stays.
        identifiers=b"[ %b <%b> ]" % (_first_id(file) or b"", secrets.token_hex(16).encode("ascii")),
    )
    return write_signed_update(updated, bodies, signature, CONTENTS_HEX_DIGITS, rest)


def _changed(entries: Entries, new: Entries) -> bytes:
    return b"<<\n%b>>" % b"".join(b"/%b %b\n" % item for item in {**entries, **new}.items())


def _text(words: str) -> bytes:
    return b"<%b>" % (b"\xfe\xff" + words.encode("utf-16-be")).hex().upper().encode("ascii")


def _empty_field(field: FurtherField, page_number: int, parent: bytes) -> bytes:
    left, bottom, right, top = field.box or (0, 0, 0, 0)
    page = b"/P %d 0 R\n" % page_number if field.box is not None else b""
    return (
        b"<<\n/FT /Sig\n/T (%b)\n/TU %b\n/Type /Annot\n/Subtype /Widget\n/F 132\n/Rect [ %d %d %d %d ]\n"
        b"%b%b/Lock %b\n>>"
        % (
            field.name.encode("ascii"),
            _text(FIELD_IN_WORDS[field.name]),
            left,
            bottom,
            right,
            top,
            page,
            parent,
            field.lock,
        )
    )


def _with(annotations: bytes | None, widgets: Sequence[int]) -> bytes:
    numbers = [*(references(annotations) or ()), *widgets]
    return b"[ %b ]" % b" ".join(b"%d 0 R" % number for number in numbers)


def _appearance(picture: _Picture, image: int, place: SealPlace) -> bytes:
    left, bottom, right, top = place.box
    return appearance(picture.xobject, image, abs(right - left), abs(top - bottom))
