"""The data file of a licence inside its PDF: attached, or as private data if the PDF may not have attachments.

    attached    /Names /EmbeddedFiles, one file named ecertificate.json (ISO 32000-2 §7.11.4)
    private     catalogue /PieceInfo << /Yinzheng << /LastModified (D:…) /Private N 0 R >> >> (ISO 32000-2 §14.5);
                N is a stream of the same bytes. For a department's PDF that is PDF/A-1, -2 or -4 and stays so.

A licence has one or the other, never both.
"""

from __future__ import annotations

from typing import Any

from trust.model.errors import TrustError
from trust.pdf.reading import MAX_ATTACHMENT_BYTES, PdfRefused, attachments

ATTACHMENT_NAME = "ecertificate.json"
PIECE = "/Yinzheng"


def read_data_file(reader: Any) -> bytes:
    """The bytes of the data file.

    Raises `PdfRefused` (SIG_CONSTRAINTS_FAILURE, LIMIT_EXCEEDED, BROKEN_PDF) unless there is exactly one.
    """
    attached, private = attachments(reader), _private(reader.root)
    names = [*attached, *([ATTACHMENT_NAME] if private is not None else [])]
    if names != [ATTACHMENT_NAME]:
        raise PdfRefused(
            f"The file holds {len(names)} attachments, not the one data file.", code="SIG_CONSTRAINTS_FAILURE"
        )
    return attached[ATTACHMENT_NAME] if private is None else private


def _private(root: Any) -> bytes | None:
    try:
        if "/PieceInfo" not in root or PIECE not in root["/PieceInfo"]:
            return None
        data = bytes(root["/PieceInfo"][PIECE]["/Private"].data)
    except TrustError:
        raise
    except Exception as exc:  # a parser may raise anything on hostile input
        raise PdfRefused("The data of the licence cannot be read.", code="BROKEN_PDF") from exc
    if len(data) > MAX_ATTACHMENT_BYTES:
        raise PdfRefused("The data of the licence is too large.", code="LIMIT_EXCEEDED")
    return data
