"""The lists by which others can verify without asking the service: trust list, status lists, offline bundle.

Each kind of list is signed by its own key and says when the next one is due. A trust list gets a new number whenever
its content or its time changes; numbers never decrease.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.engine import Connection

from issuer.authorities.register import Authorities
from issuer.catalogue import TypeProfile
from issuer.ecertificates import sql as ecertificates_sql
from issuer.operations import sql as operations_sql
from issuer.operations.model import Operation, OperationKind
from issuer.pki import sql as pki_sql
from issuer.pki.outside_tsas import list_outside_tsas
from issuer.pki.pki import Pki
from issuer.publishing import sql as publishing_sql
from issuer.publishing.entries import list_anchors, list_members
from issuer.publishing.listed_statuses import ListedStatuses
from issuer.seals.registry import SealRegistry
from keys import sql as keys_sql
from keys.custody import KeyProvider, KeyPurpose
from keys.pki.build import Profile
from keys.service_keys import ServiceKeys
from keys.suites import Suite
from ledger.log import AppendRequest, Log
from ledger.logkeys import LogKeys
from ledger.note import format_vkey
from ledger.proof import DetachedReceipt, format_detached_receipt, parse_detached_receipt
from trust.encoding import cose, jws
from trust.encoding.digests import sha256
from trust.encoding.entry import NO_REF, EntryKind
from trust.encoding.status_list import (
    MAX_LIST_BYTES,
    MEDIA_TYPE,
    StatusList,
    decode_status_list,
    encode_status_list,
)
from trust.encoding.trust_list import (
    TYP,
    TrustedAuthority,
    TrustedField,
    TrustedKey,
    TrustedLedgerKey,
    TrustedMaker,
    TrustedSeal,
    TrustedTsa,
    TrustedType,
    TrustList,
    TrustState,
    decode_trust_list,
    encode_trust_list,
)
from trust.model.errors import (
    ClockDoubted,
    LedgerBusy,
    LedgerHalted,
    Malformed,
    NotFound,
    VerificationError,
)
from trust.model.seal import SealState
from trust.model.status import STATUS_ACTOR
from trust.storage import tables
from trust.storage.folder import write_durably
from trust.storage.sql import Database

_log = logging.getLogger("yinzheng.publishing")
_NEXT_UPDATE, _VALID = timedelta(hours=24), timedelta(days=7)
_IN_TRUST_LIST = frozenset(
    {SealState.ACTIVE, SealState.FROZEN, SealState.LOST, SealState.RENEWED, SealState.REVOKED}
)
_STATUS_TTL, _STATUS_VALID = timedelta(minutes=15), timedelta(hours=24)
_CLOCK_SKEW = timedelta(minutes=1)
_STATUS_KEPT, _BUNDLED_AGE = timedelta(days=30), timedelta(seconds=5)
TRUST_LIST_FILE = "trust-list.jws"


@dataclass(frozen=True, slots=True)
class AnchoredList:
    """A signed status list, and the receipt of its entry (a .tlog-proof)."""

    encoded: bytes
    proof: str


@dataclass(slots=True)
class _Published:
    """A published trust list. `same`: a state whose encoding was found equal, so that it need not be encoded again."""

    compact: bytes
    payload: bytes
    listed: TrustList
    same: TrustList | None = None

    def says(self, state: TrustList) -> bool:
        if self.same is None or self.same != state:  # seals that did not change are the same objects
            if encode_trust_list(state) != self.payload:
                return False
            self.same = state
        return True


@dataclass(frozen=True, slots=True)
class Publishing:
    """Use cases on published lists. `host` is the name in codes; `witness_policy` is as in the trust list."""

    database: Database
    keys: KeyProvider
    service_keys: ServiceKeys
    authorities: Authorities
    pki: Pki
    registry: SealRegistry
    catalogue: Mapping[str, TypeProfile]
    host: str
    log: Log
    register_version: Callable[[Connection], int]
    """A number that grows with each change of a recorded row (`issuer.guarding`)."""
    statuses: ListedStatuses
    witness_policy: str = ""
    closed_ledgers: Sequence[TrustedLedgerKey] = ()
    """The keys of the ledgers before this one (`ledger.closing`)."""
    _at_hand: dict[str, object] = field(default_factory=dict)

    # --- trust list ---

    def trust_list(self, at: datetime) -> bytes:
        """The newest trust list (compact JWS). A new one is made if its content has changed, or if the last one is
        half a day old or dated in the future."""
        with self.database.read() as connection:
            seq = publishing_sql.newest_trust_list_seq(connection)
        wanted = self._present_state(at)
        newest = self._readable(seq) if seq is not None else None
        if newest is None:
            wanted = replace(wanted, seq=(seq or 0) + 1)
        else:
            published = newest.listed
            same = replace(
                wanted,
                seq=published.seq,
                issued_at=published.issued_at,
                next_update=published.next_update,
                valid_until=published.valid_until,
            )
            # A list dated in the future was made while the clock was wrong.
            if newest.says(same) and -_CLOCK_SKEW < at - published.issued_at < _NEXT_UPDATE / 2:
                return newest.compact
            wanted = replace(wanted, seq=published.seq + 1)
        try:
            return self._sign_trust_list(wanted)
        except ClockDoubted:
            # Keep serving the last list; verifiers see how old it is.
            if newest is None:
                raise
            return newest.compact

    def _readable(self, seq: int) -> _Published | None:
        """The list with this number. None if an older version wrote it in a form that is no longer supported, so
        that a new one is made."""
        try:
            return self._published(seq)
        except Malformed as exc:
            _log.warning(
                "the stored trust list is made anew", extra={"code": exc.code, "what": f"number {seq}"}
            )
            return None

    def _published(self, seq: int) -> _Published:
        """The list with this number. The last one is cached."""
        known = self._at_hand.get("list")
        if isinstance(known, _Published) and known.listed.seq == seq:
            return known
        with self.database.read() as connection:
            row = tables.stored_row(connection, publishing_sql.TrustListRow, seq=seq)
        compact = bytes(row.compact)
        payload = jws.payload_of(compact)
        known = self._at_hand["list"] = _Published(compact, payload, decode_trust_list(payload))
        return known

    def roots(self) -> list[bytes]:
        """The public keys (DER) of the present and the next root, which verifiers pin."""
        return [bytes(self.service_keys.active(use).spki) for use in ("trust-root", "trust-root-next")]

    def _sign_trust_list(self, wanted: TrustList) -> bytes:
        root = self.service_keys.active("trust-root")
        key = self.keys.open(root.key_id, KeyPurpose.TRUST_LIST)
        signed = jws.signing_input(encode_trust_list(wanted), TYP, sha256(bytes(root.spki)))
        finished = jws.compact(signed, cose.raw_signature(root.suite, key.sign(signed)))
        with self.database.write() as connection:
            tables.serialise(connection, "trust list")
            # If another process has published this number meanwhile, its list counts, because this one was not
            # published.
            known = tables.one_row(connection, publishing_sql.TrustListRow, seq=wanted.seq)
            if known is not None:
                return bytes(known.compact)
            row = publishing_sql.TrustListRow(
                seq=wanted.seq, compact=finished, issued_at=tables.to_micros(wanted.issued_at)
            )
            tables.insert(connection, row)
        return finished

    def _present_state(self, at: datetime) -> TrustList:
        """What the list has to say now. Read again only when a recorded row or a key of the ledger has changed."""
        with self.database.read() as connection:
            version = self.register_version(connection)
        keys = self.log.stored_keys()
        at = at.astimezone(UTC).replace(microsecond=0)
        match self._at_hand.get("state"):
            case (known_version, known_keys, TrustList() as known) if (known_version, known_keys) == (
                version,
                keys,
            ):
                return replace(known, issued_at=at, next_update=at + _NEXT_UPDATE, valid_until=at + _VALID)
        state = self._read_state(at, keys)
        self._at_hand["state"] = (version, keys, state)
        return state

    def _read_state(self, at: datetime, keys: LogKeys) -> TrustList:
        with self.database.read() as connection:
            rows = sorted(tables.all_rows(connection, pki_sql.CaRow), key=lambda row: row.id)
            cas = {row.id: row for row in rows}
            service_keys = tables.all_rows(connection, keys_sql.ServiceKeyRow)
            numbers = ecertificates_sql.status_list_numbers(connection)
            outside_tsas = list_outside_tsas(connection)
            anchors, members = list_anchors(connection), list_members(connection)
        return TrustList(
            seq=1,
            issued_at=at,
            next_update=at + _NEXT_UPDATE,
            valid_until=at + _VALID,
            hosts=(self.host.upper(),),
            ledger_origin=self.log.keys.origin,
            ledger_keys=tuple(
                TrustedLedgerKey(format_vkey(key.vkey), key.from_size, key.until_size) for key in keys.keys
            )
            + tuple(self.closed_ledgers),
            authorities=tuple(
                TrustedAuthority(
                    a.authority_id, a.uscc, a.name_zh, a.name_en, tuple(sorted(self._types_of(a.functions)))
                )
                for a in self.authorities.list()
            ),
            types=tuple(_trusted_type(profile) for profile in self.catalogue.values()),
            seals=self._trusted_seals(),
            makers=tuple(
                TrustedMaker(
                    *_state_of(row), row.suite, (bytes(row.cert),), bytes(cas[row.parent or ""].cert)
                )
                for row in cas.values()
                if row.kind == Profile.SEAL_MAKER.value
            ),
            tsas=(
                *(
                    TrustedTsa(
                        *_state_of(row), row.suite, (bytes(row.cert),), bytes(cas[row.parent or ""].cert)
                    )
                    for row in cas.values()
                    if row.kind == Profile.TIME_STAMP.value
                ),
                *(
                    TrustedTsa(tsa.state, tsa.since, tsa.suite.value, tsa.certs, tsa.root)
                    for tsa in outside_tsas
                ),
            ),
            keys=tuple(
                _trusted_key(row) for row in service_keys if row.use in ("present", "status", "report")
            ),
            status_lists={number: self.status_list_address(number) for number in numbers},
            witness_policy=self.witness_policy,
            anchors=tuple(anchors),
            members=tuple(members),
        )

    def _types_of(self, functions: Sequence[str]) -> list[str]:
        return [p.short for p in self.catalogue.values() if set(p.who_may_issue) & set(functions)]

    def _trusted_seals(self) -> tuple[TrustedSeal, ...]:
        listed, idle = [], self.registry.idle()
        for seal in self.registry.list():
            if seal.state not in _IN_TRUST_LIST:
                continue
            withdrawn = seal.state in (SealState.REVOKED, SealState.RENEWED)
            listed.append(
                TrustedSeal(
                    TrustState.RETIRED if withdrawn else TrustState.ACTIVE,
                    seal.state_since if withdrawn else None,
                    seal.seal_id,
                    seal.authority_id,
                    seal.name,
                    seal.suite.value,
                    seal.certs,
                    seal.root,
                    seal.not_before,
                    seal.not_after,
                    tuple((each.since, each.until) for each in idle.get(seal.seal_id, ())),
                )
            )
        return tuple(listed)

    # --- status lists ---

    def status_list_address(self, number: int) -> str:
        return f"{self.pki.base_url}/status/{number}"

    def status_list(self, number: int, at: datetime, *, max_age: timedelta | None = None) -> AnchoredList:
        """The newest list, as of `at` or a little before, with the receipt of the entry that anchors it.

        A new one is made when the ledger has changed the status of an e-certificate in it, or the last one is older
        than `max_age` (by default a third of the interval at which clients ask again). Lists are made from the ledger's
        entries and not from the register, so that an auditor can make them again.
        """
        with self.database.read() as connection:
            newest = publishing_sql.newest_status_list(connection, number)
        size, packed = self.statuses.packed(number)
        listed = _listed(newest) if newest is not None else None
        if newest is not None and listed is not None:
            age = at - listed.issued_at
            if listed.packed == packed and timedelta(0) <= age < (max_age or _STATUS_TTL / 3):
                return self._anchored_or_last(newest, packed)
        try:
            return self._anchored_or_last(self._sign_status_list(number, packed, size, at), packed)
        except ClockDoubted:
            last = self._last_that_says(number, packed)
            if last is None:
                raise
            return last

    def _sign_status_list(
        self, number: int, packed: bytes, size: int, at: datetime
    ) -> publishing_sql.PublishedStatusListRow:
        row = self.service_keys.active("status")
        key = self.keys.open(row.key_id, KeyPurpose.STATUS_LIST)
        listed = StatusList(
            address=self.status_list_address(number),
            issued_at=at,
            expires_at=at + _STATUS_VALID,
            ttl_seconds=int(_STATUS_TTL.total_seconds()),
            packed=packed,
            ledger_origin=self.log.keys.origin,
            ledger_size=size,
        )
        payload = encode_status_list(listed)
        protected = cose.encode_protected(row.suite, cose.key_id(bytes(row.spki)), {16: MEDIA_TYPE})
        signature = key.sign(cose.to_be_signed(protected, b"", payload))
        encoded = cose.encode_sign1(protected, payload, cose.raw_signature(row.suite, signature))
        return self._store_status_list(number, encoded, size, at)

    def _store_status_list(
        self, number: int, encoded: bytes, size: int, at: datetime
    ) -> publishing_sql.PublishedStatusListRow:
        """Stores a list before it is anchored, so that a list that an entry commits to is never lost."""
        micros = tables.to_micros(at)
        with self.database.write() as connection:
            publishing_sql.forget_status_lists(connection, number, tables.to_micros(at - _STATUS_KEPT))
            operation = operations_sql.announce(
                connection,
                Operation(
                    operation_id=0,
                    kind=OperationKind.STATUS_LIST,
                    ecertificate_id=0,
                    actor=STATUS_ACTOR,
                    at=micros,
                    salt=b"",
                ),
            )
            row = publishing_sql.PublishedStatusListRow(
                number=number,
                encoded=encoded,
                issued_at=micros,
                ledger_size=size,
                operation_id=operation.operation_id,
            )
            row.id = tables.insert(connection, row)
        return row

    def _anchored_or_last(self, row: publishing_sql.PublishedStatusListRow, packed: bytes) -> AnchoredList:
        """The list, anchored; or, while the ledger takes no entries, the last anchored one if its content is equal.
        Otherwise raises the ledger's error."""
        try:
            return self._anchored(row)
        except (LedgerBusy, LedgerHalted):
            last = self._last_that_says(row.number, packed)
            if last is None:
                raise
            return last

    def _last_that_says(self, number: int, packed: bytes) -> AnchoredList | None:
        with self.database.read() as connection:
            last = publishing_sql.newest_anchored_status_list(connection, number)
        if last is None or last.proof is None:
            return None
        listed = _listed(last)
        if listed is None or listed.packed != packed:
            return None
        return AnchoredList(bytes(last.encoded), last.proof)

    def _anchored(self, row: publishing_sql.PublishedStatusListRow) -> AnchoredList:
        """The list with its receipt. Appends its entry if it has none yet, also after a crash."""
        encoded, proof = bytes(row.encoded), row.proof
        if proof is None:
            request = AppendRequest(
                operation_id=row.operation_id,
                kind=EntryKind.STATUS_LIST,
                actor=STATUS_ACTOR,
                subject_id=None,
                ref=NO_REF,
                commit=sha256(encoded),
                suite=self.service_keys.active("status").suite,
            )
            (appended,) = self.log.append([request])
            (receipt,) = self.log.receipt([appended.seq])
            proof = format_detached_receipt(
                DetachedReceipt(entry_bytes=appended.entry_bytes, receipt=receipt)
            )
            with self.database.write() as connection:
                tables.update(
                    connection, publishing_sql.PublishedStatusListRow, {"id": row.id}, {"proof": proof}
                )
                operations_sql.set_done(connection, [(row.operation_id, appended.seq)])
        return AnchoredList(encoded, proof)

    def _witnessed(self, proof: str) -> str:
        """The receipt for the published checkpoint, with its cosignatures, if that covers the entry; otherwise the
        same receipt."""
        if not self.witness_policy:
            return proof
        detached = parse_detached_receipt(proof)
        try:
            receipt = self.log.prove(detached.receipt.index)
        except NotFound:
            return proof
        return format_detached_receipt(DetachedReceipt(entry_bytes=detached.entry_bytes, receipt=receipt))

    def status_list_numbers(self) -> list[int]:
        with self.database.read() as connection:
            return ecertificates_sql.status_list_numbers(connection)

    # --- offline bundle ---

    def write_bundle(self, folder: Path, at: datetime, members: Mapping[str, bytes] | None = None) -> None:
        """Writes a bundle to a folder; `members` are files of other deployments to be added. The trust list is
        written last, so that a half-written folder is an old bundle or none."""
        files = self.bundle(at) | dict(members or {})
        for stale in (*folder.glob("crls/*.crl"), *folder.glob("members/*/crls/*.crl")):
            if stale.relative_to(folder).as_posix() not in files:
                stale.unlink()
        for name in sorted(files, key=lambda each: (each == TRUST_LIST_FILE, each == "bundle.json", each)):
            write_durably(folder / name, files[name])

    def bundle(self, at: datetime, *, max_age: timedelta | None = _BUNDLED_AGE) -> dict[str, bytes]:
        """The files of an offline bundle (see `verifier.evidence.bundle`), by name. `max_age` as for `status_list`."""
        roots = [{"spki": base64.b64encode(r).decode(), "sha256": sha256(r).hex()} for r in self.roots()]
        crls = self.pki.known_crls(at)
        files = {f"crls/{ca_id}.crl": der for ca_id, der, _ in crls}
        next_update = {f"crl {ca_id}": until.isoformat() for ca_id, _, until in crls}
        for number in self.status_list_numbers():
            listed = self.status_list(number, at, max_age=max_age)
            files[f"status/{number}.cwt"] = listed.encoded
            files[f"status/{number}.tlog-proof"] = self._witnessed(listed.proof).encode()
            decoded = decode_status_list(cose.decode_sign1(listed.encoded, max_bytes=MAX_LIST_BYTES).payload)
            next_update[f"status_list {number}"] = decoded.expires_at.isoformat()
        files["checkpoint"] = self._newest_note().encode()  # after the lists, so that it covers their entries
        files["roots.json"] = json.dumps({"roots": roots}, indent=2).encode() + b"\n"
        files[TRUST_LIST_FILE] = self.trust_list(at)
        trust_list = decode_trust_list(jws.payload_of(files[TRUST_LIST_FILE]))
        next_update["trust_list"] = trust_list.next_update.isoformat()
        described = {
            "made_at": at.isoformat(),
            "next_update": next_update,
            "files": {name: sha256(data).hex() for name, data in sorted(files.items())},
        }
        files["bundle.json"] = json.dumps(described, indent=2).encode() + b"\n"
        return files

    def _newest_note(self) -> str:
        """The newest signed checkpoint, with cosignatures if witnesses have cosigned it already."""
        newest, published = self.log.checkpoint_note(), self.log.published_note()
        return published if published.split("\n\n")[0] == newest.split("\n\n")[0] else newest


def _listed(row: publishing_sql.PublishedStatusListRow) -> StatusList | None:
    """A published status list, decoded; None if its form is no longer supported."""
    try:
        return decode_status_list(cose.decode_sign1(bytes(row.encoded), max_bytes=MAX_LIST_BYTES).payload)
    except (Malformed, VerificationError) as exc:
        _log.warning(
            "the stored status list is made anew", extra={"code": exc.code, "what": f"list {row.number}"}
        )
        return None


def _trusted_type(profile: TypeProfile) -> TrustedType:
    return TrustedType(
        profile.short,
        profile.type_code,
        int(profile.version),
        profile.name.zh,
        profile.name.en,
        tuple(TrustedField(f.name, f.gb, f.label.zh, f.label.en, f.disclosure) for f in profile.fields),
    )


def _state_of(row: pki_sql.CaRow) -> tuple[TrustState, datetime | None]:
    return TrustState(row.state), tables.from_micros(row.since) if row.since is not None else None


def _trusted_key(row: keys_sql.ServiceKeyRow) -> TrustedKey:
    return TrustedKey(
        TrustState(row.state),
        tables.from_micros(row.since) if row.since is not None else None,
        cose.key_id(bytes(row.spki)),
        Suite(row.suite).value,
        bytes(row.spki),
        row.use,
        tables.from_micros(row.not_before),
        tables.from_micros(row.not_after),
    )
