"""The register of issuing authorities."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from issuer.authorities import sql
from trust.audit.trail import Act, Trail
from trust.model.actor import Actor, Permission
from trust.model.clock import Clock
from trust.model.ecertificate import IssuingAuthority
from trust.model.errors import Conflict, Malformed, NotFound
from trust.model.parties import UnifiedSocialCreditCode
from trust.storage import tables
from trust.storage.sql import Database

_AUTHORITY_ID = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?$")


@dataclass(frozen=True, slots=True)
class Authorities:
    """Use cases on issuing authorities."""

    database: Database
    clock: Clock
    trail: Trail

    def add(self, actor: Actor, authority: IssuingAuthority) -> None:
        """Registers an authority. Repeating it changes nothing; other data with the same id raise `Conflict`."""
        actor.check_may(Permission.SET_UP)
        if not _AUTHORITY_ID.match(authority.authority_id):
            raise Malformed(
                "An authority's id is 1 to 24 of a-z, 0-9 and hyphens.",
                "Choose a short one, such as cc-scjg.",
            )
        UnifiedSocialCreditCode(authority.uscc)
        with self.database.write() as connection:
            known = tables.one_row(connection, sql.AuthorityRow, id=authority.authority_id)
            if known is not None:
                if _authority(known) == authority:
                    return
                raise Conflict(
                    f"The id {authority.authority_id} belongs to another authority.", "Choose another id."
                )
            if tables.one_row(connection, sql.AuthorityRow, uscc=authority.uscc) is not None:
                raise Conflict(
                    "An authority with this credit code is registered under another id.", "Use that one."
                )
            row = sql.AuthorityRow(
                id=authority.authority_id,
                uscc=authority.uscc,
                name_zh=authority.name_zh,
                name_en=authority.name_en,
                functions=json.dumps(list(authority.functions)),
                created_at=tables.to_micros(self.clock.now()),
            )
            tables.insert(connection, row)
            self.trail.record(connection, actor.ref, Act("authority.add", "done", subject=row.id))

    def list(self) -> list[IssuingAuthority]:
        """All authorities, ordered by id."""
        with self.database.read() as connection:
            return [_authority(row) for row in tables.all_rows(connection, sql.AuthorityRow)]

    def get(self, authority_id: str) -> IssuingAuthority:
        """Raises `NotFound` (UNKNOWN_AUTHORITY)."""
        with self.database.read() as connection:
            row = tables.one_row(connection, sql.AuthorityRow, id=authority_id)
        if row is None:
            raise NotFound(
                f"There is no authority {authority_id}.",
                "List them with `yinzheng authority list`.",
                code="UNKNOWN_AUTHORITY",
            )
        return _authority(row)


def _authority(row: sql.AuthorityRow) -> IssuingAuthority:
    return IssuingAuthority(row.id, row.uscc, row.name_zh, row.name_en, tuple(json.loads(row.functions)))
