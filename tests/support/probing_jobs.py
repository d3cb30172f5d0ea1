"""Jobs that say what a worker has at hand, after it gave up its rights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keys.sm2 import engine_name
from verifier.checks.examine import prepare

__all__ = ["engine", "prepare"]


def engine(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    return {"engine": engine_name()}
