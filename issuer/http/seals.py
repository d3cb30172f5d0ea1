"""The registry of e-seals over HTTP: applying, reviewing, making, recording, authorising, freezing, revoking, reading.

The scope `seal` is for seal keepers, `seal.review` for reviewers. The acting person is recorded as the id of the API
key, so that a review by the key that applied is refused. A department sees only its own seals.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as ApiPath
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from issuer.http.answers import AskedApproval, SealAnswer, SealHistory, Seals, SealUses
from issuer.pki.identities import SealIdentity
from issuer.seals.registry import ESeal, SealApplication, SealEvent
from issuer.service import IssuerService
from keys.suites import Suite
from trust.model.actor import Actor, Permission
from trust.model.errors import Malformed, NotFound
from trust.model.seal import SealPolicy, SealShape
from trust.web.api import (
    API,
    BODY,
    KEY,
    MAY_ACT_ONCE,
    Authorization,
    Body,
    IdempotencyKey,
    answers,
    needs,
    problems,
)
from trust.web.idempotency import Idempotency
from trust.web.paging import (
    LINK,
    USUAL_LIMIT,
    After,
    Limit,
    cut,
    page_answer,
    read_cursor,
    read_numbers,
)

CallerOf = Callable[[str | None, Permission], Actor]


class ApplyBody(Body):
    id: str = Field(max_length=63, examples=["cc-scjg-sm2"])
    authority: str = Field(max_length=32, examples=["cc-scjg"])
    suite: str = Field(default="SM2-SM3", max_length=20)
    second_line: str = Field(default="", max_length=10)
    diameter_mm: float = Field(default=42.0, description="width, for other shapes than round")
    shape: SealShape = SealShape.ROUND
    person: str | None = Field(default=None, max_length=12, description="name on a square seal")
    artwork_base64: str | None = Field(
        default=None, max_length=700_000, description="PNG, for shape uploaded"
    )
    renews: str | None = Field(default=None, max_length=63)
    note: str = Field(default="", max_length=200)


class ActBody(Body):
    note: str = Field(default="", max_length=200)
    since: datetime | None = Field(default=None, description="only for report-lost and revoke; with a zone")
    identity: str | None = Field(
        default=None, max_length=32, description="only for make: a certificate of a CA outside"
    )


class PolicyBody(Body):
    types: list[str] | None = Field(default=None, max_length=100)
    callers: list[str] | None = Field(default=None, max_length=100)
    per_day: int | None = Field(default=None, ge=0)
    second_approval_above: int | None = Field(default=None, ge=0)
    note: str = Field(default="", max_length=200)


class ManyBody(Body):
    count: int = Field(ge=1, le=10_000_000, examples=[500])


Number = Annotated[int, ApiPath(ge=1, le=(1 << 63) - 1)]
_ACTS = ["approve", "reject", "make", "record", "freeze", "unfreeze", "report-lost", "revoke"]
# Another act is an address that does not exist (404), so the framework does not check it.
Act = Annotated[str, ApiPath(json_schema_extra={"enum": _ACTS})]


def seals_router(service: IssuerService, caller: CallerOf, idempotency: Idempotency) -> APIRouter:
    router = APIRouter(prefix=API, tags=["seals"])
    seals = service.seals

    def own(seal_id: str, who: Actor) -> SealApplication:
        """The seal, if the caller may see it. Raises the same `NotFound` for another department's as for a missing
        one."""
        found = seals.registry.application(seal_id)
        if not who.sees(found.authority_id):
            raise NotFound(f"There is no seal {seal_id}.", "Check its id.", code="UNKNOWN_SEAL")
        return found

    def once(
        who: Actor,
        route: str,
        key: str | None,
        body: Body | None,
        act: Callable[[], tuple[int, dict[str, Any]]],
    ) -> JSONResponse:
        """The answer of `act`, which is carried out once if the client gave its request a key."""
        asked = body.model_dump_json().encode() if body is not None else b""
        return idempotency.run(who.actor_id, route, key, asked, service.clock.now(), act, required=False)

    def _json_of(seal_id: str) -> dict[str, Any]:
        return seal_json(seals.registry.application(seal_id), seals.registry.find(seal_id))

    def _identity(identity_id: str | None) -> SealIdentity | None:
        return service.identities.get(identity_id) if identity_id is not None else None

    @router.get(
        "/seals",
        operation_id="listSeals",
        openapi_extra=needs(Permission.HANDLE_SEALS),
        response_model=Seals,
        responses={**problems(*KEY, 422), 200: {"headers": LINK}},
    )
    def listed(
        request: Request, authorization: Authorization, after: After = None, limit: Limit = USUAL_LIMIT
    ) -> JSONResponse:
        """Every seal of the key's department, made or not, in the order of their ids."""
        who = caller(authorization, Permission.HANDLE_SEALS)
        found = seals.registry.page(read_cursor(after), limit + 1, authority_id=who.organisation)
        page, cursor = cut(found, limit, lambda each: each[0].seal_id)
        return page_answer(request, "seals", [seal_json(*each) for each in page], cursor)

    @router.post(
        "/seals",
        status_code=201,
        operation_id="applyForSeal",
        openapi_extra=MAY_ACT_ONCE | needs(Permission.HANDLE_SEALS),
        response_model=SealAnswer,
        responses=problems(*KEY, 404, 409, *BODY),
    )
    def apply(body: ApplyBody, authorization: Authorization, key: IdempotencyKey = None) -> JSONResponse:
        who = caller(authorization, Permission.HANDLE_SEALS)
        if body.suite not in [known.value for known in Suite]:
            raise Malformed("There is no such suite.", "Choose SM2-SM3, RSA3072-SHA256 or P256-SHA256.")

        def act() -> tuple[int, dict[str, Any]]:
            seals.apply(
                who,
                body.id,
                body.authority,
                Suite(body.suite),
                second_line=body.second_line,
                diameter_mm=body.diameter_mm,
                shape=body.shape,
                person=body.person,
                artwork=_artwork(body.artwork_base64),
                renews=body.renews,
                note=body.note,
            )
            return 201, _json_of(body.id)

        return once(who, "seal.apply", key, body, act)

    @router.get(
        "/seals/{seal_id}",
        operation_id="getSeal",
        openapi_extra=needs(Permission.HANDLE_SEALS),
        response_model=SealAnswer,
        responses=problems(*KEY, 404),
    )
    def one(seal_id: str, authorization: Authorization) -> JSONResponse:
        own(seal_id, caller(authorization, Permission.HANDLE_SEALS))
        return JSONResponse(_json_of(seal_id), headers={"Cache-Control": "no-store"})

    @router.get(
        "/seals/{seal_id}/preview",
        operation_id="previewSeal",
        openapi_extra=needs(Permission.HANDLE_SEALS),
        response_class=Response,
        responses={**problems(*KEY, 404), 200: answers("image/svg+xml", "the picture")},
    )
    def preview(seal_id: str, authorization: Authorization) -> Response:
        """The picture, as SVG, before and after it is made."""
        own(seal_id, caller(authorization, Permission.HANDLE_SEALS))
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": "default-src 'none'; img-src data:",
        }
        return Response(seals.preview(seal_id).svg, media_type="image/svg+xml", headers=headers)

    @router.get(
        "/seals/{seal_id}/history",
        operation_id="getSealHistory",
        openapi_extra=needs(Permission.HANDLE_SEALS),
        response_model=SealHistory,
        responses={**problems(*KEY, 404, 422), 200: {"headers": LINK}},
    )
    def history(
        request: Request,
        seal_id: str,
        authorization: Authorization,
        after: After = None,
        limit: Limit = USUAL_LIMIT,
    ) -> JSONResponse:
        """Every step in its life, oldest first."""
        own(seal_id, caller(authorization, Permission.HANDLE_SEALS))
        (behind,) = read_numbers(after) or (None,)
        found = seals.registry.page_of_history(seal_id, behind, limit + 1)
        page, cursor = cut(found, limit, lambda each: str(each[0]))
        return page_answer(request, "events", [_event_json(event) for _, event in page], cursor)

    @router.get(
        "/seals/{seal_id}/uses",
        operation_id="getSealUses",
        openapi_extra=needs(Permission.HANDLE_SEALS),
        response_model=SealUses,
        responses={**problems(*KEY, 404, 422), 200: {"headers": LINK}},
    )
    def uses(
        request: Request,
        seal_id: str,
        authorization: Authorization,
        since: datetime | None = None,
        after: After = None,
        limit: Limit = USUAL_LIMIT,
    ) -> JSONResponse:
        """Each use since that time, oldest first; those of erased e-certificates are left out."""
        own(seal_id, caller(authorization, Permission.HANDLE_SEALS))
        found = seals.registry.page_of_uses(seal_id, _zoned(since), read_numbers(after, 2), limit + 1)
        page, cursor = cut(found, limit, lambda each: f"{each[0][0]},{each[0][1]}")
        shown = [
            {"at": use.at.isoformat(), "by": use.by, "pid": use.pid.hex()}
            for _, use in page
            if use is not None
        ]
        return page_answer(request, "uses", shown, cursor)

    @router.put(
        "/seals/{seal_id}/policy",
        operation_id="authoriseSeal",
        openapi_extra=MAY_ACT_ONCE | needs(Permission.REVIEW_SEALS),
        response_model=SealAnswer,
        responses=problems(*KEY, 404, 409, *BODY),
    )
    def authorise(
        seal_id: str, body: PolicyBody, authorization: Authorization, key: IdempotencyKey = None
    ) -> JSONResponse:
        who = caller(authorization, Permission.REVIEW_SEALS)
        own(seal_id, who)
        policy = SealPolicy(body.types, body.callers, body.per_day, body.second_approval_above)

        def act() -> tuple[int, dict[str, Any]]:
            seals.authorise(who, seal_id, policy, note=body.note)
            return 200, _json_of(seal_id)

        return once(who, f"seal.authorise:{seal_id}", key, body, act)

    @router.post(
        "/seals/{seal_id}/requests",
        status_code=201,
        operation_id="requestManyUses",
        openapi_extra=MAY_ACT_ONCE | needs(Permission.HANDLE_SEALS),
        response_model=AskedApproval,
        responses=problems(*KEY, 404, *BODY),
    )
    def request_many(
        seal_id: str, body: ManyBody, authorization: Authorization, key: IdempotencyKey = None
    ) -> JSONResponse:
        who = caller(authorization, Permission.HANDLE_SEALS)
        own(seal_id, who)
        return once(
            who,
            f"seal.request:{seal_id}",
            key,
            body,
            lambda: (201, {"approval": seals.using.request_many(who, seal_id, body.count)}),
        )

    @router.post(
        "/seals/{seal_id}/requests/{number}/approve",
        operation_id="approveManyUses",
        openapi_extra=MAY_ACT_ONCE | needs(Permission.REVIEW_SEALS),
        response_model=SealAnswer,
        responses=problems(*KEY, 404, 409, 422),
    )
    def approve_many(
        seal_id: str, number: Number, authorization: Authorization, key: IdempotencyKey = None
    ) -> JSONResponse:
        who = caller(authorization, Permission.REVIEW_SEALS)
        own(seal_id, who)

        def act() -> tuple[int, dict[str, Any]]:
            seals.using.approve_many(who, number, seal_id=seal_id)
            return 200, _json_of(seal_id)

        return once(who, f"seal.approve-many:{seal_id}/{number}", key, None, act)

    @router.post(
        "/seals/{seal_id}/{act}",
        operation_id="actOnSeal",
        openapi_extra=MAY_ACT_ONCE | needs(Permission.HANDLE_SEALS, Permission.REVIEW_SEALS),
        response_model=SealAnswer,
        responses=problems(*KEY, 404, 409, *BODY),
    )
    def act_on(
        seal_id: str, act: Act, body: ActBody, authorization: Authorization, key: IdempotencyKey = None
    ) -> JSONResponse:
        """`act` is approve, reject, make, record, freeze, unfreeze, report-lost or revoke."""
        who = caller(authorization, Permission.REVIEW_SEALS if act in _REVIEWS else Permission.HANDLE_SEALS)
        own(seal_id, who)
        note, since = body.note, _zoned(body.since)

        def carried_out() -> tuple[int, dict[str, Any]]:
            match act:
                case "approve":
                    seals.approve(who, seal_id, note=note)
                case "reject":
                    seals.reject(who, seal_id, note=note)
                case "make":
                    seals.make_approved(who, seal_id, identity=_identity(body.identity))
                case "record":
                    seals.record(who, seal_id)
                case "freeze":
                    seals.freeze(who, seal_id, note=note)
                case "unfreeze":
                    seals.unfreeze(who, seal_id, note=note)
                case "report-lost":
                    seals.report_lost(who, seal_id, note=note, since=since)
                case "revoke":
                    seals.revoke(who, seal_id, note=note, since=since)
                case _:
                    raise NotFound("There is no such act.", "See the description of this path.")
            return 200, _json_of(seal_id)

        return once(who, f"seal.{act}:{seal_id}", key, body, carried_out)

    return router


_REVIEWS = frozenset({"approve", "reject", "unfreeze"})


def seal_json(found: SealApplication, made: ESeal | None) -> dict[str, Any]:
    return {
        "id": found.seal_id,
        "authority": found.authority_id,
        "name": found.name,
        "second_line": found.second_line,
        "suite": found.suite.value,
        "state": found.state.value,
        "renews": found.renews,
        "identity": made.identity_id if made else None,
        "not_before": made.not_before.isoformat() if made else None,
        "not_after": made.not_after.isoformat() if made else None,
        "policy": {
            "types": list(made.policy.types) if made.policy.types is not None else None,
            "callers": list(made.policy.callers) if made.policy.callers is not None else None,
            "per_day": made.policy.per_day,
            "second_approval_above": made.policy.second_approval_above,
        }
        if made
        else None,
    }


def _event_json(event: SealEvent) -> dict[str, Any]:
    return {
        "act": event.act.value,
        "by": event.by,
        "at": event.at.isoformat(),
        "effective_at": event.effective_at.isoformat(),
        "note": event.note,
        "ledger_index": event.entry_seq,
    }


def _artwork(encoded: str | None) -> bytes | None:
    if encoded is None:
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as exc:
        raise Malformed("artwork_base64 is not base64.", "Encode the PNG file.") from exc


def _zoned(at: datetime | None) -> datetime | None:
    if at is not None and at.tzinfo is None:
        raise Malformed("The time has no zone.", "Write 2026-11-23T08:00:00+08:00.")
    return at
