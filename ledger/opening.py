"""Opens the ledger: the log with its files, keys, witnesses and clocks, and the use cases on it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from keys.custody import KeyPurpose
from keys.outside_tsa import OutsideTsa
from keys.service_keys import LEDGER_KEYS, ServiceKeys
from keys.service_secret import ServiceSecrets
from ledger.clocks import Asked, accepted_at, second_clocks
from ledger.keeping import POLICY_FILE, KeepingSettings, Scrubbing, Witnessing, published_policy, read_policy
from ledger.keychange import KeyChange
from ledger.lockstore import LockStore
from ledger.log import Log, stored_keys
from ledger.outside import MARKED_FILE, LedgerMark, Outside, WitnessMemory
from ledger.publisher import vkey_of
from ledger.service import AuthorityLookup, ChangedRow, LedgerService
from ledger.signers import CheckpointKey
from ledger.standing import STANDING_FILE, StandingFile
from ledger.statekey import StateKey
from ledger.witness.client import Witnesses
from ledger.witness.policy import Policy
from trust.audit.trail import Trail
from trust.model.clock import Clock
from trust.storage.sql import Database

LEDGER_FOLDER = "ledger"


@dataclass(frozen=True, slots=True)
class LedgerPlace:
    """Where a ledger is: its rows, the store of its head, the data folder with its published files, its name."""

    database: Database
    lock_store: LockStore
    data: Path
    origin: str

    @property
    def folder(self) -> Path:
        """The folder of the published files."""
        return self.data / LEDGER_FOLDER


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """The open log. `is_copy_noticed`: a memory outside the data folder tells when an old copy of it is started."""

    place: LedgerPlace
    service_keys: ServiceKeys
    clock: Clock
    log: Log
    policy: Policy | None
    witnessing: Witnessing | None
    is_copy_noticed: bool

    @property
    def published_policy(self) -> str:
        """The policy of witnesses as verifiers are given it; empty without witnesses."""
        return published_policy(self.policy) if self.policy else ""

    def scrubbing(self) -> Scrubbing:
        return Scrubbing(self.log, self.place.database, self.place.lock_store, self.place.folder, self.clock)

    def service(
        self, authorities: AuthorityLookup, trail: Trail, check_register: Callable[[], Sequence[ChangedRow]]
    ) -> LedgerService:
        """The facade, with what it is told by the register."""
        keys = self.service_keys
        return LedgerService(
            clock=self.clock,
            log=self.log,
            ledger_folder=self.place.folder,
            ledger_database=self.place.database,
            lock_store=self.place.lock_store,
            policy=self.policy,
            witnessing=self.witnessing,
            key_change=KeyChange(
                self.log,
                tuple(LEDGER_KEYS),
                lambda: checkpoint_keys(keys),
                lambda use: CheckpointKey(
                    keys.keys.open(
                        keys.add(use, KeyPurpose.CHECKPOINT, LEDGER_KEYS[use]).key_id, KeyPurpose.CHECKPOINT
                    )
                ),
                trail,
            ),
            authorities=authorities,
            check_register=check_register,
        )


def open_ledger(
    place: LedgerPlace,
    service_keys: ServiceKeys,
    secrets: ServiceSecrets,
    clock: Clock,
    stack: contextlib.ExitStack,
    *,
    keeping: KeepingSettings,
    clock_limit: timedelta,
    time_stamps: Sequence[OutsideTsa | None],
    mark: Path | None,
    plain_http_witnesses: Collection[str],
    is_own_clock: bool,
    ask_witnesses: bool,
) -> OpenLedger:
    """Opens the log, which the `stack` closes.

    `is_own_clock`: `clock` is this machine's, and is compared with others before entries are appended. `ask_witnesses`:
    before anything is signed, the witnesses of the policy are asked whether they have seen a longer ledger. `mark`: the
    file outside the data folder that says how far the ledger was signed.
    """
    data, origin, folder = place.data, place.origin, place.folder
    policy = read_policy(data / POLICY_FILE)
    asked_for_time: Asked | None = None
    others = (
        second_clocks(place.database, time_stamps, (lambda: asked_for_time) if policy is not None else None)
        if is_own_clock
        else []
    )
    outside: list[Outside] = []
    if mark is not None:
        outside.append(LedgerMark(mark, data / MARKED_FILE))
    witnesses = memory = None
    if policy is not None:
        witnesses = stack.enter_context(
            Witnesses(
                policy,
                log_vkeys=lambda: [key.vkey for key in stored_keys(place.database, origin).keys],
                clock=clock,
                plain_http_hosts=plain_http_witnesses,
            )
        )
        if ask_witnesses:
            memory = WitnessMemory(witnesses)
            outside.append(memory)
    log = stack.enter_context(
        Log(
            database=place.database,
            lock_store=place.lock_store,
            folder=folder,
            origin=origin,
            signers=checkpoint_keys(service_keys),
            clock=clock,
            is_cosigned=policy is not None,
            find_signer=lambda vkey: next(
                (key for key in checkpoint_keys(service_keys) if vkey_of(origin, key) == vkey), None
            ),
            second_clocks=others,
            accepted_at=lambda: accepted_at(data),
            clock_limit=clock_limit,
            state_key=StateKey(secrets.derive("ledger state")),
            standing_file=StandingFile(data / STANDING_FILE, secrets.derive("ledger standing")),
            outside=outside,
        )
    )
    witnessing = Witnessing(log, witnesses, clock, keeping) if witnesses is not None else None
    if witnessing is not None:
        asked_for_time = Asked(witnessing.witnesses, log.checkpoint_note, log.consistency)
    is_noticed = mark is not None or (memory is not None and memory.answered)
    return OpenLedger(place, service_keys, clock, log, policy, witnessing, is_noticed)


def checkpoint_keys(service_keys: ServiceKeys) -> list[CheckpointKey]:
    """Every key that the ledger has or had. The ledger itself knows which of them sign."""
    return [
        CheckpointKey(service_keys.keys.open(row.key_id, KeyPurpose.CHECKPOINT))
        for row in service_keys.checkpoint_keys()
    ]
