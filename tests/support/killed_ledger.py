"""A log that is killed, and what those who were told something by it remember.

A process that works on the log reports on a pipe, one line at a time, each with one call:

    told SEQ DIGEST      append() answered: this entry has this number
    head BASE64          a checkpoint (a note) that left the log, in a receipt
    signed BASE64        a text that is about to be signed
    refused CLASS        append() or receipt() raised this
    …                    other words are marks of the process

`Memory` reads these lines, and looks into what the process left behind. Whatever happens to the process, what
is remembered must stay true: `Memory.check` says what that means.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ledger import sql
from ledger.checkpoint import Checkpoint, check_checkpoint, parse_checkpoint
from ledger.lockstore import LockStore
from ledger.log import Appended, AppendRequest, Log
from ledger.logkeys import HEADER as STATEMENT
from ledger.note import SignerKey, VerifierKey
from ledger.publisher import sm3_origin
from ledger.recheck import recheck
from trust.encoding.entry import EntryKind
from trust.encoding.merkle import CompactRange, leaf_hash
from trust.storage.sql import Database

ORIGIN = "example.org/killed"
KEY = SignerKey(name=ORIGIN, seed=b"\x21" * 32)
VKEY = VerifierKey(name=ORIGIN, public_key=KEY.public_key_raw)


@dataclass(frozen=True)
class Place:
    """Where the log is: its databases and its served folder."""

    folder: Path
    database: Path | str
    lock_database: Path | str

    @classmethod
    def sqlite(cls, folder: Path) -> Place:
        return cls(folder / "ledger", folder / "log.db", folder / "lock.db")


class OpenLog:
    """The log at `place` with its databases."""

    def __init__(self, place: Place, reporter: Reporter | None = None) -> None:
        with contextlib.ExitStack() as stack:
            self.place = place
            self.database = stack.enter_context(Database(place.database))
            self.lock_database = stack.enter_context(Database(place.lock_database))
            sql.create_all(self.database)
            self.lock_store = LockStore(self.lock_database)
            self.log = stack.enter_context(self._open(ReportingKey(reporter) if reporter else KEY))
            self._open_parts = stack.pop_all()

    def _open(self, key: SignerKey | ReportingKey) -> Log:
        return Log(
            database=self.database,
            lock_store=self.lock_store,
            folder=self.place.folder,
            origin=ORIGIN,
            signers=(key,),
            clock=_Clock(),
        )

    def close(self) -> None:
        self._open_parts.close()

    def __enter__(self) -> OpenLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True)
class ReportingKey:
    """Says what it signs before it does."""

    reporter: Reporter

    kind = KEY.kind

    @property
    def public_key_raw(self) -> bytes:
        return KEY.public_key_raw

    def sign(self, message: bytes) -> bytes:
        self.reporter.say("signed", base64.b64encode(message).decode())
        return KEY.sign(message)


@dataclass(frozen=True)
class Reporter:
    """Writes lines to a file descriptor, with the one call that no fault is injected into."""

    fd: int

    def say(self, *words: object) -> None:
        self._write([" ".join(map(str, words))])

    def append(self, log: Log, requests: Sequence[AppendRequest]) -> list[Appended]:
        appended = log.append(requests)
        self._write([f"told {each.seq} {_digest(each.entry_bytes)}" for each in appended])
        return appended

    def receipt(self, log: Log, seqs: Sequence[int]) -> None:
        notes = {each.checkpoint for each in log.receipt(seqs)}
        self._write([f"head {base64.b64encode(each.encode()).decode()}" for each in notes])

    def _write(self, lines: Iterable[str]) -> None:
        data = "".join(f"{line}\n" for line in lines).encode()
        assert os.writev(self.fd, [data]) == len(data)


def new_subject(number: int) -> AppendRequest:
    """The first entry about an e-certificate of its own. The same number is the same request."""
    return AppendRequest(
        operation_id=number,
        kind=EntryKind.ISSUED,
        actor="A",
        subject_id=number,
        ref=hashlib.sha256(b"ref %d" % number).digest(),
        commit=hashlib.sha256(b"commit %d" % number).digest(),
        suite="SM2-SM3",
    )


# Small batches that an unfinished tile of 256 hashes, if the log has it, is filled by.
BATCHES = (1, 3, 5, 1)


def batch(number: int) -> list[AppendRequest]:
    """The requests of one of `BATCHES`, always the same."""
    first = 1_000_000 + sum(BATCHES[:number])
    return [new_subject(first + n) for n in range(BATCHES[number])]


@dataclass
class Memory:
    """What anybody was ever told by one log, and every head of it that was ever signed."""

    told: dict[int, str] = field(default_factory=dict)
    heads: dict[int, bytes] = field(default_factory=dict)
    sm3_heads: dict[int, bytes] = field(default_factory=dict)

    def read(self, lines: Iterable[str]) -> None:
        """Takes in what a process reported. A last line that is cut off was told to nobody."""
        for line in lines:
            if not line.endswith("\n"):
                continue
            match line.split():
                case ["told", seq, digest]:
                    assert self.told.setdefault(int(seq), digest) == digest, "a number was given out twice"
                case ["head", note]:
                    self._remember(check_checkpoint(base64.b64decode(note).decode(), log_vkey=VKEY))
                case ["signed", text]:
                    signed = base64.b64decode(text).decode()
                    if not signed.startswith(STATEMENT):
                        self._remember(parse_checkpoint(signed))

    def read_heads(self, place: Place) -> list[int]:
        """Takes in what is signed where the process left it. Gives its sizes: published, locked, stored."""
        published, locked, stored = 0, 0, 0
        if (place.folder / "checkpoint").exists():
            note = (place.folder / "checkpoint").read_bytes().decode()
            published = self._remember(check_checkpoint(note, log_vkey=VKEY))
        with Database(place.lock_database) as lock_database, Database(place.database) as database:
            if head := LockStore(lock_database).head(ORIGIN):
                locked = head.size
                if head.is_signed:
                    checkpoint = check_checkpoint(head.note.decode(), log_vkey=VKEY)
                    assert self._remember(checkpoint) == head.size
            sql.create_all(database)
            with database.read() as connection:
                if state := sql.read_state(connection):
                    stored = state.size
        return [published, locked, stored]

    def check(self, place: Place) -> None:
        """As the process left it: published <= locked <= stored. Opened again: every entry that somebody was
        told of is there, at its number, with its bytes; no head that was ever signed is contradicted; and
        reading everything again finds nothing."""
        sizes = self.read_heads(place)
        assert sizes == sorted(sizes), f"published <= locked <= stored, not {sizes}"
        with OpenLog(place) as opened:
            self._check_opened(opened)

    def _check_opened(self, opened: OpenLog) -> None:
        with opened.database.read() as connection:
            entries = [row.entry_bytes for row in sql.read_entries(connection, start=0, end=opened.log.size)]
        found = dict(enumerate(map(_digest, entries)))
        assert {seq: found.get(seq) for seq in self.told} == self.told
        assert max(self.heads, default=0) <= len(entries), "more was signed than there is"
        for algorithm, heads in (("sha256", self.heads), ("sm3", self.sm3_heads)):
            tree = CompactRange(algorithm=algorithm)
            for entry in entries:
                tree.append(leaf_hash(entry, algorithm=algorithm))
                if tree.size in heads:
                    assert heads[tree.size] == tree.root(), (
                        f"the {algorithm} head of {tree.size} is contradicted"
                    )
        place = opened.place
        report = recheck(opened.database, place.folder, opened.lock_store, log_vkey=opened.log.vkey)
        assert report.findings == ()

    def _remember(self, head: Checkpoint) -> int:
        assert head.origin in (ORIGIN, sm3_origin(ORIGIN))
        heads = self.heads if head.origin == ORIGIN else self.sm3_heads
        assert heads.setdefault(head.size, head.root) == head.root, f"two heads of size {head.size}"
        return head.size


def _digest(entry_bytes: bytes) -> str:
    return hashlib.sha256(entry_bytes).hexdigest()
