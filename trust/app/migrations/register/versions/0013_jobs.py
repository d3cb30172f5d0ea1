"""Jobs: work that is decided on in one transaction and done after it.

Files of e-certificates move from the register into files of their own; rounds do that, a few at a time, and rows of
before stay readable."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("ref", sa.String(200), nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("held_until", sa.BigInteger, nullable=True),
        sa.Column("tries", sa.Integer, nullable=False),
    )
    op.create_index("job_due", "job", ["kind", "due_at"])
