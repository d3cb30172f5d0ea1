"""The database and the data folder: one writer, durable, and errors that say whose they are."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from trust.model.errors import Conflict, LedgerHalted, Malformed, StorageError
from trust.storage.errors import DurabilityUnknown
from trust.storage.folder import DataFolderLock, create_durably, write_durably
from trust.storage.sql import Database

TABLE = sa.Table("thing", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True))


class Named(SQLModel, table=True):
    id: int = Field(primary_key=True)
    name: str


@pytest.fixture
def database(new_database: Callable[[], Path | str]) -> Iterator[Database]:
    with Database(new_database()) as found:
        with found.write() as connection:
            TABLE.metadata.create_all(connection)
            SQLModel.metadata.create_all(connection, tables=[SQLModel.metadata.tables["named"]])
        yield found


def ids(database: Database) -> list[int]:
    with database.read() as connection:
        return list(connection.execute(sa.select(TABLE.c.id).order_by(TABLE.c.id)).scalars())


def test_what_is_written_is_read_and_what_fails_is_not(database: Database) -> None:
    with database.write() as connection:
        connection.execute(TABLE.insert(), [{"id": 1}, {"id": 2}])

    def fail_midway() -> None:
        with database.write() as connection:
            connection.execute(TABLE.insert(), {"id": 3})
            raise LookupError

    with pytest.raises(LookupError):
        fail_midway()
    assert ids(database) == [1, 2]


def test_many_threads_write_without_losing_anything(database: Database) -> None:
    def add(first: int) -> None:
        for number in range(first, first + 10):
            with database.write() as connection:
                connection.execute(TABLE.insert(), {"id": number})

    threads = [threading.Thread(target=add, args=(each,)) for each in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids(database) == list(range(80))


def test_writing_inside_writing_is_refused_before_it_waits_for_itself(database: Database) -> None:
    with database.write():
        with pytest.raises(RuntimeError, match="inside"), database.write():
            pass
        assert database.is_writing_here()
    assert not database.is_writing_here()


def test_data_that_breaks_a_rule_is_the_callers_to_understand(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError), database.write() as connection:
        connection.execute(TABLE.insert(), [{"id": 1}, {"id": 1}])
    assert ids(database) == []


@pytest.mark.parametrize("text", ["a\ud800", "\udfffb"])
def test_half_a_character_is_refused_in_words_whatever_the_database(database: Database, text: str) -> None:
    wanted = sa.select(sa.literal(1)).where(sa.literal("x") == sa.bindparam("given", text, sa.String))
    with pytest.raises(Malformed) as caught, database.read() as connection:
        connection.execute(wanted)
    assert caught.value.code == "NOT_TEXT"


def test_a_zero_in_a_text_is_refused_or_kept(database: Database) -> None:
    wanted = sa.select(sa.bindparam("given", "a\0b", sa.String))
    with database.read() as connection:
        if database.is_sqlite:
            assert connection.execute(wanted).scalar_one() == "a\0b"
            return
    with pytest.raises(Malformed) as caught, database.read() as connection:
        connection.execute(wanted)
    assert caught.value.code == "NOT_TEXT"


def test_a_sqlite_reader_can_neither_write_nor_checkpoint(tmp_path: Path) -> None:
    with Database(tmp_path / "a.db") as database:
        with database.write() as connection:
            TABLE.metadata.create_all(connection)
            found = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "trusted_schema")
            }
        assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "trusted_schema": 0}
        with database.read() as connection:
            assert connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one() == 0
        with pytest.raises(StorageError) as refused, database.read() as connection:
            connection.execute(TABLE.insert(), {"id": 1})
        assert isinstance(refused.value.__cause__, sa.exc.OperationalError)


def test_a_sqlite_reader_sees_one_state_while_others_write(tmp_path: Path) -> None:
    with Database(tmp_path / "a.db") as database:
        with database.write() as connection:
            TABLE.metadata.create_all(connection)
        with database.read() as connection:
            count = sa.select(sa.func.count()).select_from(TABLE)
            assert connection.execute(count).scalar_one() == 0
            with database.write() as writing:
                writing.execute(TABLE.insert(), {"id": 1})
            assert connection.execute(count).scalar_one() == 0
        assert ids(database) == [1]


def test_a_full_disk_is_a_storage_error_and_stores_nothing(tmp_path: Path) -> None:
    with Database(tmp_path / "a.db") as database:
        with database.write() as connection:
            connection.exec_driver_sql("CREATE TABLE big (data BLOB)")
        with database.write() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 3")
        with pytest.raises(StorageError) as full, database.write() as connection:
            connection.exec_driver_sql("INSERT INTO big VALUES (zeroblob(1000000))")
        assert not isinstance(full.value, DurabilityUnknown)
        with database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM big").scalar_one() == 0


@pytest.mark.parametrize("where", ["mysql://host/name", "postgresql://host/name", "no url"])
def test_another_kind_of_database_is_refused_with_advice(where: str) -> None:
    with pytest.raises(Malformed):
        Database(where)


def test_a_database_that_cannot_be_opened_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        Database(tmp_path / "no such folder" / "a.db")


def test_a_second_process_is_kept_out_of_a_data_folder_until_the_first_is_dead(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from trust.storage.folder import DataFolderLock\n"
        "lock = DataFolderLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(Conflict, match=str(child.pid)) as refused:
            DataFolderLock(tmp_path)
        assert "Stop that process" in refused.value.todo
        child.kill()
        child.wait()
    with DataFolderLock(tmp_path), pytest.raises(Conflict):
        DataFolderLock(tmp_path)
    DataFolderLock(tmp_path).release()


def test_a_file_is_replaced_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file"
    for data in (b"one", b"two"):
        write_durably(path, data)
        assert path.read_bytes() == data
    assert os.listdir(path.parent) == ["file"]


def test_a_file_that_never_changes_is_created_once(tmp_path: Path) -> None:
    path = tmp_path / "a" / "tile"
    create_durably(path, b"same")
    create_durably(path, b"same")
    with pytest.raises(LedgerHalted, match="other content"):
        create_durably(path, b"other")
    assert path.read_bytes() == b"same"
    assert os.listdir(path.parent) == ["tile"]


def test_a_failing_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_durably(path, b"old")

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    for write in (write_durably, create_durably):
        with pytest.raises(DurabilityUnknown):
            write(tmp_path / "new", b"new")
    with pytest.raises(DurabilityUnknown):
        write_durably(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
