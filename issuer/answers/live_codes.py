"""Redeeming live codes for the verifier."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from issuer.answers.register import edited
from issuer.ecertificates.drafting import display_fields
from issuer.presenting.presenting import Level, Presenting
from trust.encoding.ecertificate_data import ECertificateData, decode_ecertificate_data
from trust.model.answers import LiveFact, ShownECertificate
from trust.model.ecertificate import IssuedECertificate
from trust.storage.unbelieved import instead_of_edited


@dataclass(frozen=True, slots=True)
class LiveCodeAnswers:
    """`verifier.ports.LiveCodes` of the service that made the codes."""

    presenting: Presenting

    def redeem(self, handle: bytes, verifier: str, at: datetime) -> LiveFact:
        with instead_of_edited(edited):
            redeemed = self.presenting.redeem(handle, verifier, at)
        return LiveFact(
            redeemed.state,
            redeemed.purpose,
            int(redeemed.level),
            redeemed.used_at,
            redeemed.audience,
            _shown(redeemed.issued, redeemed.level) if redeemed.issued is not None else None,
        )


def _shown(issued: IssuedECertificate, level: Level) -> ShownECertificate:
    data = decode_ecertificate_data(issued.data)
    begins, ends = data.validity()
    return ShownECertificate(
        pid=issued.pid,
        type_short=issued.type_short,
        type_name_zh=_text(data, "ZZMC"),
        authority_id=issued.authority_id,
        authority_name_zh=_text(data, "ZZBFJG"),
        version=issued.version,
        begins=begins,
        ends=ends,
        status=issued.status,
        status_reason=issued.status_reason,
        status_at=issued.status_at,
        fields=display_fields(data, level),
    )


def _text(data: ECertificateData, name: str) -> str | None:
    value = data.metadata.get(name)
    return value if isinstance(value, str) else None
