"""The sender and the announced size of a request, before its body is read."""

from __future__ import annotations

from fastapi import Request

from trust.web.middleware import MAX_BODY


def sender_of(request: Request) -> tuple[str | None, int]:
    """The client's address (behind a named proxy, the one that it forwards; see `serve`) and the announced bytes.

    A body without a length counts as the longest that is accepted.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and len(length) < 16:
        announced = min(int(length), MAX_BODY)
    else:
        announced = MAX_BODY if "transfer-encoding" in request.headers else 0
    return (request.client.host if request.client else None), announced
