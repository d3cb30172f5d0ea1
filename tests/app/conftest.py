"""The world of the pages, made once for all tests that only look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from support.pages_browser import Browser
from support.pages_world import World, make_world


@pytest.fixture(scope="session")
def pages_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = make_world(tmp_path_factory.mktemp("pages"))
    yield world
    world.service.close()


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
