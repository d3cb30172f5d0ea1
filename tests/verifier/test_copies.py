"""What is told of how a copy differs: the lines, as many as a page holds, and how many there are besides."""

from __future__ import annotations

from typing import Any

import pytest
from support.plain_pages import OBJECTS, build

from trust.model.errors import Malformed
from verifier.checks.copies import compare_job

_FONT = b"<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"


def page(*lines: str) -> bytes:
    """A page with these lines on it."""
    shown = b"".join(b"(%b)Tj T*\n" % line.encode("ascii") for line in lines)
    content = b"BT /F1 6 Tf 7 TL 40 800 Td\n%bET" % shown
    stream = b"<</Length %d>>\nstream\n%b\nendstream" % (len(content), content)
    return build(objects={3: OBJECTS[3].replace(b"<<>>", _FONT), 4: stream})


def compared(issued: bytes, copy: bytes) -> dict[str, Any]:
    return compare_job({}, (issued, copy))


def test_a_line_that_differs_is_told_with_what_it_was() -> None:
    found = compared(page("one", "two", "three"), page("one", "TWO", "three"))
    assert found["lines"] == [{"page": 0, "was": "two", "now": "TWO"}]
    assert (found["more"], found["pages"]) == (0, [1, 1])
    assert int(str(found["cells"])) > 0
    assert compared(page("one"), page("one"))["lines"] == []


@pytest.mark.parametrize("count", [39, 40, 41, 55])
def test_forty_lines_are_told_and_the_rest_is_counted(count: int) -> None:
    # Every second line differs: neighbours would be told as one.
    issued = page(*(f"line {n}" for n in range(2 * count)))
    copy = page(*(f"line {n}" if n % 2 else f"other {n}" for n in range(2 * count)))
    found = compared(issued, copy)
    assert len(found["lines"]) == min(count, 40)
    assert found["more"] == max(0, count - 40)


def test_a_long_line_is_told_as_far_as_two_hundred_characters() -> None:
    (line,) = compared(page("i" * 199), page("l" * 201))["lines"]
    assert (len(line["was"]), len(line["now"])) == (199, 200)


def test_a_copy_that_cannot_be_read_is_said_to_be_so() -> None:
    with pytest.raises(Malformed):
        compared(page("one"), b"%PDF-1.7 nothing")
