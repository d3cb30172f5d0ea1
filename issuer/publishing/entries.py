"""The entries of our trust list about others: other deployments (members), and outside CAs for judging signed files.

Nothing here connects to a member: its entry says what it is trusted for. Its own lists are fetched and kept by the
verifier (`verifier.membership.keeping`).
"""

from __future__ import annotations

import builtins
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from issuer.publishing import sql
from keys.pki.read import ca_term
from trust.audit.trail import Act, Trail
from trust.encoding.digests import sha256
from trust.encoding.trust_list import MemberUse, TrustedAnchor, TrustedMember, TrustState
from trust.model.actor import Actor, Permission
from trust.model.clock import Clock, whole_second
from trust.model.errors import Conflict, Malformed, NotFound
from trust.model.reaching_back import check_reaching_back
from trust.storage import tables
from trust.storage.sql import Database

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_HOST = re.compile(r"[A-Z0-9](?:[A-Z0-9.-]{0,251}[A-Z0-9])?(?::[0-9]{1,5})?")
_DIVISION = re.compile(r"[0-9]{2,6}")
_ADDRESS = re.compile(r"https?://[^\s/?#@]{1,253}(?:/[^\s?#]{0,200})?")


@dataclass(frozen=True, slots=True)
class Members:
    """Use cases on entries of the trust list about others. `own_host` is the host in our own codes."""

    database: Database
    clock: Clock
    own_host: str
    trail: Trail

    def list(self) -> list[TrustedMember]:
        with self.database.read() as connection:
            return list_members(connection)

    def get(self, member_id: str) -> TrustedMember:
        """Raises `NotFound`."""
        with self.database.read() as connection:
            row = tables.one_row(connection, sql.TrustMemberRow, id=member_id)
        if row is None:
            raise NotFound(
                f"There is no member {member_id}.", "List them with `yinzheng trust list`.", code="NO_MEMBER"
            )
        return _member(row)

    def put(self, actor: Actor, entry: TrustedMember, *, is_new: bool) -> None:
        """Adds a member to the trust list (`is_new`), or changes its entry.

        Raises `Malformed`, and `Conflict` for an id that is taken or a host that is in the codes of another.
        """
        actor.check_may(Permission.SET_UP)
        _check(entry)
        with self.database.write() as connection:
            tables.serialise(connection, "members")
            known = {each.member_id: each for each in list_members(connection)}
            if is_new == (entry.member_id in known):
                raise Conflict(
                    f"There is {'a' if is_new else 'no'} member {entry.member_id}.",
                    "Choose another id, or change the entry with --change.",
                )
            taken = {host: each.member_id for each in known.values() for host in each.hosts}
            taken |= {self.own_host.upper(): "this deployment"}
            for host in entry.hosts:
                if taken.get(host, entry.member_id) != entry.member_id:
                    raise Conflict(f"{host} stands in codes of {taken[host]}.", "Name other hosts.")
            if is_new:
                tables.insert(connection, _row(entry))
            else:
                values = _row(entry).model_dump(exclude={"id"})
                tables.update(connection, sql.TrustMemberRow, {"id": entry.member_id}, values)
            act = Act("member.add" if is_new else "member.change", "done", subject=entry.member_id)
            self.trail.record(connection, actor.ref, act)

    def withdraw(
        self,
        actor: Actor,
        member_id: str,
        state: TrustState,
        since: datetime | None = None,
        *,
        approved_by: str | None = None,
    ) -> None:
        """Ends the trust in a member from `since` on (default: now), or entirely if its roots are compromised.

        Raises `NotFound`, and `NotPermitted` without a second person if it takes effect far in the past, as the latter
        does.
        """
        self.get(member_id)
        at = self.clock.now()
        reaches_to = None if state is TrustState.COMPROMISED else since or at
        with self.trail.refusals(actor, "member.withdraw", subject=member_id):
            actor.check_may(Permission.SET_UP)
            check_reaching_back(reaches_to, at, actor, approved_by)
        at = whole_second(since or self.clock.now())
        values = {"state": state.value, "since": tables.to_micros(at)}
        with self.database.write() as connection:
            tables.update(connection, sql.TrustMemberRow, {"id": member_id}, values)
            self.trail.record(connection, actor.ref, Act("member.withdraw", state.value, subject=member_id))

    def anchors(self) -> builtins.list[tuple[str, TrustedAnchor]]:
        """The outside CAs, each with its id, which is the beginning of its certificate's SHA-256 in hex."""
        with self.database.read() as connection:
            return [(anchor_id(each.cert), each) for each in list_anchors(connection)]

    def add_anchor(
        self, actor: Actor, cert: bytes, name_zh: str, name_en: str, not_after: datetime | None = None
    ) -> str:
        """From now on signed files of others are also judged under this CA certificate (DER). Returns its id.

        Raises `Malformed` if it is no CA, and `Conflict` if it is in the list already.
        """
        actor.check_may(Permission.SET_UP)
        begins, ends = ca_term(cert)
        row = sql.TrustAnchorRow(
            id=anchor_id(cert),
            name_zh=name_zh,
            name_en=name_en,
            cert=cert,
            not_before=tables.to_micros(begins),
            not_after=tables.to_micros(min(ends, not_after) if not_after else ends),
            state=TrustState.ACTIVE.value,
            added_at=tables.to_micros(self.clock.now()),
        )
        with self.database.write() as connection:
            tables.serialise(connection, "members")
            if tables.one_row(connection, sql.TrustAnchorRow, id=row.id) is not None:
                raise Conflict(
                    "This CA is in the trust list already.", "List them with `yinzheng trust list`."
                )
            tables.insert(connection, row)
            self.trail.record(connection, actor.ref, Act("anchor.add", "done", subject=row.id))
        return row.id

    def withdraw_anchor(self, actor: Actor, wanted: str) -> None:
        """From now on no file is judged under this CA. Raises `NotFound`."""
        actor.check_may(Permission.SET_UP)
        values = {
            "state": TrustState.RETIRED.value,
            "since": tables.to_micros(whole_second(self.clock.now())),
        }
        with self.database.write() as connection:
            if not tables.update(connection, sql.TrustAnchorRow, {"id": wanted}, values):
                raise NotFound(f"There is no CA {wanted}.", "List them with `yinzheng trust list`.")
            self.trail.record(connection, actor.ref, Act("anchor.withdraw", "done", subject=wanted))


def anchor_id(cert: bytes) -> str:
    return sha256(cert)[:8].hex()


def list_members(connection: Connection) -> list[TrustedMember]:
    """In the caller's transaction."""
    return [_member(row) for row in tables.all_rows(connection, sql.TrustMemberRow)]


def list_anchors(connection: Connection) -> list[TrustedAnchor]:
    """In the caller's transaction."""
    return [
        TrustedAnchor(
            TrustState(row.state),
            _time(row.since),
            row.name_zh,
            row.name_en,
            bytes(row.cert),
            tables.from_micros(row.not_before),
            tables.from_micros(row.not_after),
        )
        for row in tables.all_rows(connection, sql.TrustAnchorRow)
    ]


def _check(entry: TrustedMember) -> None:
    if not _ID.fullmatch(entry.member_id):
        raise Malformed("The id is not in its form.", "Use up to 32 small letters, digits and hyphens.")
    if not entry.name_zh.strip() or not entry.name_en.strip():
        raise Malformed("A name is missing.", "Give the name in both languages.")
    if not entry.roots:
        raise Malformed("No root is named.", "Give the fingerprint that the deployment publishes.")
    if entry.address is not None and not _ADDRESS.fullmatch(entry.address):
        raise Malformed("The address is not in its form.", "Write https://verify.example.cn.")
    if not entry.uses:
        raise Malformed("The member would be believed for nothing.", "Name at least one use.")
    _check_each("host", entry.hosts, _HOST)
    _check_each("division", entry.divisions, _DIVISION)
    if entry.not_after is not None and entry.not_after <= entry.not_before:
        raise Malformed("The trust would end before it begins.", "Correct the dates.")


def _check_each(what: str, values: Sequence[str] | None, form: re.Pattern[str]) -> None:
    for each in values if values is not None else ():
        if not form.fullmatch(each):
            raise Malformed(f"A {what} is not in its form.", f"Correct “{each[:40]}”.")


def _row(entry: TrustedMember) -> sql.TrustMemberRow:
    def listed(values: Sequence[str] | None) -> str | None:
        return json.dumps(list(values), ensure_ascii=False) if values is not None else None

    return sql.TrustMemberRow(
        id=entry.member_id,
        name_zh=entry.name_zh,
        name_en=entry.name_en,
        address=entry.address,
        roots=json.dumps([root.hex() for root in entry.roots]),
        hosts=json.dumps(list(entry.hosts)),
        uses=json.dumps([use.value for use in entry.uses]),
        divisions=listed(entry.divisions),
        type_codes=listed(entry.type_codes),
        not_before=tables.to_micros(entry.not_before),
        not_after=tables.to_micros(entry.not_after) if entry.not_after else None,
        state=entry.state.value,
        since=tables.to_micros(entry.since) if entry.since else None,
    )


def _member(row: sql.TrustMemberRow) -> TrustedMember:
    def listed(text: str | None) -> tuple[Any, ...] | None:
        return tuple(json.loads(text)) if text is not None else None

    return TrustedMember(
        TrustState(row.state),
        _time(row.since),
        row.id,
        row.name_zh,
        row.name_en,
        row.address,
        tuple(bytes.fromhex(each) for each in json.loads(row.roots)),
        tuple(json.loads(row.hosts)),
        tuple(MemberUse(each) for each in json.loads(row.uses)),
        listed(row.divisions),
        listed(row.type_codes),
        tables.from_micros(row.not_before),
        _time(row.not_after),
    )


def _time(micros: int | None) -> datetime | None:
    return tables.from_micros(micros) if micros is not None else None
