"""Checking a trust list: its signature by a pinned root, its age, and that its number never decreases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from keys.suites import Suite
from ledger.logkeys import LogKey, LogKeys
from ledger.note import parse_vkey
from trust.encoding.digests import sha256
from trust.encoding.jws import is_canonical
from trust.encoding.trust_list import (
    MAX_BYTES,
    TYP,
    TrustedKey,
    TrustedMaker,
    TrustedSeal,
    TrustedTsa,
    TrustList,
    decode_trust_list,
)
from trust.model.errors import EvidenceUnavailableError, Malformed, VerificationError


class _Registry(JWSRegistry):
    """The registry with a larger limit; the library's default is reached with some thirty seals."""

    max_payload_length = 2 * MAX_BYTES  # in Base64


_REGISTRY = _Registry(algorithms=["ES256"])
_CLOCK_SKEW = timedelta(seconds=60)
T = TypeVar("T", TrustedSeal, TrustedMaker, TrustedTsa, TrustedKey)


def check_trust_list(compact: bytes, roots: Sequence[bytes], *, least_seq: int = 0) -> TrustList:
    """Returns the list if one of the pinned `roots` (SubjectPublicKeyInfo, DER) signed it.

    Raises `VerificationError` for a bad signature, a list that cannot be read, or one older than one seen before
    (`least_seq`). Its age is judged by `check_trust_list_age`.
    """
    if len(compact) > MAX_BYTES:
        raise VerificationError("The trust list is too large.", code="TRUST_LIST_BAD")
    payload = _payload_signed_by(compact, roots)
    try:
        listed = _understood(decode_trust_list(payload))
    except Malformed as exc:
        # A problem of the evidence, not of the object that is judged by it.
        raise VerificationError(exc.what, exc.todo, code="TRUST_LIST_BAD") from exc
    if listed.seq < least_seq:
        raise VerificationError(
            f"The trust list has number {listed.seq}, but number {least_seq} was seen before.",
            "Fetch the newest trust list.",
            code="TRUST_LIST_ROLLED_BACK",
        )
    return listed


def _understood(listed: TrustList) -> TrustList:
    """The list without entries in algorithms that this version does not know; the other entries still count."""
    suites = frozenset(Suite)

    def known(entries: Sequence[T]) -> tuple[T, ...]:
        return tuple(each for each in entries if each.suite in suites)

    return replace(
        listed,
        seals=known(listed.seals),
        makers=known(listed.makers),
        tsas=known(listed.tsas),
        keys=known(listed.keys),
    )


def check_trust_list_age(listed: TrustList, at: datetime) -> None:
    """Raises `EvidenceUnavailableError` if the list is out of date, or not yet made, at `at`."""
    check_clock_not_behind("The trust list", listed.issued_at, at)
    if at > listed.valid_until:
        raise EvidenceUnavailableError(
            f"The trust list was good until {listed.valid_until.isoformat()}.",
            "Fetch a new offline bundle.",
            code="STATUS_STALE",
        )


def check_clock_not_behind(what: str, made_at: datetime, at: datetime) -> None:
    """Raises `EvidenceUnavailableError` (CLOCK_BEHIND) if a list was made after the time of the check."""
    if at < made_at - _CLOCK_SKEW:
        raise EvidenceUnavailableError(
            f"{what} was made at {made_at.isoformat()}; the time of this check is {at.isoformat()}.",
            "Set the date and time of this machine.",
            code="CLOCK_BEHIND",
        )


def root_fingerprint(root: bytes) -> str:
    """A root's fingerprint for display: SHA-256 of its SubjectPublicKeyInfo, hex."""
    return sha256(root).hex()


def _payload_signed_by(compact: bytes, roots: Sequence[bytes]) -> bytes:
    for root in roots:
        payload = signed_payload(compact, root, TYP)
        if payload is not None:
            return payload
    raise VerificationError(
        "No pinned root signed the trust list.",
        "Compare the root's fingerprint with the published one.",
        code="TRUST_LIST_BAD",
    )


def signing_root(compact: bytes, roots: Sequence[bytes]) -> bytes:
    """The one of the roots that signed the list. Raises `VerificationError` if none did."""
    for root in roots:
        if signed_payload(compact, root, TYP) is not None:
            return root
    raise VerificationError("No pinned root signed the trust list.", code="TRUST_LIST_BAD")


def signed_payload(compact: bytes, spki: bytes, typ: str) -> bytes | None:
    """The payload of a compact JWS of type `typ`; None if this key (SubjectPublicKeyInfo, DER) did not sign it."""
    try:
        public = serialization.load_der_public_key(spki)
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        # The key decides the algorithm, not the header.
        signed = jws.deserialize_compact(compact, ECKey.import_key(pem), registry=_REGISTRY)
    except (JoseError, UnsupportedAlgorithm, ValueError, TypeError):
        return None
    return bytes(signed.payload) if signed.protected.get("typ") == typ and is_canonical(compact) else None


def ledger_keys(trust_list: TrustList) -> LogKeys:
    """The trusted keys of the ledger. Raises `Malformed` if one cannot be read."""
    keys = _parsed_keys(trust_list)
    return LogKeys(
        trust_list.ledger_origin, tuple(each for each in keys if each.vkey.name == trust_list.ledger_origin)
    )


def closed_ledgers(trust_list: TrustList) -> dict[str, LogKeys]:
    """The closed ledgers that came before, by name; no entries are added under these names any more.

    Their keys are listed with those of the ledger, under the old names and with an end. Raises `Malformed`.
    """
    found: dict[str, tuple[LogKey, ...]] = {}
    for key in _parsed_keys(trust_list):
        if key.vkey.name != trust_list.ledger_origin and key.until_size is not None:
            found[key.vkey.name] = (*found.get(key.vkey.name, ()), key)
    return {origin: LogKeys(origin, keys) for origin, keys in found.items()}


def _parsed_keys(trust_list: TrustList) -> tuple[LogKey, ...]:
    return tuple(
        LogKey(parse_vkey(each.vkey), each.from_size, each.until_size) for each in trust_list.ledger_keys
    )
