"""Seals under outside certification authorities, the revocation lists of those, and outside time-stamp authorities."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("seal", sa.Column("identity_id", sa.String(32), nullable=True))
    op.create_index("ix_seal_identity_id", "seal", ["identity_id"], unique=True)
    op.add_column("seal_identity", sa.Column("revoked_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "outside_crl",
        sa.Column("issuer_id", sa.String(32), primary_key=True),
        sa.Column("der", sa.LargeBinary(), nullable=True),
        sa.Column("number", sa.String(64), nullable=True),
        sa.Column("this_update", sa.BigInteger(), nullable=True),
        sa.Column("next_update", sa.BigInteger(), nullable=True),
        sa.Column("tried_at", sa.BigInteger(), nullable=True),
        sa.Column("problem", sa.String(), nullable=True),
    )
    op.create_table(
        "outside_tsa",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("suite", sa.String(32), nullable=False),
        sa.Column("certs", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, server_default="active"),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
    )
