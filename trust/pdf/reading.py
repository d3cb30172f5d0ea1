"""Opening a PDF that others made, with limits, and inspecting every object in it.

Used by the issuer (a department's own PDF to be sealed) and by the verifier (any file). Both call it inside the
sandbox. Results are plain data; the reader itself is the only pyHanko object that leaves this module.

Objects are inspected by their parsed names, in every revision, including object streams, and never by searching raw
bytes: compressed data contains `/JS` by chance, and a name may be written `/J#53`.

There are two ways to open a file. `open_pdf` is strict, for everything that we wrote or are about to seal.
`open_as_viewers_do` also accepts what every viewer opens silently: bytes before the header, spaces or zeros after the
end, a cross-reference table with wrong counts, hybrid files (ISO 32000-2 §7.5.8.4). It reports which errors it
tolerated in which revision, so that a check of a signature can decide whether the signature covers them.
"""

from __future__ import annotations

import binascii
import io
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from pyhanko.pdf_utils import generic, misc
from pyhanko.pdf_utils import reader as library_reader
from pyhanko.pdf_utils import xref as library_xref
from pyhanko.pdf_utils.decode_limits import (
    DecodeLimits,
    DecodePurpose,
    DocumentDecodeBudget,
    StreamDecodeLimits,
)
from pyhanko.pdf_utils.reader import PdfFileReader

from trust.model.errors import Malformed, TrustError
from trust.pdf.limits import MAX_FILE_BYTES

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
"""Names of active content. None of them is allowed in a licence.

An /OpenAction that only goes to a place in the document does not count, because every office program writes one.
"""
DOCUMENT_TYPE = "<!DOCTYPE"
"""The name in an inventory for metadata that declare entities."""


class PdfRefused(Malformed):
    """The PDF is refused, for the reason that `code` names."""


def open_pdf(data: bytes) -> PdfFileReader:
    """Opens a file strictly. Raises `PdfRefused` (NOT_A_PDF, TOO_LARGE, BROKEN_PDF, ENCRYPTED, LIMIT_EXCEEDED)."""
    check_outer_shape(data)
    return _open(data, strict=True)


@dataclass(frozen=True, slots=True)
class Opened:
    """A file as viewers open it. `data` begins with the header, which is `before` bytes after the start of the input.

    `remarks` says which errors were tolerated; `loose` names the revisions that have them.
    """

    reader: PdfFileReader
    data: bytes
    before: int
    remarks: tuple[str, ...]
    loose: frozenset[int]


def open_as_viewers_do(data: bytes) -> Opened:
    """Opens a file strictly if possible, otherwise tolerantly, noting the errors. Raises as `open_pdf`."""
    _check_size(data)
    before = data.find(_HEADER, 0, _HEADER_WITHIN + len(_HEADER))
    if before < 0:
        raise _not_a_pdf()
    given, data = data, data[before:]
    end = _end_of_file(data)
    remarks = []
    if before:
        remarks.append(f"{before} bytes stand before the header")
    if not _is_line_end(data[end:]):
        remarks.append("spaces or zeros stand after the end")
    try:
        reader = _open(data, strict=True, kind=_ReaderOfNothing)
        if not reader.xrefs.hybrid_xrefs_present:
            return Opened(reader, data, before, tuple(remarks), frozenset())
    except PdfRefused as exc:
        if exc.code != "BROKEN_PDF":
            raise
    try:
        reader, overlooked = _open_loosely(data)
    except PdfRefused as exc:
        if exc.code != "BROKEN_PDF":
            raise
        counted = _open_counted_from_start(given) if before else None
        if counted is not None:
            (reader, overlooked), data, before = counted, given, 0
        else:
            reader = _open_without_table(data)
            overlooked = [(0, "the cross-reference table cannot be used")]
    remarks += [text for _, text in overlooked]
    loose = frozenset(revision for revision, _ in overlooked)
    return Opened(reader, data, before, tuple(dict.fromkeys(remarks)), loose)


def cut_to_shape(data: bytes) -> bytes:
    """The file from its header to its end, without bytes that a transfer added before it and spaces or zeros after it.

    Only for files that are not signed yet. Raises `PdfRefused` (NOT_A_PDF, TOO_LARGE, BROKEN_PDF).
    """
    _check_size(data)
    before = data.find(_HEADER, 0, _HEADER_WITHIN + len(_HEADER))
    if before < 0:
        raise _not_a_pdf()
    end = _end_of_file(data)
    return data[before:] if _is_line_end(data[end:]) else data[before:end] + b"\n"


_BEGIN = re.compile(rb"(?<!\d)(\d{1,10})[\0\t\n\x0c\r ]+(\d{1,5})[\0\t\n\x0c\r ]+obj(?![A-Za-z])")
_STREAM = re.compile(rb"stream\r?\n")
_TRAILERS_TRIED, _LONGEST_TRAILER = 16, 4096
_ROOT = re.compile(rb"/Root\s+(\d{1,10})\s+(\d{1,5})\s+R")
_PACKED = re.compile(rb"/Type\s*/(?:ObjStm|XRef)(?![A-Za-z])|/Encrypt(?![A-Za-z])")


def _open_without_table(data: bytes) -> PdfFileReader:
    """Opens a file by searching it for objects, the last of each number, as viewers do if no table can be used.

    Only if no objects are in object streams. The whole file is then one revision. Raises `PdfRefused` (BROKEN_PDF).
    """
    broken = PdfRefused(
        "The PDF is broken and cannot be read.", "Save it anew from its source.", code="BROKEN_PDF"
    )
    root, end = None, len(data)
    for _ in range(_TRAILERS_TRIED):
        end = max(0, data.rfind(b"trailer", 0, end))
        if root := _ROOT.search(data, end, end + _LONGEST_TRAILER):
            break
    if root is None or _PACKED.search(data):
        raise broken
    found: dict[int, tuple[int, int]] = {}
    at = 0
    while begin := _BEGIN.search(data, at):
        found[int(begin[1])] = (begin.start(), int(begin[2]))
        end = data.find(b"endobj", begin.end())
        if end >= 0 and (stream := _STREAM.search(data, begin.end(), end)):
            # What looks like an object inside a stream is not an object of this file.
            closed = data.find(b"endstream", stream.end())
            end = data.find(b"endobj", closed) if closed >= 0 else -1
        at = end if end >= 0 else len(data)
        if len(found) > MAX_OBJECTS:
            raise broken
    table = b"\nxref\n0 1\n0000000000 65535 f \n" + b"".join(
        b"%d 1\n%010d %05d n \n" % (number, offset, generation)
        for number, (offset, generation) in sorted(found.items())
    )
    trailer = b"trailer\n<</Size %d/Root %b %b R>>\nstartxref\n%d\n%%%%EOF\n" % (
        max(found, default=0) + 1, root[1], root[2], len(data) + 1,
    )  # fmt: skip
    reader = _open(data + table + trailer, strict=False)
    reader.stream = io.BytesIO(data)  # the table was made here, so no signature covers it
    return reader


class _ReaderOfNothing(PdfFileReader):
    """A strict reader, except that a reference to a missing object is null (ISO 32000-2 §7.3.10)."""

    def _read_object(self, ref: Any, marker: Any, *args: Any, **options: Any) -> Any:
        if marker is not None:
            untyped: Any = super()._read_object
            return untyped(ref, marker, *args, **options)
        nothing: Any = generic.NullObject()
        nothing.container_ref = ref
        return nothing


def _open(data: bytes, *, strict: bool, kind: type[PdfFileReader] = PdfFileReader) -> PdfFileReader:
    _teach_library()
    try:
        reader = kind(io.BytesIO(data), strict=strict, decode_limits=_LIMITS)
        if "/Encrypt" in reader.trailer:
            raise _encrypted(reader)
        if int(reader.trailer_view["/Size"]) > MAX_OBJECTS:
            raise _too_many()
        if not isinstance(reader.root, generic.DictionaryObject):
            raise PdfRefused("The PDF has no catalogue.", code="BROKEN_PDF")
    except TrustError:
        raise
    except Exception as exc:  # a parser may raise anything on hostile input, RecursionError included
        raise PdfRefused(
            "The PDF is broken and cannot be read.", "Save it anew from its source.", code="BROKEN_PDF"
        ) from exc
    return reader


def _encrypted(reader: PdfFileReader) -> PdfRefused:
    """The refusal of an encrypted file. Says which kind of password it has, because a file with an owner password only
    opens without a prompt, so its user may not know that it is encrypted."""
    try:
        opens_by_itself = reader.decrypt(b"").status.name != "FAILED"
    except Exception:  # another security handler, or broken: no details are given
        opens_by_itself = False
    if opens_by_itself:
        return PdfRefused(
            "The PDF is protected by an owner password: it opens without one, but is encrypted and may not be changed.",
            "Take the protection off in the program that set it, or print it to a new PDF, and use that.",
            code="ENCRYPTED",
        )
    return PdfRefused(
        "The PDF is encrypted: it takes a password to open it.",
        "Save it without a password.",
        code="ENCRYPTED",
    )


_Note = tuple[int, str]
_overlooked: ContextVar[list[_Note] | None] = ContextVar("_overlooked", default=None)
"""(offset of a table, or minus the number of a stream; what was wrong), collected while a file is read tolerantly."""


def _note(where: int, *texts: str) -> None:
    noted = _overlooked.get()
    if noted is not None:
        noted += [(where, text) for text in texts]


def _open_counted_from_start(given: bytes) -> tuple[PdfFileReader, list[_Note]] | None:
    """Opens a file whose writer counts offsets from the first byte instead of the header (against ISO 32000-2 §7.5.5);
    None if it is not such a file."""
    try:
        reader, overlooked = _open_loosely(given)
    except PdfRefused:
        return None
    return reader, [*overlooked, (0, "offsets are counted from before the header")]


_BEHIND_STARTXREF = range(16)
"""How far after the offset in startxref a table may begin: the word xref and white space."""


def _open_loosely(data: bytes) -> tuple[PdfFileReader, list[tuple[int, str]]]:
    """The reader, and (revision, tolerated error) pairs. Raises `PdfRefused`."""
    tables: list[_Note] = []
    token = _overlooked.set(tables)
    try:
        reader = _open(data, strict=False)
    finally:
        _overlooked.reset(token)
    untyped: Any = reader.xrefs
    sections: list[Any] = untyped._xref_sections
    of_table: dict[int, int] = {}
    for revision, section in enumerate(sections):
        of_table[section.meta_info.start_location] = revision
        if section.meta_info.stream_ref is not None:
            of_table[-section.meta_info.stream_ref.idnum] = revision
    found = [(of_table.get(where, len(sections) - 1), text) for where, text in tables]
    highest = 0
    for revision, section in enumerate(sections):
        data_of, meta = section.xref_data, section.meta_info
        if data_of.hybrid is not None:
            found.append((revision, "the file is a hybrid: it has two cross-reference tables"))
        numbers = [each.idnum for each in untyped.explicit_refs_in_revision(revision)]
        highest = max([highest, *numbers])
        if highest >= meta.size:
            found.append((revision, "/Size is smaller than the number of objects"))
        if any(data_of.higher_generation_refs()):
            found.append((revision, "objects have generations"))
        if meta.start_location - meta.declared_startxref not in _BEHIND_STARTXREF:
            found.append((revision, "startxref points beside the cross-reference table"))
        # /Size decides whether a number was free before a revision, so a wrong /Size must not hide that it was used.
        size = max(meta.size, highest + 1)
        sections[revision] = replace(section, meta_info=replace(meta, size=size))
    try:
        library_xref._check_xref_consistency(sections)
    except Exception:  # the exact cause does not matter; all is blamed on the last revision
        found.append((len(sections) - 1, "the cross-reference tables do not fit together"))
    if not found:
        found.append((len(sections) - 1, "the file is not quite in order"))
    return reader, found


_library_read_hex: Any = generic.read_hex_string_from_stream
_library_table: Any = library_xref.parse_xref_table
_library_stream: Any = library_xref.parse_xref_stream
_library_header: Any = library_reader._read_header_version
_library_end: Any = library_reader.process_data_at_eof
_ANY_VERSION = (1, 7)
_LAST_LINES = 2048
_END = re.compile(rb"startxref\s*(\d{1,10})\s*%%EOF")
_IN_NO_TABLE = -(1 << 62)
_EXACT_END = re.compile(rb"startxref[\0\t\n\x0c\r ]+(\d{1,10})[\0\t\n\x0c\r ]+%%EOF[\0\t\n\x0c\r \x1a]*\Z")


def _teach_library() -> None:
    """Patches pyHanko to read a hex string in one step, and cross-reference tables with limits and as viewers do.

    The library reads hex digit by digit, which for the 65,536 digits of a seal takes a third of a verification. Strings
    with anything but digits still go to the library. Idempotent.
    """
    generic.read_hex_string_from_stream = _read_hex_string
    untyped: Any = library_xref
    untyped.parse_xref_table = _read_table
    untyped.parse_xref_stream = _read_xref_stream
    untyped = library_reader
    untyped._read_header_version = _read_header
    untyped.process_data_at_eof = _read_end


def _read_header(stream: Any) -> Any:
    """Reads the header; tolerantly, anywhere that viewers look for it."""
    try:
        return _library_header(stream)
    except misc.PdfReadError:
        stream.seek(0)
        at = stream.read(_HEADER_WITHIN + len(_HEADER)).find(_HEADER)
        if _overlooked.get() is None or at < 0:
            raise
    try:
        return _library_header(io.BytesIO(stream.getvalue()[at : at + 20]))
    except misc.PdfReadError:
        return _ANY_VERSION


def _read_end(stream: Any) -> int:
    """Reads the last startxref; tolerantly, also with %%EOF on the same line or with spaces around them."""
    end = stream.tell() + 1
    stream.seek(max(0, end - _LAST_LINES))
    # The library searches backwards byte by byte for the beginning of a line, perhaps through the whole file.
    last = io.BytesIO(stream.read(min(end, _LAST_LINES)))
    last.seek(-1, io.SEEK_END)
    try:
        found_at = int(_library_end(last))
        exact = _EXACT_END.search(last.getvalue())
        if exact is None or int(exact[1]) != found_at:
            # The library accepts numbers that viewers do not accept; those would search for objects instead.
            if _overlooked.get() is None:
                raise misc.PdfReadError("startxref is not in its form")
            _note(_IN_NO_TABLE, "startxref is not in its form")
        return found_at
    except misc.PdfReadError:
        if _overlooked.get() is None:
            raise
        found = _END.findall(last.getvalue())
        if not found:
            raise
        return int(found[-1])


def _too_many() -> PdfRefused:
    return PdfRefused("The PDF declares too many objects.", code="LIMIT_EXCEEDED")


def _not_too_many(entries: Iterator[Any]) -> Iterator[Any]:
    for number, entry in enumerate(entries):
        if number > MAX_OBJECTS:
            raise _too_many()
        yield entry


def _read_xref_stream(found: Any, strict: bool = True) -> Iterator[Any]:
    """Checks the number of declared objects before reading entries, because an entry may take no bytes at all."""
    index = found.get("/Index", [0, found.get("/Size")])
    counts = [int(count) for count in list(index)[1::2]]
    if min(counts, default=0) < 0:
        raise misc.PdfReadError("a cross-reference stream with less than no entries")
    if sum(counts) > MAX_OBJECTS:
        raise _too_many()
    try:
        entries = list(_not_too_many(_library_stream(found, strict=True)))
    except PdfRefused:
        raise
    except Exception:
        if strict:
            raise
        container = found.container_ref
        _note(-container.idnum if container is not None else 0, "a cross-reference stream is not in its form")
        entries = list(_not_too_many(_library_stream(found, strict=False)))
    yield from entries


_TABLE_ENTRY = re.compile(rb"\s*(\d{1,10})\s+(\d{1,10})\s+([nf])(?=\s)")
_TABLE_HEAD = re.compile(rb"\s*(\d{1,10})\s+(\d{1,10})(?=\s)")
_TABLE_END = re.compile(rb"\s*trailer\s*")
_LAST_GENERATION = 0xFFFF
_LONGEST_TABLE = 32 * MAX_OBJECTS


def _is_head(entry: Any) -> bool:
    """True for the head of the list of free entries, which is always object 0 (ISO 32000-2 §7.5.4)."""
    return entry.xref_type is library_xref.XRefType.FREE and entry.generation >= _LAST_GENERATION


def _up_to_trailer(stream: Any) -> bytes:
    """The bytes of one table only, because a file may have a great many tables, and the reader visits each of them."""
    start, size = stream.tell(), 4096
    while True:
        data = bytes(stream.read(size))
        if len(data) < size or size > _LONGEST_TABLE or b"trailer" in data[:-1]:
            return data
        stream.seek(start)
        size *= 4


def _read_table(stream: Any, strict: bool) -> Iterator[Any]:
    """The entries of a table (ISO 32000-2 §7.5.4). Tolerantly, the count that a subsection announces is ignored."""
    if strict:
        yield from _not_too_many(_library_table(stream, strict))
        return
    start = stream.tell()
    try:
        entries = list(_not_too_many(_library_table(stream, True)))
        begins_wrongly = bool(entries) and _is_head(entries[0]) and entries[0].idnum == 1
        if not begins_wrongly and all(each.generation <= _LAST_GENERATION for each in entries):
            yield from entries
            return
    except PdfRefused:
        raise
    except Exception:
        _note(start, "the cross-reference table is not in its form")
    stream.seek(start)
    data = _up_to_trailer(stream)
    at = number = left = read = 0
    wrong = set()
    while (end := _TABLE_END.match(data, at)) is None:
        if entry := _TABLE_ENTRY.match(data, at):
            at, read = entry.end(), read + 1
            offset, generation = int(entry[1]), int(entry[2])
            if read == 1 and number == 1 and entry[3] == b"f" and generation >= _LAST_GENERATION:
                number = 0  # see _is_head
                wrong.add("the cross-reference table begins with the wrong number")
            if left <= 0:
                wrong.add("the cross-reference table holds more entries than it says")
            if generation > _LAST_GENERATION:
                wrong.add("an entry has a generation that there is not")
            kind = library_xref.XRefType.STANDARD if entry[3] == b"n" else library_xref.XRefType.FREE
            if read > MAX_OBJECTS:
                raise _too_many()
            if generation <= _LAST_GENERATION:
                yield library_xref.XRefEntry(
                    kind, offset if entry[3] == b"n" else None, idnum=number, generation=generation
                )
            number, left = number + 1, left - 1
        elif head := _TABLE_HEAD.match(data, at):
            if left > 0:
                wrong.add("the cross-reference table holds fewer entries than it says")
            at, number, left = head.end(), int(head[1]), int(head[2])
        else:
            raise misc.PdfReadError("not a cross-reference table")
    if left > 0:
        wrong.add("the cross-reference table holds fewer entries than it says")
    _note(start, *sorted(wrong))
    stream.seek(start + end.end())
    misc.skip_over_whitespace(stream)


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


_HEADER = b"%PDF-"
_HEADER_WITHIN = 1024
"""Where viewers look for the header (ISO 32000-1, implementation note 13)."""
_EOF = b"%%EOF"
_BLANK = b"\0\t\n\x0c\r \x1a"
"""White space (ISO 32000-2 table 1), and the end-of-file character of DOS."""


def check_outer_shape(data: bytes) -> None:
    """Checks the size, and that nothing comes before %PDF- and nothing but one line end after %%EOF.

    Raises `PdfRefused`.
    """
    _check_size(data)
    if not data.startswith(_HEADER):
        raise _not_a_pdf()
    tail = data[-64:].rstrip(b"\r\n")
    if len(data[-64:]) - len(tail) > 2 or not tail.endswith(_EOF) or b"startxref" not in tail:
        raise PdfRefused("The PDF does not end where it should.", "Save it anew.", code="BROKEN_PDF")


def _check_size(data: bytes) -> None:
    if len(data) > MAX_FILE_BYTES:
        raise PdfRefused(
            f"The file is larger than {MAX_FILE_BYTES // (1024 * 1024)} MiB.",
            "Make it smaller.",
            code="TOO_LARGE",
        )


def _not_a_pdf() -> PdfRefused:
    return PdfRefused("The file is not a PDF.", "Choose the PDF itself.", code="NOT_A_PDF")


def _end_of_file(data: bytes) -> int:
    """The offset after the last %%EOF, which only spaces, zeros and line ends may follow. Raises `PdfRefused`."""
    end = data.rfind(_EOF) + len(_EOF)
    if end < len(_EOF) or data[end:].strip(_BLANK) or b"startxref" not in data[max(0, end - 64) : end]:
        raise PdfRefused("The PDF does not end where it should.", "Save it anew.", code="BROKEN_PDF")
    return end


def ends_plainly(data: bytes) -> bool:
    """True if at most a line end follows the last %%EOF."""
    return _is_line_end(data[data.rfind(_EOF) + len(_EOF) :])


def _is_line_end(tail: bytes) -> bool:
    """True for what may follow %%EOF: nothing, a line end, or two of one byte."""
    return len(tail) <= 2 and not tail.strip(b"\r\n")


def walk_objects(reader: PdfFileReader) -> Iterator[tuple[int, generic.Reference, Any]]:
    """(revision, reference, object) for every object that any revision of the file adds or replaces.

    Free entries (ISO 32000-2 §7.5.4), which mark deleted objects, are skipped.
    """
    for revision in range(reader.xrefs.total_revisions):
        for ref in reader.xrefs.explicit_refs_in_revision(revision):
            if reader.xrefs.get_historical_ref(ref, revision) is None:
                continue
            # The newest version of an object is read through the reader's cache, where later calls find it.
            newest = reader.xrefs.get_last_change(ref) == revision
            yield revision, ref, reader.get_object(ref, revision=None if newest else revision)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the objects of a file contain, by their names. `seals` counts signatures except document time-stamps."""

    active_names: frozenset[str]
    seals: int
    signature_dictionaries: int
    signature_fields: int
    revisions: int
    pages: int


def take_inventory(reader: PdfFileReader) -> Inventory:
    """Walks all objects once. Raises `PdfRefused` if that is not possible within the limits."""
    active: set[str] = set()
    seals, signatures = 0, 0
    fields: dict[tuple[int, int], int] = {}
    try:
        for _, ref, found in walk_objects(reader):
            fields_here = 0
            for dictionary in _dictionaries(found, 0, active):
                kind = dictionary.raw_get("/Type") if "/Type" in dictionary else None
                # A dictionary with /ByteRange is a signature, whatever its /Type says.
                if kind in ("/Sig", "/DocTimeStamp") or "/ByteRange" in dictionary:
                    signatures += 1
                    seals += kind != "/DocTimeStamp"
                if "/FT" in dictionary and dictionary["/FT"] == "/Sig":
                    fields_here += 1
                if kind == "/Metadata" and _declares_types(dictionary):
                    active.add(DOCUMENT_TYPE)
            # A field that is filled later is in two revisions, but counts once.
            key = (ref.idnum, ref.generation)
            fields[key] = max(fields_here, fields.get(key, 0))
        for name in reader.trailer_view:
            if name in ACTIVE_NAMES:
                active.add(str(name))
        pages = _count_leaves(reader.root, "/Pages", MAX_PAGES)
        form = _value(reader.root, "/AcroForm")
        if isinstance(form, generic.DictionaryObject) and "/Fields" in form:
            _count_leaves(form, "/Fields", MAX_FIELDS)
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
    """The number of leaves (pages or form fields) in the tree under `key`, counted without trusting /Count.

    A branch has /Kids. A branch that occurs twice is refused, because the walk could be endless or exponential.
    """
    waiting, seen, leaves = [parent.raw_get(key)], set[Any](), 0
    while waiting:
        found = waiting.pop()
        if isinstance(found, generic.IndirectObject):
            if found.reference in seen or len(seen) > 2 * most:
                raise PdfRefused("The PDF has a tree that is none, or too large.", code="LIMIT_EXCEEDED")
            seen.add(found.reference)
            found = found.get_object()
        if isinstance(found, generic.DictionaryObject) and "/Kids" in found:
            waiting.append(found.raw_get("/Kids"))
        elif isinstance(found, generic.ArrayObject):
            waiting += [found.raw_get(index) for index in range(len(found))]
        else:
            leaves += 1
    return leaves


def has_form(reader: PdfFileReader) -> bool:
    """True if the form has a field; office programs leave empty forms behind. Raises `PdfRefused`."""
    return _has_leaves(reader.root, "/AcroForm", "/Fields", MAX_FIELDS)


def has_attachments(reader: PdfFileReader) -> bool:
    """True if there is an attachment, not just an empty list of them. Raises `PdfRefused`."""
    try:
        associated, names = _value(reader.root, "/AF"), _value(reader.root, "/Names")
        if not isinstance(associated, generic.NullObject) and len(associated):
            return True
    except Exception as exc:  # see open_pdf
        raise PdfRefused("The attachments of the PDF cannot be read.", code="BROKEN_PDF") from exc
    return isinstance(names, generic.DictionaryObject) and _has_leaves(
        names, "/EmbeddedFiles", "/Names", MAX_FIELDS
    )


def _has_leaves(parent: generic.DictionaryObject, key: str, leaves: str, most: int) -> bool:
    """True if the tree under `key` has content: a branch has /Kids, a leaf has its content under the key `leaves`."""
    try:
        waiting, walked = [_value(parent, key)], 0
        while waiting:
            found, walked = waiting.pop().get_object(), walked + 1
            if walked > most:
                raise PdfRefused("The PDF has a tree that is none, or too large.", code="LIMIT_EXCEEDED")
            if isinstance(found, generic.NullObject):
                continue
            if not isinstance(found, generic.DictionaryObject):
                return True
            held, kids = _value(found, leaves), _value(found, "/Kids")
            if isinstance(held, generic.ArrayObject):
                each = (held.raw_get(index).get_object() for index in range(len(held)))
                if not all(isinstance(value, generic.NullObject) for value in each):
                    return True
            elif not isinstance(held, generic.NullObject):
                return True
            if not isinstance(kids, generic.NullObject):
                waiting += [kids.raw_get(index) for index in range(len(kids))]
    except TrustError:
        raise
    except Exception as exc:  # see open_pdf
        raise PdfRefused("The PDF is broken and cannot be read.", "Save it anew.", code="BROKEN_PDF") from exc
    return False


def attachments(reader: PdfFileReader) -> dict[str, bytes]:
    """Every embedded file by its name. Raises `PdfRefused` for a name tree that is not flat."""
    found: dict[str, bytes] = {}
    try:
        # `get` would return an unresolved reference; [] resolves it.
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
    """True if XMP metadata have a DTD. XMP needs none (ISO 16684-1 §7.3), and its entities could be expanded or
    fetched."""
    if not isinstance(found, generic.StreamObject):
        return False
    packet = found.read_data(DecodePurpose.XMP_METADATA).replace(b"\0", b"")  # in UTF-16 as well
    return b"<!DOCTYPE" in packet or b"<!ENTITY" in packet


_MIB = 1024 * 1024
_LIMITS = DecodeLimits(
    per_stream=StreamDecodeLimits(max_output_size=64 * _MIB),
    document_budget=DocumentDecodeBudget(base_allowance=128 * _MIB, max_ratio=0),
)


def _value(dictionary: generic.DictionaryObject, key: str) -> Any:
    """The value of a key, or null if it is missing; the library raises for a key whose value is null."""
    return dictionary.raw_get(key).get_object() if key in dictionary else generic.NullObject()


def _only_turns_a_page(action: Any, depth: int = 0) -> bool:
    """True for a destination, or an action that only goes to one (ISO 32000-2 §12.3.2, §12.6.4.2) without a next
    action.

    `take_inventory` inspects the name of every revision of an action as well.
    """
    if isinstance(action, generic.NullObject | generic.ArrayObject | generic.NameObject):
        return True
    if isinstance(action, generic.TextStringObject | generic.ByteStringObject):
        return True
    if not isinstance(action, generic.DictionaryObject) or depth > _MAX_DEPTH:
        return False
    if "/S" not in action or action["/S"] != "/GoTo":
        return False
    following = _value(action, "/Next")
    listed = list(following) if isinstance(following, generic.ArrayObject) else [following]
    return all(
        isinstance(each, generic.NullObject)
        or (isinstance(each, generic.DictionaryObject) and _only_turns_a_page(each, depth + 1))
        for each in (each.get_object() for each in listed)
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
            if key in ACTIVE_NAMES and not (key == "/OpenAction" and _only_turns_a_page(_value(found, key))):
                active.add(str(key))
            yield from _dictionaries(found.raw_get(key), depth + 1, active)
    elif isinstance(found, generic.ArrayObject):
        for index in range(len(found)):
            yield from _dictionaries(found.raw_get(index), depth + 1, active)
