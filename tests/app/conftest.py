"""The world of the pages, made once for all tests that only look at it, and a browser without a screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from pages_world import World, make_world


class Browser:
    """Asks the app in-process and keeps cookies: an honest small browser without JavaScript."""

    def __init__(self, world: World, portal: BlockingPortal, language: str = "en") -> None:
        self._portal = portal
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(world.app, raise_app_exceptions=False),
            base_url=f"https://{world.service.settings.host}",
            headers={"Accept-Language": language, "Accept": "text/html"},
            follow_redirects=True,
        )

    @property
    def cookies(self) -> httpx.Cookies:
        return self._client.cookies

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self._portal.call(lambda: self._client.get(path, **options))

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self._portal.call(lambda: self._client.post(path, **options))

    def close(self) -> None:
        self._portal.call(self._client.aclose)


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
