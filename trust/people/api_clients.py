"""API keys: the clients and the scopes of their keys.

    yz_live_<id>_<secret>      id 10, secret 32 characters of base32, lower case

The secret is made of 160 random bits, leaves this module once, and is stored as its SHA-256, so that a copy of the
database gives no access. (A slow hash is only needed for passwords that people choose; these secrets cannot be
guessed.) Unknown, expired, revoked and damaged keys get the same answer: UNAUTHENTICATED.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from trust.audit.trail import Act, Trail
from trust.encoding.digests import sha256
from trust.model.actor import SCOPES, Actor, ActorKind, Permission
from trust.model.clock import Clock, Entropy
from trust.model.errors import Conflict, Malformed, NotFound, NotPermitted
from trust.people.sql import ApiKeyRow
from trust.storage.sql import Database
from trust.storage.tables import all_rows, from_micros, insert, one_row, rows_after, to_micros, update
from trust.storage.unbelieved import instead_of_edited

_KEY = re.compile(r"yz_live_([a-z2-7]{10})_([a-z2-7]{32})")
_ID_BYTES, _SECRET_BYTES = 6, 20
_MAX_KEY_DAYS = 3 * 366
_MAX_LABEL = 40


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as shown to administrators, without its secret."""

    key_id: str
    label: str
    authority_id: str | None
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class ApiClients:
    """The use cases on API keys."""

    database: Database
    clock: Clock
    entropy: Entropy
    trail: Trail

    def create_api_key(
        self, actor: Actor, label: str, *, authority_id: str | None, scopes: Sequence[str], days: int
    ) -> str:
        """Makes a key and returns its text, which cannot be shown again. Raises `Malformed`."""
        check_administers(actor)
        if not label.strip() or len(label) > _MAX_LABEL or not label.isprintable():
            raise Malformed(f"A label has 1 to {_MAX_LABEL} printable characters.", "Say who uses the key.")
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not scopes:
            raise Malformed(
                "A key has one or more known scopes.", f"Choose from {', '.join(SCOPES)}.", code="SCOPE"
            )
        if not 1 <= days <= _MAX_KEY_DAYS:
            raise Malformed(f"A key is good for 1 to {_MAX_KEY_DAYS} days.", "Choose fewer days.")
        at = self.clock.now()
        key_id = base32(self.entropy.bytes(_ID_BYTES)).lower()
        secret = base32(self.entropy.bytes(_SECRET_BYTES)).lower()
        row = ApiKeyRow(
            id=key_id,
            secret_hash=sha256(secret.encode()),
            label=label.strip(),
            authority_id=authority_id,
            scopes=" ".join(scope for scope in SCOPES if scope in scopes),
            created_at=to_micros(at),
            expires_at=to_micros(at + timedelta(days=days)),
        )
        with self.database.write() as connection:
            insert(connection, row)
            self.trail.record(connection, actor.ref, Act("new-key", "done", subject=key_id))
        return f"yz_live_{key_id}_{secret}"

    def check_api_key(self, text: str, permission: Permission) -> Actor:
        """The caller with this key. Raises `NotPermitted`: UNAUTHENTICATED, or NOT_PERMITTED without the scope."""
        match = _KEY.fullmatch(text.strip())
        if match is None:
            raise unauthenticated()
        key_id, secret = match.groups()
        row = self._key(key_id)
        # Compare even if the key is unknown, so that the response time does not reveal which ids exist.
        stored = bytes(row.secret_hash) if row is not None else bytes(32)
        is_right = hmac.compare_digest(sha256(secret.encode()), stored)
        if row is None or not is_right or not _is_in_force(row, to_micros(self.clock.now())):
            raise unauthenticated()
        client = _client(row, ActorKind.CLIENT)
        with self.trail.refusals(client, permission.value):
            client.check_may(permission)
        return client

    def in_force(self, key_id: str, kind: ActorKind) -> Actor:
        """The actor with a key that is in force. Raises `NotPermitted` (UNAUTHENTICATED) if there is none."""
        row = self._key(key_id)
        if row is None or not _is_in_force(row, to_micros(self.clock.now())):
            raise unauthenticated()
        return _client(row, kind)

    def _key(self, key_id: str) -> ApiKeyRow | None:
        with instead_of_edited(unauthenticated), self.database.read() as connection:
            return one_row(connection, ApiKeyRow, id=key_id)

    def revoke_api_key(self, actor: Actor, key_id: str) -> None:
        """Revokes the key and ends every desk session that it opened. Idempotent. Raises `NotFound`."""
        at = to_micros(self.clock.now())
        with self.trail.refusals(actor, "revoke-key", subject=key_id):
            check_administers(actor)
            if actor.kind is ActorKind.CLIENT and actor.actor_id == key_id:
                raise Conflict("A key does not revoke itself.", "Use another, or the command line.")
        with self.database.write() as connection:
            if one_row(connection, ApiKeyRow, id=key_id) is None:
                raise NotFound("There is no such key.", "List the keys and copy the id.")
            update(connection, ApiKeyRow, {"id": key_id, "revoked_at": None}, {"revoked_at": at})
            self.trail.record(connection, actor.ref, Act("revoke-key", "done", subject=key_id))

    def list_api_keys(self, actor: Actor) -> list[ApiKey]:
        check_administers(actor)
        with self.database.read() as connection:
            rows = all_rows(connection, ApiKeyRow)
        return sorted((_api_key(row) for row in rows), key=lambda key: (key.created_at, key.key_id))

    def page_of_api_keys(self, actor: Actor, after: str | None, limit: int) -> list[ApiKey]:
        """Keys in the order of their ids, behind the key `after`."""
        check_administers(actor)
        with self.database.read() as connection:
            rows = rows_after(connection, ApiKeyRow, ["id"], None if after is None else [after], limit)
        return [_api_key(row) for row in rows]


def check_administers(actor: Actor) -> None:
    """Raises `NotPermitted` unless the actor may administer, and for all departments: a key of one could otherwise make
    itself one for all."""
    actor.check_may(Permission.ADMINISTER)
    if actor.organisation is not None:
        raise NotPermitted(
            "The key is bound to a department, and keys of all departments stand here.",
            "Use a key that is bound to none.",
        )


def _client(row: ApiKeyRow, kind: ActorKind) -> Actor:
    permissions = frozenset(scope for scope in SCOPES if scope.value in row.scopes.split())
    return Actor(kind, row.id, row.authority_id, row.label, permissions)


def _is_in_force(row: ApiKeyRow, at: int) -> bool:
    return row.revoked_at is None and row.expires_at > at


def unauthenticated() -> NotPermitted:
    return NotPermitted(
        "The key or the session is not known, or no longer.", "Sign in again.", code="UNAUTHENTICATED"
    )


def base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")


def _api_key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        row.id,
        row.label,
        row.authority_id,
        tuple(row.scopes.split()),
        from_micros(row.created_at),
        from_micros(row.expires_at),
        from_micros(row.revoked_at) if row.revoked_at is not None else None,
    )
