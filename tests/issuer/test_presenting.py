"""Live codes: fresh for seconds, good once, worthless to anybody else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from support.reports import facts_of
from support.world import World

from issuer.presenting.presenting import Level, Presentation
from trust.model.actor import OPERATOR
from trust.model.errors import Malformed
from trust.model.report import Verdict
from trust.model.status import StatusAct


def start(world: World, level: Level = Level.MASKED) -> tuple[bytes, Presentation]:
    issued, _ = world.issue()
    return issued.pid, world.site.issuer.presenting.start(
        OPERATOR, issued.pid, purpose="办理延续", level=level
    )


def code_of(world: World, presentation: Presentation) -> str:
    return world.site.issuer.presenting.code(presentation, world.clock.now())[0]


def test_a_live_code_works_once(stored_world: World) -> None:
    _, shown = start(stored_world)
    code = code_of(stored_world, shown)
    assert stored_world.verify(code, verifier="counter 3").verdict is Verdict.PASSED
    assert stored_world.verify(code, verifier="counter 7").code == "CODE_USED"


def test_a_scanner_that_reads_twice_gets_the_same_answer_for_thirty_seconds(world: World) -> None:
    _, shown = start(world)
    code = code_of(world, shown)
    world.verify(code, verifier="counter 3")
    world.clock.advance(seconds=20)
    again = world.verify(code, verifier="counter 3")
    assert again.verdict is Verdict.PASSED
    assert facts_of(again)["presentation"]["code_state"] == "REPEAT"
    world.clock.advance(seconds=20)
    assert world.verify(code, verifier="counter 3").code == "CODE_USED"


def test_an_anonymous_second_scan_is_never_a_repeat(world: World) -> None:
    _, shown = start(world)
    code = code_of(world, shown)
    assert world.verify(code).verdict is Verdict.PASSED
    assert world.verify(code).code == "CODE_USED"


@pytest.mark.parametrize(
    ("seconds", "code"), [(0, "OK"), (34, "OK"), (36, "CODE_EXPIRED"), (400, "CODE_EXPIRED")]
)
def test_a_screenshot_lives_35_seconds(world: World, seconds: int, code: str) -> None:
    _, shown = start(world)
    text = code_of(world, shown)
    world.clock.advance(seconds=seconds)
    assert world.verify(text, verifier="counter").code == code


def test_of_many_scans_at_once_exactly_one_passes(stored_world: World) -> None:
    _, shown = start(stored_world)
    code = code_of(stored_world, shown)
    with ThreadPoolExecutor(8) as pool:
        reports = list(pool.map(lambda n: stored_world.verify(code, verifier=f"counter {n}"), range(12)))
    assert sum(r.verdict is Verdict.PASSED for r in reports) == 1
    assert {r.code for r in reports} == {"OK", "CODE_USED"}


def test_a_code_of_the_future_or_of_another_service_is_refused(world: World) -> None:
    _, shown = start(world)
    ahead, _ = world.site.issuer.presenting.code(shown, world.clock.now() + timedelta(minutes=2))
    assert world.verify(ahead, verifier="x").code == "CODE_EXPIRED"
    code = code_of(world, shown)
    tampered = code[:-2] + ("AA" if code[-2:] != "AA" else "BB")
    assert world.verify(tampered).code in ("NOT_OURS", "UNREADABLE")


def test_stopping_ends_the_code(world: World) -> None:
    _, shown = start(world)
    code = code_of(world, shown)
    world.site.issuer.presenting.stop(shown.session)
    assert world.verify(code).code == "CODE_EXPIRED"


def test_a_live_code_shows_the_status_of_the_moment(world: World) -> None:
    pid, shown = start(world)
    world.site.issuer.statuses.change(OPERATOR, pid, StatusAct.REVOKE, reason="rescinded")
    report = world.verify(code_of(world, shown), verifier="x")
    assert (report.verdict, report.code) == (Verdict.FAILED, "REVOKED")


def test_a_level_shows_its_fields_and_masks_persons_below_two(world: World) -> None:
    issued, _ = world.issue()
    shown = {}
    for level in (Level.STATUS, Level.MASKED, Level.NAMED):
        session = world.site.issuer.presenting.start(OPERATOR, issued.pid, purpose="核验", level=level)
        report = world.verify(code_of(world, session), verifier=f"counter {level}")
        shown[level] = {field.name: field.value for field in report.shown}
    assert "legal_representative" not in shown[Level.STATUS]
    assert shown[Level.MASKED]["legal_representative"] == "阿**"
    assert shown[Level.NAMED]["legal_representative"] == "阿依古丽·买买提"


def test_offline_a_live_code_says_nothing(world: World) -> None:
    _, shown = start(world)
    report = world.verify_offline(code_of(world, shown), world.bundle())
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "CODE_NEEDS_NETWORK")


@pytest.mark.parametrize(("purpose", "ttl"), [("", 60), ("x" * 61, 60), ("a\nb", 60), ("ok", 5), ("ok", 301)])
def test_a_presentation_needs_a_purpose_and_a_short_life(world: World, purpose: str, ttl: int) -> None:
    issued, _ = world.issue()
    with pytest.raises(Malformed):
        world.site.issuer.presenting.start(
            OPERATOR, issued.pid, purpose=purpose, level=Level.MASKED, ttl=timedelta(seconds=ttl)
        )
