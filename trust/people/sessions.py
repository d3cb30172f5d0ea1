"""Sessions of browsers, for a holder's wallet or a counter's desk.

    <32 characters of base32>  in a cookie; kind `wallet` or `desk`

Only the SHA-256 of a token is stored. A desk session ends at the latest with the key that opened it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trust.audit.trail import Act, Trail
from trust.encoding.digests import sha256
from trust.model.actor import Actor, ActorKind, Permission
from trust.model.clock import Clock, Entropy
from trust.model.errors import Malformed, NotFound, NotPermitted
from trust.people import sql
from trust.people.api_clients import ApiClients, base32, check_administers, unauthenticated
from trust.people.sql import WebSessionRow
from trust.storage.sql import Database
from trust.storage.tables import all_rows, from_micros, insert, one_row, to_micros
from trust.storage.unbelieved import instead_of_edited

WALLET, DESK = "wallet", "desk"
WALLET_HOURS = 7 * 24
DESK_HOURS = 12
_SECRET_BYTES = 20


@dataclass(frozen=True, slots=True)
class WebSession:
    """A browser's session. `subject` is a holder reference, or the id of a desk's key."""

    subject: bytes
    csrf: str = field(repr=False)
    expires_at: datetime

    def form_token(self, form: str) -> str:
        """The token for the hidden field of this form; each form of a session has its own."""
        return hmac.digest(self.csrf.encode(), form.encode(), "sha256").hex()

    def check_form_token(self, form: str, token: str) -> None:
        """Raises `NotPermitted` (FORM_EXPIRED) unless the form came from a page of this session."""
        if not hmac.compare_digest(self.form_token(form).encode(), token.encode()):
            raise NotPermitted(
                "The form is not from this session.", "Open the page again.", code="FORM_EXPIRED"
            )


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session as shown to administrators. `session_id` gives no access; `key_id` is that of a desk's key."""

    session_id: str
    kind: str
    key_id: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Sessions:
    """The use cases on sessions. `clients` has the API keys with which desks are opened."""

    database: Database
    clock: Clock
    entropy: Entropy
    trail: Trail
    clients: ApiClients

    def open_session(self, kind: str, subject: bytes, hours: int) -> str:
        """Opens a session and returns its token."""
        at = self.clock.now()
        token, row = new_session(self.entropy, kind, subject, at, hours)
        with self.database.write() as connection:
            sql.delete_expired_sessions(connection, to_micros(at))
            insert(connection, row)
        return token

    def exchange_desk_key(self, text: str) -> str:
        """Opens a desk session for an API key with the scope `desk` and returns its token. Raises `NotPermitted`."""
        desk = self.clients.check_api_key(text, Permission.DESK)
        return self.open_session(DESK, desk.actor_id.encode(), DESK_HOURS)

    def check_session(self, token: str, kind: str) -> WebSession:
        """The session with this token. Raises `NotPermitted` (UNAUTHENTICATED) if it does not exist or has ended."""
        now = to_micros(self.clock.now())
        with instead_of_edited(unauthenticated), self.database.read() as connection:
            row = one_row(connection, WebSessionRow, token_hash=token_hash(token))
        if row is None or row.kind != kind or row.expires_at <= now:
            raise unauthenticated()
        if kind == DESK:
            self.desk(bytes(row.subject))
        return WebSession(bytes(row.subject), row.csrf, from_micros(row.expires_at))

    def desk(self, subject: bytes) -> Actor:
        """The counter of a desk session. Raises `NotPermitted` once the key that opened it is out of force."""
        return self.clients.in_force(subject.decode(), ActorKind.DEVICE)

    def close_session(self, token: str) -> None:
        """Ends a session. Idempotent."""
        with self.database.write() as connection:
            sql.delete_session(connection, token_hash(token))

    def list_sessions(self, actor: Actor) -> list[OpenSession]:
        """The open sessions, the newest last."""
        check_administers(actor)
        now = to_micros(self.clock.now())
        with self.database.read() as connection:
            rows = [row for row in all_rows(connection, WebSessionRow) if row.expires_at > now]
        return sorted(
            (_open_session(row) for row in rows), key=lambda each: (each.expires_at, each.session_id)
        )

    def page_of_sessions(self, actor: Actor, after: str | None, limit: int) -> list[OpenSession]:
        """Open sessions in the order of their ids, behind the session `after`. Raises `Malformed`."""
        check_administers(actor)
        now = to_micros(self.clock.now())
        with self.database.read() as connection:
            rows = sql.open_sessions_after(connection, _first_behind(after), limit, now)
        return [_open_session(row) for row in rows]

    def end_sessions(self, actor: Actor, *, session_id: str | None = None, key_id: str | None = None) -> int:
        """Ends one session, or all that a key has opened, at once in every process; returns their number.

        Raises `NotFound` if there is none.
        """
        check_administers(actor)
        with self.database.write() as connection:
            rows = [
                row
                for row in all_rows(connection, WebSessionRow)
                if _open_session(row).session_id == session_id
                or (key_id is not None and (row.kind, bytes(row.subject)) == (DESK, key_id.encode()))
            ]
            for row in rows:
                sql.delete_session(connection, bytes(row.token_hash))
            if rows:
                act = Act("end-session", str(len(rows)), subject=session_id or key_id)
                self.trail.record(connection, actor.ref, act)
        if not rows:
            raise NotFound("There is no such session.", "List them and copy the id.")
        return len(rows)


def new_session(
    entropy: Entropy, kind: str, subject: bytes, at: datetime, hours: int
) -> tuple[str, WebSessionRow]:
    """Makes a session without storing it: its token, and the row to insert."""
    token = base32(entropy.bytes(_SECRET_BYTES))
    row = WebSessionRow(
        token_hash=token_hash(token),
        kind=kind,
        subject=subject,
        csrf=entropy.bytes(16).hex(),
        expires_at=to_micros(at + timedelta(hours=hours)),
    )
    return token, row


def token_hash(token: str) -> bytes:
    return sha256(token.strip().upper().encode())


def _first_behind(session_id: str | None) -> bytes | None:
    """An id is the beginning of a token's hash: no hash that begins so is behind this one."""
    if session_id is None:
        return None
    try:
        return bytes.fromhex(session_id).ljust(32, b"\xff")
    except ValueError as exc:
        raise Malformed("This is no id of a session.", "List them and copy the id.") from exc


def _open_session(row: WebSessionRow) -> OpenSession:
    return OpenSession(
        bytes(row.token_hash).hex()[:16],
        row.kind,
        bytes(row.subject).decode("ascii", "replace") if row.kind == DESK else None,
        from_micros(row.expires_at),
    )
