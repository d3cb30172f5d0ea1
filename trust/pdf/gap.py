"""The raw-bytes gate: what must hold before any library's verdict counts.

A seal signs only the bytes named by /ByteRange. Attacks use what is left out: the gap around the signature, the tail
after it, a second structure that viewers read instead. For a licence of ours the rules are short, so they are checked
on the bytes:

1.  The file starts with %PDF- and ends with startxref, a number, %%EOF and at most one line end.
2.  /ByteRange occurs in the file exactly once, as `/ByteRange [0 a b c]` with 0 < a < b.
3.  The gap a … b is one hex string: `<`, upper-case hex digits, `>`; `/Contents ` comes right before it.
4.  b + c is the length of the file: everything but the gap is signed.
5.  The gap contains one DER element, followed only by zeros.

A later version of a licence (`trust.pdf.update`) is the licence and further updates, each with its own gap: rules 3 to
5 hold for each of them in the file as it was then, and each gap comes after the version before it.

ISO 32000-2 §12.8.1; docs/THREAT-MODEL.md lists the attacks that each rule stops. The issuer's splice uses the same
function, so that no file is issued that the gate would refuse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from trust.encoding.der import element_length
from trust.model.errors import VerificationError

_BYTE_RANGE = re.compile(rb"/ByteRange \[0 ([1-9]\d{0,9}) ([1-9]\d{0,9}) ([1-9]\d{0,9})\]")
_HEX_DIGITS = b"0123456789ABCDEF"
_CONTENTS = b"/Contents "


@dataclass(frozen=True, slots=True)
class SignedGap:
    """A gap in a file. `cms` is the DER in it. The file is shared, not copied, because a large one may have many
    gaps."""

    byte_range: tuple[int, int, int, int]
    cms: bytes
    data: bytes = field(repr=False)

    @property
    def signed(self) -> tuple[bytes, bytes]:
        """The bytes before and after the gap, which the seal covers."""
        _, start, end, rest = self.byte_range
        return self.data[:start], self.data[end : end + rest]


class GapRefused(VerificationError):
    code = "FORMAT_FAILURE"


MAX_VERSIONS = 200
"""The limit on later versions: one a year for longer than any licence is kept."""


def check_gap(data: bytes) -> SignedGap:
    """The only gap of a sealed licence. Raises `GapRefused`, naming the violated rule."""
    at = data.find(b"/ByteRange")
    if at < 0 or data.find(b"/ByteRange", at + 1) >= 0:
        raise GapRefused("rule 2: /ByteRange does not stand in the file exactly once")
    gap = _gap_at(data, at, 0)
    if sum(gap.byte_range[2:]) != len(data):
        raise GapRefused("rule 4: the signed bytes and the gap are not the whole file")
    return gap


def check_gaps(data: bytes) -> list[SignedGap]:
    """The gaps of a licence and of each later version of it, in their order. Raises `GapRefused`."""
    gaps: list[SignedGap] = []
    end, at = 0, data.find(b"/ByteRange")
    while at >= 0:
        gap = _gap_at(data, at, end)
        end = sum(gap.byte_range[2:])
        gaps.append(gap)
        at = data.find(b"/ByteRange", at + 1)
        if len(gaps) > MAX_VERSIONS or (at >= 0 and at < end):
            raise GapRefused("rule 2: /ByteRange does not stand in each version exactly once")
    if end != len(data):
        raise GapRefused("rule 4: the signed bytes and the gap are not the whole file")
    return gaps


def _gap_at(data: bytes, at: int, after: int) -> SignedGap:
    """The gap whose /ByteRange is at offset `at`, in an update that begins at `after`."""
    match = _BYTE_RANGE.match(data, at)
    if match is None:
        raise GapRefused("rule 2: /ByteRange is not in its form")
    start, end, rest = (int(number) for number in match.groups())
    if not after < start < end or not after < at < end + rest <= len(data):
        raise GapRefused("rule 4: the signed bytes and the gap are not the whole file")
    gap = data[start:end]
    if not _is_hex_string(gap) or len(gap) % 2:
        raise GapRefused("rule 3: the gap is not one string of upper-case hex digits")
    if data[start - len(_CONTENTS) : start] != _CONTENTS:
        raise GapRefused("rule 3: the gap is not the value of /Contents")
    contents = bytes.fromhex(gap[1:-1].decode())
    try:
        length = element_length(contents)
    except ValueError as exc:
        raise GapRefused("rule 5: the gap does not start with a DER element") from exc
    if length > len(contents) or contents.count(0, length) != len(contents) - length:
        raise GapRefused("rule 5: after the DER element stands something other than zeros")
    return SignedGap((0, start, end, rest), contents[:length], data)


def _is_hex_string(gap: bytes) -> bool:
    # Deleting the allowed digits is several times faster than matching 65,536 digits one by one.
    return len(gap) > 2 and gap[:1] + gap[-1:] == b"<>" and not gap[1:-1].translate(None, _HEX_DIGITS)
