"""Interfaces for the time and for unpredictable bytes, which use cases must not get by themselves.

Both are injected. A use case asks the clock once and passes the instant down. Keys and signatures use the randomness
of the cryptographic library, never `Entropy`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, with a time zone (UTC)."""


class Entropy(Protocol):
    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes, for nonces, salts and public ids."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class SystemEntropy:
    def bytes(self, count: int) -> bytes:
        return os.urandom(count)


def whole_second(at: datetime) -> datetime:
    """`at` truncated to whole seconds, the resolution of our time-stamps (RFC 3161 genTime) and of revocation lists.

    The time from which a key is not trusted must be truncated, otherwise seals of that second would count as earlier.
    """
    return at.replace(microsecond=0)
