"""One way to measure: warm up, repeat for a while, give operations a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """`per_second` operations, from `count` of them; `of` names what it is compared with, if anything."""

    group: str
    name: str
    per_second: float
    count: int
    unit: str = "docs/s"
    of: str | None = None


def rate(
    work: Callable[[], object], *, seconds: float = 2.0, at_least: int = 3, each: int = 1
) -> tuple[float, int]:
    """Operations a second; `each` is how many of them one call does."""
    work()
    count = 0
    start = time.perf_counter()
    while count < at_least or time.perf_counter() - start < seconds:
        work()
        count += 1
    return count * each / (time.perf_counter() - start), count * each
