"""Migrations make exactly the tables that the code uses, on both databases, and may be run again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlmodel import SQLModel

import issuer.archive.sql
import issuer.sql
import trust.app.tables
from ledger import sql as ledger_sql
from trust.app.database import migrate_ledger, migrate_register
from trust.storage.sql import Database

# Tests of the storage make tables of their own in the same metadata; only the product's count here.
OURS = {
    kind.__tablename__
    for module in (issuer.sql, issuer.archive.sql, trust.app.tables)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, SQLModel) and hasattr(kind, "__table__")
}


def test_the_registers_migrations_match_its_tables(new_database: Callable[[], Path | str]) -> None:
    assert len(OURS) >= 18
    with Database(new_database()) as database:
        migrate_register(database)
        migrate_register(database)
        with database.write() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "version_table": "register_version",
                    "include_name": lambda name, kind, parents: kind != "table" or name in OURS,
                    "include_object": lambda found, name, kind, *rest: kind != "table" or name in OURS,
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
