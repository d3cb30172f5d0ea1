"""Status lists: two bits for each e-certificate, in one small signed file (IETF Token Status List, CWT form).

    COSE_Sign1, protected { 1: alg, 4: kid, 16: "application/statuslist+cwt" }, external_aad empty, payload:

    | key   | name        | value                                              |
    |-------|-------------|----------------------------------------------------|
    | 2     | sub         | address of the list                                |
    | 4     | exp         | after this second the list proves nothing          |
    | 6     | iat         | "as of"                                            |
    | 65533 | status_list | { "bits": 2, "lst": zlib of the packed bits }      |
    | 65534 | ttl         | seconds until a fresher one should be fetched      |
    | -70010 | ledger     | [origin, size]: the list says what the entries of  |
    |       |             | this ledger below this number say, all of them     |

Entry i occupies bits 2·(i mod 4) … of byte i div 4, least significant bits first.
0 VALID · 1 INVALID (revoked) · 2 SUSPENDED · 3 REPLACED (application value).
A list has 262,144 entries; indices are assigned at random, so an index does not reveal when or by whom it was issued.

Every list is anchored: a STATUS_LIST entry of the ledger commits to SHA-256 over the whole COSE_Sign1. So a list and
the receipt of its entry prove what was in force at that size, and a list made for a single verifier would be visible to
all in the ledger.
"""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from trust.encoding.plain_cbor import decode_cbor, encode_cbor
from trust.model.errors import Malformed
from trust.model.status import Status

MEDIA_TYPE = "application/statuslist+cwt"
ENTRIES = 1 << 18
_LIST_BYTES = ENTRIES // 4
MAX_LIST_BYTES = 400_000
_MAX_BYTES = 200_000
_LEDGER = -70010  # private use (RFC 8392 §9.1), as all of ours
_BITS = {Status.VALID: 0, Status.REVOKED: 1, Status.SUSPENDED: 2, Status.REPLACED: 3}
_STATUS = {bits: status for status, bits in _BITS.items()}


@dataclass(frozen=True, slots=True)
class StatusList:
    """A list as it was signed. `packed` has 2 bits for each entry."""

    address: str
    issued_at: datetime
    expires_at: datetime
    ttl_seconds: int
    packed: bytes
    ledger_origin: str
    ledger_size: int

    def status(self, index: int) -> Status:
        """The status at `index`. Raises `Malformed` for an index outside the list."""
        if not 0 <= index < len(self.packed) * 4:
            raise Malformed("The status index lies outside its list.")
        return _STATUS[self.packed[index // 4] >> 2 * (index % 4) & 3]


def pack(statuses: Mapping[int, Status]) -> bytes:
    """The packed bits of a whole list; every index that is not in `statuses` is VALID."""
    packed = bytearray(_LIST_BYTES)
    for index, status in statuses.items():
        packed[index // 4] |= _BITS[status] << 2 * (index % 4)
    return bytes(packed)


def encode_status_list(listed: StatusList) -> bytes:
    """The payload that is signed."""
    return encode_cbor(
        {
            2: listed.address,
            4: int(listed.expires_at.timestamp()),
            6: int(listed.issued_at.timestamp()),
            65533: {"bits": 2, "lst": zlib.compress(listed.packed, 9)},
            65534: listed.ttl_seconds,
            _LEDGER: [listed.ledger_origin, listed.ledger_size],
        }
    )


def decode_status_list(payload: bytes) -> StatusList:
    """The inverse of `encode_status_list`. Signature and freshness are not checked here. Raises `Malformed`."""
    value = decode_cbor(payload, max_bytes=_MAX_BYTES)
    match value:
        case {
            2: str(address),
            4: int(expires_at),
            6: int(issued_at),
            65533: {"bits": 2, "lst": bytes(compressed)},
            65534: int(ttl),
            -70010: [str(origin), int(size)],
            **rest,
        } if not rest and type(size) is int and size >= 0:
            pass
        case _:
            raise Malformed("The status list is not in its format.")
    unpacker = zlib.decompressobj()
    try:
        packed = unpacker.decompress(compressed, _LIST_BYTES + 1)
        start, end = datetime.fromtimestamp(issued_at, UTC), datetime.fromtimestamp(expires_at, UTC)
    except (zlib.error, OverflowError, ValueError, OSError) as exc:
        raise Malformed("The status list is not in its format.") from exc
    if len(packed) != _LIST_BYTES or not unpacker.eof or unpacker.unused_data:
        raise Malformed("The status list does not have its fixed length.")
    return StatusList(address, start, end, ttl, packed, origin, size)


def shuffled(use: int, secret: bytes) -> int:
    """The index at place `use` of a secret permutation of 2^18 indices: four Feistel rounds over halves of nine
    bits."""
    left, right = use >> 9, use & 0x1FF
    for round_number in range(4):
        mixed = hmac.digest(secret, bytes((round_number,)) + right.to_bytes(2, "big"), "sha256")
        left, right = right, left ^ (int.from_bytes(mixed[:2], "big") & 0x1FF)
    return left << 9 | right
