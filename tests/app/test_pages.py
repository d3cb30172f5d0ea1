"""Pages as a browser without JavaScript sees them, and the words they are made of."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from importlib.resources import files

import pytest
from anyio.from_thread import BlockingPortal
from support.catalogue import OF_REPORTS, REFUSALS
from support.pages_browser import Browser
from support.pages_world import DESK, HOLDER_NAME, PERSON, World
from support.routes import pages_not_among

from issuer.presenting.presenting import Level
from trust.app.site import ROOMS
from trust.encoding.qr import live_code_svg
from trust.model.actor import OPERATOR
from trust.model.status import Status
from trust.web.shell import SECURITY_HEADERS
from trust.words.language import LANGUAGES
from trust.words.purposes import PURPOSES
from trust.words.texts import as_language, load_texts, preferred_language, text

PUBLIC = (
    "/",
    "/verify",
    "/help",
    "/desk",
    "/wallet",
    "/wallet/claim/ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "/P/ABCD",
    "/Q/ABCD",
    "/ledger",
    "/ledger?index=2",
    "/ledger/explained",
    "/seals",
    "/trust",
    "/r",
)


def title(html: str) -> str:
    found = re.search(r"<title>(.*?)</title>", html, re.DOTALL)
    assert found
    return found.group(1)


def hidden(html: str, name: str, *, form: str = "") -> str:
    """The value of a hidden field, of the form that posts to `form` where several have it."""
    part = html[html.index(f'action="{form}"') :] if form else html
    found = re.search(rf'name="{name}" value="([^"]*)"', part)
    assert found
    return found.group(1)


def open_wallet(browser: Browser, world: World) -> None:
    token = world.access.invitations.create_claim_link(OPERATOR, world.holder_ref)
    assert title(browser.post(f"/wallet/claim/{token}").text).startswith("My e-certificates")


def sign_in(browser: Browser, world: World) -> str:
    """Signs in to the counter and gives the token of its scan form."""
    answer = browser.post("/desk/sign-in", data={"key": world.desk_key})
    assert DESK in answer.text
    return hidden(answer.text, "token", form="/desk/scan")


# --- every page ---


@pytest.mark.parametrize("path", PUBLIC)
def test_every_page_carries_the_headers_and_is_not_kept(browser: Browser, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code == 200
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["cache-control"] == "no-store"


def test_no_page_that_a_stranger_gets_is_left_out(browser: Browser, pages_world: World) -> None:
    for template in pages_not_among(pages_world.app, [path.partition("?")[0] for path in PUBLIC]):
        path = re.sub(r"\{[^}]*\}", "ABCD", template)
        answer = browser.get(path)
        assert (answer.status_code, answer.url.path) != (200, path), f"{template} belongs to PUBLIC"


@pytest.mark.parametrize("path", PUBLIC)
def test_no_page_has_a_script_or_a_style_inside(browser: Browser, path: str) -> None:
    html = browser.get(path).text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:", html)
    assert "http://" not in html
    assert "https://" not in html


def test_language_is_the_address_then_the_cookie_then_the_browsers_wish(browser: Browser) -> None:
    assert 'lang="en"' in browser.get("/").text
    assert 'lang="zh-CN"' in browser.get("/?lang=zh-CN").text[:200]
    assert 'lang="zh-CN"' in browser.get("/verify").text[:200]


def test_small_scripts_and_styles_are_served_for_ever_under_their_digest(browser: Browser) -> None:
    address = re.search(r'href="(/static/pages\.css\?v=[0-9a-f]{12})"', browser.get("/").text)
    assert address
    answer = browser.get(address.group(1))
    assert "immutable" in answer.headers["cache-control"]
    scripts = [
        each
        for room in ("trust.web", *ROOMS)
        for each in files(room).joinpath("static").iterdir()
        if each.name.endswith(".js")
    ]
    assert len(scripts) > 5
    for each in scripts:
        assert len(each.read_bytes()) < 10_000


def test_what_is_not_there_is_said_in_words(browser: Browser) -> None:
    answer = browser.get("/P/1890")
    assert (answer.status_code, title(answer.text)) == (404, "There is no such page · Yinzheng")


# --- checking ---


def test_an_issued_file_passes_and_its_fields_are_shown(browser: Browser, pages_world: World) -> None:
    html = browser.post("/verify", files={"file": ("a.pdf", pages_world.pdf(pages_world.valid))}).text
    assert title(html).startswith("Valid")
    for expected in (
        "Food Business Licence",
        HOLDER_NAME,
        PERSON,
        "whether the person presenting",
        "Status as of",
    ):
        assert expected in html


def test_an_archived_file_says_what_its_seal_was_and_what_it_is(browser: Browser, pages_world: World) -> None:
    archiving = pages_world.site.issuer.archiving
    if len(archiving.versions(pages_world.valid.pid)) == 1:
        assert archiving.renew(OPERATOR, [pages_world.valid.pid])[0].error is None
    file = {"file": ("a.pdf", archiving.file(pages_world.valid.pid))}
    html = browser.post("/verify", files=file).text
    assert title(html).startswith("Valid")
    for expected in (
        "The seal when it was used",
        "as its time-stamp proves",
        "The seal now",
        "in force",
        "1 time, last",
    ):
        assert expected in html
    html = browser.post("/verify?lang=zh-CN", files=file).text
    assert "盖章时的印章" in html
    assert "已归档 1 次" in html
    spoiled = bytearray(file["file"][1])
    spoiled[20_000] ^= 1
    html = browser.post("/verify?lang=en", files={"file": ("a.pdf", bytes(spoiled))}).text
    assert "The seal now" not in html


def test_a_changed_file_shows_nothing_of_what_it_holds(browser: Browser, pages_world: World) -> None:
    data = bytearray(pages_world.pdf(pages_world.valid))
    data[20_000] ^= 1
    html = browser.post("/verify", files={"file": ("a.pdf", bytes(data))}).text
    assert title(html).startswith("Not valid")
    for hidden_value in (
        HOLDER_NAME,
        PERSON,
        "Food Business Licence",
        pages_world.valid.identifier,
        ">passed<",
    ):
        assert hidden_value not in html
    assert "its contents are not shown" in html


def test_a_revoked_and_a_suspended_licence_are_facts_with_their_dates(
    browser: Browser, pages_world: World
) -> None:
    revoked = browser.post("/verify", files={"file": ("a.pdf", pages_world.pdf(pages_world.revoked))}).text
    assert title(revoked).startswith("Not valid")
    assert "Revoked as a penalty on" in revoked
    assert HOLDER_NAME in revoked
    suspended = browser.post(
        "/verify", files={"file": ("a.pdf", pages_world.pdf(pages_world.suspended))}
    ).text
    assert 'class="verdict is-amber"' in suspended


def test_what_is_neither_a_file_nor_a_code_of_ours_is_grey(browser: Browser) -> None:
    for sent in ({"files": {"file": ("a.bin", b"\0\1\2" * 50)}}, {"data": {"code": "WIFI:S:cafe;;"}}):
        html = browser.post("/verify", **sent).text
        assert title(html).startswith("Not read")
        assert 'class="verdict is-grey"' in html


def test_nothing_sent_is_asked_for_again(browser: Browser) -> None:
    answer = browser.post("/verify", data={"code": "  "})
    assert answer.status_code == 400
    assert "Nothing was sent" in answer.text


def test_a_file_over_20_mib_gets_a_grey_page(browser: Browser) -> None:
    answer = browser.post("/verify", files={"file": ("a.pdf", b"%PDF-1.7" + bytes(20 * 1024 * 1024))})
    assert answer.status_code == 413
    assert 'class="verdict is-grey"' in answer.text


def test_a_body_that_is_no_form_is_refused_in_words(browser: Browser) -> None:
    answer = browser.post(
        "/verify", content=b"--x\r\nbroken", headers={"content-type": "multipart/form-data"}
    )
    assert answer.status_code == 400
    assert "<h1>" in answer.text


def test_a_form_from_another_site_is_refused(browser: Browser, pages_world: World) -> None:
    code = {"code": pages_world.live_code()}
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
    ):
        assert browser.post("/verify", data=code, headers=headers).status_code == 403
    assert title(
        browser.post("/verify", data=code, headers={"Sec-Fetch-Site": "same-origin"}).text
    ).startswith("Valid")


def test_a_result_is_shown_in_the_other_language_and_saved_without_checking_again(
    browser: Browser, pages_world: World
) -> None:
    html = browser.post("/verify", data={"code": pages_world.live_code()}).text
    carried = hidden(html, "report")
    chinese = browser.post("/verdict?lang=zh-CN", data={"report": carried}).text
    assert title(chinese).startswith("核验通过")
    saved = browser.post("/verdict", data={"report": carried, "as": "json"})
    assert saved.headers["content-disposition"].startswith("attachment")
    assert json.loads(saved.content)["verdict"] == "PASSED"


def test_a_result_that_is_not_ours_is_not_shown(browser: Browser, pages_world: World) -> None:
    carried = hidden(browser.post("/verify", data={"code": pages_world.live_code()}).text, "report")
    spoiled = carried[:60] + ("A" if carried[60] != "A" else "B") + carried[61:]
    for report in (spoiled, carried[:-8], "", "%%%"):
        answer = browser.post("/verdict", data={"report": report})
        assert (answer.status_code, title(answer.text)[:8]) == (410, "This lin")


# --- landing pages ---


def test_looking_at_a_landing_page_uses_nothing_up(browser: Browser, pages_world: World) -> None:
    code = pages_world.live_code()
    path = code.removeprefix(f"HTTPS://{pages_world.site.settings.host.upper()}")
    for _ in range(3):
        html = browser.get(path.lower()).text
        assert HOLDER_NAME not in html
        assert pages_world.site.settings.host in html
    assert title(browser.post(path).text).startswith("Valid")
    again = browser.post(path.lower()).text
    assert title(again).startswith("Attention")
    assert "used already" in again


def test_a_printed_code_leads_to_its_result(browser: Browser, pages_world: World) -> None:
    from zxingcpp import read_barcodes

    picture = _first_page(pages_world)
    (printed,) = (found.text for found in read_barcodes(picture) if "/Q/" in found.text)
    path = "/" + printed.split("/", 3)[3]
    assert HOLDER_NAME not in browser.get(path).text
    html = browser.post(path).text
    assert title(html).startswith("Valid")
    assert "the rest of the page" in html


def _first_page(world: World) -> object:
    import io

    from PIL import Image

    from trust.pdf.drawing import draw_page

    return Image.open(io.BytesIO(draw_page(world.pdf(world.valid), 0))).resize((2480, 1754))


# --- the counter ---


def test_a_counter_is_let_in_with_its_key_only(browser: Browser, pages_world: World) -> None:
    wrong = browser.post("/desk/sign-in", data={"key": "yz_live_x"})
    assert wrong.status_code == 403
    other = pages_world.access.clients.create_api_key(
        OPERATOR, "x", authority_id=None, scopes=["verify"], days=1
    )
    assert "not for a counter" in browser.post("/desk/sign-in", data={"key": other}).text
    sign_in(browser, pages_world)
    (cookie,) = [cookie for cookie in browser.cookies.jar if "desk" in cookie.name]
    assert cookie.name.startswith("__Host-")
    assert cookie.secure
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert pages_world.desk_key not in str(cookie.value)


def test_a_counter_scans_twice_and_gets_the_same_answer(browser: Browser, pages_world: World) -> None:
    token = sign_in(browser, pages_world)
    code = pages_world.live_code(Level.NAMED)
    first = browser.post("/desk/scan", data={"token": token, "code": code})
    assert title(first.text).startswith("Valid")
    assert PERSON in first.text
    second = browser.post("/desk/scan", data={"token": token, "code": code}, headers={"X-Fragment": "1"})
    assert "Scanned twice at the same counter" in second.text
    assert "<html" not in second.text
    station = browser.get("/desk").text
    assert station.count("Live code") == 2
    assert PERSON not in station


def test_a_masked_code_shows_a_masked_name_at_the_counter(browser: Browser, pages_world: World) -> None:
    token = sign_in(browser, pages_world)
    html = browser.post("/desk/scan", data={"token": token, "code": pages_world.live_code(Level.MASKED)}).text
    assert PERSON not in html
    assert "阿**" in html


def test_another_purpose_than_the_holder_chose_is_said(browser: Browser, pages_world: World) -> None:
    token = sign_in(browser, pages_world)
    sent = {"token": token, "code": pages_world.live_code(purpose="银行业务"), "purpose": "window"}
    html = browser.post("/desk/scan", data=sent).text
    assert "Shown for: Banking" in html
    assert "not what the holder agreed to" in html


def test_a_scan_needs_the_token_of_its_session(browser: Browser, pages_world: World) -> None:
    sign_in(browser, pages_world)
    assert browser.post("/desk/scan", data={"token": "x", "code": pages_world.live_code()}).status_code == 403


def test_a_counter_that_signed_out_is_out(browser: Browser, pages_world: World) -> None:
    scan = sign_in(browser, pages_world)
    token = hidden(browser.get("/desk").text, "token", form="/desk/sign-out")
    assert title(browser.post("/desk/sign-out", data={"token": token}).text).startswith("Sign in")
    assert browser.post("/desk/scan", data={"token": scan, "code": "x"}).status_code == 403


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("1.2.156.3005.2.11990000MB9Y00016B011.11990100MB9X100103.AJ7N26UE03YUQFPAN8XF.001.8", "identifier"),
        ("91530100MA6K4T0X07", "number of a person or an organisation"),
        ("９１５３０１００MA6K4T0X07", "number of a person or an organisation"),
        ("990101196801011008", "number of a person or an organisation"),
        ("JY25301020012341", "not the code on an e-certificate"),
        ("云交运管许可春字530102000001号", "not the code on an e-certificate"),
        ("6901234567892", "not the code on an e-certificate"),
        ("hello", "not a code of this system"),
    ],
)
def test_what_is_typed_in_place_of_a_code_gets_words_that_help(
    browser: Browser, typed: str, words: str
) -> None:
    html = browser.post("/verify", data={"code": typed}).text
    assert title(html).startswith("Not read")
    assert words in html


def test_a_report_code_leads_to_its_report(browser: Browser, pages_world: World) -> None:
    html = browser.post("/verify", files={"file": ("a.pdf", pages_world.pdf(pages_world.valid))}).text
    found = re.search(r"/r/([0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4})", html)
    assert found
    for typed in (found.group(1), found.group(1).lower(), found.group(1).replace("-", " ")):
        answer = browser.post("/verify", data={"code": typed})
        assert "Valid at that time" in answer.text
    assert "no report under this code" in browser.post("/verify", data={"code": "0000-0000-0000"}).text
    assert html.count('class="print-qr') == 1
    style = browser.get(f"/r/{found.group(1)}/print.css")
    assert style.headers["content-type"].startswith("text/css")
    assert f"Report code {found.group(1)}" in style.text
    assert browser.get('/r/"}body{x/print.css').status_code == 404


# --- the wallet ---


@pytest.mark.parametrize(
    "path", ["/wallet/abc", "/wallet/claim/abc", "/wallet/xyz/show", "/wallet/" + "g" * 32]
)
def test_a_wrong_wallet_address_is_not_there(browser: Browser, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_the_wallet_names_the_act_its_date_and_the_remedy(browser: Browser, pages_world: World) -> None:
    open_wallet(browser, pages_world)
    html = browser.get(f"/wallet/{pages_world.revoked.pid.hex()}?lang=zh-CN").text
    assert "已吊销" in html
    assert "已撤销" not in html
    assert re.search(r"春城市市场监督管理局已于\d{4}年\d+月\d+日依法吊销此证照", html)
    assert "60 日内申请行政复议" in html
    assert "6 个月内提起行政诉讼" in html
    suspended = browser.get(f"/wallet/{pages_world.suspended.pid.hex()}?lang=en").text
    assert "suspended since" in suspended
    assert "administrative reconsideration within 60 days" in suspended


def test_looking_at_a_claim_page_leaves_the_link_good(browser: Browser, pages_world: World) -> None:
    token = pages_world.access.invitations.create_claim_link(OPERATOR, pages_world.holder_ref)
    for _ in range(3):
        assert browser.get(f"/wallet/claim/{token}").status_code == 200
    assert browser.post(
        "/wallet/open", data={"link": f"https://x.example/wallet/claim/{token}"}
    ).url.path.endswith(token)
    assert "JY25301020012341" in browser.post(f"/wallet/claim/{token}").text
    assert browser.post(f"/wallet/claim/{token}").status_code == 410


def test_a_wallet_holds_its_holders_licences_and_no_other(browser: Browser, pages_world: World) -> None:
    open_wallet(browser, pages_world)
    html = browser.get("/wallet").text
    assert all(state in html for state in ("In force", "Suspended", "Revoked"))
    assert "JY25301020012344" not in html
    for path in ("", "/file", "/page.png", "/show", "/show/state"):
        assert browser.get(f"/wallet/{pages_world.others.pid.hex()}{path}").status_code == 404
    for pid in ("zz", "0" * 32, "%2e%2e"):
        assert browser.get(f"/wallet/{pid}").status_code == 404


def test_without_a_session_no_licence_page_opens(browser: Browser, pages_world: World) -> None:
    for path in ("", "/file", "/page.png", "/show", "/show/state"):
        assert browser.get(f"/wallet/{pages_world.valid.pid.hex()}{path}").status_code == 403


def test_a_holder_gets_the_very_file_that_was_issued(browser: Browser, pages_world: World) -> None:
    open_wallet(browser, pages_world)
    answer = browser.get(f"/wallet/{pages_world.valid.pid.hex()}/file")
    assert answer.content == pages_world.pdf(pages_world.valid)
    assert "no-store" in answer.headers["cache-control"]
    assert HOLDER_NAME not in answer.headers["content-disposition"]
    picture = browser.get(f"/wallet/{pages_world.valid.pid.hex()}/page.png")
    assert picture.content.startswith(b"\x89PNG")


def test_a_holder_shows_a_counter_scans_and_the_holder_reads_who(
    browser: Browser, pages_world: World, portal: BlockingPortal
) -> None:
    open_wallet(browser, pages_world)
    show = f"/wallet/{pages_world.valid.pid.hex()}/show"
    token = hidden(browser.get(show).text, "token")
    html = browser.post(show, data={"token": token, "purpose": "window", "level": "NAMED"}).text
    assert '<svg xmlns="http://www.w3.org/2000/svg" role="img"' in html
    state = browser.get(f"{show}/state").json()
    assert state["state"] == "active"
    assert browser.get(f"{show}/state?step={state['step']}").json()["svg"] == ""
    desk = Browser(pages_world, portal)
    scanned = desk.post("/desk/scan", data={"token": sign_in(desk, pages_world), "code": state["code"]})
    desk.close()
    assert PERSON in scanned.text
    assert browser.get(f"{show}/state").json()["used_by"] == DESK
    assert f"Shown to {DESK}" in browser.get(show).text
    assert DESK in browser.get(f"/wallet/{pages_world.valid.pid.hex()}").text


def test_a_showing_that_was_stopped_gives_no_more_codes(browser: Browser, pages_world: World) -> None:
    open_wallet(browser, pages_world)
    show = f"/wallet/{pages_world.valid.pid.hex()}/show"
    start = hidden(browser.get(show).text, "token")
    html = browser.post(show, data={"token": start, "purpose": "bank", "level": "MASKED"}).text
    code = browser.get(f"{show}/state").json()["code"]
    assert browser.post(f"{show}/stop", data={"token": start}).status_code == 403
    assert "nobody scanned" in browser.post(f"{show}/stop", data={"token": hidden(html, "token")}).text
    assert browser.get(f"{show}/state").json()["state"] == "ended"
    assert title(browser.post("/verify", data={"code": code}).text).startswith("Attention")


def test_showing_needs_a_purpose_and_a_level_of_ours(browser: Browser, pages_world: World) -> None:
    open_wallet(browser, pages_world)
    show = f"/wallet/{pages_world.valid.pid.hex()}/show"
    token = hidden(browser.get(show).text, "token")
    answer = browser.post(show, data={"token": token, "purpose": "all", "level": "MASKED"})
    assert (answer.status_code, "Choose a purpose" in answer.text) == (400, True)


def test_a_closed_wallet_is_closed(browser: Browser, pages_world: World) -> None:
    open_wallet(browser, pages_world)
    token = hidden(browser.get("/wallet").text, "token")
    assert title(browser.post("/wallet/close", data={"token": token}).text).startswith("Open your wallet")


def test_the_live_code_is_read_by_another_program_as_the_very_address() -> None:
    from PIL import Image
    from zxingcpp import read_barcodes

    address = "HTTPS://V.YINZHENG.EXAMPLE:8443/P/" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGHIJ"
    svg = live_code_svg(address, "code")
    picture = Image.new("L", (41, 41), 255)
    for x, y, width in re.findall(r"M(\d+) (\d+)h(\d+)v1H", svg):
        picture.paste(0, (int(x), int(y), int(x) + int(width), int(y) + 1))
    (found,) = read_barcodes(picture.resize((410, 410), Image.Resampling.NEAREST))
    assert found.text == address


# --- words ---


def test_both_catalogues_have_the_same_keys_and_every_one_is_translated() -> None:
    chinese, english = (load_texts(language) for language in LANGUAGES)
    assert {key for key in chinese if not key.startswith(REFUSALS)} == set(english)
    assert not [
        key
        for key, value in english.items()
        if re.search(r"[\u4e00-\u9fff]", value) and key != "site.this_language"
    ]
    for key in english:
        assert set(re.findall(r"{\w+}", chinese[key])) == set(re.findall(r"{\w+}", english[key])), key


def test_every_key_that_pages_ask_for_is_there_and_none_is_left_over() -> None:
    sources = "".join(
        each.read_text()
        for room in ("trust.web", *ROOMS)
        for folder in ("", "templates")
        for each in files(room).joinpath(folder).iterdir()
        if each.name.endswith((".py", ".html"))
    )
    asked = set(re.findall(r'"([a-z_]+\.[A-Za-z_.0-9-]+)"', sources))
    families = set(re.findall(r'"([a-z_]+\.(?:[a-z_]+\.)?)(?:"|{)', sources))
    known = {key for key in load_texts("en") if not OF_REPORTS.match(key)}
    used = {key for key in known if key in asked or any(key.startswith(family) for family in families)}
    assert known - used == set()
    spaces = {key.split(".")[0] for key in known}
    endings = (".", ".html", ".js", ".css", ".svg", ".png")
    assert {
        key for key in asked - known if key.split(".")[0] in spaces and not key.endswith(endings)
    } == set()


def test_every_member_of_a_family_of_keys_is_there() -> None:
    for language in LANGUAGES:
        for key in (
            *(f"purpose.{name}" for name in PURPOSES),
            *(f"level.{level.name}" for level in Level),
            *(f"state.{state}" for state in (*Status, "EXPIRED", "NOT_YET")),
            *(f"{part}.{key}" for part in ("error", "error_todo") for key in _error_keys()),
        ):
            assert text(language, key)


def _error_keys() -> list[str]:
    return [key.split(".")[1] for key in load_texts("en") if key.startswith("error_todo.")]


def test_a_browsers_wish_for_a_language_is_understood() -> None:
    assert preferred_language("fr;q=0.9, en-GB;q=0.5, zh;q=0.4") == "en"
    assert preferred_language("zh-Hans-CN, en;q=0.9") == "zh-CN"
    assert (
        preferred_language("fr, *;q=0.5")
        == preferred_language("en;q=0")
        == preferred_language("en;q=x")
        == "zh-CN"
    )
    assert as_language("de") is None


# --- the register of seals ---


@pytest.mark.parametrize(
    ("language", "in_force", "frozen"), [("en", "In force", "Frozen"), ("zh-CN", "在用", "冻结")]
)
def test_the_register_of_seals_says_which_is_in_force(
    browser: Browser, pages_world: World, language: str, in_force: str, frozen: str
) -> None:
    seals = pages_world.site.issuer.seals
    page = browser.get(f"/seals?lang={language}").text
    for seal in seals.registry.list():
        assert seal.name in page
        assert sha256(seal.cert).hexdigest() in page
    assert (in_force in page, frozen in page) == (True, False)
    try:
        for seal in seals.registry.list():
            seals.freeze(OPERATOR, seal.seal_id, note="test")
        page = browser.get(f"/seals?lang={language}").text
        assert (in_force in page, frozen in page) == (False, True)
    finally:
        for seal in seals.registry.list():
            seals.unfreeze(OPERATOR, seal.seal_id, note="test")


@pytest.mark.parametrize("path", ["/P/AB1D", "/P/" + "A" * 5000, "/p/%41-", "/Q/AB%20CD", "/q/0000"])
def test_what_cannot_be_a_code_of_ours_has_no_page(browser: Browser, path: str) -> None:
    assert browser.get(path).status_code == 404
