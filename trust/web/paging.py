"""Lists in pages, by key: each page begins behind the last item of the one before, however many were added meanwhile.

    ?limit=50&after=<next_cursor of the page before>
    {"items": […], "next_cursor": "…" or null}        and the header Link: <…>; rel="next"

A cursor is the key of the last item, in base64url; what is in it is nobody's business but ours.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Query, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from trust.model.errors import Malformed
from trust.web.answers import Answer

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=200, description="the most items of a page")]
After = Annotated[
    str | None,
    Query(max_length=200, description="`next_cursor` of the page before; without it, the first page"),
]
USUAL_LIMIT = 50
LINK: dict[str, Any] = {
    "Link": {
        "description": 'the next page, `rel="next"`, if there is one',
        "schema": {"type": "string", "pattern": '^<.+>; rel="next"$'},
    }
}
_KEY = re.compile(r"[\x20-\x7e]{1,128}")


class Paged(Answer):
    next_cursor: str | None = Field(description="`after` of the next page; null: this was the last one")


def read_cursor(after: str | None) -> str | None:
    """The key in a cursor. Raises `Malformed` (CURSOR)."""
    if after is None:
        return None
    try:
        key = base64.b64decode(after + "=" * (-len(after) % 4), altchars=b"-_", validate=True).decode()
    except ValueError as exc:
        raise _no_cursor() from exc
    if _KEY.fullmatch(key) is None:
        raise _no_cursor()
    return key


def read_numbers(after: str | None, count: int = 1) -> tuple[int, ...] | None:
    """The key in a cursor of so many numbers. Raises `Malformed` (CURSOR)."""
    key = read_cursor(after)
    if key is None:
        return None
    parts = key.split(",")
    if len(parts) != count or not all(re.fullmatch("0|[1-9][0-9]{0,17}", part) for part in parts):
        raise _no_cursor()
    return tuple(int(part) for part in parts)


def cut(found: Sequence[T], limit: int, key: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
    """The page among up to `limit` + 1 items, and its cursor if there is more."""
    page = found[:limit]
    if len(found) <= limit:
        return page, None
    return page, base64.urlsafe_b64encode(key(page[-1]).encode()).decode().rstrip("=")


def page_answer(request: Request, member: str, values: Sequence[Any], cursor: str | None) -> JSONResponse:
    """The page as an answer that caches must not store."""
    headers = {"Cache-Control": "no-store"}
    if cursor is not None:
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "after"]
        headers["Link"] = f'<{request.url.path}?{urlencode([*query, ("after", cursor)])}>; rel="next"'
    return JSONResponse({member: list(values), "next_cursor": cursor}, headers=headers)


def _no_cursor() -> Malformed:
    return Malformed("`after` is no cursor.", "Send the next_cursor of the page before.", code="CURSOR")
