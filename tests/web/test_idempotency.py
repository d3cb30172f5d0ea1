"""Idempotency keys when two requests come at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from support.limits import HANG_SECONDS
from support.world import START, World

from trust.encoding.digests import sha256
from trust.model.errors import Conflict
from trust.storage import tables
from trust.storage.tables import to_micros
from trust.web.idempotency import Idempotency
from trust.web.sql import IdempotencyRow

KEY = "0123456789abcdef"


def test_of_two_that_take_up_what_a_crash_left_one_acts(
    stored_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    if stored_world.site.stores.register.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    idempotency, acts = Idempotency(stored_world.site.stores.register), list[str]()
    begun = IdempotencyRow(
        key=sha256(f"client|route|{KEY}".encode()), body_hash=sha256(b"body"), created_at=to_micros(START)
    )
    with stored_world.site.stores.register.write() as connection:
        tables.insert(connection, begun)  # and its process died
    later, real = START + timedelta(minutes=6), tables.one_row

    def run(name: str) -> Any:
        def act() -> tuple[int, dict[str, Any]]:
            acts.append(name)
            return 200, {"by": name}

        return idempotency.run("client", "route", KEY, b"body", later, act)

    def read_and_overtaken(*args: Any, **where: Any) -> Any:
        row = real(*args, **where)
        monkeypatch.setattr(tables, "one_row", real)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(run, "faster").result(HANG_SECONDS).status_code == 200
        return row

    monkeypatch.setattr(tables, "one_row", read_and_overtaken)
    with pytest.raises(Conflict) as refused:
        run("slower")
    assert (refused.value.code, acts) == ("IDEMPOTENCY_IN_PROGRESS", ["faster"])
    assert run("again").body == b'{"by":"faster"}'
