"""A clock that may be wrong signs nothing: it is compared with another, or an operator says that it is right."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.limits import HANG_SECONDS
from support.outside_tsa import OtherTsa
from support.plain_http import plain_server
from support.world import FOOD, START, StoppedClock, World, make_world

from keys.outside_tsa import OutsideTsa
from keys.suites import Suite
from ledger.clockguard import ClockGuard
from ledger.clocks import accept_time, second_clocks
from trust.app.compose import open_site
from trust.fetching import post
from trust.model.actor import OPERATOR
from trust.model.errors import ClockDoubted, OperationalError, TimeStampUnavailable
from trust.model.report import Verdict
from trust.model.status import Status, StatusAct
from trust.sandbox.workers import Sandbox
from trust.storage.sql import Database

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def says(at: datetime) -> Callable[[], datetime]:
    return lambda: at


def silent() -> datetime:
    raise TimeStampUnavailable("away")


@pytest.mark.parametrize(
    ("gap", "others", "accepted", "is_believed"),
    [
        (timedelta(0), [], None, True),
        (-400 * DAY, [], None, True),  # behind: the entry takes the time of the one before it
        (23 * HOUR, [says(START)], None, True),  # nobody is asked
        (7 * DAY, [], None, True),
        (60 * DAY, [], None, True),
        (61 * DAY, [], None, False),
        (400 * DAY, [], None, False),
        (400 * DAY, [silent], None, False),
        (7 * DAY, [silent], None, True),
        (400 * DAY, [says(START + 400 * DAY)], None, True),
        (400 * DAY, [silent, says(START + 400 * DAY)], None, True),
        (25 * HOUR, [says(START)], None, False),
        (25 * HOUR, [says(START + 25 * HOUR - timedelta(minutes=9))], None, True),
        (400 * DAY, [says(START + 399 * DAY)], START + 400 * DAY, False),
        (400 * DAY, [], START + 400 * DAY, True),
        (400 * DAY, [], START + 399 * DAY - HOUR, False),
        (400 * DAY, [], START, False),
    ],
)
def test_when_a_clock_is_believed(
    gap: timedelta, others: list[Callable[[], datetime]], accepted: datetime | None, is_believed: bool
) -> None:
    named = [(f"clock {n}", ask) for n, ask in enumerate(others)]
    guard = ClockGuard(StoppedClock(START + gap), lambda: START, named, lambda: accepted)
    if is_believed:
        guard.check()
    else:
        with pytest.raises(ClockDoubted):
            guard.check()


def test_an_empty_log_has_nothing_to_compare_with() -> None:
    ClockGuard(StoppedClock(START), lambda: None).check()


def test_a_second_clock_is_not_asked_each_time() -> None:
    asked: list[int] = []
    clock = StoppedClock(START + 2 * DAY)

    def other() -> datetime:
        asked.append(1)
        return clock.at

    guard = ClockGuard(clock, lambda: START, [("other", other)])
    for _ in range(100):
        guard.check()
    assert len(asked) == 1
    clock.advance(minutes=11)
    guard.check()
    assert len(asked) == 2


def test_a_second_clock_that_is_silent_is_not_asked_each_time() -> None:
    asked: list[int] = []
    clock = StoppedClock(START + 2 * DAY)

    def other() -> datetime:
        asked.append(1)
        time.sleep(0.1)
        raise OSError("no answer")

    guard = ClockGuard(clock, lambda: START, [("other", other)])
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: guard.check(), range(100)))
    assert len(asked) == 1
    clock.advance(minutes=2)
    guard.check()
    assert len(asked) == 2
    clock.advance(days=70)
    with pytest.raises(ClockDoubted):
        guard.check()
    with pytest.raises(ClockDoubted):
        guard.check()
    assert len(asked) == 3


@pytest.mark.parametrize("is_witnessed", [False, True])
def test_a_witness_is_asked_where_there_is_one(tmp_path: Path, is_witnessed: bool) -> None:
    with Database(tmp_path / "ledger.sqlite") as database:
        listed = second_clocks(database, [], (lambda: None) if is_witnessed else None)
    assert [name for name, _ in listed] == (["a witness of the ledger"] if is_witnessed else [])


@pytest.fixture
def guarded(template_folder: Path, tmp_path: Path, sandbox: Sandbox) -> Iterator[World]:
    """A world whose clock is watched as that of a real service is."""
    shutil.copytree(template_folder, tmp_path / "data")
    world = make_world(tmp_path / "data", sandbox=sandbox)
    settings = dataclasses.replace(world.site.settings, clock_gap=60 * DAY)
    world.site.close()
    world.site = open_site(settings, clock=world.clock, sandbox=sandbox)
    yield world
    world.close()


def test_a_service_that_slept_for_a_week_goes_on_by_itself(guarded: World) -> None:
    guarded.issue(1)
    guarded.clock.advance(days=7)
    _, pdf = guarded.issue(2)
    assert guarded.verify(pdf).verdict is Verdict.PASSED


def test_nothing_is_signed_under_a_clock_that_is_years_ahead_and_all_goes_on_when_it_is_mended(
    guarded: World,
) -> None:
    issued, pdf = guarded.issue(1)
    bundle, size = guarded.bundle(), guarded.site.ledger.log.size
    guarded.clock.advance(days=400)
    for act in (
        lambda: guarded.try_issue(guarded.application(2, seal="chuncheng-market-sm2")),
        lambda: guarded.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty"),
        lambda: guarded.site.issuer.seals.make(
            OPERATOR, "another", guarded.market.authority_id, Suite.SM2_SM3
        ),
        lambda: guarded.site.issuer.archiving.renew(OPERATOR, [issued.pid])[0].error,
    ):
        try:
            error = act()
        except OperationalError as exc:
            error = exc
        assert isinstance(error, ClockDoubted)
        assert error.code == "CLOCK_DOUBTED"
    assert guarded.site.ledger.log.size == size
    # Reading goes on: what is shown is out of date by this clock, and nothing passes by it.
    report = guarded.verify(pdf)
    assert report.verdict is Verdict.INDETERMINATE
    guarded.clock.advance(days=-400)
    assert guarded.verify(pdf).verdict is Verdict.PASSED
    assert guarded.verify_offline(pdf, bundle).verdict is Verdict.PASSED
    _, second = guarded.issue(2)
    assert guarded.verify(second).verdict is Verdict.PASSED
    assert guarded.site.issuer.issuing.issued(pid=issued.pid).status is Status.VALID


def test_after_an_operators_word_a_service_that_slept_for_a_year_goes_on(guarded: World) -> None:
    guarded.issue(1)
    guarded.clock.advance(days=400)
    with pytest.raises(ClockDoubted):
        guarded.issue(2)
    accept_time(guarded.site.settings.data, guarded.clock.now())
    _, pdf = guarded.issue(2)
    assert guarded.verify(pdf).verdict is Verdict.PASSED
    guarded.clock.advance(days=400)
    with pytest.raises(ClockDoubted):  # the word was good for a day
        guarded.issue(3)


@pytest.mark.postgres
def test_the_clock_of_the_database_server_is_a_second_one(new_postgres_database: Callable[[], str]) -> None:
    with Database(new_postgres_database()) as database:
        now = datetime.now(UTC)
        assert abs(database.server_time() - now) < HOUR
        others = [("the database server", database.server_time)]
        ClockGuard(StoppedClock(now), lambda: now - 100 * DAY, others).check()
        with pytest.raises(ClockDoubted, match="the database server"):
            ClockGuard(StoppedClock(now + 100 * DAY), lambda: now, others).check()


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_an_outside_time_stamp_authority_is_a_second_one() -> None:
    theirs = StoppedClock(START)
    with plain_server() as server:
        other = OtherTsa(Suite.P256_SHA256, theirs, server)

        def ask(url: str, query: bytes) -> bytes:
            kinds = {
                "content_type": "application/timestamp-query",
                "answer_type": "application/timestamp-reply",
            }
            return post(url, query, timeout_seconds=30, max_bytes=65536, **kinds)

        ours = StoppedClock(START + 400 * DAY)
        tsa = OutsideTsa(other.url, [other.cert, other.ca.cert], other.ca.root, ours, ask)
        assert abs(tsa.now() - START) < timedelta(seconds=1)
        with pytest.raises(ClockDoubted, match="time-stamp authority"):
            ClockGuard(ours, lambda: START, [("the time-stamp authority", tsa.now)]).check()
        other.spoil = lambda token: token[:-1] + bytes([token[-1] ^ 1])
        with pytest.raises(TimeStampUnavailable):
            tsa.now()


@pytest.mark.skipif(shutil.which("faketime") is None, reason="needs faketime")
def test_the_whole_program_under_a_clock_that_is_ahead(tmp_path: Path) -> None:
    """In processes of their own, with the clock that the operating system gives them."""
    record = tmp_path / "record.json"
    program = Path(sys.executable).with_name("yinzheng")
    environment = {
        **os.environ, "YINZHENG_DATA": str(tmp_path / "data"), "YINZHENG_LANG": "en", "YINZHENG_KDF_ROUNDS": "1000",
    }  # fmt: skip
    environment.pop("DATABASE_URL", None)

    def run(ahead: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = ["faketime", "-f", ahead, str(program), *map(str, arguments)]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=HANG_SECONDS
        )

    def issue(ahead: str, number: int) -> subprocess.CompletedProcess[str]:
        today = (datetime.now(UTC) - DAY).date().isoformat()
        fields = {**FOOD, "licence_number": f"JY2990101{number:07d}", "valid_from": today, "issued_on": today}
        record.write_text(json.dumps([fields]), encoding="utf-8")
        return run(ahead, "issue", "FOOD", "--from", record, "--out", tmp_path / f"out{number}")

    assert run("+0", "init").returncode == 0
    market = ("--uscc", "11990100MB9X100103", "--name-zh", "春城市市场监督管理局", "--name-en", "Chuncheng")
    added = run("+0", "authority", "add", "cc-market", *market, "--function", "market-regulation")
    assert added.returncode == 0, added.stderr
    made = run("+0", "seal", "make", "cc-market-sm2", "--authority", "cc-market", "--suite", "SM2-SM3")
    assert made.returncode == 0, made.stderr
    assert issue("+0", 1).returncode == 0
    refused = issue("+400d", 2)
    assert refused.returncode == 4, refused.stderr
    assert "accept-time" in refused.stderr
    assert not list(tmp_path.glob("out2/*.pdf"))
    assert issue("+0", 2).returncode == 0  # the clock was mended
    assert issue("+30d", 3).returncode == 0  # it slept
    accepted = run("+500d", "ledger", "accept-time")
    assert accepted.returncode == 0, accepted.stderr
    assert issue("+500d", 4).returncode == 0
    assert run("+500d", "ledger", "recheck").returncode == 0
