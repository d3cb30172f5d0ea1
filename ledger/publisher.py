"""Publishing: from stored entries to signed, published checkpoints, in an order that is safe at any crash.

Heads: D, the log's database; L, the lock store; P, the published checkpoint. At every instant, after any kill or power
cut, `P <= L <= D`, the tiles reach L, and nothing is signed that is not locked. The steps that ensure this (each
durable before the next):

    1. entries and state are in D                                           `ledger.log`
    2. the tiles of both trees that D has and L has not are written, and statements of keys
    3. L is moved from its old head to D's if D's trees continue it, which is checked with proofs every time
    4. the head is signed, and the signed notes are stored in L, so that a restart publishes the same bytes
       (SM2 and ML-DSA signatures differ each time); the mark outside the folder (`ledger.outside`), if
       there is one, is written too
    5. the checkpoint files are replaced, the one of the SHA-256 tree last

There are two trees over the same entries. The SHA-256 tree is the log that outsiders know (C2SP). The SM3 tree is
served as a separate log, `<origin>/sm3`, signed by the same keys under that name; its checkpoint has one further line,
the root of the SHA-256 tree of the same size:

    example.org/log/sm3
    4096
    <base64 of the SM3 root>
    sha256 <base64 of the SHA-256 root>

With a witness policy, step 5 waits for the witnesses: `checkpoint` is then the newest checkpoint that a quorum has
cosigned (`cosigned`), and receipts may be for a newer, signed one. Without a policy it is the signed one.

Any contradiction of the invariant raises `LedgerHalted`, because going on could sign a second history.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy.engine import Connection

from ledger import sql
from ledger.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from ledger.lockedhead import LockedHead
from ledger.lockstore import HeadMoved, LockStore
from ledger.logkeys import LogKeys, check_log_checkpoint, keys_from_statements
from ledger.note import KeyKind, VerifierKey, check_note, parse_note, signed_note
from ledger.outside import Outside, OwnHead, check_outside
from ledger.proof import Receipt
from ledger.sequencing import GENESIS_SIZE
from ledger.sql import LogState
from ledger.statekey import StateKey
from ledger.text import decode_utf8, encode_base64
from ledger.tilefolder import SM3_FOLDER, statement_path
from ledger.tileport import Tiles
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
from trust.model.errors import KeyUnavailable, LedgerHalted, Malformed, NotFound, VerificationError
from trust.storage.sql import Database

_RESTORE: Final = (
    "If a backup was restored, bring the later entries back with `yinzheng ledger recover`, "
    "from the published tiles or a mirror."
)
_INSPECT: Final = "Run recheck and compare with a mirror before the service is started."
_FILES_AT_ONCE: Final = 48
_TURNS: Final = 3


class CheckpointSigner(Protocol):
    """One of the log's keys, wherever it is kept."""

    @property
    def kind(self) -> KeyKind:
        """Ed25519 or SM2."""

    @property
    def public_key_raw(self) -> bytes:
        """The public key: 32 bytes for Ed25519, 65 (uncompressed point) for SM2."""

    def sign(self, message: bytes) -> bytes:
        """The signature over `message`, 64 bytes."""


FindSigner = Callable[[VerifierKey], CheckpointSigner | None]


def vkey_of(origin: str, signer: CheckpointSigner) -> VerifierKey:
    """The signer's public key under the log's name."""
    return VerifierKey(name=origin, public_key=signer.public_key_raw, kind=signer.kind)


def sm3_origin(origin: str) -> str:
    """Name of the SM3 tree of the log `origin`."""
    return f"{origin}/sm3"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """A locked head with its signed checkpoint. Every proof is made against one of these."""

    checkpoint: Checkpoint
    note: str
    sm3_note: str


class _Tree:
    """One of the two trees: its files, and proofs out of them."""

    def __init__(self, algorithm: str, files: Tiles, prefix: str) -> None:
        self.algorithm = algorithm
        self.files = files
        self._prefix = prefix
        self.reader = TileReader(self._read, algorithm=algorithm)

    def path(self, tile: Tile) -> str:
        return self._prefix + tile_path(tile)

    def root(self, old_size: int, *, size: int) -> bytes:
        return self.reader.compact_range(old_size, size=size).root()

    def consistency(self, old: LockedHead | None, size: int) -> list[bytes]:
        return self.reader.prove_consistency(old_size=old.size, size=size) if old else []

    def hashes_above(self, tile: Tile, old_size: int) -> list[bytes]:
        """The hashes of a tile above level 0: roots of the full tiles below, the ones that the tree of `old_size`
        already had taken from its partial tile."""
        old_width = min(tile.width, max(0, (old_size >> (8 * tile.level)) - tile.start))
        hashes: list[bytes] = []
        if old_width:
            hashes += self._read(Tile(tile.level, tile.index, old_width))
        below = range(tile.start + old_width, tile.start + tile.width)
        return hashes + [self.reader.full_tile_root(Tile(tile.level - 1, index)) for index in below]

    def _read(self, tile: Tile) -> tuple[bytes, ...]:
        try:
            return self.files.read_hashes(tile)
        except Malformed as exc:
            raise LedgerHalted(f"{self.path(tile)} is damaged: {exc.what}", _INSPECT) from exc


class Publisher:
    """Publishes one log, one thread and (on PostgreSQL) one process at a time. Making proofs never waits for that."""

    def __init__(
        self,
        *,
        database: Database,
        lock_store: LockStore,
        files: Tiles,
        origin: str,
        signers: Sequence[CheckpointSigner],
        is_cosigned: bool = False,
        find_signer: FindSigner = lambda vkey: None,
        state_key: StateKey = StateKey(),
        outside: Sequence[Outside] = (),
    ) -> None:
        """Checks the invariant, completes what a crash left unfinished, and publishes.

        `is_cosigned`: the checkpoint file waits for witnesses (`cosigned`). `outside` is asked before anything is
        signed. Raises `LedgerHalted` if the heads contradict each other.
        """
        self._database = database
        self._lock_store = lock_store
        self._files = files
        self._sm3_files = files.sub_log(SM3_FOLDER)
        self._origin = origin
        self._signers = {vkey_of(origin, signer): signer for signer in signers}
        self._is_cosigned = is_cosigned
        self._find_signer = find_signer
        self._state_key = state_key
        self._outside = tuple(outside)
        self._sha256 = _Tree("sha256", files, "")
        self._sm3 = _Tree("sm3", self._sm3_files, f"{SM3_FOLDER}/")
        self._trees = (self._sha256, self._sm3)
        self._turn = threading.Lock()
        self._statements: list[tuple[int, str]] = []
        self._keys = LogKeys(origin, ())
        with self._turn:
            self._signed = self._in_turn(self._start)

    @property
    def checkpoint(self) -> Checkpoint:
        """The newest checkpoint this process has signed or seen signed."""
        return self._signed.checkpoint

    @property
    def note(self) -> str:
        """`checkpoint` as the signed note."""
        return self._signed.note

    @property
    def sm3_note(self) -> str:
        """The checkpoint of the SM3 tree of the same size, as the signed note."""
        return self._signed.sm3_note

    @property
    def keys(self) -> LogKeys:
        """The log's keys as of the last checkpoint of this process."""
        return self._keys

    def take_up(self, signers: Sequence[CheckpointSigner]) -> None:
        """Adds keys that the log is going to sign with."""
        with self._turn:
            self._signers |= {vkey_of(self._origin, signer): signer for signer in signers}

    def publish(self) -> Checkpoint:
        """Publishes what is stored; on return the checkpoint covers everything appended before the call."""
        with self._turn:
            return self._catch_up().checkpoint

    def published_note(self) -> str:
        """The note in the checkpoint file: the newest signed one, or the newest that witnesses cosigned."""
        note = self._files.read_checkpoint()
        return self._signed.note if note is None else decode_utf8(note)

    def cosigned(self, note: str) -> None:
        """Publishes a checkpoint of this log with the cosignatures of witnesses.

        One that is older than the published one is ignored. Raises `VerificationError` if it is not a checkpoint of
        this log.
        """
        # Under the publishing lock: of two processes, the one with the older checkpoint must not write last.
        with self._turn, self._alone():
            checkpoint = check_log_checkpoint(note, self._keys)
            self._check_is_ours(checkpoint)
            published = self._files.read_checkpoint()
            if published is None or _size_of(decode_utf8(published)) <= checkpoint.size:
                self._files.write_checkpoint(note.encode())

    def explains(self, note: str) -> bool:
        """True if this checkpoint belongs to our tree as stored now, perhaps published by another process."""
        with self._turn:
            self._catch_up()
            try:
                self._check_is_ours(parse_checkpoint(parse_note(note).text))
            except (VerificationError, Malformed):
                return False
        return True

    def receipts(self, seqs: Sequence[int]) -> list[Receipt]:
        """Receipts for these entries, all against one checkpoint; publishes if the last one is too old.

        Raises `NotFound` for an entry that does not exist.
        """
        head = self._signed
        if any(seq >= head.checkpoint.size for seq in seqs):
            with self._turn:
                head = self._signed
                if any(seq >= head.checkpoint.size for seq in seqs):
                    head = self._catch_up()
        return [self._receipt(seq, head.checkpoint.size, head.note) for seq in seqs]

    def prove(self, seq: int) -> Receipt:
        """Receipt against the published checkpoint. Raises `NotFound` if that does not cover the entry."""
        if self._is_cosigned:
            note = self.published_note()
            return self._receipt(seq, _size_of(note), note)
        head = self._signed
        return self._receipt(seq, head.checkpoint.size, head.note)

    def inclusion(self, seq: int) -> tuple[Checkpoint, list[bytes]]:
        """The newest signed checkpoint, and the proof that entry `seq` is in its tree. Raises `NotFound`."""
        checkpoint = self._signed.checkpoint
        if not 0 <= seq < checkpoint.size:
            raise NotFound(f"Entry {seq} is not in the log of size {checkpoint.size}.")
        return checkpoint, self._sha256.reader.prove_inclusion(seq, size=checkpoint.size)

    def consistency(self, old_size: int, size: int | None = None) -> list[bytes]:
        """Proof that the tree of `old_size` is a prefix of the tree of `size`, or of the last checkpoint's."""
        known = self._signed.checkpoint.size
        size = known if size is None else size
        if not 0 < old_size <= size <= known:
            raise NotFound(f"No proof from size {old_size} to {size}: the checkpoint has size {known}.")
        return self._sha256.reader.prove_consistency(old_size=old_size, size=size)

    def sm3_receipt(self, seq: int) -> Receipt:
        """As `prove`, in the SM3 tree."""
        head = self._signed
        size = head.checkpoint.size
        if not 0 <= seq < size:
            raise NotFound(f"Entry {seq} is not in the log of size {size}.")
        hashes = self._sm3.reader.prove_inclusion(seq, size=size)
        return Receipt(index=seq, hashes=tuple(hashes), checkpoint=head.sm3_note)

    def _receipt(self, seq: int, size: int, note: str) -> Receipt:
        if not 0 <= seq < size:
            raise NotFound(f"Entry {seq} is not in the log of size {size}.")
        hashes = self._sha256.reader.prove_inclusion(seq, size=size)
        return Receipt(index=seq, hashes=tuple(hashes), checkpoint=note)

    # --- taking turns ---

    def _catch_up(self) -> SignedHead:
        self._signed = self._in_turn(self._publish_next)
        return self._signed

    def _in_turn(self, work: _Work) -> SignedHead:
        """Runs `work` while no other process publishes, and repeats it if another one published nevertheless.

        The lock in the database ends with its connection, which a failover may cut in the middle. The lock store then
        detects it: a process that finds another head there than it left has lost its turn, and starts again from that
        head, with every check.
        """
        for turn in range(_TURNS):
            with self._alone() as connection:
                try:
                    return work(connection)
                except HeadMoved as exc:
                    if turn == _TURNS - 1:
                        raise LedgerHalted(exc.what, exc.todo) from exc
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Connection]:
        """Opens a transaction during which no other process publishes; see `sql.lock_publishing`."""
        if self._database.is_sqlite:
            # The data folder's lock keeps other processes out.
            with self._database.read() as connection:
                yield connection
        else:
            # Files have no transaction, so the folder has a lock of its own, which survives a lost connection.
            with (
                self._files.turn(),
                self._database.write() as connection,
            ):
                sql.lock_publishing(connection)
                yield connection

    # --- the steps ---

    def _start(self, connection: Connection) -> SignedHead:
        state, locked = self._heads(connection)
        self._read_keys(connection)
        if locked is None:
            self._check_new(state)
            check_outside(self._outside, self._known(None))
        else:
            if locked.is_signed:
                self._open(locked)
            self._write_missing_files(connection, locked.size)
            self._check_stored(connection, state, locked)
            self._check_published(locked)
            check_outside(self._outside, self._known(locked))
        return self._publish(connection, state, locked)

    def _publish_next(self, connection: Connection) -> SignedHead:
        state, locked = self._heads(connection)
        known = self._signed.checkpoint
        if locked is None or locked.size < known.size:
            raise LedgerHalted(
                f"The lock store is behind: it no longer knows size {known.size}, which is signed.",
                "Restore the lock store; never start with an older or empty one.",
            )
        if locked.size == known.size and locked.root != known.root:
            raise LedgerHalted(f"The lock store holds another root of size {known.size}.", _INSPECT)
        self._read_keys(connection)
        return self._publish(connection, state, locked)

    def _heads(self, connection: Connection) -> tuple[LogState, LockedHead | None]:
        """D and L, after checking that D is not behind L."""
        # L is read first: another process may append between the two reads, but none can lock.
        locked = self._lock_store.head(self._origin)
        state = sql.read_state(connection)
        if state is None or (locked and state.size < locked.size):
            raise LedgerHalted(
                f"The database is behind the lock store: {state.size if state else 0} entries, "
                f"and {locked.size if locked else 0} are signed for. Was a backup restored?",
                _RESTORE,
            )
        self._state_key.check(state)
        if locked and locked.size == state.size and locked.root != state.root:
            raise LedgerHalted(
                f"Database and lock store disagree on the root of size {state.size}.", _INSPECT
            )
        return state, locked

    def _known(self, locked: LockedHead | None) -> OwnHead:
        size = locked.size if locked is not None else 0
        return OwnHead(
            keys=self._keys,
            size=size,
            note=decode_utf8(locked.note) if locked is not None else "",
            root_of=lambda smaller: self._sha256.root(smaller, size=size),
            consistency=lambda old, new: self._sha256.reader.prove_consistency(old_size=old, size=new),
        )

    def _read_keys(self, connection: Connection) -> None:
        statements = sql.read_key_statements(connection)
        if statements == self._statements:
            return
        if statements[: len(self._statements)] != self._statements:
            raise LedgerHalted("A statement of the log's keys is gone or has been changed.", _INSPECT)
        try:
            keys = keys_from_statements(self._origin, statements)
        except (Malformed, VerificationError) as exc:
            raise LedgerHalted(f"The statements of the log's keys are damaged: {exc.what}", _INSPECT) from exc
        for vkey in keys.present:
            signer = self._signers.get(vkey) or self._find_signer(vkey)
            if signer is None:
                raise KeyUnavailable(
                    f"The log signs with the key {vkey.key_id.hex()}, and this process does not have it.",
                    "Is this the right key folder? A new key is taken up by `yinzheng keys rotate`.",
                )
            self._signers[vkey] = signer
        self._statements, self._keys = statements, keys

    def _publish(self, connection: Connection, state: LogState, locked: LockedHead | None) -> SignedHead:
        """Steps 2 to 5. `locked` is what the lock store holds."""
        old_size = locked.size if locked else 0
        if locked is None or state.size > old_size:
            self._write_tiles(connection, old_size, state.size)
            locked = self._lock_head(state, locked)
        if not locked.is_signed:
            locked = self._sign(locked)
        head = self._open(locked)
        for memory in self._outside:
            memory.keep(self._known(locked))
        if self._sm3_files.read_checkpoint() != locked.sm3_note:
            self._sm3_files.write_checkpoint(locked.sm3_note)
        published = self._files.read_checkpoint()
        if published is None or (not self._is_cosigned and published != locked.note):
            self._files.write_checkpoint(locked.note)
        for tile in tiles_of_growth(old_size, locked.size):
            if tile.is_full:
                for tree in self._trees:
                    tree.files.drop_partials(tile)
        return head

    def _write_tiles(self, connection: Connection, old_size: int, size: int) -> None:
        statements = [
            (statement_path(seq), note.encode()) for seq, note in self._statements if seq >= old_size
        ]
        self._files.write_all(statements)
        portion: list[tuple[str, bytes]] = []
        level = 0
        for tile in tiles_of_growth(old_size, size):
            # In portions, to bound the memory used. Levels above read those below, so each level is written first.
            if tile.level > level or len(portion) >= _FILES_AT_ONCE:
                self._files.write_all(portion)
                portion, level = [], tile.level
            portion += self._files_of(connection, tile, old_size)
        self._files.write_all(portion)

    def _files_of(self, connection: Connection, tile: Tile, old_size: int) -> Iterator[tuple[str, bytes]]:
        """Path and content of every file at this position in both trees."""
        if tile.level == 0:
            entries = _entries_of(connection, tile)
            yield entries_path(tile), encode_bundle(entries)
            for tree in self._trees:
                hashes = [merkle.leaf_hash(each, algorithm=tree.algorithm) for each in entries]
                yield tree.path(tile), encode_hashes(hashes)
        else:
            for tree in self._trees:
                yield tree.path(tile), encode_hashes(tree.hashes_above(tile, old_size))

    def _lock_head(self, state: LogState, locked: LockedHead | None) -> LockedHead:
        """Step 3, after checking that the tiles on disk give the roots in the database."""
        size = state.size
        if self._sha256.root(size, size=size) != state.root:
            raise LedgerHalted(f"Tiles and database disagree on the root of size {size}.", _INSPECT)
        sm3_root = self._sm3.root(size, size=size)
        if sm3_root != state.compact_range(algorithm="sm3").root():
            raise LedgerHalted(f"Tiles and database disagree on the SM3 root of size {size}.", _INSPECT)
        head = LockedHead(size=size, root=state.root, sm3_root=sm3_root)
        self._lock_store.compare_and_swap(
            self._origin,
            old=locked,
            new=head,
            consistency=self._sha256.consistency(locked, size),
            sm3_consistency=self._sm3.consistency(locked, size),
        )
        return head

    def _sign(self, locked: LockedHead) -> LockedHead:
        """Step 4."""
        checkpoint = Checkpoint(origin=self._origin, size=locked.size, root=locked.root)
        sm3_checkpoint = Checkpoint(
            origin=sm3_origin(self._origin),
            size=locked.size,
            root=locked.sm3_root,
            extensions=(f"sha256 {encode_base64(locked.root)}",),
        )
        signed = LockedHead(
            size=locked.size,
            root=locked.root,
            sm3_root=locked.sm3_root,
            note=self._signed_by_all(checkpoint).encode(),
            sm3_note=self._signed_by_all(sm3_checkpoint).encode(),
        )
        self._open(signed)  # a signer with a wrong key is detected before its signature is stored
        self._lock_store.compare_and_swap(self._origin, old=locked, new=signed)
        return signed

    def _signed_by_all(self, checkpoint: Checkpoint) -> str:
        text = format_checkpoint(checkpoint)
        lines = []
        for vkey in self._keys.of_size(checkpoint.size):
            signer = self._signers.get(vkey)
            if signer is None:
                raise KeyUnavailable("A key of the log is not here.", "Restore it from a backup.")
            lines.append((_renamed(vkey, checkpoint.origin), signer.sign(text.encode())))
        return signed_note(text, lines)

    def _open(self, locked: LockedHead) -> SignedHead:
        """The signed head after verifying its notes."""
        try:
            note, sm3_note = decode_utf8(locked.note), decode_utf8(locked.sm3_note)
            checkpoint = check_log_checkpoint(note, self._keys)
            sm3_checkpoint = check_sm3_checkpoint(sm3_note, self._keys)
        except (Malformed, VerificationError) as exc:
            raise LedgerHalted(
                f"The signed checkpoint of size {locked.size} does not verify under the log's keys.",
                "Are these the right keys for this log?",
            ) from exc
        found = (checkpoint.size, checkpoint.root, sm3_checkpoint.size, sm3_checkpoint.root)
        if found != (locked.size, locked.root, locked.size, locked.sm3_root):
            raise LedgerHalted("The notes in the lock store are not of the head beside them.", _INSPECT)
        return SignedHead(checkpoint=checkpoint, note=note, sm3_note=sm3_note)

    # --- checks on starting ---

    def _check_new(self, state: LogState) -> None:
        """If nothing is locked yet, checks that there are only the log's own first entries, all unpublished."""
        if state.size != GENESIS_SIZE or self._files.read_checkpoint() is not None:
            raise LedgerHalted(
                f"The lock store is empty, but the log has {state.size} entries or a published checkpoint.",
                "Restore the lock store; never start with an empty one.",
            )

    def _write_missing_files(self, connection: Connection, size: int) -> None:
        self._files.write_all([(statement_path(seq), note.encode()) for seq, note in self._statements])
        for tile in tiles_of_size(size):
            here = [
                self._sha256.files.has(tile_path(tile)),
                self._sm3.files.has(tile_path(tile)),
                tile.level > 0 or self._files.has(entries_path(tile)),
            ]
            if not all(here):
                self._files.write_all(list(self._files_of(connection, tile, old_size=0)))

    def _check_stored(self, connection: Connection, state: LogState, locked: LockedHead) -> None:
        """Checks that the tiles, continued by the rows after the last full tile, give the roots of L and D.

        Earlier rows are checked by `ledger.recheck` and `ledger.scrubber`.
        """
        full = locked.size // TILE_WIDTH * TILE_WIDTH
        trees = [tree.reader.compact_range(full, size=locked.size) for tree in self._trees]
        roots = [tree.root() for tree in trees]
        for start in range(full, state.size, TILE_WIDTH):
            tile = Tile(0, start // TILE_WIDTH, min(TILE_WIDTH, state.size - start))
            for entry in _entries_of(connection, tile):
                for tree, kind in zip(trees, self._trees, strict=True):
                    tree.append(merkle.leaf_hash(entry, algorithm=kind.algorithm))
                if trees[0].size == locked.size:
                    roots = [tree.root() for tree in trees]
        if roots != [locked.root, locked.sm3_root]:
            raise LedgerHalted(f"The entries do not give the locked root of size {locked.size}.", _INSPECT)
        edges = [b"".join(tree.hashes) for tree in trees]
        if trees[0].root() != state.root or edges != [state.edge, state.sm3_edge]:
            raise LedgerHalted(f"The entries do not give the stored root of size {state.size}.", _INSPECT)

    def _check_published(self, locked: LockedHead) -> None:
        """Checks that P <= L, and that P's tree is a prefix of L's."""
        published = self._files.read_checkpoint()
        if published is None:
            return
        try:
            checkpoint = check_log_checkpoint(decode_utf8(published), self._keys)
        except (Malformed, VerificationError) as exc:
            raise LedgerHalted("The published checkpoint is not one of this log and key.", _INSPECT) from exc
        if checkpoint.size > locked.size:
            raise LedgerHalted(
                f"Size {checkpoint.size} is published, but only {locked.size} is locked.",
                "If this is a copy that was made while the service ran, `yinzheng ledger recover` finds the way on. "
                "Otherwise restore the lock store.",
            )
        if self._sha256.root(checkpoint.size, size=locked.size) != checkpoint.root:
            raise LedgerHalted(f"Another root of size {checkpoint.size} has been published.", _INSPECT)

    def _check_is_ours(self, checkpoint: Checkpoint) -> None:
        size = self._signed.checkpoint.size
        if checkpoint.size > size or self._sha256.root(checkpoint.size, size=size) != checkpoint.root:
            raise VerificationError("The checkpoint is not one of this log's tree.")


class _Work(Protocol):
    def __call__(self, connection: Connection, /) -> SignedHead: ...


def check_sm3_checkpoint(note: str, keys: LogKeys) -> Checkpoint:
    """Returns the checkpoint of the SM3 tree in `note` if every key of the log signed it under the tree's name.

    Its one further line names the root of the SHA-256 tree. Raises `Malformed` or `VerificationError`.
    """
    checkpoint = parse_checkpoint(parse_note(note).text)
    origin = sm3_origin(keys.origin)
    wanted = [_renamed(vkey, origin) for vkey in keys.of_size(checkpoint.size)]
    signed = {(each.name, each.key_id) for each in check_note(note, vkeys=wanted).signatures}
    if checkpoint.origin != origin or any((vkey.name, vkey.key_id) not in signed for vkey in wanted):
        raise VerificationError("The SM3 checkpoint is of another log, or a key has not signed it.")
    if len(checkpoint.extensions) != 1 or not checkpoint.extensions[0].startswith("sha256 "):
        raise Malformed("The SM3 checkpoint does not name the root of the SHA-256 tree.")
    return checkpoint


def _renamed(vkey: VerifierKey, name: str) -> VerifierKey:
    return VerifierKey(name=name, public_key=vkey.public_key, kind=vkey.kind)


def _size_of(note: str) -> int:
    return parse_checkpoint(parse_note(note).text).size


def _entries_of(connection: Connection, tile: Tile) -> list[bytes]:
    """The entries under a tile of level 0, each checked against its leaf hash, so that no changed row is published."""
    rows = sql.read_entries(connection, start=tile.start, end=tile.start + tile.width)
    if len(rows) != tile.width:
        raise LedgerHalted(
            f"Of entries {tile.start} to {tile.start + tile.width - 1} some are gone.", _INSPECT
        )
    for row in rows:
        if merkle.leaf_hash(row.entry_bytes) != row.leaf_hash:
            raise LedgerHalted(f"Entry {row.seq} has been changed in the database.", _INSPECT)
    return [row.entry_bytes for row in rows]
