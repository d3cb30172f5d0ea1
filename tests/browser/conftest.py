"""Debian's chromium against the real service on 127.0.0.1.

Chinese fonts come from the package that the licences are drawn with, so that the pages look the same on a
machine that has none. Every page is watched: a script error, a refused style or a missing file fails the test.
"""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support.limits import HANG_SECONDS

CHROMIUM = shutil.which("chromium") or ""
_MISSING = (
    "chromium is not installed (apt-get install chromium)"
    if not CHROMIUM
    else "playwright is not installed"
    if find_spec("playwright") is None
    else ""
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1"]))
            if _MISSING:
                item.add_marker(pytest.mark.skip(reason=_MISSING))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """The world of the pages and the address it is served at. Its codes name that very address."""
    from support.pages_world import make_world

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{listener.getsockname()[1]}"
        world = make_world(tmp_path_factory.mktemp("served"), host=host)
        with running(world.app, listener):
            yield world, f"http://{host}"
        world.site.close()


class running:  # noqa: N801  reads as the block it is: `with running(app, listener)`
    """uvicorn in a thread, on a socket that is bound already."""

    def __init__(self, app: Any, listener: socket.socket) -> None:
        import uvicorn

        config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)

    def __enter__(self) -> None:
        self._thread.start()
        until = time.monotonic() + HANG_SECONDS
        while not self._server.started:
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=HANG_SECONDS)


@pytest.fixture(scope="module")
def chromium(served: tuple[Any, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for the module. It comes after the world and goes with the module: while it is there, Playwright
    has an event loop running in this thread, in which nothing can be sealed."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = launch(playwright, tmp_path_factory.mktemp("fonts"))
        yield browser
        browser.close()


@pytest.fixture
def launch_alone(tmp_path: Path) -> Callable[[Any], Any]:
    """Starts a browser for a page that no service serves."""
    return lambda playwright: launch(playwright, tmp_path)


def launch(playwright: Any, folder: Path) -> Any:
    import os

    fonts = find_spec("pylopdf_fonts_zh_cn")
    assert fonts is not None
    assert fonts.origin is not None
    config = folder / "fonts.conf"
    config.write_text(
        '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
        f'<include ignore_missing="yes">/etc/fonts/fonts.conf</include><dir>{Path(fonts.origin).parent}</dir>'
        f"<cachedir>{folder}</cachedir></fontconfig>"
    )
    return playwright.chromium.launch(
        executable_path=CHROMIUM, args=["--no-sandbox"], env={**os.environ, "FONTCONFIG_FILE": str(config)}
    )


class Watched:
    """Opens pages and notes what their console complains about."""

    def __init__(self, browser: Any, address: str) -> None:
        self._browser = browser
        self._address = address
        self._contexts: list[Any] = []
        self.complaints: list[str] = []

    def page(
        self, *, language: str = "en", width: int = 1280, height: int = 900, scripts: bool = True
    ) -> Any:
        """A page in a browser of its own: no cookies of another."""
        context = self._browser.new_context(
            base_url=self._address,
            locale=language,
            viewport={"width": width, "height": height},
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        context.set_default_timeout(30_000)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"pageerror: {error}"))
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _note(self, kind: str, words: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {words}")


@pytest.fixture
def watched(chromium: Any, served: tuple[Any, str]) -> Iterator[Watched]:
    """Pages of this test; none of them may complain."""
    watched = Watched(chromium, served[1])
    yield watched
    watched.close()
    assert watched.complaints == []
