"""What an erasure takes out of the rooms that keep something about a licence or its holder beside the issuer."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from trust.audit.sql import forget_purposes
from trust.people.sql import forget_holders
from trust.web.sql import forget_answers
from verifier.reports.sql import forget_reports


def forget_erased(connection: Connection, pid: bytes, lone_holder_refs: Sequence[bytes]) -> dict[str, int]:
    """Deletes it, in the transaction of the erasure; gives the number of rows by table.

    `lone_holder_refs`: holders who have nothing else left.
    """
    answers = forget_answers(connection, pid)
    forget_purposes(connection, pid)
    forget_reports(connection, pid)
    return {"idempotency": answers, **forget_holders(connection, lone_holder_refs)}
