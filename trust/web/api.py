"""What all routes of the API share: bodies, authentication, declared problems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import UploadFile

from trust.model.actor import Actor, Permission
from trust.model.errors import Malformed, NotFound, NotPermitted
from trust.pdf.limits import MAX_FILE_BYTES
from trust.people.access import Access
from trust.web.description import SCOPES_OF_ROUTE, SECURITY_SCHEME
from trust.web.problems import problem_value

API = "/api/v1"
"""Prefix of every route of the API. It stands at each router: logs and metrics name a route by its own path."""

_API_KEY = HTTPBearer(
    scheme_name=SECURITY_SCHEME,
    auto_error=False,
    description="An API key, which an operator makes with `yinzheng access new-key` and its scopes.",
)


async def _authorization(
    request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_API_KEY)]
) -> str | None:
    # As it was sent: another scheme than Bearer is a bad key, and not a request without one.
    return request.headers.get("authorization")


Authorization = Annotated[str | None, Depends(_authorization)]
"""The header of a route that needs an API key; the description names it as a security scheme."""
ANYBODY: tuple[Permission, ...] = ()
"""Of `needs`: a request without a key is answered too."""


def needs(*ways: Permission | tuple[Permission, ...]) -> dict[str, Any]:
    """For `openapi_extra`: the scopes that a key must have for this route; of several ways, one is enough."""
    scopes = [way if isinstance(way, tuple) else (way,) for way in ways]
    return {SCOPES_OF_ROUTE: [[each.value for each in way] for way in scopes]}


IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", include_in_schema=False)]
IfMatch = Annotated[str | None, Header(alias="If-Match", include_in_schema=False)]
IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", include_in_schema=False)]
"""Read by the route, described by the parameters below: what is wrong with them is told in words of their own."""


def idempotency_key(*, required: bool) -> dict[str, Any]:
    """The header `Idempotency-Key` in the description of a route."""
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": required,
        "description": "A fresh random text for each new request. The same request under the same key is carried out "
        "once; sent again, it gets the first answer with `Idempotent-Replayed: true`.",
        "schema": {
            "type": "string",
            "minLength": 16,
            "maxLength": 255,
            "pattern": "^[!-~][ -~]{14,253}[!-~]$",
        },
        "example": "6f1d6a0e-8a3b-4e0f-9d8c-0c8f3f2b7a11",
    }


class Body(BaseModel):
    """Request bodies refuse what they do not know: a misspelt field must not be dropped in silence."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Callers:
    """Authenticates callers by the API key in the header `Authorization`."""

    access: Access

    def check(self, authorization: str | None, permission: Permission) -> Actor:
        """The client. Raises `NotPermitted`: UNAUTHENTICATED, or NOT_PERMITTED without the scope."""
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise NotPermitted(
                "An API key is needed.", "Send it as `Authorization: Bearer …`.", code="UNAUTHENTICATED"
            )
        return self.access.clients.check_api_key(key.strip(), permission)


_MEANINGS = {
    400: "the body cannot be read",
    401: "no or bad API key",
    403: "the key does not allow this",
    404: "no such thing, or another department's",
    408: "the request did not arrive within a minute",
    409: "contradicts what is recorded, or still running",
    412: "changed since it was read (`If-Match`); nothing was done",
    413: "larger than 20 MiB",
    415: "another media type than those that are taken",
    422: "not in its form, or breaks the rules of its type; every reason at once",
    429: "too many requests; Retry-After says when to come back",
    500: "something went wrong on our side",
    503: "not available at the moment; Retry-After says when",
}
_HEADERS = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string", "const": "Bearer"}}},
    429: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 0}}},
    503: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 0}}},
}
_EXAMPLES = {
    401: ("UNAUTHENTICATED", "An API key is needed. Send it as `Authorization: Bearer …`."),
    403: ("NOT_PERMITTED", "The key has no scope cert.issue. Ask the operator for a key that has it."),
    404: ("NOT_FOUND", "There is no such e-certificate. Check the public id."),
    409: ("STATE_CONFLICT", "An e-certificate that is REVOKED cannot be suspended."),
    412: (
        "PRECONDITION_FAILED",
        "This has changed since it was read. Read it again and decide anew.",
    ),
    413: ("TOO_LARGE", "The request is larger than 20 MiB."),
    422: ("VALIDATION_FAILED", "The request is not in its form."),
    429: (
        "RATE_LIMITED",
        "More was asked in a minute than one client may. Wait as long as Retry-After says.",
    ),
    503: ("BUSY", "All readers are at work. Try again shortly."),
}
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of the e-certificate as it was read: if it has changed since, nothing is done (412).",
    "schema": {"type": "string"},
    "example": '"5d41402abc4b2a76b9719d911017c592"',
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of the answer that is at hand: 304 if it is still the same.",
    "schema": {"type": "string"},
}
ACTS_ONCE = {"parameters": [idempotency_key(required=True)]}
ACTS_ONCE_IF_UNCHANGED = {"parameters": [idempotency_key(required=True), _IF_MATCH]}
MAY_ACT_ONCE = {"parameters": [idempotency_key(required=False)]}
GIVES_WHAT_CHANGED = {"parameters": [_IF_NONE_MATCH]}
"""For `openapi_extra`: the headers that a route takes."""
ETAG: dict[str, Any] = {
    "ETag": {
        "required": True,
        "description": "of the e-certificate as it stands here",
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
    }
}
REPLAYED: dict[str, Any] = {
    "Idempotent-Replayed": {
        "description": "there if this is the answer to an earlier request with the same key",
        "schema": {"type": "string", "const": "true"},
    }
}
KEY = (401, 403)
"""Problems of a route that needs an API key."""
BODY = (400, 408, 413, 422)
"""Problems of a route that takes a body."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer, for its description. Every route may be out of order or unavailable."""
    return {status: _described(status) for status in sorted({*statuses, 500, 503})}


def _described(status: int) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Problem"}}
    if status in _EXAMPLES:
        content["example"] = problem_value(
            status, *_EXAMPLES[status], trace_id="4bf92f3577b34da6a3ce929d0e0e4736"
        )
    described: dict[str, Any] = {
        "description": _MEANINGS[status],
        "content": {"application/problem+json": content},
    }
    if status in _HEADERS:
        described["headers"] = dict(_HEADERS[status])
    return described


def answers(media_type: str, description: str, *, example: str | None = None) -> dict[str, Any]:
    """A 200 answer that is no JSON, for a route's description."""
    is_text = media_type.startswith("text/")
    content: dict[str, Any] = {
        "schema": {"type": "string"} if is_text else {"type": "string", "format": "binary"}
    }
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {media_type: content}}


def private(body: dict[str, Any], status: int = 200) -> JSONResponse:
    """An answer that caches must not store."""
    return JSONResponse(body, status, {"Cache-Control": "no-store"})


def read_pid(text: str) -> bytes:
    """The 16 bytes of a public id in hex. Raises `NotFound`."""
    try:
        pid = bytes.fromhex(text)
    except ValueError:
        pid = b""
    if len(pid) != 16:
        raise NotFound("There is no such e-certificate.", "Check the public id.")
    return pid


def check_size(upload: UploadFile) -> None:
    """Raises `Malformed` (TOO_LARGE) if the file is larger than allowed."""
    if (upload.size or 0) > MAX_FILE_BYTES:
        raise Malformed("The file is larger than 20 MiB.", "Make it smaller.", code="TOO_LARGE")
