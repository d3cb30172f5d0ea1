"""The scan station as counters use it: fast, with any scanner, with hands on the mouse, on a bad day."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.browser_pages import sign_in
from support.pages_world import World, issue_doctor
from zxingcpp import read_barcodes

from trust.pdf.drawing import draw_page
from trust.sandbox.lanes import Lane

SCANS = 100
A_SCAN_EVERY = 0.5
A_GAP = 0.4
SUFFIXES = ("Enter", "Tab", "", "Enter Enter", "Tab Enter", "Enter Tab")
LANGUAGES = ("zh-CN", "en")
_SHOWN = """() => {
    window.shown = [];
    const region = document.querySelector("[data-result]");
    new MutationObserver(() => {
        const verdict = region.querySelector(".verdict");
        if (verdict) window.shown.push(verdict.dataset.colour);
    }).observe(region, { childList: true });
}"""

_UNREADABLE = """() => {
    File.prototype.arrayBuffer = () => Promise.reject(new DOMException("", "NotReadableError"));
}"""


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scanner reads, and the colour that the verdict must have."""

    text: str
    colour: str


def printed_code(world: World, issued: Any) -> str:
    import io

    from PIL import Image

    picture = Image.open(io.BytesIO(draw_page(world.pdf(issued), 0, pixels_wide=2000)))
    (found,) = (each.text for each in read_barcodes(picture) if "/Q/" in each.text)
    return found


def scans(world: World, count: int) -> Iterator[Scan]:
    """Fresh live codes, used ones, codes of others, as different scanners and keyboards send them."""
    for number in range(count):
        match number % 5:
            case 0:
                yield Scan(world.live_code(), "green")
            case 1:
                yield Scan("]Q1" + world.live_code().lower(), "green")
            case 2:
                yield Scan(world.live_code().replace("HTTP://", "HTTPS://").replace(":", ";", 1), "green")
            case 3:
                yield Scan(f"6901234{number:06d}", "grey")
            case _:
                yield Scan(used_code(world), "amber")


def used_code(world: World) -> str:
    code = world.live_code()
    world.site.verifier.checking.verifiers[Lane.MACHINE].verify_text(
        code,
        world.site.verifier.checking.online.gather(world.site.clock.now()),
        world.site.clock.now(),
        verifier="else",
    )
    return code


_CODES = {"Enter": 13, "Tab": 9}


def type_scan(page: Any, text: str, suffix: str) -> None:
    """As a scanner does: it sends key after key and waits for no answer, however busy the machine is that takes them.

    The driver's own `type` sends a key only when the page has dealt with the one before.
    """
    keyboard = page.context.new_cdp_session(page)
    events: list[dict[str, Any]] = []
    for key in text:
        events += [{"type": "keyDown", "key": key, "text": key}, {"type": "keyUp", "key": key}]
    for key in suffix.split():
        named = {"key": key, "code": key, "windowsVirtualKeyCode": _CODES[key]}
        typed = {"text": "\r"} if key == "Enter" else {}
        events += [{"type": "keyDown", **named, **typed}, {"type": "keyUp", **named}]
    sent = [keyboard._impl_obj.send("Input.dispatchKeyEvent", event, None) for event in events]
    keyboard._sync(_all(sent))
    keyboard.detach()


async def _all(sent: list[Coroutine[Any, Any, Any]]) -> None:
    await asyncio.gather(*sent)


def sent_codes(page: Any) -> list[str]:
    """Fills itself with what the page sends, in order."""
    sent: list[str] = []

    def note(request: Any) -> None:
        if request.url.endswith("/desk/scan"):
            body = request.post_data_buffer.decode("utf-8", "replace")
            sent.append(body.split('name="code"\r\n\r\n', 1)[1].split("\r\n", 1)[0])

    page.on("request", note)
    return sent


def wait_until(page: Any, holds: Callable[[], bool], seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "waited in vain"
        page.wait_for_timeout(50)


def shown(page: Any) -> list[str]:
    found: list[str] = page.evaluate("window.shown")
    return found


def test_a_hundred_scans_at_two_a_second_give_a_hundred_verdicts_in_order(watched: Any, served: Any) -> None:
    world, _ = served
    page = watched.page(width=1366, height=768)
    sign_in(page, world)
    page.evaluate(_SHOWN)
    sent = sent_codes(page)
    given: list[Scan] = []
    begun = time.monotonic()
    least = 0.0
    for number, scan in enumerate(scans(world, SCANS)):
        wait = max(least, begun + number * A_SCAN_EVERY - time.monotonic())
        page.wait_for_timeout(wait * 1000)
        suffix = SUFFIXES[number % len(SUFFIXES)]
        type_scan(page, scan.text, suffix)
        # Where typing is slow on a busy machine: a hand needs this long for the next code, and without a suffix the
        # silence is all that tells two scans apart.
        least = 0.0 if suffix else A_GAP
        given.append(scan)
        match number % 7:  # a hand on the mouse between the scans
            case 2:
                page.mouse.click(900, 320)  # the verdict
            case 4:
                page.mouse.click(700, 60)  # the head of the page
            case 5:
                page.locator(".last h2").click()
    took = time.monotonic() - begun
    wait_until(page, lambda: len(shown(page)) >= SCANS)
    page.wait_for_timeout(1500)
    assert sent == [scan.text for scan in given]
    assert shown(page) == [scan.colour for scan in given]
    assert took < SCANS * A_SCAN_EVERY * 1.5, "the scans came too slowly to prove anything"
    assert page.locator("[data-last] li").count() == 20


def test_a_scan_that_a_busy_machine_delivers_with_a_pause_is_one(watched: Any, served: Any) -> None:
    world, _ = served
    page = watched.page()
    sign_in(page, world)
    page.evaluate(_SHOWN)
    sent = sent_codes(page)
    codes = [world.live_code(), "]Q1" + world.live_code().lower(), world.live_code()]
    for code, cut in zip(codes, (9, 40, len(codes[0]) - 20), strict=True):
        page.keyboard.type(code[:cut])
        page.wait_for_timeout(1000)
        page.keyboard.type(code[cut:])
        page.wait_for_timeout(500)
    wait_until(page, lambda: len(shown(page)) >= 3)
    assert sent == codes
    assert shown(page) == ["green", "green", "green"]


def test_two_scans_without_a_suffix_are_told_apart(watched: Any, served: Any) -> None:
    world, _ = served
    page = watched.page()
    sign_in(page, world)
    page.evaluate(_SHOWN)
    sent = sent_codes(page)
    codes = [world.live_code(), "]Q1" + world.live_code(), printed_code(world, world.revoked)]
    for code in codes:
        page.keyboard.type(code)
    wait_until(page, lambda: len(shown(page)) >= 3)
    assert sent == codes
    assert shown(page) == ["green", "green", "red"]


def test_a_scan_goes_to_its_field_wherever_the_focus_is(watched: Any, served: Any) -> None:
    world, _ = served
    page = watched.page()
    sign_in(page, world)
    page.evaluate(_SHOWN)
    sent = sent_codes(page)
    codes = []
    places = ("#purpose", "[data-sound-box]", ".scan button", "#file", ".brand", "body")
    for number, place in enumerate(places):
        page.evaluate("(at) => { document.activeElement.blur(); document.querySelector(at).focus(); }", place)
        codes.append(world.live_code())
        type_scan(page, codes[-1], SUFFIXES[number % 3])
        wait_until(page, lambda: len(shown(page)) >= len(codes))
    assert sent == codes
    assert page.input_value("#purpose") == ""
    assert not page.is_checked("[data-sound-box]")
    assert page.url.endswith("/desk")


def test_the_keyboard_still_leads_through_the_page(watched: Any, served: Any) -> None:
    page = watched.page()
    sign_in(page, served[0])
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.activeElement.id === 'purpose'")
    page.keyboard.press("ArrowDown")
    assert page.input_value("#purpose") == "window"
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("abc", delay=100)
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.activeElement.id === 'purpose'")
    assert page.input_value("#code") == "abc"
    page.wait_for_timeout(1000)
    assert page.locator(".verdict").count() == 0


def test_full_width_input_is_read(watched: Any, served: Any) -> None:
    world, _ = served
    page = watched.page()
    sign_in(page, world)
    code = "".join(chr(ord(each) + 0xFEE0) for each in world.live_code())
    page.keyboard.insert_text(code)
    page.keyboard.press("Enter")
    page.wait_for_selector(".verdict.is-green")


def test_scans_outlive_the_end_of_the_session(watched: Any, served: Any) -> None:
    world, _ = served
    page = watched.page()
    sign_in(page, world)
    page.evaluate(_SHOWN)
    sent = sent_codes(page)
    page.context.clear_cookies()
    codes = [world.live_code(), world.live_code()]
    type_scan(page, codes[0], "Enter")
    page.wait_for_selector("[data-again]:not([hidden])")
    type_scan(page, codes[1], "Enter")  # into the field of the key
    page.wait_for_selector("text=Scans kept: 2")
    page.mouse.click(900, 500)
    page.keyboard.type("6901234567890")
    page.keyboard.press("Enter")
    page.fill("[data-again] #key", "yz_live_wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-key-problem]:not([hidden])")
    page.fill("[data-again] #key", world.desk_key)
    page.keyboard.press("Enter")
    wait_until(page, lambda: len(shown(page)) >= 3)
    assert shown(page) == ["green", "green", "grey"]
    assert sent[-3:] == [*codes, "6901234567890"]
    assert page.locator("[data-again]").is_hidden()
    watched.complaints[:] = [each for each in watched.complaints if "403" not in each]


def test_scans_outlive_a_network_that_fails(watched: Any, served: Any) -> None:
    world, _ = served
    page = watched.page()
    sign_in(page, world)
    page.evaluate(_SHOWN)
    page.context.set_offline(True)
    codes = [world.live_code(), world.live_code()]
    for code in codes:
        type_scan(page, code, "Enter")
    page.wait_for_selector("text=Scans kept: 2")
    page.context.set_offline(False)
    wait_until(page, lambda: shown(page) == ["green", "green"])
    page.wait_for_selector("[data-banner]", state="hidden")
    assert all("ERR_INTERNET_DISCONNECTED" in complaint for complaint in watched.complaints)
    watched.complaints.clear()


def test_a_scan_that_the_service_fails_on_is_named_and_the_next_goes_on(watched: Any, served: Any) -> None:
    world, _ = served
    page = watched.page()
    sign_in(page, world)
    poison = "6901234567890"
    page.route(
        "**/desk/scan",
        lambda route: (
            route.fulfill(status=500, body="<p>oops</p>")
            if poison in (route.request.post_data or "")
            else route.fallback()
        ),
    )
    type_scan(page, poison, "Enter")
    type_scan(page, world.live_code(), "Enter")
    page.wait_for_selector(".verdict.is-green")
    lines = page.locator("[data-last] li strong").all_text_contents()
    assert lines == ["Valid", "Not checked"]
    watched.complaints[:] = [each for each in watched.complaints if "500" not in each]


def test_a_scan_that_never_ends_is_named_and_the_next_goes_on(watched: Any, served: Any) -> None:
    world, _ = served
    page = watched.page()
    page.add_init_script("const real = AbortSignal.timeout; AbortSignal.timeout = () => real(2000)")
    sign_in(page, world)
    poison = "6901234567890"
    page.route(
        "**/desk/scan",
        lambda route: None if poison in (route.request.post_data or "") else route.fallback(),
    )
    type_scan(page, poison, "Enter")
    type_scan(page, world.live_code(), "Enter")
    page.wait_for_selector(".verdict.is-green")
    assert page.locator("[data-last] li strong").all_text_contents() == ["Valid", "Not checked"]


def test_a_file_that_goes_after_it_was_chosen_is_checked_all_the_same(
    watched: Any, served: Any, tmp_path: Path
) -> None:
    world, _ = served
    page = watched.page()
    sign_in(page, world)
    page.evaluate(_SHOWN)
    file = tmp_path / "a.pdf"
    file.write_bytes(world.pdf(world.revoked))
    page.context.set_offline(True)
    page.set_input_files("#file", file)
    wait_until(page, lambda: page.locator("[data-banner]").is_visible())
    file.write_bytes(b"")
    file.unlink()
    page.context.set_offline(False)
    wait_until(page, lambda: shown(page) == ["red"])
    watched.complaints[:] = [each for each in watched.complaints if "ERR_INTERNET_DISCONNECTED" not in each]


def test_a_file_that_cannot_be_read_is_named_and_the_next_goes_on(watched: Any, served: Any) -> None:
    world, _ = served
    page = watched.page()
    sign_in(page, world)
    page.evaluate(_UNREADABLE)
    page.set_input_files("#file", {"name": "a.pdf", "mimeType": "application/pdf", "buffer": b"gone"})
    page.wait_for_selector("text=The browser cannot read the file")
    type_scan(page, world.live_code(), "Enter")
    page.wait_for_selector(".verdict.is-green")
    assert page.locator("[data-last] li strong").all_text_contents() == ["Valid", "Not checked"]


def test_purpose_and_sound_outlive_a_reload(watched: Any, served: Any) -> None:
    page = watched.page()
    sign_in(page, served[0])
    page.select_option("#purpose", "bank")
    page.check("[data-sound-box]")
    page.reload()
    page.wait_for_selector("[data-sound]:not([hidden])")
    assert page.input_value("#purpose") == "bank"
    assert page.is_checked("[data-sound-box]")
    type_scan(page, served[0].live_code(purpose="银行业务"), "Enter")
    page.wait_for_selector(".verdict.is-green")
    line = page.locator("[data-last] li").first.text_content()
    assert "Food Business Licence" in line
    page.reload()
    assert "Food Business Licence" in page.locator("[data-last] li").first.text_content()


def test_without_javascript_a_scan_outlives_the_session_too(watched: Any, served: Any) -> None:
    world, _ = served
    page = watched.page(scripts=False)
    sign_in_plainly(page, world)
    page.context.clear_cookies()
    page.fill("#code", world.live_code())
    page.locator("[data-scan] button").click()
    page.wait_for_selector("text=Your scan is kept")
    page.fill("#key", world.desk_key)
    page.keyboard.press("Enter")
    page.wait_for_selector(".verdict.is-green")
    watched.complaints[:] = [each for each in watched.complaints if "403" not in each]


def sign_in_plainly(page: Any, world: World) -> None:
    page.goto("/desk")
    page.fill("#key", world.desk_key)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-scan]")


def test_a_dropped_file_waits_its_turn(watched: Any, served: Any, tmp_path: Path) -> None:
    world, _ = served
    page = watched.page()
    sign_in(page, world)
    page.evaluate(_SHOWN)
    file = {"name": "a.pdf", "mimeType": "application/pdf", "buffer": world.pdf(world.revoked)}
    page.set_input_files("#file", file)
    type_scan(page, world.live_code(), "Enter")
    wait_until(page, lambda: shown(page) == ["red", "green"])


@pytest.fixture(scope="module")
def doctor(served: Any) -> bytes:
    """An issued file with a photograph. Sealed in a thread: Playwright's loop may run in this one."""
    world, _ = served
    with ThreadPoolExecutor(1) as thread:
        issued = thread.submit(issue_doctor, world).result()
    return bytes(world.pdf(issued))


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_portrait_stands_beside_the_verdict_above_the_fold(
    watched: Any, served: Any, doctor: bytes, language: str
) -> None:
    page = watched.page(language=language, width=1366, height=768)
    sign_in(page, served[0])
    page.set_input_files("#file", {"name": "a.pdf", "mimeType": "application/pdf", "buffer": doctor})
    page.wait_for_selector(".verdict.is-green")
    portrait, band = (page.locator(name).bounding_box() for name in ("img.portrait", ".band"))
    assert band["y"] <= portrait["y"]
    assert portrait["y"] + portrait["height"] <= band["y"] + band["height"]
    assert page.evaluate("document.querySelector('img.portrait').naturalWidth") == 413
    listed = page.locator(".compare dl").bounding_box()
    assert listed["y"] + listed["height"] <= 768, listed
    words = page.text_content(".compare")
    assert "内科专业；儿科专业" in words
    assert ("公民身份号码" if language == "zh-CN" else "Citizen identity number") in words
    assert not re.search(r"[0-9a-f]{64}|\b111\b", words)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_counter_sees_what_it_has_to_compare_without_scrolling(
    watched: Any, served: Any, language: str
) -> None:
    from issuer.presenting.presenting import Level

    world, _ = served
    page = watched.page(language=language, width=1366, height=768)
    sign_in(page, world)
    type_scan(page, world.live_code(Level.ALL_FIELDS), "Enter")
    page.wait_for_selector(".verdict.is-green")
    boxes = {name: page.locator(name).bounding_box() for name in (".band", ".compare dl")}
    for name, box in boxes.items():
        assert box["y"] >= 0, name
        assert box["y"] + box["height"] <= 768, (name, box)
