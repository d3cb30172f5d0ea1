"""Deleting the data of an erased licence or its holder from packages outside the issuer."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection

from trust.audit.sql import forget_purposes
from trust.people.sql import forget_holders
from trust.web.sql import forget_answers
from verifier.reports.sql import forget_reports


def forget_erased(connection: Connection, pid: bytes, lone_holder_refs: Sequence[bytes]) -> dict[str, int]:
    """Deletes the data in the transaction of the erasure; returns the number of rows by table.

    `lone_holder_refs`: holders without any other e-certificate.
    """
    answers = forget_answers(connection, pid)
    forget_purposes(connection, pid)
    forget_reports(connection, pid)
    return {"idempotency": answers, **forget_holders(connection, lone_holder_refs)}
