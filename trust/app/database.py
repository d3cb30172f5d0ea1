"""Bringing databases up to date with Alembic: the register and the ledger have a line of migrations each."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config

from issuer.sql import serialise
from trust.storage.sql import Database


def migrate_register(database: Database) -> None:
    """Creates or upgrades the register's tables. Does nothing where they are up to date."""
    _migrate(database, "register")


def migrate_ledger(database: Database) -> None:
    """The same for the ledger's tables."""
    _migrate(database, "ledger")


def _migrate(database: Database, line: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(files("trust.app").joinpath("migrations", line)))
    config.set_main_option("version_table", f"{line}_version")
    with database.write() as connection:
        serialise(connection, "migrations")  # of several processes that start at once, one migrates
        config.attributes["connection"] = connection
        config.attributes["version_table"] = f"{line}_version"
        command.upgrade(config, "head")
