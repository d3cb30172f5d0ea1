"""Checking on a page: from a form's content to the report, its audit line and its view.

Requests of a counter do not queue behind those of the public (`trust.web.lanes`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from fastapi import Request

from trust.model.actor import PUBLIC, Actor
from trust.model.report import Finding, Report, Result, Verdict
from trust.sandbox.lanes import Lane
from trust.web.lanes import Lanes
from trust.web.sender import sender_of
from trust.web.shell import Shell
from trust.words.language import Language
from trust.words.texts import text
from verifier.pages.verdict import CarriedReports, VerdictView, view_of
from verifier.reports.shown import report_json
from verifier.service import VerifierService
from verifier.sight import Sight


@dataclass(frozen=True, slots=True)
class Checked:
    """A report as JSON, its view, and the report encoded to be carried in a form."""

    report: Mapping[str, Any]
    view: VerdictView
    carried: str
    sight: Sight | None = None


class VerdictPages:
    """Shared by all pages that check; one for the whole app."""

    def __init__(self, shell: Shell[VerifierService], lanes: Lanes) -> None:
        self._shell = shell
        self._lanes = lanes
        self._carried = CarriedReports(shell.service.report_form_key)

    @contextlib.contextmanager
    def admitted(self, request: Request, lane: Lane) -> Iterator[None]:
        """Wraps a request that brings something to check, before its form is read. Raises as `Lanes.admitted`."""
        with self._lanes.admitted(lane, *sender_of(request)):
            yield

    async def check(
        self,
        thing: bytes | str,
        language: Language,
        *,
        actor: Actor = PUBLIC,
        purpose: str = "",
    ) -> Checked:
        """Checks a file or a code. `actor` is the counter that asks, or the public; `purpose` is one of
        `trust.words.purposes`. The result for a counter includes the picture of the file, if it may see that."""
        lane = Lane.PUBLIC if actor is PUBLIC else Lane.COUNTER
        work = partial(self._check, actor, thing, lane, purpose=purpose)
        queue = self._lanes.decode if isinstance(thing, str) else self._lanes.read
        report, portrait, sight = await queue(lane, work)
        seen = self._seen(report, language, verifier=actor.name, purpose=purpose, portrait=portrait)
        return replace(seen, sight=sight)

    def too_large(self, language: Language, *, verifier: str = "") -> Checked:
        """The result for a file that was refused because of its size."""
        at = self._shell.service.clock.now()
        finding = Finding("file.read", Result.INDETERMINATE, "TOO_LARGE", "the file is larger than 20 MiB")
        report = Report("file", at, Verdict.INDETERMINATE, "TOO_LARGE", (finding,))
        return self._seen(report_json(report), language, verifier=verifier)

    def again(self, carried: str, language: Language) -> Checked:
        """The result from a report that a form carried. Raises `NotFound`."""
        report = self._carried.open(carried, self._shell.service.clock.now())
        view = self._view(report, language, "", "", self._shell.service.sights.portrait_of(report))
        return Checked(report, view, carried)

    def _check(
        self,
        actor: Actor,
        thing: bytes | str,
        lane: Lane,
        *,
        purpose: str,
    ) -> tuple[Mapping[str, Any], str | None, Sight | None]:
        service = self._shell.service
        at = service.clock.now()
        report, encoded = service.checking.verify_and_file(actor, thing, at, lane=lane, purpose=purpose)
        sight = (
            service.sights.see(actor, report, thing)
            if actor is not PUBLIC and isinstance(thing, bytes)
            else None
        )
        return encoded, service.sights.portrait_of(encoded), sight

    def _seen(
        self,
        report: Mapping[str, Any],
        language: Language,
        *,
        verifier: str,
        purpose: str = "",
        portrait: str | None = None,
    ) -> Checked:
        at = datetime.fromisoformat(report["verified_at"])
        view = self._view(report, language, verifier, purpose, portrait)
        return Checked(report, view, self._carried.seal(report, at))

    def _view(
        self,
        report: Mapping[str, Any],
        language: Language,
        verifier: str,
        purpose: str,
        portrait: str | None = None,
    ) -> VerdictView:
        names = self._shell.service.names
        wanted = text(language, f"purpose.{purpose}") if purpose else ""
        return view_of(
            report,
            language,
            issuers_en=names.authorities_en(),
            types=names.types(),
            checked_by=verifier,
            purpose=wanted,
            portrait=portrait,
        )
