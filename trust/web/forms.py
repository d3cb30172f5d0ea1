"""Reading a form, with limits that are enforced while it arrives.

A file may have 20 MiB. A larger one is read to its end, up to a limit, and discarded, so that the browser finishes
sending and shows our answer instead of "connection reset".
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect
from starlette.types import Message

from trust.model.errors import Malformed
from trust.pdf.limits import MAX_FILE_BYTES

_ROOM_FOR_FIELDS = 512 * 1024
_MAX_FIELD_BYTES = 384 * 1024
_MAX_DISCARDED = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """The texts of a form, and its file, if one was chosen."""

    texts: dict[str, str]
    file: bytes | None

    def text(self, name: str) -> str:
        return self.texts.get(name, "").strip()


async def read_form(request: Request) -> Sent:
    """The form in a request. Raises `Malformed`, with the code TOO_LARGE if the file is too large."""
    limit = MAX_FILE_BYTES + _ROOM_FOR_FIELDS
    if _announced(request) > limit:
        await _discard(request)
        raise _too_large()
    counted = Request(request.scope, _Counted(request, limit).receive)
    try:
        async with counted.form(max_files=2, max_fields=12, max_part_size=_MAX_FIELD_BYTES) as form:
            texts = {name: value for name, value in form.multi_items() if isinstance(value, str)}
            uploads = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            chosen = next((upload for upload in uploads if upload.size), None)
            data = await chosen.read(MAX_FILE_BYTES + 1) if chosen is not None else None
    except ClientDisconnect as exc:
        raise Malformed("The form did not arrive whole.", "Send it again.") from exc
    if data is not None and len(data) > MAX_FILE_BYTES:
        raise _too_large()
    return Sent(texts, data)


class _Counted:
    """The request's body, which ends with an error if it is longer than any form of ours."""

    def __init__(self, request: Request, limit: int) -> None:
        self._request = request
        self._left = limit

    async def receive(self) -> Message:
        message = await self._request.receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            if message.get("more_body"):
                await _discard(self._request)
            raise _too_large()
        return message


async def _discard(request: Request) -> None:
    left = _MAX_DISCARDED
    while left > 0:
        try:
            message = await request.receive()
        except Exception:  # a limit of the server itself; the answer is "too large" in any case
            return
        left -= len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 16 else 0


def _too_large() -> Malformed:
    return Malformed("The file is larger than 20 MiB.", "Send the original.", code="TOO_LARGE")
