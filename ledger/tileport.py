"""Where a log is published: the port that the publisher writes to. `ledger.tilefolder` is a folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from ledger.tiles import Tile


class Tiles(Protocol):
    """The published files of a log, by their paths (C2SP tlog-tiles), for anybody to read.

    Any number of threads, processes and hosts may read and write at once; what is published in which order is kept by
    the turn, which one publisher holds.
    """

    def turn(self) -> AbstractContextManager[None]:
        """Waits until no other publisher, in any process or on any host, has the turn, and holds it. It ends with the
        block, and with the process that holds it, however that ends."""

    def write_all(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Creates files; durable on return. After an exception some may be there, each whole.

        A file that is there with the same content is success (a repeat after a crash). Another content raises
        `LedgerHalted` and changes nothing: history would be rewritten.
        """

    def write_checkpoint(self, note: bytes) -> None:
        """Puts a new checkpoint in the place of the last; durable on return. A reader sees the one or the other, whole.
        Raises `StorageError`, `DurabilityUnknown`."""

    def read_checkpoint(self) -> bytes | None:
        """The published note, or None if nothing was published. Raises `StorageError`."""

    def read_hashes(self, tile: Tile) -> tuple[bytes, ...]:
        """The hashes of a tile, out of the full one if that has taken its place. Raises `StorageError` if they are
        missing, `Malformed` if there are not as many."""

    def has(self, path: str) -> bool:
        """Whether there is a file at this path."""

    def drop_partials(self, tile: Tile) -> None:
        """Takes away the partial tiles that a full one replaces. That it fails does no harm and is not told."""

    def sub_log(self, name: str) -> Tiles:
        """The place of another tree over the same entries, below this one."""
