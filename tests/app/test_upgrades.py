"""Data folders of earlier versions: all of it works after the upgrade, and nothing old stops the service."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from support.old_folders import OLD_SCHEMAS, make_folder_of_0008, turn_back
from support.world import START, StoppedClock, World, make_world, settings_at

from issuer.presenting.presenting import Level
from ledger.recheck import recheck
from trust.app.compose import open_site
from trust.app.site import create_app
from trust.model.actor import OPERATOR, Permission
from trust.model.clock import SystemEntropy
from trust.model.errors import LedgerHalted, NotPermitted, OperationalError
from trust.model.report import Verdict
from trust.model.status import StatusAct
from trust.people.access import open_access
from trust.sandbox.workers import Sandbox

KEPT: dict[str, Any] = {}


def fill(world: World) -> None:
    access = open_access(
        world.site.stores.register, world.clock, SystemEntropy(), world.site.admin.access.trail
    )
    KEPT["valid"], KEPT["valid pdf"] = world.issue(1)
    KEPT["revoked"], KEPT["revoked pdf"] = world.issue(2)
    world.site.issuer.statuses.change(OPERATOR, KEPT["revoked"].pid, StatusAct.REVOKE, reason="penalty")
    KEPT["key"] = access.clients.create_api_key(OPERATOR, "窗口", authority_id=None, scopes=["desk"], days=30)
    KEPT["gone key"] = access.clients.create_api_key(
        OPERATOR, "旧窗口", authority_id=None, scopes=["desk"], days=30
    )
    access.clients.revoke_api_key(OPERATOR, KEPT["gone key"].split("_")[2])
    KEPT["session"] = access.sessions.exchange_desk_key(KEPT["key"])
    KEPT["bundle"] = world.bundle()


@pytest.fixture(scope="module")
def folder_of_0008(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Path:
    folder = tmp_path_factory.mktemp("0008") / "data"
    make_folder_of_0008(folder, sandbox, fill)
    return folder


@pytest.fixture
def old_folder(folder_of_0008: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder_of_0008, tmp_path / "data"))


def test_everything_in_a_folder_of_0008_works_after_the_upgrade(old_folder: Path, sandbox: Sandbox) -> None:
    world = make_world(old_folder, sandbox=sandbox)
    site = world.site
    access = open_access(site.stores.register, world.clock, SystemEntropy(), site.admin.access.trail)
    assert site.issuer.register.check() == []
    assert world.verify(KEPT["valid pdf"]).verdict is Verdict.PASSED
    assert world.verify(KEPT["revoked pdf"]).code == "REVOKED"
    assert world.verify_offline(KEPT["valid pdf"], KEPT["bundle"]).verdict is Verdict.PASSED
    assert access.clients.check_api_key(KEPT["key"], Permission.DESK).name == "窗口"
    assert access.sessions.check_session(KEPT["session"], "desk")
    with pytest.raises(NotPermitted):
        access.clients.check_api_key(KEPT["gone key"], Permission("desk"))
    issued, pdf = world.issue(3)
    shown = site.issuer.presenting.start(OPERATOR, issued.pid, purpose="核验", level=Level.NAMED)
    code, _ = site.issuer.presenting.code(shown, world.clock.now())
    assert world.verify(code).verdict is Verdict.PASSED
    site.issuer.statuses.change(OPERATOR, KEPT["valid"].pid, StatusAct.SUSPEND, reason="调查")
    assert world.verify_offline(KEPT["valid pdf"], world.bundle()).code == "SUSPENDED"
    assert world.verify_offline(pdf, world.bundle()).verdict is Verdict.PASSED
    assert recheck(
        site.stores.ledger, site.ledger.ledger_folder, site.stores.lock, log_vkey=site.ledger.log.vkey
    ).is_clean
    world.close()
    # The rows were taken over once: from now on a row without a MAC is nobody's.
    with closing(sqlite3.connect(old_folder / "register.sqlite")) as register:
        register.execute("UPDATE web_session SET mac = NULL")
        register.commit()
    world = make_world(old_folder, sandbox=sandbox)
    with pytest.raises(NotPermitted):
        open_access(
            world.site.stores.register, world.clock, SystemEntropy(), world.site.admin.access.trail
        ).sessions.check_session(KEPT["session"], "desk")
    world.close()


@pytest.mark.parametrize("schema", OLD_SCHEMAS)
def test_a_folder_of_every_older_schema_works_after_the_upgrade(
    old_folder: Path, sandbox: Sandbox, schema: str
) -> None:
    """Opened as `serve` opens it: nothing is set up anew."""
    turn_back(old_folder, schema)
    clock = StoppedClock(START)
    site = open_site(settings_at(old_folder), clock=clock, sandbox=sandbox)
    world = World(site, clock, old_folder)
    try:
        assert world.verify(KEPT["valid pdf"]).verdict is Verdict.PASSED
        assert world.verify(KEPT["revoked pdf"]).code == "REVOKED"
        assert world.verify_offline(KEPT["valid pdf"], KEPT["bundle"]).verdict is Verdict.PASSED
        issued, pdf = world.issue(3)
        site.issuer.statuses.change(OPERATOR, KEPT["valid"].pid, StatusAct.SUSPEND, reason="调查")
        bundle = world.bundle()
        assert world.verify_offline(KEPT["valid pdf"], bundle).code == "SUSPENDED"
        assert world.verify_offline(pdf, bundle).verdict is Verdict.PASSED
        clock.advance(days=2)
        site.issuer.archiving.run()
        assert site.issuer.archiving.versions(issued.pid)
        with TestClient(create_app(site)) as client:
            assert client.get("/readyz").status_code == 200
            filed = client.post("/api/v1/verifications", files={"file": ("x.pdf", pdf)})
            assert filed.json()["report_code"]
        assert site.issuer.register.check() == []
        assert recheck(
            site.stores.ledger, site.ledger.ledger_folder, site.stores.lock, log_vkey=site.ledger.log.vkey
        ).is_clean
    finally:
        world.close()


def test_a_head_that_loses_its_mac_later_is_not_taken_over_again(old_folder: Path, sandbox: Sandbox) -> None:
    make_world(old_folder, sandbox=sandbox).close()
    with closing(sqlite3.connect(old_folder / "ledger.sqlite")) as ledger:
        ledger.execute("UPDATE ledger_state SET mac = NULL")
        ledger.commit()
    with pytest.raises(LedgerHalted):
        make_world(old_folder, sandbox=sandbox)


@pytest.mark.parametrize("table", ["register", "ledger"])
def test_a_folder_of_a_newer_version_is_told_in_one_sentence_and_not_touched(
    world: World, sandbox: Sandbox, table: str
) -> None:
    database = world.site.stores.register if table == "register" else world.site.stores.ledger
    with database.write() as connection:
        connection.execute(sa.text(f"UPDATE {table}_version SET version_num = '9999'"))
    world.site.close()
    with pytest.raises(OperationalError) as caught:
        make_world(world.folder, sandbox=sandbox)
    assert caught.value.code == "NEWER_DATA"
    assert "9999" in caught.value.zh
    newest = {"register": "0013", "ledger": "0002"}[table]
    with closing(sqlite3.connect(world.folder / f"{table}.sqlite")) as connection:
        assert connection.execute(f"SELECT version_num FROM {table}_version").fetchone() == ("9999",)
        connection.execute(f"UPDATE {table}_version SET version_num = ?", (newest,))
        connection.commit()
    world.site = make_world(world.folder, sandbox=sandbox).site


@pytest.mark.parametrize("old", [b"", b"e30.e30.e30", b"eyJ0eXAiOiJvbGQifQ.eyJ2IjowfQ.AAAA"])
def test_lists_in_a_form_that_is_not_read_any_more_are_made_anew(
    stored_world: World, old: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    site, at = stored_world.site, stored_world.clock.now
    _, pdf = stored_world.issue()
    seq = site.issuer.publishing.trust_list(at())
    site.issuer.publishing.status_list(1, at())
    with site.stores.register.write() as connection:
        connection.execute(sa.text("UPDATE trust_list SET compact = :old"), {"old": old})
        connection.execute(sa.text("UPDATE published_status_list SET encoded = :old"), {"old": old})
    site.issuer.publishing._at_hand.clear()
    stored_world.clock.advance(minutes=1)
    assert site.issuer.publishing.trust_list(at()) not in (old, seq)
    assert stored_world.verify(pdf).verdict is Verdict.PASSED
    assert stored_world.verify_offline(pdf, stored_world.bundle()).verdict is Verdict.PASSED
    assert {"the stored trust list is made anew", "the stored status list is made anew"} <= {
        record.message for record in caplog.records
    }
