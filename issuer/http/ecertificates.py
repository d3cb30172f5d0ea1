"""E-certificates over HTTP: issuing, stamping, looking up, reading, changing the status."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Literal, TypeVar

import anyio
from anyio import CapacityLimiter
from fastapi import APIRouter, Form, Path, Query, Request, UploadFile
from fastapi.responses import Response
from pydantic import Field

from issuer.archive.package import detached
from issuer.catalogue import load_profile
from issuer.http.answers import ECertificateAnswer, FileVersions
from issuer.service import IssuerService
from issuer.shown import version_json
from trust.encoding.ecertificate_data import decode_ecertificate_data
from trust.model.actor import Actor, Permission
from trust.model.ecertificate import Application, IssuedECertificate
from trust.model.errors import Malformed
from trust.model.status import StatusAct
from trust.sandbox.lanes import Lane
from trust.web.api import (
    ACTS_ONCE,
    ACTS_ONCE_IF_UNCHANGED,
    API,
    BODY,
    ETAG,
    GIVES_WHAT_CHANGED,
    KEY,
    MAY_ACT_ONCE,
    REPLAYED,
    Authorization,
    Body,
    Callers,
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
    answers,
    check_size,
    needs,
    private,
    problems,
    read_pid,
)
from trust.web.etags import check_match, tagged, unless_known
from trust.web.idempotency import Idempotency
from trust.web.lanes import Lanes
from trust.web.paging import LINK, USUAL_LIMIT, After, Limit, cut, page_answer, read_numbers
from trust.web.rate_limits import LIMITED, RateLimits

T = TypeVar("T")
_IDENTIFIER = "1.2.156.3005.2.11990000MB9Y00016B011.11990100MB9X100103.2MC60FEC96N583K226PP.001.A"
_MAX_PHOTO_BASE64 = 3 * 1024 * 1024
_AT_ONCE = 16
"""The number of requests that may wait for the ledger at once, in their own threads, so that they cannot block the
redemption of live codes."""


class IssueBody(Body):
    type: str = Field(max_length=8, examples=["FOOD"])
    fields: dict[str, str | list[str]] = Field(examples=[{"licence_number": "JY29901010000001"}])
    authority: str | None = Field(
        default=None, max_length=32, description="id or credit code; default: the key's own"
    )
    seal: str | None = Field(default=None, max_length=64)
    further_seals: list[str] = Field(
        default=[], max_length=2, description="beside it: a person's name seal, a seal for readers abroad"
    )
    for_abroad: bool = Field(
        default=False, description="time-stamps that verifiers abroad know, under the national seal too"
    )
    photo_base64: str | None = Field(default=None, max_length=_MAX_PHOTO_BASE64)


class StatusBody(Body):
    reason: str = Field(max_length=200, examples=["penalty"])
    note: str = Field(default="", max_length=200)


class ReplaceBody(Body):
    reason: str = Field(max_length=200, examples=["地址变更"])
    fields: dict[str, str | list[str]] = Field(examples=[{"licence_number": "JY29901010000001"}])
    seal: str | None = Field(default=None, max_length=64)
    further_seals: list[str] = Field(
        default=[], max_length=2, description="beside it: a person's name seal, a seal for readers abroad"
    )
    for_abroad: bool = Field(
        default=False, description="time-stamps that verifiers abroad know, under the national seal too"
    )
    photo_base64: str | None = Field(default=None, max_length=_MAX_PHOTO_BASE64)


class StampForm(Body):
    file: UploadFile = Field(description="the department's PDF")
    data: str = Field(
        description='{"type", "fields", "place": {"page", "seal_mm"}, "seal", "lose_standard", "for_abroad"}',
        json_schema_extra={"contentMediaType": "application/json"},
        examples=['{"type": "FOOD", "fields": {"licence_number": "JY29901010000001"}}'],
    )


class LookupBody(Body):
    identifier: str = Field(max_length=160, examples=[_IDENTIFIER])


def ecertificates_router(
    service: IssuerService, callers: Callers, idempotency: Idempotency, lanes: Lanes, limits: RateLimits
) -> APIRouter:
    router = APIRouter(prefix=API)
    ledger_limiter = CapacityLimiter(_AT_ONCE)

    async def in_thread(limiter: CapacityLimiter, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=limiter)

    def application(
        who: Actor,
        type_short: str,
        fields: Any,
        authority: str | None,
        seal: str | None,
        photo: bytes | None,
        further_seals: Sequence[str],
        for_abroad: bool,
    ) -> Application:
        profile = load_profile(type_short)
        found = service.applying.find_authority(authority or who.organisation, profile)
        return Application(
            profile.short,
            found.authority_id,
            fields,
            seal,
            photo,
            row=1,
            further_seals=tuple(further_seals),
            for_abroad=for_abroad,
        )

    @router.post(
        "/certificates",
        status_code=201,
        operation_id="issueCertificate",
        tags=["issuer"],
        response_model=ECertificateAnswer,
        responses={
            **problems(*KEY, 404, 409, *BODY, 429),
            200: {
                "model": ECertificateAnswer,
                "description": "the same application was issued before",
                "headers": ETAG | REPLAYED | LIMITED,
            },
            201: {"headers": ETAG | REPLAYED | LIMITED},
        },
        openapi_extra=ACTS_ONCE | needs(Permission.ISSUE),
    )
    async def issue(
        request: Request,
        body: IssueBody,
        authorization: Authorization,
        key: IdempotencyKey = None,
    ) -> Response:
        """Issues one e-certificate: checked, sealed, time-stamped, logged, receipt inside. Durable when answered."""
        raw = await request.body()

        def work() -> Response:
            who = callers.check(authorization, Permission.ISSUE)
            limits.spend(request, who)

            def act() -> tuple[int, dict[str, Any]]:
                asked = application(
                    who,
                    body.type,
                    body.fields,
                    body.authority,
                    body.seal,
                    _photo(body.photo_base64),
                    body.further_seals,
                    body.for_abroad,
                )
                (outcome,) = service.issuing.issue(who, [asked])
                if outcome.error is not None:
                    raise outcome.error
                assert outcome.issued is not None
                return (200 if outcome.repeated else 201), ecertificate_json(outcome.issued)

            return tagged(idempotency.run(who.actor_id, "issue", key, raw, service.clock.now(), act))

        return await in_thread(ledger_limiter, work)

    @router.post(
        "/stamp",
        operation_id="stampPdf",
        tags=["issuer"],
        response_class=Response,
        responses={**problems(*KEY, 404, 409, *BODY, 429), 200: _STAMPED},
        openapi_extra=MAY_ACT_ONCE | needs(Permission.ISSUE),
    )
    async def stamp(
        request: Request,
        form: Annotated[StampForm, Form(media_type="multipart/form-data")],
        authorization: Authorization,
        key: IdempotencyKey = None,
    ) -> Response:
        """Seals a PDF that the department already has. Answers with the PDF; the same request gives the same file."""
        file = form.file
        check_size(file)
        try:
            sidecar = json.loads(form.data)
        except (ValueError, RecursionError) as exc:
            raise Malformed("The form field `data` is not JSON.", "Send an object.") from exc

        def work() -> Response:
            who = callers.check(authorization, Permission.ISSUE)
            limits.spend(request, who)
            source = file.file.read()

            def act() -> tuple[int, dict[str, Any]]:
                asked = service.applying.stamp_application(
                    source,
                    sidecar if isinstance(sidecar, dict) else {},
                    type_short=None,
                    seal=None,
                    authority=who.organisation,
                )
                (outcome,) = service.issuing.issue(who, [asked])
                if outcome.error is not None:
                    raise outcome.error
                assert outcome.issued is not None
                return 200, {"pid": outcome.issued.pid.hex()}

            asked_with = source + b"\0" + form.data.encode("utf-8", "surrogatepass")
            done = idempotency.run(
                who.actor_id, "stamp", key, asked_with, service.clock.now(), act, required=False
            )
            pid = json.loads(bytes(done.body))["pid"]
            answer = Response(service.issuing.issued_file(bytes.fromhex(pid)), media_type="application/pdf")
            answer.headers.update({"X-Certificate-Pid": pid, "Cache-Control": "no-store"})
            if "Idempotent-Replayed" in done.headers:
                answer.headers["Idempotent-Replayed"] = "true"
            return answer

        return await lanes.read(Lane.MACHINE, work)

    @router.post(
        "/certificates/lookup",
        operation_id="lookUpCertificate",
        openapi_extra=needs(Permission.READ),
        tags=["issuer"],
        response_model=ECertificateAnswer,
        responses={**problems(*KEY, 404, *BODY, 429), 200: {"headers": ETAG | LIMITED}},
    )
    def look_up(request: Request, body: LookupBody, authorization: Authorization) -> Response:
        """Finds an e-certificate by its identifier, which never stands in an address."""
        who = callers.check(authorization, Permission.READ)
        limits.spend(request, who)
        return tagged(private(ecertificate_json(service.looking_up.find(who, body.identifier))))

    @router.get(
        "/certificates/{pid}",
        operation_id="getCertificate",
        tags=["issuer"],
        response_model=ECertificateAnswer,
        responses={
            **problems(*KEY, 404),
            200: {"headers": ETAG},
            304: {"description": "still the same", "headers": ETAG},
        },
        openapi_extra=GIVES_WHAT_CHANGED | needs(Permission.READ),
    )
    def read(pid: str, authorization: Authorization, known: IfNoneMatch = None) -> Response:
        """Its type, version, status and where its file is. The `ETag` changes with every change of this answer."""
        who = callers.check(authorization, Permission.READ)
        return unless_known(private(ecertificate_json(service.looking_up.get(who, read_pid(pid)))), known)

    @router.get(
        "/certificates/{pid}/file",
        operation_id="getCertificateFile",
        openapi_extra=needs(Permission.READ),
        tags=["issuer"],
        response_class=Response,
        responses={**problems(*KEY, 404, 422), 200: answers("application/pdf", "the file")},
    )
    def read_file(
        pid: str,
        authorization: Authorization,
        version: Annotated[
            str,
            Query(
                pattern="^(latest|0|[1-9][0-9]{0,3})$",
                description="0 is the issued file; later versions hold it and evidence that lasts",
                openapi_examples={
                    "issued": {"value": "0"},
                    "newest": {"value": "latest"},
                    "third": {"value": "3"},
                },
            ),
        ] = "0",
    ) -> Response:
        """The issued PDF, or a later version of it."""
        who = callers.check(authorization, Permission.READ)
        file = service.looking_up.file(who, read_pid(pid), None if version == "latest" else int(version))
        return Response(file, media_type="application/pdf", headers={"Cache-Control": "no-store"})

    @router.get(
        "/certificates/{pid}/versions",
        operation_id="listFileVersions",
        openapi_extra=needs(Permission.READ),
        tags=["issuer"],
        response_model=FileVersions,
        responses={
            **problems(*KEY, 404, 422),
            200: {"content": {"application/json": {"example": _VERSIONS_EXAMPLE}}, "headers": LINK},
        },
    )
    def list_versions(
        request: Request,
        pid: str,
        authorization: Authorization,
        after: After = None,
        limit: Limit = USUAL_LIMIT,
    ) -> Response:
        """The issued file and its later versions, in their order."""
        who = callers.check(authorization, Permission.READ)
        (behind,) = read_numbers(after) or (None,)
        found = service.looking_up.versions(who, read_pid(pid), behind, limit + 1)
        listed, cursor = cut(found, limit, lambda each: str(each.number))
        base = f"/api/v1/certificates/{read_pid(pid).hex()}"
        items = [
            {
                **version_json(each),
                "links": {
                    "file": f"{base}/file?version={each.number}",
                    "receipt": f"{base}/versions/{each.number}/receipt",
                },
            }
            for each in listed
        ]
        return page_answer(request, "items", items, cursor)

    @router.get(
        "/certificates/{pid}/versions/{number}/receipt",
        operation_id="getVersionReceipt",
        openapi_extra=needs(Permission.READ),
        tags=["issuer"],
        response_class=Response,
        responses={
            **problems(*KEY, 404, 422),
            200: {
                "description": "the receipt",
                "content": {
                    "text/plain": {
                        "schema": {"type": "string"},
                        "example": "c2sp.org/tlog-proof@v1\nextra …\nindex 19\n…",
                    },
                    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                },
            },
        },
    )
    def read_receipt(
        pid: str,
        authorization: Authorization,
        number: Annotated[int, Path(ge=0, le=9999)],
        form: Annotated[
            Literal["tlog-proof", "der"],
            Query(description="a detached .tlog-proof, or the stored DER with the salts that open its entry"),
        ] = "tlog-proof",
    ) -> Response:
        """The ledger receipt of one version; that of the issued file (0) is inside it too."""
        who = callers.check(authorization, Permission.READ)
        der = service.looking_up.receipt(who, read_pid(pid), number)
        headers = {"Cache-Control": "no-store"}
        if form == "der":
            return Response(der, media_type="application/octet-stream", headers=headers)
        return Response(detached(der), media_type="text/plain; charset=utf-8", headers=headers)

    def status_route(act: StatusAct) -> Callable[..., Awaitable[Response]]:
        async def change(
            pid: str,
            body: StatusBody,
            request: Request,
            authorization: Authorization,
            key: IdempotencyKey = None,
            if_match: IfMatch = None,
        ) -> Response:
            raw = await request.body()

            def work() -> Response:
                who = callers.check(authorization, Permission.CHANGE_STATUS)
                found = service.looking_up.own(who, read_pid(pid), act.value)

                def run() -> tuple[int, dict[str, Any]]:
                    changed = service.statuses.change(
                        who,
                        found.pid,
                        act,
                        reason=body.reason,
                        note=body.note,
                        expected=_expected(found, if_match),
                    )
                    return 200, ecertificate_json(changed)

                route = f"{act.value}:{pid}"
                return tagged(idempotency.run(who.actor_id, route, key, raw, service.clock.now(), run))

            return await in_thread(ledger_limiter, work)

        return change

    for act, operation in (
        (StatusAct.SUSPEND, "suspendCertificate"),
        (StatusAct.REINSTATE, "reinstateCertificate"),
        (StatusAct.REVOKE, "revokeCertificate"),
    ):
        router.post(
            f"/certificates/{{pid}}/{act.value}",
            operation_id=operation,
            tags=["issuer"],
            response_model=ECertificateAnswer,
            responses={**problems(*KEY, 404, 409, 412, *BODY), 200: {"headers": ETAG | REPLAYED}},
            openapi_extra=ACTS_ONCE_IF_UNCHANGED | needs(Permission.CHANGE_STATUS),
            summary=f"{act.value.capitalize()} an e-certificate, with its reason",
        )(status_route(act))

    @router.post(
        "/certificates/{pid}/replace",
        status_code=201,
        operation_id="replaceCertificate",
        tags=["issuer"],
        response_model=ECertificateAnswer,
        responses={**problems(*KEY, 404, 409, 412, *BODY, 429), 201: {"headers": ETAG | REPLAYED | LIMITED}},
        openapi_extra=ACTS_ONCE_IF_UNCHANGED | needs((Permission.ISSUE, Permission.CHANGE_STATUS)),
    )
    async def replace(
        pid: str,
        body: ReplaceBody,
        request: Request,
        authorization: Authorization,
        key: IdempotencyKey = None,
        if_match: IfMatch = None,
    ) -> Response:
        """Issues the next version and marks this one replaced: the key needs both rights, to issue and to change."""
        raw = await request.body()

        def work() -> Response:
            callers.check(authorization, Permission.ISSUE)
            who = callers.check(authorization, Permission.CHANGE_STATUS)
            limits.spend(request, who)
            old = service.looking_up.own(who, read_pid(pid), "replace")

            def act() -> tuple[int, dict[str, Any]]:
                asked = application(
                    who,
                    old.type_short,
                    body.fields,
                    old.authority_id,
                    body.seal,
                    _photo(body.photo_base64),
                    body.further_seals,
                    body.for_abroad,
                )
                asked = dataclasses.replace(asked, replaces=old.pid)
                outcome = service.statuses.replace(
                    who, old.pid, asked, reason=body.reason, expected=_expected(old, if_match)
                )
                if outcome.error is not None:
                    raise outcome.error
                assert outcome.issued is not None
                return 201, ecertificate_json(outcome.issued)

            route = f"replace:{pid}"
            return tagged(idempotency.run(who.actor_id, route, key, raw, service.clock.now(), act))

        return await in_thread(ledger_limiter, work)

    return router


_STAMPED = answers("application/pdf", "the sealed file") | {
    "headers": REPLAYED
    | LIMITED
    | {
        "X-Certificate-Pid": {
            "description": "public id of the e-certificate",
            "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        }
    }
}
_VERSIONS_EXAMPLE = {
    "next_cursor": "MQ",
    "items": [
        {
            "number": 1,
            "level": "PAdES-B-LTA",
            "sha256": "318eebad4215763d2044f53ce1ba61b7d4685d07ac306f0b9a52dad2f83184a4",
            "parent_sha256": "455ffee40929c1fc33775c5341b23af3b6387867c1a0f81421bb3b6aa30a28f0",
            "stamped_at": "2026-11-24T02:00:00+00:00",
            "next_due_at": "2027-11-24T02:00:00+00:00",
            "ledger_index": 19,
            "links": {
                "file": "/api/v1/certificates/b5ed1393952db919726bc0fcfefcda45/file?version=1",
                "receipt": "/api/v1/certificates/b5ed1393952db919726bc0fcfefcda45/versions/1/receipt",
            },
        }
    ],
}


def ecertificate_json(found: IssuedECertificate) -> dict[str, Any]:
    data = decode_ecertificate_data(found.data)
    begins, ends = data.validity()
    pid = found.pid.hex()
    return {
        "pid": pid,
        "identifier": found.identifier,
        "type": found.type_short,
        "version": found.version,
        "authority": found.authority_id,
        "seal": found.seal_id,
        "status": found.status.value,
        "status_reason": found.status_reason,
        "status_at": found.status_at.isoformat() if found.status_at else None,
        "valid_from": begins.isoformat(),
        "valid_until": ends.isoformat() if ends else None,
        "issued_at": found.issued_at.isoformat(),
        "ledger_index": found.entry_seq,
        "links": {
            "self": f"/api/v1/certificates/{pid}",
            "file": f"/api/v1/certificates/{pid}/file",
            "versions": f"/api/v1/certificates/{pid}/versions",
        },
    }


def _expected(found: IssuedECertificate, if_match: str | None) -> IssuedECertificate | None:
    """What the client saw, if it asks that this still be so. Raises `ChangedSince`."""
    check_match(if_match, private(ecertificate_json(found)))
    return found if if_match is not None and if_match.strip() != "*" else None


def _photo(encoded: str | None) -> bytes | None:
    if encoded is None:
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as exc:
        raise Malformed("photo_base64 is not base64.", "Encode the JPEG or PNG file.") from exc
