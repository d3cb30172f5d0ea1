"""Fetching, checking, keeping and publishing the revocation lists of outside CAs above certificates that we use.

For each issuer in the chain of an imported certificate one list is kept. A new one replaces it only if the issuer
signed it, it is complete (`keys.pki.crl`) and not older. So an attacker at the address or in between can only withhold
a list. Then the old one stays, until it expires and verdicts show that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy.engine import Connection

from issuer.pki import sql
from issuer.pki.identities import list_identities
from issuer.pki.outside_tsas import list_outside_tsas
from keys.pki.crl import (
    CheckedCrl,
    check_crl,
    crl_addresses,
    issuer_name,
    read_crl_file,
    revoked_serials,
)
from keys.pki.read import read_x509_cert
from trust.audit.trail import Act, Trail
from trust.encoding.digests import sha256
from trust.model.actor import Actor, Permission
from trust.model.clock import Clock
from trust.model.errors import Malformed, TrustError
from trust.storage import tables
from trust.storage.sql import Database

MAX_CRL_BYTES = 16 * 1024 * 1024
_CLOCK_SKEW = timedelta(minutes=1)
_AGAIN_AFTER, _AGAIN_AFTER_FAILURE = timedelta(hours=1), timedelta(minutes=5)

_log = logging.getLogger("yinzheng.crls")

Fetch = Callable[[str], bytes]
"""Returns the bytes at an address that a certificate names. Raises `TrustError`."""


@dataclass(frozen=True, slots=True)
class CrlIssuer:
    """An outside CA. `addresses` are those of lists in any certificate under it that we use, `common` those in all
    of them."""

    issuer_id: str
    cert: bytes
    addresses: tuple[str, ...]
    common: frozenset[str]

    @property
    def name(self) -> str:
        return read_x509_cert(self.cert).common_name


@dataclass(frozen=True, slots=True)
class KeptCrl:
    """The state of one issuer's list; times are None before the first one. `problem`: why the last try failed, or
    None."""

    issuer_id: str
    name: str
    addresses: tuple[str, ...]
    this_update: datetime | None
    next_update: datetime | None
    tried_at: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Refreshed:
    """The result for one issuer. `is_new`: a new list was stored; `error`: why not, so that the old one stays."""

    issuer_id: str
    name: str
    is_new: bool
    error: TrustError | None = None


@dataclass(frozen=True, slots=True)
class OutsideCrls:
    """Use cases on lists of outside CAs."""

    database: Database
    clock: Clock
    fetch: Fetch
    trail: Trail

    def list(self) -> list[KeptCrl]:
        with self.database.read() as connection:
            issuers = _issuers(connection)
            rows = {row.issuer_id: row for row in tables.all_rows(connection, sql.OutsideCrlRow)}
        return [_kept(issuer, rows.get(issuer.issuer_id)) for issuer in issuers]

    def refresh(self) -> Sequence[Refreshed]:
        """Fetches the list of every issuer. A failure does not affect the others, and is stored."""
        with self.database.read() as connection:
            issuers = _issuers(connection)
        return [self._refresh(issuer) for issuer in issuers]

    def run(self) -> None:
        """Fetches the lists that are due, for `Keeper`."""
        at = self.clock.now()
        with self.database.read() as connection:
            issuers = _issuers(connection)
            rows = {row.issuer_id: row for row in tables.all_rows(connection, sql.OutsideCrlRow)}
        for issuer in issuers:
            if _is_due(rows.get(issuer.issuer_id), at):
                done = self._refresh(issuer)
                if done.error is not None:
                    _log.warning(
                        "the revocation list of %s was not renewed",
                        done.name,
                        extra={"code": done.error.code},
                    )

    def take(self, actor: Actor, data: bytes) -> Refreshed:
        """Keeps a list that was received as a file. Raises `Malformed` (see `keys.pki.crl`)."""
        actor.check_may(Permission.SET_UP)
        der = read_crl_file(data)
        named = issuer_name(der)
        with self.database.read() as connection:
            issuers = [each for each in _issuers(connection) if read_x509_cert(each.cert).subject == named]
        refused = Malformed(
            "No imported certificate is under the CA that made this revocation list.",
            "Import the certificate first; `yinzheng pki crls list` names the CAs.",
            code="CRL_OTHER_ISSUER",
        )
        for issuer in issuers:  # a CA that changed its key is listed several times under one name
            try:
                taken = Refreshed(issuer.issuer_id, issuer.name, self._keep(issuer, der))
            except Malformed as exc:
                refused = exc
            else:
                self.trail.note(actor.ref, Act("crl.take", "done", subject=issuer.issuer_id))
                return taken
        raise refused

    def _refresh(self, issuer: CrlIssuer) -> Refreshed:
        error: TrustError = Malformed(
            "The certificates name no http address of the list.",
            "Get the list from the CA and give it with `yinzheng pki crls refresh --from FILE`.",
            code="CRL_NO_ADDRESS",
        )
        for address in issuer.addresses:
            try:
                is_new = self._keep(issuer, read_crl_file(self.fetch(address)))
            except TrustError as exc:
                error = exc
            else:
                return Refreshed(issuer.issuer_id, issuer.name, is_new)
        with self.database.write() as connection:
            row = _row(connection, issuer.issuer_id)
            row.tried_at, row.problem = tables.to_micros(self.clock.now()), f"{error.code}: {error.what}"
            sql.put_outside_crl(connection, row)
        return Refreshed(issuer.issuer_id, issuer.name, False, error)

    def _keep(self, issuer: CrlIssuer, der: bytes) -> bool:
        """Stores the list in place of an older one. False if it is stored already."""
        at = self.clock.now()
        checked = check_crl(der, issuer.cert, addresses=issuer.common, at=at)
        with self.database.write() as connection:
            tables.serialise(connection, "outside crl")
            row = _row(connection, issuer.issuer_id)
            is_new = row.der is None or bytes(row.der) != der
            if is_new:
                _check_not_older(row, checked, at)
                row.der, row.number = der, str(checked.number) if checked.number is not None else None
                row.this_update = tables.to_micros(checked.this_update)
                row.next_update = tables.to_micros(checked.next_update)
            row.tried_at, row.problem = tables.to_micros(at), None
            sql.put_outside_crl(connection, row)
            if is_new:
                _note_revocations(connection)
        return is_new


def _check_not_older(row: sql.OutsideCrlRow, checked: CheckedCrl, at: datetime) -> None:
    """Raises `Malformed` if a list is older than the stored one, because later revocations would be lost. A stored
    list dated in the future was accepted while the clock was wrong, and may be replaced by any."""
    if row.this_update is not None and tables.from_micros(row.this_update) > at + _CLOCK_SKEW:
        return
    is_older = row.this_update is not None and tables.to_micros(checked.this_update) < row.this_update
    is_lower = row.number is not None and checked.number is not None and checked.number < int(row.number)
    if is_older or is_lower:
        raise Malformed(
            f"The revocation list of {checked.this_update.isoformat()} is older than the one that is kept.",
            "The newer one stays. Ask the CA, or who is between it and us.",
            code="CRL_OLDER",
        )


def _issuers(connection: Connection) -> list[CrlIssuer]:
    """Every CA in the chains of certificates from outside."""
    below: dict[str, tuple[bytes, list[list[str]]]] = {}
    for chain in _chains(connection):
        for cert, issuer in pairwise(chain):
            facts = read_x509_cert(issuer)
            issuer_id = sha256(facts.subject + facts.public_key)[:16].hex()
            below.setdefault(issuer_id, (issuer, []))[1].append(crl_addresses(cert))
    return [
        CrlIssuer(
            issuer_id,
            issuer,
            tuple(dict.fromkeys(address for each in addresses for address in each)),
            frozenset.intersection(*map(frozenset, addresses)),
        )
        for issuer_id, (issuer, addresses) in sorted(below.items())
    ]


def _chains(connection: Connection) -> list[tuple[bytes, ...]]:
    """Chains of certificates (DER), each from an imported one up to its root."""
    identities = [(*each.certs, each.root) for each in list_identities(connection)]
    return [*identities, *((*each.certs, each.root) for each in list_outside_tsas(connection))]


def _note_revocations(connection: Connection) -> None:
    """Stores with each identity and time-stamp authority the earliest revocation in its chain according to the lists.

    A hold may be lifted (RFC 5280 §5.3.1), so a revocation that is no longer listed is removed.
    """
    revoked: dict[bytes, dict[int, datetime]] = {}
    kept = {row.issuer_id: row for row in tables.all_rows(connection, sql.OutsideCrlRow)}
    for issuer in _issuers(connection):
        row = kept.get(issuer.issuer_id)
        if row is not None and row.der is not None:
            revoked[issuer.cert] = dict(revoked_serials(bytes(row.der)))
    for identity in list_identities(connection):
        since = _revoked_since((*identity.certs, identity.root), revoked)
        if since != identity.revoked_at:
            where = {"id": identity.identity_id}
            tables.update(connection, sql.SealIdentityRow, where, {"revoked_at": _micros(since)})
    for tsa in list_outside_tsas(connection):
        since = _revoked_since((*tsa.certs, tsa.root), revoked)
        if since != tsa.revoked_at:
            where = {"id": tsa.tsa_id}
            tables.update(connection, sql.OutsideTsaRow, where, {"revoked_at": _micros(since)})


def _micros(at: datetime | None) -> int | None:
    return tables.to_micros(at) if at is not None else None


def _revoked_since(chain: Sequence[bytes], revoked: dict[bytes, dict[int, datetime]]) -> datetime | None:
    by_key = {read_x509_cert(issuer).public_key: listed for issuer, listed in revoked.items()}
    found = [
        by_key.get(read_x509_cert(issuer).public_key, {}).get(read_x509_cert(cert).serial)
        for cert, issuer in pairwise(chain)
    ]
    return min((each for each in found if each is not None), default=None)


def _row(connection: Connection, issuer_id: str) -> sql.OutsideCrlRow:
    known = tables.one_row(connection, sql.OutsideCrlRow, issuer_id=issuer_id)
    return known or sql.OutsideCrlRow(issuer_id=issuer_id)


def _is_due(row: sql.OutsideCrlRow | None, at: datetime) -> bool:
    if row is None or row.tried_at is None:
        return True
    pause = _AGAIN_AFTER if row.problem is None else _AGAIN_AFTER_FAILURE
    # A last try dated in the future was made while the clock was wrong.
    return not timedelta(0) <= at - tables.from_micros(row.tried_at) < pause


def _kept(issuer: CrlIssuer, row: sql.OutsideCrlRow | None) -> KeptCrl:
    def time(micros: int | None) -> datetime | None:
        return tables.from_micros(micros) if micros is not None else None

    return KeptCrl(
        issuer.issuer_id,
        issuer.name,
        issuer.addresses,
        time(row.this_update) if row else None,
        time(row.next_update) if row else None,
        time(row.tried_at) if row else None,
        row.problem if row else None,
    )
