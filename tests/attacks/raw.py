"""PDFs written byte by byte, for shapes that no library would write."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping


def written(
    objects: Mapping[int, bytes],
    *,
    trailer: bytes = b"/Root 1 0 R",
    size: int | None = None,
    header: bytes = b"%PDF-1.7\n",
    prev: bytes = b"",
) -> bytes:
    """A file with these objects (number to body) and a classical cross-reference table."""
    out = bytearray(header)
    offsets: dict[int, int] = {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 1\n0000000000 65535 f \n"
    for number, offset in offsets.items():
        out += b"%d 1\n%010d 00000 n \n" % (number, offset)
    declared = size if size is not None else max(offsets, default=0) + 1
    out += b"trailer\n<</Size %d %s%s>>\nstartxref\n%d\n%%%%EOF\n" % (declared, trailer, prev, start)
    return bytes(out)


def stream(data: bytes, entries: bytes = b"", *, length: int | None = None) -> bytes:
    declared = length if length is not None else len(data)
    return b"<</Length %d %s>>\nstream\n%s\nendstream" % (declared, entries, data)


def flate_bomb(megabytes: int, layers: int = 1) -> bytes:
    """Zeros, packed so often."""
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    for _ in range(layers - 1):
        data = zlib.compress(data, 9)
    return data


def page_tree(
    content: bytes = b"<</Length 0>>\nstream\n\nendstream",
    *,
    catalogue: bytes = b"",
    pages: bytes = b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
    page: bytes = b"",
    media_box: bytes = b"[0 0 595 842]",
) -> dict[int, bytes]:
    return {
        1: b"<</Type/Catalog/Pages 2 0 R%s>>" % catalogue,
        2: pages,
        3: b"<</Type/Page/Parent 2 0 R/MediaBox%s/Contents 4 0 R%s>>" % (media_box, page),
        4: content,
    }


def appended(pdf: bytes, objects: Mapping[int, bytes], *, size: int, root: int | None = None) -> bytes:
    """An incremental update with a table of its own, after whatever the file ends with."""
    root = root or int(re.findall(rb"/Root (\d+) 0 R", pdf)[-1])
    out = bytearray(pdf if pdf.endswith(b"\n") else pdf + b"\n")
    before = pdf.rindex(b"startxref")
    prev = int(pdf[before + 9 :].split()[0])
    offsets = {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n"
    for number, offset in sorted(offsets.items()):
        out += b"%d 1\n%010d 00000 n \n" % (number, offset)
    out += b"trailer\n<</Size %d/Root %d 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (size, root, prev, start)
    return bytes(out)
