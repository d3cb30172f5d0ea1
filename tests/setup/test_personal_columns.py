"""Columns with personal data have one declared type: a new column of text or bytes needs a decision."""

from __future__ import annotations

import sqlalchemy as sa
from sqlmodel import SQLModel

import trust.app.database
from trust.storage.tables import PersonalBytes, PersonalText

assert trust.app.database  # it knows all tables

_NOT_PERSONAL = {
    "api_key": {"id", "secret_hash", "label", "authority_id", "scopes"},
    "audit": {
        # Who acted is asked for by equality; at the command line it may be somebody's name.
        *("uid", "actor", "organisation", "action", "pid", "subject", "purpose_salt", "purpose_commit"),
        *("outcome", "mac"),
    },
    "audit_batch": {"root", "chain"},
    "authority": {"id", "uscc", "name_zh", "name_en", "functions"},
    "ca": {"*"},
    "claim_link": {"token_hash", "holder_ref", "mac"},
    "crl": {"*"},
    "document": {"kind", "mac"},
    "ecertificate": {
        # An identifier and a licence's number are asked for by equality; what they stand for is elsewhere.
        *(
            "pid",
            "identifier",
            "number",
            "serial",
            "request_key",
            "fields_digest",
            "authority_id",
            "type_short",
        ),
        *("seal_id", "step", "status", "ref_salt", "commit_salts", "issued_sha256", "mac"),
    },
    "filed_report": {
        "code",
        "kind",
        "verdict",
        "headline",
        "input_sha256",
        "payload_sha256",
        "evidence",
        "pid",
    },
    "holder": {"holder_ref", "mac"},
    "idempotency": {"key", "body_hash"},
    "kept_list": {"*"},
    "later_version": {"suite", "commit", "salts", "sha256"},
    "member_bundle": {"*"},
    "ocsp_responder": {"*"},
    "operation": {"kind", "caller", "decided_for", "actor", "salt", "mac"},
    "outside_crl": {"*"},
    "outside_tsa": {"*"},
    "presentation": {"session_hash", "mac"},
    "published_status_list": {"*"},
    "register_event": {"*"},
    "revoked_x509_cert": {"*"},
    "seal": {
        *("id", "authority_id", "second_line", "suite", "shape", "renews", "key_id", "ca_id", "identity_id"),
        *("cert", "policy", "state"),
    },
    "seal_approval": {"seal_id"},
    "seal_event": {"seal_id", "act", "salt"},
    "seal_identity": {"*"},
    "seal_use": {"seal_id", "by"},
    "service_key": {"*"},
    "status_list": {"*"},
    "trust_anchor": {"*"},
    "trust_list": {"*"},
    "trust_member": {"*"},
    "web_session": {"token_hash", "kind", "subject", "csrf", "mac"},
}
"""By table, the columns of text or bytes that hold nothing personal; * for tables about no persons."""


def test_every_column_of_text_or_bytes_is_personal_or_declared_not_to_be() -> None:
    undecided = [
        f"{table.name}.{column.name}"
        for table in SQLModel.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, sa.String | sa.LargeBinary)
        and not {"*", column.name} & _NOT_PERSONAL.get(table.name, set())
    ]
    assert undecided == []


def test_personal_columns_are_of_the_two_types() -> None:
    personal = {
        f"{table.name}.{column.name}"
        for table in SQLModel.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, PersonalText | PersonalBytes)
    }
    assert {"document.content", "presentation.purpose", "operation.note", "idempotency.answer"} <= personal
    assert not {each for each in personal if each.split(".")[1] in _NOT_PERSONAL[each.split(".")[0]]}
