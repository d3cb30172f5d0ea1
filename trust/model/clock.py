"""The two things a use case may not reach for itself: the time, and unpredictable bytes.

Both are injected. A use case asks the clock once and hands the instant down. Keys and signatures take
their randomness from the cryptographic library, never from `Entropy`.
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
        """`count` unpredictable bytes: nonces, salts, public ids."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class SystemEntropy:
    def bytes(self, count: int) -> bytes:
        return os.urandom(count)


def whole_second(at: datetime) -> datetime:
    """The beginning of the second: time-stamps (RFC 3161 genTime, as ours are) and revocation lists say no more.

    A time since when a key is not believed is cut to this, or what it sealed in that second would count as before.
    """
    return at.replace(microsecond=0)
