"""The append-only log as the issuer uses it: appending entries and getting receipts.

    log = Log(database=…, lock_store=…, folder=…, origin="example.org/log", signers=[…], clock=…)
    [appended] = log.append([AppendRequest(…)])      durable on return; the same again gives the same entry
    [receipt] = log.receipt([appended.seq])          proof against a locked, signed checkpoint

Any number of threads may call. Their appends are committed together (`ledger.groupcommit`), their receipts come from
one publication (`ledger.publisher`). On SQLite one process has the log; on PostgreSQL several may append, each batch
under the lock of the single state row, and take turns in publishing. They share the folder.

If it is unknown whether a commit is durable, or the heads contradict each other, the log halts: from then on every
append and every publication raises `LedgerHalted`, until an operator starts it again. The checks on starting report
what is wrong.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final

from sqlalchemy.engine import Connection

from ledger import sql
from ledger.checkpoint import Checkpoint
from ledger.clockguard import DAYS_WITHOUT_A_WORD, AskTime, ClockGuard
from ledger.groupcommit import GroupCommit, Job
from ledger.lockstore import LockStore
from ledger.logkeys import (
    LogKeys,
    check_keys,
    format_statement,
    keys_from_statements,
    statement_commit,
)
from ledger.note import KeyKind, VerifierKey, signed_note
from ledger.outside import Outside
from ledger.proof import Receipt
from ledger.publisher import CheckpointSigner, FindSigner, Publisher, vkey_of
from ledger.sequencing import GENESIS_SIZE, LOG_ACTOR, Appended, AppendRequest, Batch, new_state
from ledger.standing import Standing, StandingFile
from ledger.statekey import StateKey
from ledger.tilefolder import TileFolder
from trust.encoding.entry import Entry, check_log_origin, decode_entry
from trust.encoding.merkle import check_inclusion, leaf_hash
from trust.model.clock import Clock
from trust.model.errors import (
    Conflict,
    KeyUnavailable,
    LedgerBusy,
    LedgerHalted,
    Malformed,
    NotFound,
    OperationalError,
)
from trust.storage.errors import DurabilityUnknown
from trust.storage.sql import Database

__all__ = ["GENESIS_SIZE", "AppendRequest", "Appended", "CheckpointSigner", "Log", "stored_keys"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_QUEUE_LIMIT: Final = 4096
_BATCH_LIMIT: Final = 1024


class Log:
    """One log. The caller opens and closes the databases and must `close` the log before them."""

    def __init__(
        self,
        *,
        database: Database,
        lock_store: LockStore,
        folder: Path,
        origin: str,
        signers: Sequence[CheckpointSigner],
        clock: Clock,
        queue_limit: int = _QUEUE_LIMIT,
        is_cosigned: bool = False,
        find_signer: FindSigner = lambda vkey: None,
        second_clocks: Sequence[tuple[str, AskTime]] = (),
        accepted_at: Callable[[], datetime | None] = lambda: None,
        clock_limit: timedelta = timedelta(days=DAYS_WITHOUT_A_WORD),
        state_key: StateKey = StateKey(),
        standing_file: StandingFile | None = None,
        outside: Sequence[Outside] = (),
    ) -> None:
        """Begins the log, or opens it after checking its heads. `folder` is the root of the served files.

        A new log signs with all of `signers`, Ed25519 first; an old one with those its statements of keys
        name (`change_keys`). `is_cosigned`: the checkpoint is published by `cosigned`, when witnesses have
        signed it too. `find_signer` returns a key that another process has added meanwhile. Raises
        `LedgerHalted` if the heads contradict each other, `KeyUnavailable` if a key of
        the log is missing, `Conflict` if it is another log's database.
        `second_clocks`, `accepted_at` and `clock_limit` are those of `ledger.clockguard`. `state_key` makes the MAC
        of the head; a head without a MAC is accepted once, if nothing in the log shows that it had one.
        `standing_file` stores `standing` from one start to the next. `outside`: the memories that are asked before
        anything is signed (`ledger.outside`).
        """
        check_log_origin(origin)
        self._clock_guard = ClockGuard(
            clock, self._last_at, second_clocks=second_clocks, accepted_at=accepted_at, limit=clock_limit
        )
        self._database = database
        self._origin = origin
        self._clock = clock
        self._halted: OperationalError | None = None
        self._halting = threading.Lock()
        self._paused: LedgerBusy | None = None
        self._signers = {vkey_of(origin, signer): signer for signer in signers}
        self._state_key = state_key
        self._has_taken_over = False
        self._epoch = self._begin(lock_store)
        self._clock_guard.look()
        self._publisher = Publisher(
            database=database,
            lock_store=lock_store,
            files=TileFolder(folder),
            origin=origin,
            signers=signers,
            is_cosigned=is_cosigned,
            find_signer=find_signer,
            state_key=state_key,
            outside=outside,
        )
        self.standing = Standing(database, state_key, standing_file)
        if self._has_taken_over and self.standing.register_events():
            raise LedgerHalted(
                "The stored head of the log has lost its MAC.",
                "Run `yinzheng ledger recheck`, find out who changed the database, and restore it.",
            )
        self._writer: GroupCommit[AppendRequest, Appended] = GroupCommit(
            self._commit, queue_limit=queue_limit, batch_limit=_BATCH_LIMIT, name="ledger-writer"
        )

    def append(self, requests: Sequence[AppendRequest]) -> list[Appended]:
        """Appends all of `requests`, or none; durable on return, answers in their order.

        For a request whose `operation_id` was appended before, the answer is that entry. Raises `Conflict` if that
        was for something else, `LedgerBusy` when too much is waiting, `LedgerHalted`, or `StorageError`, after which
        the caller repeats the call with the same operation ids.
        """
        self._check_not_halted()
        self._check_not_writing_here()
        if self._paused is not None:
            raise LedgerBusy(self._paused.what, self._paused.todo, retry_after=self._paused.retry_after)
        if len(requests) > _BATCH_LIMIT:
            raise Malformed(f"{len(requests)} requests at once; append up to {_BATCH_LIMIT}.")
        self.check_clock()
        return self._writer.submit(requests) if requests else []

    def check_clock(self) -> None:
        """Raises `ClockDoubted` if this machine's clock is implausible. Call it before anything is signed."""
        self._clock_guard.check()

    def _last_at(self) -> datetime | None:
        with self._database.read() as connection:
            state = sql.read_state(connection)
        return _EPOCH + timedelta(milliseconds=state.last_at_ms) if state is not None and state.size else None

    def receipt(self, seqs: Sequence[int]) -> list[Receipt]:
        """Receipts for these entries against one locked and signed checkpoint that covers them all.

        Publishes once if the last checkpoint does not cover them. Raises `NotFound` for an entry that does
        not exist.
        """
        with self._signing():
            return self._publisher.receipts(seqs)

    def publish(self) -> Checkpoint:
        """Publishes a checkpoint that covers everything appended before the call."""
        with self._signing():
            return self._publisher.publish()

    def cosigned(self, note: str) -> None:
        """Publishes a checkpoint of this log to which witnesses have added their lines."""
        with self._signing():
            self._publisher.cosigned(note)

    def explains(self, note: str) -> bool:
        """True if the checkpoint in `note` belongs to this log's tree as it is stored now."""
        with self._signing():
            return self._publisher.explains(note)

    def checkpoint(self) -> Checkpoint:
        """The newest signed checkpoint."""
        return self._publisher.checkpoint

    def checkpoint_note(self) -> str:
        """The newest signed checkpoint as the signed note."""
        return self._publisher.note

    def published_note(self) -> str:
        """The published checkpoint: the newest signed one or, with witnesses, the newest they cosigned."""
        return self._publisher.published_note()

    def sm3_checkpoint_note(self) -> str:
        """The newest signed checkpoint of the SM3 tree."""
        return self._publisher.sm3_note

    def prove(self, index: int) -> Receipt:
        """Receipt for one entry against the published checkpoint, its witnesses' lines included.

        Raises `NotFound` if that does not cover it.
        """
        return self._publisher.prove(index)

    def sm3_receipt(self, index: int) -> Receipt:
        """Proof for one entry in the SM3 tree, against its newest checkpoint."""
        return self._publisher.sm3_receipt(index)

    def consistency(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Proof that the tree of `old_size` is a prefix of that of `size`, or of `checkpoint()`'s.

        Raises `NotFound` beyond it.
        """
        return self._publisher.consistency(old_size, size)

    @property
    def keys(self) -> LogKeys:
        """The log's own keys, and which sizes each signs."""
        return self._publisher.keys

    def stored_keys(self) -> LogKeys:
        """`keys`, with what another process may have changed since this one published last."""
        return stored_keys(self._database, self._origin)

    @property
    def vkey(self) -> VerifierKey:
        """The Ed25519 key that signs now: the one that outside clients know the log by."""
        return next(vkey for vkey in self.keys.present if vkey.kind is KeyKind.ED25519)

    def change_keys(self, signers: Sequence[CheckpointSigner]) -> LogKeys:
        """From the next entry on, checkpoints are signed by exactly these keys; publishes the change.

        The change is an entry of the log, agreed to by every key before and shown to be held by every key
        after (`ledger.logkeys`). To replace a key, add the new one, let witnesses and verifiers learn it, and
        then leave the old one out. Raises `Malformed` if these cannot be the keys of a log.
        """
        new = {vkey_of(self._origin, signer): signer for signer in signers}
        self.check_clock()
        with self._signing():
            with self._database.write() as connection:
                state = self._state_for_append(connection)
                before = keys_from_statements(self._origin, sql.read_key_statements(connection)).present
                held = self._signers | new
                if missing := [vkey for vkey in before if vkey not in held]:
                    raise KeyUnavailable(f"The key {missing[0].key_id.hex()} has to agree and is not here.")
                batch = self._new_batch(connection, state, requests=())
                self._add_statement(connection, batch, before, tuple(new), held)
                _store(connection, state, batch, self._state_key)
            self._signers |= new
            self._publisher.take_up(signers)
            self._publisher.publish()
        return self.keys

    def pause(self, what: str, todo: str) -> None:
        """Refuses entries until `resume`, with `LedgerBusy` as for a full queue. Signing goes on."""
        self._paused = LedgerBusy(what, todo, retry_after=30)

    def resume(self) -> None:
        """Accepts entries again."""
        self._paused = None

    def halt(self, reason: LedgerHalted) -> None:
        """Halts the log for a `reason` found elsewhere: by the scrubber, or by a witness with evidence."""
        self._halt(reason)

    def entry(self, seq: int) -> bytes:
        """The bytes of a stored entry. Raises `NotFound`."""
        with self._database.read() as connection:
            rows = sql.read_entries(connection, start=seq, end=seq + 1)
        if not rows:
            raise NotFound(f"Entry {seq} is not in the log.")
        return rows[0].entry_bytes

    def entries_at(self, seqs: Collection[int]) -> dict[int, Entry]:
        """These entries from their rows, without missing ones. Rows are not checked here; the scrubber checks them."""
        with self._database.read() as connection:
            found = sql.read_entries_at(connection, seqs)
        return {seq: decode_entry(data) for seq, data in found.items()}

    def entries(self) -> Iterator[tuple[int | None, Entry]]:
        """Every stored entry in order with its subject id, checked against its leaf hash.

        Raises `LedgerHalted` for a row that is missing or has been changed.
        """
        size = self.size
        for start in range(0, size, _BATCH_LIMIT):
            with self._database.read() as connection:
                rows = sql.read_entries(connection, start=start, end=min(size, start + _BATCH_LIMIT))
            for seq, row in enumerate(rows, start):
                if row.seq != seq or leaf_hash(row.entry_bytes) != row.leaf_hash:
                    raise LedgerHalted(f"Entry {seq} is missing or has been changed.", "Run recheck.")
                yield row.subject_id, decode_entry(row.entry_bytes)

    def subjects_not_in_force(self) -> dict[bytes, int]:
        """Subject ids, by ref, of the e-certificates that are not in force according to the rows. The rows are not
        checked; `standing` decides what is in force."""
        with self._database.read() as connection:
            return sql.read_refs_not_valid(connection)

    def proven_entry(self, seq: int) -> Entry:
        """An entry that is proven to be in the tree of the newest checkpoint, so an edited row is never returned.

        Raises `NotFound`, `VerificationError`, and what publishing raises.
        """
        data = self.entry(seq)
        if seq >= self._publisher.checkpoint.size:
            with self._signing():
                self._publisher.receipts([seq])  # another process has published it
        checkpoint, proof = self._publisher.inclusion(seq)
        check_inclusion(leaf_hash(data), index=seq, size=checkpoint.size, proof=proof, root=checkpoint.root)
        return decode_entry(data)

    @property
    def last_operation_id(self) -> int:
        """The largest operation id that an entry was ever asked for with."""
        with self._database.read() as connection:
            state = sql.read_state(connection)
        return state.last_operation_id if state is not None else 0

    @property
    def last_subject_id(self) -> int:
        """The largest number of an e-certificate that an entry was ever asked for with."""
        with self._database.read() as connection:
            state = sql.read_state(connection)
        return state.last_subject_id if state is not None else 0

    @property
    def is_recovered(self) -> bool:
        """True if the database was ever rebuilt from the published files."""
        return self._epoch > 1

    @property
    def size(self) -> int:
        """The number of stored entries, published or not."""
        with self._database.read() as connection:
            state = sql.read_state(connection)
        return state.size if state else 0

    @property
    def halted(self) -> OperationalError | None:
        """The reason why the log has halted, or None."""
        return self._halted

    def close(self) -> None:
        """Stores what is waiting and stops the writer."""
        self._writer.close()
        self.standing.keep()

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, lock_store: LockStore) -> int:
        """Writes the first two entries into an empty database. Returns the epoch this process writes in."""
        with self._database.write() as connection:
            sql.lock_creation(connection)
            state = sql.read_state(connection)
            if state is None:
                if lock_store.head(self._origin) is not None:
                    raise LedgerHalted(
                        "The database holds no log, but the lock store knows this one.",
                        "Restore the database, or bring the entries back from the tiles or a mirror.",
                    )
                state = new_state(self._origin)
                sql.insert_state(connection, state)
                batch = Batch(state, at_ms=self._now_ms(), operations={}, subjects={}, counts={})
                batch.add_genesis()
                self._add_statement(connection, batch, (), tuple(self._signers), self._signers)
                _store(connection, state, batch, self._state_key)
            elif state.mac is None and self._state_key.key is not None:
                self._take_over(connection, state)
        if state.origin != self._origin:
            raise Conflict(
                f"The database holds the log {state.origin}, not {self._origin}.",
                "Give the log its own database, or correct the origin in the settings.",
            )
        return state.epoch

    def _take_over(self, connection: Connection, state: sql.LogState) -> None:
        """Gives a MAC to a head from before heads had one. Register events were introduced together with the MAC, so a
        log that has one must have lost its MAC; opening such a log raises `LedgerHalted`."""
        self._has_taken_over = True
        if not sql.swap_state(connection, old=state, new=self._state_key.sealed(state)):
            raise LedgerHalted("The log grew while its state was held.", "Does another program write to it?")

    def _add_statement(
        self,
        connection: Connection,
        batch: Batch,
        before: Sequence[VerifierKey],
        after: Sequence[VerifierKey],
        signers: Mapping[VerifierKey, CheckpointSigner],
    ) -> None:
        """Adds a statement of the log's keys and the entry that commits to it."""
        after = sorted(after, key=lambda vkey: vkey.kind is not KeyKind.ED25519)  # a stable sort
        check_keys(self._origin, after)
        seq = batch.next_own_seq()
        text = format_statement(self._origin, seq, after)
        signing = [*before, *(vkey for vkey in after if vkey not in before)]
        note = signed_note(text, [(vkey, signers[vkey].sign(text.encode())) for vkey in signing])
        batch.add_key_event(statement_commit(note))
        sql.insert_key_statement(connection, seq, note)

    def _commit(self, jobs: Sequence[Job[AppendRequest, Appended]]) -> None:
        """Runs in the writer's thread: stores what can be stored of `jobs` and answers all of them."""
        try:
            self._check_not_halted()
            answers = self._store_jobs(jobs)
            self.standing.look_again()
        except (LedgerHalted, DurabilityUnknown) as exc:
            self._halt(exc)
            raise self._halted_error() from exc
        except OperationalError:
            raise
        except Exception:
            # An unforeseen error in one job. Nothing was stored; the other jobs must not fail with it.
            if len(jobs) == 1:
                raise
            for job in jobs:
                self._commit_alone(job)
            return
        for job, answer in zip(jobs, answers, strict=True):
            if isinstance(answer, Conflict):
                job.answer.set_exception(answer)
            else:
                job.answer.set_result(answer)

    def _commit_alone(self, job: Job[AppendRequest, Appended]) -> None:
        try:
            self._commit([job])
        except Exception as exc:
            job.answer.set_exception(exc)

    def _store_jobs(self, jobs: Sequence[Job[AppendRequest, Appended]]) -> list[list[Appended] | Conflict]:
        """Stores all jobs except those that conflict in one durable transaction."""
        requests = [request for job in jobs for request in job.requests]
        with self._database.write() as connection:
            state = self._state_for_append(connection)
            batch = self._new_batch(connection, state, requests)
            answers = [_add(batch, job.requests) for job in jobs]
            if batch.entries:
                _store(connection, state, batch, self._state_key)
        return answers

    def _state_for_append(self, connection: Connection) -> sql.LogState:
        state = sql.read_state_for_append(connection)
        if state is None or state.epoch != self._epoch:
            raise LedgerHalted("The log was restored while this process ran.", "Restart the service.")
        self._state_key.check(state)
        return state

    def _new_batch(
        self, connection: Connection, state: sql.LogState, requests: Sequence[AppendRequest]
    ) -> Batch:
        """An empty batch with what is stored on the ids in `requests`. Ids above the largest known need no query."""
        operations = {each.operation_id for each in requests if each.operation_id <= state.last_operation_id}
        subjects = {
            each.subject_id
            for each in requests
            if each.subject_id is not None and each.subject_id <= state.last_subject_id
        }
        return Batch(
            state,
            at_ms=self._now_ms(),
            operations=sql.read_entries_of_operations(connection, operations),
            subjects=sql.read_subject_heads(connection, subjects),
            counts=sql.read_actor_counts(connection, {LOG_ACTOR, *(each.actor for each in requests)}),
        )

    def _now_ms(self) -> int:
        return (self._clock.now() - _EPOCH) // timedelta(milliseconds=1)

    @contextlib.contextmanager
    def _signing(self) -> Iterator[None]:
        """Wraps everything that may publish: refuses once halted, and halts on errors that must stop signing."""
        self._check_not_halted()
        self._check_not_writing_here()
        try:
            yield
        except (LedgerHalted, DurabilityUnknown) as exc:
            self._halt(exc)
            raise self._halted_error() from exc

    def _halt(self, reason: OperationalError) -> None:
        with self._halting:
            self._halted = self._halted or reason

    def _halted_error(self) -> LedgerHalted:
        assert self._halted is not None
        return LedgerHalted(
            f"The ledger has stopped signing: {self._halted.what}",
            self._halted.todo or "Restart the service.",
        )

    def _check_not_halted(self) -> None:
        if self._halted:
            raise self._halted_error()

    def _check_not_writing_here(self) -> None:
        if self._database.is_writing_here():
            raise RuntimeError("the ledger writes in a thread of its own: end your transaction first")


def stored_keys(database: Database, origin: str) -> LogKeys:
    """The keys of the log by its stored statements; the log need not be open."""
    with database.read() as connection:
        return keys_from_statements(origin, sql.read_key_statements(connection))


def _add(batch: Batch, requests: Sequence[AppendRequest]) -> list[Appended] | Conflict:
    try:
        return batch.add(requests)
    except Conflict as exc:
        return exc


def _store(connection: Connection, old: sql.LogState, batch: Batch, state_key: StateKey) -> None:
    """Writes the batch and moves the state; the transaction's end makes it durable."""
    sql.insert_entries(connection, batch.entries)
    sql.write_subject_heads(connection, batch.subject_heads())
    sql.write_actor_counts(connection, batch.actor_counts())
    if not sql.swap_state(connection, old=old, new=state_key.sealed(batch.state())):
        raise LedgerHalted("The log grew while its state was held.", "Does another program write to it?")
