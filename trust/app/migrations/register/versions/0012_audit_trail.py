"""An audit trail whose rows have MACs and are chained in batches, and who decided on an operation.

The version of recorded rows, so that what is derived from them is made again only when one has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_IDLE = "act IN ('freeze', 'report-lost', 'unfreeze')"


def upgrade() -> None:
    for name, kind in (
        ("number", sa.BigInteger),
        ("uid", sa.LargeBinary(16)),
        ("organisation", sa.String),
        ("actor_name", sa.String),
        ("subject", sa.String),
        ("purpose_salt", sa.LargeBinary),
        ("purpose_commit", sa.LargeBinary),
        ("mac", sa.LargeBinary),
    ):
        op.add_column("audit", sa.Column(name, kind, nullable=True))
    op.add_column("audit", sa.Column("times", sa.Integer, nullable=False, server_default="1"))
    op.create_index("audit_number", "audit", ["number"], unique=True)
    op.create_index("audit_uid", "audit", ["uid"], unique=True)
    op.create_index(
        "audit_not_sealed",
        "audit",
        ["id"],
        sqlite_where=sa.text("number IS NULL"),
        postgresql_where=sa.text("number IS NULL"),
    )
    op.create_table(
        "audit_batch",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False
        ),
        sa.Column("first", sa.BigInteger, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("chain", sa.LargeBinary, nullable=False),
        sa.Column("operation_id", sa.BigInteger, nullable=True),
    )
    op.create_index("ix_audit_batch_operation_id", "audit_batch", ["operation_id"])
    if op.get_bind().dialect.name != "sqlite":
        for name, length in (("actor", 96), ("action", 48), ("outcome", 64)):
            op.alter_column("audit", name, type_=sa.String(length))
    op.create_table(
        "register_head",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.execute("INSERT INTO register_head (id, version) VALUES (1, 1)")
    op.create_index(
        "seal_event_idle",
        "seal_event",
        ["id"],
        sqlite_where=sa.text(_IDLE),
        postgresql_where=sa.text(_IDLE),
    )
    op.create_index("ecertificate_number_alone", "ecertificate", ["number"])
    for name in ("decided_by", "decided_for", "decided_name"):
        op.add_column("operation", sa.Column(name, sa.String, nullable=True))
