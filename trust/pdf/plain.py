"""A reader for PDFs of one plain shape only.

It reads the output of our layouts and our artwork, so that a page of ours can be sealed without a general PDF library.
It does not repair, guess or skip: it refuses anything else, and the caller then uses the general path
(`issuer.sealing.pdf`). The shape (ISO 32000-1 §7.5):

    %PDF-1.7 …                          the version in the header counts; no /Version
    n 0 obj ⏎ << … >> ⏎ endobj ⏎         every object that is read; a stream has a direct /Length
    xref ⏎ 0 N ⏎ N entries of 20 bytes   one table for the whole file, N = /Size
    trailer ⏎ << … >>                    /Size, /Root and optionally /Info and /ID; no /Prev, no /Encrypt
    startxref ⏎ offset ⏎ %%EOF ⏎?         the offset of that table

In dictionaries there may be names without escapes, numbers, references of generation 0, true and false,
arrays, dictionaries, and literal strings without brackets, backslashes or bytes beyond ASCII. Spaces and line
feeds separate; comments, hexadecimal strings and null do not occur.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Entries = Mapping[bytes, bytes]
"""A dictionary: each key without its slash, and the bytes of its value in the file."""

_TOKEN = re.compile(
    rb"[ \n]*(<<|>>|\[|\]|/[A-Za-z0-9_.+-]+|\([ -'*-\[\]-~]*\)|\d{1,10} 0 R(?![A-Za-z0-9])"
    rb"|-?(?:\d{1,10}(?:\.\d{1,10})?|\.\d{1,10})(?![A-Za-z0-9.])|(?:true|false)(?![A-Za-z0-9]))"
)
_END = re.compile(rb"\nstartxref\n([1-9]\d{0,9})\n%%EOF\n?\Z")
_TABLE_HEAD = re.compile(rb"xref\n0 ([1-9]\d{0,5})\n")
_TABLE = re.compile(rb"0{10} 65535 f(?: \n|\r\n)((?:\d{10} 00000 n(?: \n|\r\n))*)trailer\n")
_REFERENCE = re.compile(rb"(\d{1,10}) 0 R")
_ARRAY_OF_REFERENCES = re.compile(rb"\[ ?(\d{1,10} 0 R(?: \d{1,10} 0 R)*)? ?\]")
_ENTRY_BYTES = 20
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class PlainPdf:
    """A file of the plain shape: the offsets of its table and of each object (that of object 0 is unused)."""

    data: bytes
    table: int
    offsets: Sequence[int]
    trailer: Entries

    @property
    def size(self) -> int:
        """/Size: one more than the highest object number."""
        return len(self.offsets)

    def dictionary(self, number: int) -> Entries | None:
        """Object `number` if it is a dictionary in the plain shape, else None."""
        found = self._object(number)
        if found is None or not self.data.startswith(b"\nendobj\n", found[1]):
            return None
        return found[0]

    def stream(self, number: int) -> tuple[Entries, bytes] | None:
        """Object `number` as dictionary and data (still filtered); None if it is no stream."""
        found = self._object(number)
        if found is None:
            return None
        entries, end = found
        length = entries.get(b"Length", b"")
        start = end + len(b"\nstream\n")
        if not length.isdigit() or not self.data.startswith(b"\nstream\n", end):
            return None
        if not self.data.startswith(b"\nendstream\nendobj\n", start + int(length)):
            return None
        return entries, self.data[start : start + int(length)]

    def _object(self, number: int) -> tuple[Entries, int] | None:
        if not 0 < number < self.size:
            return None
        return parse_entries(self.data, self.offsets[number] + len(b"%d 0 obj\n" % number))


def read_plain_pdf(data: bytes) -> PlainPdf | None:
    """The file if it is of the plain shape, else None."""
    end = _END.search(data, max(0, len(data) - 64))
    if end is None or not data.startswith(b"%PDF-1.7\n"):
        return None
    table = int(end[1])
    head = _TABLE_HEAD.match(data, table)
    entries = _TABLE.match(data, head.end()) if head is not None else None
    if head is None or entries is None or len(entries[1]) != (int(head[1]) - 1) * _ENTRY_BYTES:
        return None
    offsets = [0, *(int(entries[1][at : at + 10]) for at in range(0, len(entries[1]), _ENTRY_BYTES))]
    # The table must be right about every object, also about those that are not read here.
    for number, offset in enumerate(offsets[1:], 1):
        if offset >= table or not data.startswith(b"\n%d 0 obj\n" % number, offset - 1):
            return None
    read = parse_entries(data, entries.end())
    if read is None or read[1] != end.start():
        return None
    trailer = read[0]
    if not {b"Size", b"Root"} <= set(trailer) <= {b"Size", b"Root", b"Info", b"ID"}:
        return None
    if trailer[b"Size"] != head[1]:
        return None
    return PlainPdf(data, table, offsets, trailer)


def parse_entries(data: bytes, at: int) -> tuple[Entries, int] | None:
    """The dictionary that starts at `at` and the offset after it; None if it is not in the plain shape."""
    opening = _TOKEN.match(data, at)
    if opening is None or opening[1] != b"<<" or opening.start(1) != at:
        return None
    entries: dict[bytes, bytes] = {}
    at = opening.end()
    while (key := _TOKEN.match(data, at)) is not None:
        if key[1] == b">>":
            return entries, key.end()
        name = key[1][1:]
        value = _value(data, key.end())
        if not key[1].startswith(b"/") or name in entries or value is None:
            return None
        start, at = value
        entries[name] = data[start:at]
    return None


def _value(data: bytes, at: int) -> tuple[int, int] | None:
    """The offsets of the start and end of the value after `at`."""
    start = -1
    open_brackets: list[bytes] = []
    while (token := _TOKEN.match(data, at)) is not None:
        at = token.end()
        start = token.start(1) if start < 0 else start
        match token[1]:
            case b"<<" | b"[" as bracket:
                open_brackets.append(b">>" if bracket == b"<<" else b"]")
                if len(open_brackets) > _DEEPEST:
                    return None
            case b">>" | b"]" as bracket:
                if not open_brackets or open_brackets.pop() != bracket:
                    return None
        if not open_brackets:
            return start, at
    return None


def reference(value: bytes | None) -> int | None:
    """The object number in `n 0 R`; None for anything else."""
    found = _REFERENCE.fullmatch(value or b"")
    return int(found[1]) if found else None


def references(value: bytes | None) -> list[int] | None:
    """The object numbers in an array that contains only references; None for anything else."""
    found = _ARRAY_OF_REFERENCES.fullmatch(value or b"")
    if found is None:
        return None
    return [int(number) for number in (found[1] or b"").split(b" ")[::3] if number]
