"""What a running service does for its ledger: asking witnesses, and reading the ledger again.

witnessing   every few seconds, if there is a policy (`<data>/witness-policy`, C2SP tlog-policy) and the log has
             grown or the last cosignature is old: the newest checkpoint is sent to the witnesses, and is
             published when the quorum has cosigned it. Until then the last one with a quorum stays. After
             `witness_limit` without a quorum the log takes no more entries, because entries that no outsider has
             seen could still be rewritten. Evidence that the log contradicts itself halts it.
scrubbing    one pass over rows and files after another (`ledger.scrubber`), throttled
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from ledger.lockstore import LockStore
from ledger.log import Log
from ledger.scrubber import scrub
from ledger.tilefolder import TileFolder
from ledger.witness.client import Cosigned, HistoryContradicted, Witnesses, WitnessOutcome
from ledger.witness.policy import Policy, format_policy, parse_policy
from trust.model.clock import Clock
from trust.model.errors import LedgerHalted, Malformed
from trust.storage.sql import Database

POLICY_FILE = "witness-policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepingSettings:
    """Intervals. `witness_limit`: how long the log takes entries without a quorum."""

    witness_every: timedelta = timedelta(seconds=10)
    witness_heartbeat: timedelta = timedelta(minutes=10)
    witness_limit: timedelta = timedelta(hours=1)
    scrub_pause: timedelta = timedelta(milliseconds=20)
    scrub_every: timedelta = timedelta(minutes=10)
    check_every: timedelta = timedelta(seconds=20)
    resume_every: timedelta = timedelta(minutes=1)


def read_policy(path: Path) -> Policy | None:
    """The witness policy, or None if there is no file. Raises `Malformed`, naming the wrong line."""
    try:
        return parse_policy(path.read_bytes())
    except FileNotFoundError:
        return None


def published_policy(policy: Policy) -> str:
    """The policy as the trust list publishes it, without the witnesses' addresses. Raises `Malformed`."""
    witnesses = tuple(replace(each, url=None) for each in policy.witnesses)
    try:
        return format_policy(replace(policy, logs=(), witnesses=witnesses)).decode()
    except UnicodeDecodeError as exc:
        raise Malformed("A name in the policy of witnesses is not UTF-8.", "Choose another name.") from exc


@dataclass(slots=True)
class Witnessing:
    """Gets checkpoints cosigned, one round after another."""

    log: Log
    witnesses: Witnesses
    clock: Clock
    settings: KeepingSettings
    outcomes: tuple[WitnessOutcome, ...] = ()
    quorum_at: datetime | None = None
    _size: int = 0
    _since: datetime = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.clock.now()

    def round(self, *, even_if_nothing_new: bool = True) -> Cosigned | None:
        """Publishes what is stored and has it cosigned. None if there was nothing to do, or another process was
        faster."""
        at = self.clock.now()
        checkpoint = self.log.publish()
        since = at - self.quorum_at if self.quorum_at is not None else None
        # A quorum dated in the future was made under a wrong clock.
        is_fresh = since is not None and timedelta(0) <= since < self.settings.witness_heartbeat
        if not even_if_nothing_new and is_fresh and checkpoint.size == self._size:
            return None
        note = self.log.checkpoint_note()
        try:
            cosigned = self.witnesses.cosign(note, self.log.consistency)
            self.outcomes = tuple(cosigned.outcomes)
            if cosigned.is_satisfied:
                self.log.cosigned(cosigned.note)
                self._size, self.quorum_at = checkpoint.size, at
                self.log.resume()
            return cosigned
        except HistoryContradicted as exc:
            if self.log.explains(exc.evidence):
                return None  # another process was faster: the witness has seen a larger size of the same tree
            self.log.halt(exc)
            raise
        finally:
            # Also if the round failed in another way: the limit applies whenever there is no quorum.
            if at - (self.quorum_at or self._since) > self.settings.witness_limit:
                self.log.pause(
                    "Too few witnesses have cosigned the ledger for too long.",
                    "Look at the witnesses; nothing is appended until a quorum answers again.",
                )


@dataclass(slots=True)
class Scrubbing:
    """Reads the ledger again, pass after pass."""

    log: Log
    database: Database
    lock_store: LockStore
    folder: Path
    clock: Clock
    entries: int = 0
    finished_at: datetime | None = None

    def run_pass(self, pause: Callable[[], None] = lambda: None) -> None:
        """One pass. At the first contradiction, halts the log and raises `LedgerHalted`."""
        try:
            self.entries += scrub(
                self.database,
                TileFolder(self.folder),
                self.lock_store,
                origin=self.log.keys.origin,
                pause=pause,
            )
        except LedgerHalted as exc:
            self.log.halt(exc)
            raise
        self.finished_at = self.clock.now()
