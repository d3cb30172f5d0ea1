"""Nothing from the future passes, and a clock that is behind is told so in words that help."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.producers import Producer, contract
from support.reports import facts_of
from support.shown import shown
from support.world import World

from trust.model.actor import OPERATOR
from trust.model.report import Colour, Result, Verdict
from verifier.sentences import words_for

DAY = timedelta(days=1)


def test_a_licence_from_the_future_does_not_pass_and_says_so(world: World) -> None:
    world.clock.advance(days=1)  # no key of the service is younger than an hour
    _, pdf = world.issue()
    bundle = world.bundle()
    now = world.clock.now()
    # Within five minutes either clock may be the one that is a little off.
    assert world.verify(pdf, at=now - timedelta(seconds=50)).verdict is Verdict.PASSED
    world.clock.advance(hours=-1)  # sealed by a clock that was an hour ahead; the lists are made anew by then
    report = world.verify(pdf)
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "TIME_AHEAD"), report.findings
    assert report.colour is Colour.AMBER
    assert not report.shown
    assert "时钟不准" in words_for(report, "zh-CN").sentence
    assert "one of two clocks" in words_for(report, "en").sentence
    assert world.verify(shown(pdf).code).code == "TIME_AHEAD"
    fresh = world.bundle()
    assert world.verify_offline(pdf, fresh).code == "TIME_AHEAD"
    # With the bundle of before, it is this machine that looks wrong.
    behind = world.verify_offline(pdf, bundle)
    assert (behind.verdict, behind.code) == (Verdict.INDETERMINATE, "CLOCK_BEHIND"), behind.findings
    assert "本机" in words_for(behind, "zh-CN").sentence
    assert "clock is behind" in words_for(behind, "en").sentence
    assert world.verify_offline(shown(pdf).code, bundle).code == "CLOCK_BEHIND"


def test_a_later_version_from_the_future_does_not_pass(world: World) -> None:
    issued, _ = world.issue()
    world.clock.advance(hours=30)
    (renewal,) = world.site.issuer.archiving.renew(OPERATOR, [issued.pid])
    assert renewal.error is None
    later = world.site.issuer.archiving.file(issued.pid)
    assert world.verify(later).verdict is Verdict.PASSED
    world.clock.advance(hours=-1)
    report = world.verify(later)
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "TIME_AHEAD"), report.findings


@pytest.mark.parametrize("days", [1, 400])
def test_entries_that_a_wrong_clock_dated_are_judged_by_the_time_stamp(world: World, days: int) -> None:
    world.issue(1)
    world.clock.advance(days=days)
    world.issue(2)  # the one command under a wrong clock; a world's clock is not watched
    world.clock.advance(days=-days)
    _, pdf = world.issue(3)
    bundle = world.bundle()
    for report in (world.verify(pdf), world.verify_offline(pdf, bundle)):
        assert report.verdict is Verdict.PASSED, report.findings
        (remark,) = (f for f in report.findings if f.code == "LEDGER_TIME_AHEAD")
        assert remark.result is Result.NOT_CHECKED
        assert facts_of(report)["ledger"]["is_ahead"] is True
    assert world.site.ledger.log.size > 0
    world.clock.advance(days=days)
    report = world.verify(pdf)
    assert report.verdict is Verdict.PASSED
    assert facts_of(report)["ledger"]["is_ahead"] is False


def test_lists_of_ours_from_the_future_are_made_anew_at_once(world: World) -> None:
    world.clock.advance(days=2)
    ahead = world.clock.now()
    site = world.site
    site.issuer.publishing.trust_list(ahead)
    site.issuer.pki.crls(ahead, no_older_than=ahead)
    site.issuer.publishing.status_list(1, ahead)
    ocsp_ca = site.issuer.pki.crls(ahead)[0][0]
    world.clock.advance(days=-2)
    now = world.clock.now()
    _, pdf = world.issue()
    report = world.verify_offline(pdf, world.bundle())
    assert report.verdict is Verdict.PASSED, report.findings
    assert world.verify(pdf).verdict is Verdict.PASSED
    assert all(until < now + 8 * DAY for _, _, until in site.issuer.pki.crls(now))
    assert ocsp_ca


def test_a_proven_time_of_others_from_the_future_does_not_pass(world: World) -> None:
    made = Producer("ecdsa", world.clock.now() + timedelta(minutes=30))
    world.site.verifier.members.add_anchor(
        OPERATOR, made.root.der, "城南银行（虚构）", "Chengnan Bank (fictional)"
    )
    stamped = made.sign(contract(), "B-T")
    report = world.verify(stamped)
    assert report.verdict is not Verdict.PASSED
    assert report.code in ("TIME_AHEAD", "SEAL_NOT_IN_FORCE", "SIGNER_STATUS_UNKNOWN", "STATUS_STALE"), (
        report.findings
    )
