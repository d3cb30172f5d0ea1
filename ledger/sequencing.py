"""Planning entries from requests: numbers, chains and counters. No I/O; a batch is planned here and stored elsewhere.

Each entry points at the one before it (`prev`) and at the last one about the same e-certificate (`prev_ref`), and has
the next number of its actor (`count`). The allowed order of entries about an e-certificate is enforced here too. Only
one planner runs at a time, starting from the state that the last batch left.

The log's own entries are the first two, one for every change of its keys (`ledger.logkeys`), and every 256th, a
TREE_HEAD: entry 256·k commits to the root of the SM3 tree over the 256·k entries before it. So a cosignature of the
SHA-256 tree covers the SM3 tree too; and every SM3 checkpoint names the SHA-256 root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ledger.lifecycle import ABOUT_AN_ECERTIFICATE, Life, next_life
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
TREE_HEAD_EVERY: Final = 256
LOG_ACTOR: Final = "log"
TREE_HEAD_SUITE: Final = "SM3"

_MAX_ID: Final = (1 << 63) - 1
_KINDS_OF_THE_LOG: Final = frozenset({EntryKind.GENESIS, EntryKind.KEY_EVENT, EntryKind.TREE_HEAD})


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendRequest:
    """What an entry is to record. Checked when it is made, which raises `Malformed`.

    `operation_id` makes repeats harmless: it comes from a counter of the caller that grows with time, and identifies
    this request for ever. `subject_id` is the caller's integer for the e-certificate that `ref` refers to: each
    `subject_id` has one `ref`; both are absent (None, zeros) in an entry about no e-certificate. `after` is an
    optimistic lock: the number of the last entry about this e-certificate that the caller has seen. If another one came
    in between, the request is refused. None: no such check.
    """

    operation_id: int
    kind: EntryKind
    actor: str
    subject_id: int | None
    ref: bytes
    commit: bytes
    suite: str
    after: int | None = None

    def __post_init__(self) -> None:
        _check_id("operation_id", self.operation_id)
        if type(self.kind) is not EntryKind or self.kind in _KINDS_OF_THE_LOG:
            raise Malformed("The kind is not one that can be asked for.")
        check_actor(self.actor)
        if self.actor == LOG_ACTOR:
            raise Malformed(f"The actor {LOG_ACTOR} is the log itself.")
        check_digest("ref", self.ref)
        check_digest("commit", self.commit)
        check_suite_name(self.suite)
        if self.subject_id is not None:
            _check_id("subject_id", self.subject_id)
        if (self.subject_id is None) != (self.ref == NO_REF):
            raise Malformed("A subject_id needs a ref, and a ref a subject_id.")
        if (self.subject_id is None) == (self.kind in ABOUT_AN_ECERTIFICATE):
            raise Malformed(
                f"A {self.kind.name} entry is about an e-certificate, or is not; here it differs."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """The result of a request: the number of its entry, and the entry's bytes."""

    seq: int
    entry_bytes: bytes


class Batch:
    """Entries planned on top of `state`. The caller passes what is stored on all ids and actors in the requests, and on
    the log itself as an actor."""

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
        self._sm3_tree = state.compact_range(algorithm="sm3")
        self._last_leaf_hash = state.last_leaf_hash
        # Entries must not be older than their predecessors, even if the clock went back.
        self._at_ms = max(at_ms, state.last_at_ms)
        self._operations = dict(operations)
        self._subjects = dict(subjects)
        self._counts = dict(counts)
        self._last_operation_id = state.last_operation_id
        self._last_subject_id = state.last_subject_id
        self.entries: list[StoredEntry] = []
        self.changed_subjects: set[int] = set()
        self.changed_actors: set[str] = set()

    def add(self, requests: Sequence[AppendRequest]) -> list[Appended]:
        """Plans all of `requests` or, raising `Conflict`, none of them.

        For one that was carried out before, or is repeated here, the answer is its existing entry.
        """
        lives = self._check_no_conflict(requests)
        return [self._add_one(each, life) for each, life in zip(requests, lives, strict=True)]

    def add_genesis(self) -> None:
        """Adds the log's first entry, its parameters. The keys come second (`add_key_event`), so that a log has at
        least two entries: a proof in a tree of one leaf has no hashes, which a COSE receipt cannot express (RFC 9942:
        the path has at least one)."""
        self._plan_own(EntryKind.GENESIS, commit=genesis_commit(self._old.origin))

    def next_own_seq(self) -> int:
        """The number that the log's next own entry will have if nothing is added before it."""
        return self._tree.size + self._is_tree_head_due()

    def add_key_event(self, commit: bytes) -> None:
        """Adds the entry of a change of keys."""
        self._add_tree_head_if_due()
        self._plan_own(EntryKind.KEY_EVENT, commit=commit)

    def state(self) -> LogState:
        """The state after the batch."""
        return replace(
            self._old,
            size=self._tree.size,
            root=self._tree.root(),
            edge=b"".join(self._tree.hashes),
            sm3_edge=b"".join(self._sm3_tree.hashes),
            last_leaf_hash=self._last_leaf_hash,
            last_at_ms=self._at_ms if self.entries else self._old.last_at_ms,
            last_operation_id=self._last_operation_id,
            last_subject_id=self._last_subject_id,
        )

    def subject_heads(self) -> list[SubjectHead]:
        return [self._subjects[each] for each in sorted(self.changed_subjects)]

    def actor_counts(self) -> list[tuple[str, int]]:
        return [(each, self._counts[each]) for each in sorted(self.changed_actors)]

    def _check_no_conflict(self, requests: Sequence[AppendRequest]) -> list[Life | None]:
        """The life after each request; None for one about no e-certificate or one that was carried out before."""
        here: dict[int, AppendRequest] = {}
        changed: dict[int, tuple[bytes, Life]] = {}
        lives: list[Life | None] = []
        for each in requests:
            stored = self._operations.get(each.operation_id)
            known = here.get(each.operation_id)
            here[each.operation_id] = each
            if known is not None or stored is not None:
                if known not in (None, each) or (stored is not None and not _is_entry_of(stored, each)):
                    raise Conflict(
                        f"Operation {each.operation_id} was used for another request.",
                        "Take a new operation id for a new request.",
                        code="OPERATION_ID_REUSED",
                    )
                lives.append(None)
            elif each.subject_id is None:
                lives.append(None)
            else:
                life = self._next_life(each, changed.get(each.subject_id))
                changed[each.subject_id] = (each.ref, life)
                lives.append(life)
        return lives

    def _next_life(self, request: AppendRequest, here: tuple[bytes, Life] | None) -> Life:
        """The life after `request`. `here`: ref and life of the e-certificate after earlier requests of the same
        call."""
        assert request.subject_id is not None
        head = self._subjects.get(request.subject_id)
        ref, life = here or ((head.ref, Life(head.life)) if head else (request.ref, None))
        if ref != request.ref:
            raise Conflict(
                f"Subject {request.subject_id} is recorded under another ref.",
                "One subject id stands for one e-certificate.",
                code="SUBJECT_REF_MISMATCH",
            )
        if request.after is not None and here is None and (head is None or head.seq != request.after):
            raise Conflict(
                "Something else about this e-certificate has been recorded meanwhile.",
                "Look at its present status and decide again.",
                code="ENTRY_NOT_LAST",
            )
        return next_life(life, request.kind)

    def _add_one(self, request: AppendRequest, life: Life | None) -> Appended:
        stored = self._operations.get(request.operation_id)
        if stored is None:
            stored = self._plan(request, life)
            self._operations[request.operation_id] = stored
        return Appended(seq=stored.seq, entry_bytes=stored.entry_bytes)

    def _plan(self, request: AppendRequest, life: Life | None) -> StoredEntry:
        self._add_tree_head_if_due()
        subject_id = request.subject_id
        head = None if subject_id is None else self._subjects.get(subject_id)
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
            subject_id=subject_id,
        )
        self._last_operation_id = max(self._last_operation_id, request.operation_id)
        if subject_id is not None:
            assert life is not None
            self._subjects[subject_id] = SubjectHead(
                subject_id, stored.seq, stored.leaf_hash, request.ref, int(life)
            )
            self.changed_subjects.add(subject_id)
            self._last_subject_id = max(self._last_subject_id, subject_id)
        return stored

    def _is_tree_head_due(self) -> bool:
        return self._tree.size % TREE_HEAD_EVERY == 0 and self._tree.size > 0

    def _add_tree_head_if_due(self) -> None:
        if self._is_tree_head_due():
            self._plan_own(EntryKind.TREE_HEAD, commit=self._sm3_tree.root(), suite=TREE_HEAD_SUITE)

    def _plan_own(self, kind: EntryKind, *, commit: bytes, suite: str = "") -> None:
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
            suite=suite,
            count=self._next_count(LOG_ACTOR),
        )
        self._store(entry, operation_id=None, subject_id=None)

    def _next_count(self, actor: str) -> int:
        count = self._counts.get(actor, 0) + 1
        self._counts[actor] = count
        self.changed_actors.add(actor)
        return count

    def _store(self, entry: Entry, *, operation_id: int | None, subject_id: int | None) -> StoredEntry:
        entry_bytes = encode_entry(entry)
        leaf = merkle.leaf_hash(entry_bytes)
        stored = StoredEntry(entry.seq, operation_id, subject_id, entry.at_ms, leaf, entry_bytes)
        self._tree.append(leaf)
        self._sm3_tree.append(merkle.leaf_hash(entry_bytes, algorithm="sm3"))
        self._last_leaf_hash = leaf
        self.entries.append(stored)
        return stored


def genesis_commit(origin: str) -> bytes:
    """The commitment of a log's first entry to its parameters."""
    parameters = (
        f"yinzheng-ledger\norigin {origin}\nentry 1\nhash sha256\nhash sm3\ntree-head {TREE_HEAD_EVERY}\n"
    )
    return sha256(parameters.encode())


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
        sm3_edge=b"",
        last_operation_id=0,
        last_subject_id=0,
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
