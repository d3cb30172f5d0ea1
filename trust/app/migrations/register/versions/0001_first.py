"""The register's first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.String(16), primary_key=True),
        sa.Column("secret_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("authority_id", sa.String(32), nullable=True),
        sa.Column("scopes", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "audit",
        sa.Column("id", _KEY, primary_key=True, autoincrement=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("pid", sa.LargeBinary(16), nullable=True),
        sa.Column("purpose", sa.String(), nullable=True),
        sa.Column("outcome", sa.String(32), nullable=False),
    )
    op.create_index("audit_by_actor", "audit", ["actor", "id"])
    op.create_index("audit_of_pid", "audit", ["pid", "id"])
    op.create_table(
        "authority",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("uscc", sa.String(18), nullable=False),
        sa.Column("name_zh", sa.String(), nullable=False),
        sa.Column("name_en", sa.String(), nullable=False),
        sa.Column("functions", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("authority_uscc_key", "authority", ["uscc"], unique=True)
    op.create_table(
        "ca",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("suite", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("cert", sa.LargeBinary(), nullable=False),
        sa.Column("parent", sa.String(64), nullable=True),
    )
    op.create_table(
        "claim_link",
        sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("holder_ref", sa.LargeBinary(32), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "crl",
        sa.Column("ca_id", sa.String(64), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("this_update", sa.BigInteger(), nullable=False),
        sa.Column("next_update", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "document",
        sa.Column("ecertificate_id", _KEY, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "holder",
        sa.Column("holder_ref", sa.LargeBinary(32), primary_key=True),
        sa.Column("ecertificate_id", _KEY, primary_key=True, autoincrement=False),
    )
    op.create_table(
        "idempotency",
        sa.Column("key", sa.LargeBinary(32), primary_key=True),
        sa.Column("body_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    op.create_table(
        "operation",
        sa.Column("id", _KEY, primary_key=True, autoincrement=True),
        sa.Column("ecertificate_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=True),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("entry_seq", sa.BigInteger(), nullable=True),
    )
    op.create_index("ix_operation_ecertificate_id", "operation", ["ecertificate_id"])
    op.create_table(
        "presentation",
        sa.Column("session_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("ecertificate_id", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("audience", sa.String(), nullable=True),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("used_by", sa.String(), nullable=True),
        sa.Column("stopped_at", sa.BigInteger(), nullable=True),
    )
    op.create_index("ix_presentation_ecertificate_id", "presentation", ["ecertificate_id"])
    op.create_table(
        "revoked_x509_cert",
        sa.Column("ca_id", sa.String(64), primary_key=True),
        sa.Column("serial", sa.String(64), primary_key=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=False),
        sa.Column("entered_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "service_key",
        sa.Column("key_id", sa.String(64), primary_key=True),
        sa.Column("use", sa.String(32), nullable=False),
        sa.Column("suite", sa.String(32), nullable=False),
        sa.Column("spki", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_service_key_use", "service_key", ["use"])
    op.create_table(
        "status_list",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
    )
    op.create_table(
        "published_status_list",
        sa.Column("id", _KEY, primary_key=True, autoincrement=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("encoded", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("ledger_size", sa.BigInteger(), nullable=False),
        sa.Column("operation_id", sa.BigInteger(), nullable=False),
        sa.Column("proof", sa.String(), nullable=True),
    )
    op.create_index("published_status_list_newest", "published_status_list", ["number", "id"])
    op.create_table(
        "trust_list",
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("compact", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "web_session",
        sa.Column("token_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("csrf", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "ecertificate",
        sa.Column("id", _KEY, primary_key=True, autoincrement=True),
        sa.Column("pid", sa.LargeBinary(16), nullable=False),
        sa.Column("identifier", sa.String(160), nullable=False),
        sa.Column("request_key", sa.String(64), nullable=False),
        sa.Column("fields_digest", sa.LargeBinary(), nullable=False),
        sa.Column("authority_id", sa.String(32), sa.ForeignKey("authority.id"), nullable=False),
        sa.Column("type_short", sa.String(8), nullable=False),
        sa.Column("type_version", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(128), nullable=False),
        sa.Column("serial", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seal_id", sa.String(64), nullable=False),
        sa.Column("status_list", sa.Integer(), nullable=False),
        sa.Column("status_index", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(8), nullable=False),
        sa.Column("status", sa.String(12), nullable=False),
        sa.Column("status_reason", sa.String(), nullable=True),
        sa.Column("status_at", sa.BigInteger(), nullable=True),
        sa.Column("pending_operation", sa.BigInteger(), nullable=True),
        sa.Column("operation_id", sa.BigInteger(), nullable=False),
        sa.Column("replaces_id", sa.BigInteger(), nullable=True),
        sa.Column("ref_salt", sa.LargeBinary(), nullable=False),
        sa.Column("commit_salts", sa.LargeBinary(), nullable=False),
        sa.Column("entry_seq", sa.BigInteger(), nullable=True),
        sa.Column("issued_sha256", sa.LargeBinary(32), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=True),
    )
    op.create_index("ecertificate_pid_key", "ecertificate", ["pid"], unique=True)
    op.create_index("ecertificate_identifier_key", "ecertificate", ["identifier"], unique=True)
    op.create_index("ecertificate_request_key_key", "ecertificate", ["request_key"], unique=True)
    op.create_index(
        "ecertificate_not_valid",
        "ecertificate",
        ["status_list", "status_index"],
        sqlite_where=sa.text("status <> 'VALID'"),
        postgresql_where=sa.text("status <> 'VALID'"),
    )
    op.create_index("ecertificate_number", "ecertificate", ["authority_id", "type_short", "number"])
    op.create_index(
        "ecertificate_pending",
        "ecertificate",
        ["pending_operation"],
        sqlite_where=sa.text("pending_operation IS NOT NULL"),
        postgresql_where=sa.text("pending_operation IS NOT NULL"),
    )
    op.create_index(
        "ecertificate_unfinished",
        "ecertificate",
        ["id"],
        sqlite_where=sa.text("step <> 'ISSUED'"),
        postgresql_where=sa.text("step <> 'ISSUED'"),
    )
    op.create_index("ix_ecertificate_issued_sha256", "ecertificate", ["issued_sha256"])
    op.create_index("ix_ecertificate_replaces_id", "ecertificate", ["replaces_id"])
    op.create_table(
        "seal",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("authority_id", sa.String(32), sa.ForeignKey("authority.id"), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("second_line", sa.String(), nullable=False),
        sa.Column("suite", sa.String(32), nullable=False),
        sa.Column("shape", sa.String(16), nullable=False),
        sa.Column("width_mm", sa.Float(), nullable=False),
        sa.Column("height_mm", sa.Float(), nullable=False),
        sa.Column("artwork", sa.LargeBinary()),
        sa.Column("renews", sa.String(64)),
        sa.Column("applied_by", sa.String(64), nullable=False),
        sa.Column("key_id", sa.String(64)),
        sa.Column("ca_id", sa.String(64)),
        sa.Column("cert", sa.LargeBinary()),
        sa.Column("picture_svg", sa.String()),
        sa.Column("picture_pdf", sa.LargeBinary()),
        sa.Column("seal_data", sa.LargeBinary()),
        sa.Column("policy", sa.String(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("state_since", sa.BigInteger(), nullable=False),
        sa.Column("pending_event", sa.BigInteger()),
        sa.Column("not_before", sa.BigInteger()),
        sa.Column("not_after", sa.BigInteger()),
    )
    op.create_table(
        "seal_event",
        sa.Column("id", _KEY, primary_key=True, autoincrement=True),
        sa.Column("seal_id", sa.String(64), nullable=False),
        sa.Column("act", sa.String(16), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("effective_at", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("operation_id", sa.BigInteger(), nullable=False),
        sa.Column("entry_seq", sa.BigInteger()),
    )
    op.create_index("ix_seal_event_seal_id", "seal_event", ["seal_id"])
    op.create_table(
        "seal_use",
        sa.Column("id", _KEY, primary_key=True, autoincrement=True),
        sa.Column("seal_id", sa.String(64), nullable=False),
        sa.Column("ecertificate_id", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("approval", sa.BigInteger()),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_seal_use_ecertificate_id", "seal_use", ["ecertificate_id"])
    op.create_index("seal_use_day", "seal_use", ["seal_id", "day", "id"])
    op.create_table(
        "seal_approval",
        sa.Column("id", _KEY, primary_key=True, autoincrement=True),
        sa.Column("seal_id", sa.String(64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("requested_by", sa.String(64), nullable=False),
        sa.Column("approved_by", sa.String(64)),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
    )
    op.create_index("ix_seal_authority_id", "seal", ["authority_id"])
