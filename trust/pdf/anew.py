"""Rewriting a file as one reader sees it, in one revision, with one cross-reference table.

A file that viewers open although its tables are wrong, or a hybrid one that has two of them, can be read in more than
one way. If it were sealed like that, another reader could see another document under the same seal. So it is rewritten
in an unambiguous form before it is sealed. Only for files that are not signed yet.
"""

from __future__ import annotations

import io
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer

from trust.encoding.digests import sha256
from trust.pdf.reading import PdfRefused, open_pdf


def write_anew(reader: PdfFileReader, data: bytes) -> bytes:
    """The file that `reader` sees in `data`, rewritten. Deterministic. Raises `PdfRefused` (BROKEN_PDF)."""
    try:
        writer: Any = copy_into_new_writer(reader)
        writer.output_version = max(writer.output_version, reader.input_version)
        writer._update_meta = lambda: None  # keep the file's metadata unchanged
        made = sha256(data)[:16]
        library: Any = generic
        writer._document_id = library.ArrayObject([library.ByteStringObject(made)] * 2)
        out = io.BytesIO()
        writer.write(out)
    except Exception as exc:  # a parser may raise anything on hostile input
        raise PdfRefused(
            "The PDF is broken and cannot be read.", "Save it anew from its source.", code="BROKEN_PDF"
        ) from exc
    open_pdf(out.getvalue())
    return out.getvalue()
