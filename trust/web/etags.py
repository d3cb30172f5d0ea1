"""Entity tags (RFC 9110): what an answer was, so that a client can ask for what changed since, or act only if nothing
did.

A tag is the digest of the answer's bytes. `If-Match` asks that it still be the tag, `If-None-Match` that it no longer
be.
"""

from __future__ import annotations

import re

from fastapi.responses import JSONResponse, Response

from trust.encoding.digests import sha256
from trust.model.errors import ChangedSince

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e]*")')


def tag_of(body: bytes) -> str:
    return f'"{sha256(body).hex()[:32]}"'


def tagged(answer: JSONResponse) -> JSONResponse:
    """The answer with its tag."""
    answer.headers["ETag"] = tag_of(bytes(answer.body))
    return answer


def unless_known(answer: JSONResponse, if_none_match: str | None) -> Response:
    """The answer with its tag, or 304 if the client has it."""
    tag = tagged(answer).headers["ETag"]
    known = [each for _, each in _TAG.findall(if_none_match or "")]
    if tag not in known and (if_none_match or "").strip() != "*":
        return answer
    return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "no-store"})


def check_match(if_match: str | None, answer: JSONResponse) -> None:
    """Raises `ChangedSince` unless the answer is what the client knows; without the header it is."""
    if if_match is None or if_match.strip() == "*":
        return
    strong = [each for weak, each in _TAG.findall(if_match) if not weak]
    if tag_of(bytes(answer.body)) not in strong:
        raise ChangedSince
