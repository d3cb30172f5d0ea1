"""See what you check: the page beside the fields, what differs in a copy; for the department that issued it only."""

from __future__ import annotations

import ctypes
import io
import re

import pypdfium2
import pypdfium2.raw
from support.pages_browser import Browser
from support.pages_world import World

from trust.model.actor import OPERATOR

DIFFERS = "What differs from the issued file"


def hidden(html: str, name: str, *, form: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html[html.index(f'action="{form}"') :])
    assert found
    return found.group(1)


def desk(browser: Browser, world: World, authority: str | None, *scopes: str) -> str:
    key = world.access.clients.create_api_key(
        OPERATOR, "counter", authority_id=authority, scopes=["desk", *scopes], days=3
    )
    answer = browser.post("/desk/sign-in", data={"key": key})
    return hidden(answer.text, "token", form="/desk/scan")


def scan(browser: Browser, token: str, pdf: bytes) -> str:
    return browser.post("/desk/scan", data={"token": token}, files={"file": ("x.pdf", pdf)}).text


def saved_anew(pdf: bytes, text: str = "") -> bytes:
    """As a viewer saves it, with a line of text added if one is given."""
    document = pypdfium2.PdfDocument(pdf)
    if text:
        page, raw = document[0], pypdfium2.raw
        line = raw.FPDFPageObj_NewTextObj(document.raw, b"Helvetica", 20)
        buffer = ctypes.create_string_buffer((text + "\0").encode("utf-16-le"))
        raw.FPDFText_SetText(line, ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)))
        raw.FPDFPageObj_Transform(line, 1, 0, 0, 1, 80, 120)
        raw.FPDFPage_InsertObject(page.raw, line)
        raw.FPDFPage_GenerateContent(page.raw)
    out = io.BytesIO()
    document.save(out)
    document.close()
    return out.getvalue()


def test_the_page_is_shown_beside_the_fields(browser: Browser, pages_world: World) -> None:
    html = scan(
        browser, desk(browser, pages_world, "cc-scjg", "cert.read"), pages_world.pdf(pages_world.valid)
    )
    assert 'data-colour="green"' in html
    assert html.count("data:image/png;base64,") == 1
    assert DIFFERS not in html


def test_what_differs_in_a_copy_is_shown_and_the_issued_file_given_out(
    browser: Browser, pages_world: World
) -> None:
    token = desk(browser, pages_world, "cc-scjg", "cert.read")
    issued = pages_world.pdf(pages_world.valid)
    html = scan(browser, token, saved_anew(issued, "VALID UNTIL 2099"))
    assert 'data-colour="red"' in html
    assert DIFFERS in html
    assert re.search(r"<ins>[^<]*VALID UNTIL 2099", html)
    assert "data:image/png;base64," in html
    form = {
        "token": hidden(html, "token", form="/desk/original"),
        "pid": hidden(html, "pid", form="/desk/original"),
    }
    assert browser.post("/desk/original", data=form).content == issued
    assert browser.post("/desk/original", data=form | {"token": "x"}).status_code == 403
    assert browser.post("/desk/original", data=form | {"pid": "00" * 16}).status_code == 404
    assert browser.post("/desk/original", data=form | {"pid": "zz"}).status_code == 404
    same = scan(browser, token, saved_anew(issued))
    assert DIFFERS in same
    assert "The words are the same" in same


def test_nobody_else_sees_it(browser: Browser, pages_world: World) -> None:
    issued = pages_world.pdf(pages_world.valid)
    copy = saved_anew(issued, "VALID UNTIL 2099")
    for authority, scopes in (("cc-scjg", ()), ("cc-other", ("cert.read",))):
        token = desk(browser, pages_world, authority, *scopes)
        for given in (issued, copy):
            html = scan(browser, token, given)
            assert "data:image/png" not in html
            assert DIFFERS not in html
        pid = pages_world.valid.pid.hex()
        station = browser.get("/desk").text
        assert "/desk/original" not in station
        assert browser.post("/desk/original", data={"token": token, "pid": pid}).status_code == 403
    public = browser.post("/verify", files={"file": ("x.pdf", issued)}).text
    assert "data:image/png" not in public
    nonsense = scan(
        browser, desk(browser, pages_world, "cc-scjg", "cert.read"), b"%PDF-1.7\nstartxref\n9\n%%EOF\n"
    )
    assert DIFFERS not in nonsense
