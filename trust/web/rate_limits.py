"""How much work one client may ask for in a minute (draft-ietf-httpapi-ratelimit-headers).

    RateLimit-Policy: "requests";q=6000;w=60      so many in so many seconds
    RateLimit: "requests";r=5987;t=1              so many are left, and in so many seconds it is the whole number again

A client is an API key, or the network of who has none: an IPv4 /24 or an IPv6 /56. Each has a bucket with the tokens of
a minute, which fills evenly. Only requests that cost something take one: issuing, stamping, looking up, verifying. What
is published (trust list, status lists, the ledger) is never limited here. A process counts for itself, so several
workers let through as many times more. `trust.web.lanes` limits what is under way at once.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from fastapi import Request

from trust.model.actor import Actor, ActorKind
from trust.model.errors import RequestError

WINDOW = 60
_MOST_CLIENTS = 10_000
LIMITED: dict[str, Any] = {
    "RateLimit-Policy": {
        "description": "how many requests of a client are answered in how many seconds",
        "schema": {"type": "string", "pattern": '^"requests";q=[0-9]+;w=60$'},
    },
    "RateLimit": {
        "description": "how many of them are left, and in how many seconds it is the whole number again",
        "schema": {"type": "string", "pattern": '^"requests";r=[0-9]+;t=[0-9]+$'},
    },
}
"""Headers of the answers of a limited route, for its description."""


class RateLimited(RequestError):
    """A client asked for more than it may; it can go on in `retry_after` seconds."""

    code = "RATE_LIMITED"

    def __init__(self, retry_after: int) -> None:
        super().__init__(
            "More was asked in a minute than one client may.", "Wait as long as Retry-After says."
        )
        self.retry_after = retry_after


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimits:
    """The buckets of this process. The clients that asked last are remembered, up to a fixed number of them."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._now = now
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = Lock()

    def spend(self, request: Request, who: Actor) -> None:
        """Takes a token from the client's bucket, and leaves what is left for the answer's headers.

        Raises `RateLimited`. For any thread; call it once it is known who asks, because a made-up key has no bucket.
        """
        client = f"key:{who.actor_id}" if who.kind is ActorKind.CLIENT else _network_of(request)
        if not self._per_minute or client is None:
            return
        tokens = self._take(client)
        left = max(0, math.floor(tokens))
        reset = math.ceil((self._per_minute - max(tokens, 0)) * WINDOW / self._per_minute)
        request.state.headers = {
            "RateLimit-Policy": f'"requests";q={self._per_minute};w={WINDOW}',
            "RateLimit": f'"requests";r={left};t={reset}',
        }
        if tokens < 0:
            raise RateLimited(max(1, math.ceil(-tokens * WINDOW / self._per_minute)))

    def _take(self, client: str) -> float:
        """What is left in the bucket; below zero if there was no whole token, and then none was taken."""
        with self._lock:
            now = self._now()
            bucket = self._buckets.pop(client, None) or _Bucket(self._per_minute, now)
            filled = bucket.tokens + (now - bucket.at) * self._per_minute / WINDOW
            bucket.tokens, bucket.at = min(self._per_minute, filled), now
            self._buckets[client] = bucket
            while len(self._buckets) > _MOST_CLIENTS:
                self._buckets.popitem(last=False)
            if bucket.tokens < 1:
                return bucket.tokens - 1
            bucket.tokens -= 1
            return bucket.tokens


def _network_of(request: Request) -> str | None:
    """None, which is not limited, for this machine itself: a proxy that does not say for whom it asks."""
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return None
    if address.is_loopback:
        return None
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 56), strict=False))
