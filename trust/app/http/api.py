"""The API under /api/v1: bodies to values, one call, values to bodies.

Routes that wait for the sandbox or the ledger run in threads of their own limiter, so that slow uploads
cannot starve redemption. `/api/v1/openapi.json` is the reference for callers.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal, TypeVar

import anyio
from anyio import CapacityLimiter
from fastapi import APIRouter, File, Form, Header, Path, Query, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile as UploadedFile

from issuer.archive.package import detached
from issuer.catalogue import load_catalogue, load_profile
from issuer.http.seals import seals_router
from issuer.presenting import Level
from issuer.shown import version_json
from ledger.checkpoint import parse_checkpoint
from ledger.note import parse_note
from ledger.proof import format_receipt
from trust.admin.http import keys_router
from trust.app.compose import Service
from trust.encoding.ecertificate_data import decode_ecertificate_data
from trust.model.ecertificate import Application, IssuedECertificate
from trust.model.errors import Malformed, NotFound, NotPermitted
from trust.model.status import StatusAct
from trust.pdf.reading import MAX_FILE_BYTES
from trust.people.access import Access
from trust.people.api_clients import ApiCaller
from trust.sandbox.lanes import Lane
from trust.web.idempotency import Idempotency
from trust.web.lanes import Lanes
from trust.web.middleware import Metrics
from trust.web.sender import sender_of
from verifier.checks.digests import digest_json
from verifier.reports.shown import filed_report_json

T = TypeVar("T")
_MAX_PHOTO_BASE64 = 3 * 1024 * 1024


class Body(BaseModel):
    """Request bodies refuse what they do not know: a misspelt field must not be dropped in silence."""

    model_config = ConfigDict(extra="forbid")


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
    reason: str = Field(max_length=200)
    fields: dict[str, str | list[str]]
    seal: str | None = Field(default=None, max_length=64)
    further_seals: list[str] = Field(
        default=[], max_length=2, description="beside it: a person's name seal, a seal for readers abroad"
    )
    for_abroad: bool = Field(
        default=False, description="time-stamps that verifiers abroad know, under the national seal too"
    )
    photo_base64: str | None = Field(default=None, max_length=_MAX_PHOTO_BASE64)


class LookupBody(Body):
    identifier: str = Field(max_length=160)


class PresentBody(Body):
    pid: str = Field(pattern="^[0-9a-f]{32}$")
    purpose: str = Field(min_length=1, max_length=60)
    level: int = Field(default=1, ge=0, le=3)
    audience: str | None = Field(default=None, max_length=64)
    ttl_seconds: int = Field(default=300, ge=15, le=300)


class CodeBody(Body):
    code: str = Field(max_length=8192)


class DigestsBody(Body):
    digests: list[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(min_length=1, max_length=10_000)


def api_router(service: Service, access: Access, metrics: Metrics, lanes: Lanes) -> APIRouter:
    router = APIRouter(prefix="/api/v1")
    idempotency = Idempotency(service.database)
    ledger_limiter = CapacityLimiter(16)

    def caller(authorization: str | None, scope: str) -> ApiCaller:
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise NotPermitted(
                "An API key is needed.", "Send it as `Authorization: Bearer …`.", code="UNAUTHENTICATED"
            )
        return access.clients.check_api_key(key.strip(), scope)

    async def in_thread(limiter: CapacityLimiter, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=limiter)

    def own(found: IssuedECertificate, who: ApiCaller) -> IssuedECertificate:
        """Another department's e-certificate looks like none at all."""
        if who.authority_id is not None and found.authority_id != who.authority_id:
            raise NotFound("There is no such e-certificate.", "Check the public id.")
        return found

    def application(
        who: ApiCaller,
        type_short: str,
        fields: Any,
        authority: str | None,
        seal: str | None,
        photo: bytes | None,
        further_seals: Sequence[str],
        for_abroad: bool,
    ) -> Application:
        profile = load_profile(type_short)
        found = service.applying.find_authority(authority or who.authority_id, profile)
        if who.authority_id is not None and found.authority_id != who.authority_id:
            raise NotPermitted("This key cannot act for another authority.", "Use that authority's key.")
        return Application(
            profile.short,
            found.authority_id,
            fields,
            seal,
            photo,
            row=1,
            caller=who.key_id,
            further_seals=tuple(further_seals),
            for_abroad=for_abroad,
        )

    # --- issuer ---

    @router.post(
        "/certificates",
        status_code=201,
        operation_id="issueCertificate",
        tags=["issuer"],
        responses=_PROBLEMS,
    )
    async def issue(
        request: Request,
        body: IssueBody,
        authorization: Annotated[str | None, Header()] = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Issues one e-certificate: checked, sealed, time-stamped, logged, receipt inside. Durable when answered."""
        raw = await request.body()

        def work() -> Response:
            who = caller(authorization, "cert.issue")

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
                (outcome,) = service.issuing.issue([asked])
                if outcome.error is not None:
                    raise outcome.error
                assert outcome.issued is not None
                access.trail.record(who.label, "issue", outcome.issued.pid, None, "issued")
                return (200 if outcome.repeated else 201), _certificate_json(outcome.issued)

            return idempotency.run(who.key_id, "issue", idempotency_key, raw, service.clock.now(), act)

        return await in_thread(ledger_limiter, work)

    @router.post("/stamp", operation_id="stampPdf", tags=["issuer"], responses=_PROBLEMS)
    async def stamp(
        file: Annotated[UploadFile, File(description="the department's PDF")],
        data: Annotated[
            str,
            Form(
                description='{"type", "fields", "place": {"page", "seal_mm"}, "seal", "lose_standard", "for_abroad"}'
            ),
        ],
        authorization: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Seals a PDF that the department already has. Answers with the PDF; the same request gives the same file."""
        _check_size(file)
        try:
            sidecar = json.loads(data)
        except (ValueError, RecursionError) as exc:
            raise Malformed("The form field `data` is not JSON.", "Send an object.") from exc

        def work() -> Response:
            who = caller(authorization, "cert.issue")
            asked = service.applying.stamp_application(
                file.file.read(),
                sidecar if isinstance(sidecar, dict) else {},
                type_short=None,
                seal=None,
                authority=who.authority_id,
            )
            (outcome,) = service.issuing.issue([dataclasses.replace(asked, caller=who.key_id)])
            if outcome.error is not None:
                raise outcome.error
            assert outcome.issued is not None
            access.trail.record(who.label, "stamp", outcome.issued.pid, None, "issued")
            return Response(
                service.issuing.issued_file(outcome.issued.pid),
                media_type="application/pdf",
                headers={"X-Certificate-Pid": outcome.issued.pid.hex(), "Cache-Control": "no-store"},
            )

        return await lanes.read(Lane.MACHINE, work)

    @router.post(
        "/certificates/lookup", operation_id="lookUpCertificate", tags=["issuer"], responses=_PROBLEMS
    )
    def look_up(body: LookupBody, authorization: Annotated[str | None, Header()] = None) -> Response:
        """Finds an e-certificate by its identifier, which never stands in an address."""
        who = caller(authorization, "cert.read")
        return _private(_certificate_json(own(service.issuing.issued(identifier=body.identifier), who)))

    @router.get("/certificates/{pid}", operation_id="getCertificate", tags=["issuer"], responses=_PROBLEMS)
    def read(pid: str, authorization: Annotated[str | None, Header()] = None) -> Response:
        who = caller(authorization, "cert.read")
        return _private(_certificate_json(own(service.issuing.issued(pid=_pid(pid)), who)))

    @router.get(
        "/certificates/{pid}/file", operation_id="getCertificateFile", tags=["issuer"], responses=_PROBLEMS
    )
    def read_file(
        pid: str,
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
        authorization: Annotated[str | None, Header()] = None,
    ) -> Response:
        """The issued PDF, or a later version of it."""
        who = caller(authorization, "cert.read")
        found = own(service.issuing.issued(pid=_pid(pid)), who)
        file = service.archiving.file(found.pid, None if version == "latest" else int(version))
        access.trail.record(who.label, "read-file", found.pid, None, "given")
        return Response(file, media_type="application/pdf", headers={"Cache-Control": "no-store"})

    @router.get(
        "/certificates/{pid}/versions",
        operation_id="listFileVersions",
        tags=["issuer"],
        responses={**_PROBLEMS, 200: _example(_VERSIONS_EXAMPLE)},
    )
    def list_versions(pid: str, authorization: Annotated[str | None, Header()] = None) -> Response:
        """The issued file and its later versions, in their order."""
        who = caller(authorization, "cert.read")
        found = own(service.issuing.issued(pid=_pid(pid)), who)
        listed = service.archiving.versions(found.pid)
        access.trail.record(who.label, "list-versions", found.pid, None, "given")
        base = f"/api/v1/certificates/{found.pid.hex()}"
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
        return _private({"items": items})

    @router.get(
        "/certificates/{pid}/versions/{number}/receipt",
        operation_id="getVersionReceipt",
        tags=["issuer"],
        response_class=Response,
        responses={
            **_PROBLEMS,
            200: {
                "description": "the receipt",
                "content": {
                    "text/plain": {"example": "c2sp.org/tlog-proof@v1\nextra …\nindex 19\n…"},
                    "application/octet-stream": {},
                },
            },
        },
    )
    def read_receipt(
        pid: str,
        number: Annotated[int, Path(ge=0, le=9999)],
        form: Annotated[
            Literal["tlog-proof", "der"],
            Query(description="a detached .tlog-proof, or the stored DER with the salts that open its entry"),
        ] = "tlog-proof",
        authorization: Annotated[str | None, Header()] = None,
    ) -> Response:
        """The ledger receipt of one version; that of the issued file (0) is inside it too."""
        who = caller(authorization, "cert.read")
        found = own(service.issuing.issued(pid=_pid(pid)), who)
        der = service.exporting.receipt(found.pid, number)
        access.trail.record(who.label, "read-receipt", found.pid, None, "given")
        headers = {"Cache-Control": "no-store"}
        if form == "der":
            return Response(der, media_type="application/octet-stream", headers=headers)
        return Response(detached(der), media_type="text/plain; charset=utf-8", headers=headers)

    def status_route(act: StatusAct) -> Callable[..., Awaitable[Response]]:
        async def change(
            pid: str,
            body: StatusBody,
            request: Request,
            authorization: Annotated[str | None, Header()] = None,
            idempotency_key: Annotated[str | None, Header()] = None,
        ) -> Response:
            raw = await request.body()

            def work() -> Response:
                who = caller(authorization, "cert.status")
                found = own(service.issuing.issued(pid=_pid(pid)), who)

                def run() -> tuple[int, dict[str, Any]]:
                    changed = service.statuses.change(
                        found.pid, act, reason=body.reason, note=body.note, actor=who.authority_id
                    )
                    access.trail.record(who.label, act.value, found.pid, None, changed.status.value)
                    return 200, _certificate_json(changed)

                route = f"{act.value}:{pid}"
                return idempotency.run(who.key_id, route, idempotency_key, raw, service.clock.now(), run)

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
            responses=_PROBLEMS,
            summary=f"{act.value.capitalize()} an e-certificate, with its reason",
        )(status_route(act))

    @router.post(
        "/certificates/{pid}/replace",
        status_code=201,
        operation_id="replaceCertificate",
        tags=["issuer"],
        responses=_PROBLEMS,
    )
    async def replace(
        pid: str,
        body: ReplaceBody,
        request: Request,
        authorization: Annotated[str | None, Header()] = None,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Issues the next version and marks this one replaced: the key needs both rights, to issue and to change."""
        raw = await request.body()

        def work() -> Response:
            caller(authorization, "cert.issue")
            who = caller(authorization, "cert.status")
            old = own(service.issuing.issued(pid=_pid(pid)), who)

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
                outcome = service.statuses.replace(old.pid, asked, reason=body.reason, actor=who.authority_id)
                if outcome.error is not None:
                    raise outcome.error
                assert outcome.issued is not None
                access.trail.record(who.label, "replace", old.pid, None, "REPLACED")
                return 201, _certificate_json(outcome.issued)

            return idempotency.run(
                who.key_id, f"replace:{pid}", idempotency_key, raw, service.clock.now(), act
            )

        return await in_thread(ledger_limiter, work)

    # --- holder and verifier ---

    @router.post(
        "/presentations",
        status_code=201,
        operation_id="startPresentation",
        tags=["holder"],
        responses=_PROBLEMS,
    )
    def present(body: PresentBody, authorization: Annotated[str | None, Header()] = None) -> Response:
        """Begins to show an e-certificate, for a department's own app; holders use their wallet."""
        who = caller(authorization, "cert.present")
        found = own(service.issuing.issued(pid=_pid(body.pid)), who)
        shown = service.presenting.start(
            found.pid,
            purpose=body.purpose,
            level=Level(body.level),
            audience=body.audience,
            ttl=timedelta(seconds=body.ttl_seconds),
        )
        code, changes_at = service.presenting.code(shown, service.clock.now())
        access.trail.record(who.label, "present", found.pid, body.purpose, "started")
        return _private(
            {"code": code, "changes_at": changes_at.isoformat(), "ends_at": shown.expires_at.isoformat()}, 201
        )

    @router.post(
        "/presentations/redeem", operation_id="redeemPresentation", tags=["verifier"], responses=_PROBLEMS
    )
    async def redeem(body: CodeBody, authorization: Annotated[str | None, Header()] = None) -> Response:
        """Uses a live code. A code works once; the answer is a report whatever the verdict."""
        lane, label = await asking(authorization)
        return await lanes.decode(lane, lambda: verified(body.code, lane, label))

    async def asking(authorization: str | None) -> tuple[Lane, str]:
        """The lane and the name of who wants something verified; a key is asked for before a body is read."""
        if not authorization:
            return Lane.PUBLIC, ""
        return Lane.MACHINE, (await run_in_threadpool(caller, authorization, "verify")).label

    def verified(given: bytes | str, lane: Lane, label: str) -> Response:
        report, value = service.checking.verify_and_file(
            given, service.clock.now(), lane=lane, verifier=label
        )
        metrics.verdict(report.kind, report.verdict.value, report.code)
        return _private(value)

    @router.post(
        "/verifications/digests", operation_id="verifyDigests", tags=["verifier"], responses=_PROBLEMS
    )
    async def verify_digests(
        body: DigestsBody, authorization: Annotated[str | None, Header()] = None
    ) -> Response:
        """Up to 10,000 SHA-256 digests of files: which of them the register gave out, and what holds of each now."""
        await run_in_threadpool(caller, authorization, "verify")

        def work() -> Response:
            at = service.clock.now()
            found = service.checking.digests([bytes.fromhex(each) for each in body.digests], at)
            return _private({"as_of": at.isoformat(), "items": [digest_json(each) for each in found]})

        return await lanes.decode(Lane.MACHINE, work)

    @router.get("/reports/{code}", operation_id="getReport", tags=["public"], responses=_PROBLEMS)
    def filed_report(code: Annotated[str, Path(max_length=32)]) -> Response:
        """What was filed under a report code: that such a check was made, and its verdict. No field, no name."""
        return _private(filed_report_json(service.reporting.find(code)))

    @router.post(
        "/verifications",
        operation_id="verify",
        tags=["verifier"],
        responses=_PROBLEMS,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "required": ["file"],
                            "properties": {"file": {"type": "string", "format": "binary"}},
                        }
                    },
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["code"],
                            "properties": {"code": {"type": "string"}},
                        },
                        "example": {"code": "HTTPS://V.YINZHENG.EXAMPLE/Q/2KCEZ…"},
                    },
                },
            }
        },
    )
    async def verify(request: Request, authorization: Annotated[str | None, Header()] = None) -> Response:
        """Verifies a PDF, a picture of a code, or a code's text. 200 with a report whatever the verdict."""
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type not in ("multipart/form-data", "application/json"):
            return _unsupported()
        lane, label = await asking(authorization)
        with lanes.admitted(lane, *sender_of(request)):
            if content_type == "application/json":
                code = _code_of(await request.body())
                return await lanes.decode(lane, lambda: verified(code, lane, label))
            async with request.form(max_files=1, max_fields=4) as form:
                upload = form.get("file")
                if not isinstance(upload, UploadedFile):
                    raise Malformed("The form has no file.", "Send the file in the field `file`.")
                _check_size(upload)
                # Read only when a reader is free: what waits is on the disk, not in memory.
                return await lanes.read(lane, lambda: verified(upload.file.read(), lane, label))

    # --- anyone ---

    @router.get("/types", operation_id="listTypes", tags=["public"])
    def types() -> Any:
        """The certificate types and their fields."""
        return {
            "items": [
                {
                    "short": p.short,
                    "type_code": p.type_code,
                    "version": p.version,
                    "name": {"zh-CN": p.name.zh, "en": p.name.en},
                    "fields": [
                        {
                            "name": f.name,
                            "gb": f.gb,
                            "type": f.type.value,
                            "required": f.required,
                            "max_length": f.max_length,
                            "choices": list(f.choices),
                            "label": {"zh-CN": f.label.zh, "en": f.label.en},
                        }
                        for f in p.fields
                    ],
                }
                for p in load_catalogue().values()
            ]
        }

    @router.get("/ledger/proof", operation_id="proveInclusion", tags=["ledger"], responses=_PROBLEMS)
    def prove(index: Annotated[int, Query(ge=0, le=1 << 62)]) -> Response:
        """A c2sp.org/tlog-proof of one entry against the published checkpoint."""
        return Response(format_receipt(service.log.prove(index)), media_type="text/plain; charset=utf-8")

    @router.get("/ledger/consistency", operation_id="proveConsistency", tags=["ledger"], responses=_PROBLEMS)
    def consistency(old: Annotated[int, Query(ge=1, le=1 << 62)]) -> Any:
        """Proof that the ledger of size `old` is a prefix of the published one."""
        # The checkpoint first: a proof against a head that moves on meanwhile would not fit it.
        checkpoint = parse_checkpoint(parse_note(service.log.published_note()).text)
        proof = service.log.consistency(old, checkpoint.size)
        return {
            "old_size": old,
            "size": checkpoint.size,
            "root": base64.b64encode(checkpoint.root).decode(),
            "proof": [base64.b64encode(each).decode() for each in proof],
        }

    router.include_router(seals_router(service, access, caller))
    router.include_router(keys_router(service, access, caller))
    return router


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {"application/problem+json": {}}}
    for status, text in (
        (401, "no or bad API key"),
        (403, "the key does not allow this"),
        (404, "no such thing, or another department's"),
        (409, "contradicts what is recorded, or still running"),
        (413, "larger than 20 MiB"),
        (422, "not in its form, or breaks the rules of its type; every reason at once"),
        (503, "not available at the moment; Retry-After says when"),
    )
}


_VERSIONS_EXAMPLE = {
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
    ]
}


def _example(value: dict[str, Any]) -> dict[str, Any]:
    return {"description": "Successful Response", "content": {"application/json": {"example": value}}}


def _certificate_json(found: IssuedECertificate) -> dict[str, Any]:
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


def _private(body: dict[str, Any], status: int = 200) -> JSONResponse:
    return JSONResponse(body, status, {"Cache-Control": "no-store"})


def _unsupported() -> Response:
    from trust.web.problems import problem

    return problem(415, "UNSUPPORTED_MEDIA", "Send multipart/form-data with a file, or JSON with a code.")


def _pid(text: str) -> bytes:
    try:
        pid = bytes.fromhex(text)
    except ValueError:
        pid = b""
    if len(pid) != 16:
        raise NotFound("There is no such e-certificate.", "Check the public id.")
    return pid


def _photo(encoded: str | None) -> bytes | None:
    if encoded is None:
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as exc:
        raise Malformed("photo_base64 is not base64.", "Encode the JPEG or PNG file.") from exc


def _check_size(upload: UploadedFile) -> None:
    if (upload.size or 0) > MAX_FILE_BYTES:
        raise Malformed("The file is larger than 20 MiB.", "Make it smaller.", code="TOO_LARGE")


def _code_of(body: bytes) -> str:
    try:
        return CodeBody.model_validate_json(body).code
    except ValueError as exc:
        raise Malformed(
            'The body is not {"code": …}.', "Send the code's text, 8192 characters at most."
        ) from exc
