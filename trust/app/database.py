"""Migrating databases with Alembic. The register and the ledger each have their own line of migrations.

Data folders of any earlier version are upgraded when they are opened. A folder of a newer version is not changed.
"""

from __future__ import annotations

from collections.abc import Set
from functools import lru_cache
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from trust.model.errors import OperationalError
from trust.storage.sql import Database
from trust.storage.tables import serialise


def migrate_register(database: Database) -> None:
    """Creates or upgrades the register's tables. Does nothing if they are up to date.

    Raises `OperationalError` (NEWER_DATA) if a newer version has changed them.
    """
    _migrate(database, "register")


def migrate_ledger(database: Database) -> None:
    """As `migrate_register`, for the ledger's tables."""
    _migrate(database, "ledger")


def _migrate(database: Database, line: str) -> None:
    config = _config(line)
    head, known = _revisions(line)
    with database.write() as connection:
        serialise(connection, "migrations")  # if several processes start at once, one migrates
        context = MigrationContext.configure(connection, opts={"version_table": f"{line}_version"})
        present = set(context.get_current_heads())
        if present == {head}:
            return
        _check_known(present, known)
        config.attributes["connection"] = connection
        config.attributes["version_table"] = f"{line}_version"
        command.upgrade(config, "head")


def _config(line: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("trust.app").joinpath("migrations", line)))
    config.set_main_option("version_table", f"{line}_version")
    return config


@lru_cache
def _revisions(line: str) -> tuple[str | None, frozenset[str]]:
    """The newest revision, and all of them."""
    scripts = ScriptDirectory.from_config(_config(line))
    return scripts.get_current_head(), frozenset(each.revision for each in scripts.walk_revisions())


def _check_known(present: Set[str], known: Set[str]) -> None:
    strange = present - known
    if strange:
        raise OperationalError(
            f"The data was written by a newer version of the program (schema {', '.join(sorted(strange))}).",
            "Use that version, or restore the copy that was made before the upgrade.",
            code="NEWER_DATA",
            zh=f"数据由更新版本的程序写入（结构 {'、'.join(sorted(strange))}）。请使用该版本，或恢复升级前的备份。",
        )
