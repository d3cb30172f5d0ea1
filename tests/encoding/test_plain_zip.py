"""Zip files of ours: one encoding, and nothing that a reader has to be careful of."""

from __future__ import annotations

import io
import warnings
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.encoding.archive_package import decode_package
from trust.encoding.plain_zip import MAX_FILES, decode_zip, encode_zip
from trust.model.errors import Malformed

NAMES = st.from_regex(
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,9}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,9}){0,4}", fullmatch=True
)
LIMIT = 1 << 20


@given(st.dictionaries(NAMES, st.binary(max_size=200), max_size=8))
def test_files_come_back_whatever_their_order(files: dict[str, bytes]) -> None:
    packed = encode_zip(files)
    assert decode_zip(packed, max_bytes=LIMIT).files == files
    assert encode_zip(dict(reversed(files.items()))) == packed


def other(_compression: int = zipfile.ZIP_STORED, /, **files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", _compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def twice() -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    return out.getvalue()


def laid_over_each_other() -> bytes:
    """Two directory entries for one stored file (after D. Fifield's overlapping bombs)."""
    whole = other(a=b"x" * 4000, b=b"")
    directory = whole.index(b"PK\x01\x02")
    second = whole.index(b"PK\x01\x02", directory + 4)
    end = whole.index(b"PK\x05\x06")
    copied = whole[directory:second].replace(b"a", b"c", 1) if b"a" in whole[directory:second] else b""
    tail = bytearray(whole[end:])
    tail[8:12] = (3).to_bytes(2, "little") * 2
    tail[12:16] = (end - directory + len(copied)).to_bytes(4, "little")
    return whole[:end] + copied + bytes(tail)


REFUSED = {
    "nothing": (b"", "NO_ZIP"),
    "no zip": (b"%PDF-1.7", "NO_ZIP"),
    "cut off": (encode_zip({"a": b"1"})[:-3], "NO_ZIP"),
    "a name that climbs": (other(**{"../a": b"1"}), "NO_ZIP"),
    "an absolute name": (other(**{"/a": b"1"}), "NO_ZIP"),
    "a name in Chinese": (other(证=b"1"), "NO_ZIP"),
    "a folder": (other(**{"a/": b""}), "NO_ZIP"),
    "compressed": (other(zipfile.ZIP_DEFLATED, a=b"1" * 5000), "TOO_LARGE"),
    "compressed a little": (other(zipfile.ZIP_DEFLATED, a=b"1"), "NO_ZIP"),
    "one name twice": (twice(), "NO_ZIP"),
    "laid over each other": (laid_over_each_other(), "TOO_LARGE"),
    "too many files": (encode_zip({f"f{n}": b"" for n in range(MAX_FILES + 1)}), "TOO_LARGE"),
    "too large": (encode_zip({"a": bytes(LIMIT)}), "TOO_LARGE"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_safe_is_refused(what: str) -> None:
    data, code = REFUSED[what]
    with pytest.raises(Malformed) as refused:
        decode_zip(data, max_bytes=LIMIT)
    assert refused.value.code == code


def test_a_file_whose_checksum_is_wrong_is_named() -> None:
    packed = encode_zip({"a": b"123", "b": b"456"}).replace(b"456", b"457")
    assert decode_zip(packed, max_bytes=LIMIT).damaged == ("b",)


def test_names_that_none_of_ours_has_are_not_written() -> None:
    for name in ("", "..", "../a", "a//b", "a/b/c/d/e/f", "a b"):
        with pytest.raises(Malformed):
            encode_zip({name: b""})


def test_a_package_is_looked_into_up_to_256_mebibytes() -> None:
    most = 256 * 1024 * 1024
    for size, code in ((most, "NO_PACKAGE"), (most + 1, "TOO_LARGE")):
        with pytest.raises(Malformed) as refused:
            decode_package(bytes(size))
        assert refused.value.code == code
