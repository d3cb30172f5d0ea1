"""Who may do what: API keys, claim links, web sessions, and the trail of what was done.

Every secret here is made of at least 128 random bits, leaves this module once, and is stored as its SHA-256:
a copy of the database opens nothing. (A slow hash is for passwords that people choose; these cannot be tried.)

    API key       yz_live_<id>_<secret>      id 10, secret 32 characters of base32, lower case
    claim link    <26 characters of base32>  gives a holder their wallet, once, within its days
    session       <32 characters of base32>  in a cookie; kind `wallet` or `desk`

Whoever presents an unknown, an expired, a revoked or a damaged key learns the same: UNAUTHENTICATED. A desk
session lives no longer than the key that opened it.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trust.app import sql
from trust.app.tables import ApiKeyRow, AuditRow, ClaimLinkRow, WebSessionRow
from trust.app.unbelieved import instead_of_edited
from trust.encoding.digests import sha256
from trust.model.clock import Clock, Entropy
from trust.model.errors import Malformed, NotFound, NotPermitted
from trust.storage.sql import Database
from trust.storage.tables import all_rows, from_micros, insert, one_row, to_micros, update

SCOPES = (
    "cert.issue",
    "cert.status",
    "cert.read",
    "cert.present",
    "verify",
    "desk",
    "seal",
    "seal.review",
    "admin",
)
WALLET, DESK = "wallet", "desk"
WALLET_HOURS = 7 * 24
DESK_HOURS = 12

_KEY = re.compile(r"yz_live_([a-z2-7]{10})_([a-z2-7]{32})")
_ID_BYTES, _SECRET_BYTES, _LINK_BYTES = 6, 20, 16
_MAX_KEY_DAYS = 3 * 366
_MAX_LABEL = 40
_MAX_ACTOR = 64


@dataclass(frozen=True, slots=True)
class ApiCaller:
    """Somebody who showed a good key."""

    key_id: str
    label: str
    authority_id: str | None
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as an administrator sees it: never its secret."""

    key_id: str
    label: str
    authority_id: str | None
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class WebSession:
    """A browser that was let in. `subject` is a holder reference, or the id of a desk's key."""

    subject: bytes
    csrf: str = field(repr=False)
    expires_at: datetime

    def form_token(self, form: str) -> str:
        """What the hidden field of this form must hold; another form of the same session has another."""
        return hmac.digest(self.csrf.encode(), form.encode(), "sha256").hex()

    def check_form_token(self, form: str, token: str) -> None:
        """Raises `NotPermitted` (FORM_EXPIRED) unless the form came from a page of this session."""
        if not hmac.compare_digest(self.form_token(form).encode(), token.encode()):
            raise NotPermitted(
                "The form is not from this session.", "Open the page again.", code="FORM_EXPIRED"
            )


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session as an administrator sees it. `session_id` opens nothing; `key_id` is that of a desk's key."""

    session_id: str
    kind: str
    key_id: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AuditEvent:
    at: datetime
    actor: str
    action: str
    pid: bytes | None
    purpose: str | None
    outcome: str


@dataclass(frozen=True, slots=True)
class Access:
    database: Database
    clock: Clock
    entropy: Entropy

    # --- API keys ---

    def create_api_key(
        self, label: str, *, authority_id: str | None, scopes: Sequence[str], days: int
    ) -> str:
        """A new key, shown this once. Raises `Malformed`."""
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
        key_id = _base32(self.entropy.bytes(_ID_BYTES)).lower()
        secret = _base32(self.entropy.bytes(_SECRET_BYTES)).lower()
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
        return f"yz_live_{key_id}_{secret}"

    def check_api_key(self, text: str, scope: str) -> ApiCaller:
        """The caller whose key this is. Raises `NotPermitted`: UNAUTHENTICATED or NOT_PERMITTED."""
        match = _KEY.fullmatch(text.strip())
        if match is None:
            raise _unauthenticated()
        key_id, secret = match.groups()
        row = self._key(key_id)
        # A key nobody has is compared too, so that an answer's time tells nothing about which ids exist.
        stored = bytes(row.secret_hash) if row is not None else bytes(32)
        is_right = hmac.compare_digest(sha256(secret.encode()), stored)
        if row is None or not is_right or not _in_force(row, to_micros(self.clock.now())):
            raise _unauthenticated()
        caller = ApiCaller(row.id, row.label, row.authority_id, frozenset(row.scopes.split()))
        if scope not in caller.scopes:
            raise NotPermitted(f"The key has no scope {scope}.", "Ask the operator for a key that has it.")
        return caller

    def _key(self, key_id: str) -> ApiKeyRow | None:
        with instead_of_edited(_unauthenticated), self.database.read() as connection:
            found: ApiKeyRow | None = one_row(connection, ApiKeyRow, id=key_id)
        return found

    def revoke_api_key(self, key_id: str) -> None:
        """Ends the key and every desk session it opened; doing it twice is fine. Raises `NotFound`."""
        at = to_micros(self.clock.now())
        with self.database.write() as connection:
            if one_row(connection, ApiKeyRow, id=key_id) is None:
                raise NotFound("There is no such key.", "List the keys and copy the id.")
            update(connection, ApiKeyRow, {"id": key_id, "revoked_at": None}, {"revoked_at": at})

    def list_api_keys(self) -> list[ApiKey]:
        with self.database.read() as connection:
            rows = all_rows(connection, ApiKeyRow)
        return sorted((_api_key(row) for row in rows), key=lambda key: (key.created_at, key.key_id))

    # --- Claim links ---

    def create_claim_link(self, holder_ref: bytes, days: int = 7) -> str:
        """The token of a link that opens this holder's wallet, once."""
        if not 1 <= days <= 30:
            raise Malformed("A claim link is good for 1 to 30 days.", "Choose fewer days.")
        token = _base32(self.entropy.bytes(_LINK_BYTES))
        expires_at = to_micros(self.clock.now() + timedelta(days=days))
        row = ClaimLinkRow(token_hash=_token_hash(token), holder_ref=holder_ref, expires_at=expires_at)
        with self.database.write() as connection:
            insert(connection, row)
        return token

    def use_claim_link(self, token: str) -> str:
        """Uses the link up and gives the token of a wallet session.

        Raises `NotFound` (LINK_USED_UP) alike for a link that was used, that is too old, or that never was.
        """
        at = self.clock.now()
        token_hash = _token_hash(token)
        with self.database.write() as connection:
            if not sql.use_claim_link(connection, token_hash, to_micros(at)):
                what, todo = (
                    "The link was used already, or it is too old.",
                    "Ask the department for a new one.",
                )
                raise NotFound(what, todo, code="LINK_USED_UP")
            link = one_row(connection, ClaimLinkRow, token_hash=token_hash)
            # Whoever has lost the old device, or let somebody look, closes it there with a new link.
            sql.delete_sessions_of(connection, WALLET, bytes(link.holder_ref))
            session, row = self._new_session(WALLET, bytes(link.holder_ref), at, WALLET_HOURS)
            insert(connection, row)
        return session

    # --- Sessions ---

    def open_session(self, kind: str, subject: bytes, hours: int) -> str:
        """The token of a new session."""
        at = self.clock.now()
        token, row = self._new_session(kind, subject, at, hours)
        with self.database.write() as connection:
            sql.delete_expired_sessions(connection, to_micros(at))
            insert(connection, row)
        return token

    def exchange_desk_key(self, text: str) -> str:
        """A desk session for an API key with the scope `desk`. Raises `NotPermitted`."""
        caller = self.check_api_key(text, "desk")
        return self.open_session(DESK, caller.key_id.encode(), DESK_HOURS)

    def check_session(self, token: str, kind: str) -> WebSession:
        """Raises `NotPermitted` (UNAUTHENTICATED) for a session that is not, or no longer."""
        now = to_micros(self.clock.now())
        with instead_of_edited(_unauthenticated), self.database.read() as connection:
            row = one_row(connection, WebSessionRow, token_hash=_token_hash(token))
        if row is None or row.kind != kind or row.expires_at <= now:
            raise _unauthenticated()
        if kind == DESK:
            self.desk_label(bytes(row.subject))
        return WebSession(bytes(row.subject), row.csrf, from_micros(row.expires_at))

    def desk_label(self, subject: bytes) -> str:
        """What the counter of a desk session is called. Raises `NotPermitted` once its key is out of force."""
        row = self._key(subject.decode())
        if row is None or not _in_force(row, to_micros(self.clock.now())):
            raise _unauthenticated()
        return str(row.label)

    def desk_caller(self, subject: bytes) -> ApiCaller:
        """Whose key a desk session was opened with. Raises `NotPermitted` once it is out of force."""
        row = self._key(subject.decode())
        if row is None or not _in_force(row, to_micros(self.clock.now())):
            raise _unauthenticated()
        return ApiCaller(row.id, row.label, row.authority_id, frozenset(row.scopes.split()))

    def close_session(self, token: str) -> None:
        """Doing it twice is fine."""
        with self.database.write() as connection:
            sql.delete_session(connection, _token_hash(token))

    def list_sessions(self) -> list[OpenSession]:
        """Those that are open, the newest last."""
        now = to_micros(self.clock.now())
        with self.database.read() as connection:
            rows = [row for row in all_rows(connection, WebSessionRow) if row.expires_at > now]
        return sorted(
            (_open_session(row) for row in rows), key=lambda each: (each.expires_at, each.session_id)
        )

    def end_sessions(self, *, session_id: str | None = None, key_id: str | None = None) -> int:
        """Ends one session, or those that a key has opened, at once and on every process; says how many.

        Raises `NotFound` where there is none.
        """
        with self.database.write() as connection:
            rows = [
                row
                for row in all_rows(connection, WebSessionRow)
                if _open_session(row).session_id == session_id
                or (key_id is not None and (row.kind, bytes(row.subject)) == (DESK, key_id.encode()))
            ]
            for row in rows:
                sql.delete_session(connection, bytes(row.token_hash))
        if not rows:
            raise NotFound("There is no such session.", "List them and copy the id.")
        return len(rows)

    # --- Audit ---

    def audit(self, actor: str, action: str, pid: bytes | None, purpose: str | None, outcome: str) -> None:
        """Writes down that it happened. No argument may hold a name, a number or a code."""
        row = AuditRow(
            at=to_micros(self.clock.now()),
            actor=actor[:_MAX_ACTOR],
            action=action,
            pid=pid,
            purpose=purpose,
            outcome=outcome,
        )
        with self.database.write() as connection:
            insert(connection, row)

    def audit_of(self, pid: bytes, *, actions: Sequence[str] = (), limit: int = 50) -> list[AuditEvent]:
        """What was done to one e-certificate, newest first."""
        with self.database.read() as connection:
            rows = sql.audit_rows(connection, pid=pid, actions=actions, limit=limit)
        return [_audit_event(row) for row in rows]

    def audit_by(self, actor: str, *, since: datetime, limit: int = 20) -> list[AuditEvent]:
        """What one actor did, newest first."""
        with self.database.read() as connection:
            rows = sql.audit_rows(connection, actor=actor, since=to_micros(since), limit=limit)
        return [_audit_event(row) for row in rows]

    def _new_session(self, kind: str, subject: bytes, at: datetime, hours: int) -> tuple[str, WebSessionRow]:
        token = _base32(self.entropy.bytes(_SECRET_BYTES))
        row = WebSessionRow(
            token_hash=_token_hash(token),
            kind=kind,
            subject=subject,
            csrf=self.entropy.bytes(16).hex(),
            expires_at=to_micros(at + timedelta(hours=hours)),
        )
        return token, row


def _in_force(row: ApiKeyRow, at: int) -> bool:
    return row.revoked_at is None and row.expires_at > at


def _unauthenticated() -> NotPermitted:
    return NotPermitted(
        "The key or the session is not known, or no longer.", "Sign in again.", code="UNAUTHENTICATED"
    )


def _token_hash(token: str) -> bytes:
    return sha256(token.strip().upper().encode())


def _base32(data: bytes) -> str:
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


def _open_session(row: WebSessionRow) -> OpenSession:
    return OpenSession(
        bytes(row.token_hash).hex()[:16],
        row.kind,
        bytes(row.subject).decode("ascii", "replace") if row.kind == DESK else None,
        from_micros(row.expires_at),
    )


def _audit_event(row: AuditRow) -> AuditEvent:
    pid = bytes(row.pid) if row.pid is not None else None
    return AuditEvent(from_micros(row.at), row.actor, row.action, pid, row.purpose, row.outcome)
