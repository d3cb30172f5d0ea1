"""What anyone may fetch: the ledger's files, trust list, status lists, revocation lists; and operators' questions."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, PlainTextResponse, Response

from issuer.publishing import AnchoredList
from keys.pki.ocsp import MAX_REQUEST_BYTES
from trust.app.compose import Service
from trust.app.metrics import answer_on_the_public_address, edited_rows
from trust.encoding.digests import sha256
from trust.encoding.plain_zip import encode_zip
from trust.encoding.status_list import MEDIA_TYPE
from trust.encoding.well_known import BUNDLE_PATH, BUNDLE_TYPE
from trust.model.errors import NotFound
from trust.model.seal import SealState
from trust.web.lanes import Lanes
from trust.web.middleware import Metrics

_TILE = re.compile(r"(?:entries|\d{1,2})(?:/x\d{3}){0,6}/\d{3}(?:\.p/\d{1,3})?", re.ASCII)
_LEAST_FREE = 64 * 1024 * 1024
"""Bytes on the disk of the data folder below which nothing should be sent here."""
_BYTES = "application/octet-stream"
_IMMUTABLE = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=31536000, immutable"}
_CRL = re.compile(r"^[A-Za-z0-9-]{1,64}(?:\.[0-9]{1,4})?$", re.ASCII)
_TEXT = "text/plain; charset=utf-8"
_OCSP = "application/ocsp-response"
_LIST_CACHE, _BUNDLE_CACHE = timedelta(seconds=5), timedelta(seconds=30)


def public_router(service: Service, metrics: Metrics, lanes: Lanes) -> APIRouter:
    router = APIRouter()
    open_to_all = {"Access-Control-Allow-Origin": "*"}
    checkpoint_headers = {**open_to_all, "Cache-Control": "public, max-age=2"}
    lists: dict[int, tuple[datetime, AnchoredList]] = {}
    lock, bundle_lock = Lock(), Lock()

    @router.head("/ledger/checkpoint", include_in_schema=False)
    @router.get("/ledger/checkpoint", tags=["ledger"], operation_id="getCheckpoint")
    def checkpoint() -> Response:
        """The published checkpoint: signed by the log, and cosigned where there are witnesses."""
        return PlainTextResponse(service.log.published_note(), headers=checkpoint_headers)

    @router.head("/ledger/sm3/checkpoint", include_in_schema=False)
    @router.get("/ledger/sm3/checkpoint", tags=["ledger"], operation_id="getSm3Checkpoint")
    def sm3_checkpoint() -> Response:
        """The newest checkpoint of the SM3 tree over the same entries."""
        return PlainTextResponse(service.log.sm3_checkpoint_note(), headers=checkpoint_headers)

    @router.head("/ledger/tile/{path:path}", include_in_schema=False)
    @router.get("/ledger/tile/{path:path}", tags=["ledger"], operation_id="getTile")
    def tile(path: str, request: Request) -> Response:
        """A tile or an entry bundle (C2SP tlog-tiles); never changes once it is there."""
        return _tile(service.ledger_folder / "tile", path, request)

    @router.head("/ledger/sm3/tile/{path:path}", include_in_schema=False)
    @router.get("/ledger/sm3/tile/{path:path}", tags=["ledger"], operation_id="getSm3Tile")
    def sm3_tile(path: str, request: Request) -> Response:
        """A tile of the SM3 tree. The entries are those of the other tree."""
        return _tile(service.ledger_folder / "sm3" / "tile", path, request)

    @router.head("/ledger/keys/{seq}", include_in_schema=False)
    @router.get("/ledger/keys/{seq}", tags=["ledger"], operation_id="getLedgerKeys")
    def ledger_keys(seq: int) -> Response:
        """The statement of the log's keys to which entry `seq` commits."""
        file = service.ledger_folder / "keys" / str(seq)
        if not 0 <= seq < 1 << 63 or not file.is_file():
            raise NotFound("That entry does not change the log's keys.", "The first statement is 1.")
        return FileResponse(file, media_type=_TEXT, headers=_IMMUTABLE)

    @router.get("/.well-known/ecert/trust-list.jws", tags=["public"], operation_id="getTrustList")
    def trust_list() -> Response:
        compact = service.publishing.trust_list(service.clock.now())
        headers = {**open_to_all, "Cache-Control": "public, max-age=300"}
        return Response(compact, media_type="application/jose", headers=headers)

    bundles: dict[str, tuple[datetime, bytes]] = {}

    def packed_bundle() -> bytes:
        at = service.clock.now()
        with bundle_lock:
            kept = bundles.get("newest")
            if kept is None or at - kept[0] > _BUNDLE_CACHE:
                files = service.publishing.bundle(at, max_age=None)
                kept = bundles["newest"] = (at, encode_zip(files | service.member_bundles.files()))
        return kept[1]

    @router.head(BUNDLE_PATH, include_in_schema=False)
    @router.get(BUNDLE_PATH, tags=["public"], operation_id="getOfflineBundle")
    def offline_bundle(request: Request) -> Response:
        """Everything that verifying offline needs, members' lists included, as one zip file."""
        packed = packed_bundle()
        tag = f'"{sha256(packed).hex()[:32]}"'
        headers = {**open_to_all, "Cache-Control": "public, max-age=60", "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        headers["Content-Disposition"] = 'attachment; filename="yinzheng-bundle.zip"'
        return Response(packed, media_type=BUNDLE_TYPE, headers=headers)

    def anchored_list(number: int) -> AnchoredList:
        at = service.clock.now()
        with lock:
            kept = lists.get(number)
            if kept is None or at - kept[0] > _LIST_CACHE:
                if number not in service.publishing.status_list_numbers():
                    raise NotFound("There is no such status list.", "The trust list names them.")
                kept = lists[number] = (at, service.publishing.status_list(number, at))
        return kept[1]

    list_headers = {**open_to_all, "Cache-Control": "public, max-age=60"}

    @router.get("/status/{number}.tlog-proof", tags=["public"], operation_id="getStatusListProof")
    def status_list_proof(number: int) -> Response:
        """The receipt of the ledger entry that anchors the status list as it is served now."""
        return Response(anchored_list(number).proof, headers=list_headers, media_type=_TEXT)

    @router.get("/status/{number}", tags=["public"], operation_id="getStatusList")
    def status_list(number: int) -> Response:
        return Response(anchored_list(number).encoded, headers=list_headers, media_type=MEDIA_TYPE)

    @router.get("/crl/{name}.crl", tags=["public"], operation_id="getCrl")
    def crl(name: str) -> Response:
        for ca_id, der, _ in service.authorities.crls(service.clock.now()) if _CRL.match(name) else ():
            if ca_id == name:
                headers = {**open_to_all, "Cache-Control": "public, max-age=3600"}
                return Response(der, media_type="application/pkix-crl", headers=headers)
        raise NotFound("There is no such revocation list.", "The certificates name them.")

    @router.post("/ocsp/{ca}", tags=["public"], operation_id="postOcsp")
    async def post_ocsp(ca: str, request: Request) -> Response:
        """An OCSP request (RFC 6960, Appendix A.1) about certificates of one of our CAs."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_REQUEST_BYTES:
                break  # too long for a request: what was read says so too
        answer = await run_in_threadpool(service.ocsp.answer, ca, body)
        return Response(answer, media_type=_OCSP, headers={**open_to_all, "Cache-Control": "no-store"})

    @router.get("/ocsp/{ca}/{encoded:path}", tags=["public"], operation_id="getOcsp")
    def get_ocsp(ca: str, encoded: str) -> Response:
        """The same, with the request in Base64 in the address."""
        try:
            body = base64.b64decode(encoded, validate=True)
        except ValueError:
            body = b""
        headers = {**open_to_all, "Cache-Control": "public, max-age=300, no-transform"}
        return Response(service.ocsp.answer(ca, body), media_type=_OCSP, headers=headers)

    @router.get("/livez", tags=["operator"], operation_id="livez")
    def livez() -> Any:
        return {"status": "ok"}

    @router.get("/readyz", tags=["operator"], operation_id="readyz")
    def readyz() -> Response:
        parts = _readiness(service)
        ready = all(parts.values())
        status = 200 if ready else 503
        return Response(
            json.dumps({"status": "ok" if ready else "not ready", "parts": parts, "notes": _notes(service)}),
            status,
            media_type="application/json",
        )

    @router.get("/metrics", tags=["operator"], operation_id="metrics")
    def read_metrics(request: Request) -> Response:
        """Counts and gauges in the form that Prometheus reads, to the operators' bearer token."""
        return answer_on_the_public_address(service, metrics, lanes, request)

    @router.get("/version", tags=["operator"], operation_id="version")
    def read_version() -> Any:
        try:
            return {"name": "yinzheng", "version": version("yinzheng")}
        except PackageNotFoundError:
            return {"name": "yinzheng", "version": "0"}

    return router


def _tile(folder: Path, path: str, request: Request) -> Response:
    # The pattern admits digits, x, p and entries only: no path can climb out of the folder.
    file = folder / path
    if not _TILE.fullmatch(path) or not file.is_file():
        raise NotFound("There is no such tile.", "Tiles exist for published sizes only.")
    headers = {**_IMMUTABLE, "Vary": "Accept-Encoding"}
    if path.startswith("entries/") and "gzip" in request.headers.get("accept-encoding", ""):
        # Hashes do not get smaller; entries do, to about three quarters.
        packed = gzip.compress(file.read_bytes(), 6, mtime=0)
        return Response(packed, media_type=_BYTES, headers={**headers, "Content-Encoding": "gzip"})
    return FileResponse(file, media_type=_BYTES, headers=headers)


def _has_seals_in_term(service: Service) -> bool:
    """Every authority that has active seals has one whose certificate is in its term."""
    at = service.clock.now()
    active: dict[str, bool] = {}
    for seal in service.seals.list():
        if seal.state is SealState.ACTIVE:
            in_term = seal.not_before <= at <= seal.not_after
            active[seal.authority_id] = active.get(seal.authority_id, False) or in_term
    return all(active.values())


def _notes(service: Service) -> list[str]:
    """What an operator should know, and what does not keep the service from its work."""
    return [] if service.is_copy_noticed else ["COPY_NOT_NOTICED"]


def _readiness(service: Service) -> dict[str, bool]:
    def works(question: Any) -> bool:
        try:
            return bool(question())
        except Exception:  # whatever it is, the answer is "not ready"; details are in the log
            return False

    return {
        "database": works(lambda: service.authorities.list() is not None),
        "register": works(lambda: not edited_rows(service) and service.guard.lost_entry is None),
        "disk": works(lambda: shutil.disk_usage(service.settings.data).free >= _LEAST_FREE),
        "seals": works(lambda: _has_seals_in_term(service)),
        "keys": works(lambda: service.authorities.service_key("present")),
        "ledger": works(lambda: service.log.halted is None and service.log.checkpoint().size >= 2),
        "trust_list": works(lambda: service.publishing.trust_list(service.clock.now())),
    }
