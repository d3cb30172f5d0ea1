"""Compact JWS (RFC 7515) with ES256, the signature format of trust lists and reports.

    base64url({"alg":"ES256","kid":"0f1e2d3c4b5a6978","typ":"ecert-report+jwt"}) . base64url(payload) . base64url(r ‖ s)

`kid` is the first 16 hexadecimal digits of the SHA-256 of the key's SubjectPublicKeyInfo. `typ` prevents a signed
object from being accepted as one of another type. The algorithm is taken from the key's record, not from the header.
"""

from __future__ import annotations

import base64
import json

from trust.model.errors import Malformed


def signing_input(payload: bytes, typ: str, spki_sha256: bytes) -> bytes:
    """The bytes that are signed: protected header and payload (RFC 7515 §5.1)."""
    header = {"alg": "ES256", "kid": spki_sha256.hex()[:16], "typ": typ}
    return _b64url(json.dumps(header, separators=(",", ":")).encode()) + b"." + _b64url(payload)


def compact(signed: bytes, raw_signature: bytes) -> bytes:
    """The compact serialisation: the result of `signing_input`, a dot, and r ‖ s in base64url."""
    return signed + b"." + _b64url(raw_signature)


def payload_of(compacted: bytes) -> bytes:
    """The payload, without checking the signature. Raises `Malformed`."""
    try:
        _, payload, _ = compacted.split(b".")
        return base64.b64decode(payload + b"=" * (-len(payload) % 4), altchars=b"-_", validate=True)
    except ValueError as exc:
        raise Malformed("This is not a signed object (JWS).") from exc


def is_canonical(compacted: bytes) -> bool:
    """True if the base64url text is canonical: unused bits of a last character must be zero."""
    parts = compacted.split(b".")
    try:
        spelt = [_b64url(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))) for part in parts]
    except ValueError:
        return False
    return len(parts) == 3 and spelt == parts


def _b64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
