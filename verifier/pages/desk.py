"""The scan station of a counter (窗口核验).

Staff sign in with an API key that has the scope `desk`; the browser stores a session, never the key. A scan is a form:
with JavaScript the answer is a fragment that replaces the last one, without it a whole page.
The counter's name is sent when a live code is redeemed, so the holder sees who looked, and a scanner that reads the
code twice gets the same answer twice.

A scan after the session has ended is not lost: it is carried through the sign-in and checked after it.

The list of the last results comes from the audit trail of this key: times, outcomes and types, nothing personal.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from trust.model.errors import Malformed, NotFound, NotPermitted
from trust.model.report import Report, Verdict
from trust.people.sessions import DESK, DESK_HOURS, WebSession
from trust.sandbox.lanes import Lane
from trust.web.forms import Sent, read_form
from trust.web.shell import Shell, language_of, route_class
from trust.words.language import Language
from trust.words.purposes import PURPOSES
from verifier.pages.checking import Checked, VerdictPages
from verifier.sentences import words_for
from verifier.service import VerifierService

_SCAN, _SIGN_OUT, _ORIGINAL = "desk-scan", "desk-sign-out", "desk-original"
_LAST = 20


def desk_router(shell: Shell[VerifierService], checking: VerdictPages) -> APIRouter:
    router = APIRouter(
        route_class=route_class(shell), include_in_schema=False, default_response_class=HTMLResponse
    )

    @router.get("/desk")
    def station(request: Request) -> Response:
        session = shell.session(request, DESK)
        if session is None:
            return _sign_in_page(shell, request)
        return _station(shell, request, session)

    @router.post("/desk/sign-in")
    async def sign_in(request: Request) -> Response:
        sent = await read_form(request)
        try:
            token = shell.access.sessions.exchange_desk_key(sent.text("key"))
        except NotPermitted as exc:
            problem = "desk.unknown_key" if exc.code == "UNAUTHENTICATED" else "desk.not_a_desk_key"
            return _sign_in_page(shell, request, sent, problem=problem)
        response: Response = shell.go_to("/desk")
        if sent.text("code"):
            # Without JavaScript: the scan that was sent after the session had ended.
            session = shell.access.sessions.check_session(token, DESK)
            purpose = _purpose(sent)
            checked = await _check(session, sent.text("code"), language_of(request), purpose)
            response = _station(shell, request, session, checked=checked, purpose=purpose)
        shell.set_cookie(response, DESK, token, DESK_HOURS)
        return response

    @router.post("/desk/sign-out")
    async def sign_out(request: Request) -> Response:
        sent = await read_form(request)
        shell.desk(request).check_form_token(_SIGN_OUT, sent.text("token"))
        shell.access.sessions.close_session(shell.cookie(request, DESK))
        response = shell.go_to("/desk")
        shell.drop_cookie(response, DESK)
        return response

    @router.post("/desk/scan")
    async def scan(request: Request) -> Response:
        is_fragment = request.headers.get("x-fragment") == "1"
        session = shell.session(request, DESK)
        if session is None:
            with checking.admitted(request, Lane.PUBLIC):
                return _sign_in_page(shell, request, await _read_kept(request), problem="desk.signed_out")
        language = language_of(request)
        left = purpose = ""
        try:
            with checking.admitted(request, Lane.COUNTER):
                sent = await read_form(request)
        except Malformed as exc:
            if exc.code != "TOO_LARGE":
                raise
            checked = checking.too_large(language, verifier=shell.access.sessions.desk(session.subject).name)
        else:
            session.check_form_token(_SCAN, sent.text("token"))
            purpose = _purpose(sent)
            thing = sent.file if sent.file is not None else sent.text("code")
            if not thing:
                return _station(shell, request, session, purpose=purpose)
            left = sent.text("code") if sent.file is not None else ""  # in order, and none left out
            checked = await _check(session, thing, language, purpose)
        if is_fragment:
            return shell.page(
                request,
                "desk_result.html",
                view=checked.view,
                carried=checked.carried,
                sight=checked.sight,
                original_token=session.form_token(_ORIGINAL),
                kind=checked.report["kind"],
                at=datetime.fromisoformat(checked.report["verified_at"]),
            )
        return _station(shell, request, session, checked=checked, purpose=purpose, code=left)

    async def _check(session: WebSession, thing: bytes | str, language: Language, purpose: str) -> Checked:
        return await checking.check(
            thing,
            language,
            actor=shell.access.sessions.desk(session.subject),
            purpose=purpose,
        )

    @router.post("/desk/original")
    async def original(request: Request) -> Response:
        """The issued file in place of a copy, for a desk of the department that issued it."""
        sent = await read_form(request)
        session = shell.desk(request)
        session.check_form_token(_ORIGINAL, sent.text("token"))
        desk = shell.access.sessions.desk(session.subject)
        try:
            pid = bytes.fromhex(sent.text("pid"))
        except ValueError as exc:
            raise NotFound("There is no such e-certificate.") from exc
        pdf = await run_in_threadpool(shell.service.sights.original_for, desk, pid)
        headers = {
            "content-disposition": 'attachment; filename="issued.pdf"',
            "cache-control": "private, no-store",
        }
        return Response(pdf, media_type="application/pdf", headers=headers)

    return router


def _purpose(sent: Sent) -> str:
    return sent.text("purpose") if sent.text("purpose") in PURPOSES else ""


async def _read_kept(request: Request) -> Sent:
    """The form of a scan that was sent after the session had ended; a file must be chosen again."""
    try:
        return await read_form(request)
    except Malformed:
        return Sent({}, None)


def _sign_in_page(
    shell: Shell[VerifierService], request: Request, sent: Sent | None = None, *, problem: str | None = None
) -> HTMLResponse:
    """The sign-in page. `sent` is the form to be checked after signing in, if any."""
    return shell.page(
        request,
        "desk_sign_in.html",
        status=403 if problem else 200,
        problem=problem,
        code=sent.text("code") if sent else "",
        purpose=_purpose(sent) if sent else "",
        here="/desk",
    )


def _station(
    shell: Shell[VerifierService],
    request: Request,
    session: WebSession,
    *,
    checked: Checked | None = None,
    purpose: str = "",
    code: str = "",
) -> HTMLResponse:
    since = session.expires_at - timedelta(hours=DESK_HOURS)
    return shell.page(
        request,
        "desk.html",
        label=shell.access.sessions.desk(session.subject).name,
        scan_token=session.form_token(_SCAN),
        sign_out_token=session.form_token(_SIGN_OUT),
        purposes=PURPOSES,
        purpose=purpose,
        code=code,
        view=checked.view if checked else None,
        carried=checked.carried if checked else None,
        sight=checked.sight if checked else None,
        original_token=session.form_token(_ORIGINAL),
        last=_last_results(shell, request, session, since),
        here="/desk",
    )


def _last_results(
    shell: Shell[VerifierService], request: Request, session: WebSession, since: datetime
) -> list[dict[str, Any]]:
    """The last results, newest first: time, type of e-certificate (or kind of object), outcome."""
    language = language_of(request)
    events = shell.access.trail.by(
        shell.access.sessions.desk(session.subject).ref.ref, since=since, limit=_LAST
    )
    types = _types_of(shell, [event.pid for event in events if event.pid], language)
    results = []
    for event in events:
        action, _, kind = event.action.partition(":")
        if action == "verify":
            colour, headline = _outcome(event.outcome, event.at, language)
            type_name = types.get(event.pid or b"", "")
            results.append(
                {
                    "at": event.at,
                    "kind": kind,
                    "type_name": type_name,
                    "colour": colour,
                    "headline": headline,
                }
            )
    return results


def _types_of(shell: Shell[VerifierService], pids: list[bytes], language: Language) -> dict[bytes, str]:
    side = 1 if language == "en" else 0
    return {pid: names[side] for pid, names in shell.service.names.types_of(pids).items()}


def _outcome(outcome: str, at: datetime, language: Language) -> tuple[str, str]:
    """The colour and the word for an outcome in the audit trail ("FAILED REVOKED")."""
    verdict, _, code = outcome.partition(" ")
    report = Report("", at, Verdict(verdict), code, ())
    return report.colour.value, words_for(report, language).headline
