"""The head of a log as the lock store keeps it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedHead:
    """Size and roots the log is bound to, and the signed checkpoints; `note` is empty until they are signed.

    `sm3_root` and `sm3_note` are those of the second tree, over the same entries.
    """

    size: int
    root: bytes
    sm3_root: bytes
    note: bytes = b""
    sm3_note: bytes = b""

    @property
    def is_signed(self) -> bool:
        return self.note != b""
