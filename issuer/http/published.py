"""The issuer's public files over HTTP: trust list, offline bundle, status lists, revocation lists, OCSP."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta
from threading import Lock

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from issuer.publishing.publishing import AnchoredList
from issuer.service import IssuerService
from keys.pki.ocsp import MAX_REQUEST_BYTES
from trust.encoding.digests import sha256
from trust.encoding.plain_zip import encode_zip
from trust.encoding.status_list import MEDIA_TYPE
from trust.encoding.well_known import BUNDLE_PATH, BUNDLE_TYPE
from trust.model.errors import NotFound
from trust.web.api import answers, problems

_CRL = re.compile(r"^[A-Za-z0-9-]{1,64}(?:\.[0-9]{1,4})?$", re.ASCII)
_TEXT = "text/plain; charset=utf-8"
_OCSP = "application/ocsp-response"
_LIST_CACHE, _BUNDLE_CACHE = timedelta(seconds=5), timedelta(seconds=30)


def published_router(service: IssuerService) -> APIRouter:
    router = APIRouter()
    open_to_all = {"Access-Control-Allow-Origin": "*"}
    lists: dict[int, tuple[datetime, AnchoredList]] = {}
    lock, bundle_lock = Lock(), Lock()

    @router.get(
        "/.well-known/ecert/trust-list.jws",
        tags=["public"],
        operation_id="getTrustList",
        response_class=Response,
        responses={**problems(), 200: answers("application/jose", "the trust list (compact JWS)")},
    )
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
                kept = bundles["newest"] = (at, encode_zip(files | dict(service.member_files())))
        return kept[1]

    @router.head(BUNDLE_PATH, include_in_schema=False)
    @router.get(
        BUNDLE_PATH,
        tags=["public"],
        operation_id="getOfflineBundle",
        response_class=Response,
        responses={
            **problems(),
            200: answers(BUNDLE_TYPE, "the bundle"),
            304: {"description": "the same as before"},
        },
    )
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

    @router.get(
        "/status/{number}.tlog-proof",
        tags=["public"],
        operation_id="getStatusListProof",
        response_class=Response,
        responses={**problems(404, 422), 200: answers("text/plain", "the receipt")},
    )
    def status_list_proof(number: int) -> Response:
        """The receipt of the ledger entry that anchors the status list as it is served now."""
        return Response(anchored_list(number).proof, headers=list_headers, media_type=_TEXT)

    @router.get(
        "/status/{number}",
        tags=["public"],
        operation_id="getStatusList",
        response_class=Response,
        responses={**problems(404, 422), 200: answers(MEDIA_TYPE, "the status list (CWT)")},
    )
    def status_list(number: int) -> Response:
        return Response(anchored_list(number).encoded, headers=list_headers, media_type=MEDIA_TYPE)

    @router.get(
        "/crl/{name}.crl",
        tags=["public"],
        operation_id="getCrl",
        response_class=Response,
        responses={**problems(404), 200: answers("application/pkix-crl", "the revocation list (DER)")},
    )
    def crl(name: str) -> Response:
        for ca_id, der, _ in service.pki.crls(service.clock.now()) if _CRL.match(name) else ():
            if ca_id == name:
                headers = {**open_to_all, "Cache-Control": "public, max-age=3600"}
                return Response(der, media_type="application/pkix-crl", headers=headers)
        raise NotFound("There is no such revocation list.", "The certificates name them.")

    @router.post(
        "/ocsp/{ca}",
        tags=["public"],
        operation_id="postOcsp",
        response_class=Response,
        responses={**problems(400, 404, 422), 200: answers(_OCSP, "the answer (DER)")},
    )
    async def post_ocsp(ca: str, request: Request) -> Response:
        """An OCSP request (RFC 6960, Appendix A.1) about certificates of one of our CAs."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_REQUEST_BYTES:
                break  # too long, and refused by `answer` for its length
        answer = await run_in_threadpool(service.ocsp.answer, ca, body)
        return Response(answer, media_type=_OCSP, headers={**open_to_all, "Cache-Control": "no-store"})

    @router.get(
        "/ocsp/{ca}/{encoded:path}",
        tags=["public"],
        operation_id="getOcsp",
        response_class=Response,
        responses={**problems(404, 422), 200: answers(_OCSP, "the answer (DER)")},
    )
    def get_ocsp(ca: str, encoded: str) -> Response:
        """The same, with the request in Base64 in the address."""
        try:
            body = base64.b64decode(encoded, validate=True)
        except ValueError:
            body = b""
        headers = {**open_to_all, "Cache-Control": "public, max-age=300, no-transform"}
        return Response(service.ocsp.answer(ca, body), media_type=_OCSP, headers=headers)

    return router
