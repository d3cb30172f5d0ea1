"""MACs of guarded rows, and the events to which the ledger's REGISTER_EVENT entries commit."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for table in (
        "operation",
        "ecertificate",
        "document",
        "holder",
        "presentation",
        "claim_link",
        "web_session",
    ):
        op.add_column(table, sa.Column("mac", sa.LargeBinary(32), nullable=True))
    op.create_table(
        "register_event",
        sa.Column("operation_id", _KEY, primary_key=True, autoincrement=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("commitment", sa.LargeBinary(32), nullable=False, unique=True),
    )
