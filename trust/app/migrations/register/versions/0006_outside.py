"""Seals under certification authorities outside."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("seal", sa.Column("identity_id", sa.String(32), nullable=True))
    op.create_index("ix_seal_identity_id", "seal", ["identity_id"], unique=True)
