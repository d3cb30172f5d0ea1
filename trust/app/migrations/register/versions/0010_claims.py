"""Claims on unfinished e-certificates."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("ecertificate", sa.Column("claimed_until", sa.BigInteger, nullable=True))
