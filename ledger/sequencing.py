"""Turning requests into entries: numbers, chains and counters. No I/O: a batch is planned, then stored.

Each entry points at the one before it (`prev`), at the one before it about the same e-certificate
(`prev_ref`), and carries the next number of its actor (`count`). All of that is fixed here, by one planner at
a time, from the state the last batch left behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ledger.sql import LogState, StoredEntry, SubjectHead
from trust.encoding import merkle
from trust.encoding.digests import sha256
from trust.encoding.entry import (
    NO_PREV,
    NO_REF,
    Entry,
    EntryKind,
    PreviousEntry,
    check_actor,
    check_digest,
    check_suite_name,
    decode_entry,
    encode_entry,
)
from trust.model.errors import Conflict, Malformed

GENESIS_SIZE: Final = 2
LOG_ACTOR: Final = "log"

_MAX_ID: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendRequest:
    """What an entry is to record. That it exists means it can be appended. Raises `Malformed`.

    `operation_id` makes a repeat harmless: it comes from a counter of the caller that grows with time, and
    stands for this request for ever. `subject_id` is the caller's integer for the e-certificate that `ref`
    refers to: one `subject_id` has one `ref`; both are absent (None, zeros) in an entry about none.
    """

    operation_id: int
    kind: EntryKind
    actor: str
    subject_id: int | None
    ref: bytes
    commit: bytes
    suite: str

    def __post_init__(self) -> None:
        _check_id("operation_id", self.operation_id)
        if type(self.kind) is not EntryKind or self.kind is EntryKind.GENESIS:
            raise Malformed("The kind is not one that can be asked for.")
        check_actor(self.actor)
        check_digest("ref", self.ref)
        check_digest("commit", self.commit)
        check_suite_name(self.suite)
        if self.subject_id is not None:
            _check_id("subject_id", self.subject_id)
        if (self.subject_id is None) != (self.ref == NO_REF):
            raise Malformed("A subject_id needs a ref, and a ref a subject_id.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """Where a request ended up: the number of its entry, and the entry's bytes."""

    seq: int
    entry_bytes: bytes


class Batch:
    """Entries planned on top of `state`. Give it what is known of all ids and actors in the requests."""

    def __init__(
        self,
        state: LogState,
        *,
        at_ms: int,
        operations: Mapping[int, StoredEntry],
        subjects: Mapping[int, SubjectHead],
        counts: Mapping[str, int],
    ) -> None:
        self._old = state
        self._tree = state.compact_range()
        self._last_leaf_hash = state.last_leaf_hash
        # A clock that went back must not make entries older than their predecessors.
        self._at_ms = max(at_ms, state.last_at_ms)
        self._operations = dict(operations)
        self._subjects = dict(subjects)
        self._counts = dict(counts)
        self.entries: list[StoredEntry] = []
        self.changed_subjects: set[int] = set()
        self.changed_actors: set[str] = set()

    def add(self, requests: Sequence[AppendRequest]) -> list[Appended]:
        """Plans all of `requests` or, raising `Conflict`, none of them.

        One that was carried out before, or is repeated here, answers with the entry it already has.
        """
        self._check_no_conflict(requests)
        return [self._add_one(each) for each in requests]

    def add_genesis(self, *, vkey: str) -> None:
        """The log's own first two entries. Two, because a proof in a tree of one leaf has no hashes, and
        a COSE receipt cannot express that (RFC 9942: the path has at least one)."""
        parameters = f"yinzheng-ledger\norigin {self._old.origin}\nentry 1\nhash sha256\n"
        self._plan_own(EntryKind.GENESIS, commit=sha256(parameters.encode()))
        self._plan_own(EntryKind.KEY_EVENT, commit=sha256(vkey.encode()))

    def state(self) -> LogState:
        """The state after the batch."""
        return replace(
            self._old,
            size=self._tree.size,
            root=self._tree.root(),
            edge=b"".join(self._tree.hashes),
            last_leaf_hash=self._last_leaf_hash,
            last_at_ms=self._at_ms if self.entries else self._old.last_at_ms,
        )

    def subject_heads(self) -> list[SubjectHead]:
        return [self._subjects[each] for each in sorted(self.changed_subjects)]

    def actor_counts(self) -> list[tuple[str, int]]:
        return [(each, self._counts[each]) for each in sorted(self.changed_actors)]

    def _check_no_conflict(self, requests: Sequence[AppendRequest]) -> None:
        here: dict[int, AppendRequest] = {}
        refs: dict[int, bytes] = {}
        for each in requests:
            stored = self._operations.get(each.operation_id)
            if here.setdefault(each.operation_id, each) != each or (
                stored and not _is_entry_of(stored, each)
            ):
                raise Conflict(
                    f"Operation {each.operation_id} was used for another request.",
                    "Take a new operation id for a new request.",
                    code="OPERATION_ID_REUSED",
                )
            if each.subject_id is not None:
                head = self._subjects.get(each.subject_id)
                if refs.setdefault(each.subject_id, head.ref if head else each.ref) != each.ref:
                    raise Conflict(
                        f"Subject {each.subject_id} is recorded under another ref.",
                        "One subject id stands for one e-certificate.",
                        code="SUBJECT_REF_MISMATCH",
                    )

    def _add_one(self, request: AppendRequest) -> Appended:
        stored = self._operations.get(request.operation_id)
        if stored is None:
            stored = self._plan(request)
            self._operations[request.operation_id] = stored
        return Appended(seq=stored.seq, entry_bytes=stored.entry_bytes)

    def _plan(self, request: AppendRequest) -> StoredEntry:
        head = None if request.subject_id is None else self._subjects.get(request.subject_id)
        stored = self._store(
            Entry(
                log=self._old.origin,
                seq=self._tree.size,
                at_ms=self._at_ms,
                kind=request.kind,
                actor=request.actor,
                ref=request.ref,
                prev=self._last_leaf_hash,
                prev_ref=PreviousEntry(seq=head.seq, leaf_hash=head.leaf_hash) if head else None,
                commit=request.commit,
                suite=request.suite,
                count=self._next_count(request.actor),
            ),
            operation_id=request.operation_id,
            subject_id=request.subject_id,
        )
        if request.subject_id is not None:
            self._subjects[request.subject_id] = SubjectHead(
                subject_id=request.subject_id, seq=stored.seq, leaf_hash=stored.leaf_hash, ref=request.ref
            )
            self.changed_subjects.add(request.subject_id)
        return stored

    def _plan_own(self, kind: EntryKind, *, commit: bytes) -> None:
        entry = Entry(
            log=self._old.origin,
            seq=self._tree.size,
            at_ms=self._at_ms,
            kind=kind,
            actor=LOG_ACTOR,
            ref=NO_REF,
            prev=self._last_leaf_hash,
            prev_ref=None,
            commit=commit,
            suite="",
            count=self._next_count(LOG_ACTOR),
        )
        self._store(entry, operation_id=None, subject_id=None)

    def _next_count(self, actor: str) -> int:
        self._counts[actor] = self._counts.get(actor, 0) + 1
        self.changed_actors.add(actor)
        return self._counts[actor]

    def _store(self, entry: Entry, *, operation_id: int | None, subject_id: int | None) -> StoredEntry:
        entry_bytes = encode_entry(entry)
        leaf = merkle.leaf_hash(entry_bytes)
        stored = StoredEntry(
            seq=entry.seq,
            operation_id=operation_id,
            subject_id=subject_id,
            at_ms=entry.at_ms,
            leaf_hash=leaf,
            entry_bytes=entry_bytes,
        )
        self._tree.append(leaf)
        self._last_leaf_hash = leaf
        self.entries.append(stored)
        return stored


def new_state(origin: str) -> LogState:
    """The state of a log before its first entry."""
    return LogState(
        origin=origin,
        size=0,
        root=merkle.empty_root(),
        edge=b"",
        last_leaf_hash=NO_PREV,
        last_at_ms=0,
        epoch=1,
    )


def _is_entry_of(stored: StoredEntry, request: AppendRequest) -> bool:
    entry = decode_entry(stored.entry_bytes)
    return (entry.kind, entry.actor, entry.ref, entry.commit, entry.suite, stored.subject_id) == (
        request.kind,
        request.actor,
        request.ref,
        request.commit,
        request.suite,
        request.subject_id,
    )


def _check_id(name: str, value: int) -> None:
    if type(value) is not int or not 1 <= value <= _MAX_ID:
        raise Malformed(f"The {name} is not an integer from 1 to 2^63-1.")
