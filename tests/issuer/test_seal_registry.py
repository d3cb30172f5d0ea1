"""The registry of seals: every step in order and on record, two people where two are needed, nothing half-done."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from PIL import Image, ImageDraw
from sqlalchemy.engine import Connection
from support.limits import HANG_SECONDS
from support.ways import sealing
from support.world import MARKET, NAME_SEAL, START, World

from issuer.seals import sql
from issuer.seals.artwork import draw_seal, round_seal, seal_data_png, seal_pdf
from issuer.seals.lifecycle import event_commit
from issuer.seals.registry import ESeal
from issuer.seals.using import SealUses
from keys.suites import Suite
from ledger.recheck import recheck
from trust.encoding.entry import EntryKind, decode_entry
from trust.encoding.ses import decode_seal
from trust.model.actor import OPERATOR, operator
from trust.model.ecertificate import Application
from trust.model.errors import Conflict, LedgerBusy, Malformed, NotFound, NotPermitted, TrustError
from trust.model.report import Result, Verdict
from trust.model.seal import SealAct, SealPolicy, SealShape, SealState, seal_code
from trust.storage import tables

NEW = "chuncheng-market-new"


def applied(world: World, **changes: Any) -> None:
    wanted: dict[str, Any] = {"second_line": "行政许可专用章"} | changes
    actor = operator(wanted.pop("by", "keeper 1"))
    world.site.issuer.seals.apply(actor, NEW, MARKET.authority_id, Suite.SM2_SM3, **wanted)


def in_use(world: World, **changes: object) -> ESeal:
    seals = world.site.issuer.seals
    applied(world, **changes)
    seals.approve(operator("reviewer 1"), NEW)
    seals.make_approved(operator("maker 1"), NEW)
    return seals.record(operator("keeper 1"), NEW)


def refusal(world: World, seal: str = NEW, number: int = 1, **changes: str) -> str:
    (outcome,) = world.try_issue(world.application(number, seal=seal, **changes))
    assert outcome.issued is None
    assert outcome.error is not None
    return outcome.error.code


# The walk --------------------------------------------------------------------------------------------------


def test_a_seal_is_applied_for_reviewed_made_and_recorded_before_it_is_used(stored_world: World) -> None:
    seals = stored_world.site.issuer.seals
    applied(stored_world, note="新设窗口")
    assert seals.registry.application(NEW).state is SealState.APPLIED
    with pytest.raises(NotFound):
        seals.registry.get(NEW)
    assert refusal(stored_world) == "UNKNOWN_SEAL"
    seals.approve(operator("reviewer 1"), NEW)
    made = seals.make_approved(operator("maker 1"), NEW)
    assert made.state is SealState.MADE
    assert refusal(stored_world) == "SEAL_NOT_USABLE"
    assert seals.record(operator("keeper 1"), NEW).state is SealState.ACTIVE
    (outcome,) = stored_world.try_issue(stored_world.application(1, seal=NEW))
    assert outcome.issued is not None
    assert (
        stored_world.verify(stored_world.site.issuer.issuing.issued_file(outcome.issued.pid)).verdict
        is Verdict.PASSED
    )
    history = seals.registry.history(NEW)
    assert [(event.act, event.by) for event in history] == [
        (SealAct.APPLY, "keeper 1"),
        (SealAct.APPROVE, "reviewer 1"),
        (SealAct.MAKE, "maker 1"),
        (SealAct.RECORD, "keeper 1"),
    ]
    (use,) = seals.registry.uses(NEW)
    assert (use.pid, use.by, use.at) == (outcome.issued.pid, "operator", START)


def test_every_step_is_a_ledger_entry_that_commits_to_it(world: World) -> None:
    site = world.site
    start = site.ledger.log.size
    in_use(world)
    site.issuer.seals.authorise(
        operator("reviewer 1"), NEW, SealPolicy(types=["FOOD"], per_day=9), note="窗口"
    )
    site.issuer.seals.freeze(operator("keeper 2"), NEW, note="调查")
    with site.stores.register.read() as connection:
        rows = tables.all_rows(connection, sql.SealEventRow, seal_id=NEW)
    entries = [decode_entry(site.ledger.log.entry(row.entry_seq or 0)) for row in rows]
    between = [decode_entry(site.ledger.log.entry(seq)) for seq in range(start, site.ledger.log.size)]
    assert [entry for entry in between if entry.kind is EntryKind.SEAL_EVENT] == entries
    assert len(entries) == 6
    assert {entry.kind for entry in entries} == {EntryKind.SEAL_EVENT}
    assert {entry.actor for entry in entries} == {MARKET.authority_id}
    assert [entry.commit for entry in entries] == [event_commit(row) for row in rows]
    rows[-1].note = "另一说明"
    assert entries[-1].commit != event_commit(rows[-1])
    report = recheck(
        site.stores.ledger, site.ledger.ledger_folder, site.stores.lock, log_vkey=site.ledger.log.vkey
    )
    assert report.is_clean


def test_nobody_reviews_an_application_of_their_own(world: World) -> None:
    applied(world)
    seals = world.site.issuer.seals
    for act in (seals.approve, seals.reject):
        with pytest.raises(NotPermitted):
            act(operator("keeper 1"), NEW, note="x")
    assert seals.registry.application(NEW).state is SealState.APPLIED
    seals.reject(operator("reviewer 1"), NEW, note="重复申请")
    with pytest.raises(Conflict):
        seals.approve(operator("reviewer 1"), NEW)
    assert NEW in [each.seal_id for each in seals.registry.applications()]


@pytest.mark.parametrize(
    "changes",
    [
        {"by": " "},
        {"by": "a|b"},
        {"by": "x" * 65},
        {"note": "x" * 201},
        {"second_line": "一二三四五六七八九十一"},
        {"diameter_mm": 60.0},
        {"renews": "nobody"},
        {"renews": "yunling-transport-sm2"},
    ],
)
def test_an_application_that_cannot_be_meant_is_refused_and_changes_nothing(
    world: World, changes: dict[str, object]
) -> None:
    size = world.site.ledger.log.size
    with pytest.raises(TrustError):
        applied(world, **changes)
    with pytest.raises(NotFound):
        world.site.issuer.seals.registry.application(NEW)
    assert world.site.ledger.log.size == size


def test_the_same_application_again_is_the_same_and_another_is_refused(world: World) -> None:
    applied(world)
    applied(world)
    assert len(world.site.issuer.seals.registry.history(NEW)) == 1
    with pytest.raises(Conflict):
        applied(world, second_line="")


# Out of use ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["freeze", "report_lost", "revoke", "expire"])
def test_a_seal_out_of_use_seals_nothing_and_what_it_sealed_before_stays_valid(
    stored_world: World, act: str
) -> None:
    site = stored_world.site
    issued, pdf = stored_world.issue(1)
    stored_world.clock.advance(minutes=30)
    seal = "chuncheng-market-sm2"
    if act == "expire":
        stored_world.clock.advance(days=365 * 5 + 2)
    else:
        getattr(site.issuer.seals, act)(OPERATOR, seal)
    assert refusal(stored_world, seal, 2) == "SEAL_NOT_USABLE"
    with pytest.raises(Conflict):
        site.issuer.issuing.check(OPERATOR, stored_world.application(3, seal=seal))
    if act != "expire":
        assert stored_world.verify(pdf).verdict is Verdict.PASSED
        assert stored_world.verify_offline(pdf, stored_world.bundle()).verdict is Verdict.PASSED
    assert site.issuer.issuing.issued(pid=issued.pid).seal_id == seal


def test_what_was_sealed_while_a_seal_was_lost_does_not_count(stored_world: World) -> None:
    """The loss is noticed two hours late; what was sealed in between fails, and is named for sealing anew."""
    seals = stored_world.site.issuer.seals
    _, before = stored_world.issue(1)
    stored_world.clock.advance(hours=1)
    lost_at = stored_world.clock.now()
    stored_world.clock.advance(hours=1)
    between, during = stored_world.issue(2)
    stored_world.clock.advance(hours=1)
    seals.report_lost(OPERATOR, "chuncheng-market-sm2", note="UKey 丢失", since=lost_at)
    assert [use.pid for use in seals.registry.uses("chuncheng-market-sm2", since=lost_at)] == [between.pid]
    for verify in (
        stored_world.verify,
        lambda pdf: stored_world.verify_offline(pdf, stored_world.bundle()),
    ):
        assert verify(before).verdict is Verdict.PASSED
        assert verify(during).code == "SEAL_NOT_IN_FORCE"
    stored_world.clock.advance(hours=1)
    seals.unfreeze(OPERATOR, "chuncheng-market-sm2", note="已寻回，未被使用")
    _, after = stored_world.issue(3)
    assert stored_world.verify(after).verdict is Verdict.PASSED
    assert stored_world.verify(during).code == "SEAL_NOT_IN_FORCE"


def test_a_key_known_to_others_since_a_time_takes_down_what_came_after(world: World) -> None:
    _, before = world.issue(1)
    world.clock.advance(hours=2)
    since = world.clock.now()
    world.clock.advance(hours=1)
    _, after = world.issue(2)
    world.clock.advance(hours=1)
    world.site.issuer.seals.revoke(OPERATOR, "chuncheng-market-sm2", note="私钥泄露", since=since)
    assert world.verify(before).verdict is Verdict.PASSED
    assert world.verify(after).verdict is Verdict.FAILED
    assert world.verify_offline(after, world.bundle()).verdict is Verdict.FAILED
    with pytest.raises(Conflict):
        world.site.issuer.seals.unfreeze(OPERATOR, "chuncheng-market-sm2")


def test_a_time_in_the_future_is_refused(world: World) -> None:
    with pytest.raises(Malformed):
        world.site.issuer.seals.revoke(OPERATOR, "chuncheng-market-sm2", since=START + timedelta(seconds=1))
    assert world.site.issuer.seals.registry.get("chuncheng-market-sm2").state is SealState.ACTIVE


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=14))])
def test_a_time_before_the_seal_was_made_means_since_it_was_made(world: World, zone: timezone) -> None:
    """A slip of the year must not stop every list of the CA, and the registry of everybody."""
    site, seal = world.site, "chuncheng-market-sm2"
    _, pdf = world.issue(1)
    made = site.issuer.seals.registry.get(seal).not_before
    assert (
        site.issuer.seals.report_lost(OPERATOR, seal, since=datetime(1, 1, 1, tzinfo=zone)).state_since
        == made
    )
    world.clock.advance(hours=1)
    assert (
        site.issuer.seals.revoke(OPERATOR, seal, since=datetime(26, 11, 23, tzinfo=zone)).state_since == made
    )
    assert site.issuer.seals.registry.history(seal)[-1].effective_at == made
    assert world.verify(pdf).verdict is Verdict.FAILED
    assert world.verify_offline(pdf, world.bundle()).verdict is Verdict.FAILED


def test_a_renewed_seal_takes_over_and_the_old_one_rests(stored_world: World) -> None:
    seals = stored_world.site.issuer.seals
    old = "chuncheng-market-sm2"
    _, pdf = stored_world.issue(1)
    stored_world.clock.advance(days=300)
    new = in_use(stored_world, renews=old)
    assert seals.registry.get(old).state is SealState.RENEWED
    assert seals.registry.for_authority(MARKET.authority_id).seal_id == NEW == new.seal_id
    assert refusal(stored_world, old, 2) == "SEAL_NOT_USABLE"
    assert stored_world.verify(pdf).verdict is Verdict.PASSED
    assert [event.act for event in seals.registry.history(old)][-1] is SealAct.RENEW
    renewed_at = seals.registry.get(old).state_since
    stored_world.clock.advance(days=30)
    revoked = seals.revoke(OPERATOR, old)
    assert (revoked.state, revoked.state_since) == (SealState.REVOKED, renewed_at)
    assert stored_world.verify(pdf).verdict is Verdict.PASSED


# Policy ----------------------------------------------------------------------------------------------------


def test_a_seal_seals_only_what_it_is_authorised_for(world: World) -> None:
    in_use(world)
    seals = world.site.issuer.seals
    seals.authorise(operator("reviewer 1"), NEW, SealPolicy(types=["ROADTP"]))
    assert refusal(world) == "SEAL_NOT_AUTHORISED"
    seals.authorise(operator("reviewer 1"), NEW, SealPolicy(callers=["abcdefghij"]))
    assert refusal(world) == "SEAL_NOT_AUTHORISED"
    seals.authorise(operator("reviewer 1"), NEW, SealPolicy(types=["FOOD"], callers=["operator"]))
    (outcome,) = world.try_issue(world.application(1, seal=NEW))
    assert outcome.issued is not None


def test_the_limit_of_a_day_holds_with_many_at_once_and_ends_with_the_day_in_china(
    stored_world: World,
) -> None:
    in_use(stored_world)
    stored_world.site.issuer.seals.authorise(operator("reviewer 1"), NEW, SealPolicy(per_day=3))
    numbers = range(1, 9)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(
            pool.map(lambda n: stored_world.try_issue(stored_world.application(n, seal=NEW))[0], numbers)
        )
    assert sum(outcome.issued is not None for outcome in outcomes) == 3
    codes = {outcome.error.code for outcome in outcomes if outcome.error is not None}
    assert codes == {"SEAL_LIMIT_REACHED"}
    assert len(stored_world.site.issuer.seals.registry.uses(NEW)) == 3
    stored_world.clock.advance(hours=13, minutes=59)  # 23:59 in China
    assert refusal(stored_world, NEW, 20) == "SEAL_LIMIT_REACHED"
    stored_world.clock.advance(minutes=1)
    (outcome,) = stored_world.try_issue(stored_world.application(21, seal=NEW))
    assert outcome.issued is not None


def test_many_documents_at_once_need_a_second_person_and_an_approval_is_used_once(world: World) -> None:
    in_use(world)
    seals, issuing = world.site.issuer.seals, world.site.issuer.issuing
    seals.authorise(operator("reviewer 1"), NEW, SealPolicy(second_approval_above=2))

    def request(*numbers: int) -> list[Application]:
        return [world.application(n, seal=NEW) for n in numbers]

    assert all(o.issued for o in issuing.issue(OPERATOR, request(1, 2)))
    number = seals.using.request_many(operator("clerk 1"), NEW, 3)
    size = world.site.ledger.log.size
    for approval in (None, number, number + 1):
        with pytest.raises(NotPermitted) as refused:
            issuing.issue(OPERATOR, request(3, 4, 5), approval=approval)
        assert refused.value.code == "SEAL_NEEDS_APPROVAL"
    with pytest.raises(NotPermitted):
        seals.using.approve_many(operator("clerk 1"), number)
    assert world.site.ledger.log.size == size
    seals.using.approve_many(operator("reviewer 1"), number)
    with pytest.raises(Conflict):
        seals.using.approve_many(operator("reviewer 2"), number)
    with pytest.raises(NotPermitted):
        issuing.issue(OPERATOR, request(3, 4, 5, 6), approval=number)
    assert all(o.issued for o in issuing.issue(OPERATOR, request(3, 4, 5), approval=number))
    with pytest.raises(NotPermitted):
        issuing.issue(OPERATOR, request(7, 8, 9), approval=number)


@pytest.mark.parametrize(
    "policy",
    [
        SealPolicy(types=["NOSUCH"]),
        SealPolicy(types=[]),
        SealPolicy(callers=[]),
        SealPolicy(per_day=-1),
        SealPolicy(second_approval_above=10**9),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(world: World, policy: SealPolicy) -> None:
    with pytest.raises(Malformed):
        world.site.issuer.seals.authorise(operator("reviewer 1"), "chuncheng-market-sm2", policy)
    assert world.site.issuer.seals.registry.get("chuncheng-market-sm2").policy == SealPolicy()


# Nothing half-done -----------------------------------------------------------------------------------------


class PowerCut(BaseException):
    pass


def cut_at_append(world: World, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    def cut(*_: object) -> None:
        raise PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(type(world.site.ledger.log), "append", cut)
        with pytest.raises(PowerCut):
            act()


def test_a_step_that_a_crash_interrupted_is_completed(
    stored_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seals = stored_world.site.issuer.seals
    steps: list[tuple[Callable[[], object], SealState]] = [
        (lambda: applied(stored_world), SealState.APPLIED),
        (
            lambda: seals.approve(operator("reviewer 1"), NEW),
            SealState.APPROVED,
        ),
        (
            lambda: seals.make_approved(operator("maker 1"), NEW),
            SealState.MADE,
        ),
        (
            lambda: seals.record(operator("keeper 1"), NEW),
            SealState.ACTIVE,
        ),
        (lambda: seals.freeze(OPERATOR, NEW), SealState.FROZEN),
        (lambda: seals.unfreeze(OPERATOR, NEW), SealState.ACTIVE),
    ]
    for act, state in steps:
        cut_at_append(stored_world, monkeypatch, act)
        assert seals.registry.history(NEW)[-1].entry_seq is None
        stored_world.outlast_leases()
        assert seals.resume_pending() == 1
        assert seals.resume_pending() == 0
        assert seals.registry.application(NEW).state is state
        assert seals.registry.history(NEW)[-1].entry_seq is not None
    assert refusal(stored_world, "nobody") == "UNKNOWN_SEAL"


def test_an_enabling_step_waits_for_its_entry_and_a_restricting_one_does_not(
    stored_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stolen seal is frozen even while the ledger takes no entries."""
    seals = stored_world.site.issuer.seals
    seal = "chuncheng-market-sm2"

    def busy(*_: object) -> None:
        raise LedgerBusy("full")

    with monkeypatch.context() as patched:
        patched.setattr(type(stored_world.site.ledger.log), "append", busy)
        assert seals.freeze(OPERATOR, seal).state is SealState.FROZEN
        assert refusal(stored_world, seal) == "SEAL_NOT_USABLE"
        with pytest.raises(LedgerBusy):
            seals.unfreeze(OPERATOR, seal)
        assert seals.registry.get(seal).state is SealState.FROZEN
        with pytest.raises(Conflict):
            seals.unfreeze(OPERATOR, seal)
        # Worse news overtakes the unfreezing that waits.
        assert seals.report_lost(OPERATOR, seal).state is SealState.LOST
    assert seals.resume_pending() == 3
    assert seals.registry.get(seal).state is SealState.LOST


def test_of_a_freeze_and_many_uses_at_once_none_is_sealed_after_the_freeze(stored_world: World) -> None:
    site = stored_world.site
    in_use(stored_world)
    with ThreadPoolExecutor(5) as pool:
        uses = [
            pool.submit(stored_world.try_issue, stored_world.application(n, seal=NEW)) for n in range(1, 13)
        ]
        pool.submit(site.issuer.seals.freeze, OPERATOR, NEW).result()
        frozen_with = len(site.issuer.seals.registry.uses(NEW))
        issued = [use.result()[0].issued for use in uses]
    assert (
        len(site.issuer.seals.registry.uses(NEW)) == frozen_with == sum(each is not None for each in issued)
    )


def test_a_draft_whose_seal_was_frozen_waits_and_stops_no_other(world: World) -> None:
    site = world.site
    in_use(world)

    def cut(*_: object, **__: object) -> bytes:
        raise PowerCut

    for number, seal in ((1, NEW), (2, "chuncheng-market-rsa3072")):
        with pytest.raises(PowerCut):
            sealing(world, cut).try_issue(world.application(number, seal=seal))
    site.issuer.seals.freeze(OPERATOR, NEW)
    world.outlast_leases()  # a dead process holds nothing for longer
    outcomes = site.issuer.issuing.resume_unfinished()
    assert sorted(o.error.code if o.error else "issued" for o in outcomes) == ["SEAL_NOT_USABLE", "issued"]
    site.issuer.seals.unfreeze(OPERATOR, NEW)
    (outcome,) = site.issuer.issuing.resume_unfinished()
    assert outcome.issued is not None


def test_a_freeze_that_waited_for_a_use_comes_after_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    site, seal = world.site, "chuncheng-market-sm2"
    real = tables.serialise

    turns: list[datetime] = []

    def after_a_use(connection: Connection, what: str) -> None:
        real(connection, what)
        if not turns:
            world.clock.advance(seconds=5)
            turns.append(world.clock.now())

    with monkeypatch.context() as patched:
        patched.setattr(tables, "serialise", after_a_use)
        site.issuer.seals.freeze(OPERATOR, seal)
    assert [site.issuer.seals.registry.history(seal)[-1].at] == turns


def test_a_seal_may_be_used_in_the_second_in_which_it_is_unfrozen(world: World) -> None:
    """Time-stamps say whole seconds."""
    site, seal = world.site, "chuncheng-market-sm2"
    site.issuer.seals.freeze(OPERATOR, seal)
    world.clock.advance(seconds=60.4)
    site.issuer.seals.unfreeze(OPERATOR, seal)
    world.clock.advance(seconds=0.3)
    _, pdf = world.issue(1)
    assert world.verify(pdf).verdict is Verdict.PASSED


def test_a_freeze_while_another_step_is_recorded_is_not_undone(
    stored_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, seal = stored_world.site, "chuncheng-market-sm2"
    freezes: list[Future[ESeal]] = []
    has_begun = threading.Event()
    real = tables.one_row

    def frozen() -> ESeal:
        has_begun.set()
        return site.issuer.seals.freeze(OPERATOR, seal)

    def read_then_frozen(connection: Connection, kind: Any, /, **where: Any) -> Any:
        row = real(connection, kind, **where)
        if row is not None and kind is sql.SealRow and row.pending_event is not None and not freezes:
            freezes.append(pool.submit(frozen))
            # Where it is not held up by this very step it is through by then; where it is, a second is enough for it
            # to try, and its end cannot be waited for.
            assert has_begun.wait(HANG_SECONDS)
            wait(freezes, timeout=1)
        return row

    publish = type(site.ledger.log).publish

    def recorded(log: Any) -> Any:
        patched.setattr(tables, "one_row", read_then_frozen)
        return publish(log)

    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patched:
        patched.setattr(type(site.ledger.log), "publish", recorded)
        site.issuer.seals.authorise(operator("reviewer 1"), seal, SealPolicy(per_day=9))
        freezes[0].result()
    assert site.issuer.seals.registry.get(seal).state is SealState.FROZEN
    assert site.issuer.seals.registry.get(seal).policy.per_day == 9


def test_a_wider_policy_holds_when_it_is_recorded_and_not_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seals, seal = world.site.issuer.seals, "chuncheng-market-sm2"
    seals.authorise(operator("reviewer 1"), seal, SealPolicy(types=["FOOD"], per_day=1))
    cut_at_append(
        world,
        monkeypatch,
        lambda: seals.authorise(operator("reviewer 1"), seal, SealPolicy()),
    )
    assert seals.registry.get(seal).policy.per_day == 1
    # What a freeze overtakes is on record all the same, and holds when the seal is used again.
    seals.freeze(OPERATOR, seal)
    world.outlast_leases()
    seals.resume_pending()
    assert seals.registry.get(seal).policy == SealPolicy()


@pytest.mark.parametrize("alias", ["Keeper 1", "keeper 1 ", "\uff4beeper 1", "keeper\u00a01"])
def test_another_way_of_writing_a_name_is_no_second_person(world: World, alias: str) -> None:
    applied(world)
    seals = world.site.issuer.seals
    number = seals.using.request_many(operator("keeper 1"), "chuncheng-market-sm2", 9)
    for act in (
        lambda: seals.approve(operator(alias), NEW),
        lambda: seals.using.approve_many(operator(alias), number),
    ):
        with pytest.raises((NotPermitted, Malformed)):
            act()
    assert seals.registry.application(NEW).state is SealState.APPLIED


def test_an_id_ends_where_its_line_ends(world: World) -> None:
    with pytest.raises(Malformed):
        world.site.issuer.seals.apply(operator("keeper 1"), f"{NEW}\n", MARKET.authority_id, Suite.SM2_SM3)


def test_drafts_that_wait_do_not_hold_up_those_behind_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = world.site
    in_use(world)
    monkeypatch.setattr("issuer.ecertificates.issuing.BATCH", 2)

    def cut(*_: object, **__: object) -> bytes:
        raise PowerCut

    for number, seal in ((1, NEW), (2, NEW), (3, "chuncheng-market-rsa3072")):
        with pytest.raises(PowerCut):
            sealing(world, cut).try_issue(world.application(number, seal=seal))
    site.issuer.seals.freeze(OPERATOR, NEW)
    world.outlast_leases()  # a dead process holds nothing for longer
    outcomes = site.issuer.issuing.resume_unfinished()
    assert [o.error.code if o.error else "issued" for o in outcomes] == [
        "SEAL_NOT_USABLE", "SEAL_NOT_USABLE", "issued",
    ]  # fmt: skip


@pytest.mark.parametrize("limit", [1, None])
def test_the_same_request_twice_at_once_is_one_use_and_one_ecertificate(
    stored_world: World, monkeypatch: pytest.MonkeyPatch, limit: int | None
) -> None:
    site, seal = stored_world.site, "chuncheng-market-sm2"
    site.issuer.seals.authorise(operator("reviewer 1"), seal, SealPolicy(per_day=limit))
    faster: list[Any] = []
    real = SealUses.open

    def overtaken(uses: SealUses, opened: ESeal) -> Any:
        if not faster:
            faster.append(None)
            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(stored_world.try_issue, stored_world.application(1, seal=seal))
                faster[0] = asked.result()[0]
        return real(uses, opened)

    monkeypatch.setattr(SealUses, "open", overtaken)
    (slower,) = stored_world.try_issue(stored_world.application(1, seal=seal))
    assert slower.issued is not None
    assert slower.issued.pid == faster[0].issued.pid
    assert len(site.issuer.seals.registry.uses(seal)) == 1
    pdf = site.issuer.issuing.issued_file(slower.issued.pid)
    assert stored_world.verify(pdf).verdict is Verdict.PASSED


# Shapes ----------------------------------------------------------------------------------------------------


def artwork(colour: tuple[int, int, int] = (200, 20, 24), side: int = 500) -> bytes:
    """A made-up seal with a transparent ground: a ring and a bar."""
    picture = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((2, 2, side - 3, side - 3), outline=(*colour, 255), width=side // 30)
    draw.rectangle((side // 4, side // 2, side * 3 // 4, side * 5 // 8), fill=(*colour, 255))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({"shape": SealShape.OVAL, "diameter_mm": 40.0, "second_line": "发票专用章"}, (40, 30)),
        ({"shape": SealShape.OVAL, "diameter_mm": 45.0}, (45, 30)),
        ({"shape": SealShape.SQUARE, "diameter_mm": 20.0, "second_line": "", "person": "李样本"}, (20, 20)),
        ({"shape": SealShape.UPLOADED, "second_line": "", "artwork": artwork()}, (42, 42)),
        ({"shape": SealShape.ROUND, "diameter_mm": 45.0}, (45, 45)),
    ],
)
def test_a_seal_of_any_shape_is_previewed_used_and_passes(
    world: World, changes: dict[str, object], size: tuple[int, int]
) -> None:
    seals = world.site.issuer.seals
    applied(world, **changes)
    assert seals.preview(NEW).svg.startswith("<svg")
    seals.approve(operator("reviewer 1"), NEW)
    made = seals.make_approved(operator("maker 1"), NEW)
    seals.record(operator("keeper 1"), NEW)
    picture = decode_seal(made.seal_data).info.picture
    assert (picture.width_mm, picture.height_mm) == size
    (outcome,) = world.try_issue(world.application(1, seal=NEW))
    assert outcome.issued is not None, outcome.error
    report = world.verify(world.site.issuer.issuing.issued_file(outcome.issued.pid))
    assert report.verdict is Verdict.PASSED, [f for f in report.findings if f.result is not Result.PASSED]


def two_inks() -> bytes:
    with Image.open(io.BytesIO(artwork())) as picture:
        ImageDraw.Draw(picture).rectangle((100, 100, 400, 200), fill=(10, 20, 220, 255))
        out = io.BytesIO()
        picture.save(out, "PNG")
    return out.getvalue()


def opaque() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (500, 500), "white").save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": SealShape.OVAL, "diameter_mm": 42.0},
        {"shape": SealShape.OVAL, "diameter_mm": 40.0, "second_line": ""},
        {"shape": SealShape.SQUARE, "diameter_mm": 20.0, "second_line": ""},
        {"shape": SealShape.SQUARE, "diameter_mm": 42.0, "second_line": "", "person": "李样本"},
        {"shape": SealShape.SQUARE, "diameter_mm": 20.0, "second_line": "", "person": "李"},
        {"person": "李样本"},
        {"artwork": artwork()},
        {"shape": SealShape.UPLOADED},
        {"shape": SealShape.UPLOADED, "artwork": b"GIF89a"},
        {"shape": SealShape.UPLOADED, "artwork": opaque()},
        {"shape": SealShape.UPLOADED, "artwork": two_inks()},
        {"shape": SealShape.UPLOADED, "artwork": artwork(side=300)},
        {"shape": SealShape.UPLOADED, "artwork": artwork(), "diameter_mm": 9.0},
        {"shape": SealShape.UPLOADED, "artwork": artwork(), "diameter_mm": 40.5},
        {"shape": SealShape.UPLOADED, "artwork": b"\x89PNG" + bytes(600_000)},
    ],
)
def test_a_picture_that_no_seal_has_is_refused_before_anybody_reviews_it(
    world: World, changes: dict[str, object]
) -> None:
    with pytest.raises(Malformed):
        applied(world, **changes)
    with pytest.raises(NotFound):
        world.site.issuer.seals.registry.application(NEW)


# The code on the lower arc


def test_a_seal_has_one_code_from_its_application_on_and_shows_it(world: World) -> None:
    seals, market = world.site.issuer.seals, world.site.issuer.authorities.get(MARKET.authority_id)
    seals.apply(operator("张示例"), "coded", MARKET.authority_id, Suite.SM2_SM3)
    code = seal_code(market.uscc, "coded")
    assert (len(code), code[:6]) == (13, market.uscc[2:8])
    before = seals.preview("coded")
    seals.approve(operator("李样本"), "coded")
    made = seals.make_approved(operator("李样本"), "coded")
    assert made.picture_svg == before.svg == round_seal(market.name_zh, "", code).svg
    assert made.picture_pdf == seal_pdf(before)
    assert decode_seal(made.seal_data).info.picture.data == seal_data_png(before)


def test_no_two_seals_have_one_code(world: World) -> None:
    uscc = world.site.issuer.authorities.get(MARKET.authority_id).uscc
    met: dict[str, str] = {}
    pair = next(
        (met[code], seal_id)
        for seal_id in (f"seal-{n}" for n in range(200_000))
        if met.setdefault(code := seal_code(uscc, seal_id), seal_id) != seal_id
    )
    seals = world.site.issuer.seals
    seals.apply(operator("张示例"), pair[0], MARKET.authority_id, Suite.SM2_SM3)
    with pytest.raises(Conflict, match="belongs to another seal"):
        seals.apply(operator("张示例"), pair[1], MARKET.authority_id, Suite.SM2_SM3)
    seals.apply(operator("张示例"), pair[0], MARKET.authority_id, Suite.SM2_SM3)


def test_a_square_seal_shows_the_person_and_a_round_one_the_authority(world: World) -> None:
    world.add_name_seal()
    for seal, shape, shown in (
        (NAME_SEAL, SealShape.SQUARE, "沈青禾"),
        ("chuncheng-market-sm2", SealShape.ROUND, MARKET.name_zh),
    ):
        with world.site.stores.register.read() as connection:
            row = tables.one_row(connection, sql.SealRow, id=seal)
        assert row is not None
        drawn = draw_seal(
            shape,
            shown,
            row.second_line,
            width_mm=row.width_mm,
            code=seal_code(MARKET.uscc, seal),
            artwork=None,
        )
        assert row.picture_svg == drawn.svg
