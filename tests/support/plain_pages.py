"""A small PDF of the shape that `trust.pdf.plain` reads, made of parts that a test exchanges one at a time."""

from __future__ import annotations

from collections.abc import Mapping

OBJECTS: Mapping[int, bytes] = {
    1: b"<</Type/Catalog/Pages 2 0 R>>",
    2: b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
    3: b"<</Type/Page/Resources<<>>/MediaBox[0 0 595 842]/Parent 2 0 R/Contents 4 0 R>>",
    4: b"<</Length 18>>\nstream\n9 9 300 300 re f  \nendstream",
    5: b"<</Title(Page)>>",
    6: b"[1 0 R]",
}
TRAILER = b"<</Size %d/Root 1 0 R/Info 5 0 R/ID[(ab)(cd)]>>"


def build(
    *,
    objects: Mapping[int, bytes] | None = None,
    trailer: bytes = TRAILER,
    header: bytes = b"%PDF-1.7\n",
) -> bytes:
    """The file with these objects in the place of its own; offsets and sizes are right."""
    bodies = {**OBJECTS, **(objects or {})}
    out = bytearray(header)
    table = [b"0000000000 65535 f \n"]
    for number in sorted(bodies):
        table.append(b"%010d 00000 n \n" % len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, bodies[number])
    start, size = len(out), len(bodies) + 1
    out += b"xref\n0 %d\n%b" % (size, b"".join(table))
    out += b"trailer\n%b\nstartxref\n%d\n%%%%EOF\n" % (trailer % size, start)
    return bytes(out)
