"""A witness: cosigns a log's checkpoint if it continues the last one that it cosigned (C2SP tlog-witness).

The request of a log, and the answers:

    POST …/add-checkpoint
    body   = "old " decimal "\\n"  (base64 of a hash "\\n")…  "\\n"  checkpoint       at most 63 hashes

    200    cosignature lines: this witness has checked and stored the checkpoint
    400    the body is malformed, or `old` is larger than the checkpoint
    404    this witness does not know the log
    403    no key of the log signed, or the signature of one is bad
    409    `old` is not the size that was last cosigned; the body is that size, as text/x.tlog.size
    422    the checkpoint does not continue the last cosigned one: the proof is bad or not allowed (`old` is
           0), or the size is the same and the root is not, or the size is 0 and the root is not that of the
           empty tree
    413    the body is larger than any valid request

Example of a body (the hashes shortened):

    old 20852014
    PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
    jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=

    example.com/behind-the-sofa
    20852163
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/…

The invariant, also across kill -9: of two checkpoints of one log that a witness ever cosigned, one continues the other,
and a smaller one never comes after a larger. To ensure it, the comparison with the last checkpoint and its replacement
are one transaction, and a signature leaves the witness only after that is durable. A witness that has lost its memory
would cosign any checkpoint as its first, so `Witness` starts only on a store that `create_store` has made, and a
witness whose store is lost needs a new key.

Nothing else of a request is evaluated before the log's signature on it has been checked, so strangers can neither learn
a size nor make the witness work.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.exc import IntegrityError

from ledger.checkpoint import Checkpoint, parse_checkpoint
from ledger.note import (
    Note,
    NoteSignature,
    check_note,
    format_note,
    format_vkey,
    note_line,
    parse_note,
    parse_vkey,
)
from ledger.notekeys import KeyKind, SignerKey, VerifierKey
from ledger.text import decode_base64, decode_decimal, decode_utf8
from ledger.witness import sql
from ledger.witness.sql import CosignedHead
from trust.encoding.merkle import HASH_SIZE, check_consistency, empty_root
from trust.model.clock import Clock
from trust.model.errors import (
    Conflict,
    KeyUnavailable,
    LedgerHalted,
    Malformed,
    VerificationError,
)
from trust.storage.errors import DurabilityUnknown
from trust.storage.sql import Database

# 63 hashes, and a checkpoint with a dozen post-quantum signatures under it, take less than 64 KiB.
MAX_REQUEST_SIZE: Final = 256 * 1024
MAX_PROOF: Final = 63
TEXT: Final = "text/plain; charset=utf-8"
SIZE: Final = "text/x.tlog.size"

_ORIGIN_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The content of the HTTP response."""

    status: int
    body: bytes
    content_type: str = TEXT


TOO_LARGE: Final = Answer(status=413, body=b"The request is larger than 256 KiB.\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLog:
    """A log whose checkpoints are cosigned; `size` is that of the last one, or None."""

    origin: str
    origin_hash: str
    vkeys: tuple[VerifierKey, ...]
    size: int | None


class MemoryMissing(LedgerHalted):
    """The store with what this witness has cosigned is missing."""

    def __init__(self) -> None:
        super().__init__(
            "The witness's memory is missing.",
            "Bring it back. If it is lost, this witness ends: make a new one with a new key.",
        )


class Witness:
    """A witness with its store. Threads may share it; on PostgreSQL several processes may share the store."""

    def __init__(self, database: Database, *, keys: Sequence[SignerKey], clock: Clock) -> None:
        """`keys` sign in this order; their kinds are those of cosignatures.

        Raises `KeyUnavailable` if there is none or one of another kind, `MemoryMissing` if `database` is not
        one that `create_store` has made.
        """
        _check_keys(keys)
        check_store(database)
        self._database = database
        self._keys = tuple(keys)
        self._clock = clock
        self._halted = False

    @property
    def vkeys(self) -> tuple[VerifierKey, ...]:
        return tuple(key.vkey for key in self._keys)

    def add_checkpoint(self, body: bytes) -> Answer:
        """Cosigns, or says why not. With an answer of 200 the checkpoint is stored durably.

        No content of `body` raises; only the store does (`StorageError`). After a commit that may not be durable, every
        call raises `LedgerHalted`, because a signature must not be given out for a checkpoint that may be lost.
        """
        if len(body) > MAX_REQUEST_SIZE:
            return TOO_LARGE
        try:
            return self._answer(body)
        except _Refused as exc:
            return exc.answer

    def latest(self, origin_hash: str) -> str | None:
        """The last cosigned checkpoint, with the log's signatures and this witness's; None if there is none.

        `origin_hash` is SHA-256 of the log's origin, in hexadecimal; any other text gives None.
        """
        if not _ORIGIN_HASH.fullmatch(origin_hash):
            return None
        with self._database.read() as connection:
            row = sql.read_log_by_hash(connection, origin_hash)
        return row.head.note.decode() if row and row.head else None

    def add_log(self, vkeys: Sequence[VerifierKey]) -> str:
        """Begins to cosign for a log with any of these keys. Returns its origin, the common name of the keys.

        Repeating it with the same keys changes nothing. Raises `Malformed` if these cannot be the keys of one log,
        `Conflict` if the log is known with other keys.
        """
        return add_log(self._database, vkeys)

    def logs(self) -> list[KnownLog]:
        """All known logs, in the order of their origins."""
        return known_logs(self._database)

    def _answer(self, body: bytes) -> Answer:
        if self._halted:
            raise LedgerHalted("The witness's store has failed.", "Check the disk, then restart the witness.")
        request = _parse_request(body)
        note = self._check_log_signed(request)
        if request.old_size > request.checkpoint.size:
            raise _Refused(400, f"Old size {request.old_size} is larger than the checkpoint's.")
        try:
            with self._database.write() as connection:
                row = sql.read_log_for_update(connection, request.checkpoint.origin)
                if row is None:  # cannot happen, because logs are never removed
                    raise _Refused(404, "The log is not known here.")
                _check_continues(row.head, request)
                head, lines = self._cosign(row.head, request.checkpoint, note)
                sql.update_head(connection, row.origin, head)
        except DurabilityUnknown:
            self._halted = True
            raise
        # The signatures leave this method only here, after the commit.
        return Answer(status=200, body="".join(lines).encode())

    def _check_log_signed(self, request: _Request) -> Note:
        """The note with only the lines of the log's known keys, all of them checked."""
        origin = request.checkpoint.origin
        row = None
        if len(origin) <= sql.MAX_ORIGIN:
            with self._database.read() as connection:
                row = sql.read_log(connection, origin)
        if row is None:
            raise _Refused(404, "The log is not known here.")
        vkeys = [parse_vkey(each) for each in row.vkeys]
        try:
            note = check_note(request.note, vkeys=vkeys)
        except VerificationError as exc:
            raise _Refused(403, exc.what) from exc
        known = {(vkey.name, vkey.key_id) for vkey in vkeys}
        kept = {(each.name, each.key_id): each for each in note.signatures}
        return Note(text=note.text, signatures=tuple(kept[each] for each in kept if each in known))

    def _cosign(
        self, last: CosignedHead | None, checkpoint: Checkpoint, note: Note
    ) -> tuple[CosignedHead, list[str]]:
        # Never earlier than the last time, which would make the smaller tree look newer.
        time = max(int(self._clock.now().timestamp()), last.cosigned_at if last else 1)
        signatures = tuple(
            NoteSignature(name=key.name, key_id=key.vkey.key_id, signature=key.cosign(note.text, time=time))
            for key in self._keys
            if key.kind is KeyKind.COSIGNATURE or not checkpoint.extensions
        )
        if not signatures:
            raise _Refused(400, "The checkpoint has further lines, which this witness's keys do not cover.")
        stored = format_note(Note(text=note.text, signatures=note.signatures + signatures))
        head = CosignedHead(
            size=checkpoint.size, root=checkpoint.root, cosigned_at=time, note=stored.encode()
        )
        return head, [note_line(each) for each in signatures]


def create_store(database: Database) -> None:
    """Creates the empty memory of a new witness. Raises `Conflict` if there is one that is not empty."""
    if sql.is_there(database) and known_logs(database):
        raise Conflict("A witness has its memory here already.", "Choose another place for another witness.")
    sql.create_tables(database)


def check_store(database: Database) -> None:
    """Raises `MemoryMissing` if `create_store` has not been called on this database."""
    if not sql.is_there(database):
        raise MemoryMissing


def add_log(database: Database, vkeys: Sequence[VerifierKey]) -> str:
    """As `Witness.add_log`, without the witness's keys."""
    origin, texts = _origin_and_texts(vkeys)
    try:
        with database.write() as connection:
            row = sql.read_log_for_update(connection, origin)
            if row is None:
                sql.insert_log(connection, origin, texts)
            elif set(row.vkeys) != set(texts):
                raise _known_with_others(origin)
    except IntegrityError as exc:  # another process was faster
        raise _known_with_others(origin) from exc
    return origin


def replace_log_keys(database: Database, vkeys: Sequence[VerifierKey]) -> str:
    """Replaces all keys of a log, or adds the log. The last cosigned checkpoint stays in force."""
    origin, texts = _origin_and_texts(vkeys)
    with database.write() as connection:
        if sql.read_log_for_update(connection, origin) is None:
            sql.insert_log(connection, origin, texts)
        else:
            sql.update_vkeys(connection, origin, texts)
    return origin


def known_logs(database: Database) -> list[KnownLog]:
    """As `Witness.logs`, without the witness's keys."""
    with database.read() as connection:
        rows = sql.read_logs(connection)
    return [
        KnownLog(
            origin=row.origin,
            origin_hash=sql.origin_hash(row.origin),
            vkeys=tuple(map(parse_vkey, row.vkeys)),
            size=row.head.size if row.head else None,
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    old_size: int
    proof: tuple[bytes, ...]
    note: str
    checkpoint: Checkpoint


class _Refused(Exception):
    """Ends a request and rolls back its transaction."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.answer = Answer(status=status, body=f"{why}\n".encode())


class _OldSizeDiffers(_Refused):
    def __init__(self, size: int) -> None:
        super().__init__(409, str(size))
        self.answer = Answer(status=409, body=b"%d\n" % size, content_type=SIZE)


def _parse_request(body: bytes) -> _Request:
    try:
        header, separator, note = decode_utf8(body).partition("\n\n")
        if not separator:
            raise Malformed("No empty line before the checkpoint.")
        old, *proof = header.split("\n")
        if not old.startswith("old "):
            raise Malformed("The first line does not state the old size.")
        old_size = decode_decimal(old.removeprefix("old "))
        if len(proof) > MAX_PROOF:
            raise Malformed(f"A proof of {len(proof)} hashes; the limit is {MAX_PROOF}.")
        checkpoint = parse_checkpoint(parse_note(note).text)
        return _Request(
            old_size=old_size, proof=tuple(map(_parse_hash, proof)), note=note, checkpoint=checkpoint
        )
    except Malformed as exc:
        raise _Refused(400, exc.what) from exc


def _parse_hash(line: str) -> bytes:
    data = decode_base64(line)
    if len(data) != HASH_SIZE:
        raise Malformed(f"A hash of {len(data)} bytes in the proof; {HASH_SIZE} are expected.")
    return data


def _check_continues(last: CosignedHead | None, request: _Request) -> None:
    """Raises `_Refused` unless the checkpoint continues the last one. The checks are in the specification's order."""
    checkpoint = request.checkpoint
    last_size = last.size if last else 0
    if request.old_size != last_size:
        raise _OldSizeDiffers(last_size)
    if checkpoint.size == 0 and checkpoint.root != empty_root():
        raise _Refused(422, "The tree of size 0 has another root.")
    if last is None or last.size == 0:
        if request.proof:
            raise _Refused(422, "From size 0 there is nothing to prove.")
        return
    try:
        check_consistency(
            size1=last.size,
            root1=last.root,
            size2=checkpoint.size,
            root2=checkpoint.root,
            proof=request.proof,
        )
    except VerificationError as exc:
        raise _Refused(422, exc.what) from exc


def _check_keys(keys: Sequence[SignerKey]) -> None:
    if not keys or any(not key.kind.is_cosignature for key in keys):
        raise KeyUnavailable("A witness needs keys of the kinds that make cosignatures, and no others.")
    # The Ed25519 cosignature does not contain the name, so one key with two names would count as two witnesses.
    if len({key.public_key_raw for key in keys}) != len(keys):
        raise KeyUnavailable("Two keys of the witness are the same key.")
    if any(len(key.name.encode()) > sql.MAX_ORIGIN for key in keys):
        raise KeyUnavailable(f"The name of a witness has at most {sql.MAX_ORIGIN} bytes.")


def _origin_and_texts(vkeys: Sequence[VerifierKey]) -> tuple[str, tuple[str, ...]]:
    origins = {vkey.name for vkey in vkeys}
    if len(origins) != 1:
        raise Malformed("The keys do not name one log.", "Give the keys of one log at a time.")
    (origin,) = origins
    if len(origin.encode()) > sql.MAX_ORIGIN:
        raise Malformed(f"The name of a log has at most {sql.MAX_ORIGIN} bytes here.")
    if any(vkey.kind is KeyKind.COSIGNATURE for vkey in vkeys):
        raise Malformed("A log's key cannot be of the kind that is for cosignatures of witnesses.")
    return origin, tuple(dict.fromkeys(map(format_vkey, vkeys)))


def _known_with_others(origin: str) -> Conflict:
    return Conflict(
        f"The log {origin} is known with other keys.", "Compare them, and replace the keys if that is right."
    )
