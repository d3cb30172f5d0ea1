"""A small browser without JavaScript, asking the app in-process."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
from anyio.from_thread import BlockingPortal

from support.pages_world import World


class Browser:
    """Keeps cookies and follows redirects, as browsers do."""

    def __init__(self, world: World, portal: BlockingPortal, language: str = "en") -> None:
        self._portal = portal
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(world.app, raise_app_exceptions=False),
            base_url=f"https://{world.site.settings.host}",
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
