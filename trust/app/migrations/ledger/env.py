"""Alembic's environment of the ledger: runs in the caller's connection and transaction."""

from alembic import context

config = context.config
context.configure(
    connection=config.attributes["connection"],
    version_table=config.attributes["version_table"],
    transaction_per_migration=False,
)
context.run_migrations()
