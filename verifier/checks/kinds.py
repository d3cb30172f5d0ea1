"""Recognising kinds of files that cannot be checked here by their first bytes, to tell people what to do with them.

Nothing is unpacked or decoded. The names of the files in a zip archive are uncompressed in its local headers
(APPNOTE.TXT §4.3.7), and office programs write their typical names first.
"""

from __future__ import annotations

import re
import unicodedata

_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_ZIP, _OLE = (b"PK\x03\x04", b"PK\x05\x06"), b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LOOKED_AT = 64 * 1024
_PACKED = (b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")
_PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")
"""How the files begin that `pictures` reads."""


def name_kind(data: bytes) -> str | None:
    """The code of a kind that is known and cannot be checked: KIND_HEIC, _OFD, _OFFICE, _PACKED; None for any other."""
    head = data[:_LOOKED_AT]
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "KIND_HEIC"
    if head.startswith(_OLE):
        return "KIND_OFFICE"
    if head.startswith(_ZIP):
        # The central directory at the end repeats the names, in whatever order the files come.
        names = head + data[-_LOOKED_AT:]
        if b"OFD.xml" in names:
            return "KIND_OFD"
        if b"[Content_Types].xml" in names or b"content.xml" in names:
            return "KIND_OFFICE"
        return "KIND_PACKED"
    return "KIND_PACKED" if head.startswith(_PACKED) else None


def name_typed(text: str) -> str | None:
    """The kind of text typed in place of a code: identifier, credit-code, identity-number, report-code or number."""
    typed = "".join(unicodedata.normalize("NFKC", text).split()).upper()
    if len(typed) > 120 or "/" in typed or len(set(typed) & set("0123456789")) == 0:
        return None
    if _IDENTIFIER.fullmatch(typed):
        return "identifier"
    if _REPORT_CODE.fullmatch(typed):
        return "report-code"
    if _IDENTITY.fullmatch(typed):
        return "identity-number"
    if _CREDIT_CODE.fullmatch(typed):
        return "credit-code"
    return "number" if sum(each.isdigit() for each in typed) >= 5 else None


_IDENTIFIER = re.compile(r"1\.2\.156\.[0-9A-Z.]{8,}")
_REPORT_CODE = re.compile(r"[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}")
_IDENTITY = re.compile(r"[1-9]\d{5}(?:19|20)\d{2}[01]\d[0-3]\d\d{3}[0-9X]")
_CREDIT_CODE = re.compile(r"[0-9A-Z]{2}\d{6}[0-9A-Z]{10}")


def looks_like_picture(data: bytes) -> bool:
    """True if the file begins as one of a picture that is read."""
    return data.startswith(_PICTURES)
