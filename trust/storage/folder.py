"""Writing files atomically and durably; and the lock that keeps a second writer out.

A file is written beside its destination, synced, moved into place, and then its folder is synced: without the last step
a power cut may lose the name although the content is on the disk (fsync(2), NOTES).
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from trust.model.errors import Conflict, LedgerHalted, StorageError
from trust.storage.errors import DurabilityUnknown

_serial = itertools.count()


@contextlib.contextmanager
def folder_turn(folder: Path, *, name: str) -> Iterator[None]:
    """Holds the lock `name` in a folder, after waiting for other processes of this machine (flock; a process that dies
    releases it)."""
    _make_folder(folder)
    try:
        fd = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StorageError(f"The lock file {folder / name} cannot be opened: {exc.strerror}.") from exc
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


class DataFolderLock:
    """The lock of the process that writes to a data folder; released by `release` and when the process dies.

    It is a lock on an open file (flock), not the existence of a file, so nothing must be cleaned up after kill -9. It
    is not reliable on a network file system, so data folders must be on local disks.
    """

    def __init__(self, folder: Path, *, name: str = ".lock") -> None:
        """Takes the lock. Raises `Conflict` if another holder has it."""
        _make_folder(folder)
        path = folder / name
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StorageError(f"The lock file {path} cannot be opened: {exc.strerror}.") from exc
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise Conflict(
                f"The data folder {folder} is in use by another process (id {holder}).",
                "Stop that process, or send the command to its API; several writers need PostgreSQL.",
                code="DATA_FOLDER_IN_USE",
            ) from exc
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode("ascii"), 0)  # only for the message above

    def release(self) -> None:
        """Releases the lock. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> DataFolderLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def write_durably(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """On return `path` contains exactly `data`, also after a power cut; readers see the old file or the new one.

    `mode`: its permissions, regardless of the umask; None: by the umask.

    Raises `StorageError` if the file was not replaced, `DurabilityUnknown` if that is not certain.
    """
    with _temporary_copy(path, data, mode) as copy:
        try:
            copy.replace(path)
        except OSError as exc:
            raise _not_stored(path, exc) from exc
        sync_folder(path.parent)


def create_durably(path: Path, data: bytes) -> None:
    """As `write_durably`, for a file that must never change once it exists.

    An existing file with the same content is success (a repeat after a crash). Other content raises `LedgerHalted`,
    because history was or would be rewritten.
    """
    create_all_durably([(path, data)])


def create_all_durably(files: Sequence[tuple[Path, bytes]]) -> None:
    """As `create_durably` for many files: all are durable on return, and each folder is synced only once.

    After an exception some files may exist and others not; each one that exists is complete.
    """
    with contextlib.ExitStack() as stack:
        copies = [
            (stack.enter_context(_temporary_copy(path, data)), path, data)
            for path, data in files
            if not _is_there_with(path, data)
        ]
        for copy, path, data in copies:
            _link(copy, path, data)
    # Sync also the folders of files that existed: their writer may have died before doing so.
    for folder in dict.fromkeys(path.parent for path, _ in files):
        sync_folder(folder)


def _link(copy: Path, path: Path, data: bytes) -> None:
    try:
        os.link(copy, path)  # unlike rename, refuses to replace
    except FileExistsError:
        _is_there_with(path, data)  # another process was faster: compare its content
    except OSError as exc:
        raise _not_stored(path, exc) from exc


def _is_there_with(path: Path, data: bytes) -> bool:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as exc:
        raise StorageError(f"The file {path} cannot be read: {exc.strerror}.") from exc
    if found != data:
        raise LedgerHalted(
            f"The file {path} exists with other content ({len(found)} bytes, expected {len(data)}).",
            "Do not delete it. Run recheck, and compare with a mirror, before anything is signed.",
        )
    return True


@contextlib.contextmanager
def _temporary_copy(path: Path, data: bytes, mode: int | None = None) -> Iterator[Path]:
    """A synced file beside `path`, deleted on exit if it was not moved."""
    _make_folder(path.parent)
    copy = path.parent / f".{path.name}.{os.getpid()}.{next(_serial)}.tmp"
    try:
        try:
            with open(copy, "wb") as file:
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                _sync(file.fileno(), copy)
        except OSError as exc:
            raise _not_stored(path, exc) from exc
        yield copy
    finally:
        with contextlib.suppress(OSError):
            copy.unlink()


def is_half_written(path: Path) -> bool:
    """Whether this is the copy beside a file that a process was writing when it was killed, or is writing now."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def _make_folder(folder: Path) -> None:
    """Creates `folder` and missing parents, syncing each name into its parent."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as exc:
        raise _not_stored(folder, exc) from exc
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable. Raises `DurabilityUnknown`."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise DurabilityUnknown(f"The folder {folder} cannot be synced: {exc.strerror}.") from exc
    try:
        _sync(fd, folder)
    finally:
        os.close(fd)


def _sync(fd: int, path: Path) -> None:
    try:
        os.fsync(fd)
    except OSError as exc:
        raise DurabilityUnknown(
            f"Syncing {path} failed: {exc.strerror}.", "Check the disk before the service is started again."
        ) from exc


def _not_stored(path: Path, exc: OSError) -> StorageError:
    return StorageError(f"{path} could not be written: {exc.strerror}.", "Check free space and permissions.")
