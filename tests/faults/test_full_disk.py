"""A full disk: one clear refusal, nothing acknowledged is lost, and with room again everything goes on."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.forked import Forking, forking
from support.world import make_world

from issuer.guarding import sql as guarding_sql
from issuer.seals import sql as seals_sql
from ledger.recheck import recheck
from trust.encoding.entry import EntryKind
from trust.model.report import Verdict
from trust.sandbox.workers import Sandbox
from trust.storage import tables


@pytest.fixture(scope="module")
def fork() -> Iterator[Forking]:
    with forking("full_disk_child.py") as found:
        yield found


@pytest.mark.faults
@pytest.mark.parametrize("room", [40_000, 400_000, 1_500_000])
def test_a_full_disk_loses_nothing_that_was_acknowledged(
    room: int, template_folder: Path, tmp_path: Path, fork: Forking, sandbox: Sandbox
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(template_folder, folder)
    child = fork.start("issue-until-full", folder=str(folder), room=room)
    assert child.finish() == 0
    lines = [line.split() for line in child.lines]
    assert lines[-1][0] == "refused", child.lines
    acknowledged = [line[1] for line in lines if line[0] == "issued"]
    world = make_world(folder, sandbox=sandbox)
    try:
        world.site.issuer.issuing.resume_unfinished()
        for identifier in acknowledged:
            issued = world.site.issuer.issuing.issued(identifier=identifier)
            assert world.verify(world.site.issuer.issuing.issued_file(issued.pid)).verdict is Verdict.PASSED
        numbers = range(1, len(acknowledged) + 2)
        again = world.try_issue(*(world.application(number) for number in numbers))
        assert [o.error for o in again] == [None for _ in numbers]
        assert [o.repeated for o in again[: len(acknowledged)]] == [True] * len(acknowledged)
        world.site.ledger.log.publish()
        site = world.site
        checked = recheck(
            site.stores.ledger, site.ledger.ledger_folder, site.stores.lock, log_vkey=site.ledger.log.vkey
        )
        assert checked.is_clean, checked.findings
        with site.stores.register.read() as connection:
            steps_of_seals = len(tables.all_rows(connection, seals_sql.SealEventRow))
            events = len(guarding_sql.register_events(connection))
        kinds = Counter(entry.kind for _, entry in site.ledger.log.entries())
        assert kinds[EntryKind.ISSUED] == len(acknowledged) + 1
        assert (kinds[EntryKind.SEAL_EVENT], kinds[EntryKind.REGISTER_EVENT]) == (steps_of_seals, events)
    finally:
        world.close()


ACTS = ("suspend", "reinstate", "revoke", "replace", "erase", "archive", "reseal")


@pytest.mark.faults
@pytest.mark.parametrize(
    ("act", "step"),
    [
        *((act, 20_000) for act in ("suspend", "erase", "archive")),
        *(pytest.param(act, 2048, marks=[pytest.mark.long, pytest.mark.timeout(3600)]) for act in ACTS),
    ],
)
def test_an_act_on_a_full_disk_is_refused_and_brought_to_its_end_later(
    act: str, step: int, template_folder: Path, tmp_path: Path, fork: Forking
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(template_folder, folder)
    child = fork.start("act-as-the-disk-fills", folder=str(folder), act=act, step=step)
    assert child.finish() == 0, child.lines[-10:]
    lines = [line.strip().split(maxsplit=1) for line in child.lines]
    tried = [rest.split() for word, rest in lines if word == "tried"]
    assert len(tried) > 3, "it was hardly ever refused"
    assert {what[1] for what in tried if len(what) > 1} <= {"STORAGE_FAILED", "LEDGER_BUSY", "LEDGER_HALTED"}
    assert {rest for word, rest in lines if word == "round"} == {"-"}
    assert [rest for word, rest in lines if word in ("contradiction", "finding")] == []
