"""The ledger as static files (C2SP tlog-tiles): checkpoints, tiles, keys."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, PlainTextResponse, Response

from ledger.service import LedgerService
from trust.model.errors import NotFound
from trust.web.api import answers, problems

_TILE = re.compile(r"(?:entries|\d{1,2})(?:/x\d{3}){0,6}/\d{3}(?:\.p/\d{1,3})?", re.ASCII)
_BYTES = "application/octet-stream"
_IMMUTABLE = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=31536000, immutable"}
_TEXT = "text/plain; charset=utf-8"
_A_TILE = {**problems(404), 200: answers(_BYTES, "the tile")}
_A_NOTE = {**problems(), 200: answers("text/plain", "a signed note (C2SP)")}


def files_router(service: LedgerService) -> APIRouter:
    router = APIRouter()
    checkpoint_headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=2"}

    @router.head("/ledger/checkpoint", include_in_schema=False)
    @router.get(
        "/ledger/checkpoint",
        tags=["ledger"],
        operation_id="getCheckpoint",
        response_class=Response,
        responses=_A_NOTE,
    )
    def checkpoint() -> Response:
        """The published checkpoint: signed by the log, and cosigned where there are witnesses."""
        return PlainTextResponse(service.log.published_note(), headers=checkpoint_headers)

    @router.head("/ledger/sm3/checkpoint", include_in_schema=False)
    @router.get(
        "/ledger/sm3/checkpoint",
        tags=["ledger"],
        operation_id="getSm3Checkpoint",
        response_class=Response,
        responses=_A_NOTE,
    )
    def sm3_checkpoint() -> Response:
        """The newest checkpoint of the SM3 tree over the same entries."""
        return PlainTextResponse(service.log.sm3_checkpoint_note(), headers=checkpoint_headers)

    @router.head("/ledger/tile/{path:path}", include_in_schema=False)
    @router.get(
        "/ledger/tile/{path:path}",
        tags=["ledger"],
        operation_id="getTile",
        response_class=Response,
        responses=_A_TILE,
    )
    def tile(path: str, request: Request) -> Response:
        """A tile or an entry bundle (C2SP tlog-tiles); never changes once it is there."""
        return _tile(service.ledger_folder / "tile", path, request)

    @router.head("/ledger/sm3/tile/{path:path}", include_in_schema=False)
    @router.get(
        "/ledger/sm3/tile/{path:path}",
        tags=["ledger"],
        operation_id="getSm3Tile",
        response_class=Response,
        responses=_A_TILE,
    )
    def sm3_tile(path: str, request: Request) -> Response:
        """A tile of the SM3 tree. The entries are those of the other tree."""
        return _tile(service.ledger_folder / "sm3" / "tile", path, request)

    @router.head("/ledger/keys/{seq}", include_in_schema=False)
    @router.get(
        "/ledger/keys/{seq}",
        tags=["ledger"],
        operation_id="getLedgerKeys",
        response_class=Response,
        responses={**problems(404, 422), 200: answers("text/plain", "the statement")},
    )
    def ledger_keys(seq: int) -> Response:
        """The statement of the log's keys to which entry `seq` commits."""
        file = service.ledger_folder / "keys" / str(seq)
        if not 0 <= seq < 1 << 63 or not file.is_file():
            raise NotFound("That entry does not change the log's keys.", "The first statement is 1.")
        return FileResponse(file, media_type=_TEXT, headers=_IMMUTABLE)

    return router


def _tile(folder: Path, path: str, request: Request) -> Response:
    # The pattern allows only digits, x, p and "entries", so no path can leave the folder.
    file = folder / path
    if not _TILE.fullmatch(path) or not file.is_file():
        raise NotFound("There is no such tile.", "Tiles exist for published sizes only.")
    headers = {**_IMMUTABLE, "Vary": "Accept-Encoding"}
    if path.startswith("entries/") and "gzip" in request.headers.get("accept-encoding", ""):
        # Hashes cannot be compressed; entries can, to about three quarters.
        packed = gzip.compress(file.read_bytes(), 6, mtime=0)
        return Response(packed, media_type=_BYTES, headers={**headers, "Content-Encoding": "gzip"})
    return FileResponse(file, media_type=_BYTES, headers=headers)
