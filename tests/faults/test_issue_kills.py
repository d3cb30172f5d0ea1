"""kill -9 at each step of issuing, then restart: every record issued once, nothing sealed twice, ledger clean."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.issue_child import MOMENTS, STEPS
from support.forked import Forking, forking
from support.pairs import act_on, contradictions, go_round, prepare
from support.world import World, make_world

from issuer.ecertificates import sql as ecertificates_sql
from issuer.guarding import sql as guarding_sql
from issuer.operations import sql as operations_sql
from issuer.seals import sql as seals_sql
from ledger.recheck import recheck
from trust.encoding.entry import EntryKind
from trust.model.report import Verdict
from trust.pdf.gap import check_gap
from trust.sandbox.workers import Sandbox
from trust.storage import tables


@pytest.fixture(scope="module")
def fork() -> Iterator[Forking]:
    with forking("issue_child.py") as found:
        yield found


@pytest.mark.faults
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_issue_is_carried_on_exactly_once(
    moment: str, template_folder: Path, tmp_path: Path, fork: Forking, sandbox: Sandbox
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(template_folder, folder)
    occurrence = 2 if moment in ("laid-out", "sealed", "spliced") else 1
    child = fork.start("issue-until-killed", folder=str(folder), moment=moment, occurrence=occurrence)
    assert child.finish() == -signal.SIGKILL
    world = make_world(folder, sandbox=sandbox)
    try:
        sealed_before = _stored(world, "sealed")
        world.site.issuer.issuing.resume_unfinished()
        world.site.issuer.statuses.resume_pending()
        outcomes = world.try_issue(*(world.application(number) for number in range(1, 4)))
        assert [outcome.error for outcome in outcomes] == [None, None, None]
        _check_whole(world, sealed_before)
    finally:
        world.close()


@pytest.mark.faults
@pytest.mark.parametrize("moment", STEPS)
@pytest.mark.parametrize(
    "act",
    # The others take the same way as one of the first.
    [
        *("revoke", "replace", "erase", "archive"),
        *(pytest.param(act, marks=pytest.mark.long) for act in ("suspend", "reinstate", "reseal")),
    ],
)
def test_a_killed_act_is_carried_on_exactly_once(
    act: str, moment: str, template_folder: Path, tmp_path: Path, fork: Forking, sandbox: Sandbox
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(template_folder, folder)
    world = make_world(folder, sandbox=sandbox)
    subject = prepare(world, 1, (act,))
    world.close()
    child = fork.start(
        "act-until-killed", folder=str(folder), act=act, pid=subject.pid.hex(), number=1, moment=moment
    )
    assert child.finish() == -signal.SIGKILL
    world = make_world(folder, sandbox=sandbox)
    try:
        world.clock.advance(hours=30)
        assert go_round(world) == ""
        assert contradictions(world, subject) == []
        # What is known of it decides whether it is done again or refused; done twice it never is.
        assert not act_on(world, act, subject).startswith("wrong")
        assert go_round(world) == ""
        assert contradictions(world, subject) == []
        assert world.site.issuer.register.check() == []
    finally:
        world.close()


def _stored(world: World, kind: str) -> dict[int, bytes]:
    with world.site.stores.register.read() as connection:
        rows = tables.all_rows(connection, ecertificates_sql.DocumentRow, kind=kind)
    return {row.ecertificate_id: bytes(row.content) for row in rows}


def _check_whole(world: World, sealed_before: dict[int, bytes]) -> None:
    with world.site.stores.register.read() as connection:
        rows = tables.all_rows(connection, ecertificates_sql.ECertificateRow)
        operations = tables.all_rows(connection, operations_sql.OperationRow, kind="ISSUED")
        steps_of_seals = len(tables.all_rows(connection, seals_sql.SealEventRow))
        events = len(guarding_sql.register_events(connection))
    assert sorted(row.number for row in rows) == [f"JY2990101{n:07d}" for n in (1, 2, 3)]
    assert {row.step for row in rows} == {"ISSUED"}
    assert len(operations) == 3
    assert all(operation.done for operation in operations)
    assert len({row.entry_seq for row in rows}) == 3
    kinds = Counter(entry.kind for _, entry in world.site.ledger.log.entries())
    assert (kinds[EntryKind.ISSUED], kinds[EntryKind.SEAL_EVENT]) == (3, steps_of_seals)
    assert kinds[EntryKind.REGISTER_EVENT] == events
    assert _stored(world, "sealed") == {}, "an issued file is stored once"
    for row in rows:
        if row.id in sealed_before:
            issued = check_gap(world.site.issuer.issuing.issued_file(bytes(row.pid)))
            assert issued.signed == check_gap(sealed_before[row.id]).signed, (
                "what was stored was sealed again"
            )
        report = world.verify(world.site.issuer.issuing.issued_file(bytes(row.pid)))
        assert report.verdict is Verdict.PASSED, report.findings
    world.site.ledger.log.publish()
    checked = recheck(
        world.site.stores.ledger,
        world.site.ledger.ledger_folder,
        world.site.stores.lock,
        log_vkey=world.site.ledger.log.vkey,
    )
    assert checked.is_clean, checked.findings
