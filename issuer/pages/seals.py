"""The public register of e-seals 印章公示: all seals, and whether each is in force.

It shows the contents of the trust list to people; programs use the signed trust list itself. No pictures are shown,
because they are not needed: the document to be checked has the seal's picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from issuer.seals.registry import ESeal, Idle
from issuer.service import IssuerService
from trust.encoding.digests import sha256
from trust.model.ecertificate import IssuingAuthority
from trust.model.seal import SealState
from trust.web.shell import Shell, route_class

_SHOWN = (SealState.ACTIVE, SealState.FROZEN, SealState.LOST, SealState.RENEWED, SealState.REVOKED)
_CHIPS = {
    "active": "valid",
    "frozen": "suspended",
    "lost": "suspended",
    "renewed": "replaced",
    "ended": "expired",
}


@dataclass(frozen=True, slots=True)
class SealView:
    """A seal as shown on the page. `since`: the time from which it is not in force; None if it is, or has reached
    its term's end."""

    seal_id: str
    name: str
    suite: str
    begins: datetime
    ends: datetime
    state: str
    since: datetime | None
    idle: Sequence[Idle]
    cert_sha256: str

    @property
    def chip(self) -> str:
        return _CHIPS.get(self.state, "revoked")


def seals_router(shell: Shell[IssuerService]) -> APIRouter:
    router = APIRouter(
        route_class=route_class(shell), include_in_schema=False, default_response_class=HTMLResponse
    )

    @router.get("/seals")
    def register(request: Request) -> Response:
        service = shell.service
        at, idle = service.clock.now(), service.seals.registry.idle()
        shown = [seal for seal in service.seals.registry.list() if seal.state in _SHOWN]
        groups: list[tuple[IssuingAuthority, list[SealView]]] = []
        for authority in service.authorities.list():
            views = [
                _view(seal, idle.get(seal.seal_id, ()), at)
                for seal in shown
                if seal.authority_id == authority.authority_id
            ]
            if views:
                groups.append((authority, views))
        return shell.page(request, "seals.html", groups=groups)

    return router


def _view(seal: ESeal, idle: Sequence[Idle], at: datetime) -> SealView:
    state = "ended" if seal.state is SealState.ACTIVE and at > seal.not_after else seal.state.value
    return SealView(
        seal.seal_id,
        seal.name,
        seal.suite.value,
        seal.not_before,
        seal.not_after,
        state,
        None if state in ("active", "ended") else seal.state_since,
        idle,
        sha256(seal.cert).hex(),
    )
