"""Certificates from outside certification authorities."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "seal_identity",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("suite", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("certs", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("imported_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_seal_identity_key_id", "seal_identity", ["key_id"])
