"""From entries to a signed, published checkpoint, in an order that survives any crash.

Heads: D, the log's database; L, the lock store; P, the published checkpoint. At every instant, after any kill
or power cut, `P <= L <= D`, the tiles reach L, and nothing is signed that is not locked. The order that keeps
it so (each step durable before the next):

    1. entries and state are in D                                           `ledger.log`
    2. the tiles that D has and L has not are written
    3. L goes from its old head to D's, if D's tree continues it: checked with a proof, every time
    4. the head is signed, and the signed note is put into L: a signature that is made once is kept,
       so that a restart publishes the same bytes (SM2 and ML-DSA do not sign twice alike)
    5. the checkpoint file is replaced

Whatever contradicts the invariant raises `LedgerHalted`: going on could sign a second history.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy.engine import Connection

from ledger import sql
from ledger.checkpoint import Checkpoint, check_checkpoint, format_checkpoint
from ledger.lockedhead import LockedHead
from ledger.lockstore import LockStore
from ledger.note import VerifierKey, signed_note
from ledger.proof import Receipt
from ledger.sequencing import GENESIS_SIZE
from ledger.sql import LogState
from ledger.text import decode_utf8
from ledger.tilefolder import TileFolder
from ledger.tiles import (
    TILE_WIDTH,
    Tile,
    TileReader,
    encode_bundle,
    encode_hashes,
    entries_path,
    tile_path,
    tiles_of_growth,
    tiles_of_size,
)
from trust.encoding import merkle
from trust.model.errors import LedgerHalted, Malformed, NotFound, VerificationError
from trust.storage.sql import Database

_RESTORE: Final = "Bring the missing entries back from the tiles or a mirror before the service is started."
_INSPECT: Final = "Run recheck and compare with a mirror before the service is started."


class CheckpointSigner(Protocol):
    """The log's key, wherever it is kept. `sign` returns the 64 bytes of an Ed25519 signature."""

    @property
    def public_key_raw(self) -> bytes:
        """32 bytes."""

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _SignedHead:
    """A locked head with its signed checkpoint. Everything that is proven, is proven against one of these."""

    checkpoint: Checkpoint
    note: str


class Publisher:
    """Publishes one log. One thread at a time; on PostgreSQL one process at a time too."""

    def __init__(
        self,
        *,
        database: Database,
        lock_store: LockStore,
        files: TileFolder,
        vkey: VerifierKey,
        signer: CheckpointSigner,
    ) -> None:
        """Checks the invariant, mends what a crash left unfinished, and publishes.

        Raises `LedgerHalted` if the heads contradict each other.
        """
        self._database = database
        self._lock_store = lock_store
        self._files = files
        self._vkey = vkey
        self._signer = signer
        self._tiles = TileReader(self._read_hashes)
        self._turn = threading.Lock()
        with self._turn, self._alone() as connection:
            state, locked = self._heads(connection)
            if locked is None:
                self._check_new(state)
            else:
                if locked.is_signed:
                    self._open(locked)
                self._write_missing_tiles(connection, locked.size)
                self._check_stored(connection, state, locked)
                self._check_published(locked)
            self._signed = self._publish(connection, state, locked)

    @property
    def checkpoint(self) -> Checkpoint:
        """The newest checkpoint this process has published."""
        return self._signed.checkpoint

    @property
    def note(self) -> str:
        """`checkpoint` as the signed note."""
        return self._signed.note

    def publish(self) -> Checkpoint:
        """Publishes what is stored; on return the checkpoint covers everything appended before the call."""
        with self._turn:
            return self._catch_up().checkpoint

    def receipts(self, seqs: Sequence[int]) -> list[Receipt]:
        """Receipts for these entries, all against one checkpoint; publishes if the last one is too old.

        Raises `NotFound` for an entry that does not exist.
        """
        with self._turn:
            head = self._signed
            if any(seq >= head.checkpoint.size for seq in seqs):
                head = self._catch_up()
            return [self._receipt(seq, head) for seq in seqs]

    def prove(self, seq: int) -> Receipt:
        """Receipt against the last checkpoint. Raises `NotFound` if that does not cover the entry."""
        with self._turn:
            return self._receipt(seq, self._signed)

    def consistency(self, old_size: int) -> list[bytes]:
        """Proof that the tree of `old_size` is a prefix of the last checkpoint's."""
        with self._turn:
            size = self._signed.checkpoint.size
            if not 0 < old_size <= size:
                raise NotFound(f"No proof from size {old_size}: the checkpoint has size {size}.")
            return self._tiles.prove_consistency(old_size=old_size, size=size)

    def _receipt(self, seq: int, head: _SignedHead) -> Receipt:
        size = head.checkpoint.size
        if not 0 <= seq < size:
            raise NotFound(f"Entry {seq} is not in the log of size {size}.")
        hashes = self._tiles.prove_inclusion(seq, size=size)
        return Receipt(index=seq, hashes=tuple(hashes), checkpoint=head.note)

    def _catch_up(self) -> _SignedHead:
        with self._alone() as connection:
            state, locked = self._heads(connection)
            known = self._signed.checkpoint
            if locked is None or locked.size < known.size:
                raise LedgerHalted(
                    f"The lock store is behind: it no longer knows size {known.size}, which is signed.",
                    "Restore the lock store; never start with an older or empty one.",
                )
            if locked.size == known.size and locked.root != known.root:
                raise LedgerHalted(f"The lock store holds another root of size {known.size}.", _INSPECT)
            self._signed = self._publish(connection, state, locked)
        return self._signed

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction during which no other process publishes; see `sql.lock_publishing`."""
        opened = self._database.read() if self._database.is_sqlite else self._database.write()
        with opened as connection:
            sql.lock_publishing(connection)
            yield connection

    def _heads(self, connection: Connection) -> tuple[LogState, LockedHead | None]:
        """D and L, D not behind L."""
        # L first: another process may append between the two, but none can lock.
        locked = self._lock_store.head(self._vkey.name)
        state = sql.read_state(connection)
        if state is None or (locked and state.size < locked.size):
            raise LedgerHalted(
                f"The database is behind the lock store: {state.size if state else 0} entries, "
                f"and {locked.size if locked else 0} are signed for. Was a backup restored?",
                _RESTORE,
            )
        if locked and locked.size == state.size and locked.root != state.root:
            raise LedgerHalted(
                f"Database and lock store disagree on the root of size {state.size}.", _INSPECT
            )
        return state, locked

    def _publish(self, connection: Connection, state: LogState, locked: LockedHead | None) -> _SignedHead:
        """Steps 2 to 5. `locked` is what the lock store holds."""
        old_size = locked.size if locked else 0
        if locked is None or state.size > old_size:
            self._write_tiles(connection, old_size, state.size)
            locked = self._lock_head(state, locked)
        if not locked.is_signed:
            locked = self._sign(locked)
        head = self._open(locked)
        if self._files.read_checkpoint() != locked.note:
            self._files.write_checkpoint(locked.note)
        for tile in tiles_of_growth(old_size, locked.size):
            if tile.is_full:
                self._files.drop_partials(tile)
        return head

    def _write_tiles(self, connection: Connection, old_size: int, size: int) -> None:
        for tile in tiles_of_growth(old_size, size):
            self._write_tile(connection, tile, old_size)

    def _write_tile(self, connection: Connection, tile: Tile, old_size: int) -> None:
        if tile.level == 0:
            entries = _entries_of(connection, tile)
            self._files.write_bundle(tile, encode_bundle(entries))
            hashes = [merkle.leaf_hash(each) for each in entries]
        else:
            hashes = self._hashes_above(tile, old_size)
        self._files.write_hashes(tile, encode_hashes(hashes))

    def _hashes_above(self, tile: Tile, old_size: int) -> list[bytes]:
        """Roots of the full tiles below; those that the tree of `old_size` had are in its partial tile."""
        old_width = min(tile.width, max(0, (old_size >> (8 * tile.level)) - tile.start))
        hashes: list[bytes] = []
        if old_width:
            hashes += self._read_hashes(Tile(tile.level, tile.index, old_width))
        below = range(tile.start + old_width, tile.start + tile.width)
        return hashes + [self._tiles.full_tile_root(Tile(tile.level - 1, index)) for index in below]

    def _lock_head(self, state: LogState, locked: LockedHead | None) -> LockedHead:
        """Step 3, after the tiles on disk have been found to carry the root in the database."""
        if self._tiles.compact_range(state.size, size=state.size).root() != state.root:
            raise LedgerHalted(f"Tiles and database disagree on the root of size {state.size}.", _INSPECT)
        head = LockedHead(size=state.size, root=state.root)
        consistency = (
            self._tiles.prove_consistency(old_size=locked.size, size=state.size) if locked is not None else ()
        )
        self._lock_store.compare_and_swap(self._vkey.name, old=locked, new=head, consistency=consistency)
        return head

    def _sign(self, locked: LockedHead) -> LockedHead:
        """Step 4."""
        text = format_checkpoint(Checkpoint(origin=self._vkey.name, size=locked.size, root=locked.root))
        note = signed_note(text, [(self._vkey, self._signer.sign(text.encode()))])
        signed = LockedHead(size=locked.size, root=locked.root, note=note.encode())
        self._open(signed)  # a signer with another key is found out before its signature is kept
        self._lock_store.compare_and_swap(self._vkey.name, old=locked, new=signed)
        return signed

    def _open(self, locked: LockedHead) -> _SignedHead:
        """The signed head, its note verified."""
        try:
            note = decode_utf8(locked.note)
            checkpoint = check_checkpoint(note, log_vkey=self._vkey)
        except (Malformed, VerificationError) as exc:
            raise LedgerHalted(
                f"The signed checkpoint of size {locked.size} does not verify under the log's key.",
                "Is this the right key for this log? A new key needs a new log.",
            ) from exc
        if (checkpoint.size, checkpoint.root) != (locked.size, locked.root):
            raise LedgerHalted("The note in the lock store is not of the head beside it.", _INSPECT)
        return _SignedHead(checkpoint=checkpoint, note=note)

    def _check_new(self, state: LogState) -> None:
        """Nothing is locked yet: then there is nothing but the log's own first entries, all unpublished."""
        if state.size != GENESIS_SIZE or self._files.read_checkpoint() is not None:
            raise LedgerHalted(
                f"The lock store is empty, but the log has {state.size} entries or a published checkpoint.",
                "Restore the lock store; never start with an empty one.",
            )

    def _write_missing_tiles(self, connection: Connection, size: int) -> None:
        for tile in tiles_of_size(size):
            missing = not self._files.has(tile_path(tile))
            if missing or (tile.level == 0 and not self._files.has(entries_path(tile))):
                self._write_tile(connection, tile, old_size=0)

    def _check_stored(self, connection: Connection, state: LogState, locked: LockedHead) -> None:
        """The rows from the last full tile on, put upon the tiles before them, give the roots of L and D.

        What lies further back is read by `ledger.recheck`, which takes as long as the log is.
        """
        full = locked.size // TILE_WIDTH * TILE_WIDTH
        tree = self._tiles.compact_range(full, size=locked.size)
        roots = {full: tree.root()}
        for start in range(full, state.size, TILE_WIDTH):
            tile = Tile(0, start // TILE_WIDTH, min(TILE_WIDTH, state.size - start))
            for entry in _entries_of(connection, tile):
                tree.append(merkle.leaf_hash(entry))
                if tree.size == locked.size:
                    roots[tree.size] = tree.root()
        if roots[locked.size] != locked.root:
            raise LedgerHalted(f"The entries do not give the locked root of size {locked.size}.", _INSPECT)
        if tree.root() != state.root or b"".join(tree.hashes) != state.edge:
            raise LedgerHalted(f"The entries do not give the stored root of size {state.size}.", _INSPECT)

    def _check_published(self, locked: LockedHead) -> None:
        """P <= L, and P's tree is a prefix of L's."""
        published = self._files.read_checkpoint()
        if published is None:
            return
        try:
            checkpoint = check_checkpoint(decode_utf8(published), log_vkey=self._vkey)
        except (Malformed, VerificationError) as exc:
            raise LedgerHalted("The published checkpoint is not one of this log and key.", _INSPECT) from exc
        if checkpoint.size > locked.size:
            raise LedgerHalted(
                f"Size {checkpoint.size} is published, but only {locked.size} is locked.",
                "Restore the lock store; never start with an older one.",
            )
        if self._tiles.compact_range(checkpoint.size, size=locked.size).root() != checkpoint.root:
            raise LedgerHalted(f"Another root of size {checkpoint.size} has been published.", _INSPECT)

    def _read_hashes(self, tile: Tile) -> tuple[bytes, ...]:
        try:
            return self._files.read_hashes(tile)
        except Malformed as exc:
            raise LedgerHalted(f"{tile_path(tile)} is damaged: {exc.what}", _INSPECT) from exc


def _entries_of(connection: Connection, tile: Tile) -> list[bytes]:
    """The entries under a tile of level 0, hashed on reading: a changed row is not carried on."""
    rows = sql.read_entries(connection, start=tile.start, end=tile.start + tile.width)
    if len(rows) != tile.width:
        raise LedgerHalted(
            f"Of entries {tile.start} to {tile.start + tile.width - 1} some are gone.", _INSPECT
        )
    for row in rows:
        if merkle.leaf_hash(row.entry_bytes) != row.leaf_hash:
            raise LedgerHalted(f"Entry {row.seq} has been changed in the database.", _INSPECT)
    return [row.entry_bytes for row in rows]
