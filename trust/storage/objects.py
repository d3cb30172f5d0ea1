"""Objects: files that the register names and does not hold, such as PDFs.

Whoever stores writes first and refers later; whoever deletes lets go first and deletes later. So a crash leaves an
object that nothing names, which a sweeper finds, and never a reference to an object that is not there.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from trust.model.errors import LedgerHalted, StorageError
from trust.storage.folder import create_all_durably, create_durably, is_half_written, sync_folder

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}(/[a-z0-9][a-z0-9-]{0,63}){0,3}(\.[a-z0-9]{1,8})?")
_BLOCK = 1 << 20
_MARK = ".yinzheng"


class ObjectMissing(StorageError):
    """There is no object with this name, though something refers to it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The stored file {name} is missing.",
            "Put it back from a backup of the folder `documents`, and look who removed it.",
            code="OBJECT_MISSING",
        )


class Objects(Protocol):
    """Objects by name. A name is one to four parts of a-z, 0-9 and hyphens, with slashes between them, and may have an
    ending. It says nothing about a person.

    Any number of threads, processes and hosts may call every method at once. Where the place itself is not there, every
    method raises `StorageError` (DOCUMENTS_NOT_THERE): nothing is taken for missing or deleted.
    """

    def is_there(self) -> bool:
        """Whether this is the place where objects are stored, and not an empty one in its stead."""

    def put_all(self, contents: Mapping[str, bytes]) -> None:
        """Stores contents by their names; durable on return. After an exception some may be stored, each whole.

        What is stored under a name never changes: the same content again is success (a repeat after a crash), another
        one raises `StorageError` and changes nothing.
        """

    def has(self, name: str) -> bool:
        """Whether there is an object with this name. Raises `StorageError` if that cannot be told."""

    def get(self, name: str) -> bytes:
        """The content. Raises `ObjectMissing`, and `StorageError` if it cannot be read."""

    def renew(self, names: Collection[str]) -> None:
        """From now on these count as just stored (`older_than`). Raises `ObjectMissing`.

        Called in the transaction that refers to them, so that a sweeper cannot have taken away what was stored long
        before.
        """

    def delete(self, names: Collection[str]) -> None:
        """Deletes these objects, durably, and overwrites them where the medium allows it. What is not there is no
        error, because a delete is repeated after a crash."""

    def delete_but(self, beginning: str, kept: Collection[str]) -> None:
        """Deletes, as `delete` does, all objects whose names begin so but those in `kept`, and what a killed process
        left half-written under such names. `beginning` ends inside the last part of a name."""

    def older_than(self, age: timedelta) -> Iterator[str]:
        """Names of objects that were stored or renewed longer ago than `age`, in no order."""

    def clean(self, age: timedelta) -> None:
        """Deletes what killed processes left half-written longer ago than `age`."""


@dataclass(frozen=True, slots=True)
class FolderObjects:
    """`Objects` in a folder, on one machine or on a file system that all hosts mount. Ages are by its own clock.

    `is_marked`: the folder was chosen, and bears a mark (`mark`). Without it, it is not there or not mounted, and what
    one host stored on its own disk the others would not find.
    """

    folder: Path
    is_marked: bool = False

    def mark(self) -> None:
        """Makes the folder, with its mark. Idempotent."""
        self._make(self.folder)
        create_durably(self.folder / _MARK, b"files of e-certificates of Yinzheng\n")

    def is_there(self) -> bool:
        return not self.is_marked or (self.folder / _MARK).is_file()

    def put_all(self, contents: Mapping[str, bytes]) -> None:
        for path in dict.fromkeys(self._path(name).parent for name in contents):
            self._make(path)
        try:
            create_all_durably([(self._path(name), content) for name, content in contents.items()])
        except LedgerHalted as exc:  # what the ledger's files say of the same fault
            raise StorageError(
                exc.what, "Do not delete it; look who wrote it.", code="OBJECT_EXISTS"
            ) from exc

    def has(self, name: str) -> bool:
        try:
            self._path(name).stat()
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise StorageError(f"The stored file {name} cannot be looked at: {exc.strerror}.") from exc
        return True

    def get(self, name: str) -> bytes:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError as exc:
            raise ObjectMissing(name) from exc
        except OSError as exc:
            raise StorageError(f"The stored file {name} cannot be read: {exc.strerror}.") from exc

    def renew(self, names: Collection[str]) -> None:
        for name in names:
            try:
                os.utime(self._path(name))
            except FileNotFoundError as exc:
                raise ObjectMissing(name) from exc
            except OSError as exc:
                raise StorageError(f"The stored file {name} cannot be renewed: {exc.strerror}.") from exc

    def delete(self, names: Collection[str]) -> None:
        self._remove([self._path(name) for name in names])

    def delete_but(self, beginning: str, kept: Collection[str]) -> None:
        above, _, start = beginning.rpartition("/")
        if not above or not start or _NAME.fullmatch(f"{beginning}x") is None:
            raise StorageError(f"{beginning!r} is no beginning of a name.")
        self._check_there()
        folder = self.folder / above
        # A copy that is being written has a dot before the name, and more behind it.
        found = [
            path
            for path in (folder.iterdir() if folder.is_dir() else ())
            if path.name.startswith((start, f".{start}"))
        ]
        self._remove([path for path in found if self._name(path) not in kept])

    def older_than(self, age: timedelta) -> Iterator[str]:
        for path in self._older(age):
            if _NAME.fullmatch(self._name(path)) is not None:
                yield self._name(path)

    def clean(self, age: timedelta) -> None:
        self._remove([path for path in self._older(age) if is_half_written(path)])

    def _older(self, age: timedelta) -> Iterator[Path]:
        self._check_there()
        before = time.time() - age.total_seconds()
        for folder, _, names in os.walk(self.folder):
            for path in (Path(folder) / name for name in names):
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < before:
                        yield path

    def _remove(self, paths: Collection[Path]) -> None:
        for path in paths:
            try:
                with contextlib.suppress(FileNotFoundError):
                    _overwrite(path)
                    path.unlink()
            except OSError as exc:
                what = f"The stored file {self._name(path)} cannot be deleted: {exc.strerror}."
                raise StorageError(what) from exc
        for folder in sorted({path.parent for path in paths}):
            if folder.is_dir():
                sync_folder(folder)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _check_there(self) -> None:
        if not self.is_there():
            raise StorageError(
                f"The folder {self.folder} is not there, or is not mounted.",
                "Mount it. If it is to be a new one, `yinzheng init` makes it.",
                code="DOCUMENTS_NOT_THERE",
            )

    def _path(self, name: str) -> Path:
        self._check_there()
        if _NAME.fullmatch(name) is None:
            raise StorageError(f"{name!r} is no name of a stored file.")
        return self.folder / name

    def _make(self, path: Path) -> None:
        """Makes a folder with those above it, each durable in the one that holds it."""
        if path.is_dir():
            return
        above = path.parent
        if not above.is_dir():
            self._make(above)
        try:
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError as exc:
            raise StorageError(f"The folder {path} cannot be made: {exc.strerror}.") from exc
        sync_folder(above)


def _overwrite(path: Path) -> None:
    with path.open("r+b", buffering=0) as file:
        left = os.fstat(file.fileno()).st_size
        while left > 0:
            left -= file.write(bytes(min(left, _BLOCK))) or 0
        os.fsync(file.fileno())
