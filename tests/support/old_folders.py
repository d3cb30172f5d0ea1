"""Data folders as earlier versions left them: made by today's code without what came later, and turned back in schema.

0008    the last before rows were guarded: no MACs, no REGISTER_EVENT entries, no MAC of the ledger's head
0007    no other deployments, no CAs outside in the trust list
0006    no filed reports, and no key that signs them
0005    no revocation lists and time-stamps of CAs outside
0003    no later versions of files, no states of CAs
0002    no OCSP responders
0001    no certificates of CAs outside for seals
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from issuer import opening as issuer_opening
from issuer.ecertificates import sql
from issuer.ecertificates.kinds import DocumentKind
from ledger import opening as ledger_opening
from ledger import standing
from ledger.statekey import StateKey
from support.world import World, make_world
from trust.sandbox.workers import Sandbox
from trust.storage.sql import Database

_BEFORE = {
    "0007": ("DROP TABLE trust_member", "DROP TABLE trust_anchor", "DROP TABLE member_bundle"),
    "0006": (
        "DROP TABLE filed_report",
        "DROP TABLE kept_list",
        "DELETE FROM service_key WHERE use = 'report'",
    ),
    "0005": (
        "DROP INDEX ix_seal_identity_id",
        "ALTER TABLE seal DROP COLUMN identity_id",
        "ALTER TABLE seal_identity DROP COLUMN revoked_at",
        "DROP TABLE outside_crl",
        "DROP TABLE outside_tsa",
    ),
    "0003": (
        "ALTER TABLE ca DROP COLUMN state",
        "ALTER TABLE ca DROP COLUMN since",
        "DROP INDEX ecertificate_archive_due",
        "ALTER TABLE ecertificate DROP COLUMN archive_due_at",
        "DROP TABLE later_version",
    ),
    "0002": ("DROP TABLE ocsp_responder",),
    "0001": ("DROP TABLE seal_identity",),
}
"""By schema, newest first, what turns the one after it back."""
OLD_SCHEMAS = tuple(_BEFORE)

_SINCE_0008 = ("operation", "ecertificate", "document", "holder", "presentation", "claim_link", "web_session")

_OPERATION_SINCE_0011 = (
    *("caller", "requested_by", "approved_by", "held_until"),
    *("decided_by", "decided_for", "decided_name"),
)
_INDEXES_SINCE_0011 = (
    *("audit_number", "audit_uid", "audit_not_sealed", "operation_not_done", "seal_event_idle"),
    "ecertificate_number_alone",
)
_AUDIT_SINCE_0012 = (
    *("number", "uid", "organisation", "actor_name", "subject", "purpose_salt", "purpose_commit", "mac"),
    "times",
)


class _NoGuard:
    def __init__(self, *arguments: Any) -> None:
        """As if there were none."""

    def attach(self, log: Any) -> None:
        """Nothing to hold rows against."""

    def resume(self) -> int:
        return 0


def make_folder_of_0008(folder: Path, sandbox: Sandbox, fill: Any) -> None:
    """`fill` is given the world, and puts into it what shall be in the old folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(issuer_opening, "RegisterGuard", _NoGuard)
        patch.setattr(ledger_opening, "StateKey", lambda key: StateKey(None))
        patch.setattr(Database, "guard", property(lambda self: None, lambda self, guard: None), raising=False)
        world: World = make_world(folder, sandbox=sandbox)
        try:
            fill(world)
            put_files_into_register(world)
        finally:
            world.close()
    shutil.rmtree(folder / "documents")
    (folder / standing.STANDING_FILE).unlink(missing_ok=True)
    with closing(sqlite3.connect(folder / "register.sqlite")) as register:
        for table in _SINCE_0008:
            register.execute(f"ALTER TABLE {table} DROP COLUMN mac")
        register.execute("UPDATE operation SET note = caller WHERE kind = 'ISSUED'")
        register.execute(
            "UPDATE operation SET note = requested_by || '|' || approved_by WHERE kind = 'ERASED'"
        )
        for index in _INDEXES_SINCE_0011:
            register.execute(f"DROP INDEX {index}")
        register.execute("DROP TABLE audit_batch")
        register.execute("DROP TABLE register_head")
        register.execute("DROP TABLE job")
        for column in _AUDIT_SINCE_0012:
            register.execute(f"ALTER TABLE audit DROP COLUMN {column}")
        for column in _OPERATION_SINCE_0011:
            register.execute(f"ALTER TABLE operation DROP COLUMN {column}")
        register.execute("DROP TABLE register_event")
        register.execute("UPDATE register_version SET version_num = '0008'")
        register.commit()
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        ledger.execute("ALTER TABLE ledger_state DROP COLUMN mac")
        ledger.execute("UPDATE ledger_version SET version_num = '0001'")
        ledger.commit()


def put_files_into_register(world: World) -> int:
    """Stores every file as before 0013, in rows, twice; returns the number of issued ones."""
    documents = world.site.issuer.issuing.documents
    with world.site.stores.register.write() as connection:
        ids = sql.with_document(connection, DocumentKind.ISSUED_OBJECT)
        for each in ids:
            issued = documents.get(connection, each, DocumentKind.ISSUED)
            source = documents.find(connection, each, DocumentKind.SOURCE)
            sql.delete_documents(connection, [each], [DocumentKind.ISSUED_OBJECT, DocumentKind.SOURCE_OBJECT])
            for kind in (DocumentKind.SEALED, DocumentKind.ISSUED):
                sql.put_document(connection, each, kind, issued)
            if source is not None:
                sql.put_document(connection, each, DocumentKind.SOURCE, source)
    return len(ids)


def turn_back(folder: Path, schema: str) -> None:
    """A folder of 0008 becomes one of an older schema, without what that one could not have."""
    with closing(sqlite3.connect(folder / "register.sqlite")) as register:
        for each, statements in _BEFORE.items():
            for statement in statements:
                register.execute(statement)
            register.execute("UPDATE register_version SET version_num = ?", (each,))
            if each == schema:
                break
        register.commit()
