"""Verifications over HTTP: files, codes, digests, reports."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import Field
from starlette.datastructures import UploadFile as UploadedFile
from starlette.exceptions import HTTPException

from trust.model.actor import PUBLIC, Actor, Permission
from trust.model.errors import Malformed
from trust.sandbox.lanes import Lane
from trust.web.api import (
    ANYBODY,
    API,
    BODY,
    KEY,
    Authorization,
    Body,
    Callers,
    check_size,
    needs,
    private,
    problems,
)
from trust.web.lanes import Lanes
from trust.web.metrics import Metrics
from trust.web.rate_limits import LIMITED, RateLimits
from trust.web.sender import sender_of
from verifier.checks.digests import digest_json
from verifier.http.answers import DigestAnswers, FiledReportAnswer, VerificationReport
from verifier.reports.shown import filed_report_json
from verifier.service import VerifierService


class CodeBody(Body):
    code: str = Field(max_length=8192, examples=["HTTPS://V.YINZHENG.EXAMPLE/Q/2KCEZ…"])


class DigestsBody(Body):
    digests: list[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(
        min_length=1,
        max_length=10_000,
        examples=[["318eebad4215763d2044f53ce1ba61b7d4685d07ac306f0b9a52dad2f83184a4"]],
    )


def verifications_router(
    service: VerifierService, callers: Callers, metrics: Metrics, lanes: Lanes, limits: RateLimits
) -> APIRouter:
    router = APIRouter(prefix=API)

    @router.post(
        "/presentations/redeem",
        operation_id="redeemPresentation",
        tags=["verifier"],
        response_model=VerificationReport,
        responses={**problems(*KEY, *BODY, 429), 200: {"headers": LIMITED}},
        openapi_extra=needs(Permission.VERIFY, ANYBODY),
    )
    async def redeem(request: Request, body: CodeBody, authorization: Authorization) -> Response:
        """Uses a live code. A code works once; the answer is a report whatever the verdict."""
        lane, who = await asking(request, authorization)
        return await lanes.decode(lane, lambda: verified(who, body.code, lane))

    async def asking(request: Request, authorization: str | None) -> tuple[Lane, Actor]:
        """The lane of who wants something verified; a key is asked for before a body is read."""
        if not authorization:
            limits.spend(request, PUBLIC)
            return Lane.PUBLIC, PUBLIC
        who = await run_in_threadpool(callers.check, authorization, Permission.VERIFY)
        limits.spend(request, who)
        return Lane.MACHINE, who

    def verified(who: Actor, given: bytes | str, lane: Lane) -> Response:
        report, value = service.checking.verify_and_file(who, given, service.clock.now(), lane=lane)
        metrics.verdict(report.kind, report.verdict.value, report.code)
        return private(value)

    @router.post(
        "/verifications/digests",
        operation_id="verifyDigests",
        tags=["verifier"],
        response_model=DigestAnswers,
        openapi_extra=needs(Permission.VERIFY),
        responses={**problems(*KEY, *BODY, 429), 200: {"headers": LIMITED}},
    )
    async def verify_digests(request: Request, body: DigestsBody, authorization: Authorization) -> Response:
        """Up to 10,000 SHA-256 digests of files: which of them the register gave out, and what holds of each now."""
        who = await run_in_threadpool(callers.check, authorization, Permission.VERIFY)
        limits.spend(request, who)

        def work() -> Response:
            at = service.clock.now()
            found = service.checking.digests(who, [bytes.fromhex(each) for each in body.digests], at)
            return private({"as_of": at.isoformat(), "items": [digest_json(each) for each in found]})

        return await lanes.decode(Lane.MACHINE, work)

    @router.get(
        "/reports/{code}",
        operation_id="getReport",
        tags=["public"],
        response_model=FiledReportAnswer,
        responses=problems(404, 422),
    )
    def filed_report(code: Annotated[str, Path(max_length=32)]) -> Response:
        """What was filed under a report code: that such a check was made, and its verdict. No field, no name."""
        return private(filed_report_json(service.reporting.find(code)))

    @router.post(
        "/verifications",
        operation_id="verify",
        tags=["verifier"],
        response_model=VerificationReport,
        responses={**problems(*KEY, 415, *BODY, 429), 200: {"headers": LIMITED}},
        openapi_extra={
            **needs(Permission.VERIFY, ANYBODY),
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "required": ["file"],
                            "properties": {"file": {"type": "string", "format": "binary"}},
                            "additionalProperties": False,
                        }
                    },
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["code"],
                            "properties": {"code": {"type": "string", "maxLength": 8192}},
                            "additionalProperties": False,
                        },
                        "example": {"code": "HTTPS://V.YINZHENG.EXAMPLE/Q/2KCEZ…"},
                    },
                },
            },
        },
    )
    async def verify(request: Request, authorization: Authorization) -> Response:
        """Verifies a PDF, a picture of a code, or a code's text. 200 with a report whatever the verdict."""
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type not in ("multipart/form-data", "application/json"):
            raise HTTPException(415, "Send multipart/form-data with a file, or JSON with a code.")
        lane, who = await asking(request, authorization)
        with lanes.admitted(lane, *sender_of(request)):
            if content_type == "application/json":
                code = _code_of(await request.body())
                return await lanes.decode(lane, lambda: verified(who, code, lane))
            async with request.form(max_files=1, max_fields=4) as form:
                upload = form.get("file")
                if not isinstance(upload, UploadedFile) or len(form) != 1:
                    raise Malformed(
                        "The form has no file, or more than that.", "Send the file in the field `file`."
                    )
                check_size(upload)
                # Read only when a reader is free: what waits is on the disk, not in memory.
                return await lanes.read(lane, lambda: verified(who, upload.file.read(), lane))

    return router


def _code_of(body: bytes) -> str:
    try:
        return CodeBody.model_validate_json(body).code
    except ValueError as exc:
        raise Malformed(
            'The body is not {"code": …}.', "Send the code's text, 8192 characters at most."
        ) from exc
