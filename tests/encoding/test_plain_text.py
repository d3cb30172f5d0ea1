"""Text of others, fit to be shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.encoding.plain_text import one_line, printable

_MARK = "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("春城市市场监督管理局", "春城市市场监督管理局"),
        ("Bank\x1b[2J", f"Bank{_MARK}[2J"),
        ("gnp.exe\u202efdp", f"gnp.exe{_MARK}fdp"),
        ("one\r\ntwo", f"one{_MARK}\ntwo"),
        ("a\x9bb", f"a{_MARK}b"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\ud800", _MARK),
        ("a\u2028b", f"a{_MARK}b"),
    ],
)
def test_what_has_no_shape_is_replaced(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(), st.integers(1, 40))
def test_one_line_is_one_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    line.encode()
