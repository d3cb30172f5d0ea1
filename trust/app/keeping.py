"""The rounds of a running service: asking witnesses, checking ledger and register, and resuming pending work.

On PostgreSQL every process may run them, because publishing takes turns anyway, and a witness may be asked twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from issuer.guarding.register_check import RegisterChecking
from ledger.keeping import KeepingSettings, Scrubbing, Witnessing
from trust.audit.sealer import Sealer
from trust.jobs.rounds import Pause, Round, Rounds

_SEAL_EVERY, _ANCHOR_EVERY = timedelta(seconds=1), timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Keeper:
    """The rounds and their threads. `resume`: the functions that complete pending work, in the order of their first
    call."""

    witnessing: Witnessing | None
    scrubbing: Scrubbing
    checking: RegisterChecking | None
    resume: Sequence[Callable[[], object]]
    rounds: Rounds


def make_keeper(
    witnessing: Witnessing | None,
    scrubbing: Scrubbing,
    settings: KeepingSettings,
    *,
    checking: RegisterChecking | None = None,
    sealer: Sealer | None = None,
    resume: Sequence[Callable[[], object]] = (),
) -> Keeper:
    """Makes the rounds without starting them. `resume` is as in `Keeper`."""
    rounds: list[Round] = []
    if checking is not None:
        rounds.append(Round("checking the register", checking.run_pass, settings.check_every))
    if sealer is not None:
        rounds.append(Round("sealing the trail", _without_pause(sealer.seal), _SEAL_EVERY))
        rounds.append(
            Round(
                "anchoring the trail",
                _without_pause(partial(sealer.anchor, unless_since=_ANCHOR_EVERY)),
                _ANCHOR_EVERY,
            )
        )
    rounds.append(Round("scrubbing", scrubbing.run_pass, settings.scrub_every))
    for number, carry_on in enumerate(resume, 1):
        rounds.append(Round(f"resuming-{number}", _without_pause(carry_on), settings.resume_every))
    if witnessing is not None:
        ask = partial(witnessing.round, even_if_nothing_new=False)
        rounds.append(Round("witnessing", _without_pause(ask), settings.witness_every))
    return Keeper(witnessing, scrubbing, checking, tuple(resume), Rounds(rounds, settings.scrub_pause))


def _without_pause(work: Callable[[], object]) -> Callable[[Pause], object]:
    """Makes a round's function of work that is too short to be paused."""
    return lambda _: work()
