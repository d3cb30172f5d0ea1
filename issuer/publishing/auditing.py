"""Checking that published status lists match the ledger, by making them again from its entries.

A list reflects all entries below a certain number. The audit reads the entries from the first one on, tracks the life
of each e-certificate, and at each list's number packs the bits again, which must give the same bytes. Each list must be
committed to by the entry that its receipt proves. Only the place of each ref in the lists is taken from the register,
because the salts hide that link from everybody else. The ref of an erased e-certificate cannot be computed any more;
there the subject id in the ledger's row is trusted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from issuer.ecertificates import sql as ecertificates_sql
from issuer.operations.lives import STATUS_OF_LIFE
from issuer.publishing import sql as publishing_sql
from ledger.lifecycle import Life, next_life
from ledger.logkeys import LogKeys
from ledger.proof import check_detached_receipt
from trust.encoding import cose
from trust.encoding.commitment import ecertificate_ref
from trust.encoding.digests import sha256
from trust.encoding.entry import NO_REF, Entry, EntryKind
from trust.encoding.status_list import MAX_LIST_BYTES, StatusList, decode_status_list, pack
from trust.model.errors import VerificationError
from trust.model.status import Status
from trust.storage.sql import Database

_NOWHERE = (0, 0)  # lists are numbered from 1


@dataclass(frozen=True, slots=True)
class ListFinding:
    """A published list that does not match the entries."""

    number: int
    version: int
    what: str


def audit_status_lists(
    database: Database, entries: Iterator[tuple[int | None, Entry]], log_keys: LogKeys
) -> tuple[int, list[ListFinding]]:
    """The number of published lists that were checked, and those that differ.

    `entries` are all entries of the log in order, each with the subject id of its row.
    """
    with database.read() as connection:
        versions = [
            row
            for number in ecertificates_sql.status_list_numbers(connection)
            for row in publishing_sql.status_lists_of(connection, number)
        ]
        by_ref, erased = {}, {}
        for ecertificate_id, pid, salt, status_list, index in ecertificates_sql.places_in_lists(connection):
            if salt:
                by_ref[ecertificate_ref(pid, salt)] = (status_list, index)
            else:
                erased[ecertificate_id] = (status_list, index)
    findings: list[ListFinding] = []
    lives: dict[bytes, Life] = {}
    places: dict[bytes, tuple[int, int]] = {}
    size = 0
    for row in sorted(versions, key=lambda row: row.ledger_size):
        while size < row.ledger_size and (entry := next(entries, None)) is not None:
            subject_id, said = entry
            if said.ref != NO_REF:
                lives[said.ref] = next_life(lives.get(said.ref), said.kind)
                places[said.ref] = by_ref.get(said.ref) or erased.get(subject_id or 0) or _NOWHERE
            size += 1
        if size < row.ledger_size:
            findings.append(ListFinding(row.number, row.id or 0, "The ledger is shorter than the list says."))
            continue
        if problem := _compare(row, lives, places, log_keys):
            findings.append(ListFinding(row.number, row.id or 0, problem))
    lost = sum(places[ref] == _NOWHERE for ref, life in lives.items() if life is not Life.VALID)
    if lost:
        findings.append(ListFinding(0, 0, f"{lost} e-certificate(s) out of force stand in no list."))
    return len(versions), findings


def _compare(
    row: publishing_sql.PublishedStatusListRow,
    lives: dict[bytes, Life],
    places: dict[bytes, tuple[int, int]],
    log_keys: LogKeys,
) -> str | None:
    encoded = bytes(row.encoded)
    listed: StatusList = decode_status_list(cose.decode_sign1(encoded, max_bytes=MAX_LIST_BYTES).payload)
    if row.proof is None:
        return "It is not anchored in the ledger."
    try:
        entry = check_detached_receipt(row.proof, log_keys=log_keys).entry
    except VerificationError as exc:
        return f"Its receipt does not verify: {exc.what}"
    if (listed.ledger_size, listed.ledger_origin) != (row.ledger_size, log_keys.origin) or (
        listed.ledger_size > entry.seq
    ):
        return "The list names another ledger or size than its entry."
    if entry.kind is not EntryKind.STATUS_LIST or entry.commit != sha256(encoded):
        return "The ledger commits to another list."
    statuses: dict[int, Status] = {}
    for ref, life in lives.items():
        number, index = places[ref]
        if number == row.number and life is not Life.VALID:
            statuses[index] = STATUS_OF_LIFE[life]
    if differing := _differing(pack(statuses), listed.packed):
        return f"{differing} place(s) do not say what the entries say."
    return None


def _differing(one: bytes, other: bytes) -> int:
    if one == other:
        return 0
    changed = int.from_bytes(one, "little") ^ int.from_bytes(other, "little")
    pairs = changed | (changed >> 1)
    mask = int.from_bytes(b"\x55" * len(one), "little")
    return (pairs & mask).bit_count()
