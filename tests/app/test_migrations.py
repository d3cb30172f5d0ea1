"""Migrations make exactly the tables that the code uses, on both databases, and may be run again."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData
from sqlmodel import SQLModel
from support.product import packages

import trust.model
from ledger import sql as ledger_sql
from ledger.witness import sql as witness_sql
from trust.app.database import migrate_ledger, migrate_register
from trust.storage.sql import Database

ROOT = Path(trust.model.__file__).parents[2]


def _modules_that_say(word: str) -> list[ModuleType]:
    """Every module of the product in whose text `word` stands."""
    files = [file for package in packages() for file in (ROOT / package).rglob("*.py")]
    names = [
        ".".join(f.relative_to(ROOT).with_suffix("").parts) for f in files if word in f.read_text("utf-8")
    ]
    return [import_module(name.removesuffix(".__init__")) for name in sorted(names)]


# Tests of the storage make tables of their own in the same metadata; only the product's count here.
OURS = {
    kind.__tablename__
    for module in _modules_that_say("table=True")
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, SQLModel) and kind.__module__ == module.__name__
    if hasattr(kind, "__table__")
}


def test_every_table_is_looked_at() -> None:
    """A third line of migrations, or tables that nothing makes, would not be seen by the tests below."""
    classes = sum(
        Path(inspect.getfile(module)).read_text("utf-8").count("table=True")
        for module in _modules_that_say("table=True")
    )
    assert len(OURS) == classes
    found = {
        id(value)
        for module in _modules_that_say("MetaData(")
        for value in vars(module).values()
        if isinstance(value, MetaData)
    }
    # The lock store and a witness have one table each, which they make themselves (`create_all`).
    assert found == {
        id(each) for each in (ledger_sql.metadata, ledger_sql.lock_metadata, witness_sql.metadata)
    }


def test_the_registers_migrations_match_its_tables(new_database: Callable[[], Path | str]) -> None:
    with Database(new_database()) as database:
        migrate_register(database)
        migrate_register(database)
        with database.write() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "version_table": "register_version",
                    # A table that stands in the database only is a difference too.
                    "include_object": lambda found, name, kind, reflected, other: (
                        kind != "table" or reflected or name in OURS
                    ),
                },
            )
            assert _without_uniques(compare_metadata(context, SQLModel.metadata)) == []


def test_the_ledgers_migrations_match_its_tables(new_database: Callable[[], Path | str]) -> None:
    with Database(new_database()) as database:
        migrate_ledger(database)
        migrate_ledger(database)
        with database.write() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": "ledger_version"})
            assert _without_uniques(compare_metadata(context, ledger_sql.metadata)) == []


def _without_uniques(differences: list[object]) -> list[object]:
    """A unique column is an index in the migrations and a constraint in the tables: the same to a database."""
    found = []
    for difference in differences:
        kind = difference[0] if isinstance(difference, tuple) else difference
        unique = isinstance(difference, tuple) and getattr(difference[1], "unique", False)
        if kind == "add_constraint" or (kind == "remove_index" and unique):
            continue
        found.append(difference)
    return found
