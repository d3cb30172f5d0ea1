"""The world of the pages, made once for all tests that only look at it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from support.borrowed import lend
from support.cli import Cli
from support.pages_browser import Browser
from support.pages_world import World, make_world
from trust.sandbox.workers import Sandbox


@pytest.fixture(scope="session")
def pages_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = make_world(tmp_path_factory.mktemp("pages"))
    yield world
    world.site.close()


@pytest.fixture(scope="session")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def browser(pages_world: World, portal: BlockingPortal) -> Iterator[Browser]:
    """Somebody's browser, without cookies and with the wish for English."""
    browser = Browser(pages_world, portal)
    yield browser
    browser.close()


@pytest.fixture
def cli(
    template_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    sandbox: Sandbox,
) -> Cli:
    """The command line in a data folder with departments and seals. Its readers are those of the test process."""
    lend(sandbox, monkeypatch)
    data = tmp_path / "data"
    shutil.copytree(template_folder, data)
    for name, value in (
        ("YINZHENG_DATA", str(data)), ("YINZHENG_PASSPHRASE", "for tests only"), ("YINZHENG_LANG", "en"),
        ("YINZHENG_HOST", "v.chuncheng.example"), ("YINZHENG_KDF_ROUNDS", "1000"), ("COLUMNS", "200"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return Cli(data, capsys, monkeypatch)
