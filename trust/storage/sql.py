"""One database, SQLite or PostgreSQL, with one durable way to write and one way to read.

SQLite. **Exactly one connection writes and checkpoints.** SQLite up to 3.51.2 can corrupt a file when two
connections write or checkpoint a WAL at the same moment (the WAL-reset bug, fixed in 3.51.3; Debian 12
ships 3.40.1). So `write` hands out one connection under a mutex; every reader is a connection with
`query_only=ON` and `wal_autocheckpoint=0`, which can neither write nor checkpoint; and readers are closed
before the writer, because the last connection to close checkpoints. Other processes are kept out by
`trust.storage.folder.DataFolderLock`. Commits are synced (`synchronous=FULL`: with NORMAL a power cut may
undo a commit that a signature already covers). `BEGIN IMMEDIATE` takes the write lock at once, so a transaction
never fails half-way because it began by reading. Deleted rows are overwritten. A COMMIT that fails in its fsync
raises `DurabilityUnknown`.

PostgreSQL. Every transaction has its own connection from a pool; `synchronous_commit=on`. A COMMIT whose answer was
lost is a `StorageError` that says so; the caller can query what the server has stored, because after a failed fsync the
server stops by itself.

A transaction commits when its block ends and rolls back when the block raises. Errors of the database are raised as
`StorageError`. Errors about the data (`IntegrityError`) pass through, because only the caller knows what they mean.

    db = Database(Path("data/yinzheng.db"))          # or "postgresql+psycopg://host/name"
    with db.write() as connection:
        connection.execute(insert(table), rows)
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool, StaticPool

from trust.model.errors import Malformed, StorageError
from trust.storage.errors import DurabilityUnknown
from trust.storage.folder import sync_folder
from trust.storage.guard import Guard, install, remembering

_BUSY_TIMEOUT_MS: Final = 5_000
_READERS: Final = 16

# A COMMIT that fails with one of these has stored nothing: SQLite rolled back, or had not begun.
_CERTAINLY_NOT_COMMITTED: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY})


class Database:
    """An open database. The caller must `close` it when nothing is running in it any more."""

    def __init__(self, where: Path | str) -> None:
        """Opens a file (`Path`) or a `postgresql+psycopg://` URL. Raises `StorageError` if that fails."""
        self.guard: Guard | None = None
        self._held = threading.local()
        self._mutex = threading.Lock()
        if isinstance(where, Path):
            self._readers, self._writer = _sqlite_engines(where)
        else:
            self._readers = self._writer = _postgresql_engine(where)
        self.name: Final[str] = self._writer.url.render_as_string(hide_password=True)
        try:
            # The writer is opened first: it switches to WAL and replays one that a crash left behind.
            with self.write() as connection:
                connection.execute(sa.select(1))
            if isinstance(where, Path):
                # The WAL may be a new file. SQLite syncs its folder but ignores a failure, after which a power cut
                # could lose the name, and every commit with it.
                sync_folder(where.parent)
        except BaseException:
            self.close()
            raise

    def server_time(self) -> datetime:
        """The time of the PostgreSQL server's clock. Not for SQLite; check `is_sqlite` first."""
        with self.read() as connection:
            found = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        assert isinstance(found, datetime)
        return found.astimezone(UTC)

    @property
    def is_sqlite(self) -> bool:
        return self._writer.dialect.name == "sqlite"

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """Opens a transaction that may write; it is durable when the block has ended without an exception."""
        if self.is_writing_here():
            # On SQLite it would deadlock; on PostgreSQL it would not see what the outer transaction wrote.
            raise RuntimeError("write() inside write(): pass the connection down instead")
        announced = None
        with self._turn(), _translated(self.name), self._writer.connect() as connection:
            transaction = connection.begin()
            install(connection, self.guard)
            try:
                yield connection
                if self.guard is not None:
                    announced = self.guard.announce(connection)
            except BaseException:
                # A broken connection cannot roll back; the block's own exception is more useful.
                with contextlib.suppress(DBAPIError):
                    transaction.rollback()
                raise
            self._commit(transaction)
        if self.guard is not None and announced is not None:
            self.guard.complete(announced)

    @contextlib.contextmanager
    def read(self, *, anew: bool = False) -> Iterator[Connection]:
        """Opens a read-only transaction. On SQLite it sees one consistent state and blocks no writer.

        Inside `snapshot` it is the snapshot's transaction, unless it is opened `anew`.
        """
        held: Connection | None = getattr(self._held, "snapshot", None)
        if held is not None and not anew:
            with _translated(self.name):
                yield held
            return
        with _translated(self.name), self._readers.connect() as connection, connection.begin():
            install(connection, self.guard)
            yield connection

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """For many short reads of this thread: they share one transaction, and each row is read and checked once.

        Keep it short, because what others change meanwhile is not seen.
        """
        if getattr(self._held, "snapshot", None) is not None:
            yield
            return
        with _translated(self.name), self._readers.connect() as connection:
            if not self.is_sqlite:
                # By default each statement of PostgreSQL sees what was committed before it.
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                install(connection, self.guard)
                with remembering(connection):
                    self._held.snapshot = connection
                    try:
                        yield
                    finally:
                        self._held.snapshot = None

    def forget_deleted(self, tables: Sequence[str]) -> bool:
        """Ensures that deleted rows cannot be read from the files any more, as far as the database can.

        SQLite overwrites them on deletion (`secure_delete`); their copies in the WAL are removed now. On PostgreSQL,
        VACUUM removes dead rows; its WAL keeps them until it is recycled, and backups keep them too. Returns False if a
        reader prevented the WAL from being emptied, which then happens later. Raises `StorageError`.
        """
        if self.is_sqlite:
            with self._mutex, _translated(self.name), self._writer.connect() as connection:
                cursor = connection.connection.cursor()
                try:
                    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    (busy, _, _) = cursor.fetchone() or (1, 0, 0)
                except sqlite3.Error as exc:
                    raise StorageError(
                        f"The database {self.name} could not empty its log: {type(exc).__name__}.",
                        "Check the disk.",
                    ) from exc
            return not busy
        else:
            with _translated(self.name), self._writer.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                    f"VACUUM {', '.join(tables)}"
                )
            return True

    def is_writing_here(self) -> bool:
        """True if the calling thread is inside `write`. Such a thread must not wait for another thread's write."""
        return getattr(self._held, "writing", False)

    def close(self) -> None:
        """Closes every connection, readers first, so that the writer checkpoints."""
        if self._readers is not self._writer:
            self._readers.dispose()
        self._writer.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        with self._mutex if self.is_sqlite else contextlib.nullcontext():
            self._held.writing = True
            try:
                yield
            finally:
                self._held.writing = False

    def _commit(self, transaction: sa.RootTransaction) -> None:
        try:
            transaction.commit()
        except DBAPIError as exc:
            # The connection is in an unknown state too, so the next transaction gets a new one.
            transaction.connection.invalidate()
            if getattr(exc.orig, "sqlite_errorcode", None) in _CERTAINLY_NOT_COMMITTED:
                raise
            error = DurabilityUnknown if self.is_sqlite else StorageError
            raise error(
                f"Committing to {self.name} failed, and it is not known what is stored.",
                "Check the disk or the server.",
            ) from exc


def _is_surrogate(char: str) -> bool:
    """True for a lone surrogate, which may come from JSON, or from bytes on a command line that are not text."""
    return "\ud800" <= char <= "\udfff"


def _no_text() -> Malformed:
    return Malformed(
        "What was given holds a sign that is no character.",
        "Write it again, or copy it from where it is shown.",
        code="NOT_TEXT",
        zh="输入内容含有无效字符，请重新输入，或从显示处复制。",
    )


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError as exc:
        if not _is_surrogate(exc.object[exc.start]):
            raise
        raise _no_text() from exc
    except DataError as exc:
        if "NUL" in str(exc.orig):  # PostgreSQL cannot store NUL in a text
            raise _no_text() from exc
        raise
    except (IntegrityError, ProgrammingError):
        raise
    except (DBAPIError, PoolTimeout) as exc:
        cause = getattr(exc, "orig", None) or exc
        raise StorageError(
            f"The database {name} failed: {type(cause).__name__}.", "Check the disk, the server and its log."
        ) from exc


def _sqlite_engines(path: Path) -> tuple[Engine, Engine]:
    url = URL.create("sqlite", database=str(path))
    settings: dict[str, Any] = {"connect_args": {"check_same_thread": False}}
    writer = sa.create_engine(url, poolclass=StaticPool, **settings)
    event.listen(writer, "connect", _on_sqlite_writer_connect)
    event.listen(writer, "begin", _begin_immediate)
    readers = sa.create_engine(
        url, poolclass=QueuePool, pool_size=_READERS, max_overflow=_READERS, **settings
    )
    event.listen(readers, "connect", _on_sqlite_reader_connect)
    event.listen(readers, "begin", _begin)
    return readers, writer


def _on_sqlite_writer_connect(connection: Any, _: ConnectionPoolEntry) -> None:
    # If WAL is not possible, SQLite uses another journal and only its answer shows it. That journal is deleted on
    # commit without syncing the folder, so a power cut could bring it back and undo the commit.
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StorageError("The database cannot write its log (WAL).", "Check the disk and its folder.")
    _on_sqlite_connect(connection, "synchronous=FULL", "fullfsync=ON", "secure_delete=ON")


def _on_sqlite_reader_connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    _on_sqlite_connect(connection, "query_only=ON", "wal_autocheckpoint=0")


def _on_sqlite_connect(connection: Any, *pragmas: str) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself
    for pragma in (f"busy_timeout={_BUSY_TIMEOUT_MS}", "foreign_keys=ON", "trusted_schema=OFF", *pragmas):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _postgresql_engine(where: str) -> Engine:
    try:
        url = make_url(where)
    except (ArgumentError, ValueError) as exc:
        raise Malformed("The database URL cannot be read.", "Give postgresql+psycopg://host/name.") from exc
    if url.drivername != "postgresql+psycopg":
        raise Malformed(
            f"The database URL begins with {url.drivername}://, which is not supported.",
            "Give a path for SQLite, or postgresql+psycopg://host/name.",
        )
    engine = sa.create_engine(url, pool_size=_READERS, max_overflow=_READERS, pool_pre_ping=True)
    event.listen(engine, "connect", _on_postgresql_connect)
    return engine


def _on_postgresql_connect(connection: Any, _: ConnectionPoolEntry) -> None:
    connection.autocommit = True
    connection.execute("SET synchronous_commit = on")
    connection.autocommit = False
