"""Closes a log that cannot be continued, and begins another that takes over its entries.

A log that has signed for entries that are lost cannot be continued, because new entries would be a second history. The
log is closed at the last size that is available. The new log has another name and takes over every entry up to that
size, with the same number, time, actor, reference and commitment, but its own hashes and statements of keys. So
references to an entry by its number stay valid, and receipts under the old name still prove entries up to that size.

This cannot be undone; it is only done when an operator confirms it by typing the old name.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cbor2

from ledger import sql
from ledger.following import Follower
from ledger.lockedhead import LockedHead
from ledger.lockstore import LockStore
from ledger.logkeys import LogKey, LogKeys, format_statement, keys_from_statements, statement_commit
from ledger.note import KeyKind, VerifierKey, format_vkey, signed_note
from ledger.publisher import CheckpointSigner, vkey_of
from ledger.recover import NUMBERS_LEFT_OUT
from ledger.sequencing import genesis_commit
from ledger.sql import LogState, StoredEntry, SubjectHead
from ledger.statekey import StateKey
from trust.encoding import merkle
from trust.encoding.entry import EntryKind, PreviousEntry, check_log_origin, decode_entry, encode_entry
from trust.encoding.merkle import CompactRange
from trust.encoding.trust_list import TrustedLedgerKey
from trust.model.errors import (
    Conflict,
    LedgerHalted,
    Malformed,
    StorageError,
)
from trust.storage.folder import write_durably
from trust.storage.sql import Database

_ROWS_AT_ONCE: Final = 1024


@dataclass(frozen=True, slots=True)
class ClosedLog:
    """A log to which no entries are added any more. `keys` sign checkpoints up to `size` only."""

    keys: LogKeys
    size: int


def closed_log(database: Database, lock_store: LockStore, origin: str) -> ClosedLog:
    """The log, closed at the size that this copy has locked. Changes nothing.

    Raises `LedgerHalted` if database and lock store do not agree, and `Conflict` for another log's database.
    """
    with database.read() as connection:
        state, statements = sql.read_state(connection), sql.read_key_statements(connection)
    if state is None or state.origin != origin:
        raise Conflict(f"The database does not hold the log {origin}.", "Type the name that it has now.")
    locked = lock_store.head(origin)
    if locked is None or locked.size > state.size:
        raise LedgerHalted(
            "The database holds fewer entries than the lock store knows.",
            "Run `yinzheng ledger recover` first: entries that are at hand come back.",
        )
    keys = tuple(
        replace(each, until_size=locked.size + 1) if each.until_size is None else each
        for each in keys_from_statements(origin, statements).keys
    )
    return ClosedLog(LogKeys(origin, keys), locked.size)


def begin_anew(
    database: Database,
    lock_store: LockStore,
    closed: ClosedLog,
    new_origin: str,
    *,
    signers: Sequence[CheckpointSigner],
    state_key: StateKey = StateKey(),
) -> None:
    """Turns the log in the database into one named `new_origin`, signed by `signers`. No process may have it open.

    All or nothing in the database; the lock store is updated afterwards, and repeating the call completes that. Raises
    `LedgerHalted` if the entries are not those of the closed log.
    """
    check_log_origin(new_origin)
    old_origin = closed.keys.origin
    if new_origin == old_origin:
        raise Malformed("The new ledger has the name of the old one.", "Choose another name.")
    if lock_store.head(new_origin) is not None:
        raise Conflict(f"The lock store knows a ledger {new_origin} already.", "Choose another name.")
    locked = lock_store.head(old_origin)
    vkeys = {vkey_of(new_origin, each): each for each in signers}
    with sql.last_entries() as last_entries, database.write() as connection:
        sql.lock_creation(connection)
        old = sql.read_state(connection)
        if old is None or locked is None or old.origin != old_origin:
            raise Conflict(f"The database does not hold the log {old_origin}.")
        state_key.check(old)
        statements: dict[int, str] = {}
        follower = Follower(new_origin, last_entries, statements.__getitem__)
        before = CompactRange()
        ids: dict[bytes, int] = {}
        for start in range(0, old.size, _ROWS_AT_ONCE):
            end = min(old.size, start + _ROWS_AT_ONCE)
            rows = sql.read_entries(connection, start=start, end=end)
            if len(rows) != end - start:
                raise LedgerHalted(f"Of the entries {start} to {end - 1} some are gone.", "Run recheck.")
            taken = []
            for row in rows:
                before.append(merkle.leaf_hash(row.entry_bytes))
                if before.size == locked.size and before.root() != locked.root:
                    raise LedgerHalted("The entries do not give the locked root.", "Run recheck.")
                taken.append(_taken_over(row, follower, new_origin, vkeys, statements))
                if row.subject_id is not None:
                    ids[decode_entry(row.entry_bytes).ref] = row.subject_id
            sql.delete_entries(connection, start=start, end=end)
            sql.insert_entries(connection, taken)
        if before.root() != old.root:
            raise LedgerHalted("The entries do not give the stored root.", "Run recheck.")
        sql.replace_index(
            connection,
            subjects=[
                SubjectHead(ids[ref], seq, leaf, ref, life) for ref, seq, leaf, life in last_entries.all()
            ],
            counts=sorted(follower.counts.items()),
            statements=sorted(statements.items()),
        )
        new = _state(old, follower)
        if not sql.swap_state(connection, old=old, new=state_key.sealed(new)):
            raise LedgerHalted("The log grew while its state was held.", "Does another program write to it?")
    lock_new(database, lock_store, new_origin)


def lock_new(database: Database, lock_store: LockStore, origin: str) -> None:
    """Binds the lock store to the new log at the size taken over. Idempotent."""
    if lock_store.head(origin) is not None:
        return
    with database.read() as connection:
        state = sql.read_state(connection)
    if state is None or state.origin != origin:
        raise Conflict(f"The database does not hold the log {origin}.")
    sm3_root = state.compact_range(algorithm="sm3").root()
    lock_store.bring_up(origin, old=None, new=LockedHead(size=state.size, root=state.root, sm3_root=sm3_root))


def _taken_over(
    row: StoredEntry,
    follower: Follower,
    origin: str,
    vkeys: dict[VerifierKey, CheckpointSigner],
    statements: dict[int, str],
) -> StoredEntry:
    entry = decode_entry(row.entry_bytes)
    commit = entry.commit
    if entry.kind is EntryKind.GENESIS:
        commit = genesis_commit(origin)
    elif entry.kind is EntryKind.TREE_HEAD:
        commit = follower.sm3_tree.root()
    elif entry.kind is EntryKind.KEY_EVENT:
        # Old keys do not sign under the new name: each statement is replaced by one with the present keys.
        statements[entry.seq] = _statement(origin, entry.seq, vkeys)
        commit = statement_commit(statements[entry.seq])
    prev_ref = entry.prev_ref
    if prev_ref is not None:
        last = follower.last_entries.get(entry.ref)
        assert last is not None, "an entry before it was taken over"
        prev_ref = PreviousEntry(seq=last[0], leaf_hash=last[1])
    new = replace(entry, log=origin, prev=follower.leaf, prev_ref=prev_ref, commit=commit)
    data = encode_entry(new)
    follower.follow(data)
    return StoredEntry(row.seq, row.operation_id, row.subject_id, row.at_ms, follower.leaf, data)


def _statement(origin: str, seq: int, vkeys: dict[VerifierKey, CheckpointSigner]) -> str:
    ordered = sorted(vkeys, key=lambda vkey: vkey.kind is not KeyKind.ED25519)
    text = format_statement(origin, seq, ordered)
    return signed_note(text, [(vkey, vkeys[vkey].sign(text.encode())) for vkey in ordered])


def _state(old: LogState, follower: Follower) -> LogState:
    return replace(
        old,
        origin=follower.origin,
        root=follower.tree.root(),
        edge=b"".join(follower.tree.hashes),
        sm3_edge=b"".join(follower.sm3_tree.hashes),
        last_leaf_hash=follower.leaf,
        epoch=old.epoch + 1,
        # Skip a range: ids given out after the closing size of the old log are not known any more.
        last_operation_id=old.last_operation_id + NUMBERS_LEFT_OUT,
        last_subject_id=old.last_subject_id + NUMBERS_LEFT_OUT,
        mac=None,
    )


__all__ = ["ClosedLog", "LogKey", "begin_anew", "closed_log", "lock_new"]


CLOSED_FILE = "closed-ledgers"


def read_closed_ledgers(path: Path, key: bytes) -> Mapping[str, Sequence[TrustedLedgerKey]]:
    """The ledgers that came before this one, by name (`trust.app.closing`). Raises `StorageError` for a file that
    this service did not write."""
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return {}
    mac, encoded = found[:32], found[32:]
    if not hmac.compare_digest(mac, hmac.digest(key, encoded, "sha256")):
        raise StorageError(f"{path} was not written by this service.", "Restore it from a copy.")
    return {origin: tuple(TrustedLedgerKey(*each) for each in kept) for origin, kept in cbor2.loads(encoded)}


def remember_closed(path: Path, key: bytes, closed: ClosedLog) -> None:
    known = dict(read_closed_ledgers(path, key))
    known[closed.keys.origin] = tuple(
        TrustedLedgerKey(format_vkey(each.vkey), each.from_size, each.until_size) for each in closed.keys.keys
    )
    encoded = cbor2.dumps(
        [[origin, [[k.vkey, k.from_size, k.until_size] for k in kept]] for origin, kept in known.items()]
    )
    write_durably(path, hmac.digest(key, encoded, "sha256") + encoded)
