"""The report on four properties, which travels in an archive package, on a phone."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

from support.world import World

from trust.model.actor import OPERATOR


def test_the_report_in_a_package_fits_a_phone_in_both_languages(
    world: World, launch_alone: Callable[[Any], Any]
) -> None:
    from playwright.sync_api import sync_playwright

    issued, _ = world.issue()
    with zipfile.ZipFile(
        io.BytesIO(world.site.packages.export_package(OPERATOR, issued.identifier).package)
    ) as package:
        pages = {name: package.read(name).decode() for name in package.namelist() if name.endswith(".html")}
    assert len(pages) == 2
    with sync_playwright() as playwright:
        browser = launch_alone(playwright)
        for name, html in pages.items():
            page = browser.new_page(viewport={"width": 320, "height": 700})
            page.set_content(html)
            assert "width=device-width" in html
            assert page.evaluate("document.documentElement.scrollWidth") == 320, name
            # The identifier has a column of its own to stand in, at least half as wide as the text (288 px).
            assert page.evaluate("document.querySelector('dd').getBoundingClientRect().width") >= 144, name
        browser.close()
