"""Filed reports by their codes, and the lists that they are based on."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "filed_report",
        sa.Column("code", sa.String(12), primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("headline", sa.String(32), nullable=False),
        sa.Column("input_sha256", sa.LargeBinary(32), nullable=True),
        sa.Column("payload_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=True),
        sa.Column("pid", sa.LargeBinary(16), nullable=True),
        sa.Column("kept_until", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_filed_report_pid", "filed_report", ["pid"])
    op.create_index("ix_filed_report_kept_until", "filed_report", ["kept_until"])
    op.create_table(
        "kept_list",
        sa.Column("sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("encoded", sa.LargeBinary(), nullable=False),
    )
