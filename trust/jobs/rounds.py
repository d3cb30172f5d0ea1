"""Rounds: work that a running service repeats, each in its own thread.

An error does not end a round: it is logged, and the work is tried again after its interval. Only a halted ledger
(`LedgerHalted`) ends it. The threads end when the service closes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from trust.model.errors import LedgerHalted, OperationalError, TrustError

_log = logging.getLogger("yinzheng.keeping")

Pause = Callable[[], None]
"""Called between two steps of long work, to throttle it; raises an exception to end it when the service closes."""


@dataclass(frozen=True, slots=True)
class Round:
    """A piece of work, and the interval until it is done again."""

    name: str
    work: Callable[[Pause], object]
    every: timedelta


class Rounds:
    """The threads of all rounds. `pause`: seconds to wait between two steps of a piece of work."""

    def __init__(self, rounds: Sequence[Round], pause: timedelta) -> None:
        self._rounds = tuple(rounds)
        self._pause = pause.total_seconds()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def is_running(self) -> bool:
        return bool(self._threads)

    def start(self) -> None:
        for each in self._rounds:
            thread = threading.Thread(target=self._run, args=(each,), name=each.name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)

    def _run(self, round_: Round) -> None:
        while not self._stop.is_set():
            try:
                round_.work(self._rest)
            except _Stopped:
                return
            except LedgerHalted as exc:
                _log.critical("the ledger has stopped", extra={"code": exc.code, "what": exc.what})
                return
            except OperationalError as exc:
                _log.error("%s failed", round_.name, extra={"code": exc.code, "what": exc.what})
            except TrustError as exc:
                _log.error("%s was refused", round_.name, extra={"code": exc.code, "what": exc.what})
            except Exception:
                _log.exception("%s failed with an unforeseen error", round_.name)
            self._stop.wait(round_.every.total_seconds())

    def _rest(self) -> None:
        if self._stop.wait(self._pause):
            raise _Stopped


class _Stopped(Exception):
    """The service is closing."""
