"""Proofs of the ledger over HTTP, made by the log."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response

from ledger.checkpoint import parse_checkpoint
from ledger.http.answers import ConsistencyProof
from ledger.note import parse_note
from ledger.proof import format_receipt
from ledger.service import LedgerService
from trust.web.api import API, answers, problems


def proofs_router(service: LedgerService) -> APIRouter:
    router = APIRouter(prefix=API)

    @router.get(
        "/ledger/proof",
        operation_id="proveInclusion",
        tags=["ledger"],
        response_class=Response,
        responses={**problems(404, 422), 200: answers("text/plain", "the proof (c2sp.org/tlog-proof)")},
    )
    def prove(index: Annotated[int, Query(ge=0, le=1 << 62)]) -> Response:
        """A c2sp.org/tlog-proof of one entry against the published checkpoint."""
        return Response(format_receipt(service.log.prove(index)), media_type="text/plain; charset=utf-8")

    @router.get(
        "/ledger/consistency",
        operation_id="proveConsistency",
        tags=["ledger"],
        response_model=ConsistencyProof,
        responses=problems(404, 422),
    )
    def consistency(old: Annotated[int, Query(ge=1, le=1 << 62)]) -> Response:
        """Proof that the ledger of size `old` is a prefix of the published one."""
        # Read the checkpoint first: if the log grew in between, a proof made before would not match it.
        checkpoint = parse_checkpoint(parse_note(service.log.published_note()).text)
        proof = service.log.consistency(old, checkpoint.size)
        body = {
            "old_size": old,
            "size": checkpoint.size,
            "root": base64.b64encode(checkpoint.root).decode(),
            "proof": [base64.b64encode(each).decode() for each in proof],
        }
        return JSONResponse(body)

    return router
