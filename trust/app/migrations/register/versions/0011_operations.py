"""Leases on operations instead of claims on e-certificates, and one meaning for each of their columns."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    for name in ("caller", "requested_by", "approved_by"):
        op.add_column("operation", sa.Column(name, sa.String, nullable=True))
    op.add_column("operation", sa.Column("held_until", sa.BigInteger, nullable=True))
    op.execute("UPDATE operation SET caller = note, note = NULL WHERE kind = 'ISSUED'")
    note, kind = sa.column("note", sa.String), sa.column("kind", sa.String)
    people = ("requested_by", "approved_by")
    table = sa.table("operation", note, kind, *(sa.column(each, sa.String) for each in people))
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    bar = sa.func.instr(note, "|") if is_sqlite else sa.func.strpos(note, "|")
    op.execute(
        sa.update(table)
        .where(kind == "ERASED", note.is_not(None))
        .values(
            requested_by=sa.func.substr(note, 1, bar - 1),
            approved_by=sa.func.substr(note, bar + 1),
            note=None,
        )
    )
    if not is_sqlite:
        # LATER_VERSION has thirteen characters, so no licence could be archived on PostgreSQL.
        op.alter_column("operation", "kind", type_=sa.String(16))
    op.create_index(
        "operation_not_done",
        "operation",
        ["kind", "id"],
        sqlite_where=sa.text("done = 0"),
        postgresql_where=sa.text("NOT done"),
    )
    op.drop_column("ecertificate", "claimed_until")
