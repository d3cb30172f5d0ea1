"""A holder's wallet: the pages for claiming, the list, one e-certificate with its views by others, and showing it
(亮证).

A claim link opens the wallet once; pressing the button on its page uses it up, opening the page does not. Every page
checks that the session's holder is one of the e-certificate's; for anyone else it does not exist.

During a presentation, the browser keeps its secret in a cookie that scripts cannot read. Codes are made on the server,
every 15 seconds; the page only fetches the next picture.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool

from issuer.catalogue import load_profile
from issuer.ecertificates.drafting import display_fields
from issuer.presenting.presenting import Level, Presentation
from issuer.service import IssuerService
from trust.audit.trail import Act, AuditEvent
from trust.encoding.codes import STEP_SECONDS
from trust.encoding.ecertificate_data import ECertificateData, decode_ecertificate_data
from trust.encoding.qr import live_code_svg
from trust.model.actor import HOLDER, ActorKind
from trust.model.ecertificate import IssuedECertificate
from trust.model.errors import NotFound
from trust.model.status import Status
from trust.pdf.drawing import decode_png
from trust.people.sessions import WALLET, WALLET_HOURS, WebSession
from trust.web.forms import read_form
from trust.web.shell import Shell, language_of, route_class
from trust.words.language import Language
from trust.words.purposes import PURPOSES, shown_purpose
from trust.words.texts import show_time, text
from trust.words.values import show_value

SHOW = "show"
_SHOW_HOURS = 0.25
_LEVELS = tuple(Level)
_HOLDERS_OWN = 4  # above every presentation's disclosure level: fields for holder and issuer only
_LOOKS = 50
_CARDS = 50
_ACTS = ("rescinded", "penalty", "cancelled")  # 撤销, 吊销 and 注销 are three acts
_PID = re.compile(r"[0-9a-fA-F]{32}")
_TOKEN = re.compile(r"[A-Za-z0-9]{16,64}")
_CHECKS_HERE = ("verify:pdf", "verify:printed-code", "verify:scan")


@dataclass(frozen=True, slots=True)
class Owned:
    """An e-certificate of the session's holder."""

    issued: IssuedECertificate
    data: ECertificateData

    @property
    def pid(self) -> bytes:
        return self.issued.pid


@dataclass(frozen=True, slots=True)
class Viewing:
    """A view of the e-certificate by others: time, person, what was seen, and purpose. `times`: what the public did
    within a minute is counted and not listed."""

    at: datetime
    who: str
    what: str
    purpose: str
    times: int = 1


def wallet_router(shell: Shell[IssuerService]) -> APIRouter:
    router = APIRouter(
        route_class=route_class(shell), include_in_schema=False, default_response_class=HTMLResponse
    )

    # --- getting in and out ---

    @router.get("/wallet")
    def wallet(request: Request, after: str = "") -> Response:
        """`after`: the public id of the last e-certificate on the page before."""
        session = shell.session(request, WALLET)
        if session is None:
            return shell.page(request, "wallet_closed.html", problem=None)
        last = bytes.fromhex(after) if _PID.fullmatch(after) else None
        listed, after_this = _page_of(shell, session, last)
        cards = [_card(shell, owned, language_of(request)) for owned in listed]
        cards.sort(
            key=lambda card: not card["may_be_shown"]
        )  # first those that can be shown; each part newest first
        return shell.page(
            request,
            "wallet.html",
            cards=cards,
            more=after_this.hex() if after_this is not None else "",
            close_token=session.form_token("close"),
        )

    @router.post("/wallet/open")
    async def open_by_link(request: Request) -> Response:
        """Redirects from a link typed as text, for holders who have it on paper, to the page with the button."""
        token = (await read_form(request)).text("link").rstrip("/").rpartition("/")[2]
        if not token.isascii() or not token.isalnum() or len(token) > 64:
            return shell.page(
                request, "wallet_closed.html", status=400, problem="wallet.bad_link", here="/wallet"
            )
        return shell.go_to(f"/wallet/claim/{token}")

    @router.get("/wallet/claim/{token}")
    def claim_page(request: Request, token: str) -> Response:
        if not _TOKEN.fullmatch(token):
            raise NotFound("That is no claim link.")
        return shell.page(request, "claim.html")

    @router.post("/wallet/claim/{token}")
    def claim(request: Request, token: str) -> Response:
        session_token = shell.access.invitations.use_claim_link(token)
        response = shell.go_to("/wallet")
        shell.set_cookie(response, WALLET, session_token, WALLET_HOURS)
        return response

    @router.post("/wallet/close")
    async def close(request: Request) -> Response:
        sent = await read_form(request)
        shell.wallet(request).check_form_token("close", sent.text("token"))
        shell.access.sessions.close_session(shell.cookie(request, WALLET))
        response = shell.go_to("/wallet")
        shell.drop_cookie(response, WALLET)
        shell.drop_cookie(response, SHOW)
        return response

    # --- one e-certificate ---

    @router.get("/wallet/{pid}")
    def detail(request: Request, pid: str) -> Response:
        owned = _owned(shell, request, pid)
        language = language_of(request)
        return shell.page(
            request,
            "wallet_detail.html",
            card=_card(shell, owned, language),
            fields=_fields(owned, _HOLDERS_OWN, language),
            issued=owned.issued,
            looks=_looks(shell, owned, language),
        )

    @router.get("/wallet/{pid}/page.png")
    def picture(request: Request, pid: str) -> Response:
        pdf = shell.service.issuing.issued_file(_owned(shell, request, pid).pid)
        return Response(
            shell.service.drawing.run("draw-page", {"page": 0}, [pdf], decode_png),
            media_type="image/png",
            headers={"cache-control": "private, no-store"},
        )

    @router.get("/wallet/{pid}/file")
    def file(request: Request, pid: str) -> Response:
        owned = _owned(shell, request, pid)
        pdf = shell.service.issuing.issued_file(owned.pid)
        shell.access.trail.note(HOLDER.ref, Act("download", "given", owned.pid))
        # Other programs list downloads by name, so the name has the type and the serial, but no person's name.
        name = f"{owned.issued.type_short}-{owned.issued.serial}.pdf"
        headers = {
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "private, no-store",
        }
        return Response(pdf, media_type="application/pdf", headers=headers)

    # --- showing ---

    @router.get("/wallet/{pid}/show")
    def show(request: Request, pid: str) -> Response:
        return _show_page(shell, request, _owned(shell, request, pid))

    @router.post("/wallet/{pid}/show")
    async def start(request: Request, pid: str) -> Response:
        sent = await read_form(request)
        return await run_in_threadpool(_start, shell, request, pid, sent.texts)

    @router.get("/wallet/{pid}/show/state")
    def state(request: Request, pid: str, step: int = -1) -> Response:
        """The current state for the page. `step` is that of the code it has, whose picture is not sent again."""
        owned = _owned(shell, request, pid)
        presentation = _presentation(shell, request, owned)
        value = _state(shell, presentation, language_of(request), has_step=step)
        return JSONResponse(value, headers={"cache-control": "no-store"})

    @router.post("/wallet/{pid}/show/stop")
    async def stop(request: Request, pid: str) -> Response:
        sent = await read_form(request)
        return await run_in_threadpool(_stop, shell, request, pid, sent.text("token"))

    return router


# --- What belongs to whom ---


def _owned(shell: Shell[IssuerService], request: Request, pid: str) -> Owned:
    """The e-certificate of this session's holder. Raises the same `NotFound` for a missing one as for another
    holder's."""
    missing = NotFound("There is no such e-certificate.")
    if not _PID.fullmatch(pid):
        raise missing  # a malformed address, whether signed in or not
    wanted = bytes.fromhex(pid)
    session = shell.wallet(request)
    return _as_owned(shell.service.issuing.held(session.subject, wanted))


def _as_owned(issued: IssuedECertificate) -> Owned:
    return Owned(issued, decode_ecertificate_data(issued.data))


def _page_of(
    shell: Shell[IssuerService], session: WebSession, after: bytes | None
) -> tuple[list[Owned], bytes | None]:
    """A page of what the holder has, newest first, and the one after which the next page begins."""
    found = shell.service.issuing.of_holder(session.subject, after=after, limit=_CARDS + 1)
    return [_as_owned(each) for each in found[:_CARDS]], found[_CARDS - 1].pid if len(
        found
    ) > _CARDS else None


def _card(shell: Shell[IssuerService], owned: Owned, language: Language) -> dict[str, Any]:
    """An e-certificate in the list: type, issuer, number, term, and state."""
    profile = load_profile(owned.issued.type_short)
    authority = shell.service.authorities.get(owned.issued.authority_id)
    begins, ends = owned.data.validity()
    state = _state_of(owned, shell.service.clock.now())
    return {
        "pid": owned.pid.hex(),
        "type_name": profile.name.en if language == "en" else profile.name.zh,
        "issuer": (authority.name_en if language == "en" else authority.name_zh) or authority.name_zh,
        "number": owned.issued.number,
        "begins": begins.isoformat(),
        "ends": ends.isoformat() if ends else None,
        "state": state,
        "act": owned.issued.status_reason if owned.issued.status_reason in _ACTS else "",
        "reason": owned.issued.status_reason if state == Status.SUSPENDED.value else "",
        "since": owned.issued.status_at.isoformat() if owned.issued.status_at is not None else None,
        "may_be_shown": state in (Status.VALID.value, "NOT_YET"),
    }


def _state_of(owned: Owned, at: datetime) -> str:
    begins, ends = owned.data.validity()
    if owned.issued.status is not Status.VALID:
        return owned.issued.status.value
    if ends is not None and at > ends:
        return "EXPIRED"
    return "NOT_YET" if at < begins else Status.VALID.value


def _fields(owned: Owned, level: int, language: Language) -> list[tuple[str, str]]:
    return [
        (f.label_en if language == "en" else f.label_zh, show_value(f.value, language))
        for f in display_fields(owned.data, level)
    ]


def _looks(shell: Shell[IssuerService], owned: Owned, language: Language) -> list[Viewing]:
    """Views by others, newest first: redeemed live codes, and files or printed codes that were checked here."""
    looks = [
        Viewing(
            shown.at,
            shown.by or text(language, "wallet.someone"),
            text(language, f"level.{shown.level.name}"),
            shown_purpose(shown.purpose, language),
        )
        for shown in shell.service.presenting.history(owned.pid, _LOOKS)
    ]
    for event in shell.access.trail.of(owned.pid, actions=_CHECKS_HERE, limit=_LOOKS):
        kind = event.action.partition(":")[2]
        purpose = text(language, f"purpose.{event.purpose}") if event.purpose in PURPOSES else ""
        looks.append(
            Viewing(event.at, _who(event, language), text(language, f"kind.{kind}"), purpose, event.times)
        )
    return sorted(looks, key=lambda look: look.at, reverse=True)[:_LOOKS]


def _who(event: AuditEvent, language: Language) -> str:
    if event.actor == ActorKind.PUBLIC:
        return text(language, "wallet.someone")
    return event.name or text(language, "wallet.a_desk")


# --- Showing ---


def _start(shell: Shell[IssuerService], request: Request, pid: str, sent: Mapping[str, str]) -> Response:
    owned = _owned(shell, request, pid)
    shell.wallet(request).check_form_token(f"show:{pid}", sent.get("token", ""))
    purpose, level = sent.get("purpose", ""), sent.get("level", "")
    if purpose not in PURPOSES or level not in Level.__members__:
        return _show_page(shell, request, owned, status=400, problem="show.choose")
    words = text("zh-CN", f"purpose.{purpose}")
    presentation = shell.service.presenting.start(HOLDER, owned.pid, purpose=words, level=Level[level])
    response = shell.go_to(f"/wallet/{pid}/show")
    secret = base64.b32encode(presentation.session).decode()
    shell.set_cookie(response, SHOW, secret, _SHOW_HOURS)
    return response


def _stop(shell: Shell[IssuerService], request: Request, pid: str, token: str) -> Response:
    owned = _owned(shell, request, pid)
    shell.wallet(request).check_form_token(f"stop:{pid}", token)
    presentation = _presentation(shell, request, owned)
    if presentation is not None:
        shell.service.presenting.stop(presentation.session)
    return shell.go_to(f"/wallet/{pid}/show")


def _presentation(shell: Shell[IssuerService], request: Request, owned: Owned) -> Presentation | None:
    """The current or last presentation of this e-certificate in this browser, or None."""
    try:
        session = base64.b32decode(shell.cookie(request, SHOW))
    except (binascii.Error, ValueError):
        return None
    try:
        return shell.service.presenting.look(session, owned.pid)
    except NotFound:
        return None


def _state(
    shell: Shell[IssuerService], presentation: Presentation | None, language: Language, *, has_step: int = -1
) -> dict[str, Any]:
    """The state for the page: a code to be scanned, or how the presentation ended."""
    at = shell.service.clock.now()
    if presentation is None:
        return {"state": "ended"}
    if presentation.used_at is not None:
        who = presentation.used_by or text(language, "wallet.someone")
        used_at = show_time(presentation.used_at, language)
        return {"state": "used", "used_by": who, "words": text(language, "show.used", who=who, at=used_at)}
    if at >= presentation.expires_at:
        return {"state": "ended", "words": text(language, "show.ended")}
    address, next_at = shell.service.presenting.code(presentation, at)
    step = (at - presentation.started_at) // timedelta(seconds=STEP_SECONDS)
    return {
        "state": "active",
        "step": step,
        "code": address,
        "svg": live_code_svg(address, text(language, "show.qr_title")) if step != has_step else "",
        "next_in": max(1, min(STEP_SECONDS, round((next_at - at).total_seconds()))),
        "seconds_left": int((presentation.expires_at - at).total_seconds()),
        "ends": text(language, "show.ends", at=show_time(presentation.expires_at, language)[-8:]),
    }


def _show_page(
    shell: Shell[IssuerService],
    request: Request,
    owned: Owned,
    *,
    status: int = 200,
    problem: str | None = None,
) -> HTMLResponse:
    language = language_of(request)
    session = shell.wallet(request)
    presentation = _presentation(shell, request, owned)
    pid = owned.pid.hex()
    state = _state(shell, presentation, language)
    return shell.page(
        request,
        "show_live.html" if state["state"] == "active" else "show.html",
        status=status,
        card=_card(shell, owned, language),
        state=state,
        was_shown=presentation is not None,
        start_token=session.form_token(f"show:{pid}"),
        stop_token=session.form_token(f"stop:{pid}"),
        purposes=PURPOSES,
        levels=_levels(owned, language),
        problem=problem,
        here=f"/wallet/{pid}/show",
    )


def _levels(owned: Owned, language: Language) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each level with the fields that it adds to the one before; levels that add none are left out."""
    levels: list[tuple[str, list[tuple[str, str]]]] = []
    known: list[tuple[str, str]] = []
    for level in _LEVELS:
        fields = _fields(owned, level, language)
        more = [field for field in fields if field not in known]
        if more or not levels:
            levels.append((level.name, more))
        known = fields
    return levels
