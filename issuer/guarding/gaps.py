"""Leaving gaps in the numbers of a restored register, so that no number is used twice and nothing spent is valid again.

The ledger tells how many operations and e-certificates there were. For numbers that it does not contain (CRLs, trust
lists, uses and approvals of seals) the gap is larger than any count that can have been given out. Places in status
lists continue in a new list, because those of the old one are in documents that the copy does not know. Serial numbers
of X.509 certificates, identifiers, public ids and secrets are random and need no gap.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from issuer.ecertificates import sql as ecertificates_sql
from issuer.ecertificates.kinds import Step
from issuer.guarding import sql as guarding_sql
from issuer.operations import sql as operations_sql
from issuer.operations.lives import STATUS_OF_LIFE
from issuer.operations.model import OperationKind
from ledger.lifecycle import Life
from ledger.log import Log
from trust.encoding.commitment import ecertificate_ref
from trust.encoding.entry import Entry
from trust.model.clock import Clock, Entropy
from trust.storage import tables
from trust.storage.sql import Database

_log = logging.getLogger("yinzheng.register")


@dataclass(frozen=True, slots=True)
class Restored:
    """The state of a restored register. `lost`: the number of e-certificates that are in the ledger only."""

    operations_known: int
    operations_given_out: int
    lost: int


def leave_gaps(database: Database, log: Log, clock: Clock, entropy: Entropy) -> Restored | None:
    """Leaves gaps if the ledger has received more operations than the register knows. None if nothing was restored.

    Must run before rows are guarded. It is done once, because the gap itself is stored.
    """
    given_out = log.last_operation_id
    with database.read() as connection:
        known = operations_sql.last_operation_id(connection)
    if known >= given_out:
        return None
    at = tables.to_micros(clock.now())
    with database.write() as connection:
        tables.serialise(connection, "gap")
        if operations_sql.last_operation_id(connection) >= given_out:
            return None  # another process was faster
        lost = max(0, log.standing.issued() - ecertificates_sql.count_in_ledger(connection))
        operations_sql.leave_gap_of_operations(connection, given_out, at)
        guarding_sql.leave_gaps(
            connection,
            last_ecertificate_id=log.last_subject_id,
            lost=lost,
            secret=entropy.bytes(32),
            at=at,
        )
    found = Restored(known, given_out, lost)
    _log.critical(
        "the register is older than the ledger: numbers are skipped, and codes and sessions have ended",
        extra={"code": "REGISTER_RESTORED", "what": f"{lost} e-certificate(s) are in the ledger alone"},
    )
    return found


def follow_ledger(database: Database, log: Log, clock: Clock) -> int:
    """Updates the statuses in a restored register from the ledger; returns how many were changed.

    The ledger gives acts and times; reasons and notes are lost with the rows.
    """
    behind: dict[bytes, tuple[int, Life]] = {}
    with database.read() as connection:
        for ecertificate_id, pid, salt, _, _ in ecertificates_sql.places_in_lists(connection):
            ref = ecertificate_ref(pid, salt) if salt else None
            if ref is not None:
                behind[ref] = (ecertificate_id, log.standing.life_of(ref))
    last: dict[bytes, Entry] = {}
    for _, entry in log.entries():
        if entry.ref in behind:
            last[entry.ref] = entry
    changed = 0
    for ref, entry in last.items():
        ecertificate_id, life = behind[ref]
        with database.write() as connection:
            row = tables.row_at(connection, "ecertificate", (ecertificate_id,))
            known = operations_sql.last_entry_seq(connection, ecertificate_id)
            if row is None or row["step"] != Step.ISSUED or (known is not None and known >= entry.seq):
                continue
            operations_sql.note_done(
                connection,
                OperationKind(entry.kind.name),
                ecertificate_id=ecertificate_id,
                actor=entry.actor,
                at=entry.at_ms * 1000,
                entry_seq=entry.seq,
            )
            values = {
                "status": STATUS_OF_LIFE[life].value,
                "status_reason": None,
                "status_at": entry.at_ms * 1000,
                "pending_operation": None,
            }
            tables.update(connection, ecertificates_sql.ECertificateRow, {"id": ecertificate_id}, values)
            changed += 1
    return changed
