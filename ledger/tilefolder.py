"""The published files of a log in one folder, laid out as they are served (C2SP tlog-tiles).

Tiles are create-only: writing the same tile again is success, writing another one in its place halts the
log. The checkpoint is the one file that is replaced. The folder can be served by any web server as it is.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ledger.tiles import Tile, decode_bundle, decode_hashes, entries_path, tile_path
from trust.model.errors import StorageError
from trust.storage.folder import create_durably, write_durably

_CHECKPOINT: Final = "checkpoint"


class TileFolder:
    """Reads and writes the files of one log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write_hashes(self, tile: Tile, data: bytes) -> None:
        create_durably(self._folder / tile_path(tile), data)

    def write_bundle(self, tile: Tile, data: bytes) -> None:
        create_durably(self._folder / entries_path(tile), data)

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

    def has(self, path: str) -> bool:
        return (self._folder / path).is_file()

    def drop_partials(self, tile: Tile) -> None:
        """Removes the partial tiles below a full one. It may fail: they are only in the way."""
        if not tile.is_full:
            raise ValueError("partial tiles are dropped only for a full one")
        paths = [tile_path(tile)] + ([entries_path(tile)] if tile.level == 0 else [])
        for path in paths:
            with contextlib.suppress(OSError):
                shutil.rmtree(self._folder / f"{path}.p")

    def _read(self, tile: Tile, path_of: Callable[[Tile], str]) -> tuple[Tile, bytes]:
        """The tile's file or, since partial tiles go when the full one is there, the full tile's."""
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
