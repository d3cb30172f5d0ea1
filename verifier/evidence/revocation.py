"""Revocation lists: which lists count, and what they prove.

A list proves the status of a certificate at the time the list was made. Two kinds count:

    fresh     a list that is in date at the time of the check
    archived  a list in the file itself, made after the moment in question, and covered by a document time-stamp that
              is itself proven, so the list existed while its signer could still be trusted

An archived list still counts after its issuer stops making lists; a later withdrawal is still found, because the
trust list says from when on a seal or an authority is not trusted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import crl

from keys import asn1
from keys.pki.read import read_x509_cert
from keys.suites import check_signature
from trust.encoding.digests import sha256
from trust.model.errors import EvidenceUnavailableError, Malformed, VerificationError


@dataclass(frozen=True, slots=True)
class _List:
    der: bytes
    parsed: Any
    issuer: bytes
    this_update: datetime
    next_update: datetime


class RevocationLists:
    """`fresh` lists come with the evidence, `archived` ones from the file (both DER). Signatures are checked on use."""

    def __init__(self, fresh: Sequence[bytes], archived: Sequence[bytes] = ()) -> None:
        self._fresh = [_read(der) for der in fresh]
        self._archived = [_read(der) for der in dict.fromkeys(archived)]
        self._signed: dict[tuple[bytes, bytes], bool] = {}

    def proven_until(
        self, chain: Sequence[bytes], root: bytes, moment: datetime, at: datetime
    ) -> datetime | None:
        """Until when the lists prove the revocation status of a chain that was used at `moment`.

        `chain` (DER) starts with the end entity and leaves out the root; `at` is the time of the check. None: without
        end. Raises `EvidenceUnavailableError` (STATUS_STALE) if a list is missing or out of date.
        """
        ends = [self._proven_until(issuer, moment, at) for issuer in (*chain[1:], root)]
        return min((end for end in ends if end is not None), default=None)

    def _proven_until(self, issuer: bytes, moment: datetime, at: datetime) -> datetime | None:
        fresh = [each.next_update for each in self._of(issuer, self._fresh)]
        if fresh and max(fresh) >= at:
            return max(fresh)
        if any(each.this_update >= moment for each in self._of(issuer, self._archived)):
            return None
        if fresh:
            raise EvidenceUnavailableError(
                f"The revocation list of the seal's issuer was good until {max(fresh).isoformat()}.",
                "Fetch a new offline bundle.",
                code="STATUS_STALE",
            )
        raise EvidenceUnavailableError(
            "A revocation list is missing.", "Fetch a new bundle.", code="STATUS_STALE"
        )

    def check_not_listed(self, chain: Sequence[bytes], root: bytes, moment: datetime) -> None:
        """Checks that no archived list shows a certificate of the chain as revoked by `moment`.

        The library reads the newest list only, and an authority may drop expired certificates from it (RFC 5280 §3.3).
        Raises `VerificationError` (SEAL_CERT_REVOKED).
        """
        for cert, issuer in zip(chain, (*chain[1:], root), strict=True):
            serial = read_x509_cert(cert).serial
            for each in self._of(issuer, self._archived):
                if any(revoked == serial and since <= moment for revoked, since in _entries(each)):
                    raise VerificationError(
                        "A certificate above the signature was revoked by then.", code="SEAL_CERT_REVOKED"
                    )

    def newest(self, issuers: Sequence[bytes]) -> list[bytes]:
        """The newest list of each issuer (DER), for a library that takes the first it finds.

        An archived list replaces its issuer's fresh one only if it is newer and one of `issuers` (DER) signed it, so
        that a list in the file cannot hide a genuine one.
        """
        chosen = list(self._fresh)
        for issuer in dict.fromkeys(issuers):
            fresh = self._of(issuer, self._fresh)
            archived = max(self._of(issuer, self._archived), key=lambda each: each.this_update, default=None)
            if archived is not None and all(archived.this_update > each.this_update for each in fresh):
                chosen = [each for each in chosen if each not in fresh] + [archived]
        return [each.der for each in chosen]

    def _of(self, issuer: bytes, lists: Sequence[_List]) -> list[_List]:
        subject = read_x509_cert(issuer).subject
        return [each for each in lists if each.issuer == subject and self._is_signed(each, issuer)]

    def _is_signed(self, each: _List, issuer: bytes) -> bool:
        key = (each.der, issuer)
        if key not in self._signed:
            facts = read_x509_cert(issuer)
            try:
                check_signature(
                    facts.suite,
                    facts.public_key,
                    each.parsed["tbs_cert_list"].dump(),
                    each.parsed["signature"].native,
                )
                self._signed[key] = True
            except VerificationError:
                self._signed[key] = False
        return self._signed[key]


def signed_lists(lists: Sequence[bytes], cas: Sequence[bytes]) -> list[dict[str, datetime]]:
    """For each list (DER): the CAs (DER) that signed it, by SHA-256 of the CA's key (hex), with the list's date.

    Empty for a list that cannot be read; a CA with an unknown kind of key is never among them.
    """
    asn1.register()
    by_issuer: dict[bytes, list[tuple[int, _List]]] = {}
    for place, der in enumerate(lists):
        with contextlib.suppress(*asn1.NOT_READABLE):
            each = _read(der)
            by_issuer.setdefault(each.issuer, []).append((place, each))
    signed: list[dict[str, datetime]] = [{} for _ in lists]
    for ca in cas:
        with contextlib.suppress(Malformed):
            facts = read_x509_cert(ca)
            for place, each in by_issuer.get(facts.subject, ()):
                with contextlib.suppress(VerificationError, *asn1.NOT_READABLE):
                    check_signature(
                        facts.suite,
                        facts.public_key,
                        each.parsed["tbs_cert_list"].dump(),
                        each.parsed["signature"].native,
                    )
                    signed[place][sha256(facts.public_key).hex()] = each.this_update
    return signed


def _read(der: bytes) -> _List:
    parsed = crl.CertificateList.load(der, strict=True)
    tbs = parsed["tbs_cert_list"]
    this_update = tbs["this_update"].native
    return _List(der, parsed, parsed.issuer.dump(), this_update, tbs["next_update"].native or this_update)


def _entries(each: _List) -> list[tuple[int, datetime]]:
    return [
        (entry["user_certificate"].native, entry["revocation_date"].native)
        for entry in each.parsed["tbs_cert_list"]["revoked_certificates"]
    ]
