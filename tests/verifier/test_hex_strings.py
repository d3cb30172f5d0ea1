"""Reading hex strings at once gives what the library gives, and leaves the stream where it does."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyhanko.pdf_utils import generic

from trust.pdf.reading import PdfRefused, _library_read_hex, _read_hex_string, open_pdf


def outcome(read: Any, data: bytes, at: int) -> tuple[object, int | None]:
    stream = io.BytesIO(data)
    stream.seek(at)
    try:
        return read(stream), stream.tell()
    except Exception as exc:  # whichever it is, it has to be the same
        return type(exc), None


@given(
    st.lists(st.sampled_from([b"0", b"aF", b"9b", b"3E", b" ", b"\n", b"%", b"x", b"<", b">", b"\x00"])),
    st.binary(max_size=9),
)
def test_any_string_is_read_as_the_library_reads_it(parts: list[bytes], after: bytes) -> None:
    data = b"12<" + b"".join(parts) + b">" + after
    assert outcome(_read_hex_string, data, 2) == outcome(_library_read_hex, data, 2)
    unclosed = data.replace(b">", b"")
    assert outcome(_read_hex_string, unclosed, 2) == outcome(_library_read_hex, unclosed, 2)


@pytest.mark.parametrize("size", [0, 1, 65_534, 65_535, 65_536, 65_537, 200_001])
def test_long_ones_too(size: int) -> None:
    data = b"<" + b"A" * size + b">/Next"
    assert outcome(_read_hex_string, data, 0) == outcome(_library_read_hex, data, 0)


def test_it_is_what_the_library_uses_once_a_file_was_opened() -> None:
    with pytest.raises(PdfRefused):
        open_pdf(b"%PDF-1.7\nstartxref\n0\n%%EOF\n")
    assert generic.read_hex_string_from_stream is _read_hex_string
