"""Status: one table of what may follow what, one winner among two officers, and the same answer everywhere."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.actors import client_of
from support.pairs import Subject, contradictions
from support.reports import facts_of
from support.world import World

from trust.model.actor import OPERATOR
from trust.model.errors import Conflict, Malformed, NotPermitted, TrustError
from trust.model.report import Verdict
from trust.model.status import Status, StatusAct, next_status

AFTER = {
    ("VALID", "suspend"): "SUSPENDED",
    ("VALID", "revoke"): "REVOKED",
    ("VALID", "replace"): "REPLACED",
    ("SUSPENDED", "reinstate"): "VALID",
    ("SUSPENDED", "revoke"): "REVOKED",
    ("SUSPENDED", "replace"): "REPLACED",
}
"""Every cell of the table, written down a second time: 暂扣 may end, 撤销, 吊销, 注销 and 换发 are final."""


@pytest.mark.parametrize("status", ["VALID", "SUSPENDED", "REVOKED", "REPLACED"])
@pytest.mark.parametrize("act", ["suspend", "reinstate", "revoke", "replace"])
def test_only_the_table_decides_what_follows(status: str, act: str) -> None:
    if (status, act) in AFTER:
        assert next_status(Status(status), StatusAct(act)).value == AFTER[status, act]
    else:
        with pytest.raises(Conflict):
            next_status(Status(status), StatusAct(act))


def test_there_is_no_state_and_no_act_beside_these() -> None:
    assert {each.value for each in Status} == {"VALID", "SUSPENDED", "REVOKED", "REPLACED"}
    assert {each.value for each in StatusAct} == {"suspend", "reinstate", "revoke", "replace"}


def test_a_suspended_ecertificate_fails_and_a_reinstated_one_passes(stored_world: World) -> None:
    issued, pdf = stored_world.issue()
    statuses = stored_world.site.issuer.statuses
    statuses.change(OPERATOR, issued.pid, StatusAct.SUSPEND, reason="投诉调查")
    report = stored_world.verify(pdf)
    assert (report.verdict, report.code) == (Verdict.FAILED, "SUSPENDED")
    assert stored_world.verify_offline(pdf, stored_world.bundle()).code == "SUSPENDED"
    statuses.change(OPERATOR, issued.pid, StatusAct.REINSTATE, reason="调查结束")
    assert stored_world.verify(pdf).verdict is Verdict.PASSED
    assert stored_world.verify_offline(pdf, stored_world.bundle()).verdict is Verdict.PASSED


def test_a_revocation_says_reason_and_time_and_is_final(stored_world: World) -> None:
    issued, pdf = stored_world.issue()
    stored_world.clock.advance(minutes=5)
    stored_world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
    report = stored_world.verify(pdf)
    assert report.code == "REVOKED"
    assert facts_of(report)["status"]["reason"] == "penalty"
    assert facts_of(report)["status"]["changed_at"] == stored_world.clock.now().isoformat()
    for act, reason in ((StatusAct.REINSTATE, "x"), (StatusAct.SUSPEND, "x"), (StatusAct.REVOKE, "penalty")):
        with pytest.raises(Conflict):
            stored_world.site.issuer.statuses.change(OPERATOR, issued.pid, act, reason=reason)


def test_a_revocation_needs_a_legal_ground_and_others_a_reason(world: World) -> None:
    issued, _ = world.issue()
    for act, reason in ((StatusAct.REVOKE, "because"), (StatusAct.SUSPEND, "  ")):
        with pytest.raises(Malformed):
            world.site.issuer.statuses.change(OPERATOR, issued.pid, act, reason=reason)
    assert world.site.issuer.issuing.issued(pid=issued.pid).status is Status.VALID


def test_only_the_issuing_authority_changes_a_status(world: World) -> None:
    issued, _ = world.issue()
    with pytest.raises(NotPermitted):
        world.site.issuer.statuses.change(
            client_of("yunling-transport"), issued.pid, StatusAct.REVOKE, reason="penalty"
        )


def test_of_concurrent_acts_exactly_one_wins(stored_world: World) -> None:
    issued, _ = stored_world.issue()
    size = stored_world.site.ledger.log.size

    def attempt(act: StatusAct) -> bool:
        try:
            stored_world.site.issuer.statuses.change(
                OPERATOR, issued.pid, act, reason="penalty" if act is StatusAct.REVOKE else "调查"
            )
        except TrustError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        # Suspending twice and revoking after suspending are both lawful in turn; revoking twice never is.
        won = list(pool.map(attempt, [StatusAct.REVOKE] * 8))
    assert sum(won) == 1
    assert stored_world.site.ledger.log.size == size + 1


def test_what_a_crash_left_announced_is_completed(world: World) -> None:
    issued, pdf = world.issue()
    statuses = world.site.issuer.statuses
    statuses._announce(OPERATOR, issued.pid, StatusAct.REVOKE, "penalty", "")
    during = world.verify(pdf)
    assert (during.verdict, during.code) == (Verdict.INDETERMINATE, "TRY_LATER"), (
        "neither valid nor revoked yet"
    )
    world.outlast_leases()
    assert statuses.resume_pending() == 1
    assert world.verify(pdf).code == "REVOKED"
    assert statuses.resume_pending() == 0


def test_what_was_replaced_gets_no_second_successor_when_the_first_was_erased(stored_world: World) -> None:
    world, site = stored_world, stored_world.site
    old, _ = world.issue(1)
    again = dataclasses.replace(world.application(1, premises="云岭省春城市示例路12号"), replaces=old.pid)
    newer = site.issuer.statuses.replace(OPERATOR, old.pid, again, reason="moved").issued
    assert newer is not None
    assert site.issuer.statuses.replace(OPERATOR, old.pid, again, reason="moved").issued == newer
    site.issuer.statuses.change(OPERATOR, newer.pid, StatusAct.REVOKE, reason="cancelled")
    site.issuer.erasing.erase(
        OPERATOR, newer.pid, basis="court-order", requested_by="clerk", approved_by="chief"
    )
    size = site.ledger.log.size
    outcome = site.issuer.statuses.replace(OPERATOR, old.pid, again, reason="moved")
    assert isinstance(outcome.error, Conflict)
    assert site.ledger.log.size == size
    assert contradictions(world, Subject(old.pid, 1)) == []
