"""Walks through the pages for tests that look at every one of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from issuer.presenting import sql
from support.pages_world import World
from support.routes import pages_not_among
from trust.encoding.codes import STEP_SECONDS
from trust.model.actor import OPERATOR
from trust.storage import tables


def one_step_later(world: World) -> None:
    """Lets every running presentation have begun a step of 15 seconds earlier."""
    with world.site.stores.register.write() as connection:
        for row in tables.all_rows(connection, sql.PresentationRow, used_at=None):
            begun = {"started_at": row.started_at - STEP_SECONDS * 1_000_000}
            tables.update(connection, sql.PresentationRow, {"session_hash": row.session_hash}, begun)


def open_wallet(page: Any, world: World) -> None:
    page.goto("/wallet/claim/" + world.access.invitations.create_claim_link(OPERATOR, world.holder_ref))
    page.locator("main button").click()
    page.wait_for_url("**/wallet")


def sign_in(page: Any, world: World) -> None:
    page.goto("/desk")
    page.fill("#key", world.desk_key)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-scan]")
    page.wait_for_load_state("load")
    page.wait_for_function("() => document.activeElement.id === 'code'")  # until then keys go nowhere


def every_page(watched: Any, world: World, *, language: str, width: int) -> Iterator[tuple[str, Any]]:
    """Every page there is, each in the state in which people see it. Fails at the end if one was left out."""
    seen = []
    for name, page in _pages(watched, world, language=language, width=width):
        seen.append(urlsplit(page.url).path)
        yield name, page
    assert pages_not_among(world.app, seen) == set()


def _pages(watched: Any, world: World, *, language: str, width: int) -> Iterator[tuple[str, Any]]:
    page = watched.page(language=language, width=width)
    ledger = ("/ledger", "/ledger?index=7", "/ledger/explained")
    paths = (
        "/",
        "/verify",
        "/help",
        "/desk",
        "/wallet",
        "/wallet/claim/ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "/P/ABCD",
        "/Q/ABCD",
        "/seals",
        "/trust",
        "/r",
    )
    for path in (*paths, *ledger):
        page.goto(path)
        yield path, page
    spoiled = bytearray(world.pdf(world.valid))
    spoiled[20_000] ^= 1
    results = {
        "green": world.pdf(world.valid),
        "amber": world.pdf(world.suspended),
        "red": bytes(spoiled),
        "grey": b"\0" * 100,
    }
    for colour, data in results.items():
        page.goto("/verify")
        page.set_input_files("#file", {"name": "a.pdf", "mimeType": "application/pdf", "buffer": data})
        page.locator("[data-drop] button").click()
        page.wait_for_selector(f".verdict.is-{colour}")
        yield f"verdict {colour}", page
        if colour == "green":
            style = page.locator(".filed link").first.get_attribute("href")
            page.goto(style.partition("/print.css")[0])
            yield "report", page
    open_wallet(page, world)
    yield "wallet", page
    pid = world.valid.pid.hex()
    page.goto(f"/wallet/{pid}")
    yield "detail", page
    page.goto(f"/wallet/{pid}/show")
    yield "show", page
    page.locator("main button.big").click()
    page.wait_for_selector("svg[role=img]")
    yield "live", page
    code = page.text_content("[data-code-text]")
    sign_in(desk := watched.page(language=language, width=width), world)
    yield "desk", desk
    desk.fill("#code", code)
    desk.keyboard.press("Enter")
    desk.wait_for_selector(".verdict.is-green")
    yield "desk verdict", desk
    page.wait_for_selector(".shown.is-used")
    yield "used", page
    page.goto("/wallet/" + "0" * 32)
    watched.complaints[:] = [each for each in watched.complaints if "404" not in each]
    yield "error", page
