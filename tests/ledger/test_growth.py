"""The size of the log over time: right at every instant, and found with few looks however large the log is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.ledger_world import World

from ledger import sql
from ledger.growth import GrowthPoint, read_growth
from trust.model.errors import StorageError
from trust.storage.sql import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "log.sqlite") as database:
        sql.create_all(database)
        yield database


def fill(database: Database, times: list[int]) -> None:
    """Rows as a log would have them, as far as growth looks at them."""
    with database.write() as connection:
        sql.insert_entries(
            connection,
            [sql.StoredEntry(seq, None, None, at_ms, bytes(32), b"") for seq, at_ms in enumerate(times)],
        )


def test_a_log_without_entries_has_not_grown(database: Database) -> None:
    assert read_growth(database) == ()
    assert read_growth(database, until_ms=5) == ()


def test_a_log_of_one_moment_is_one_point(database: Database) -> None:
    fill(database, [7, 7, 7])
    assert read_growth(database) == (GrowthPoint(7, 3),)
    assert read_growth(database, until_ms=3) == (GrowthPoint(7, 3),), "a clock that went back"


@pytest.mark.parametrize(
    "times",
    [
        [0, 1000],
        [0, 0, 0, 1000],
        [0, 1000, 1000, 1000],
        [0, 999, 1000],
        [0, *[500] * 300, 1000],
        list(range(0, 1001, 7)),
        [each * each for each in range(60)],
    ],
    ids=["two", "begins with a batch", "ends with a batch", "late", "leap", "steady", "slower and slower"],
)
@pytest.mark.parametrize("idle", [0, 2500])
def test_every_point_is_the_number_of_entries_until_then(
    database: Database, times: list[int], idle: int
) -> None:
    fill(database, times)
    points = read_growth(database, until_ms=times[-1] + idle)
    assert len(points) == 40
    assert points[0].at_ms == times[0]
    assert points[-1] == GrowthPoint(times[-1] + idle, len(times))
    for point in points:
        assert point.size == sum(at_ms <= point.at_ms for at_ms in times)


def test_a_real_log_on_both_databases_ends_at_its_size(world: World) -> None:
    log = world.open()
    world.append(log, 20)
    points = read_growth(world.database)
    assert points[0].size >= 1
    assert points[-1].size == log.size == 22


def test_a_missing_entry_is_said_and_not_passed_over(database: Database) -> None:
    fill(database, list(range(100)))
    with database.write() as connection:
        connection.execute(sa.text("DELETE FROM ledger_entry WHERE seq = 50"))
    with pytest.raises(StorageError, match="Entry 50"):
        read_growth(database)


def test_the_number_of_looks_hardly_rises_with_the_log(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    read = sql.read_at_ms

    def looking(connection: sa.Connection, seq: int) -> int | None:
        looks.append(seq)
        return read(connection, seq)

    monkeypatch.setattr(sql, "read_at_ms", looking)
    counted: list[int] = []
    filled = 0
    for size in (1_000, 64_000):
        with database.write() as connection:
            sql.insert_entries(
                connection,
                [sql.StoredEntry(seq, None, None, seq * 1000, bytes(32), b"") for seq in range(filled, size)],
            )
        filled = size
        looks.clear()
        assert read_growth(database)[-1].size == size
        counted.append(len(looks))
    small, large = counted
    assert large <= 40 * 17
    assert large - small <= 40 * 6, "64 times the entries are six more looks for each of 40 instants"
