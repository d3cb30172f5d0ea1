"""The ledger's pages as a browser without JavaScript sees them, and the drawings they are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal
from support.pages_browser import Browser
from support.pages_world import HOLDER_NAME, PERSON, World

from ledger import sql
from ledger.growth import GrowthPoint
from ledger.log import Log
from ledger.note import KeyKind, NoteSignature, SignerKey, format_note, note_line, parse_note
from ledger.pages import explorer
from ledger.pages.drawing import draw_growth, draw_proof
from ledger.proof import DetachedReceipt, Receipt, format_detached_receipt, format_receipt
from ledger.witness.policy import Group, Policy, PolicyWitness
from trust.app.site import create_app
from trust.encoding import merkle
from trust.encoding.entry import EntryKind, decode_entry
from trust.model.errors import LedgerHalted, NotFound, StorageError
from trust.storage.sql import Database
from trust.words.language import LANGUAGES, Language
from trust.words.texts import text


@pytest.fixture
def log(pages_world: World) -> Log:
    return pages_world.site.ledger.log


@pytest.fixture(scope="module")
def visitor(pages_world: World, portal: BlockingPortal) -> Iterator[Browser]:
    browser = Browser(pages_world, portal)
    yield browser
    browser.close()


@pytest.fixture
def browser(visitor: Browser) -> Browser:
    """The same one for all tests here, without cookies: making the app takes longer than asking it."""
    visitor.cookies.clear()
    return visitor


@pytest.fixture
def fresh(pages_world: World, portal: BlockingPortal) -> Iterator[Browser]:
    """One whose pages have not looked at the growth of the log yet."""
    browser = Browser(pages_world, portal)
    yield browser
    browser.close()


def entry_bytes(world: World, index: int) -> bytes:
    with world.site.stores.ledger.read() as connection:
        return sql.read_entries(connection, start=index, end=index + 1)[0].entry_bytes


def entry_with_a_previous_one(world: World) -> int:
    """Number of an entry that is not the first one about its e-certificate."""
    found = (decode_entry(entry_bytes(world, index)) for index in range(world.site.ledger.log.size))
    return next(each.seq for each in found if each.prev_ref is not None)


def words_of(html: str) -> str:
    """What stands on the page, without what only a script reads."""
    shown = re.sub(r"<template.*?</template>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", shown)).split())


# --- the page itself ---


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_says_how_large_the_ledger_is_and_what_was_published(
    browser: Browser, log: Log, language: Language
) -> None:
    html = browser.get(f"/ledger?lang={language}").text
    shown = words_of(html)
    checkpoint = log.checkpoint()
    assert f'lang="{language}"' in html[:200]
    assert checkpoint.root.hex() in shown
    assert f"{log.size:,}" in shown
    assert log.keys.origin in shown
    for vkey in log.keys.present:
        assert vkey.key_id.hex() in shown
        assert text(language, f"ledger_key.{vkey.kind.name}") in shown
    assert f"{log.keys.origin}/sm3" in shown
    assert text(language, "ledger_signed.own.FAILED") not in shown


def test_the_growth_is_a_picture_with_words_and_a_table(browser: Browser, log: Log) -> None:
    html = browser.get("/ledger").text
    assert re.search(r'<svg role="img" aria-labelledby="plot-title plot-desc"', html)
    assert "<title" in html
    assert "the ledger grew from" in html
    rows = re.findall(r'<tr><th scope="row">[^<]+</th><td>([\d,]+)</td></tr>', html)
    assert len(rows) == 40
    sizes = [int(row.replace(",", "")) for row in rows]
    assert sizes == sorted(sizes)
    assert sizes[0] >= 1
    assert sizes[-1] <= log.size


def test_many_visits_within_half_a_minute_cost_one_look_at_the_growth(
    fresh: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def looking(_: Database, until_ms: int) -> tuple[GrowthPoint, ...]:
        looks.append(until_ms)
        return (GrowthPoint(until_ms, 2),)

    monkeypatch.setattr(explorer, "read_growth", looking)
    for _ in range(3):
        assert fresh.get("/ledger").status_code == 200
    assert len(looks) == 1


def test_every_page_leads_to_the_ledger_and_its_explanation(browser: Browser) -> None:
    for path in ("/", "/verify", "/help", "/ledger", "/ledger?index=99999"):
        html = browser.get(path).text
        assert 'href="/ledger"' in html
        assert 'href="/ledger/explained"' in html


def test_the_files_of_the_ledger_are_still_where_they_were(browser: Browser, log: Log) -> None:
    assert browser.get("/ledger/checkpoint").text == log.published_note()
    assert browser.get("/ledger/sm3/checkpoint").text == log.sm3_checkpoint_note()
    assert 'href="/ledger/keys/1"' in browser.get("/ledger?index=1").text
    assert log.vkey.key_id.hex() in browser.get("/ledger/keys/1").text
    assert browser.get(f"/ledger/tile/0/000.p/{log.checkpoint().size}").status_code == 200


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_explanation_says_what_a_judge_needs(browser: Browser, log: Log, language: Language) -> None:
    shown = words_of(browser.get(f"/ledger/explained?lang={language}").text)
    assert "yinzheng verify --offline" in shown
    assert "yinzheng ledger recheck" in shown
    assert log.vkey.key_id.hex() in shown
    for topic in ("what", "entry", "receipt", "check", "witnesses", "erasure", "sm3", "limits"):
        assert text(language, f"explained.{topic}") in shown


# --- an entry ---


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_entry_is_shown_field_by_field_and_holds_nobodys_name(
    browser: Browser, pages_world: World, language: Language
) -> None:
    number = entry_with_a_previous_one(pages_world)
    raw = entry_bytes(pages_world, number)
    entry = decode_entry(raw)
    html = browser.get(f"/ledger?index={number}&lang={language}").text
    for expected in (entry.ref, entry.commit, entry.prev, raw):
        assert expected.hex() in html
    assert entry.prev_ref is not None
    assert f'href="/ledger?index={entry.prev_ref.seq}"' in html
    assert f'rel="prev" href="/ledger?index={number - 1}"' in html
    assert text(language, f"ledger_kind.{entry.kind.name}") in html
    assert text(language, "ledger.no_personal_data") in html
    assert ("春城市市场监督管理局" if language == "zh-CN" else "Chuncheng Market Regulation") in html
    for hidden in (HOLDER_NAME, PERSON, pages_world.valid.identifier):
        assert hidden not in html


def test_every_entry_has_a_page_with_a_proof_that_leads_to_the_signed_root(
    browser: Browser, log: Log
) -> None:
    for number in range(log.size):
        html = browser.get(f"/ledger?index={number}").text
        assert f'<g class="node is-root" data-node="{log.checkpoint().root.hex()}">' in html
        assert "This is the root that stands in the checkpoint." in html
        assert html.count("<g class") == 2 * len(log.prove(number).hashes) + 1
    assert 'rel="next"' not in html
    assert 'rel="prev"' not in browser.get("/ledger?index=0").text


def test_the_other_language_keeps_the_entry(browser: Browser) -> None:
    html = browser.get("/ledger?index=3").text
    other = re.search(r'class="language" href="([^"]+)"', html)
    assert other
    assert unescape(other.group(1)) == "/ledger?index=3&lang=zh-CN"
    assert "第 3 条" in browser.get(unescape(other.group(1))).text


@pytest.mark.parametrize(
    ("typed", "status", "words"),
    [
        ("abc", 400, "This is not a number"),
        ("1.5", 400, "This is not a number"),
        ("1e3", 400, "This is not a number"),
        ("0x10", 400, "This is not a number"),
        ("+-1", 400, "This is not a number"),
        ("<b>", 400, "This is not a number"),
        ("\0", 400, "This is not a number"),
        ("٣", 400, "This is not a number"),
        ("-1", 400, "no negative numbers"),
        ("－1", 400, "no negative numbers"),
        ("-0", 400, "no negative numbers"),
        ("99999", 404, "no entry with this number"),
        ("9223372036854775807", 404, "no entry with this number"),
        ("18446744073709551616", 404, "no entry with this number"),
        ("9" * 5000, 404, "no entry with this number"),
        ("0" * 30 + "99999", 404, "no entry with this number"),
    ],
)
def test_a_wrong_number_is_answered_with_one_sentence(
    browser: Browser, typed: str, status: int, words: str
) -> None:
    answer = browser.get("/ledger", params={"index": typed})
    assert answer.status_code == status
    problem = re.search(r'<p class="problem" role="alert">([^<]*)</p>', answer.text)
    assert problem
    assert words in problem.group(1)
    assert "<b>" not in answer.text
    assert 'id="checkpoint"' in answer.text, "the rest of the page is there"


@pytest.mark.parametrize("typed", ["3", " 3 ", "0003", "３", "0,003", "0 003"])
def test_a_number_is_understood_however_it_is_written(browser: Browser, typed: str) -> None:
    answer = browser.get("/ledger", params={"index": typed})
    assert answer.status_code == 200
    assert '<h2 id="entry">Entry 3' in answer.text


def test_no_number_is_the_page_without_an_entry(browser: Browser) -> None:
    for path in ("/ledger?index=", "/ledger?index=%20", "/ledger?other=1"):
        answer = browser.get(path)
        assert answer.status_code == 200
        assert 'id="entry"' not in answer.text


# --- a receipt ---


def post_receipt(browser: Browser, receipt: str) -> Any:
    return browser.post("/ledger", data={"receipt": receipt})


def test_a_pasted_receipt_is_checked_and_its_entry_shown(browser: Browser, pages_world: World) -> None:
    receipt = pages_world.site.ledger.log.prove(4)
    plain = format_receipt(receipt)
    detached = format_detached_receipt(
        DetachedReceipt(entry_bytes=entry_bytes(pages_world, 4), receipt=receipt)
    )
    for pasted in (plain, detached, plain.replace("\n", "\r\n"), f"\n{plain.strip()}"):
        answer = post_receipt(browser, pasted)
        assert answer.status_code == 200
        assert "The receipt is valid" in answer.text
        assert '<h2 id="entry">Entry 4' in answer.text
        assert answer.text.count("is-passed") >= 3


def test_a_spoiled_receipt_is_not_good(browser: Browser, pages_world: World) -> None:
    log = pages_world.site.ledger.log
    receipt = log.prove(4)
    other_hash = Receipt(index=4, hashes=(bytes(32), *receipt.hashes[1:]), checkpoint=receipt.checkpoint)
    other_entry = Receipt(index=5, hashes=receipt.hashes, checkpoint=receipt.checkpoint)
    note = parse_note(receipt.checkpoint)
    unsigned = Receipt(
        index=4,
        hashes=receipt.hashes,
        checkpoint=format_note(type(note)(text=note.text, signatures=note.signatures[1:])),
    )
    for spoiled in (other_hash, other_entry, unsigned):
        answer = post_receipt(browser, format_receipt(spoiled))
        assert answer.status_code == 200
        assert "The receipt is not valid" in answer.text
    wrong_entry = format_detached_receipt(
        DetachedReceipt(entry_bytes=entry_bytes(pages_world, 5), receipt=receipt)
    )
    assert "does not show that the entry" in post_receipt(browser, wrong_entry).text


def test_a_receipt_for_a_tree_that_never_was_ours_is_evidence(browser: Browser, log: Log) -> None:
    old = log.prove(2)
    size = log.checkpoint().size
    forked = old.checkpoint.replace(old.checkpoint.split("\n")[2], "A" * 43 + "=", 1)
    answer = post_receipt(browser, format_receipt(Receipt(index=2, hashes=old.hashes, checkpoint=forked)))
    assert "Its tree is not the beginning of today&#39;s ledger" in answer.text
    newer = old.checkpoint.replace(f"\n{size}\n", f"\n{size + 1000}\n", 1)
    answer = post_receipt(browser, format_receipt(Receipt(index=2, hashes=old.hashes, checkpoint=newer)))
    assert "newer than the newest one known here" in answer.text


def test_a_receipt_of_another_ledger_is_told_from_ours(browser: Browser, log: Log) -> None:
    receipt = format_receipt(log.prove(2)).replace(log.keys.origin, "other.example/log")
    answer = post_receipt(browser, receipt)
    assert answer.status_code == 200
    assert "The receipt is of another ledger" in answer.text
    assert "other.example/log" in answer.text
    assert 'id="entry"' not in answer.text


def test_a_receipt_for_an_entry_that_is_not_there_shows_none(browser: Browser, log: Log) -> None:
    receipt = log.prove(2)
    for index in (99_999, 2**63 - 1):
        answer = post_receipt(
            browser,
            format_receipt(Receipt(index=index, hashes=receipt.hashes, checkpoint=receipt.checkpoint)),
        )
        assert answer.status_code == 404
        assert "The receipt is not valid" in answer.text


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "hello",
        "c2sp.org/tlog-proof@v1",
        "c2sp.org/tlog-proof@v1\nindex -5\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex 2\n\nno note\n",
        "c2sp.org/tlog-proof@v1\nextra !!\nindex 2\n\nx\n",
        "c2sp.org/tlog-proof@v1\nindex 2\n\n" + "A" * 300_000,
        "\0\ud7ff",
    ],
    ids=["empty", "words", "header", "negative", "no note", "bad entry", "long", "odd characters"],
)
def test_what_is_no_receipt_is_said_to_be_none(browser: Browser, pasted: str) -> None:
    answer = post_receipt(browser, pasted)
    assert answer.status_code == 400
    assert "This is not a receipt" in answer.text


# --- when something is wrong ---


def test_a_halted_log_is_still_shown(browser: Browser, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_halted", LedgerHalted("A test halted it."))
    for path in ("/ledger", "/ledger?index=3", "/ledger/explained"):
        answer = browser.get(path)
        assert answer.status_code == 200
    assert "has stopped recording" in browser.get("/ledger").text
    assert "The receipt is valid" in post_receipt(browser, format_receipt(log.prove(3))).text


def test_what_cannot_be_read_is_left_out_and_the_rest_is_shown(
    fresh: Browser, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise StorageError("A test took it away.")

    monkeypatch.setattr(explorer, "read_growth", fail)
    for name in ("published_note", "sm3_checkpoint_note", "prove"):
        monkeypatch.setattr(log, name, fail)
    answer = fresh.get("/ledger?index=3")
    assert answer.status_code == 200
    shown = words_of(answer.text)
    for words in ("cannot be drawn", "checkpoint cannot be read", "There is no proof yet", "Entry 3"):
        assert words in shown


def test_an_entry_that_is_not_published_yet_has_no_proof(
    browser: Browser, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_yet(_: int) -> Receipt:
        raise NotFound("The checkpoint does not cover it.")

    monkeypatch.setattr(log, "prove", not_yet)
    answer = browser.get("/ledger?index=3")
    assert answer.status_code == 200
    assert "There is no proof yet" in answer.text
    assert "data-check" not in answer.text


def test_a_log_that_has_not_begun_has_a_page(
    fresh: Browser, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explorer, "read_growth", lambda *_, **__: ())
    monkeypatch.setattr(sql, "read_last_seq", lambda _: None)
    monkeypatch.setattr(sql, "read_state", lambda _: None)
    assert fresh.get("/ledger").status_code == 200
    assert fresh.get("/ledger?index=0").status_code == 404


def test_a_proof_that_leads_elsewhere_is_said_to_be_wrong(
    browser: Browser, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = log.prove(3)
    wrong = Receipt(index=3, hashes=(bytes(32), *right.hashes[1:]), checkpoint=right.checkpoint)
    monkeypatch.setattr(log, "prove", lambda _: wrong)
    assert "The proof leads to another root" in browser.get("/ledger?index=3").text


# --- witnesses ---

WITNESSES = [
    SignerKey(name=f"w{number}.example.org", seed=bytes([number]) * 32, kind=kind)
    for number, kind in ((1, KeyKind.COSIGNATURE), (2, KeyKind.ML_DSA_44), (3, KeyKind.COSIGNATURE))
]
AT = 1_795_000_000
POLICY = Policy(
    witnesses=tuple(
        PolicyWitness(name=name, vkey=key.vkey)
        for name, key in zip(("archives", "法院", "audit\udcff"), WITNESSES, strict=True)
    ),
    groups=(Group(name="two", threshold=2, members=("archives", "法院", "audit\udcff")),),
    quorum="two",
)


def cosigned(note: str, *keys: SignerKey, spoil: bool = False) -> str:
    signed = parse_note(note).text
    lines = [
        NoteSignature(name=key.name, key_id=key.vkey.key_id, signature=key.cosign(signed, time=AT))
        for key in keys
    ]
    if spoil:
        last = lines.pop()
        spoiled = last.signature[:-1] + bytes([last.signature[-1] ^ 1])
        lines.append(NoteSignature(name=last.name, key_id=last.key_id, signature=spoiled))
    return note + "".join(map(note_line, lines))


@pytest.fixture
def with_policy(pages_world: World, portal: BlockingPortal) -> Iterator[Browser]:
    """The pages of a service that has a policy of witnesses."""
    app = create_app(replace(pages_world.site, ledger=replace(pages_world.site.ledger, policy=POLICY)))
    world: Any = SimpleNamespace(app=app, site=pages_world.site)
    browser = Browser(world, portal)
    yield browser
    browser.close()


def test_witnesses_of_the_policy_are_named_with_the_time_they_state(
    with_policy: Browser, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = cosigned(log.checkpoint_note(), *WITNESSES[:2])
    monkeypatch.setattr(log, "published_note", lambda: note)
    shown = words_of(with_policy.get("/ledger").text)
    assert "archives witness" in shown
    assert shown.count("It states the time 18 Nov 2026 19:06:40.") == 4
    assert "audit\ufffd : has not cosigned this checkpoint" in shown
    assert "Enough have cosigned (rule “two”)" in shown
    assert "“two”: at least 2 of archives, 法院, audit\ufffd" in shown


def test_a_cosignature_that_does_not_verify_counts_for_nothing(
    with_policy: Browser, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = cosigned(log.checkpoint_note(), *WITNESSES[:2], spoil=True)
    monkeypatch.setattr(log, "published_note", lambda: note)
    shown = words_of(with_policy.get("/ledger").text)
    assert "The cosignature is not valid." in shown
    assert "法院 : has not cosigned this checkpoint" in shown
    assert "Not enough have cosigned yet" in shown


def test_without_a_policy_a_strangers_line_is_shown_as_what_it_claims(
    browser: Browser, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = cosigned(log.checkpoint_note(), WITNESSES[0])
    note += note_line(NoteSignature(name="odd.example.net", key_id=b"abcd", signature=b"\xff" * 72))
    note += note_line(NoteSignature(name="short.example.net", key_id=b"abcd", signature=b"\xff" * 64))
    monkeypatch.setattr(log, "published_note", lambda: note)
    shown = words_of(browser.get("/ledger").text)
    assert "w1.example.org says it is a witness" in shown
    assert "odd.example.net not known here" in shown, "no time of the calendar"
    assert "short.example.net not known here" in shown
    assert shown.count("so the signature was not checked") == 3


# --- drawings ---


def test_a_drawn_proof_computes_the_root_of_every_small_tree() -> None:
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(20)]
    for size in range(1, 21):
        for index in range(size):
            hashes = merkle.prove_inclusion(index, leaves[:size])
            drawing = draw_proof(leaves[index], index=index, size=size, hashes=hashes)
            assert drawing.root == merkle.root(leaves[:size])
            for node in drawing.nodes:
                assert node.hash == merkle.root(leaves[node.first : node.last + 1])
            assert (drawing.nodes[-1].first, drawing.nodes[-1].last) == (0, size - 1)


def test_boxes_stand_apart_inside_the_frame_left_and_right_as_in_the_tree() -> None:
    drawing = draw_proof(bytes(32), index=5, size=1_000_003, hashes=[bytes(32)] * 20)
    places = {(node.x, node.y) for node in drawing.nodes}
    assert len(places) == len(drawing.nodes) == 41
    for node in drawing.nodes:
        assert 0 <= node.x <= drawing.width - 132
        assert 0 <= node.y <= drawing.height - 60
    for step, child in zip(
        drawing.steps, [drawing.leaf, *(each.result for each in drawing.steps)], strict=False
    ):
        assert step.given.y == child.y > step.result.y
        assert (step.given.x < child.x) is step.is_given_left is (step.given.last < child.first)


def test_a_plot_fits_its_frame_whatever_the_size() -> None:
    for size in (1, 2, 3, 7, 8, 9, 12, 99, 1000, 2718, 10**9 + 1):
        growth = draw_growth([GrowthPoint(0, 1), GrowthPoint(10, size)])
        assert growth.ticks[0] >= size > growth.ticks[0] / 3 - 4
        assert growth.ticks[-1] == 0
        heights = [float(each) for each in re.findall(r" (-?[\d.]+)", growth.line)]
        assert all(0 <= each <= 100 for each in heights)
    assert draw_growth([GrowthPoint(5, 2)]).line.endswith("L100.00 50.00")


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_words_for_every_kind_of_entry_key_and_answer(language: Any) -> None:
    for kind in EntryKind:
        assert text(language, f"ledger_kind.{kind.name}")
        assert text(language, f"ledger_kind_line.{kind.name}")
    for key in KeyKind:
        assert text(language, f"ledger_key.{key.name}")
    for who in ("own", "witness"):
        for state in ("PASSED", "FAILED"):
            assert text(language, f"ledger_signed.{who}.{state}")
