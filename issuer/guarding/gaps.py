"""A register that was restored from a copy goes on behind a gap: no number comes twice, nothing spent comes back.

What the ledger counts says how far: operations and e-certificates. What it does not count (CRLs, trust lists, uses and
approvals of seals) leaves out more numbers than can have been given out; places in status lists go on in a new list,
because those of the old one stand in documents that the copy does not know. Serial numbers of X.509 certificates,
identifiers, public ids and every secret are random and need no gap.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from issuer.ecertificates import sql as ecertificates_sql
from issuer.guarding import sql as guarding_sql
from issuer.operations import sql as operations_sql
from issuer.operations.lives import STATUS_OF_LIFE
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
    """`lost`: e-certificates that the ledger has and the register has not."""

    operations_known: int
    operations_given_out: int
    lost: int


def leave_gaps(database: Database, log: Log, clock: Clock, entropy: Entropy) -> Restored | None:
    """Where the ledger was asked for more than the register knows, goes on behind it. None: nothing was restored.

    Before rows are guarded; once, for the gap itself is remembered.
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
        "the register is older than the ledger: it goes on behind a gap, and codes and sessions have ended",
        extra={"code": "REGISTER_RESTORED", "what": f"{lost} e-certificate(s) are in the ledger alone"},
    )
    return found


def follow_ledger(database: Database, log: Log, clock: Clock) -> int:
    """Brings the statuses in a restored register in line with the ledger, which has seen more; says of how many.

    What is done then is what the ledger has; reason and note went with the lost rows.
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
            if row is None or row["step"] != "ISSUED" or (known is not None and known >= entry.seq):
                continue
            operation = operations_sql.OperationRow(
                ecertificate_id=ecertificate_id,
                kind=entry.kind.name,
                actor=entry.actor,
                salt=b"",
                at=entry.at_ms * 1000,
                done=True,
                entry_seq=entry.seq,
            )
            tables.insert(connection, operation)
            values = {
                "status": STATUS_OF_LIFE[life].value,
                "status_reason": None,
                "status_at": entry.at_ms * 1000,
                "pending_operation": None,
            }
            tables.update(connection, ecertificates_sql.ECertificateRow, {"id": ecertificate_id}, values)
            changed += 1
    return changed
