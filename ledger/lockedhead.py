"""The head of a log as the lock store keeps it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedHead:
    """Size and root the log is bound to, and the signed checkpoint; `note` is empty until it is signed."""

    size: int
    root: bytes
    note: bytes = b""

    @property
    def is_signed(self) -> bool:
        return self.note != b""
