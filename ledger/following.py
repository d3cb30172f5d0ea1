"""Reading a log from its first entry, checking every entry against all that came before.

Everything that reads a whole log (recheck, recovery, an audit from outside) uses a `Follower`, which takes the entries
in order from any source. An entry is refused, by its number, if it

- cannot be decoded, names another log or bears another number;
- does not point at the one before it, or is older;
- does not point at the last one about its e-certificate, or cannot follow it (`ledger.lifecycle`);
- is not the next of its actor, counted without gaps;
- is a TREE_HEAD where none belongs, or the wrong one, or missing where one belongs;
- is a change of keys without a matching statement.

So a followed log shows how many e-certificates each authority issued, the state of each, and which keys signed when.
It does not show that there is only one such log: that takes a checkpoint that someone else has kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ledger.lifecycle import ABOUT_AN_ECERTIFICATE, Life, next_life
from ledger.logkeys import LogKeys, keys_from_statements, statement_commit
from ledger.sequencing import LOG_ACTOR, TREE_HEAD_EVERY, TREE_HEAD_SUITE
from ledger.sql import LastEntries
from trust.encoding import merkle
from trust.encoding.entry import NO_PREV, NO_REF, Entry, EntryKind, decode_entry
from trust.encoding.merkle import CompactRange
from trust.model.errors import Conflict, Malformed, StorageError, VerificationError

OF_THE_LOG: Final = frozenset({EntryKind.GENESIS, EntryKind.KEY_EVENT, EntryKind.TREE_HEAD})


class Disagreement(Exception):
    """An entry does not agree with those before it. Later entries depend on it, so reading ends here."""

    def __init__(self, what: str, *, seq: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.seq = seq


class Follower:
    """Follows one log. `statement` returns the statement of keys of an entry (`ledger.logkeys`)."""

    def __init__(self, origin: str, last_entries: LastEntries, statement: Callable[[int], str]) -> None:
        self.origin = origin
        self.last_entries = last_entries
        self.tree = CompactRange()
        self.sm3_tree = CompactRange(algorithm="sm3")
        self.leaf = NO_PREV
        self.sm3_leaf = NO_PREV
        self.at_ms = 0
        self.counts: dict[str, int] = {}  # one number for each authority, of which there are few
        self.issued: dict[str, int] = {}
        self.statements: list[tuple[int, str]] = []
        self._statement = statement

    @property
    def size(self) -> int:
        return self.tree.size

    def follow(self, entry_bytes: bytes) -> Entry:
        """Takes the next entry and returns it decoded. Raises `Disagreement`; do not use the follower after that."""
        seq = self.size
        try:
            entry = decode_entry(entry_bytes)
        except Malformed as exc:
            raise Disagreement(f"The entry cannot be decoded: {exc.what}", seq=seq) from exc
        count = self.counts.get(entry.actor, 0) + 1
        last = None if entry.ref == NO_REF else self.last_entries.get(entry.ref)
        prev_ref = None if entry.prev_ref is None else (entry.prev_ref.seq, entry.prev_ref.leaf_hash)
        for is_right, what in (
            (entry.log == self.origin, "The entry names another log."),
            (entry.seq == seq, f"The entry bears the number {entry.seq}."),
            (entry.prev == self.leaf, "The entry does not point at the one before it."),
            (entry.at_ms >= self.at_ms, "The entry is older than the one before it."),
            (
                prev_ref == (last and last[:2]),
                "The entry does not point at the last one about its e-certificate.",
            ),
            (entry.count == count, f"The entry is number {entry.count} of its actor, not {count}."),
            (
                (entry.actor == LOG_ACTOR) == (entry.kind in OF_THE_LOG),
                f"The entry is a {entry.kind.name} of the actor {entry.actor}.",
            ),
            ((entry.kind is EntryKind.GENESIS) == (seq == 0), "The entry is a genesis, or there is none."),
        ):
            if not is_right:
                raise Disagreement(what, seq=seq)
        self._check_tree_head(entry)
        if entry.kind is EntryKind.KEY_EVENT:
            self._check_statement(entry)
        life = self._next_life(entry, last[2] if last else None)
        self.leaf = merkle.leaf_hash(entry_bytes)
        self.sm3_leaf = merkle.leaf_hash(entry_bytes, algorithm="sm3")
        self.tree.append(self.leaf)
        self.sm3_tree.append(self.sm3_leaf)
        self.at_ms = entry.at_ms
        self.counts[entry.actor] = count
        if entry.kind is EntryKind.ISSUED:
            self.issued[entry.actor] = self.issued.get(entry.actor, 0) + 1
        if life is not None:
            self.last_entries.put(entry.ref, seq=seq, leaf_hash=self.leaf, life=life)
        return entry

    def keys(self) -> LogKeys:
        """The log's keys according to the entries followed so far. Raises `Disagreement`."""
        try:
            return keys_from_statements(self.origin, self.statements)
        except (Malformed, VerificationError) as exc:
            raise Disagreement(f"The statements of the log's keys do not fit: {exc.what}") from exc

    def _check_tree_head(self, entry: Entry) -> None:
        is_due = entry.seq > 0 and entry.seq % TREE_HEAD_EVERY == 0
        if is_due != (entry.kind is EntryKind.TREE_HEAD):
            raise Disagreement(
                f"Every {TREE_HEAD_EVERY}th entry, and no other, holds the root of the SM3 tree.",
                seq=entry.seq,
            )
        if is_due and (entry.commit, entry.suite) != (self.sm3_tree.root(), TREE_HEAD_SUITE):
            raise Disagreement("The entry does not hold the root of the SM3 tree.", seq=entry.seq)

    def _check_statement(self, entry: Entry) -> None:
        try:
            note = self._statement(entry.seq)
        except (StorageError, Malformed, KeyError) as exc:
            raise Disagreement("The statement of the log's keys is missing.", seq=entry.seq) from exc
        if entry.commit != statement_commit(note):
            raise Disagreement("The entry commits to another statement of the log's keys.", seq=entry.seq)
        self.statements.append((entry.seq, note))

    def _next_life(self, entry: Entry, life: int | None) -> int | None:
        if (entry.ref != NO_REF) != (entry.kind in ABOUT_AN_ECERTIFICATE):
            raise Disagreement(f"The entry is a {entry.kind.name} with the wrong ref.", seq=entry.seq)
        if entry.ref == NO_REF:
            return None
        try:
            return int(next_life(None if life is None else Life(life), entry.kind))
        except Conflict as exc:
            raise Disagreement(exc.what, seq=entry.seq) from exc
