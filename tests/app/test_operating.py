"""What an operator's day depends on: readiness that tells, answers that tell strangers nothing, a start that holds."""

from __future__ import annotations

import shutil
import signal
from collections import namedtuple
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from support.world import FOR_OPERATORS, MARKET, StoppedClock, World, settings_at

from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.tidying import Tidying
from keys.suites import Suite
from trust.app import compose, serving
from trust.app.compose import open_site
from trust.app.settings import read_settings
from trust.app.site import create_app
from trust.model.actor import OPERATOR
from trust.model.errors import Malformed, StorageError
from trust.model.status import StatusAct
from trust.sandbox.workers import Sandbox
from trust.storage import tables
from trust.storage.sql import Database
from trust.web.sql import IdempotencyRow

Usage = namedtuple("Usage", "total used free")


def parts_of(world: World) -> dict[str, bool]:
    with TestClient(create_app(world.site)) as client:
        answer = client.get("/readyz")
    parts: dict[str, bool] = answer.json()["parts"]
    assert (answer.status_code == 200) is all(parts.values())
    return parts


def test_readiness_tells_a_full_disk(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(parts_of(world).values())
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, 1024))
    assert [name for name, is_well in parts_of(world).items() if not is_well] == ["disk"]


def test_files_go_to_the_folder_that_was_chosen_and_nowhere_else(tmp_path: Path, sandbox: Sandbox) -> None:
    mounted = tmp_path / "shared"
    settings = replace(settings_at(tmp_path / "data"), documents=mounted)
    clock = StoppedClock()
    with open_site(settings, create=True, clock=clock, sandbox=sandbox) as site:
        site.issuer.authorities.add(OPERATOR, MARKET)
        site.issuer.seals.make(OPERATOR, "chuncheng-market-sm2", MARKET.authority_id, Suite.SM2_SM3)
        world = World(site, clock, settings.data)
        first, pdf = world.issue(1)
        assert [path.read_bytes() for path in mounted.rglob("*.pdf")] == [pdf]
        assert parts_of(world)["documents"]
        away = mounted.rename(tmp_path / "away")
        mounted.mkdir()  # the place that is left when the other disk is not mounted
        assert not parts_of(world)["documents"]
        with pytest.raises(StorageError) as refused:
            world.issue(2)
        assert refused.value.code == "DOCUMENTS_NOT_THERE"
        with pytest.raises(StorageError, match="mounted"):
            site.issuer.issuing.issued_file(first.pid)
        site.issuer.statuses.change(OPERATOR, first.pid, StatusAct.REVOKE, reason="cancelled")
        erased = site.issuer.erasing.erase(
            OPERATOR, first.pid, basis="court-order", requested_by="clerk", approved_by="chief"
        )
        assert not erased.overwritten, "its file is on the disk that is away"
        assert list(mounted.iterdir()) == []
        mounted.rmdir()
        away.rename(mounted)
        world.outlast_leases()
        _, pdf = world.issue(2)
        Tidying(site.stores.register, site.issuer.issuing.documents).run()
        assert [path.read_bytes() for path in mounted.rglob("*.pdf")] == [pdf]
        assert site.issuer.register.check() == []
    assert not (settings.data / "documents").exists()


def test_readiness_tells_that_an_authority_has_no_seal_in_its_term(world: World) -> None:
    world.clock.advance(days=365 * 6)
    assert not parts_of(world)["seals"]


def test_readiness_tells_an_edited_row_after_the_next_pass(world: World) -> None:
    with world.site.stores.register.write() as connection:
        connection.execute(sa.text("UPDATE authority SET name_zh = '别的局'"))
    checking = world.site.keeper.checking
    assert checking is not None
    checking.run_pass()
    assert not parts_of(world)["register"]


def test_gauges_tell_what_waits(world: World) -> None:
    issuing = world.site.issuer.issuing
    world.issue(1)
    issuing.reserving.reserve(issuing.check(OPERATOR, world.application(2)))
    world.clock.advance(days=2)
    with TestClient(create_app(world.site)) as client:
        text = client.get("/metrics", headers=FOR_OPERATORS).text
    assert "ecert_unfinished_drafts 1.0" in text
    assert "ecert_archive_due 1.0" in text
    assert "ecert_register_edited_rows 0.0" in text


def test_a_strangers_answer_names_no_address_and_no_folder(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object) -> None:
        raise StorageError(
            "The database postgresql://secret-host/x in /srv/private failed.", "Check /srv/private."
        )

    monkeypatch.setattr(type(world.site.issuer.publishing), "trust_list", fails)
    with TestClient(create_app(world.site), raise_server_exceptions=False) as client:
        for headers in ({}, {"Accept": "text/html"}):
            answer = client.get("/.well-known/ecert/trust-list.jws", headers=headers)
            assert answer.status_code == 503, answer.text
            assert "secret-host" not in answer.text
            assert "private" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "v.chuncheng.example"])
def test_a_redirect_stays_here_whatever_the_host_header_says(world: World, host: str) -> None:
    with TestClient(create_app(world.site), follow_redirects=False) as client:
        answer = client.get("/verify/?a=b", headers={"Host": host})
    assert answer.status_code in (307, 308)
    assert answer.headers["location"] == "/verify?a=b"


def test_stored_answers_are_forgotten_after_a_week(world: World) -> None:
    at = world.clock.now()
    with world.site.stores.register.write() as connection:
        for days in (1, 6, 8, 100):
            tables.insert(
                connection,
                IdempotencyRow(
                    key=bytes([days]) * 32,
                    body_hash=bytes(32),
                    created_at=tables.to_micros(at - timedelta(days=days)),
                ),
            )
    compose._forget_answers(world.site.stores.register, world.clock)
    with world.site.stores.register.read() as connection:
        assert {bytes(row.key)[0] for row in tables.all_rows(connection, IdempotencyRow)} == {1, 6}


@pytest.mark.parametrize(
    "where", ["postgresql+psycopg://h:abc/x", "postgresql+psycopg://u:p@[::1/x", "x", "mysql://x", "://"]
)
def test_an_address_that_is_none_is_refused_in_words(where: str) -> None:
    with pytest.raises(Malformed):
        Database(where)


def test_an_empty_database_address_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    assert read_settings(tmp_path).database_url is None


def test_a_worker_begins_as_the_single_process_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    issuing = world.site.issuer.issuing
    issuing.reserving.reserve(issuing.check(OPERATOR, world.application(1)))
    world.clock.advance(minutes=10)
    monkeypatch.setattr(serving, "open_site", lambda settings, **more: world.site)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    serving.worker_app()
    assert (
        issuing.issued(identifier=_only_identifier(world)).number
        == world.application(1).fields["licence_number"]
    )
    assert world.site.keeper.rounds.is_running


def _only_identifier(world: World) -> str:
    with world.site.stores.register.read() as connection:
        (row,) = tables.all_rows(connection, ecertificates_sql.ECertificateRow)
    return str(row.identifier)


@pytest.mark.parametrize("name", ["YINZHENG_WITNESS_EVERY", "YINZHENG_CLOCK_GAP", "YINZHENG_KDF_ROUNDS"])
def test_a_setting_that_is_no_number_is_named_and_not_repeated(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "hunter2")
    with pytest.raises(Malformed, match=name) as refused:
        read_settings()
    assert "hunter2" not in str(refused.value)
