"""After any change of one byte, the verdict is not PASSED.

Every byte that has a meaning of its own is tried (structure, signature dictionary, CMS, receipt, trailer), and
random ones in between. There are no exceptions: docs/FORMATS.md lists none.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.world import World

from trust.encoding.der import element_length
from trust.model.report import Result
from trust.pdf.gap import check_gap
from verifier.checks.examine import examine_pdf
from verifier.evidence.bundle import evidence_from_bundle
from verifier.evidence.evidence import Evidence

RANDOM_POSITIONS, CMS_OFFSETS = 40, 60


class Licence:
    """One issued licence and the evidence of a bundle; examined in this process, for speed."""

    def __init__(self, pdf: bytes, evidence: Evidence, at: datetime) -> None:
        self.pdf = pdf
        self._evidence = evidence
        self._at = at

    def passes(self, pdf: bytes) -> bool:
        found = examine_pdf(
            pdf,
            trust_list=self._evidence.trust_list,
            anchors=(),
            crls=self._evidence.crls,
            verified_at=self._at,
        )
        return found.data is not None and all(f.result is Result.PASSED for f in found.findings)


@pytest.fixture(params=["sm2", "rsa3072", "p256"])
def licence(request: pytest.FixtureRequest, each_way: World) -> Licence:
    _, pdf = each_way.issue(suite=request.param)
    at = each_way.clock.now()
    made = Licence(pdf, evidence_from_bundle(each_way.bundle(), at), at)
    assert made.passes(pdf)
    return made


def structural_positions(pdf: bytes) -> Iterator[int]:
    """Header, tail, the whole signature dictionary outside the hex, cross-reference, and the CMS's skeleton."""
    gap = check_gap(pdf)
    _, start, end, _ = gap.byte_range
    yield from range(12)
    yield from range(start - 24, start + 3)
    yield from range(end - 3, end + 130)
    yield from range(end + 130, len(pdf) - 48, 5)
    yield from range(len(pdf) - 48, len(pdf))
    cms_ends = start + 1 + 2 * len(gap.cms)
    yield from range(cms_ends - 4, cms_ends + 4)
    yield end - 2


def test_no_single_byte_can_be_changed_at_structural_positions(licence: Licence) -> None:
    slips = []
    for position in structural_positions(licence.pdf):
        spoiled = bytearray(licence.pdf)
        spoiled[position] ^= 0x01
        if licence.passes(bytes(spoiled)):
            slips.append(position)
    assert slips == []


def test_no_single_byte_can_be_changed_at_random_positions(licence: Licence) -> None:
    chance = random.Random(20261123)
    for _ in range(RANDOM_POSITIONS):
        position = chance.randrange(len(licence.pdf))
        spoiled = bytearray(licence.pdf)
        spoiled[position] = (spoiled[position] + chance.randrange(1, 256)) % 256
        assert not licence.passes(bytes(spoiled)), position


def test_no_bit_of_the_cms_itself_is_free(licence: Licence) -> None:
    gap = check_gap(licence.pdf)
    _, start, _, _ = gap.byte_range
    assert element_length(gap.cms) == len(gap.cms)
    chance = random.Random(7)
    for offset in chance.sample(range(len(gap.cms)), CMS_OFFSETS):
        cms = bytearray(gap.cms)
        cms[offset] ^= 1 << chance.randrange(8)
        assert not licence.passes(_with_cms(licence.pdf, start, bytes(cms))), offset


@pytest.mark.long
@pytest.mark.timeout(3 * 3600)  # sixty thousand files
def test_no_bit_at_all_of_the_cms_is_free(licence: Licence) -> None:
    gap = check_gap(licence.pdf)
    _, start, _, _ = gap.byte_range
    for offset in range(len(gap.cms)):
        for bit in range(8):
            cms = bytearray(gap.cms)
            cms[offset] ^= 1 << bit
            assert not licence.passes(_with_cms(licence.pdf, start, bytes(cms))), (offset, bit)


def _with_cms(pdf: bytes, start: int, cms: bytes) -> bytes:
    spoiled = bytearray(pdf)
    spoiled[start + 1 : start + 1 + 2 * len(cms)] = cms.hex().upper().encode()
    return bytes(spoiled)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_insertion_deletion_or_addition_survives(licence: Licence, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(licence.pdf)))
    act = data.draw(st.sampled_from(["insert", "delete", "append"]))
    extra = data.draw(st.binary(min_size=1, max_size=4))
    match act:
        case "insert":
            spoiled = licence.pdf[:position] + extra + licence.pdf[position:]
        case "delete":
            spoiled = licence.pdf[:position] + licence.pdf[position + len(extra) :]
        case _:
            spoiled = licence.pdf + extra
    if spoiled != licence.pdf:
        assert not licence.passes(spoiled)


def test_lower_case_hex_is_refused(licence: Licence) -> None:
    gap = check_gap(licence.pdf)
    _, start, end, _ = gap.byte_range
    lowered = licence.pdf[:start] + licence.pdf[start:end].lower() + licence.pdf[end:]
    assert not licence.passes(lowered)
