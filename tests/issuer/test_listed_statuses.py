"""What is not VALID in a status list, followed change by change: always what a fresh look gives, and looked up once."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from support.world import World

from issuer.publishing.listed_statuses import ListedStatuses
from trust.encoding.status_list import pack
from trust.model.actor import OPERATOR
from trust.model.errors import Conflict
from trust.model.status import Status, StatusAct

FIRST = 1


def fresh(world: World) -> bytes:
    return ListedStatuses(world.site.stores.register, world.site.ledger.log).packed(FIRST)[1]


def expected(world: World, pids: list[bytes]) -> bytes:
    """The list from the register's own columns."""
    issued = [world.site.issuer.issuing.issued(pid=pid) for pid in pids]
    assert {each.status_list for each in issued} == {FIRST}
    return pack({each.status_index: each.status for each in issued if each.status is not Status.VALID})


def change(world: World, pid: bytes, act: StatusAct) -> None:
    world.site.issuer.statuses.change(OPERATOR, pid, act, reason="penalty")


@pytest.mark.parametrize("remembered", [100_000, 2])
def test_a_list_that_is_followed_is_the_one_that_is_made_anew(
    world: World, monkeypatch: pytest.MonkeyPatch, remembered: int
) -> None:
    monkeypatch.setattr("ledger.standing._REMEMBERED", remembered)
    pids = [world.issue(number)[0].pid for number in range(1, 5)]
    followed, seldom = (
        world.site.issuer.publishing.statuses,
        ListedStatuses(world.site.stores.register, world.site.ledger.log),
    )
    assert followed.packed(FIRST)[1] == seldom.packed(FIRST)[1] == expected(world, pids)
    acts = [
        *((pid, StatusAct.SUSPEND) for pid in pids),
        *((pid, StatusAct.REINSTATE) for pid in pids[:3]),
        (pids[0], StatusAct.REVOKE),
        *(
            (pid, act)
            for _ in range(3)
            for pid in pids[1:3]
            for act in (StatusAct.SUSPEND, StatusAct.REINSTATE)
        ),
        (pids[1], StatusAct.REVOKE),
    ]
    for pid, act in acts:
        change(world, pid, act)
        assert followed.packed(FIRST)[1] == expected(world, pids) == fresh(world)
    # It was not asked meanwhile, and with little memory it has to look at everything.
    assert seldom.packed(FIRST)[1] == expected(world, pids)


def test_an_erasure_keeps_its_place_and_others_keep_theirs(world: World) -> None:
    pids = [world.issue(number)[0].pid for number in range(1, 4)]
    for pid in pids[:2]:
        change(world, pid, StatusAct.REVOKE)
    places = world.site.issuer.publishing.statuses
    before = places.packed(FIRST)[1]
    world.site.issuer.erasing.erase(
        OPERATOR, pids[0], basis="court-order", requested_by="clerk", approved_by="chief"
    )
    assert places.packed(FIRST)[1] == before == fresh(world)


def test_one_change_looks_up_one_row_however_many_are_out_of_force(world: World) -> None:
    pids = [world.issue(number)[0].pid for number in range(1, 9)]
    places, seen = world.site.issuer.publishing.statuses, []

    def note(_c: object, _k: object, statement: str, parameters: object, *_: object) -> None:
        if "FROM ecertificate" in statement or "FROM ledger_subject" in statement:
            seen.append(statement)

    for pid in pids:
        change(world, pid, StatusAct.REVOKE)
        engines = [world.site.stores.register._readers, world.site.stores.ledger._readers]
        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", note)
        seen.clear()
        places.packed(FIRST)
        assert len(seen) == 1, seen
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", note)


def test_a_refused_act_changes_no_list(world: World) -> None:
    issued, _ = world.issue()
    places = world.site.issuer.publishing.statuses
    before = places.packed(FIRST)
    with pytest.raises(Conflict):
        change(world, issued.pid, StatusAct.REINSTATE)
    assert places.packed(FIRST) == before
