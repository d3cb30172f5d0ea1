"""Yesterday's copy of a whole data folder, started: what notices it, and how the service goes on.

A copy is real: the folder of a site, copied while it was closed (cold), or put together from files of two moments
(hot: that is what copying file by file under load gives).
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from support.reports import facts_of
from support.sites import CopiedSite
from support.world import World, settings_at

from issuer.guarding.register_check import check_register
from ledger.recheck import recheck
from trust.app import closing, serving
from trust.app.closing import close_ledger
from trust.app.compose import open_site
from trust.app.recovering import recover_ledger
from trust.app.settings import read_settings
from trust.app.site import create_app
from trust.model.actor import OPERATOR
from trust.model.errors import Conflict, LedgerHalted, Malformed, OperationalError, StorageError
from trust.model.report import Verdict
from trust.model.status import StatusAct
from trust.sandbox.workers import Sandbox


@pytest.fixture
def site(template_folder: Path, tmp_path: Path, sandbox: Sandbox) -> Iterator[CopiedSite]:
    data = tmp_path / "data"
    shutil.copytree(template_folder, data)
    made = CopiedSite(tmp_path, settings_at(data), sandbox)
    (tmp_path / "elsewhere").mkdir()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def marked(site: CopiedSite) -> CopiedSite:
    site.with_mark(site.folder / "elsewhere" / "mark")
    return site


def everything(copy: Path) -> tuple[Path, str]:
    return copy, "*"


# --- noticed ---


def test_a_cold_copy_refuses_to_sign_where_a_mark_knows_more(marked: CopiedSite) -> None:
    world = marked.open()
    world.issue(1)
    copy = marked.copy("yesterday")
    world = marked.open()
    size = world.site.ledger.log.checkpoint().size
    world.issue(2)
    newest = world.site.ledger.log.checkpoint().size
    marked.restore(everything(copy))
    locked = (marked.settings.data / "lock" / "lock.sqlite").read_bytes()
    with pytest.raises(LedgerHalted) as refused:
        marked.open()
    assert f"size {size}" in refused.value.what
    assert f"size {newest}" in refused.value.what
    assert "ledger recover" in refused.value.todo
    assert (marked.settings.data / "lock" / "lock.sqlite").read_bytes() == locked, "nothing was signed"


def test_a_second_history_of_the_same_size_is_found_out_by_the_mark(marked: CopiedSite) -> None:
    marked.open().issue(1)
    copy = marked.copy("yesterday")
    marked.open().issue(2)
    marked.close()
    elsewhere = replace(marked.settings, data=copy, ledger_mark=None)
    site = open_site(elsewhere, clock=marked.clock, sandbox=marked.sandbox)
    other = World(site, marked.clock, copy)
    other.issue(3)
    other.close()
    marked.restore(everything(copy))
    with pytest.raises(LedgerHalted, match="two histories"):
        marked.open()


@pytest.mark.postgres
def test_a_cold_copy_refuses_where_the_lock_store_is_elsewhere(
    site: CopiedSite, new_postgres_database: Callable[[], str]
) -> None:
    site.settings = replace(site.settings, lock_url=new_postgres_database())
    shutil.rmtree(site.settings.data)
    world = World(
        open_site(site.settings, create=True, clock=site.clock, sandbox=site.sandbox),
        site.clock,
        site.folder,
    )
    site.world = world
    copy = site.copy("yesterday")
    opened = site.open().site
    opened.ledger.log.pause("x", "y")
    opened.ledger.log.resume()
    opened.issuer.authorities.add(OPERATOR, replace(world.market))
    opened.ledger.log.publish()
    assert opened.is_copy_noticed
    site.restore(everything(copy))
    with pytest.raises(LedgerHalted, match="behind the lock store"):
        site.open()


def test_without_a_memory_outside_the_start_says_what_it_cannot_tell(
    site: CopiedSite, caplog: pytest.LogCaptureFixture
) -> None:
    world = site.open()
    with caplog.at_level(logging.WARNING, "yinzheng.serving"):
        serving._tell_what_is_not_noticed(world.site)
    (said,) = caplog.records
    assert "two histories" in said.getMessage()
    with TestClient(create_app(world.site)) as client:
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["notes"]) == (200, ["COPY_NOT_NOTICED"])
    site.close()
    site.with_mark(site.folder / "elsewhere" / "mark")
    caplog.clear()
    world = site.open()
    serving._tell_what_is_not_noticed(world.site)
    assert not caplog.records
    with TestClient(create_app(world.site)) as client:
        assert client.get("/readyz").json()["notes"] == []


def test_a_mark_that_is_gone_is_not_begun_anew_by_itself(marked: CopiedSite) -> None:
    """The other disk is not mounted."""
    marked.open().issue(1)
    marked.close()
    mark = marked.settings.ledger_mark
    assert mark is not None
    mark.rename(mark.with_name("unmounted"))
    with pytest.raises(OperationalError, match="is gone") as refused:
        marked.open()
    assert "Mount" in refused.value.todo
    shutil.rmtree(mark.parent)
    with pytest.raises(OperationalError, match="is gone"):
        marked.open()
    mark.parent.mkdir()
    (marked.settings.data / "ledger-mark").unlink()  # the operator's word that it is lost for good
    marked.open().issue(2)
    assert mark.exists()


@pytest.mark.parametrize("spoil", ["damaged", "of another ledger", "unsigned"])
def test_a_mark_that_is_not_this_ledgers_stops_the_start_and_says_so(marked: CopiedSite, spoil: str) -> None:
    marked.open().issue(1)
    marked.close()
    mark = marked.settings.ledger_mark
    assert mark is not None
    text = mark.read_text()
    match spoil:
        case "damaged":
            mark.write_text("nonsense")
        case "of another ledger":
            mark.write_text(text.replace("chuncheng", "jinchuan"))
        case "unsigned":
            head, _, lines = text.partition("\n\n")
            mark.write_text(f"{head}\n\n{lines[:-8]}AAAA{lines[-4:]}")
    with pytest.raises(LedgerHalted, match="mark"):
        marked.open()
    mark.write_text(text)
    marked.open().issue(2)


def test_while_the_mark_cannot_be_written_nothing_is_published(marked: CopiedSite) -> None:
    world = marked.open()
    mark = marked.settings.ledger_mark
    assert mark is not None
    mark.parent.rename(mark.parent.with_name("unplugged"))
    published = (marked.settings.data / "ledger" / "checkpoint").read_bytes()
    with pytest.raises(OperationalError, match="mark"):
        world.issue(1)
    assert (marked.settings.data / "ledger" / "checkpoint").read_bytes() == published
    mark.parent.with_name("unplugged").rename(mark.parent)
    assert world.verify(world.issue(1)[1]).code == "OK"


def test_a_copy_that_was_started_beside_the_running_service_stops_one_of_the_two(marked: CopiedSite) -> None:
    marked.open()
    copy = marked.copy("twin")
    world = marked.open()
    beside = replace(marked.settings, data=copy)
    twin = World(open_site(beside, clock=marked.clock, sandbox=marked.sandbox), marked.clock, copy)
    try:
        twin.issue(1)
        with pytest.raises(LedgerHalted, match=r"two histories|copy from before"):
            world.issue(2)
    finally:
        twin.close()


def test_a_mark_inside_the_data_folder_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for path in (tmp_path / "data" / "mark", Path("relative")):
        monkeypatch.setenv("YINZHENG_LEDGER_MARK", str(path))
        with pytest.raises(Malformed, match="outside the data folder"):
            read_settings(tmp_path / "data")


# --- the way on ---


def is_whole(site: CopiedSite, *pdfs: bytes) -> None:
    """Everything that was issued passes, the ledger rechecks, and more can be issued."""
    world = site.open()
    if world.site.register.guard.differing() or world.site.register.guard.lost_entry is not None:
        world.site.register.guard.enrol()  # `ledger accept-register`
    assert [world.verify(pdf).code for pdf in pdfs] == ["OK"] * len(pdfs)
    _, pdf = world.issue(50)
    assert world.verify(pdf).code == "OK"
    assert world.verify_offline(pdf, world.bundle()).code == "OK"
    assert (
        check_register(world.site.stores.register, world.site.ledger.log, world.site.register.guard)[1] == []
    )


@pytest.mark.parametrize("has_rows", [False, True])
def test_a_hot_copy_goes_on_from_its_published_files(site: CopiedSite, has_rows: bool) -> None:
    """Lock store copied first, the published files last; the database before or after what was issued meanwhile."""
    _, first = site.open().issue(1)
    early = site.copy("early")
    _, second = site.open().issue(2)
    late = site.copy("late")
    site.restore((early, "lock"), (late, "ledger"), (late if has_rows else early, "ledger.sqlite*"))
    with pytest.raises(LedgerHalted, match="is published, but only") as refused:
        site.open()
    assert "ledger recover" in refused.value.todo
    with pytest.raises(Conflict) as unsure:
        recover_ledger(site.settings, None)
    assert unsure.value.code == "LEDGER_MAY_BE_BEHIND"
    with pytest.raises(LedgerHalted):
        site.open()
    found = recover_ledger(site.settings, None, nothing_issued_since=True)
    assert found.locked < found.size
    is_whole(site, first, second)


def test_a_hot_copy_whose_newest_bundle_is_missing_takes_it_from_its_rows(site: CopiedSite) -> None:
    _, first = site.open().issue(1)
    early = site.copy("early")
    _, second = site.open().issue(2)
    late = site.copy("late")
    site.restore((early, "lock"), (late, "ledger"), (late, "ledger.sqlite*"))
    for bundle in (site.settings.data / "ledger" / "tile" / "entries").rglob("*"):
        if bundle.is_file():
            bundle.unlink()
    recover_ledger(site.settings, None, nothing_issued_since=True)
    is_whole(site, first, second)


def test_a_cold_copy_goes_on_with_a_mirror_and_needs_no_word_for_it(marked: CopiedSite) -> None:
    _, first = marked.open().issue(1)
    copy = marked.copy("yesterday")
    world = marked.open()
    world.issue(2)
    mirror = Path(shutil.copytree(marked.settings.data / "ledger", marked.folder / "mirror"))
    marked.restore(everything(copy))
    before = {p: p.read_bytes() for p in marked.settings.data.rglob("*.sqlite") if p.is_file()}
    with pytest.raises(StorageError, match="neither in the files nor in the database") as refused:
        recover_ledger(marked.settings, None)
    assert "--from" in refused.value.todo
    for path, data in before.items():
        with contextlib.closing(sqlite3.connect(path)) as opened:
            assert opened.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert data
    with pytest.raises(LedgerHalted):
        marked.open()
    found = recover_ledger(marked.settings, mirror)
    assert found.unknown_refs == 1, "what was issued since is in the ledger, and not in the copy's register"
    is_whole(marked, first)


def test_a_mirror_that_is_older_than_the_mark_does_not_do(marked: CopiedSite) -> None:
    marked.open().issue(1)
    copy = marked.copy("yesterday")
    mirror = Path(shutil.copytree(copy / "ledger", marked.folder / "mirror"))
    marked.open().issue(2)
    marked.restore(everything(copy))
    with pytest.raises(StorageError, match="neither in the files"):
        recover_ledger(marked.settings, mirror, nothing_issued_since=True)
    with pytest.raises(LedgerHalted):
        marked.open()


def test_a_licence_that_was_revoked_after_the_copy_does_not_pass_after_the_recovery(
    marked: CopiedSite,
) -> None:
    issued, pdf = marked.open().issue(1)
    copy = marked.copy("yesterday")
    world = marked.open()
    world.site.issuer.statuses.change(OPERATOR, issued.pid, StatusAct.REVOKE, reason="penalty")
    world.site.ledger.log.publish()
    mirror = Path(shutil.copytree(marked.settings.data / "ledger", marked.folder / "mirror"))
    marked.restore(everything(copy))
    recover_ledger(marked.settings, mirror)
    world = marked.open()
    assert world.verify(pdf).verdict is not Verdict.PASSED
    world.site.register.guard.enrol()
    assert world.verify(pdf).verdict is not Verdict.PASSED
    assert world.verify_offline(pdf, world.bundle()).code == "REVOKED"


def lost(marked: CopiedSite) -> tuple[bytes, bytes, bytes, str]:
    """A cold copy, a licence that was revoked before it and one that was issued after it; no mirror."""
    world = marked.open()
    _, first = world.issue(1)
    revoked, revoked_pdf = world.issue(2)
    world.site.issuer.statuses.change(OPERATOR, revoked.pid, StatusAct.REVOKE, reason="penalty")
    copy = marked.copy("yesterday")
    _, after = marked.open().issue(3)
    marked.restore(everything(copy))
    return first, revoked_pdf, after, marked.settings.origin


def test_a_ledger_whose_entries_are_lost_is_closed_and_another_goes_on(marked: CopiedSite) -> None:
    first, revoked, after, old = lost(marked)
    with pytest.raises(StorageError, match="neither in the files"):
        recover_ledger(marked.settings, None)
    new = f"{old}/2"
    for typed, begun in (("another name", new), (old.upper(), new), (old, old)):
        with pytest.raises(Malformed):
            close_ledger(marked.settings, typed, begun)
    with pytest.raises(LedgerHalted):
        marked.open()
    size = close_ledger(marked.settings, old, new)
    marked.settings = replace(marked.settings, origin=new)
    world = marked.open()
    world.site.register.guard.enrol()
    assert world.site.ledger.log.checkpoint().origin == new
    assert recheck(
        world.site.stores.ledger,
        world.site.ledger.ledger_folder,
        world.site.stores.lock,
        log_vkey=world.site.ledger.log.vkey,
    ).is_clean
    _, pdf = world.issue(50)
    bundle = world.bundle()
    for judge in (world.verify, lambda given: world.verify_offline(given, bundle)):
        assert judge(first).code == "OK", "its receipt is of the closed ledger"
        assert facts_of(judge(first))["ledger"]["origin"] == old
        assert facts_of(judge(pdf))["ledger"]["origin"] == new
        assert judge(pdf).code == "OK"
        assert judge(revoked).code == "REVOKED"
        report = judge(after)
        assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "LEDGER_CLOSED"), report.findings
    assert (
        check_register(world.site.stores.register, world.site.ledger.log, world.site.register.guard)[1] == []
    )
    assert (marked.settings.data / "closed").is_dir()
    assert size < world.site.ledger.log.size
    marked.close()
    assert read_settings(marked.settings.data).origin == new, "remembered in the folder"
    marked.open().issue(51)


def test_a_crash_while_a_ledger_is_closed_is_carried_on(
    marked: CopiedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCut(BaseException):
        pass

    def cut(*_: object) -> None:
        raise PowerCut

    first, _, _, old = lost(marked)
    mark = marked.settings.ledger_mark
    assert mark is not None
    copy, marked_at, before = marked.copy("lost"), mark.read_bytes(), marked.settings
    for step in ("lock_new", "_forget_lists", "_put_aside", "write_durably"):
        marked.settings = before
        marked.restore(everything(copy))
        mark.write_bytes(marked_at)
        with monkeypatch.context() as patched:
            patched.setattr(closing, step, cut)
            with pytest.raises(PowerCut):
                close_ledger(marked.settings, old, f"{old}/2")
        close_ledger(marked.settings, old, f"{old}/2")
        marked.settings = replace(before, origin=f"{old}/2")
        world = marked.open()
        world.site.register.guard.enrol()
        assert world.verify(first).code == "OK", step


def test_the_list_of_closed_ledgers_is_believed_from_this_service_alone(marked: CopiedSite) -> None:
    _, _, _, old = lost(marked)
    close_ledger(marked.settings, old, f"{old}/2")
    marked.settings = replace(marked.settings, origin=f"{old}/2")
    path = marked.settings.data / "closed-ledgers"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(StorageError, match="not written by this service"):
        marked.open()
