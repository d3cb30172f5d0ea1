"""What attackers start from: licences of ours in every version, a stamped PDF, a file of somebody else's."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.producers import Producer, contract
from support.world import START, World

from trust.model.actor import OPERATOR
from trust.pdf.gap import check_gap
from verifier.evidence.bundle import evidence_from_bundle
from verifier.evidence.evidence import Evidence


@dataclass(frozen=True)
class Genuine:
    """All are PASSED. `bundle` is an offline bundle; `producer` signed `foreign`."""

    licence: bytes
    other: bytes
    dual: bytes
    archived: bytes
    stamped: bytes
    foreign: bytes
    producer: Producer
    world: World
    bundle: Path

    def evidence(self, *, online: bool) -> Evidence:
        if online:
            return self.world.site.verifier.checking.online.gather(START)
        return evidence_from_bundle(self.bundle, START)

    def files(self) -> dict[str, bytes]:
        """The licences, by their profile."""
        return {
            "single": self.licence, "dual": self.dual, "archived": self.archived, "stamped": self.stamped,
        }  # fmt: skip


def make_genuine(world: World) -> Genuine:
    _, licence = world.issue(1)
    _, other = world.issue(2)
    dual = _issue(world, 3, further_seals=("chuncheng-market-rsa3072",))
    kept, _ = world.issue(4)
    (renewed,) = world.site.issuer.archiving.renew(OPERATOR, [kept.pid])
    assert renewed.error is None, renewed.error
    archived = world.site.issuer.archiving.file(kept.pid)
    stamped = _issue(world, 5, source_pdf=contract())
    producer = Producer("ecdsa", START)
    foreign = producer.sign(contract(), "B-T")
    return Genuine(licence, other, dual, archived, stamped, foreign, producer, world, world.bundle())


def _issue(world: World, number: int, **changes: Any) -> bytes:
    asked = world.application(number, seal="chuncheng-market-sm2")
    (outcome,) = world.try_issue(dataclasses.replace(asked, **changes))
    assert outcome.issued is not None, outcome.error
    return world.site.issuer.issuing.issued_file(outcome.issued.pid)


def gap_of(pdf: bytes) -> tuple[int, int]:
    """Where the gap of a licence with one seal begins and ends."""
    _, start, end, _ = check_gap(pdf).byte_range
    return start, end
