"""The bytes of the audit trail: what the MAC of a row covers, its leaf, and the chain of batches.

    purpose_commit   SHA-256(salt || purpose), so that a purpose can be deleted and its row still be checked
    fields           CBOR [1, uid, at, actor, organisation, name, action, pid, subject, purpose_commit, outcome, times]
    mac              HMAC-SHA256(key, fields), under a key of the service
    leaf             RFC 6962 leaf hash of CBOR [1, number, fields, mac]
    root             RFC 6962 tree over the leaves of a batch
    chain            SHA-256(CBOR [1, batch, first, last, at, root, chain of the batch before])
    commit           SHA-256(CBOR ["yinzheng audit trail", chain]), in the ledger's entry of the kind AUDIT_TRAIL

Numbers of rows and batches begin with 1. `uid` is 16 random bytes, so nobody can guess what a commitment contains.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Final

import cbor2

from trust.audit.sql import AuditBatchRow, AuditRow
from trust.encoding import merkle
from trust.encoding.digests import sha256

RowKey = Callable[[bytes], bytes]
"""The MAC of some bytes, under a key that is not in the database."""

NO_CHAIN: Final = bytes(32)
_VERSION: Final = 1


def purpose_commit(purpose: str, salt: bytes) -> bytes:
    return sha256(salt + purpose.encode())


def fields_of(row: AuditRow) -> bytes:
    """What the MAC of a row covers."""
    return cbor2.dumps(
        [
            _VERSION,
            _bytes(row.uid),
            row.at,
            row.actor,
            row.organisation,
            row.actor_name,
            row.action,
            _bytes(row.pid),
            row.subject,
            _bytes(row.purpose_commit),
            row.outcome,
            row.times,
        ]
    )


def leaf_of(row: AuditRow, number: int) -> bytes:
    return merkle.leaf_hash(cbor2.dumps([_VERSION, number, fields_of(row), _bytes(row.mac)]))


def has_good_mac(row: AuditRow, key: RowKey) -> bool:
    return hmac.compare_digest(_bytes(row.mac) or b"-", key(fields_of(row)))


def has_its_purpose(row: AuditRow) -> bool:
    """True unless the purpose of a row is another than the one that was written down; a deleted one is in order."""
    if row.purpose is None:
        return row.purpose_salt is None or row.purpose_commit is None
    salt, commit = _bytes(row.purpose_salt), _bytes(row.purpose_commit)
    return salt is not None and commit is not None and purpose_commit(row.purpose, salt) == commit


def root_of(leaves: Sequence[bytes]) -> bytes:
    return merkle.root(leaves)


def chain_of(batch: AuditBatchRow, before: bytes) -> bytes:
    listed = [_VERSION, batch.id, batch.first, batch.last, batch.at, bytes(batch.root), before]
    return sha256(cbor2.dumps(listed))


def commit_of(chain: bytes) -> bytes:
    """What the ledger's entry that anchors a batch commits to."""
    return sha256(cbor2.dumps(["yinzheng audit trail", chain]))


def _bytes(value: bytes | None) -> bytes | None:
    return bytes(value) if value is not None else None
