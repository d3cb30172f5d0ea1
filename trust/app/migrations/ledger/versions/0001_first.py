"""The ledger's first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "ledger_entry",
        sa.Column("seq", _KEY, primary_key=True, autoincrement=False),
        sa.Column("operation_id", sa.BigInteger, unique=True),
        sa.Column("subject_id", sa.BigInteger),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("entry_bytes", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ledger_subject",
        sa.Column("subject_id", _KEY, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("ref", sa.LargeBinary(32), nullable=False),
        sa.Column("life", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "ledger_subject_not_valid",
        "ledger_subject",
        ["subject_id"],
        sqlite_where=sa.text("life <> 1"),
        postgresql_where=sa.text("life <> 1"),
    )
    op.create_table(
        "ledger_actor",
        sa.Column("actor", sa.String(64), primary_key=True),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ledger_state",
        sa.Column(
            "id", _KEY, sa.CheckConstraint("id = 1", name="one_log"), primary_key=True, autoincrement=False
        ),
        sa.Column("origin", sa.String(255), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("edge", sa.LargeBinary, nullable=False),
        sa.Column("last_leaf_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("last_at_ms", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("sm3_edge", sa.LargeBinary, nullable=False),
        sa.Column("last_operation_id", sa.BigInteger, nullable=False),
        sa.Column("last_subject_id", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ledger_keys",
        sa.Column("seq", _KEY, primary_key=True, autoincrement=False),
        sa.Column("note", sa.Text, nullable=False),
    )
