"""What happened to a licence × how it is shown: online and offline give the same verdict and code.

The one difference there may be is freshness: a bundle that is out of date says so, and never PASSED or FAILED.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.shown import Shown, altered, saved_anew, shown
from support.world import START, World, make_world, world_in

from issuer.presenting.presenting import Level
from trust.app.site import create_app
from trust.model.actor import OPERATOR
from trust.model.report import Report, Verdict
from trust.model.status import StatusAct
from trust.sandbox.workers import Sandbox

FORMS = ("file", "code", "picture", "photo")


@dataclass(frozen=True)
class Matrix:
    world: World
    bundle: Path
    cases: dict[str, tuple[Shown, datetime]]

    def online(self, given: bytes | str, at: datetime) -> Report:
        return self.world.verify(given, at=at)

    def over_http(self, given: bytes | str) -> dict[str, Any]:
        with TestClient(create_app(self.world.site)) as client:
            sent = {"json": {"code": given}} if isinstance(given, str) else {"files": {"file": ("x", given)}}
            report: dict[str, Any] = client.post("/api/v1/verifications", **sent).json()
        return report

    def offline(self, given: bytes | str, at: datetime) -> Report:
        return self.world.verify_offline(given, self.bundle, at=at)


@pytest.fixture(scope="module")
def matrix(
    template_folder: Path, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Iterator[Matrix]:
    folder = tmp_path_factory.mktemp("matrix")
    world = world_in(template_folder, folder / "data", sandbox)
    # Somebody else's service, with the same departments, names and host: only the keys are different.
    stranger = make_world(folder / "stranger", sandbox=sandbox)
    statuses = world.site.issuer.statuses
    try:
        _, valid_pdf = world.issue(1)
        suspended, suspended_pdf = world.issue(2)
        revoked, revoked_pdf = world.issue(3)
        replaced, replaced_pdf = world.issue(4)
        _, expired_pdf = world.issue(5)
        _, early_pdf = world.issue(6, valid_from="2026-11-25")
        statuses.change(OPERATOR, suspended.pid, StatusAct.SUSPEND, reason="调查")
        statuses.change(OPERATOR, revoked.pid, StatusAct.REVOKE, reason="penalty")
        new = replace(world.application(4, premises="云岭省春城市新址路8号"), replaces=replaced.pid)
        assert statuses.replace(OPERATOR, replaced.pid, new, reason="迁址").issued is not None
        good = shown(valid_pdf)
        later = datetime(2031, 11, 5, tzinfo=UTC)  # its five years ended on 31 October
        cases = {
            "valid": (good, START),
            "suspended": (shown(suspended_pdf), START),
            "revoked": (shown(revoked_pdf), START),
            "replaced": (shown(replaced_pdf), START),
            "expired": (shown(expired_pdf), later),
            "not yet": (shown(early_pdf), START),
            "altered": (altered(good), START),
            "re-saved": (saved_anew(good), START),
            "unknown issuer": (shown(stranger.issue(1)[1]), START),
        }
        yield Matrix(world, world.bundle(), cases)
    finally:
        stranger.close()
        world.close()


EXPECTED = {
    # what happened: verdict and code of the file, and of the code where they differ
    "valid": ((Verdict.PASSED, "OK"),) * 2,
    "suspended": ((Verdict.FAILED, "SUSPENDED"),) * 2,
    "revoked": ((Verdict.FAILED, "REVOKED"),) * 2,
    "replaced": ((Verdict.FAILED, "REPLACED"),) * 2,
    "expired": ((Verdict.FAILED, "EXPIRED"),) * 2,
    "not yet": ((Verdict.FAILED, "NOT_YET"),) * 2,
    "altered": ((Verdict.FAILED, "ALTERED"), (Verdict.FAILED, "BAD_SEAL")),
    "re-saved": ((Verdict.FAILED, "ALTERED"), (Verdict.PASSED, "OK")),
    "unknown issuer": ((Verdict.INDETERMINATE, "UNKNOWN_ISSUER"),) * 2,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", EXPECTED)
def test_online_and_offline_say_the_same(matrix: Matrix, case: str, form: str) -> None:
    given, at = matrix.cases[case]
    bundle = matrix.bundle
    if at != START:
        matrix.world.clock.at = at
        bundle = matrix.world.bundle()
    try:
        online = matrix.online(given.as_(form), at)
        over_http = matrix.over_http(given.as_(form))
        offline = matrix.world.verify_offline(given.as_(form), bundle, at=at)
    finally:
        matrix.world.clock.at = START
    expected = EXPECTED[case][0 if form == "file" else 1]
    assert (online.verdict, online.code) == expected, online.findings
    assert (offline.verdict, offline.code) == expected, offline.findings
    assert online.colour is offline.colour
    assert (over_http["verdict"], over_http["code"]) == (online.verdict.value, online.code)
    assert [each["value"] for each in over_http["shown"]] == [each.value for each in online.shown]
    assert online.shown == offline.shown
    if expected[0] is not Verdict.INDETERMINATE and online.freshness and offline.freshness:
        assert online.freshness.online
        assert not offline.freshness.online
        assert offline.freshness.next_update is not None


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", ["valid", "suspended", "revoked"])
def test_a_stale_bundle_decides_nothing(matrix: Matrix, case: str, form: str) -> None:
    given, _ = matrix.cases[case]
    at = START + timedelta(days=400)
    stale = matrix.offline(given.as_(form), at)
    assert (stale.verdict, stale.code) == (Verdict.INDETERMINATE, "STATUS_STALE"), stale.findings
    assert stale.shown == ()


@pytest.mark.parametrize("form", FORMS)
def test_a_bundle_from_the_future_decides_nothing(matrix: Matrix, form: str) -> None:
    given, _ = matrix.cases["valid"]
    report = matrix.offline(given.as_(form), START - timedelta(days=2))
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "CLOCK_BEHIND"), report.findings
    assert report.shown == ()


def test_a_live_code_says_nothing_offline_and_is_not_used_up_by_it(matrix: Matrix) -> None:
    issued, _ = matrix.world.issue(7)
    presenting = matrix.world.site.issuer.presenting
    shown = presenting.start(OPERATOR, issued.pid, purpose="核验", level=Level.MASKED)
    code, _ = presenting.code(shown, START)
    offline = matrix.offline(code, START)
    assert (offline.verdict, offline.code) == (Verdict.INDETERMINATE, "CODE_NEEDS_NETWORK")
    assert matrix.online(code, START).code == "OK"
