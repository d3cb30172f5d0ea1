"""Several seals on one licence: the name seal of the person responsible, and a seal for readers abroad."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from support.reports import facts_of
from support.ways import WAYS, sealing
from support.world import MARKET, NAME_SEAL, World, world_in

import trust.pdf.further
from issuer.catalogue import load_profile
from issuer.ecertificates import issuing, reserving
from trust.model.actor import OPERATOR, operator
from trust.model.errors import Conflict, Malformed, NotFound
from trust.model.report import Verdict
from trust.model.seal import SealRole
from trust.pdf.gap import check_gaps
from trust.pdf.update import Version, encode_signed_update
from trust.sandbox.workers import Sandbox

ABROAD = "chuncheng-market-rsa3072"
COMBINATIONS = {
    "abroad": (ABROAD,),
    "person": (NAME_SEAL,),
    "both": (NAME_SEAL, ABROAD),
}


@pytest.fixture(scope="module")
def world(
    template_folder: Path, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Iterator[World]:
    made = world_in(template_folder, tmp_path_factory.mktemp("further") / "data", sandbox)
    made.add_name_seal()
    yield made
    made.close()


_numbers = iter(range(1, 1000))


def issue(world: World, *further: str, source: bytes | None = None) -> bytes:
    application = dataclasses.replace(
        world.application(next(_numbers), seal="chuncheng-market-sm2"),
        further_seals=further,
        source_pdf=source,
    )
    (outcome,) = world.try_issue(application)
    assert outcome.error is None, outcome.error
    assert outcome.issued is not None
    return world.site.issuer.issuing.issued_file(outcome.issued.pid)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("further", COMBINATIONS.values(), ids=COMBINATIONS.keys())
def test_a_licence_with_further_seals_passes_online_and_offline(
    world: World, further: tuple[str, ...], way: str
) -> None:
    pdf = issue(sealing(world, way), *further)
    assert len(check_gaps(pdf)) == 1 + len(further)
    for report in (world.verify(pdf), world.verify_offline(pdf, world.bundle())):
        assert report.verdict is Verdict.PASSED, report.findings
        assert facts_of(report)["seal"]["role"] == "legal"
        assert [each["id"] for each in facts_of(report)["further_seals"]] == list(further)


def test_only_the_first_seal_certifies_and_the_last_one_locks(world: World) -> None:
    reader = PdfFileReader(io.BytesIO(issue(world, NAME_SEAL, ABROAD)))
    legal, person, abroad = reader.embedded_signatures
    assert (legal.field_name, person.field_name, abroad.field_name) == ("Seal1", "Signature1", "Seal2")
    assert legal.docmdp_level.value == 2
    assert person.docmdp_level is None
    assert abroad.docmdp_level.value == 1
    assert abroad.fieldmdp.action.value == "/All"
    assert list(person.fieldmdp.fields) == ["Signature1"]


def test_a_departments_pdf_takes_further_seals_too(world: World) -> None:
    source = (Path(__file__).parents[2] / "samples/pdf/road-permit-table.pdf").read_bytes()
    pdf = issue(world, NAME_SEAL, ABROAD, source=source)
    assert world.verify(pdf).verdict is Verdict.PASSED


def test_an_archived_licence_with_several_seals_passes(world: World) -> None:
    application = dataclasses.replace(
        world.application(next(_numbers), seal="chuncheng-market-sm2"), further_seals=(NAME_SEAL, ABROAD)
    )
    (outcome,) = world.try_issue(application)
    assert outcome.issued is not None, outcome.error
    world.clock.advance(hours=30)
    (renewal,) = world.site.issuer.archiving.renew(OPERATOR, [outcome.issued.pid])
    assert renewal.error is None, renewal.error
    later = world.site.issuer.archiving.file(outcome.issued.pid)
    report = world.verify_offline(later, world.bundle())
    assert report.verdict is Verdict.PASSED, report.findings
    assert facts_of(report)["seal"]["format"] == "PAdES-B-LTA"
    assert len(facts_of(report)["further_seals"]) == 2


def test_without_its_last_seal_a_licence_does_not_pass(world: World) -> None:
    pdf = issue(world, NAME_SEAL, ABROAD)
    for gap in check_gaps(pdf)[:-1]:
        report = world.verify(pdf[: sum(gap.byte_range[2:])])
        assert report.verdict is Verdict.FAILED
        assert report.code == "ALTERED"


def test_each_part_of_a_further_seal_counts(world: World) -> None:
    pdf = issue(world, NAME_SEAL, ABROAD)
    bundle = world.bundle()
    first, second, last = (sum(gap.byte_range[2:]) for gap in check_gaps(pdf))
    for begins, ends in ((first, second), (second, last)):
        for part in (0.001, 0.01, 0.05, 0.3, 0.98, 0.995):
            at = begins + int((ends - begins) * part)
            changed = pdf[:at] + bytes([pdf[at] ^ 1]) + pdf[at + 1 :]
            assert world.verify_offline(changed, bundle).verdict is not Verdict.PASSED, at


def test_a_further_seal_that_brings_more_than_itself_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed with the right key, in a place where signing is allowed: still nobody may add anything beside it."""
    world.verify(issue(world, ABROAD))  # the sandbox's workers are there, with the functions as they are
    honest = encode_signed_update

    def more(
        before: Version, bodies: Mapping[int, bytes], signature: int, digits: int, rest: bytes
    ) -> tuple[bytes, bytes]:
        hidden = {**bodies, before.size + 9: b"<< /Nothing /AsFarAsAnybodySees >>"}
        return honest(before, hidden, signature, digits, rest)

    monkeypatch.setattr(trust.pdf.further, "encode_signed_update", more)
    report = world.verify(issue(world, ABROAD))
    assert (report.verdict, report.code) == (Verdict.FAILED, "ALTERED")
    assert next(f.check for f in report.findings if f.code == "HASH_FAILURE") == "file.structure"


@pytest.mark.parametrize("filled", [1, 2])
def test_seals_of_one_licence_do_not_fit_another(world: World, filled: int) -> None:
    one, other = issue(world, NAME_SEAL, ABROAD), issue(world, NAME_SEAL, ABROAD)
    ends = [[sum(gap.byte_range[2:]) for gap in check_gaps(pdf)] for pdf in (one, other)]
    mixed = one[: ends[0][filled - 1]] + other[ends[1][filled - 1] :]
    assert world.verify(mixed).verdict is Verdict.FAILED


def test_a_type_may_demand_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = dataclasses.replace(load_profile("FOOD"), further_seals=(SealRole.PERSONAL, SealRole.ABROAD))
    for step in (issuing, reserving):
        monkeypatch.setattr(step, "load_profile", lambda short: profile)
    assert len(check_gaps(issue(world))) == 3
    another = dataclasses.replace(profile, short="FOOD")
    for step in (issuing, reserving):
        monkeypatch.setattr(step, "load_profile", lambda short: another)
    world.site.issuer.seals.freeze(operator("keeper"), NAME_SEAL, note="on leave")
    try:
        (outcome,) = world.try_issue(world.application(next(_numbers), seal="chuncheng-market-sm2"))
        assert isinstance(outcome.error, NotFound)
    finally:
        world.site.issuer.seals.unfreeze(operator("keeper"), NAME_SEAL, note="back")


@pytest.mark.parametrize(
    ("legal", "further", "error"),
    [
        ("chuncheng-market-rsa3072", (NAME_SEAL,), Conflict),
        ("chuncheng-market-sm2", (ABROAD, "chuncheng-market-p256"), Malformed),
        ("chuncheng-market-sm2", ("chuncheng-market-sm2",), Malformed),
        ("chuncheng-market-sm2", ("no-such-seal",), NotFound),
    ],
)
def test_what_does_not_go_together_is_refused_and_changes_nothing(
    world: World, legal: str, further: tuple[str, ...], error: type[Exception]
) -> None:
    application = dataclasses.replace(world.application(next(_numbers), seal=legal), further_seals=further)
    size = world.site.ledger.log.size
    (outcome,) = world.try_issue(application)
    assert isinstance(outcome.error, error)
    assert world.site.ledger.log.size == size


def test_a_frozen_further_seal_seals_nothing(world: World) -> None:
    world.site.issuer.seals.freeze(operator("keeper"), ABROAD, note="lost token")
    try:
        application = dataclasses.replace(
            world.application(next(_numbers), seal="chuncheng-market-sm2"), further_seals=(ABROAD,)
        )
        (outcome,) = world.try_issue(application)
        assert isinstance(outcome.error, Conflict)
    finally:
        world.site.issuer.seals.unfreeze(operator("keeper"), ABROAD, note="found")


def test_every_use_is_written_down(world: World) -> None:
    before = {
        seal: len(world.site.issuer.seals.registry.uses(seal))
        for seal in ("chuncheng-market-sm2", NAME_SEAL, ABROAD)
    }
    issue(world, NAME_SEAL, ABROAD)
    after = {seal: len(world.site.issuer.seals.registry.uses(seal)) for seal in before}
    assert {seal: after[seal] - before[seal] for seal in before} == dict.fromkeys(before, 1)


def test_a_name_seal_stands_for_nobody_else(world: World) -> None:
    assert (
        world.site.issuer.seals.registry.for_authority(MARKET.authority_id).seal_id == "chuncheng-market-sm2"
    )
