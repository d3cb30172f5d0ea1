"""The seal data of a seal (SESeal, GB/T 38540-2020, version 4), made once and used on every document.

It binds the picture to the owner's name, to the certificate that may use it, and to the term. The seal maker 制章者
signs it; `trust.encoding.ses` encodes it. Seals in RSA and P-256 have the same structure, signed by a maker in RSA, for
readers abroad; only those in SM2 are national e-seals.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum

from keys.custody import SigningKey
from keys.suites import Suite
from trust.encoding.ses import SealInfo, SealPictureData, SesVersion, encode_seal, encode_seal_info

VENDOR = "yinzheng"
SIGNATURE_OIDS = {
    Suite.SM2_SM3: "1.2.156.10197.1.501",
    Suite.RSA3072_SHA256: "1.2.840.113549.1.1.11",
    Suite.P256_SHA256: "1.2.840.10045.4.3.2",
}


class SealType(IntEnum):
    """印章类型: our own table, similar to that of the unified e-seal systems. Nothing depends on it."""

    LEGAL_NAME = 1
    FINANCE = 2
    INVOICE = 3
    CONTRACT = 4
    PERSONAL = 5
    BUSINESS = 6


def make_seal_data(
    seal_id: str,
    seal_type: SealType,
    name: str,
    *,
    seal_cert: bytes,
    picture: SealPictureData,
    made_at: datetime,
    valid_from: datetime,
    valid_until: datetime,
    maker_key: SigningKey,
    maker_cert: bytes,
) -> bytes:
    """The signed SESeal (DER). Times are in whole seconds."""
    info = encode_seal_info(
        SealInfo(
            version=SesVersion.V4,
            vendor=VENDOR,
            seal_id=seal_id,
            seal_type=seal_type,
            name=name,
            certs=(seal_cert,),
            created_at=made_at,
            valid_from=valid_from,
            valid_until=valid_until,
            picture=picture,
        )
    )
    return encode_seal(
        info,
        maker_cert=maker_cert,
        signature_oid=SIGNATURE_OIDS[maker_key.record.suite],
        signature=maker_key.sign(info),
    )
