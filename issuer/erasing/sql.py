"""The statements of an erasure."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from issuer.ecertificates.kinds import Step
from issuer.ecertificates.sql import (
    DocumentRow,
    ECertificateRow,
    HolderRow,
    ecertificates_of_holder,
    holder_refs_of,
)
from issuer.operations.model import Operation
from issuer.operations.sql import forget_operations
from issuer.presenting.sql import PresentationRow
from trust.storage.tables import (
    table_of,
    update,
)

ERASABLE = (
    *("document", "holder", "presentation", "operation", "ecertificate"),
    *("idempotency", "claim_link", "web_session", "later_version"),
)
"""The tables with data about a person or a licence."""


def erase_ecertificate(connection: Connection, erasure: Operation) -> tuple[dict[str, int], list[bytes]]:
    """Deletes all data about a person or a licence, except the public id and the place in a status list.

    Returns the number of deleted or emptied rows by table, and the references of holders without any e-certificate
    left.
    """
    ecertificate_id = erasure.ecertificate_id
    refs = holder_refs_of(connection, ecertificate_id)
    counts: dict[str, int] = {}
    for kind in (DocumentRow, HolderRow, PresentationRow):
        table = table_of(kind)
        result = connection.execute(sa.delete(table).where(table.c.ecertificate_id == ecertificate_id))
        counts[table.name] = int(result.rowcount)
    counts["operation"] = forget_operations(connection, ecertificate_id, but=erasure.operation_id)
    mark = f"erased:{ecertificate_id}"
    counts["ecertificate"] = update(
        connection,
        ECertificateRow,
        {"id": ecertificate_id},
        {
            "identifier": mark,
            "request_key": mark,
            "fields_digest": b"",
            "number": "",
            "serial": "",
            "ref_salt": b"",
            "commit_salts": b"",
            "issued_sha256": None,
            "archive_due_at": None,
            "status_reason": None,
            "step": Step.ERASED,
            "pending_operation": None,
        },
    )
    return counts, [ref for ref in refs if not ecertificates_of_holder(connection, ref)]
