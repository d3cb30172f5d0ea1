"""Zip files of ours: a set of files has exactly one encoding, which uses no risky features of the format.

Entries are in the order of their names, stored without compression (whose output depends on the library's version), all
dated 1 January 1980, mode 0644. Names are up to five levels of plain ASCII; none can leave the folder.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from trust.model.errors import Malformed

MAX_FILES = 5000

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,4}")
_BEFORE_ALL_TIMES = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class Unzipped:
    """`files` by path; paths of files with a wrong zip checksum are in `damaged` instead."""

    files: Mapping[str, bytes]
    damaged: tuple[str, ...]


def encode_zip(files: Mapping[str, bytes]) -> bytes:
    """The canonical zip of these files. Raises `Malformed` for a name that is not allowed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, data in sorted(files.items()):
            _check_name(path)
            entry = zipfile.ZipInfo(path, _BEFORE_ALL_TIMES)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, data)
    return out.getvalue()


def decode_zip(data: bytes, *, max_bytes: int) -> Unzipped:
    """Reads a zip file. Raises `Malformed` (NO_ZIP, TOO_LARGE, ENCRYPTED) if it cannot be opened safely."""
    if len(data) > max_bytes:
        raise Malformed(
            f"The zip file is larger than {max_bytes >> 20} MiB.", "Check where it is from.", code="TOO_LARGE"
        )
    found: dict[str, bytes] = {}
    damaged: list[str] = []
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in _checked_entries(archive, len(data)):
                try:
                    found[entry.filename] = archive.read(entry)
                except zipfile.BadZipFile:  # a wrong checksum of the entry, or a bad local header
                    damaged.append(entry.filename)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, RuntimeError) as exc:
        raise _no_zip("The file is not a zip file, or it is broken.") from exc
    return Unzipped(found, tuple(damaged))


def _checked_entries(archive: zipfile.ZipFile, size: int) -> list[zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > MAX_FILES or sum(each.file_size for each in entries) > size:
        # Stored files cannot be larger than the zip; if they are, it is a zip bomb or its entries overlap.
        raise Malformed("The zip file claims more than it holds.", code="TOO_LARGE")
    if len({each.filename for each in entries}) != len(entries):
        raise _no_zip("Two files in the zip file have one name.")
    for each in entries:
        _check_name(each.filename)
        if each.flag_bits & _ENCRYPTED:
            raise Malformed("A file in the zip file is encrypted.", "Ask for one without.", code="ENCRYPTED")
        if each.compress_type != zipfile.ZIP_STORED:
            raise _no_zip("A file in the zip file is compressed; in ours none is.")
    return entries


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise _no_zip("A file in the zip file has a name that none of ours has.")


def _no_zip(what: str) -> Malformed:
    return Malformed(what, "Choose a file that this system made.", code="NO_ZIP")
