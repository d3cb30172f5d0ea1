"""An entry of the ledger checked in the browser: right is said to be right, and every tampered answer to be wrong."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest

from ledger.proof import format_receipt
from ledger.tiles import entries_path, tile_of_leaf
from trust.encoding import merkle

INDEX = 9
PROOF, CHECKPOINT, TILES = "**/api/v1/ledger/proof?*", "**/ledger/checkpoint", "**/ledger/tile/entries/**"
Spoil = Callable[[bytes], bytes]


@pytest.fixture
def page(watched: Any) -> Any:
    """An entry's page on a phone, in English."""
    page = watched.page(width=390, height=844)
    page.goto(f"/ledger?index={INDEX}")
    return page


def check(page: Any) -> tuple[str, list[tuple[str, str]]]:
    """Presses the button; gives the outcome and every step with its words."""
    page.get_by_role("button", name=re.compile("Check now|开始核对")).click()
    page.wait_for_selector("[data-result]:not([hidden])")
    steps = [
        (each.get_attribute("data-state"), each.inner_text())
        for each in page.query_selector_all("[data-steps] > li")
    ]
    return page.get_attribute("[data-result]", "data-state"), steps


def answer_with(page: Any, pattern: str, spoil: Spoil) -> None:
    def fulfil(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=spoil(answer.body()))

    page.route(pattern, fulfil)


def hashes_to_the_root(served: Any) -> int:
    return len(merkle.inclusion_ranges(INDEX, served[0].site.ledger.log.checkpoint().size))


@pytest.mark.parametrize(
    ("language", "right", "outcome"), [("en", "Right.", "Everything agrees"), ("zh-CN", "相符。", "全部相符")]
)
def test_a_genuine_entry_is_right_in_every_step(
    watched: Any, served: Any, language: str, right: str, outcome: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = watched.page(language=language, width=320)
    page.goto(f"/ledger?index={INDEX}")
    state, steps = check(page)
    assert state == "PASSED"
    assert all(each == "PASSED" and words.strip().startswith(right) for each, words in steps)
    assert len(steps) == 6 + hashes_to_the_root(served), "a step for every hash from the entry to the root"
    assert outcome in page.inner_text("[data-result]")
    assert page.locator("[aria-live=polite] [data-steps] li").count() == len(steps)
    assert page.locator(".node.is-right").count() == hashes_to_the_root(served) + 1
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    violations = Axe().run(page).response["violations"]
    assert [each["id"] for each in violations if each["impact"] in ("serious", "critical")] == []


def test_it_works_with_the_keyboard_alone(page: Any) -> None:
    page.wait_for_selector("[data-start]", state="visible")  # the script shows it when it has been loaded
    page.locator("#vkey").focus()
    page.wait_for_function("() => document.activeElement.matches('#vkey')")
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.activeElement.matches('[data-start]')")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-result][data-state=PASSED]")


def spoiled_line(number: int) -> Spoil:
    """One letter of a line changed; the length and the form stay."""

    def spoil(body: bytes) -> bytes:
        lines = body.decode().split("\n")
        line = lines[number]
        lines[number] = line[:10] + ("B" if line[10] == "A" else "A") + line[11:]
        return "\n".join(lines).encode()

    return spoil


def spoiled_last_hash(body: bytes) -> bytes:
    return spoiled_line(body.decode().split("\n").index("") - 1)(body)


def entry_changed(bundle: bytes, index: int) -> bytes:
    """One byte of an entry changed: a bundle is length (2 bytes), entry, length, entry, …"""
    at = 0
    for _ in range(index):
        at += 2 + int.from_bytes(bundle[at : at + 2], "big")
    at += 20
    return bundle[:at] + bytes([bundle[at] ^ 1]) + bundle[at + 1 :]


def without_line(number: int) -> Spoil:
    return lambda body: b"\n".join(body.split(b"\n")[:number] + body.split(b"\n")[number + 1 :])


@pytest.mark.parametrize(
    ("pattern", "spoil", "words"),
    [
        (PROOF, spoiled_line(2), "not the same as drawn above"),
        (PROOF, spoiled_last_hash, "not the one in the checkpoint"),
        (PROOF, without_line(2), "it needs"),
        (PROOF, lambda body: body.replace(b"index 9", b"index 8"), "for entry 8"),
        (PROOF, lambda body: body.replace(b"tlog-proof@v1", b"tlog-proof@v9"), "not in the expected format"),
        (PROOF, lambda body: b"", "not in the expected format"),
        (CHECKPOINT, spoiled_line(2), "same size and different roots"),
        (CHECKPOINT, lambda body: b"<html>", "not in the expected format"),
        (TILES, lambda body: entry_changed(body, INDEX), "other bytes"),
        (TILES, lambda body: body[:40], "not in the expected format"),
    ],
    ids=[
        "first hash",
        "last hash",
        "hash missing",
        "other entry",
        "other format",
        "no proof",
        "other root",
        "no checkpoint",
        "entry changed",
        "bundle cut",
    ],
)  # fmt: skip
def test_a_tampered_answer_is_wrong(page: Any, pattern: str, spoil: Spoil, words: str) -> None:
    answer_with(page, pattern, spoil)
    state, steps = check(page)
    assert state == "FAILED"
    assert any(each == "FAILED" and "Wrong." in said and words in said for each, said in steps), steps
    assert "Something does not agree" in page.inner_text("[data-result]")


def test_a_signature_that_was_tampered_with_is_wrong(page: Any, served: Any) -> None:
    log = served[0].site.ledger.log
    signature = next(line for line in log.checkpoint_note().split("\n") if line.startswith("— "))
    cut = len(signature) - 10
    spoiled = signature[:cut] + ("B" if signature[cut] == "A" else "A") + signature[cut + 1 :]
    for pattern in (PROOF, CHECKPOINT):
        answer_with(page, pattern, lambda body: body.replace(signature.encode(), spoiled.encode()))
    state, steps = check(page)
    assert (state, steps[-1][0]) == ("FAILED", "FAILED")
    assert "signature under the checkpoint is not valid" in steps[-1][1]


def test_a_whole_other_ledger_does_not_pass_under_the_key_that_somebody_brought(page: Any) -> None:
    page.fill("#vkey", "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
    state, steps = check(page)
    assert (state, steps[-1][0]) == ("FAILED", "FAILED")
    assert "not signed by this key" in steps[-1][1]
    page.fill("#vkey", "nonsense")
    state, steps = check(page)
    assert (state, "not in the expected format" in steps[-1][1]) == ("FAILED", True)


@pytest.mark.parametrize("pattern", [PROOF, CHECKPOINT, TILES])
def test_what_cannot_be_fetched_is_not_checked_and_not_wrong(page: Any, watched: Any, pattern: str) -> None:
    page.route(pattern, lambda route: route.abort())
    state, steps = check(page)
    assert (state, steps[-1][0]) == ("NOT_CHECKED", "NOT_CHECKED")
    assert "could not be fetched" in steps[-1][1]
    assert "says nothing against the entry" in page.inner_text("[data-result]")
    watched.complaints[:] = [each for each in watched.complaints if "ERR_FAILED" not in each]


def test_a_partial_bundle_that_has_gone_is_found_in_the_full_one(
    page: Any, watched: Any, served: Any
) -> None:
    size = served[0].site.ledger.log.checkpoint().size
    bundle = served[0].site.ledger.ledger_folder / "tile" / "entries" / "000.p" / str(size)
    page.route("**/tile/entries/000.p/*", lambda route: route.fulfill(status=404))
    page.route("**/tile/entries/000", lambda route: route.fulfill(body=bundle.read_bytes()))
    assert check(page)[0] == "PASSED"
    watched.complaints[:] = [each for each in watched.complaints if "404" not in each]


def test_a_ledger_that_keeps_growing_is_to_be_checked_once_more(page: Any, served: Any) -> None:
    size = served[0].site.ledger.log.checkpoint().size
    answer_with(page, CHECKPOINT, lambda body: body.replace(b"\n%d\n" % size, b"\n%d\n" % (size + 1)))
    state, steps = check(page)
    assert state == "NOT_CHECKED"
    assert any(each == "NOT_CHECKED" and "Check once more" in words for each, words in steps)


def test_a_browser_without_ed25519_says_so(watched: Any) -> None:
    page = watched.page()
    page.add_init_script(
        "crypto.subtle.importKey = () => Promise.reject(new DOMException('', 'NotSupportedError'))"
    )
    page.goto(f"/ledger?index={INDEX}")
    state, steps = check(page)
    assert (state, steps[-1][0]) == ("NOT_CHECKED", "NOT_CHECKED")
    assert "cannot check Ed25519" in steps[-1][1]
    assert "The tree agrees" in page.inner_text("[data-result]")


def test_without_javascript_the_entry_and_its_proof_are_there(watched: Any, served: Any) -> None:
    page = watched.page(scripts=False)
    page.goto("/ledger")
    page.fill("#index", str(INDEX))
    page.get_by_role("button", name="Show", exact=True).click()
    page.wait_for_url(f"**/ledger?index={INDEX}")
    assert "This needs JavaScript" in page.inner_text(".check")
    assert page.locator(".steps li").count() == hashes_to_the_root(served) + 2
    page.get_by_text("By a receipt").click()
    page.fill("#receipt", format_receipt(served[0].site.ledger.log.prove(3)))
    page.get_by_role("button", name="Check the receipt").click()
    page.wait_for_selector("text=The receipt is valid")
    assert "Entry 3" in page.inner_text("#entry")


def test_the_sums_of_the_script_are_those_of_the_server(page: Any) -> None:
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(9)]
    cases = [
        {
            "leaf": encoded(leaves[index]),
            "index": index,
            "size": size,
            "hashes": [encoded(each) for each in merkle.prove_inclusion(index, leaves[:size])],
            "root": encoded(merkle.root(leaves[:size])),
        }
        for size in range(1, 10)
        for index in range(size)
    ]
    wrong = page.evaluate(
        """async (cases) => {
            const { fromBase64, same, wayToRoot } = await import("/static/proof.js");
            const wrong = [];
            for (const { leaf, index, size, hashes, root } of cases) {
                const way = await wayToRoot(fromBase64(leaf), BigInt(index), BigInt(size), hashes.map(fromBase64));
                const last = way.at(-1)?.hash ?? fromBase64(leaf);
                if (!same(last, fromBase64(root))) wrong.push([index, size]);
            }
            return wrong;
        }""",
        cases,
    )
    assert wrong == []
    places = [
        (0, 1),
        (255, 256),
        (255, 300),
        (256, 257),
        (1_234_067 * 256 + 3, 1_234_067 * 256 + 9),
        (7, 2**53),
    ]
    paths = page.evaluate(
        """async (places) => {
            const { bundlePaths } = await import("/static/proof.js");
            return places.map(([index, size]) => bundlePaths(BigInt(index), BigInt(size))[0]);
        }""",
        places,
    )
    assert [f"tile/{each}" for each in paths] == [
        entries_path(tile_of_leaf(index, size=size)) for index, size in places
    ]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
