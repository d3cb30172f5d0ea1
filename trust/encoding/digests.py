"""The two digests that are used everywhere: SHA-256 (FIPS 180-4) and SM3 (GB/T 32905).

SM3 comes from `cryptography`, which has it on every platform; `hashlib` has it only if the interpreter's OpenSSL was
built with it.

Example: `sm3(b"abc").hex()` is
`66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0` (GB/T 32905 Annex A.1).
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import hashes

_PYCA = {"sha256": hashes.SHA256, "sm3": hashes.SM3}


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def sm3(data: bytes) -> bytes:
    return digest("sm3", data)


def digest(algorithm: str, *parts: bytes) -> bytes:
    """32 bytes: the digest `algorithm` ("sha256" or "sm3") over the concatenation of `parts`."""
    hasher = hashes.Hash(_PYCA[algorithm]())
    for part in parts:
        hasher.update(part)
    return hasher.finalize()
