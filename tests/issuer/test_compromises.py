"""Keys that are rotated and keys that others have: what goes on passing, what does not, what is sealed anew."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from support.reports import facts_of
from support.world import MARKET, World

from issuer.compromises.resealing import ResealState
from keys.suites import Suite
from trust.model.actor import OPERATOR, operator
from trust.model.errors import Conflict, Malformed, NotFound
from trust.model.report import Report, Verdict
from trust.model.status import Status, StatusAct

SM2 = Suite.SM2_SM3


def offline(world: World, pdf: bytes) -> Report:
    world.clock.advance(minutes=1)
    return world.verify_offline(pdf, world.bundle())


@pytest.mark.parametrize("role", ["tsa", "seal-maker", "seal-ca"])
def test_what_an_authority_signed_goes_on_passing_after_its_rotation(world: World, role: str) -> None:
    _, before = world.issue(1)
    world.clock.advance(hours=1)
    assert world.site.issuer.pki.rotate(OPERATOR, role, SM2) == f"{role}-SM2-SM3.2"
    _, between = world.issue(2)
    world.site.issuer.seals.make(OPERATOR, "new", MARKET.authority_id, SM2)
    (outcome,) = world.try_issue(world.application(3, seal="new"))
    assert outcome.issued is not None, outcome.error
    after = world.site.issuer.issuing.issued_file(outcome.issued.pid)
    for pdf in (before, between, after):
        assert offline(world, pdf).verdict is Verdict.PASSED
    world.site.issuer.seals.revoke(operator("x"), "chuncheng-market-sm2", since=world.clock.now())
    assert offline(world, before).verdict is Verdict.PASSED


@pytest.mark.parametrize(("role", "seals"), [("tsa", 0), ("seal-ca", 2)])
def test_a_compromise_ends_belief_in_what_came_after_it_and_names_it(
    world: World, role: str, seals: int
) -> None:
    _, before = world.issue(1)
    world.clock.advance(hours=1)
    since = world.clock.now()
    world.clock.advance(hours=1)
    bad, after = world.issue(2)
    world.issue(3, suite="rsa3072")
    touched = world.site.issuer.compromises.declare(operator("x"), f"{role}-SM2-SM3", since)
    assert [each.pid for each in touched.files] == [bad.pid]
    assert len(touched.seals) == seals
    assert offline(world, before).verdict is Verdict.PASSED
    assert offline(world, after).verdict is Verdict.FAILED
    again = world.site.issuer.compromises.declare(
        operator("x"), f"{role}-SM2-SM3", since - timedelta(hours=9)
    )
    assert len(again.files) == 2
    assert offline(world, before).verdict is Verdict.FAILED
    assert world.site.issuer.pki.rotate(OPERATOR, role, SM2).endswith(".2")
    world.site.issuer.seals.make(OPERATOR, "new", MARKET.authority_id, SM2)
    (outcome,) = world.try_issue(world.application(4, seal="new"))
    assert outcome.issued is not None, outcome.error
    assert offline(world, world.site.issuer.issuing.issued_file(outcome.issued.pid)).verdict is Verdict.PASSED


def test_a_time_within_the_second_of_a_seal_takes_that_seal_with_it(world: World) -> None:
    """A time-stamp says the second only: half a second later in it is not seen there."""
    since = world.clock.now().replace(microsecond=300_000)
    world.clock.advance(seconds=(since.replace(microsecond=500_000) - world.clock.now()).total_seconds())
    bad, file = world.issue(1)
    touched = world.site.issuer.compromises.declare(operator("x"), "seal-ca-SM2-SM3", since)
    assert [each.pid for each in touched.files] == [bad.pid]
    assert offline(world, file).verdict is Verdict.FAILED


def test_a_time_stamp_from_before_a_compromise_does_not_count_if_the_ledger_saw_the_file_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the authority's key writes any time into a time-stamp; into the ledger he cannot."""
    issuing = world.site.issuer.issuing
    with monkeypatch.context() as patched:
        patched.setattr(type(issuing.recording), "record", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.try_issue(world.application(1, seal="chuncheng-market-sm2"))
    world.clock.advance(minutes=5)
    since = world.clock.now()
    world.clock.advance(minutes=2)
    (outcome,) = issuing.resume_unfinished()
    assert outcome.issued is not None, outcome.error
    pdf = issuing.issued_file(outcome.issued.pid)
    assert offline(world, pdf).verdict is Verdict.PASSED
    world.site.issuer.compromises.declare(operator("x"), "tsa-SM2-SM3", since)
    report = offline(world, pdf)
    assert (report.verdict, report.code) == (Verdict.FAILED, "BAD_SEAL")


def test_a_compromised_maker_takes_the_seals_with_it_that_it_made_since(world: World) -> None:
    _, before = world.issue(1)
    world.clock.advance(hours=1)
    since = world.clock.now()
    world.clock.advance(hours=1)
    world.site.issuer.seals.make(OPERATOR, "late", MARKET.authority_id, SM2)
    (outcome,) = world.try_issue(world.application(2, seal="late"))
    assert outcome.issued is not None
    touched = world.site.issuer.compromises.declare(operator("x"), "seal-maker-SM2-SM3", since)
    assert list(touched.seals) == ["late"]
    assert [each.pid for each in touched.files] == [outcome.issued.pid]
    assert offline(world, before).verdict is Verdict.PASSED
    late = world.site.issuer.issuing.issued_file(outcome.issued.pid)
    assert offline(world, late).verdict is Verdict.FAILED


def test_what_cannot_be_withdrawn_is_refused(world: World) -> None:
    now = world.clock.now()
    for ca_id in ("tsa-root-SM2-SM3", "nobody"):
        with pytest.raises(NotFound):
            world.site.issuer.compromises.declare(operator("x"), ca_id, now)
    with pytest.raises(Malformed):
        world.site.issuer.compromises.declare(operator("x"), "tsa-SM2-SM3", now + timedelta(hours=1))


def test_what_a_lost_seal_sealed_is_sealed_anew_and_only_once(world: World) -> None:
    site = world.site
    early, _ = world.issue(1)
    world.clock.advance(hours=1)
    since = world.clock.now()
    good, suspended, revoked, replaced = (world.issue(number)[0] for number in (2, 3, 4, 5))
    site.issuer.statuses.change(OPERATOR, suspended.pid, StatusAct.SUSPEND, reason="x")
    site.issuer.statuses.change(OPERATOR, revoked.pid, StatusAct.REVOKE, reason="cancelled")
    with pytest.raises(Conflict):
        site.issuer.resealing.plan(OPERATOR, "chuncheng-market-sm2")
    site.issuer.seals.revoke(operator("x"), "chuncheng-market-sm2", since=since)
    pids = site.issuer.resealing.plan(OPERATOR, "chuncheng-market-sm2")
    assert early.pid not in pids
    first = next(
        site.issuer.resealing.reseal(
            OPERATOR, [replaced.pid], "chuncheng-market-sm2", "chuncheng-market-rsa3072"
        )
    )
    assert first.result is ResealState.RESEALED, first.error
    rows = list(
        site.issuer.resealing.reseal(OPERATOR, pids, "chuncheng-market-sm2", "chuncheng-market-rsa3072")
    )
    assert [row.result for row in rows] == [
        ResealState.RESEALED,
        ResealState.FAILED,
        ResealState.OVER,
        ResealState.DONE,
    ]
    new = rows[0].issued
    assert new is not None
    assert (new.version, new.seal_id) == (2, "chuncheng-market-rsa3072")
    assert offline(world, site.issuer.issuing.issued_file(new.pid)).verdict is Verdict.PASSED
    old = site.issuer.issuing.issued(pid=good.pid)
    assert (old.status, old.status_reason) == (Status.REPLACED, "re-sealed")
    assert site.issuer.issuing.issued(pid=suspended.pid).status is Status.SUSPENDED
    again = list(
        site.issuer.resealing.reseal(OPERATOR, pids, "chuncheng-market-sm2", "chuncheng-market-rsa3072")
    )
    assert [row.result for row in again] == [
        ResealState.DONE,
        ResealState.FAILED,
        ResealState.OVER,
        ResealState.DONE,
    ]


@pytest.mark.parametrize(
    ("lost", "new", "expected"),
    [
        ("chuncheng-market-sm2", "fresh-sm2", ("fresh-sm2", "chuncheng-market-rsa3072")),
        (
            "chuncheng-market-rsa3072",
            "chuncheng-market-p256",
            ("chuncheng-market-sm2", "chuncheng-market-p256"),
        ),
    ],
)
def test_of_several_seals_the_lost_one_is_exchanged_and_the_others_stay(
    world: World, lost: str, new: str, expected: tuple[str, str]
) -> None:
    site = world.site
    site.issuer.seals.make(OPERATOR, "fresh-sm2", MARKET.authority_id, SM2)
    application = replace(
        world.application(1, seal="chuncheng-market-sm2"), further_seals=("chuncheng-market-rsa3072",)
    )
    (outcome,) = world.try_issue(application)
    assert outcome.issued is not None, outcome.error
    world.clock.advance(hours=1)
    site.issuer.seals.revoke(operator("x"), lost, since=outcome.issued.issued_at)
    (row,) = site.issuer.resealing.reseal(OPERATOR, site.issuer.resealing.plan(OPERATOR, lost), lost, new)
    assert row.issued is not None, row.error
    report = offline(world, site.issuer.issuing.issued_file(row.issued.pid))
    assert report.verdict is Verdict.PASSED, report.findings
    assert (facts_of(report)["seal"]["id"], facts_of(report)["further_seals"][0]["id"]) == expected
    assert offline(world, site.issuer.issuing.issued_file(outcome.issued.pid)).verdict is Verdict.FAILED


def test_later_versions_that_a_compromised_authority_stamped_are_named(world: World) -> None:
    issued, _ = world.issue(1)
    world.clock.advance(days=1, hours=1)
    since = world.clock.now()
    (renewal,) = world.site.issuer.archiving.renew(OPERATOR, [issued.pid])
    assert renewal.error is None
    world.clock.advance(hours=1)
    (touched,) = world.site.issuer.compromises.declare(operator("x"), "tsa-SM2-SM3", since).files
    assert (touched.pid, touched.version, touched.seal_id) == (issued.pid, renewal.number, None)
    assert since <= touched.at <= world.clock.now()
