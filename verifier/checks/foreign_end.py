"""Checking what follows the last signature in a PDF that others signed: only evidence in updates is allowed.

A library reads only the objects that the cross-reference tables name. A viewer that cannot use a table searches the
file for objects, so bytes that no table names may change what people see. Every byte after the last covered one must
therefore belong to: an object that a table of these updates names, each once; a table with its trailer; one startxref
for each table; or white space and comments between them.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.diff_analysis.policy_api import DiffResult
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from trust.model.errors import VerificationError
from trust.pdf.reading import Opened, ends_plainly
from verifier.checks.foreign_later import ONLY_EVIDENCE

_SPACE = rb"[\0\t\n\x0c\r ]"
_BETWEEN = re.compile(rb"(?:%b|%%(?!%%EOF)[^\r\n]*[\r\n])*" % _SPACE)
_BEGIN = re.compile(rb"(?<!\d)(\d{1,10})%b+\d{1,5}%b+obj(?![A-Za-z])" % (_SPACE, _SPACE))
_STREAM = re.compile(rb"stream\r?\n")
_TABLE = re.compile(rb"xref%b" % _SPACE)
_POINTER = re.compile(rb"%b+(\d{1,10})%b+%%%%EOF" % (_SPACE, _SPACE))


def check_end(opened: Opened, last: EmbeddedPdfSignature, end: int) -> None:
    """Checks that only a DSS follows the last covered byte, which is evidence and does not change what is shown.

    Raises `VerificationError` (PARTIAL_COVER).
    """
    data = opened.data
    if end == len(data):
        return
    if not ends_plainly(data):
        raise VerificationError("Spaces or zeros follow that no signature covers.", code="PARTIAL_COVER")
    untyped: Any = last
    untyped.compute_integrity_info(diff_policy=ONLY_EVIDENCE)
    result: Any = last.diff_result
    if not isinstance(result, DiffResult) or result.modification_level > ModificationLevel.LTA_UPDATES:
        raise VerificationError("Something follows that no signature covers.", code="PARTIAL_COVER")
    if not _is_accounted_for(opened, last.signed_revision, end):
        raise VerificationError(
            "Something follows that no signature covers and no cross-reference table names.",
            code="PARTIAL_COVER",
        )


def _is_accounted_for(opened: Opened, signed: int, end: int) -> bool:
    data, untyped = opened.data, opened.reader.xrefs
    xrefs: Any = untyped
    objects: dict[int, int] = {}
    tables: dict[int, int | None] = {}
    for revision in range(signed + 1, xrefs.total_revisions):
        meta = xrefs._xref_sections[revision].meta_info
        tables[meta.declared_startxref] = meta.stream_ref.idnum if meta.stream_ref is not None else None
        for ref in xrefs.explicit_refs_in_revision(revision):
            offset = xrefs.get_historical_ref(ref, revision)
            if isinstance(offset, int):  # else free, or in an object stream, a part itself
                objects[offset] = ref.idnum
    begins = sorted(objects.keys() | tables.keys())
    first = begins[0] if begins else len(data)
    if first < end or not _is_between(data[end:first]):
        return False
    for begin, following in pairwise([*begins, len(data)]):
        part = data[begin:following]
        if begin not in tables:
            if not _is_object(part, objects[begin]):
                return False
        elif not _is_table(part, begin, tables[begin]):
            return False
    return True


def _is_between(part: bytes) -> bool:
    return _BETWEEN.fullmatch(part) is not None and b"obj" not in part


def _is_object(part: bytes, number: int) -> bool:
    """True if `part` is exactly one object with this number. Bytes inside its stream count as part of the stream."""
    begin = _BEGIN.match(part)
    if begin is None or int(begin[1]) != number:
        return False
    stream, closed = _STREAM.search(part), part.rfind(b"endstream")
    if stream is not None and closed >= stream.end():
        if b"endstream" in part[stream.end() : closed]:
            return False
        part = part[: stream.start()] + b" " + part[closed + len(b"endstream") :]
    rest = part[begin.end() :]
    return (
        rest.count(b"endobj") == 1
        and _BEGIN.search(rest) is None
        and b"startxref" not in rest
        and _is_between(rest[rest.index(b"endobj") + len(b"endobj") :])
    )


def _is_table(part: bytes, at: int, stream: int | None) -> bool:
    """True if `part` is one table with its trailer, or one cross-reference stream, and one startxref pointing to it."""
    table, found, behind = part.rpartition(b"startxref")
    pointer = _POINTER.match(behind)
    if not found or pointer is None or int(pointer[1]) != at or not _is_between(behind[pointer.end() :]):
        return False
    if stream is not None:
        return _is_object(table, stream)
    return (
        _TABLE.match(table) is not None
        and table.count(b"trailer") == 1
        and _BEGIN.search(table) is None
        and b"startxref" not in table
        and b"%%EOF" not in table
    )
