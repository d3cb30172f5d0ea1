"""PDFs as office programs, scanners and transfers leave them: odd, and opened by every viewer without a word."""

from __future__ import annotations

from collections.abc import Callable, Mapping

HEAD = b"0000000000 65535 f \n"
_CONTENT = b"BT /F1 14 Tf 60 760 Td (A letter) Tj ET"


def page_objects(
    catalogue: bytes = b"", page: bytes = b"", more: Mapping[int, bytes] | None = None
) -> dict[int, bytes]:
    """Catalogue 1, pages 2, page 3, its content 4, a font 5; and `more`."""
    return {
        1: b"<</Type/Catalog/Pages 2 0 R%b>>" % catalogue,
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 5 0 R>>>>/Contents 4 0 R%b>>" % page,
        4: b"<</Length %d>>\nstream\n%b\nendstream" % (len(_CONTENT), _CONTENT),
        5: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        **(more or {}),
    }  # fmt: skip


def letter(
    objects: Mapping[int, bytes] | None = None,
    *,
    head: bytes = HEAD,
    first: int = 0,
    count: int | None = None,
    size: int | None = None,
    entries: Mapping[int, bytes] | None = None,
    before: bytes = b"",
    after: bytes = b"",
    counted_from_start: bool = False,
) -> bytes:
    """One page with a table in one piece. `entries` stand in it instead of those of the objects, or beside them.

    `first`, `count` and `size` are what the table says of itself, true or not.
    """
    objects = page_objects() if objects is None else objects
    out = bytearray(b"%PDF-1.7\n")
    shift = len(before) if counted_from_start else 0
    lines = {0: head}
    for number, body in objects.items():
        lines[number] = b"%010d 00000 n \n" % (len(out) + shift)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    lines |= entries or {}
    highest = max(lines)
    table = [lines.get(number, HEAD) for number in range(highest + 1)]
    start = len(out) + shift
    out += b"xref\n%d %d\n%b" % (first, len(table) if count is None else count, b"".join(table))
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        highest + 1 if size is None else size,
        start,
    )
    return before + bytes(out) + after


def with_update(pdf: bytes, table: bytes, *, size: int, bodies: bytes = b"") -> bytes:
    """A further revision that writes only `table` (after the word xref), and perhaps objects before it."""
    prev = int(pdf[pdf.rindex(b"startxref") + 9 :].split()[0])
    start = len(pdf) + len(bodies)
    return pdf + bodies + b"xref\n%btrailer\n<</Size %d/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (
        table, size, prev, start,
    )  # fmt: skip


def in_streams() -> bytes:
    """The same letter with a cross-reference stream, two of whose entries are free."""
    out = bytearray(b"%PDF-1.7\n")
    rows = {0: (0, 0, 255), 6: (0, 0, 0), 7: (0, 0, 1)}
    for number, body in page_objects().items():
        rows[number] = (1, len(out), 0)
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    rows[8] = (1, len(out), 0)
    data = b"".join(
        bytes([kind]) + at.to_bytes(4, "big") + bytes([last]) for _, (kind, at, last) in sorted(rows.items())
    )
    start = len(out)
    out += (
        b"8 0 obj\n<</Type/XRef/Size 9/W[1 4 1]/Root 1 0 R/Length %d>>\nstream\n%b\nendstream\nendobj\n"
        % (len(data), data)
    )
    return bytes(out) + b"startxref\n%d\n%%%%EOF\n" % start


def hybrid() -> bytes:
    """As an office program writes it: a table for old readers, and a stream with what only new ones see."""
    objects = page_objects(b"/StructTreeRoot 6 0 R/MarkInfo<</Marked true>>")
    packed = b"6 0 <</Type/StructTreeRoot>>"
    objects[7] = b"<</Type/ObjStm/N 1/First 4/Length %d>>\nstream\n%b\nendstream" % (len(packed), packed)
    pdf = letter(objects, entries={8: HEAD})
    row = b"\x02" + (7).to_bytes(4, "big") + b"\0\0"
    stream = b"8 0 obj\n<</Type/XRef/Size 9/W[1 4 2]/Index[6 1]/Root 1 0 R/Length 7>>\nstream\n%b\nendstream\nendobj\n"
    bodies = stream % row
    prev = int(pdf[pdf.rindex(b"startxref") + 9 :].split()[0])
    start = len(pdf) + len(bodies)
    return (
        pdf
        + bodies
        + b"xref\n0 0\ntrailer\n<</Size 9/Root 1 0 R/Prev %d/XRefStm %d>>\nstartxref\n%d\n%%%%EOF"
        % (prev, len(pdf), start)
    )


def _dead(pdf: bytes) -> bytes:
    return with_update(pdf, b"0 1\n" + HEAD + b"5 1\n0000000000 00001 f \n", size=7)


FREE: dict[str, Callable[[], bytes]] = {
    "a free entry of generation 65535": lambda: letter(entries={6: HEAD}),
    "a free entry of generation 0": lambda: letter(entries={6: b"0000000000 00000 f \n"}),
    "a free entry of generation 1": lambda: letter(entries={6: b"0000000000 00001 f \n"}),
    "many free entries": lambda: letter(entries=dict.fromkeys(range(6, 40), b"0000000000 00000 f \n")),
    "free entries in a stream": in_streams,
    "entries in lines of their own length": lambda: letter().replace(b" 00000 n \n", b" 00000 n\r\n\n"),
    "an object freed by an update": lambda: _dead(letter(page_objects(more={6: b"<</Old true>>"}))),
}
"""Files in good order: a free entry is nothing."""

REWRITTEN: dict[str, Callable[[bytes], bytes]] = {
    "startxref and the end in one line": lambda pdf: pdf.replace(b"\n%%EOF\n", b" %%EOF\n"),
    "spaces before the end": lambda pdf: pdf.replace(b"\n%%EOF\n", b"\n   %%EOF \n"),
    "every offset wrong": lambda pdf: pdf.replace(
        b"%PDF-1.7\n", b"%PDF-1.7\n% one line more than was counted\n"
    ),
    "startxref into nowhere": lambda pdf: pdf.replace(b"startxref\n", b"startxref\n9"),
    "a table that is none": lambda pdf: pdf.replace(b"\nxref\n", b"\nxerf\n"),
    "a version that is none": lambda pdf: pdf.replace(b"%PDF-1.7", b"%PDF-x.y"),
}
"""Odd endings and headers, which programs that sign do not read, and viewers do."""

LOOSE: dict[str, Callable[[], bytes]] = {
    "a head of generation 65536": lambda: letter(head=b"0000000000 65536 f \n"),
    "an entry of generation 99999": lambda: letter(entries={6: b"0000000000 99999 f \n"}),
    "/Size too small": lambda: letter(size=3),
    "a table that announces one too many": lambda: letter(count=7),
    "a table that announces one too few": lambda: letter(count=5),
    "a table that announces none": lambda: letter(count=0),
    "a table that begins with 1": lambda: letter(first=1),
    "a hybrid file": hybrid,
}
"""Files that viewers open because they overlook something."""

AROUND: dict[str, Callable[[], bytes]] = {
    "zeros after the end": lambda: letter(after=bytes(300)),
    "spaces after the end": lambda: letter(after=b"   \t  "),
    "the end of a text file": lambda: letter(after=b"\x1a"),
    "line ends after the end": lambda: letter(after=b"\r\n\r\n\n"),
    "a byte-order mark": lambda: letter(before=b"\xef\xbb\xbf"),
    "a line before the header": lambda: letter(before=b"Content-Type: application/pdf\r\n\r\n"),
    "an empty line before the header": lambda: letter(before=b"\n"),
    "a byte-order mark that is counted": lambda: letter(before=b"\xef\xbb\xbf", counted_from_start=True),
}
"""Files with something harmless around them."""

HARMLESS: dict[str, Callable[[], bytes]] = {
    "/OpenAction: a destination": lambda: letter(page_objects(b"/OpenAction[3 0 R/XYZ null null 0]")),
    "/OpenAction: a named destination": lambda: letter(page_objects(b"/OpenAction(first)")),
    "/OpenAction: GoTo": lambda: letter(page_objects(b"/OpenAction<</S/GoTo/D[3 0 R/Fit]>>")),
    "/OpenAction: GoTo elsewhere": lambda: letter(
        page_objects(b"/OpenAction 6 0 R", more={6: b"<</Type/Action/S/GoTo/D(first)>>"})
    ),
    "/OpenAction: GoTo twice": lambda: letter(
        page_objects(b"/OpenAction<</S/GoTo/D(a)/Next[<</S/GoTo/D(b)>>]>>")
    ),
    "/OpenAction: null": lambda: letter(page_objects(b"/OpenAction null")),
    "an empty form": lambda: letter(page_objects(b"/AcroForm<</Fields[]/DA(/Helv 0 Tf)/NeedAppearances true>>")),
    "an empty form elsewhere": lambda: letter(
        page_objects(b"/AcroForm 6 0 R", more={6: b"<</Fields 7 0 R>>", 7: b"[]"})
    ),
    "a form without fields": lambda: letter(page_objects(b"/AcroForm<<>>")),
    "a form that is null": lambda: letter(page_objects(b"/AcroForm null")),
    "no attachments": lambda: letter(page_objects(b"/Names<</EmbeddedFiles<</Names[]>>>>")),
    "no branches of attachments": lambda: letter(page_objects(b"/Names<</EmbeddedFiles<</Kids[]>>>>")),
    "an empty branch of attachments": lambda: letter(
        page_objects(b"/Names 6 0 R", more={6: b"<</EmbeddedFiles 7 0 R>>", 7: b"<</Kids[8 0 R]>>", 8: b"<</Names[]>>"})
    ),
    "an empty list of associated files": lambda: letter(page_objects(b"/AF[]")),
    "a reference to nothing": lambda: letter(page_objects(b"/Foo 9 0 R", b"/Annots[9 0 R]")),
    "an attachment's /Size of six digits": lambda: letter(page_objects(more={6: b"<</Params<</Size 250000>>>>"})),
}  # fmt: skip
"""Files with something in them that does nothing."""


def _acting(action: bytes) -> Callable[[], bytes]:
    return lambda: letter(page_objects(b"/OpenAction" + action))


ACTING: dict[str, Callable[[], bytes]] = {
    kind: _acting(action)
    for kind, action in {
        "an address": b"<</S/URI/URI(https://a.example)>>",
        "a script": b"<</S/JavaScript/JS(1)>>",
        "a program": b"<</S/Launch/F(x)>>",
        "a form sent off": b"<</S/SubmitForm/F(x)>>",
        "printing": b"<</S/Named/N/Print>>",
        "hiding": b"<</S/Hide/T(x)>>",
        "another file": b"<</S/GoToR/F(x)/D[0/Fit]>>",
        "an address after a page": b"<</S/GoTo/D(a)/Next<</S/URI/URI(https://a.example)>>>>",
        "an address in a list after a page": b"<</S/GoTo/D(a)/Next[<</S/GoTo/D(b)>><</S/URI/URI(x)>>]>>",
        "no kind of action": b"<</D(a)>>",
    }.items()
}
"""Files that do something when they are opened."""

FULL: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a field": ("HAS_FORM", lambda: letter(
        page_objects(b"/AcroForm<</Fields[6 0 R]>>", more={6: b"<</FT/Tx/T(name)>>"}))),
    "an attachment": ("HAS_ATTACHMENTS", lambda: letter(
        page_objects(b"/Names<</EmbeddedFiles<</Names[(a)6 0 R]>>>>", more={6: b"<</Type/Filespec/F(a)>>"}))),
    "an attachment in a branch": ("HAS_ATTACHMENTS", lambda: letter(
        page_objects(b"/Names<</EmbeddedFiles<</Kids[7 0 R]>>>>",
                     more={6: b"<</Type/Filespec/F(a)>>", 7: b"<</Names[(a)6 0 R]>>"}))),
    "an associated file": ("HAS_ATTACHMENTS", lambda: letter(
        page_objects(b"/AF[6 0 R]", more={6: b"<</Type/Filespec/F(a)>>"}))),
    "too many objects": ("LIMIT_EXCEEDED", lambda: letter(size=250_000)),
    "something else after the end": ("BROKEN_PDF", lambda: letter(after=b"PK\x03\x04")),
}  # fmt: skip
"""Files that are refused, and the code."""
