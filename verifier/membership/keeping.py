"""The lists of other deployments: fetching, checking and keeping them, and adding them to our own offline bundles.

    fetch    <address>/.well-known/ecert/bundle.zip, every ten minutes; or a file that an operator brings
    check    its trust list with the roots that our entry names, and that no list in it is older than the kept one
    keep     the zip as one value, replacing the one before

An attacker at the address or on the way can only withhold the lists: the kept ones then stay until they are out of
date, and verdicts say so. Nothing is fetched during a verification.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

from asn1crypto import crl as asn1_crl

from keys.asn1 import NOT_READABLE
from trust.encoding.digests import sha256
from trust.encoding.plain_zip import encode_zip
from trust.encoding.trust_list import MemberUse, TrustedMember, TrustList, TrustState
from trust.model.actor import Actor, Permission
from trust.model.clock import Clock
from trust.model.errors import Malformed, TrustError, VerificationError
from trust.storage import tables
from trust.storage.sql import Database
from verifier.evidence.bundle import (
    MEMBERS,
    CheckedBundle,
    PackedBundle,
    check_bundle,
    decode_roots,
    member_at,
    no_bundle,
    unpack_bundle,
)
from verifier.evidence.evidence import Member, MemberSource
from verifier.evidence.members import ListedMembers, missing
from verifier.evidence.trust_list import check_trust_list_age, root_fingerprint
from verifier.membership.sql import MemberBundleRow, digest_of
from verifier.ports import Entries

if TYPE_CHECKING:
    pass
from trust.encoding.well_known import BUNDLE_PATH

_AGAIN_AFTER, _AGAIN_AFTER_FAILURE = timedelta(minutes=10), timedelta(minutes=2)
_CLOCK_SKEW = timedelta(minutes=1)
_log = logging.getLogger("yinzheng.members")
Fetch = Callable[[str], bytes]
"""The bytes at an address that the operator named. Raises `TrustError`."""


@dataclass(frozen=True, slots=True)
class KeptBundle:
    """What is kept of one member. `seq` is None before the first lists; `problem` says why the last try failed."""

    entry: TrustedMember
    seq: int | None
    issued_at: datetime | None
    valid_until: datetime | None
    kept_at: datetime | None
    tried_at: datetime | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Proposal:
    """An operator's proposal for a new member. A field that is None is taken from the deployment's own list."""

    member_id: str
    name_zh: str
    name_en: str
    fingerprints: Sequence[str]
    address: str | None = None
    hosts: Sequence[str] | None = None
    uses: Sequence[MemberUse] = tuple(MemberUse)
    divisions: Sequence[str] | None = None
    type_codes: Sequence[str] | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class MemberBundles:
    """The use cases on members' lists."""

    database: Database
    entries: Entries
    clock: Clock
    fetch: Fetch
    _checked: dict[str, tuple[bytes, Sequence[bytes], CheckedBundle]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    # --- Entries ---

    def propose(self, actor: Actor, proposal: Proposal, packed: bytes, *, is_new: bool) -> TrustedMember:
        """Puts a deployment into our trust list and keeps its lists from a bundle (zip).

        Its roots are the ones in the bundle whose fingerprints were named. Raises `Malformed`, `VerificationError`,
        `Conflict`.
        """
        actor.check_may(Permission.SET_UP)
        bundle = unpack_bundle(packed)
        roots = _named_roots(bundle, proposal.fingerprints)
        at = self.clock.now()
        checked = _checked_now(bundle, roots, at)
        entry = TrustedMember(
            TrustState.ACTIVE,
            None,
            proposal.member_id,
            proposal.name_zh,
            proposal.name_en,
            proposal.address.rstrip("/") if proposal.address is not None else None,
            roots,
            tuple(proposal.hosts if proposal.hosts is not None else checked.trust_list.hosts),
            tuple(dict.fromkeys(proposal.uses)),
            tuple(proposal.divisions) if proposal.divisions is not None else None,
            tuple(proposal.type_codes) if proposal.type_codes is not None else None,
            proposal.not_before or min(at, checked.trust_list.issued_at),
            proposal.not_after,
        )
        self._refuse_roots_of_others(entry)
        if not is_new and (packed_before := self._packed(entry.member_id)) is not None:
            _check_not_older(_earlier(packed_before, entry), checked, at)
        self.entries.put(actor, entry, is_new=is_new)
        self._keep(entry, bundle, checked, at)
        return entry

    def _refuse_roots_of_others(self, entry: TrustedMember) -> None:
        for other in self.entries.list():
            if other.member_id != entry.member_id and set(other.roots) & set(entry.roots):
                raise Malformed(
                    f"Member {other.member_id} has this root.",
                    "One deployment is one member.",
                    code="ROOT_TAKEN",
                )

    def list(self) -> list[KeptBundle]:
        with self.database.read() as connection:
            rows = {row.member_id: row for row in tables.all_rows(connection, MemberBundleRow)}
        return [self._kept(entry, rows.get(entry.member_id)) for entry in self.entries.list()]

    # --- Lists ---

    def take(self, member_id: str, packed: bytes) -> CheckedBundle:
        """Keeps lists that came as a file. Raises `NotFound`, `Malformed`, `VerificationError`."""
        entry = self.entries.get(member_id)
        bundle = unpack_bundle(packed)
        at = self.clock.now()
        checked = _checked_now(bundle, entry.roots, at)
        self._keep(entry, bundle, checked, at)
        return checked

    def refresh(self, member_id: str) -> CheckedBundle:
        """Fetches and keeps the lists. Raises as `take`, and `OperationalError` if the address gave no answer."""
        return self.take(member_id, self.fetch_from(self.entries.get(member_id).address))

    def fetch_from(self, address: str | None) -> bytes:
        """The bundle at a deployment's address."""
        if address is None:
            raise Malformed(
                "The member has no address.",
                "Give its bundle as a file with --from.",
                code="MEMBER_NO_ADDRESS",
            )
        return self.fetch(address.rstrip("/") + BUNDLE_PATH)

    def run(self) -> None:
        """Fetches the lists that are due. A failure is recorded and does not affect the other members."""
        at = self.clock.now()
        for kept in self.list():
            entry = kept.entry
            if entry.address is None or entry.state is TrustState.COMPROMISED or not _is_due(kept, at):
                continue
            try:
                self.refresh(entry.member_id)
            except TrustError as exc:
                self._note_failure(entry.member_id, exc)
                _log.warning(
                    "the lists of member %s were not renewed", entry.member_id, extra={"code": exc.code}
                )

    def files(self) -> dict[str, bytes]:
        """The members' files for our own bundle (`verifier.evidence.bundle`), by name."""
        found: dict[str, bytes] = {}
        for entry in self.entries.list():
            packed = self._packed(entry.member_id)
            if packed is not None and entry.state is not TrustState.COMPROMISED:
                for name, data in unpack_bundle(packed).files.items():
                    found[f"{MEMBERS}/{entry.member_id}/{name}"] = data
        return found

    # --- Verifying ---

    def source(self, own: TrustList, at: datetime) -> MemberSource:
        """The members in our trust list, with their kept lists."""
        return ListedMembers(own, _KeptLists(self, own, at))

    def checked(self, entry: TrustedMember) -> CheckedBundle | None:
        """The kept lists, or None; signatures are checked once for each new bundle. Raises `TrustError`."""
        with self.database.read() as connection:
            digest = digest_of(connection, entry.member_id)
        if digest is None:
            return None
        with self._lock:
            known = self._checked.get(entry.member_id)
        if known is not None and known[:2] == (digest, entry.roots):
            return known[2]
        packed = self._packed(entry.member_id)
        if packed is None:
            return None
        checked = check_bundle(unpack_bundle(packed), entry.roots)
        with self._lock:
            self._checked[entry.member_id] = (sha256(packed), entry.roots, checked)
        return checked

    def _packed(self, member_id: str) -> bytes | None:
        with self.database.read() as connection:
            row = tables.one_row(connection, MemberBundleRow, member_id=member_id)
        return bytes(row.packed) if row is not None and row.packed is not None else None

    def _keep(self, entry: TrustedMember, bundle: PackedBundle, checked: CheckedBundle, at: datetime) -> None:
        # The member's own members are not ours, so their lists are left out.
        files = {name: data for name, data in bundle.files.items() if not name.startswith(f"{MEMBERS}/")}
        packed = encode_zip(files)
        with self.database.write() as connection:
            tables.serialise(connection, "member bundle")
            row = tables.one_row(connection, MemberBundleRow, member_id=entry.member_id)
            if row is not None and row.packed is not None:
                _check_not_older(_earlier(bytes(row.packed), entry), checked, at)
            values = MemberBundleRow(
                member_id=entry.member_id,
                sha256=sha256(packed),
                packed=packed,
                kept_at=tables.to_micros(at),
                tried_at=tables.to_micros(at),
            )
            tables.delete(connection, MemberBundleRow, {"member_id": entry.member_id})
            tables.insert(connection, values)

    def _note_failure(self, member_id: str, exc: TrustError) -> None:
        at, problem = tables.to_micros(self.clock.now()), f"{exc.code}: {exc.what}"
        with self.database.write() as connection:
            tables.serialise(connection, "member bundle")
            where, noted = {"member_id": member_id}, {"tried_at": at, "problem": problem}
            if not tables.update(connection, MemberBundleRow, where, noted):
                tables.insert(connection, MemberBundleRow(member_id=member_id, tried_at=at, problem=problem))

    def _kept(self, entry: TrustedMember, row: MemberBundleRow | None) -> KeptBundle:
        problem = row.problem if row is not None else None
        try:
            checked = self.checked(entry)
        except TrustError as exc:
            checked, problem = None, f"{exc.code}: {exc.what}"
        listed = checked.trust_list if checked is not None else None
        return KeptBundle(
            entry,
            listed.seq if listed else None,
            listed.issued_at if listed else None,
            listed.valid_until if listed else None,
            _time(row.kept_at) if row else None,
            _time(row.tried_at) if row else None,
            problem,
        )


@dataclass(frozen=True, slots=True)
class _KeptLists:
    bundles: MemberBundles
    own: TrustList
    at: datetime

    def evidence_of(self, entry: TrustedMember) -> Member:
        try:
            checked = self.bundles.checked(entry)
        except TrustError as exc:
            return missing(entry, exc.what)
        if checked is None:
            return missing(entry, f"the lists of {entry.member_id} are not at hand")
        return member_at(entry, checked, self.own, self.at)


def _named_roots(bundle: PackedBundle, fingerprints: Sequence[str]) -> tuple[bytes, ...]:
    try:
        found = decode_roots(bundle.read("roots.json"))
    except OSError as exc:
        raise no_bundle("The file") from exc
    wanted = {each.lower() for each in fingerprints}
    named = tuple(root for root in found if root_fingerprint(root) in wanted)
    if not named or len(named) != len(wanted):
        raise Malformed(
            "The bundle holds no root with a fingerprint that you named.",
            "Compare with the ones that the deployment publishes (`yinzheng init` prints them).",
            code="OTHER_ROOT",
        )
    return named


def _checked_now(bundle: PackedBundle, roots: Sequence[bytes], at: datetime) -> CheckedBundle:
    try:
        checked = check_bundle(bundle, roots)
        check_trust_list_age(checked.trust_list, at)
        _newest(checked.crls)
    except OSError as exc:
        raise no_bundle("The file") from exc
    if checked.problems:
        raise VerificationError(
            f"A list in the bundle is not to be believed: {checked.problems[0].detail}",
            "Ask the deployment; what is kept stays.",
            code=checked.problems[0].code,
        )
    return checked


def _earlier(packed: bytes, entry: TrustedMember) -> CheckedBundle | None:
    try:
        return check_bundle(unpack_bundle(packed), entry.roots)
    except TrustError:
        return None  # signed by roots that the entry no longer names


def _check_not_older(old: CheckedBundle | None, new: CheckedBundle, at: datetime) -> None:
    """Refuses older lists, which would undo later revocations. Raises `VerificationError`.

    A kept list with a date in the future was made under a wrong clock, so its date does not count; a status list is
    then compared only by the ledger size that it names.
    """
    if old is None:
        return
    is_older = new.trust_list.seq < old.trust_list.seq
    for number, (listed, _) in old.lists.items():
        later = new.lists.get(number)
        is_older |= later is None or later[0].ledger_size < listed.ledger_size
        is_older |= (
            later is not None
            and listed.issued_at <= at + _CLOCK_SKEW
            and later[0].issued_at < listed.issued_at
        )
    newest = _newest(new.crls)
    for issuer, updated_at in _newest(old.crls).items():
        is_older |= issuer in newest and updated_at <= at + _CLOCK_SKEW and newest[issuer] < updated_at
    if is_older:
        raise VerificationError(
            "The bundle is older than the one that is kept, or a list is missing in it.",
            "The newer one stays. Ask the deployment, or who is between it and us.",
            code="TRUST_LIST_ROLLED_BACK",
        )


def _newest(crls: Sequence[bytes]) -> dict[bytes, datetime]:
    """The time of each issuer's newest list, by the issuer's name (DER)."""
    newest: dict[bytes, datetime] = {}
    for der in crls:
        try:
            parsed = asn1_crl.CertificateList.load(der, strict=True)
            made_at: datetime = parsed["tbs_cert_list"]["this_update"].native
            issuer = parsed.issuer.dump()
        except NOT_READABLE as exc:
            raise Malformed("A revocation list in the bundle cannot be read.", code="CRL_UNREADABLE") from exc
        newest[issuer] = max(newest.get(issuer, made_at), made_at)
    return newest


def _is_due(kept: KeptBundle, at: datetime) -> bool:
    if kept.tried_at is None:
        return True
    pause = _AGAIN_AFTER if kept.problem is None else _AGAIN_AFTER_FAILURE
    # A try dated in the future was made under a wrong clock.
    return not timedelta(0) <= at - kept.tried_at < pause


def _time(micros: int | None) -> datetime | None:
    return tables.from_micros(micros) if micros is not None else None
