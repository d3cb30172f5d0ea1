"""The published files of a log in one folder, laid out as they are served (C2SP tlog-tiles).

    checkpoint                       the newest signed checkpoint
    tile/…  tile/entries/…           the SHA-256 tree and the entries
    keys/<n>                         statement of the log's keys, of entry n (`ledger.logkeys`)
    sm3/checkpoint  sm3/tile/…       the SM3 tree over the same entries, as a log of its own

Tiles and statements are create-only: writing the same content again succeeds, writing other content in its place halts
the log. Only checkpoints are replaced. Any web server can serve the folder as it is, except names that begin with a
dot.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from ledger.text import decode_utf8
from ledger.tiles import TILE_WIDTH, Tile, decode_bundle, decode_hashes, entries_path, tile_path
from trust.model.errors import StorageError
from trust.storage.folder import create_all_durably, folder_turn, write_durably

SM3_FOLDER: Final = "sm3"

_CHECKPOINT: Final = "checkpoint"


def statement_path(seq: int) -> str:
    """Path of the statement of keys that entry `seq` commits to."""
    return f"keys/{seq}"


class TileFolder:
    """Reads and writes the files of one log; `ledger.tileport.Tiles` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        return self._folder

    def turn(self) -> AbstractContextManager[None]:
        """A lock in the folder, on one machine or where the file system's locks reach all hosts."""
        return folder_turn(self._folder, name=".publishing")

    def sub_log(self, name: str) -> TileFolder:
        return TileFolder(self._folder / name)

    def write_all(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Creates files by their paths in the folder; see `create_all_durably`."""
        create_all_durably([(self._folder / path, data) for path, data in files])

    def write_checkpoint(self, note: bytes) -> None:
        write_durably(self._folder / _CHECKPOINT, note)

    def read_checkpoint(self) -> bytes | None:
        """The published note, or None if nothing has been published."""
        try:
            return (self._folder / _CHECKPOINT).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StorageError(f"The checkpoint cannot be read: {exc.strerror}.") from exc

    def read_hashes(self, tile: Tile) -> tuple[bytes, ...]:
        """The hashes of `tile`. Raises `StorageError` if they are missing, `Malformed` if not as many."""
        found, data = self._read(tile, tile_path)
        return decode_hashes(data, width=found.width)[: tile.width]

    def read_bundle(self, tile: Tile) -> tuple[bytes, ...]:
        """The entries of `tile`, a tile of level 0; errors as in `read_hashes`."""
        found, data = self._read(tile, entries_path)
        return decode_bundle(data, width=found.width)[: tile.width]

    def read_statement(self, seq: int) -> str:
        """The statement of keys of entry `seq`. Raises `StorageError` if it is missing."""
        try:
            return decode_utf8((self._folder / statement_path(seq)).read_bytes())
        except OSError as exc:
            raise StorageError(f"{statement_path(seq)} cannot be read: {exc.strerror}.") from exc

    def has(self, path: str) -> bool:
        return (self._folder / path).is_file()

    def smaller(self, tile: Tile, path_of: Callable[[Tile], str]) -> list[Tile]:
        """Partial tiles of earlier sizes that are still served beside `tile`."""
        full = self._folder / path_of(Tile(tile.level, tile.index))
        partials = full.with_name(f"{full.name}.p")
        widths = sorted(int(each.name) for each in partials.glob("*") if each.name.isdigit())
        return [Tile(tile.level, tile.index, width) for width in widths if 0 < width < tile.width]

    def larger(self, tile: Tile) -> list[Tile]:
        """Wider partial bundles, of later sizes, at the same position; the widest first."""
        full = self._folder / entries_path(Tile(tile.level, tile.index))
        partials = full.with_name(f"{full.name}.p")
        widths = sorted(int(each.name) for each in partials.glob("*") if each.name.isdigit())
        return [Tile(tile.level, tile.index, width) for width in reversed(widths) if width > tile.width]

    def read_exactly(self, tile: Tile, path_of: Callable[[Tile], str]) -> bytes:
        """The tile's own file, never a larger tile in its place. Raises `StorageError`."""
        try:
            return (self._folder / path_of(tile)).read_bytes()
        except OSError as exc:
            raise StorageError(f"{path_of(tile)} cannot be read: {exc.strerror}.") from exc

    def drop_partials(self, tile: Tile) -> None:
        """Removes the partial tiles that a full one replaces. Failures are ignored, because they do no harm."""
        if not tile.is_full:
            raise ValueError("partial tiles are dropped only for a full one")
        paths = [tile_path(tile)] + ([entries_path(tile)] if tile.level == 0 else [])
        for path in paths:
            with contextlib.suppress(OSError):
                shutil.rmtree(self._folder / f"{path}.p")

    def set_aside_beyond(self, size: int) -> None:
        """Renames files that are not part of the tree of `size` to names that are not served.

        Only for a log that was recovered to `size`: a crash may have left tiles of a size that was never locked, and
        other entries will take their places. Nothing is deleted.
        """
        kinds: list[tuple[int, Callable[[Tile], str]]] = [(level, tile_path) for level in range(8)]
        for level, path_of in [*kinds, (0, entries_path)]:
            index, width = divmod(size >> (8 * level), TILE_WIDTH)
            while True:
                full = self._folder / path_of(Tile(level, index))
                partial = full.with_name(f"{full.name}.p")
                found = [full] if full.exists() else []
                found += [
                    each for each in partial.glob("*") if each.name.isdigit() and int(each.name) > width
                ]
                for each in found:
                    self._set_aside(each)
                if not found and index > size >> (8 * level + 8):
                    break
                index, width = index + 1, 0
        for statement in (self._folder / "keys").glob("*"):
            if statement.name.isdigit() and int(statement.name) >= size:
                self._set_aside(statement)

    def _set_aside(self, file: Path) -> None:
        name = file.relative_to(self._folder).as_posix().replace("/", "_")
        aside = self._folder / ".unlocked"
        try:
            aside.mkdir(exist_ok=True)
            file.replace(aside / f"{time.time_ns()}_{name}")
        except OSError as exc:
            raise StorageError(f"{file} cannot be moved aside: {exc.strerror}.") from exc

    def _read(self, tile: Tile, path_of: Callable[[Tile], str]) -> tuple[Tile, bytes]:
        """The tile's file, or the full tile's, because partial tiles may be deleted once the full one exists."""
        for each in (tile, Tile(tile.level, tile.index)):
            try:
                return each, (self._folder / path_of(each)).read_bytes()
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise StorageError(f"{path_of(each)} cannot be read: {exc.strerror}.") from exc
        raise StorageError(
            f"{path_of(tile)} is missing.", "Restart the service: it writes missing tiles anew."
        )
