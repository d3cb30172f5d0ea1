"""SM2 public keys as bytes, and the value Z that every SM2 signature starts from.

A SubjectPublicKeyInfo of SM2 is always the same 26 bytes and then the uncompressed point:

    30 59 30 13 06 07 2a8648ce3d0201 06 08 2a811ccf5501822d 03 42 00 | 04 X Y

(id-ecPublicKey with the curve 1.2.156.10197.1.301, RFC 5480 with GB/T 35276 §7.1). Old Chinese CAs put the curve's
identifier in the place of id-ecPublicKey; that form is neither written nor read here.
"""

from __future__ import annotations

from trust.encoding.digests import sm3
from trust.model.errors import Malformed

DISTINGUISHING_ID = b"1234567812345678"
"""The default user ID of GB/T 35276; used for seals, X.509, CRLs, time-stamps and codes alike."""

_SPKI_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")

# Curve constants a, b, Gx, Gy of sm2p256v1, GB/T 32918.5 §A (all public).
_CURVE = bytes.fromhex(
    "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC"
    "28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93"
    "32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7"
    "BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0"
)


def is_sm2_spki(spki: bytes) -> bool:
    return spki.startswith(_SPKI_HEAD)


def parse_spki(spki: bytes) -> bytes:
    """The uncompressed point (65 bytes, 04 ‖ X ‖ Y). The engine checks that it is on the curve."""
    point = spki[len(_SPKI_HEAD) :]
    if not is_sm2_spki(spki) or len(point) != 65 or point[0] != 4:
        raise Malformed("The bytes are not the SubjectPublicKeyInfo of an SM2 key.")
    return point


def encode_spki(point: bytes) -> bytes:
    """SubjectPublicKeyInfo (91 bytes) of an uncompressed point of 65 bytes."""
    return _SPKI_HEAD + point


def z_value(point: bytes, identity: bytes = DISTINGUISHING_ID) -> bytes:
    """Z = SM3(ENTL ‖ ID ‖ a ‖ b ‖ Gx ‖ Gy ‖ X ‖ Y), GB/T 32918.2 §5.5; ENTL counts bits."""
    entl = (len(identity) * 8).to_bytes(2, "big")
    return sm3(entl + identity + _CURVE + point[1:])
