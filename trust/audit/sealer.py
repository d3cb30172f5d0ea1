"""Sealing the audit trail: committed rows are chained in batches, and the chain is anchored in the ledger.

Acts of all processes and hosts write their rows without waiting for each other; one sealer at a time takes what is
committed, numbers it and chains it. So no head of a chain is a lock that all acts share. What is sealed and anchored
cannot be changed, taken away or added to unseen; `check` says up to which moment that holds.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from sqlalchemy.engine import Connection

from trust.audit import sql
from trust.audit.rows import (
    NO_CHAIN,
    chain_of,
    commit_of,
    fields_of,
    has_good_mac,
    has_its_purpose,
    leaf_of,
    purpose_commit,
    root_of,
)
from trust.audit.sql import AuditBatchRow, AuditRow
from trust.audit.trail import Act, Trail
from trust.model.actor import Actor, Permission
from trust.model.errors import NotFound, NotPermitted
from trust.storage.tables import from_micros, insert_rows, to_micros, try_alone

BATCH: Final = 5000
"""The most rows of one batch."""


class Anchors(Protocol):
    """The ledger, for anchoring batches; implemented above."""

    def anchor(self, batch: int) -> None:
        """Appends the commitment of a batch to the ledger; durable on return. Raises `OperationalError`."""

    def entries(self) -> tuple[int, Mapping[int, bytes]]:
        """The size of the ledger, and the commitments of all entries in it that anchor the trail, by their numbers.

        Raises `OperationalError`, `VerificationError`.
        """

    def entry_of(self, operation_id: int) -> int | None:
        """The number of the entry that an operation became; None if it is not appended yet.

        Raises `NotFound` for an operation that anchors nothing.
        """


@dataclass(frozen=True, slots=True)
class TrailFinding:
    """What is wrong. `number` is that of a row, None for one without; `what` says it in English, `zh` in Chinese."""

    number: int | None
    code: str
    what: str
    zh: str


@dataclass(frozen=True, slots=True)
class TrailCheck:
    """The result of a check. `anchored_rows` rows are anchored in the ledger, all that were written before
    `anchored_at`."""

    rows: int
    anchored_rows: int
    anchored_at: datetime | None
    findings: tuple[TrailFinding, ...]


@dataclass(frozen=True, slots=True)
class Sealer:
    """Chains and checks the trail."""

    trail: Trail
    anchors: Anchors

    def seal(self) -> int:
        """Chains the committed rows that are in no batch yet; returns their number. Does nothing while another process
        does it."""
        self.trail.flush_due()
        count = 0
        while self._has_unsealed():
            self._adopt_old()
            with self.trail.database.write() as connection:
                if not try_alone(connection, "sealing the audit trail"):
                    return count
                sealed = self._seal_batch(connection)
            count += sealed
            if sealed < BATCH:
                break
        return count

    def anchor(self, *, unless_since: timedelta | None = None) -> int:
        """Anchors the newest batch, if it is not; returns its number, or 0.

        With `unless_since`, only if none was anchored for so long: many processes anchor no more often than one.
        """
        with self.trail.database.read() as connection:
            batch = sql.last_batch(connection)
            last = sql.last_anchored_at(connection)
        if batch is None or batch.operation_id is not None:
            return 0
        if unless_since is not None and last is not None:
            at = self.trail.clock.now()
            if timedelta(0) <= at - from_micros(last) < unless_since:
                return 0
        self.anchors.anchor(batch.id)
        return batch.id

    def export(self, actor: Actor) -> Iterator[dict[str, Any]]:
        """The trail as it is sealed, for those who keep it elsewhere: rows and batches in their order, as JSON.

        With docs/FORMATS.md and the ledger's entries, anyone can check the chain without this database. Who exported it
        is written down.
        """
        actor.check_may(Permission.ADMINISTER)
        if actor.organisation is not None:
            raise NotPermitted("The trail is about all departments.", "Use a key that is bound to none.")
        self.trail.note(actor.ref, Act("audit.export", "given"))
        with self.trail.database.snapshot(), self.trail.database.read() as connection:
            rows = _Ahead(sql.sealed_rows(connection))
            for batch in sql.batches(connection):
                for row in rows.up_to(batch.last + 1):
                    yield _row_json(row)
                entry = self.anchors.entry_of(batch.operation_id) if batch.operation_id is not None else None
                yield _batch_json(batch, entry)

    def check(self) -> TrailCheck:
        """Checks every row, every batch and every anchor. Raises `OperationalError` and `VerificationError` of the
        ledger."""
        return _Check(self.trail, self.anchors).run()

    def _has_unsealed(self) -> bool:
        with self.trail.database.read() as connection:
            return sql.has_unsealed(connection)

    def _seal_batch(self, connection: Connection) -> int:
        before = sql.last_batch(connection)
        rows = sql.unsealed(connection, BATCH)
        if not rows:
            return 0
        first = before.last + 1 if before is not None else 1
        numbered = [(row, first + place) for place, row in enumerate(rows)]
        batch = AuditBatchRow(
            id=before.id + 1 if before is not None else 1,
            first=first,
            last=first + len(rows) - 1,
            at=to_micros(self.trail.clock.now()),
            root=root_of([leaf_of(row, number) for row, number in numbered]),
            chain=NO_CHAIN,
        )
        batch.chain = chain_of(batch, bytes(before.chain) if before is not None else NO_CHAIN)
        insert_rows(connection, [batch])
        sql.number_rows(connection, [(row.id or 0, number) for row, number in numbered])
        return len(rows)

    def _adopt_old(self) -> None:
        """Gives MACs to rows from before there were any, which are taken as they are. Only before the first batch."""
        while True:
            with self.trail.database.read() as connection:
                if sql.last_batch(connection) is not None or not sql.without_mac(connection, 1):
                    return
            with self.trail.database.write() as connection:
                if not try_alone(connection, "sealing the audit trail"):
                    return
                for row in sql.without_mac(connection, BATCH):
                    self._adopt(connection, row)

    def _adopt(self, connection: Connection, row: AuditRow) -> None:
        entropy = self.trail.entropy
        row.uid = entropy.bytes(16)
        if row.purpose is not None:
            row.purpose_salt = entropy.bytes(16)
            row.purpose_commit = purpose_commit(row.purpose, row.purpose_salt)
        row.mac = self.trail.key(fields_of(row))
        sql.adopt(connection, row)


def _row_json(row: AuditRow) -> dict[str, Any]:
    return {
        "row": row.number,
        "uid": _hex(row.uid),
        "at": row.at,
        "actor": row.actor,
        "organisation": row.organisation,
        "name": row.actor_name,
        "action": row.action,
        "pid": _hex(row.pid),
        "subject": row.subject,
        "purpose": row.purpose,
        "purpose_salt": _hex(row.purpose_salt),
        "purpose_commit": _hex(row.purpose_commit),
        "outcome": row.outcome,
        "times": row.times,
        "mac": _hex(row.mac),
    }


def _batch_json(batch: AuditBatchRow, entry: int | None) -> dict[str, Any]:
    return {
        "batch": batch.id,
        "first": batch.first,
        "last": batch.last,
        "at": batch.at,
        "root": _hex(batch.root),
        "chain": _hex(batch.chain),
        "ledger_index": entry,
    }


def _hex(value: bytes | None) -> str | None:
    return bytes(value).hex() if value is not None else None


def anchor_commit(connection: Connection, operation_id: int) -> bytes | None:
    """The commitment of the batch that an operation anchors; None if there is no such batch."""
    batch = sql.batch_of_operation(connection, operation_id)
    return commit_of(bytes(batch.chain)) if batch is not None else None


def anchoring_operations(connection: Connection) -> dict[bytes, int]:
    """The operations that anchor batches, by the commitments of their entries."""
    return {commit_of(chain): number for chain, number in sql.anchoring_operations(connection).items()}


def take_anchor(connection: Connection, batch: int, operation_id: int) -> bool:
    """Notes by which operation a batch is anchored. False if another one does it."""
    return sql.set_anchor(connection, batch, None, operation_id)


def free_anchor(connection: Connection, operation_id: int) -> None:
    """Forgets an operation that the ledger refused."""
    batch = sql.batch_of_operation(connection, operation_id)
    if batch is not None:
        sql.set_anchor(connection, batch.id, operation_id, None)


class _Check:
    """One pass over the trail. Rows are read in the order of their numbers beside the batches."""

    def __init__(self, trail: Trail, anchors: Anchors) -> None:
        self._trail = trail
        self._anchors = anchors
        self._findings: list[TrailFinding] = []
        self._rows = 0

    def run(self) -> TrailCheck:
        # Before the rows: what is anchored meanwhile is not taken for an anchor without its batch.
        size, entries = self._anchors.entries()
        anchored: list[AuditBatchRow] = []
        with self._trail.database.snapshot(), self._trail.database.read() as connection:
            rows = _Ahead(sql.sealed_rows(connection))
            before: AuditBatchRow | None = None
            for batch in sql.batches(connection):
                if self._is_in_place(batch, before):
                    self._check_rows(batch, rows)
                before = batch
                if batch.operation_id is not None:
                    anchored.append(batch)
            for row in rows.up_to(None):
                self._rows += 1
                self._say(row.number, "ADDED", "is in no batch", "不属于任何批次")
            for row in sql.all_unsealed(connection):
                self._rows += 1
                self._check_row(row, None)
        newest = self._check_anchors(anchored, dict(entries), size)
        return TrailCheck(
            self._rows,
            newest.last if newest is not None else 0,
            from_micros(newest.at) if newest is not None else None,
            tuple(self._findings),
        )

    def _is_in_place(self, batch: AuditBatchRow, before: AuditBatchRow | None) -> bool:
        """Checks that a batch continues the one before. False if its range cannot be believed; its rows are then named
        by the next one that can, or left to their own MACs."""
        number, first = (before.id + 1, before.last + 1) if before is not None else (1, 1)
        if batch.id != number:
            self._say(
                None,
                "BATCH_MISSING",
                f"batches {number} to {batch.id - 1} are missing, with the rows before {batch.first}",
                f"缺少第 {number} 至 {batch.id - 1} 批（第 {batch.first} 行之前）",
            )
            first = batch.first
        chain = bytes(before.chain) if before is not None else NO_CHAIN
        is_chained = hmac.compare_digest(chain_of(batch, chain), bytes(batch.chain))
        if batch.id == number and not is_chained:
            self._say(
                None,
                "BATCH_EDITED",
                f"batch {batch.id} (rows {batch.first} to {batch.last}) was edited or does not continue the one before",
                f"第 {batch.id} 批（第 {batch.first} 至 {batch.last} 行）被改动，或与前批不相接",
            )
        return batch.first == first and 0 <= batch.last - batch.first < BATCH

    def _check_rows(self, batch: AuditBatchRow, rows: _Ahead) -> None:
        leaves: list[bytes] = []
        is_whole = True
        for number in range(batch.first, batch.last + 1):
            for stray in rows.up_to(number):
                # Of a batch that is missing or whose range was edited, which is named already.
                self._rows += 1
                self._check_row(stray, stray.number)
            row = rows.take(number)
            if row is None:
                is_whole = False
                self._say(number, "MISSING", "is missing", "缺失")
                continue
            self._rows += 1
            is_whole = self._check_row(row, number) and is_whole
            leaves.append(leaf_of(row, number))
        # Rows that are wrong are named already; the root finds what their own MACs cannot, as rows that were exchanged.
        if is_whole and root_of(leaves) != bytes(batch.root):
            what = f"rows {batch.first} to {batch.last} are not those that batch {batch.id} sealed"
            self._say(
                batch.first, "MOVED", what, f"第 {batch.first} 至 {batch.last} 行与第 {batch.id} 批所封不符"
            )

    def _check_row(self, row: AuditRow, number: int | None) -> bool:
        if row.mac is None:
            self._say(
                number, "ADDED", f"was added from outside (row id {row.id})", f"由外部添加（行 {row.id}）"
            )
        elif not has_good_mac(row, self._trail.key):
            self._say(
                number,
                "EDITED",
                f"was edited, or added from outside (row id {row.id})",
                f"被改动或由外部添加（行 {row.id}）",
            )
        elif not has_its_purpose(row):
            self._say(
                number,
                "EDITED",
                f"has another purpose than was written down (row id {row.id})",
                f"用途被改动（行 {row.id}）",
            )
        else:
            return True
        return False

    def _check_anchors(
        self, anchored: list[AuditBatchRow], entries: dict[int, bytes], size: int
    ) -> AuditBatchRow | None:
        """Every anchor in the ledger must have its batch; returns the newest batch that is anchored."""
        newest = None
        for batch in anchored:
            try:
                entry = self._anchors.entry_of(batch.operation_id or 0)
            except NotFound:
                self._say(None, "ANCHOR", f"batch {batch.id} names no anchor", f"第 {batch.id} 批的锚定无效")
                continue
            if entry is None:
                # Announced, and perhaps appended already by a process that died before it noted the number.
                wanted = commit_of(bytes(batch.chain))
                entry = next((seq for seq, commit in entries.items() if commit == wanted), size)
            if entry >= size:
                continue  # not in the ledger when it was read
            if entries.pop(entry, None) != commit_of(bytes(batch.chain)):
                self._say(
                    None,
                    "ANCHOR",
                    f"batch {batch.id} is not the one that entry {entry} of the ledger anchors",
                    f"第 {batch.id} 批与账本第 {entry} 条所锚定的不符",
                )
            else:
                newest = batch
        for entry in entries:
            self._say(
                None,
                "BATCH_MISSING",
                f"the batch that entry {entry} of the ledger anchors is missing",
                f"缺少账本第 {entry} 条所锚定的批次",
            )
        return newest

    def _say(self, number: int | None, code: str, what: str, zh: str) -> None:
        self._findings.append(TrailFinding(number, code, what, zh))


class _Ahead:
    """Rows in the order of their numbers, one of them read ahead."""

    def __init__(self, rows: Iterator[AuditRow]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def up_to(self, number: int | None) -> Iterator[AuditRow]:
        """The rows before this number (None: all that are left), which no batch claimed."""
        while self._next is not None and (number is None or (self._next.number or 0) < number):
            yield self._step()

    def take(self, number: int) -> AuditRow | None:
        """The row with this number."""
        return self._step() if self._next is not None and self._next.number == number else None

    def _step(self) -> AuditRow:
        assert self._next is not None
        row, self._next = self._next, next(self._rows, None)
        return row
