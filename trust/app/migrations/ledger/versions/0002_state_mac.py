"""The MAC of the log's head."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("ledger_state", sa.Column("mac", sa.LargeBinary(32)))
