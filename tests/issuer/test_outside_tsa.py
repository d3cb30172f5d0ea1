"""Time-stamps from outside: believed only if every check holds, and the next is asked where one fails."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.outside_tsa import OtherTsa
from support.plain_http import PlainServer, plain_server
from support.world import FOOD, World, make_world

from keys.suites import Suite
from trust.app.compose import open_site
from trust.app.settings import OutsideTsaSettings, parse_time_stamps
from trust.model.actor import OPERATOR
from trust.model.errors import Malformed, TimeStampUnavailable
from trust.model.report import Verdict
from trust.sandbox.workers import Sandbox

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
SUITES = [Suite.SM2_SM3, Suite.RSA3072_SHA256, Suite.P256_SHA256]
NAMES = [suite.value for suite in SUITES]


@pytest.fixture
def server() -> Iterator[PlainServer]:
    with plain_server() as made:
        yield made


@dataclasses.dataclass
class Stamping:
    """A world whose settings name authorities outside."""

    world: World
    sandbox: Sandbox
    tmp_path: Path

    def reopen(self, *order: OtherTsa | None) -> World:
        settings = self.world.site.settings
        self.world.site.close()
        chosen = tuple(
            OutsideTsaSettings(each.url, each.write_certs(self.tmp_path)) if each is not None else None
            for each in order
        )
        settings = dataclasses.replace(
            settings,
            time_stamps=chosen,
            private_crl_hosts=("127.0.0.1",),
            time_stamp_wait=timedelta(seconds=1),
        )
        self.world.site = open_site(settings, clock=self.world.clock, sandbox=self.sandbox)
        return self.world


@pytest.fixture
def stamping(tmp_path: Path, sandbox: Sandbox) -> Iterator[Stamping]:
    world = make_world(tmp_path / "data", sandbox=sandbox)
    yield Stamping(world, sandbox, tmp_path)
    world.close()


def name_of(suite: Suite) -> str:
    return suite.value.split("-")[0].lower()


def stamps_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        r.getMessage()
        for r in caplog.records
        if r.name == "yinzheng.time-stamps" and r.levelno == logging.INFO
    ]


@pytest.mark.parametrize("suite", SUITES, ids=NAMES)
def test_a_licence_stamped_outside_passes_everywhere_and_is_archived(
    stamping: Stamping, server: PlainServer, suite: Suite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="yinzheng.time-stamps")
    tsa = OtherTsa(suite, stamping.world.clock, server)
    world = stamping.reopen(tsa, None)
    assert [each.error for each in world.site.issuer.outside_crls.refresh()] == [None, None]
    issued, pdf = world.issue(suite=name_of(suite))
    assert tsa.stamped == 1
    assert stamps_of(caplog) == ["time-stamp by outside time-stamps (first in order)"]
    for report in (world.verify(pdf), world.verify_offline(pdf, world.bundle())):
        assert (report.verdict, report.code) == (Verdict.PASSED, "OK"), report.findings
    world.clock.advance(days=1, hours=1)
    tsa.publish(number=2)
    world.site.issuer.outside_crls.refresh()
    (renewal,) = world.site.issuer.archiving.renew(OPERATOR, [issued.pid])
    assert renewal.error is None, renewal.error
    assert tsa.stamped == 2
    later = world.site.issuer.archiving.file(issued.pid)
    report = world.verify_offline(later, world.bundle())
    assert (report.verdict, report.code) == (Verdict.PASSED, "OK"), report.findings
    # The settings name it no more: what it stamped stays good, and our own stamps again.
    world = stamping.reopen(None)
    assert world.verify(pdf).verdict is Verdict.PASSED
    _, next_pdf = world.issue(2, suite=name_of(suite))
    assert tsa.stamped == 2
    assert world.verify(next_pdf).verdict is Verdict.PASSED


@pytest.mark.parametrize("suite", SUITES[:2], ids=NAMES[:2])
def test_when_one_is_down_or_lies_the_next_stamps_and_it_rests_for_a_minute(
    stamping: Stamping, server: PlainServer, suite: Suite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="yinzheng.time-stamps")
    away, liar = (OtherTsa(suite, stamping.world.clock, server, name) for name in ("away", "liar"))
    world = stamping.reopen(away, liar, None)
    away.http_status, liar.values = 503, {"nonce": None}
    own = world.site.issuer.pki.issuing_ca(suite)
    assert own.state == "active"
    pdfs = [world.issue(number, suite=name_of(suite))[1] for number in (1, 2)]
    assert (away.stamped, liar.stamped) == (1, 1), "the second seal did not wait for them"
    first, second = stamps_of(caplog)
    assert first.endswith("(away time-stamps TIME_STAMP_DOWN, liar time-stamps TIME_STAMP_BAD)")
    assert second.endswith("(away time-stamps rests, liar time-stamps rests)")
    assert all(world.verify(pdf).verdict is Verdict.PASSED for pdf in pdfs)
    assert FOOD["holder_name"] not in caplog.text
    away.http_status = 200
    world.clock.advance(seconds=61)
    world.issue(3, suite=name_of(suite))
    assert (away.stamped, liar.stamped) == (2, 1)


def test_without_a_time_stamp_nothing_is_sealed_and_what_waits_is_carried_on(
    stamping: Stamping, server: PlainServer
) -> None:
    tsa = OtherTsa(Suite.SM2_SM3, stamping.world.clock, server)
    world = stamping.reopen(tsa)
    world.site.issuer.outside_crls.refresh()
    tsa.http_status = 503

    def uses() -> int:
        return len(list(world.site.issuer.seals.registry.uses("chuncheng-market-sm2")))

    for _ in range(2):
        with pytest.raises(TimeStampUnavailable) as caught:
            world.issue()
        assert caught.value.code == "TIME_STAMP_UNAVAILABLE"
    assert uses() == 0
    with pytest.raises(TimeStampUnavailable):
        world.issue(2, suite="rsa3072")  # nobody is set for that family
    tsa.http_status = 200
    world.clock.advance(minutes=2)
    # The RSA licence still waits, and holds nothing up.
    errors = [outcome.error for outcome in world.site.issuer.issuing.resume_unfinished()]
    assert [type(error) for error in errors] == [type(None), TimeStampUnavailable]
    (outcome,) = world.try_issue(world.application(1, seal="chuncheng-market-sm2"))
    assert outcome.issued is not None
    assert world.verify(world.site.issuer.issuing.issued_file(outcome.issued.pid)).verdict is Verdict.PASSED
    assert uses() == 1


def test_an_authority_that_its_ca_revoked_is_asked_no_more(stamping: Stamping, server: PlainServer) -> None:
    tsa = OtherTsa(Suite.SM2_SM3, stamping.world.clock, server)
    world = stamping.reopen(tsa, None)
    world.site.issuer.outside_crls.refresh()
    _, before = world.issue(1)
    world.clock.advance(hours=1)
    tsa.publish(tsa.cert, number=2)
    world.site.issuer.outside_crls.refresh()
    _, after = world.issue(2)
    assert tsa.stamped == 1
    assert all(world.verify(pdf).verdict is Verdict.PASSED for pdf in (before, after))


def test_the_setting_is_an_order_of_authorities() -> None:
    named = OutsideTsaSettings("https://tsa.example/tsr", Path("/etc/tsa.pem"))
    assert parse_time_stamps("own") == (None,)
    assert parse_time_stamps(" https://tsa.example/tsr  /etc/tsa.pem , own") == (named, None)
    for bad in ("", "https://tsa.example/tsr", "ftp://x /y", "Own"):
        with pytest.raises(Malformed):
            parse_time_stamps(bad)
    with pytest.raises(Malformed):
        OutsideTsaSettings("https://tsa.example/tsr", Path("/nowhere/tsa.pem")).read_certs()
