"""COSE_Sign1 (RFC 9052 §4.2) with deterministic CBOR, as used by printed codes and status lists.

    18( [ protected bstr { 1: alg, 4: kid, … }, {}, payload bstr, signature bstr ] )
    signed bytes = CBOR [ "Signature1", protected, external_aad, payload ]

`kid` is the first 8 bytes of SHA-256 over the signer's SubjectPublicKeyInfo. The trust list's entry of that key decides
the algorithm, and `alg` must agree. SM2 has no registered number; -65601 is from the private range. The signature is
raw r ‖ s, 64 bytes. Reading is strict: a structure that does not re-encode to exactly the same bytes (duplicate keys,
indefinite lengths, other orders, trailing bytes) is refused before anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from trust.encoding.digests import sha256
from trust.encoding.plain_cbor import decode_cbor, encode_cbor
from trust.model.errors import Malformed

ALG_BY_SUITE = {"P256-SHA256": -7, "Ed25519": -8, "SM2-SM3": -65601}
_TAG_SIGN1 = 18


@dataclass(frozen=True, slots=True)
class Sign1:
    """A parsed COSE_Sign1. `protected` is the protected header as signed bytes, `header` the same decoded."""

    protected: bytes
    header: Mapping[int, Any]
    payload: bytes
    signature: bytes

    @property
    def kid(self) -> bytes:
        return bytes(self.header[4])

    @property
    def alg(self) -> int:
        return int(self.header[1])


def key_id(spki: bytes) -> bytes:
    return sha256(spki)[:8]


def encode_protected(suite: str, kid: bytes, extra: Mapping[int, Any] | None = None) -> bytes:
    return encode_cbor({1: ALG_BY_SUITE[suite], 4: kid, **(extra or {})})


def to_be_signed(protected: bytes, external_aad: bytes, payload: bytes) -> bytes:
    return encode_cbor(["Signature1", protected, external_aad, payload])


def encode_sign1(protected: bytes, payload: bytes, signature: bytes) -> bytes:
    return encode_cbor(cbor2.CBORTag(_TAG_SIGN1, [protected, {}, payload, signature]))


def decode_sign1(data: bytes, *, max_bytes: int) -> Sign1:
    """Decodes a COSE_Sign1 without checking its signature. Raises `Malformed`."""
    value = decode_cbor(data, max_bytes=max_bytes)
    if not isinstance(value, cbor2.CBORTag) or value.tag != _TAG_SIGN1:
        raise Malformed("The bytes are not a COSE_Sign1 structure.")
    match value.value:
        case [bytes(protected), Mapping() as unprotected, bytes(payload), bytes(signature)] if (
            not unprotected
        ):
            header = decode_cbor(protected, max_bytes=1024)
        case _:
            raise Malformed("The bytes are not a COSE_Sign1 structure.")
    if (
        not isinstance(header, Mapping)
        or not set(header) <= {1, 4, 16}
        or not isinstance(header.get(1), int)
        or not isinstance(header.get(4), bytes)
        or len(signature) != 64
    ):
        raise Malformed("The header of the COSE_Sign1 structure is not one of ours.")
    return Sign1(protected, header, payload, signature)


def raw_signature(suite: str, signature: bytes) -> bytes:
    """The 64 bytes r ‖ s of a DER signature; Ed25519 signatures have 64 bytes already and are returned as they are."""
    if suite == "Ed25519":
        return signature
    r, s = decode_dss_signature(signature)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def der_signature(suite: str, raw: bytes) -> bytes:
    """The inverse of `raw_signature`."""
    if suite == "Ed25519":
        return raw
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
