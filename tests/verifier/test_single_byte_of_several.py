"""The same for a licence with three seals and two later versions: no byte of any of its updates is free."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from support.ways import WAYS, sealing
from support.world import NAME_SEAL, World, world_in

from trust.model.actor import OPERATOR
from trust.model.report import Result
from trust.pdf.gap import check_gaps
from trust.sandbox.workers import Sandbox
from verifier.checks.examine import examine_pdf
from verifier.evidence.bundle import evidence_from_bundle
from verifier.evidence.evidence import Evidence

RANDOM_POSITIONS, CMS_OFFSETS = 25, 8


@dataclasses.dataclass(frozen=True)
class Licence:
    pdf: bytes
    evidence: Evidence
    at: datetime

    def passes(self, pdf: bytes) -> bool:
        found = examine_pdf(
            pdf,
            trust_list=self.evidence.trust_list,
            anchors=(),
            crls=self.evidence.crls,
            verified_at=self.at,
        )
        return found.data is not None and all(f.result is Result.PASSED for f in found.findings)


@pytest.fixture(scope="module")
def world(
    template_folder: Path, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Iterator[World]:
    made = world_in(template_folder, tmp_path_factory.mktemp("several") / "data", sandbox)
    made.add_name_seal()
    yield made
    made.close()


@pytest.fixture(scope="module", params=WAYS)
def licence(request: pytest.FixtureRequest, world: World) -> Licence:
    number = 1 + WAYS.index(request.param)
    application = dataclasses.replace(
        world.application(number, seal="chuncheng-market-sm2"),
        further_seals=(NAME_SEAL, "chuncheng-market-rsa3072"),
    )
    (outcome,) = sealing(world, request.param).try_issue(application)
    assert outcome.issued is not None, outcome.error
    for days in (1, 365):
        world.clock.advance(days=days)
        (renewal,) = world.site.issuer.archiving.renew(OPERATOR, [outcome.issued.pid])
        assert renewal.error is None, renewal.error
    at = world.clock.now()
    made = Licence(
        world.site.issuer.archiving.file(outcome.issued.pid), evidence_from_bundle(world.bundle(), at), at
    )
    assert len(check_gaps(made.pdf)) == 5
    assert made.passes(made.pdf)
    return made


def structural_positions(pdf: bytes) -> Iterator[int]:
    """The beginning of each update, the signature dictionary around its gap, its tables and its end."""
    begins = 0
    for gap in check_gaps(pdf):
        _, start, end, rest = gap.byte_range
        yield from range(begins, begins + 12, 4)
        yield from range(start - 24, start + 3, 5)
        used = start + 1 + 2 * len(gap.cms)
        yield from range(used - 1, used + 2)
        yield from range(end - 2, end + 80, 11)
        yield from range(end + 80, end + rest - 40, 101)
        yield from range(end + rest - 40, end + rest, 9)
        begins = end + rest


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
    begins = sum(check_gaps(licence.pdf)[0].byte_range[2:])
    for _ in range(RANDOM_POSITIONS):
        position = chance.randrange(begins, len(licence.pdf))
        spoiled = bytearray(licence.pdf)
        spoiled[position] = (spoiled[position] + chance.randrange(1, 256)) % 256
        assert not licence.passes(bytes(spoiled)), position


def test_no_bit_of_any_cms_is_free(licence: Licence) -> None:
    chance = random.Random(7)
    for gap in check_gaps(licence.pdf):
        start = gap.byte_range[1] + 1
        for offset in chance.sample(range(len(gap.cms)), CMS_OFFSETS):
            changed = gap.cms[offset] ^ (1 << chance.randrange(8))
            spoiled = bytearray(licence.pdf)
            spoiled[start + 2 * offset : start + 2 * offset + 2] = b"%02X" % changed
            assert not licence.passes(bytes(spoiled)), (gap.byte_range, offset)
