"""The ledger explorer for the public: its size, the newest checkpoint, any entry with its proof, and explanations.

Everything here is public, and viewing changes nothing. The pages answer while the log is halted, and if a part of it
cannot be read they show the rest, because people also come here when something is wrong.

An entry is looked up by its number or by a receipt. The receipt is posted only because it is long; it is not stored.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from ledger import sql
from ledger.checkpoint import parse_checkpoint
from ledger.growth import GrowthPoint, read_growth
from ledger.lifecycle import ABOUT_AN_ECERTIFICATE
from ledger.note import format_vkey, parse_note
from ledger.pages.drawing import ProofDrawing, draw_growth, draw_proof
from ledger.pages.view import (
    CheckpointView,
    ReceiptView,
    appended_at,
    read_receipt,
    view_checkpoint,
    view_receipt,
    view_sm3_checkpoint,
)
from ledger.proof import Receipt, format_receipt
from ledger.sequencing import LOG_ACTOR
from ledger.service import LedgerService
from ledger.witness.policy import Policy
from trust.encoding import merkle
from trust.encoding.entry import NO_REF, Entry, decode_entry
from trust.model.ecertificate import IssuingAuthority
from trust.model.errors import Malformed, NotFound, OperationalError, StorageError
from trust.model.status import STATUS_ACTOR
from trust.web.forms import read_form
from trust.web.shell import Shell, route_class

GROWTH_KEPT = timedelta(seconds=30)
_ASKED_SHOWN = 40
_NUMBER = re.compile(r"(-?)0*([0-9]+)")
_SEPARATORS = re.compile(r"[\s,'_]")
_BEYOND = 10**18  # no log has so many entries
_OWN_ACTORS = (LOG_ACTOR, STATUS_ACTOR)
_RECEIPTS_AT_ONCE = 4
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProofView:
    """The proof of an entry: its drawing, its text, and whether it gives the root of its checkpoint."""

    drawing: ProofDrawing
    size: int
    is_right: bool
    text: str


@dataclass(frozen=True, slots=True)
class EntryView:
    """An entry for display. `proof` is None if no published checkpoint covers it yet, or if it cannot be made."""

    entry: Entry
    appended_at: datetime
    leaf_hash: bytes
    raw: bytes
    authority: IssuingAuthority | None
    is_own: bool
    is_about_an_ecertificate: bool
    is_last: bool
    proof: ProofView | None


class _Problem(Exception):
    """There is nothing to show: the HTTP status, and the sentence that says why."""

    def __init__(self, status: int, key: str, **values: str) -> None:
        super().__init__(key)
        self.status = status
        self.key = key
        self.values = values


def ledger_router(shell: Shell[LedgerService], policy: Policy | None = None) -> APIRouter:
    """The routes. `policy` names the witnesses that count; without it their lines are shown unchecked."""
    router = APIRouter(
        route_class=route_class(shell), include_in_schema=False, default_response_class=HTMLResponse
    )
    service = shell.service
    growth = _KeptGrowth(service)
    receipts = CapacityLimiter(_RECEIPTS_AT_ONCE)

    @router.get("/ledger")
    def ledger(request: Request, index: str = "") -> Response:
        if not index.strip():
            return _page(request)
        try:
            number = _read_number(index)
            found = _find_entry(service, number)
        except _Problem as problem:
            return _page(request, problem=problem, asked=index.strip()[:_ASKED_SHOWN])
        return _page(request, found=found, asked=str(number), here=f"/ledger?index={number}")

    @router.post("/ledger")
    async def ledger_of_receipt(request: Request) -> Response:
        sent = await read_form(request)
        return await to_thread.run_sync(_receipt_page, request, sent.text("receipt"), limiter=receipts)

    @router.get("/ledger/explained")
    def explained(request: Request) -> Response:
        vkey = format_vkey(service.log.vkey)
        return shell.page(request, "ledger_explained.html", vkey=vkey, origin=service.log.keys.origin)

    def _receipt_page(request: Request, text: str) -> Response:
        try:
            receipt, entry_bytes = read_receipt(text)
            if entry_bytes is None:
                entry_bytes = _stored_entry(service, receipt.index)
            shown = view_receipt(receipt, entry_bytes, service.log)
        except Malformed:
            return _page(request, problem=_Problem(400, "ledger.not_a_receipt"))
        if not shown.is_ours:
            return _page(request, receipt=shown)
        try:
            found = _find_entry(service, shown.index)
        except _Problem as problem:
            return _page(request, receipt=shown, problem=problem, asked=str(shown.index))
        here = f"/ledger?index={shown.index}"
        return _page(request, receipt=shown, found=found, asked=str(shown.index), here=here)

    def _page(
        request: Request,
        *,
        found: EntryView | None = None,
        receipt: ReceiptView | None = None,
        problem: _Problem | None = None,
        asked: str = "",
        here: str = "/ledger",
    ) -> HTMLResponse:
        log, at = service.log, service.clock.now()
        points = growth.until(at)
        return shell.page(
            request,
            "ledger.html",
            status=problem.status if problem else 200,
            here=here,
            asked=asked,
            problem=problem,
            found=found,
            receipt=receipt,
            halted=log.halted is not None,
            size=log.size,
            newest_at=_newest_at(service),
            growth=draw_growth(points) if points else None,
            checkpoint=_published(service, policy),
            sm3_checkpoint=_sm3(service),
            vkey=format_vkey(log.vkey),
            at=at,
        )

    return router


class _KeptGrowth:
    """The growth of the log, cached for half a minute, so that a page that many people open does not cost much."""

    def __init__(self, service: LedgerService) -> None:
        self._service = service
        self._lock = Lock()
        self._read_at: datetime | None = None
        self._points: tuple[GrowthPoint, ...] = ()

    def until(self, at: datetime) -> tuple[GrowthPoint, ...]:
        """The points of the growth until `at`; empty if it cannot be read."""
        with self._lock:
            if self._read_at is None or not timedelta() <= at - self._read_at <= GROWTH_KEPT:
                try:
                    self._points = read_growth(
                        self._service.ledger_database, until_ms=int(at.timestamp() * 1000)
                    )
                except StorageError:
                    _log.exception("the growth of the ledger cannot be read")
                    self._points = ()
                self._read_at = at
            return self._points


def _read_number(text: str) -> int:
    """The entry number that a person typed; full-width digits and thousands separators are accepted."""
    tidy = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text[: 2 * _ASKED_SHOWN]))
    found = _NUMBER.fullmatch(tidy)
    if found is None:
        raise _Problem(400, "ledger.not_a_number")
    minus, digits = found.groups()
    if minus:
        raise _Problem(400, "ledger.negative")
    return int(digits) if len(digits) < 19 else _BEYOND


def _find_entry(service: LedgerService, number: int) -> EntryView:
    size = service.log.size
    raw = _stored_entry(service, number)
    if raw is None:
        raise _Problem(404, "ledger.no_such_entry", last=f"{size - 1:,}")
    try:
        entry = decode_entry(raw)
    except Malformed as exc:
        raise StorageError(f"Entry {number} is damaged: {exc.what}") from exc
    leaf = merkle.leaf_hash(raw)
    return EntryView(
        entry=entry,
        appended_at=appended_at(entry),
        leaf_hash=leaf,
        raw=raw,
        authority=_authority(service, entry.actor),
        is_own=entry.actor in _OWN_ACTORS,
        is_about_an_ecertificate=entry.kind in ABOUT_AN_ECERTIFICATE and entry.ref != NO_REF,
        is_last=number + 1 == size,
        proof=_prove(service, number, leaf),
    )


def _stored_entry(service: LedgerService, number: int) -> bytes | None:
    if number >= service.log.size:  # checked here, because it may be too large for the database
        return None
    with service.ledger_database.read() as connection:
        rows: Sequence[sql.StoredEntry] = sql.read_entries(connection, start=number, end=number + 1)
    return rows[0].entry_bytes if rows else None


def _authority(service: LedgerService, actor: str) -> IssuingAuthority | None:
    try:
        return None if actor in _OWN_ACTORS else service.authorities.get(actor)
    except NotFound:
        return None


def _prove(service: LedgerService, number: int, leaf: bytes) -> ProofView | None:
    try:
        receipt: Receipt = service.log.prove(number)
    except NotFound:
        return None
    except OperationalError:
        _log.exception("an entry of the ledger cannot be proven")
        return None
    checkpoint = parse_checkpoint(parse_note(receipt.checkpoint).text)
    drawing = draw_proof(leaf, index=number, size=checkpoint.size, hashes=receipt.hashes)
    return ProofView(drawing, checkpoint.size, drawing.root == checkpoint.root, format_receipt(receipt))


def _newest_at(service: LedgerService) -> datetime | None:
    with service.ledger_database.read() as connection:
        last = sql.read_last_seq(connection)
        at_ms = None if last is None else sql.read_at_ms(connection, last)
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)


def _published(service: LedgerService, policy: Policy | None) -> CheckpointView | None:
    """The view of the published checkpoint; None if it cannot be read."""
    log = service.log
    try:
        return view_checkpoint(log.published_note(), [each.vkey for each in log.keys.keys], policy)
    except (Malformed, OperationalError):
        _log.exception("the published checkpoint cannot be read")
        return None


def _sm3(service: LedgerService) -> CheckpointView | None:
    log = service.log
    try:
        keys = [each.vkey for each in log.keys.keys]
        return view_sm3_checkpoint(log.sm3_checkpoint_note(), log.keys.origin, keys)
    except (Malformed, OperationalError):
        _log.exception("the checkpoint of the SM3 tree cannot be read")
        return None
