"""Reads the log again and again while it runs, and halts it at the first contradiction.

`ledger.recheck` is for operators who want a full report; the scrubber runs in between. One pass reads every row and
every published file up to the locked head, hashes the entries again, and compares the stored leaf hashes, the bundles,
the tiles of both trees, and at the end the locked roots and what is not in force. An edited row, tile or bundle, or an
old copy of any of them, is detected within one pass; then nothing more is appended or signed, because the log would
sign for entries that it no longer has.

The length of a pass grows with the log, so it is throttled: `pause` is called after every 256 entries.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from ledger import sql
from ledger.lifecycle import Life, next_life
from ledger.lockstore import LockStore
from ledger.recheck import Levels
from ledger.tilefolder import SM3_FOLDER, TileFolder
from ledger.tiles import TILE_WIDTH, Tile, encode_bundle, encode_hashes, entries_path, tile_path
from trust.encoding import merkle
from trust.encoding.entry import NO_REF, EntryKind, decode_entry
from trust.encoding.merkle import CompactRange
from trust.model.errors import Conflict, LedgerHalted, Malformed, StorageError
from trust.storage.sql import Database

_TODO = "Run `yinzheng ledger recheck`, find out who changed it, and restore it from a mirror."


def scrub(
    database: Database,
    files: TileFolder,
    lock_store: LockStore,
    *,
    origin: str,
    pause: Callable[[], None] = lambda: None,
) -> int:
    """Runs one pass and returns the number of entries read. Raises `LedgerHalted` naming the first contradiction.

    A database or disk that cannot be read raises `StorageError`, which is no contradiction and does not halt the log.
    """
    locked = lock_store.head(origin)
    if locked is None:
        raise LedgerHalted("The lock store no longer knows this log.", "Restore the lock store.")
    with database.read() as connection:
        state = sql.read_state(connection)
    if state is None or state.size < locked.size:
        raise LedgerHalted(
            f"The database holds {state.size if state else 0} entries, and {locked.size} are signed for.",
            "Was a backup restored? See `yinzheng ledger recover`.",
        )
    trees = {"sha256": files, "sm3": TileFolder(files.folder / SM3_FOLDER)}
    levels = Levels(lambda algorithm, tile, hashes: _compare_tile(trees[algorithm], algorithm, tile, hashes))
    lives: dict[int, Life] = {}
    ranges = [CompactRange(algorithm=algorithm) for algorithm in trees]
    for start in range(0, locked.size, TILE_WIDTH):
        tile = Tile(0, start // TILE_WIDTH, min(TILE_WIDTH, locked.size - start))
        for subject_id, entry_bytes in _compared_entries(database, files, tile):
            _follow(lives, subject_id, entry_bytes)
            leaves = [merkle.leaf_hash(entry_bytes, algorithm=algorithm) for algorithm in trees]
            for tree, leaf in zip(ranges, leaves, strict=True):
                tree.append(leaf)
            levels.add(*leaves)
        pause()
    levels.finish(locked.size)
    if [tree.root() for tree in ranges] != [locked.root, locked.sm3_root]:
        raise LedgerHalted(f"The entries do not give the locked roots of size {locked.size}.", _TODO)
    _compare_lives(database, locked.size, lives)
    return locked.size


def _follow(lives: dict[int, Life], subject_id: int | None, entry_bytes: bytes) -> None:
    """Updates `lives`, which keeps only what is not in force, as status lists do."""
    if subject_id is None:
        return
    entry = decode_entry(entry_bytes)
    before = None if entry.kind is EntryKind.ISSUED else lives.get(subject_id, Life.VALID)
    try:
        life = next_life(before, entry.kind)
    except Conflict as exc:
        raise LedgerHalted(f"Entry {entry.seq} cannot follow what came before it.", _TODO) from exc
    if life is Life.VALID:
        lives.pop(subject_id, None)
    else:
        lives[subject_id] = life


def _compare_lives(database: Database, size: int, lives: dict[int, Life]) -> None:
    """Checks that the stored lives match the entries. If the log has grown meanwhile, the next pass compares them."""
    with database.read() as connection:
        stored_size, stored = sql.read_lives_not_valid(connection)
    if stored_size == size and stored != {subject_id: int(life) for subject_id, life in lives.items()}:
        differing = {each for each in stored.keys() | lives.keys() if stored.get(each) != lives.get(each)}
        raise LedgerHalted(
            f"The stored status of {len(differing)} e-certificate(s) is not that of the entries "
            f"(subject {min(differing)}).",
            _TODO,
        )


def _compared_entries(database: Database, files: TileFolder, tile: Tile) -> list[tuple[int | None, bytes]]:
    """The entries of a tile with their subject ids, after comparing database and bundle."""
    try:
        with database.read() as connection:
            rows = sql.read_entries(connection, start=tile.start, end=tile.start + tile.width)
    except SQLAlchemyError as exc:
        raise StorageError("The database cannot be read.") from exc
    for seq, row in enumerate(rows, tile.start):
        if row.seq != seq:
            raise LedgerHalted(f"Entry {seq} is gone from the database.", _TODO)
        if merkle.leaf_hash(row.entry_bytes) != row.leaf_hash or not _says_what_the_entry_says(row):
            raise LedgerHalted(f"Entry {seq} has been changed in the database.", _TODO)
    if len(rows) != tile.width:
        raise LedgerHalted(f"Entry {tile.start + len(rows)} is gone from the database.", _TODO)
    try:
        bundle = files.read_bundle(tile)
    except Malformed as exc:
        raise LedgerHalted(f"{entries_path(tile)} is damaged: {exc.what}", _TODO) from exc
    except StorageError as exc:
        if isinstance(exc.__cause__, OSError):
            raise  # it cannot be read now (too many open files, say), which is no contradiction
        raise LedgerHalted(exc.what, exc.todo) from exc
    for row, published in zip(rows, bundle, strict=True):
        if row.entry_bytes != published:
            raise LedgerHalted(
                f"Entry {row.seq} is another in the database than in the published bundle.", _TODO
            )
    for smaller in files.smaller(tile, entries_path):
        old = _old_file(files, smaller, entries_path)
        if old is not None and old != encode_bundle([row.entry_bytes for row in rows[: smaller.width]]):
            raise LedgerHalted(f"{entries_path(smaller)}, of an earlier size, has been changed.", _TODO)
    return [(row.subject_id, row.entry_bytes) for row in rows]


def _says_what_the_entry_says(row: sql.StoredEntry) -> bool:
    try:
        entry = decode_entry(row.entry_bytes)
    except Malformed:
        return True  # the bundle differs, and comparing it gives a better message
    return (entry.seq, entry.at_ms, entry.ref == NO_REF) == (row.seq, row.at_ms, row.subject_id is None)


def _old_file(files: TileFolder, tile: Tile, path_of: Callable[[Tile], str]) -> bytes | None:
    """A partial tile of an earlier size; None if it has been deleted meanwhile."""
    try:
        return files.read_exactly(tile, path_of)
    except StorageError as exc:
        if isinstance(exc.__cause__, FileNotFoundError):
            return None
        raise


def _compare_tile(files: TileFolder, algorithm: str, tile: Tile, hashes: list[bytes]) -> None:
    path = f"{SM3_FOLDER}/{tile_path(tile)}" if algorithm == "sm3" else tile_path(tile)
    try:
        found = files.read_hashes(tile)
    except (StorageError, Malformed) as exc:
        if isinstance(exc, StorageError) and isinstance(exc.__cause__, OSError):
            raise
        raise LedgerHalted(f"{path} is missing or damaged: {exc.what}", _TODO) from exc
    for number, (one, other) in enumerate(zip(found, hashes, strict=True), tile.start):
        if one != other:
            entry = number << (8 * tile.level)
            raise LedgerHalted(f"{path} does not hold the hash that entry {entry} gives.", _TODO)
    for smaller in files.smaller(tile, tile_path):
        old = _old_file(files, smaller, tile_path)
        if old is not None and old != encode_hashes(hashes[: smaller.width]):
            raise LedgerHalted(f"{tile_path(smaller)}, of an earlier size, has been changed.", _TODO)
