"""A time-stamp authority of our own (RFC 3161; GM/T 0033 for SM2).

It signs a TSTInfo over a digest. The token is written with `trust.encoding.cms`, so that a verifier can rebuild it from
its parts and every byte is checked. Its certificate is under a separate root, so that a seal key cannot vouch for the
time of its own use.

The signed content (RFC 3161 §2.4.2), encoded here element by element for speed, because a seal waits for it:

    TSTInfo { version 1, policy POLICY_OID, messageImprint { { algorithm, NULL for SHA-256 }, digest },
              serialNumber of 127 bits, genTime in whole seconds of UTC, accuracy { seconds 1 }, nonce? }
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from asn1crypto import cms, core, tsp

from keys import asn1
from keys.custody import SigningKey
from trust.encoding.cms import (
    encode_constant_time_stamp_attributes,
    encode_signed_attributes,
    encode_time_stamp_token,
)
from trust.encoding.der import octets, sequence, small_integer, tlv
from trust.encoding.digests import digest
from trust.model.clock import Clock
from trust.model.errors import Malformed

POLICY_OID = "2.25.188304937846211902361047912273940281458"
"""Our time-stamping policy: the service's own clock, one second of accuracy."""

_HEAD = small_integer(1) + core.ObjectIdentifier(POLICY_OID).dump()
_IMPRINT_ALGORITHM = {
    # SHA-256 with NULL, as RFC 3161 requesters write it; SM3 has no parameters (GM/T 0006).
    "sha256": bytes.fromhex("300d06096086480165030402010500"),
    "sm3": bytes.fromhex("300a06082a811ccf55018311"),
}
_ACCURACY = sequence(small_integer(1))
_INTEGER, _GENERALIZED_TIME = 0x02, 0x18


class TimeStamper(Protocol):
    """A source of time-stamps that verifiers trust: our own authority, or those of `keys.outside_tsa`."""

    @property
    def suite(self) -> str:
        """The suite, whose digest is the one to be stamped."""

    @property
    def certs(self) -> Sequence[bytes]:
        """The certificates (DER): first the one that signs, then those above it, without the root."""

    def stamp(self, imprint: bytes, algorithm: str) -> bytes:
        """A token (DER) over `imprint` in the canonical frame. Raises `OperationalError` if there is none."""


@dataclass(frozen=True, slots=True)
class TimeStampAuthority:
    """`certs` are DER: first the one that signs, then those above it, without the root."""

    key: SigningKey
    certs: Sequence[bytes]
    clock: Clock

    @property
    def suite(self) -> str:
        return self.key.record.suite.value

    def stamp(self, imprint: bytes, algorithm: str, *, nonce: int | None = None) -> bytes:
        """A time-stamp token (DER ContentInfo) over `imprint`, a digest made with `algorithm`.

        Raises `Malformed` for a digest that is not SHA-256 or SM3, and `KeyUnavailable`.
        """
        if algorithm not in _IMPRINT_ALGORITHM or len(imprint) != 32:
            raise Malformed("A time-stamp is made over a SHA-256 or SM3 digest of 32 bytes.")
        tst_info = _tst_info(imprint, algorithm, nonce, self.clock.now())
        signed_attrs = encode_signed_attributes(
            _constant_attributes(self.certs[0]), digest(self.key.record.suite.digest, tst_info)
        )
        return encode_time_stamp_token(
            suite=self.suite,
            tsa_certs=self.certs,
            tst_info=tst_info,
            signed_attrs=signed_attrs,
            signature=self.key.sign(signed_attrs),
        )

    def respond(self, request: tsp.TimeStampReq) -> tsp.TimeStampResp:
        """The answer to an RFC 3161 request."""
        asn1.register()
        imprint = request["message_imprint"]
        token = self.stamp(
            imprint["hashed_message"].native,
            imprint["hash_algorithm"]["algorithm"].native,
            nonce=request["nonce"].native,
        )
        return tsp.TimeStampResp(
            {"status": {"status": "granted"}, "time_stamp_token": cms.ContentInfo.load(token)}
        )


_constant_attributes = lru_cache(maxsize=64)(encode_constant_time_stamp_attributes)


def _tst_info(imprint: bytes, algorithm: str, nonce: int | None, at: datetime) -> bytes:
    return sequence(
        _HEAD,
        sequence(_IMPRINT_ALGORITHM[algorithm], octets(imprint)),
        _integer(secrets.randbits(126) | (1 << 126)),
        tlv(_GENERALIZED_TIME, at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode("ascii")),
        _ACCURACY,
        _integer(nonce) if nonce is not None else b"",
    )


def _integer(value: int) -> bytes:
    """INTEGER of any size, two's complement in the fewest octets (X.690 §8.3)."""
    bits = value.bit_length() if value >= 0 else (-value - 1).bit_length()
    return tlv(_INTEGER, value.to_bytes(bits // 8 + 1, "big", signed=True))
