"""Is this machine's clock to be believed? Asked before anything is appended or signed.

Entries never go back in time, so one command under a clock that is years ahead would date every later entry so, and
sign lists and seals that nobody believes today. The last entry tells a wrong clock from a right one:

    up to a day after it       the clock is believed
    more                       a second clock is asked: the database server's, an outside time-stamp authority's, a
                               witness's. Where one answers, both have to agree within ten minutes
    none answers               up to `limit` (60 days) the clock is believed: a service may sleep. After that the
                               operator has to say that it is right (`yinzheng ledger accept-time`), for a day

A clock that is behind the last entry does no harm here: the entry takes the time of the one before it.
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
"""The time elsewhere. Raises `TrustError` or `OSError` where it does not answer."""


@dataclass(slots=True)
class ClockGuard:
    """`last_at` is the time of the newest entry, None in an empty log; `accepted_at` when an operator last said that
    this clock is right."""

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
        """Notes the newest entry, so that `check` need not read in the midst of somebody's transaction."""
        self._seen = self.last_at()

    def check(self) -> None:
        """Raises `ClockDoubted` (CLOCK_DOUBTED). Asks nobody while the last entry that was seen is of today."""
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
        """An answer holds for ten minutes, silence for one: a clock that hangs does not hold up each signature."""
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
    return at is not None and abs(now - at) <= span  # a thread that waited knows an earlier time


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
