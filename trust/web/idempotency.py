"""Idempotency keys: a request that is sent twice is carried out once (draft-ietf-httpapi-idempotency-key-header).

A key belongs to a client and a route. The same key with the same body gives the stored answer; with another body 422;
while the first is still running 409. A run that was interrupted by a crash may be repeated after five minutes, because
the layers below (identifier, ledger) are idempotent too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi.responses import JSONResponse
from sqlalchemy.exc import IntegrityError

from trust.encoding.digests import sha256
from trust.model.errors import Conflict, Malformed
from trust.storage import tables
from trust.storage.sql import Database
from trust.web.sql import IdempotencyRow

_TAKE_UP = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Idempotency:
    database: Database

    def run(
        self,
        client: str,
        route: str,
        key: str | None,
        body: bytes,
        at: datetime,
        act: Callable[[], tuple[int, dict[str, Any]]],
        *,
        required: bool = True,
    ) -> JSONResponse:
        """The stored answer, or that of `act`, which is stored before it is returned.

        Without a key, where it is not `required`, `act` is carried out as often as it is asked for. Raises `Malformed`
        (IDEMPOTENCY_KEY), `Conflict` and what `act` raises; the key can then be used again.
        """
        if key is None and not required:
            status, answer = act()
            return JSONResponse(answer, status, {"Cache-Control": "no-store"})
        if key is None or not 16 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
            raise Malformed(
                "The Idempotency-Key header is missing or not 16 to 255 printable characters.",
                "Send a fresh random key with each new request.",
                code="IDEMPOTENCY_KEY",
            )
        row_key, body_hash = sha256(f"{client}|{route}|{key}".encode()), sha256(body)
        stored = self._begin(row_key, body_hash, at)
        if stored is not None:
            return stored
        try:
            status, answer = act()
        except BaseException:
            with self.database.write() as connection:
                tables.delete(connection, IdempotencyRow, {"key": row_key})
            raise
        encoded = json.dumps(answer, ensure_ascii=False).encode()
        with self.database.write() as connection:
            tables.update(connection, IdempotencyRow, {"key": row_key}, {"status": status, "answer": encoded})
        return JSONResponse(answer, status, {"Cache-Control": "no-store"})

    def _begin(self, row_key: bytes, body_hash: bytes, at: datetime) -> JSONResponse | None:
        now = tables.to_micros(at)
        try:
            with self.database.write() as connection:
                row = tables.one_row(connection, IdempotencyRow, key=row_key)
                if row is None:
                    tables.insert(
                        connection, IdempotencyRow(key=row_key, body_hash=body_hash, created_at=now)
                    )
                    return None
                if bytes(row.body_hash) != body_hash:
                    raise Conflict(
                        "This Idempotency-Key was used with another body.",
                        "Use a fresh key.",
                        code="IDEMPOTENCY_CONFLICT",
                    )
                if row.status is None:
                    if at - tables.from_micros(row.created_at) < _TAKE_UP:
                        raise _in_progress()
                    # As it was read: of two that take it up at once only one finds it so.
                    unchanged = {"key": row_key, "status": None, "created_at": row.created_at}
                    if not tables.update(connection, IdempotencyRow, unchanged, {"created_at": now}):
                        raise _in_progress()
                    return None
        except IntegrityError as exc:
            raise _in_progress() from exc
        assert row.answer is not None, "an answer that is stored has its status with it"
        headers = {"Cache-Control": "no-store", "Idempotent-Replayed": "true"}
        return JSONResponse(json.loads(row.answer), row.status, headers)


def _in_progress() -> Conflict:
    return Conflict(
        "The first request with this key is still running.",
        "Ask again in a moment.",
        code="IDEMPOTENCY_IN_PROGRESS",
    )
