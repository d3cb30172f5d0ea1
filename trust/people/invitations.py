"""Invitations: links that open a holder's wallet.

    claim link    <26 characters of base32>  gives a holder their wallet, once, within its days

The token is made of 128 random bits, leaves this module once, and is stored as its SHA-256.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from trust.audit.trail import Act, Trail
from trust.model.actor import HOLDER, Actor, Permission
from trust.model.clock import Clock, Entropy
from trust.model.errors import Malformed, NotFound
from trust.people import sql
from trust.people.api_clients import base32
from trust.people.sessions import WALLET, WALLET_HOURS, new_session, token_hash
from trust.people.sql import ClaimLinkRow
from trust.storage.sql import Database
from trust.storage.tables import insert, stored_row, to_micros

_LINK_BYTES = 16


@dataclass(frozen=True, slots=True)
class Invitations:
    """The use cases on claim links."""

    database: Database
    clock: Clock
    entropy: Entropy
    trail: Trail

    def create_claim_link(self, actor: Actor, holder_ref: bytes, days: int = 7) -> str:
        """Makes a link that opens this holder's wallet once, and returns its token."""
        actor.check_may(Permission.ISSUE)
        if not 1 <= days <= 30:
            raise Malformed("A claim link is good for 1 to 30 days.", "Choose fewer days.")
        token = base32(self.entropy.bytes(_LINK_BYTES))
        expires_at = to_micros(self.clock.now() + timedelta(days=days))
        row = ClaimLinkRow(token_hash=token_hash(token), holder_ref=holder_ref, expires_at=expires_at)
        with self.database.write() as connection:
            insert(connection, row)
            self.trail.record(connection, actor.ref, Act("claim-link", "done"))
        return token

    def use_claim_link(self, token: str) -> str:
        """Uses the link up and returns the token of a wallet session.

        Raises the same `NotFound` (LINK_USED_UP) for a link that was used, is too old, or never existed.
        """
        at = self.clock.now()
        digest = token_hash(token)
        with self.database.write() as connection:
            if not sql.use_claim_link(connection, digest, to_micros(at)):
                what, todo = (
                    "The link was used already, or it is too old.",
                    "Ask the department for a new one.",
                )
                raise NotFound(what, todo, code="LINK_USED_UP")
            link = stored_row(connection, ClaimLinkRow, token_hash=digest)
            # A new link ends the holder's other sessions, for example on a lost device.
            sql.delete_sessions_of(connection, WALLET, bytes(link.holder_ref))
            session, row = new_session(self.entropy, WALLET, bytes(link.holder_ref), at, WALLET_HOURS)
            insert(connection, row)
            self.trail.record(connection, HOLDER.ref, Act("wallet-claim", "opened"))
        return session
