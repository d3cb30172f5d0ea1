"""Readers that are already running, lent to what would start its own: real ones, and started once.

A worker needs half a second for its imports, and a command that verifies a file starts three. Where a test is about a
command and not about its workers, the command is given those of the test process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest

from trust.app import compose
from trust.sandbox.workers import Sandbox
from verifier.commands import verifying

T = TypeVar("T")


class _Borrowed:
    def __init__(self, owner: Sandbox) -> None:
        self._owner = owner

    def run(
        self,
        job: str,
        arguments: dict[str, Any],
        attachments: Sequence[bytes],
        decode: Callable[[dict[str, Any]], T],
    ) -> T:
        return self._owner.run(job, arguments, attachments, decode)

    def warm_up(self) -> None:
        self._owner.warm_up()

    def workers(self) -> list[int]:
        return self._owner.workers()

    def close(self) -> None:
        """They stay with their owner."""

    def __enter__(self) -> _Borrowed:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def lend(owner: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the test ends, whoever would make a sandbox gets this one."""
    for place in (compose, verifying):
        monkeypatch.setattr(place, "Sandbox", lambda *arguments, **options: _Borrowed(owner))
    monkeypatch.setattr("trust.sandbox.workers.Sandbox", lambda *arguments, **options: _Borrowed(owner))
