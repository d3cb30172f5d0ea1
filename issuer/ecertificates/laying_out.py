"""Laying out, step 3 of issuing: the page of a draft with its static code, not yet sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from issuer.authorities.register import Authorities
from issuer.catalogue import TypeProfile, load_profile, shown_fields
from issuer.ecertificates.drafting import decode_values, printed_claims, printed_field_order
from issuer.ecertificates.kinds import DocumentKind
from issuer.rendering import PageData, fits_printed_code, render
from keys.custody import KeyProvider, KeyPurpose, SigningKey
from keys.service_keys import ServiceKeys
from trust.encoding import cose
from trust.encoding.codes import PRINTED_AAD, encode_printed_claims, printed_url
from trust.encoding.ecertificate_data import ECertificateData, decode_ecertificate_data
from trust.model.ecertificate import Draft, IssuingAuthority
from trust.model.errors import Malformed
from trust.model.identifiers import parse


@dataclass(frozen=True, slots=True)
class Letterhead:
    """The authority, and the key that signs printed codes: its suite, its public key (DER), and the opened key."""

    authority: IssuingAuthority
    suite: str
    spki: bytes
    key: SigningKey


@dataclass(frozen=True, slots=True)
class LayingOut:
    """Draws pages; stores nothing."""

    keys: KeyProvider
    service_keys: ServiceKeys
    authorities: Authorities
    host: str

    def letterhead(self, authority_id: str) -> Letterhead:
        """What the register has for the pages of an authority. Raises `NotFound`, `KeyUnavailable`."""
        row = self.service_keys.active("present")
        key = self.keys.open(row.key_id, KeyPurpose.PRESENTATION)
        return Letterhead(self.authorities.get(authority_id), row.suite, bytes(row.spki), key)

    def lay_out(
        self,
        draft: Draft,
        documents: Mapping[DocumentKind, bytes | None],
        size_mm: tuple[float, float],
        at: datetime,
        letterhead: Letterhead,
    ) -> Any:
        profile = load_profile(draft.type_short)
        authority = letterhead.authority
        data = decode_ecertificate_data(draft.data)
        values = decode_values(documents[DocumentKind.VALUES] or b"", at.date())
        page = PageData(
            fields=shown_fields(profile, values),
            issuer_zh=authority.name_zh,
            issuer_en=authority.name_en,
            issued_on=values.issued_on,
            identifier=parse(draft.identifier),
            host=self.host.lower(),
            qr_text=self._printed_text(data, profile, at, letterhead),
            ecertificate_json=draft.data,
            created_at=draft.created_at,
            photo=documents[DocumentKind.PHOTO],
            seal_width_mm=size_mm[0],
            seal_height_mm=size_mm[1],
        )
        return render(profile, page)

    def _printed_text(
        self, data: ECertificateData, profile: TypeProfile, at: datetime, letterhead: Letterhead
    ) -> str:
        """The text of the printed code. Whole fields are left out, from the end of the type's order, until it fits."""
        key = letterhead.key
        protected = cose.encode_protected(letterhead.suite, cose.key_id(letterhead.spki))
        names = printed_field_order(profile)
        while True:
            claims = printed_claims(data, profile, field_names=names, issued_at=at)
            payload = encode_printed_claims(claims)
            signature = key.sign(cose.to_be_signed(protected, PRINTED_AAD, payload))
            sign1 = cose.encode_sign1(protected, payload, cose.raw_signature(letterhead.suite, signature))
            text = printed_url(self.host, sign1)
            if fits_printed_code(text):
                return text
            if not names:
                raise Malformed(
                    "The host name is too long for a printed code.", "Set a shorter YINZHENG_HOST."
                )
            names = names[:-1]
