"""Later versions of licences, the due time of the next one, and the state of our own authorities."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("ca", sa.Column("state", sa.String(16), nullable=False, server_default="active"))
    op.add_column("ca", sa.Column("since", sa.BigInteger(), nullable=True))
    op.add_column("ecertificate", sa.Column("archive_due_at", sa.BigInteger(), nullable=True))
    op.create_index("ecertificate_archive_due", "ecertificate", ["archive_due_at", "id"])
    big_key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "later_version",
        sa.Column("id", big_key, primary_key=True, autoincrement=True),
        sa.Column("ecertificate_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("operation_id", sa.BigInteger(), nullable=False),
        sa.Column("suite", sa.String(32), nullable=False),
        sa.Column("commit", sa.LargeBinary(32), nullable=False),
        sa.Column("salts", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("stamped_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("entry_seq", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("ecertificate_id", "number"),
    )
    op.create_index("ix_later_version_sha256", "later_version", ["sha256"])
    op.create_index("ix_later_version_entry_seq", "later_version", ["entry_seq"])
