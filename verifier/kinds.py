"""What a file is that cannot be checked here, by its first bytes, so that people hear what to do with it.

Only names are looked at; nothing is unpacked or decoded. A name inside a zip file stands in plain in its local header
(APPNOTE.TXT §4.3.7), and office programs put theirs first.
"""

from __future__ import annotations

_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_ZIP, _OLE = (b"PK\x03\x04", b"PK\x05\x06"), b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_LOOKED_AT = 64 * 1024
_PACKED = (b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")


def name_kind(data: bytes) -> str | None:
    """The code of a kind that is known and cannot be checked: KIND_HEIC, _OFD, _OFFICE, _PACKED; None for any other."""
    head = data[:_LOOKED_AT]
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "KIND_HEIC"
    if head.startswith(_OLE):
        return "KIND_OFFICE"
    if head.startswith(_ZIP):
        # The names at the end of the file stand there whatever comes first.
        names = head + data[-_LOOKED_AT:]
        if b"OFD.xml" in names:
            return "KIND_OFD"
        if b"[Content_Types].xml" in names or b"content.xml" in names:
            return "KIND_OFFICE"
        return "KIND_PACKED"
    return "KIND_PACKED" if head.startswith(_PACKED) else None
