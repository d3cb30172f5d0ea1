"""The two ways of sealing a page of ours, for tests that have to hold for both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from issuer.sealing import pdf
from issuer.sealing.prepared import seal_prepared

WAYS = ("prepared", "plain")


@contextmanager
def sealing_way(way: str) -> Iterator[None]:
    """Inside, every page is sealed this way: "plain" knows no page, "prepared" has no other way to fall back to."""

    def insisting(*arguments: bytes, **named: object) -> bytes:
        sealed = seal_prepared(*arguments, **named)  # type: ignore[arg-type]
        assert sealed is not None, "a page of ours was not known"
        return sealed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf, "seal_prepared", insisting if way == "prepared" else lambda *_, **__: None)
        yield
