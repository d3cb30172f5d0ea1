"""What people do on the pages, in a real browser: with a mouse, with the keyboard alone, without JavaScript."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.browser_pages import every_page, one_step_later, open_wallet, sign_in

from issuer.presenting import sql
from trust.storage import tables

LANGUAGES = ("zh-CN", "en")


def test_a_file_is_dropped_and_passes(watched: Any, served: Any, tmp_path: Path) -> None:
    page = watched.page()
    page.goto("/verify")
    data = served[0].pdf(served[0].valid).hex()
    page.evaluate(
        """(hex) => {
            const bytes = Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "a.pdf", { type: "application/pdf" }));
            const event = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: transfer });
            document.querySelector("[data-drop]").dispatchEvent(event);
        }""",
        data,
    )
    page.wait_for_selector(".verdict.is-green")
    assert page.title().startswith("Valid")
    page.wait_for_function("() => document.activeElement.matches('[data-headline]')")
    page.get_by_role("button", name="中文").click()
    page.wait_for_selector("text=核验通过")
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    assert download.value.suggested_filename.endswith(".json")


def test_a_typed_code_passes_once(watched: Any, served: Any) -> None:
    page = watched.page()
    code = served[0].live_code()
    for headline in ("Valid", "Attention"):
        page.goto("/verify")
        page.get_by_label("Paste what the code says").fill(code.lower())
        page.get_by_role("button", name="Check the code").click()
        page.wait_for_selector(".verdict")
        assert page.title().startswith(headline)


def test_a_file_that_is_too_large_is_not_even_sent(watched: Any, tmp_path: Path) -> None:
    big = tmp_path / "big.pdf"
    big.write_bytes(bytes(20 * 1024 * 1024 + 1))
    page = watched.page()
    page.goto("/verify")
    page.set_input_files("#file", big)
    page.get_by_role("button", name="Check the file").click()
    page.wait_for_selector("[data-problem]:not([hidden])")
    assert page.url.endswith("/verify")
    assert page.locator(".verdict").count() == 0


def test_a_holder_shows_a_counter_scans_and_the_holder_sees_it(watched: Any, served: Any) -> None:
    world, _ = served
    holder = watched.page(width=390, height=844)
    open_wallet(holder, world)
    holder.get_by_role("link", name="Show Food Business Licence").click()
    holder.get_by_text("Name and document number").click()
    holder.get_by_role("button", name="Start showing").click()
    holder.wait_for_selector("svg[role=img]")
    code = holder.text_content("[data-code-text]")
    desk = watched.page()
    sign_in(desk, world)
    desk.keyboard.type(code)  # a scanner gun is a keyboard that presses Enter
    desk.keyboard.press("Enter")
    desk.wait_for_selector(".verdict.is-green")
    assert "阿依古丽·买买提" in desk.text_content(".compare")
    desk.wait_for_function("() => document.activeElement.id === 'code'")
    assert desk.text_content("[data-said]").startswith("Valid")
    desk.wait_for_timeout(400)  # sooner, it would be the scanner's own second suffix
    desk.keyboard.press("Enter")
    desk.wait_for_selector("text=Ready to scan")
    assert desk.locator("[data-last] li").count() == 1
    holder.wait_for_selector("text=Shown to 政务大厅 3 号窗口")


def is_stopped(world: Any) -> bool:
    with world.site.stores.register.read() as connection:
        shown = tables.all_rows(connection, sql.PresentationRow)
    return max(shown, key=lambda row: row.started_at).stopped_at is not None


def wait_until(holds: Callable[[], bool], seconds: float = 120.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.1)


def test_leaving_the_page_ends_the_showing(watched: Any, served: Any) -> None:
    world, _ = served
    holder = watched.page()
    open_wallet(holder, world)
    holder.get_by_role("link", name="Show Food Business Licence").click()
    holder.get_by_role("button", name="Start showing").click()
    code = holder.text_content("[data-code-text]")
    holder.wait_for_load_state("load")  # until then the page's script does not listen
    holder.goto("/help")
    wait_until(lambda: is_stopped(world))  # the farewell is sent while the page goes
    page = watched.page()
    page.goto("/verify")
    page.fill("#code", code)
    page.keyboard.press("Enter")
    page.wait_for_selector(".verdict.is-amber")


def test_the_code_changes_and_the_old_picture_goes(watched: Any, served: Any) -> None:
    world, _ = served
    holder = watched.page()
    open_wallet(holder, world)
    holder.get_by_role("link", name="Show Food Business Licence").click()
    holder.get_by_role("button", name="Start showing").click()
    first = holder.text_content("[data-code-text]")
    picture = holder.inner_html("[data-code-picture]")
    one_step_later(world)
    holder.wait_for_function(
        "(old) => document.querySelector('[data-code-text]').textContent !== old", arg=first
    )
    assert holder.inner_html("[data-code-picture]") != picture
    assert holder.locator("[data-code-picture] svg title").text_content().startswith("Live QR code")


def test_a_clerk_does_all_of_it_with_the_keyboard_alone(watched: Any, served: Any) -> None:
    page = watched.page()
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('a.door[href=\"/verify\"]')"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/verify")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "code":
            break
    page.keyboard.type(served[0].live_code())
    page.keyboard.press("Enter")
    page.wait_for_selector(".verdict.is-green")
    page.wait_for_function("() => document.activeElement.matches('[data-headline]')")
    page.keyboard.press("Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_everything_works_without_javascript(watched: Any, served: Any) -> None:
    world, _ = served
    page = watched.page(scripts=False)
    page.goto("/verify")
    page.set_input_files(
        "#file", {"name": "a.pdf", "mimeType": "application/pdf", "buffer": world.pdf(world.valid)}
    )
    page.get_by_role("button", name="Check the file").click()
    page.wait_for_selector(".verdict.is-green")
    open_wallet(page, world)
    page.get_by_role("link", name="Show Food Business Licence").click()
    page.get_by_role("button", name="Start showing").click()
    page.wait_for_selector("svg[role=img]")
    code = page.text_content("[data-code-text]")
    desk = watched.page(scripts=False)
    sign_in(desk, world)
    desk.fill("#code", code)
    desk.get_by_role("button", name="Check", exact=True).click()
    desk.wait_for_selector(".verdict.is-green")
    assert desk.title().startswith("Valid")
    page.goto(page.url)
    page.wait_for_selector("text=Shown to 政务大厅 3 号窗口")


def test_a_counter_without_a_network_is_told_so(watched: Any, served: Any) -> None:
    desk = watched.page()
    sign_in(desk, served[0])
    desk.context.set_offline(True)
    desk.keyboard.type(served[0].live_code())
    desk.keyboard.press("Enter")
    desk.wait_for_selector("text=nothing can be checked")
    assert desk.locator(".verdict").count() == 0
    desk.context.set_offline(False)
    desk.wait_for_selector(".verdict.is-green")  # the scan was kept; from now on nothing fails any more
    watched.complaints[:] = [each for each in watched.complaints if "ERR_INTERNET_DISCONNECTED" not in each]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_has_a_serious_barrier(watched: Any, served: Any, language: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe, found = Axe(), []
    for name, page in every_page(watched, served[0], language=language, width=1280):
        for each in axe.run(page).response["violations"]:
            if each["impact"] in ("serious", "critical"):
                found += [
                    f"{name}: {each['id']} {node['target']} {node['failureSummary']}"
                    for node in each["nodes"]
                ]
    assert found == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_fits_320_pixels_and_has_targets_for_fingers(
    watched: Any, served: Any, language: str
) -> None:
    wide, small = [], []
    for name, page in every_page(watched, served[0], language=language, width=320):
        if page.evaluate("document.documentElement.scrollWidth") > 320:
            wide.append(name)
        small += [f"{name}: {target}" for target in page.evaluate(_SMALL_TARGETS)]
    assert (wide, small) == ([], [])


_SMALL_TARGETS = """() => [...document.querySelectorAll("a, button, select, input:not([type=hidden])")]
    .filter((each) => each.checkVisibility() && !each.matches(".skip, main p:not(.back) > a:not(.button), h2 > a"))
    .map((each) => [each, (each.closest("label") ?? each).getBoundingClientRect()])
    .filter(([, box]) => box.height < 43.5)
    .map(([each, box]) => `${each.outerHTML.slice(0, 80)} ${box.height}`)"""
