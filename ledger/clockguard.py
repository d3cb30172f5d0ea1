"""Checking that this machine's clock is plausible, before anything is appended or signed.

Entries never go back in time, so one command under a clock that is years ahead would date every later entry too, and
would sign lists and seals that are refused today. The clock is compared with the time of the last entry:

    up to a day after it       the clock is accepted
    more                       a second clock is asked: the database server's, an outside time-stamp authority's, or
                               a witness's. If one answers, both must agree within ten minutes
    none answers               up to `limit` (60 days) the clock is accepted, because a service may have been off.
                               After that an operator must confirm it (`yinzheng ledger accept-time`), for a day

A clock behind the last entry does no harm here: a new entry takes the time of the one before it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from trust.model.clock import Clock
from trust.model.errors import ClockDoubted, TrustError

DAYS_WITHOUT_A_WORD = 60
_BELIEVED = timedelta(days=1)
_APART = timedelta(minutes=10)
_GOOD_FOR = timedelta(minutes=10)
_SILENT_FOR = timedelta(minutes=1)

_log = logging.getLogger("yinzheng.clock")

AskTime = Callable[[], datetime]
"""Asks a second clock for the time. Raises `TrustError` or `OSError` if it does not answer."""


@dataclass(slots=True)
class ClockGuard:
    """`last_at` returns the time of the newest entry (None in an empty log), `accepted_at` the time when an operator
    last confirmed this clock."""

    clock: Clock
    last_at: Callable[[], datetime | None]
    second_clocks: Sequence[tuple[str, AskTime]] = ()
    accepted_at: Callable[[], datetime | None] = lambda: None
    limit: timedelta = timedelta(days=DAYS_WITHOUT_A_WORD)
    _seen: datetime | None = field(default=None, init=False)
    _agreed_at: datetime | None = field(default=None, init=False)
    _silent_at: datetime | None = field(default=None, init=False)
    _asking: threading.Lock = field(default_factory=threading.Lock, init=False)

    def look(self) -> None:
        """Remembers the newest entry's time, so that `check` need not read it inside a caller's transaction."""
        self._seen = self.last_at()

    def check(self) -> None:
        """Raises `ClockDoubted` (CLOCK_DOUBTED) for an implausible clock. No second clock is asked while the last entry
        is at most a day old."""
        now = self.clock.now()
        if self._seen is not None and now - self._seen <= _BELIEVED:
            return
        last = self._seen = self.last_at()
        if last is None or now - last <= _BELIEVED:
            return
        if self._another_agrees(now):
            return
        if now - last <= self.limit:
            return
        accepted = self.accepted_at()
        if accepted is not None and abs(now - accepted) <= _BELIEVED:
            return
        raise ClockDoubted(
            f"The clock of this machine says {_text(now)}, {(now - last).days} days after the last entry of the ledger "
            f"({_text(last)}). Nothing is signed.",
            "Set the clock; if it is right, say so with `yinzheng ledger accept-time`.",
        )

    def _another_agrees(self, now: datetime) -> bool:
        """True if a second clock agrees. Agreement is cached for ten minutes and a failure for one, so that a clock
        that hangs does not delay every signature."""
        with self._asking:
            if _is_within(_GOOD_FOR, self._agreed_at, now):
                return True
            if not self.second_clocks or _is_within(_SILENT_FOR, self._silent_at, now):
                return False
            agrees = self._ask_others(now)
            if agrees:
                self._agreed_at = now
            else:
                self._silent_at = self.clock.now()
            return agrees

    def _ask_others(self, now: datetime) -> bool:
        for name, ask in self.second_clocks:
            try:
                other = ask()
            except (TrustError, OSError) as exc:
                _log.warning("a second clock does not answer", extra={"what": f"{name}: {exc}"})
                continue
            if abs(other - now) <= _APART:
                return True
            raise ClockDoubted(
                f"The clock of this machine says {_text(now)}, {name} says {_text(other)}. Nothing is signed.",
                "Set the clock that is wrong; the service goes on by itself.",
            )
        return False


def _is_within(span: timedelta, at: datetime | None, now: datetime) -> bool:
    return at is not None and abs(now - at) <= span  # a waiting thread may have an earlier `now`


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
