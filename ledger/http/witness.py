"""A witness over HTTP (C2SP tlog-witness): a small application, separate from the service.

    POST /add-checkpoint             cosign a checkpoint or say why not (`ledger.witness.witness`)
    GET  /<origin hash>/checkpoint   the last checkpoint of a log that was cosigned
    GET  /                           the witness's keys, for the policies of others
    GET  /livez                      liveness, for the operator

There is no authentication. A body is read up to its size limit and for a few seconds at most; the work is done in
threads, because it waits for the disk.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse, Response
from starlette.requests import ClientDisconnect

from ledger.note import format_vkey
from ledger.witness.witness import MAX_REQUEST_SIZE, TOO_LARGE, Answer, Witness
from trust.model.errors import OperationalError
from trust.web.metrics import Metrics
from trust.web.middleware import RequestFrame

_READ_SECONDS: Final = 20
_TOO_SLOW: Final = Answer(status=408, body=b"The request did not arrive in time.\n")
_OURS: Final = Answer(status=503, body=b"The witness cannot store checkpoints at the moment.\n")
_log = logging.getLogger("yinzheng.witness")


def create_witness_app(witness: Witness) -> FastAPI:
    """The application for a witness; the caller keeps the witness open."""
    app = FastAPI(title="Yinzheng witness", openapi_url=None, docs_url=None, redoc_url=None)

    @app.post("/add-checkpoint")
    async def add_checkpoint(request: Request) -> Response:
        body = await _read(request)
        return _response(body if isinstance(body, Answer) else await run_in_threadpool(_add, witness, body))

    @app.get("/{origin_hash}/checkpoint")
    def checkpoint(origin_hash: str) -> Response:
        note = witness.latest(origin_hash)
        if note is None:
            return PlainTextResponse("No checkpoint of this log has been cosigned.\n", 404)
        return PlainTextResponse(note, headers={"Cache-Control": "no-cache"})

    @app.get("/livez")
    def livez() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/")
    def about() -> Response:
        return PlainTextResponse(_about(witness))

    @app.exception_handler(OperationalError)
    async def on_operational_error(request: Request, exc: OperationalError) -> Response:
        _log.error("operation failed", extra={"code": exc.code, "what": exc.what}, exc_info=exc)
        return _response(_OURS)

    app.add_middleware(RequestFrame, metrics=Metrics())
    return app


def _add(witness: Witness, body: bytes) -> Answer:
    answer = witness.add_checkpoint(body)
    if answer.status in (403, 422):
        # Log it for the operator of the log; a checkpoint contains no personal data.
        _log.warning("refused", extra={"code": str(answer.status), "what": answer.body.decode().strip()})
    return answer


async def _read(request: Request) -> bytes | Answer:
    body = bytearray()
    try:
        async with asyncio.timeout(_READ_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_REQUEST_SIZE:
                    return TOO_LARGE
    except TimeoutError:
        return _TOO_SLOW
    except ClientDisconnect:
        return Answer(status=400, body=b"The request ended early.\n")
    return bytes(body)


def _response(answer: Answer) -> Response:
    headers = {"Content-Type": answer.content_type, "Cache-Control": "no-store"}
    return Response(answer.body, answer.status, headers)


def _about(witness: Witness) -> str:
    keys = "".join(f"{format_vkey(vkey)}\n" for vkey in witness.vkeys)
    logs = "".join(f"{each.origin}\n  {each.origin_hash}/checkpoint\n" for each in witness.logs())
    return (
        "本站是透明日志的见证方（C2SP tlog-witness）。\n"
        "This is a witness of transparency logs (C2SP tlog-witness).\n\n"
        f"公钥 Keys:\n{keys}\n日志 Logs:\n{logs}"
    )
