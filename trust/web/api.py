"""What all routes of the API share: bodies, authentication, declared problems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import UploadFile

from trust.model.actor import Actor, Permission
from trust.model.errors import Malformed, NotFound, NotPermitted
from trust.pdf.limits import MAX_FILE_BYTES
from trust.people.access import Access

API = "/api/v1"
"""Prefix of every route of the API. It stands at each router: logs and metrics name a route by its own path."""

Authorization = Annotated[str | None, Header()]
IdempotencyKey = Annotated[str | None, Header()]


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


PROBLEMS: dict[int | str, dict[str, Any]] = {
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
"""Problems that any route of the API may answer, for its description."""


def example(value: dict[str, Any]) -> dict[str, Any]:
    """An example of a 200 answer with this JSON, for a route's description."""
    return {"description": "Successful Response", "content": {"application/json": {"example": value}}}


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
