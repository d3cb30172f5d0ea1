"""A later version of a sealed PDF: one update that only adds evidence and a time-stamp.

A licence must stay provable after the certificates of its seal have expired. So the certificates and revocation lists
that prove its seal are added to the file (ETSI EN 319 142-1 §5.4.2: DSS), and a document time-stamp over everything
(§5.4.3) proves that they existed in time; later, another time-stamp does the same for that one (PAdES B-LTA). Each
later version is the one before plus one update (ISO 32000-2 §7.5.6):

    catalogue    as it was, and /DSS                  in the first update only
    form         /Fields with the new field at its end, /SigFlags 3
    DSS          /Certs, /OCSPs and /CRLs: the old ones, then the new ones
    new streams  certificates, OCSP answers, revocation lists, each in DER, unfiltered
    field        "Archive1", "Archive2", …: invisible
    /DocTimeStamp  /Contents of 16,384 hex digits, /ETSI.RFC3161, /ByteRange
    xref, trailer with /Prev; a cross-reference stream if the file ended with one

`encode_update` is deterministic for a file and a list of evidence: what is random in other PDFs (the second /ID) comes
from the digest of the version before. So the verifier does not search an update for errors; it encodes the same update
from its evidence, and compares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from trust.encoding.digests import sha256
from trust.model.errors import Malformed

CONTENTS_HEX_DIGITS = 16_384
"""Room for a time-stamp token of 8 KiB."""

_BYTE_RANGE_WIDTH = 48
_DOCUMENT_TIME_STAMP = b"\n/Type /DocTimeStamp\n/Filter /Adobe.PPKLite\n/SubFilter /ETSI.RFC3161\n"
_ARCHIVE_FIELD = re.compile(r"Archive[1-9]\d*")
_FORM_KEYS = {"/Fields", "/SigFlags"}
_DSS_KEYS = {"/Type", "/Certs", "/OCSPs", "/CRLs"}


class NotArchivable(Malformed):
    """The PDF has a shape for which an update cannot be written."""

    code = "NOT_ARCHIVABLE"


@dataclass(frozen=True, slots=True)
class DocumentEvidence:
    """Certificates, OCSP answers (RFC 6960) and revocation lists, each in DER."""

    certs: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Stored:
    """A piece of evidence in a file: its object number and its DER."""

    number: int
    der: bytes


@dataclass(frozen=True, slots=True)
class Version:
    """What an update needs of the version before it. `catalogue` is its dictionary as written."""

    data: bytes
    size: int
    root: int
    catalogue: bytes
    form: int
    fields: tuple[int, ...]
    names: tuple[str, ...]
    dss: int | None
    certs: tuple[Stored, ...]
    ocsps: tuple[Stored, ...]
    crls: tuple[Stored, ...]
    trailer: bytes
    first_id: bytes
    table: int
    ends_in_stream: bool

    @property
    def updates(self) -> int:
        """The number of updates of this kind in the file."""
        return sum(_ARCHIVE_FIELD.fullmatch(name) is not None for name in self.names)

    @property
    def evidence(self) -> DocumentEvidence:
        """All evidence in the file."""
        return DocumentEvidence(
            *(tuple(each.der for each in kind) for kind in (self.certs, self.ocsps, self.crls))
        )

    def evidence_since(self, before: Version) -> DocumentEvidence:
        """The evidence that was added after an earlier version."""
        now, then = self.evidence, before.evidence
        return DocumentEvidence(
            now.certs[len(then.certs) :], now.ocsps[len(then.ocsps) :], now.crls[len(then.crls) :]
        )


def read_version(data: bytes, reader: PdfFileReader) -> Version:
    """The version in `data`, which `reader` has opened. Raises `NotArchivable`."""
    try:
        return _read_version(data, reader)
    except NotArchivable:
        raise
    except Exception as exc:  # a parser may raise anything on hostile input
        raise NotArchivable("The PDF cannot be read as a version of a licence.") from exc


def _read_version(data: bytes, reader: PdfFileReader) -> Version:
    root = _number(reader.trailer.raw_get("/Root"))
    catalogue = reader.root
    form = _number(catalogue.raw_get("/AcroForm"))
    if set(catalogue["/AcroForm"]) != _FORM_KEYS or int(catalogue["/AcroForm"]["/SigFlags"]) != 3:
        raise NotArchivable("The form holds more than fields.")
    fields = catalogue["/AcroForm"]["/Fields"]
    dss: int | None = None
    certs: tuple[Stored, ...] = ()
    ocsps: tuple[Stored, ...] = ()
    crls: tuple[Stored, ...] = ()
    if "/DSS" in catalogue:
        dss = _number(catalogue.raw_get("/DSS"))
        store = catalogue["/DSS"]
        if set(store) != _DSS_KEYS or store["/Type"] != "/DSS":
            raise NotArchivable("The store of evidence has another form.")
        certs, ocsps, crls = (_stored(store[key]) for key in ("/Certs", "/OCSPs", "/CRLs"))
    (first_id, _) = reader.trailer.raw_get("/ID")
    table = int(data[data.rindex(b"startxref\n") + len(b"startxref\n") :].split(b"\n", 1)[0])
    info = b"/Info %d 0 R\n" % _number(reader.trailer.raw_get("/Info")) if "/Info" in reader.trailer else b""
    return Version(
        data=data,
        size=int(reader.trailer.raw_get("/Size")),
        root=root,
        catalogue=dictionary_at(data, reader, root),
        form=form,
        fields=tuple(_number(fields.raw_get(n)) for n in range(len(fields))),
        names=tuple(str(fields[n]["/T"]) for n in range(len(fields))),
        dss=dss,
        certs=certs,
        ocsps=ocsps,
        crls=crls,
        trailer=b"/Root %d 0 R\n%b" % (root, info),
        first_id=first_id.original_bytes,
        table=table,
        ends_in_stream=not data.startswith(b"xref\n", table),
    )


def _stored(listed: Any) -> tuple[Stored, ...]:
    found = []
    for n in range(len(listed)):
        stream = listed[n]
        if set(stream) != {"/Length"}:
            raise NotArchivable("Evidence is stored in another form.")
        found.append(Stored(_number(listed.raw_get(n)), bytes(stream.data)))
    return tuple(found)


def _number(value: Any) -> int:
    if not isinstance(value, generic.IndirectObject) or value.generation:
        raise NotArchivable("An object stands where a reference is expected.")
    return int(value.idnum)


def dictionary_at(data: bytes, reader: PdfFileReader, number: int) -> bytes:
    """The bytes of an object's dictionary in the file; the object must not be in an object stream.

    Raises `NotArchivable`.
    """
    offset = reader.xrefs[generic.Reference(number, 0, reader)]
    head = b"%d 0 obj\n" % number
    if not isinstance(offset, int) or not data.startswith(head, offset):
        raise NotArchivable("An object does not stand in the file by itself.")
    start = offset + len(head)
    found = data[start : data.index(b"\nendobj\n", start)].strip()
    if not found.startswith(b"<<") or not found.endswith(b">>"):
        raise NotArchivable("An object is no dictionary.")
    return found


# Writing ---------------------------------------------------------------------------------------------------


def encode_update(before: Version, new: DocumentEvidence) -> tuple[bytes, bytes]:
    """The bytes of the update before the gap of the time-stamp, and those after it.

    `new` is the evidence to add. The gap is `<`, `CONTENTS_HEX_DIGITS` digits, `>`.
    """
    dss = before.dss if before.dss is not None else before.size
    field = before.size if before.dss is not None else before.size + 1
    stamp = field + 1
    streams = [Stored(stamp + 1 + n, der) for n, der in enumerate((*new.certs, *new.ocsps, *new.crls))]
    numbers = iter(each.number for each in streams)
    listed = [
        _references([*(each.number for each in known), *(next(numbers) for _ in added)])
        for known, added in (
            (before.certs, new.certs),
            (before.ocsps, new.ocsps),
            (before.crls, new.crls),
        )
    ]
    bodies: dict[int, bytes] = {}
    if before.dss is None:
        bodies[before.root] = before.catalogue[:-2].rstrip() + b"\n/DSS %d 0 R\n>>" % dss
    bodies[before.form] = b"<<\n/Fields %b\n/SigFlags 3\n>>" % _references([*before.fields, field])
    bodies[dss] = b"<<\n/Type /DSS\n/Certs %b\n/OCSPs %b\n/CRLs %b\n>>" % tuple(listed)
    for each in streams:
        bodies[each.number] = b"<<\n/Length %d\n>>\nstream\n%b\nendstream" % (len(each.der), each.der)
    bodies[field] = (
        b"<<\n/FT /Sig\n/T (Archive%d)\n/Type /Annot\n/Subtype /Widget\n/F 132\n/Rect [ 0 0 0 0 ]\n/V %d 0 R\n>>"
        % (before.updates + 1, stamp)
    )
    return encode_signed_update(before, bodies, stamp, CONTENTS_HEX_DIGITS, _DOCUMENT_TIME_STAMP)


def encode_signed_update(
    before: Version, bodies: Mapping[int, bytes], signature: int, digits: int, rest: bytes
) -> tuple[bytes, bytes]:
    """`write_signed_update` for a version of a licence. Its second identifier is the digest of what it is based on."""
    identifiers = b"[ <%b> <%b> ]" % (
        before.first_id.hex().encode("ascii"),
        sha256(before.data)[:16].hex().encode("ascii"),
    )
    file = UpdatedFile(
        before.data, before.size, before.table, before.ends_in_stream, before.trailer, identifiers
    )
    return write_signed_update(file, bodies, signature, digits, rest)


@dataclass(frozen=True, slots=True)
class UpdatedFile:
    """What an update needs of the file that it is appended to.

    `size` is /Size, `table` the offset of the last cross-reference section. `trailer` holds the entries /Root and
    /Info, `identifiers` the value of the new /ID.
    """

    data: bytes
    size: int
    table: int
    ends_in_stream: bool
    trailer: bytes
    identifiers: bytes


def write_signed_update(
    file: UpdatedFile, bodies: Mapping[int, bytes], signature: int, digits: int, rest: bytes
) -> tuple[bytes, bytes]:
    """Encodes an update with the objects in `bodies` (by number) and the signature, whose dictionary ends with `rest`.

    Returns the bytes before the gap of `digits` hex digits, and those after it.
    """
    written = [b"" if file.data.endswith(b"\n") else b"\n"]
    length = len(file.data) + len(written[0])
    offsets = {}
    for number, body in bodies.items():
        offsets[number] = length
        written.append(b"%d 0 obj\n%b\nendobj\n" % (number, body))
        length += len(written[-1])
    offsets[signature] = length
    # /Contents comes first in its dictionary, one space before its value: rule 3 of `trust.pdf.gap`.
    written.append(b"%d 0 obj\n<<\n/Contents " % signature)
    head = b"".join(written)
    gap = len(file.data) + len(head)
    resume = gap + 2 + digits
    rest = b"%b>>\nendobj\n" % rest
    table = resume + len(b"\n/ByteRange ") + _BYTE_RANGE_WIDTH + len(rest)
    size = max(file.size, *(number + 1 for number in offsets))
    fields = b"%b/ID %b\n/Prev %d\n" % (file.trailer, file.identifiers, file.table)
    index = _stream(offsets, size, fields, table) if file.ends_in_stream else _table(offsets, size, fields)
    tail = b"%b%bstartxref\n%d\n%%%%EOF\n" % (rest, index, table)
    end = len(b"\n/ByteRange ") + _BYTE_RANGE_WIDTH + len(tail)
    byte_range = b"[0 %d %d %d]" % (gap, resume, end)
    return head, b"\n/ByteRange " + byte_range.ljust(_BYTE_RANGE_WIDTH) + tail


def _references(numbers: Any) -> bytes:
    return b"[ %b ]" % b" ".join(b"%d 0 R" % number for number in numbers)


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """(first, count) for each run of consecutive numbers."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and sum(runs[-1]) == number:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((number, 1))
    return runs


def _table(offsets: dict[int, int], size: int, fields: bytes) -> bytes:
    """A cross-reference table and trailer (ISO 32000-2 §7.5.4). `fields` are in the trailer beside /Size."""
    sections = [b"xref\n0 1\n0000000000 65535 f \n"]
    for first, count in _runs(list(offsets)):
        sections.append(b"%d %d\n" % (first, count))
        sections += [b"%010d 00000 n \n" % offsets[number] for number in range(first, first + count)]
    return b"%btrailer\n<<\n/Size %d\n%b>>\n" % (b"".join(sections), size, fields)


def _stream(offsets: dict[int, int], size: int, fields: bytes, at: int) -> bytes:
    """A cross-reference stream (ISO 32000-2 §7.5.8), unfiltered; it is the object `size`, at the offset `at`."""
    placed = {**offsets, size: at}
    runs = _runs(list(placed))
    entries = b"".join(
        b"\x01" + placed[number].to_bytes(4, "big") + b"\0"
        for first, count in runs
        for number in range(first, first + count)
    )
    index = b" ".join(b"%d %d" % run for run in runs)
    dictionary = b"/Type /XRef\n/Size %d\n/W [ 1 4 1 ]\n/Index [ %b ]\n%b/Length %d" % (
        size + 1,
        index,
        fields,
        len(entries),
    )
    return b"%d 0 obj\n<<\n%b\n>>\nstream\n%b\nendstream\nendobj\n" % (size, dictionary, entries)
