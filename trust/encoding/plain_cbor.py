"""Reading only the part of CBOR (RFC 8949) that this system writes, from untrusted bytes.

Accepted are integers, byte and text strings, arrays, maps, null, false and true, all of definite length; integers or
texts as keys of maps; and the tag of COSE_Sign1 at the beginning only. Everything else is refused before a general
decoder sees it: tags that it would turn into dates, patterns or references, and maps as keys of maps. Sorting the keys
of a map encodes them twice at every level, so that fifty bytes of nested keys would take minutes.
"""

from __future__ import annotations

from typing import Any

import cbor2

from trust.model.errors import Malformed

_DEEPEST = 8
_COSE_SIGN1 = b"\xd2"  # tag 18
_KEYS = (0, 1, 3)  # major types: not negative, negative, text
_MAP = 5
_FALSE, _TRUE, _NULL = 20, 21, 22


def encode_cbor(value: Any) -> bytes:
    """The deterministic encoding (RFC 8949 §4.2.1)."""
    return bytes(cbor2.dumps(value, canonical=True))


def decode_cbor(data: bytes, *, max_bytes: int) -> Any:
    """Decodes deterministic CBOR of the accepted part. Raises `Malformed` for anything else."""
    if len(data) > max_bytes:
        raise Malformed(f"The CBOR structure is longer than {max_bytes} bytes.")
    check_plain_cbor(data)
    try:
        value = cbor2.loads(data)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as exc:
        raise Malformed("The bytes are not CBOR.") from exc
    if encode_cbor(value) != data:
        raise Malformed("The CBOR is not in its deterministic form.")
    return value


def check_plain_cbor(data: bytes) -> None:
    """Raises `Malformed` unless `data` is one item of the accepted part. Runs in linear time."""
    at, depth_left = int(data[:1] == _COSE_SIGN1), _DEEPEST
    # How many items each open array or map still needs, innermost last; at an even count a map's key comes next.
    wanted: list[tuple[int, bool]] = [(1, False)]
    while wanted:
        count, is_map = wanted.pop()
        if count == 0:
            depth_left += 1
            continue
        wanted.append((count - 1, is_map))
        if at >= len(data):
            raise Malformed("The bytes are not CBOR: they end within it.")
        kind, first = data[at] >> 5, data[at] & 0x1F
        number, at = _head(data, at)
        if is_map and count % 2 == 0 and kind not in _KEYS:
            raise Malformed("A key in the CBOR is neither a number nor a text.")
        match kind:  # the major type (RFC 8949 §3.1)
            case 2 | 3:  # bytes, text
                at += number
            case 4 | 5:  # array, map
                depth_left -= 1
                if depth_left < 0:
                    raise Malformed(f"The CBOR is nested deeper than {_DEEPEST} levels.")
                # An item takes at least one byte, so a count that is too large is detected at the end of the bytes.
                wanted.append((number * 2, True) if kind == _MAP else (number, False))
            case 6:  # tag
                raise Malformed("The CBOR has a tag where none of ours stands.")
            case 7 if first not in (_FALSE, _TRUE, _NULL):
                raise Malformed("The CBOR has a value of a kind that none of ours has.")
    if at != len(data):
        raise Malformed("The bytes are not one CBOR item.")


def _head(data: bytes, at: int) -> tuple[int, int]:
    """The number in the head that begins at `at`, and where the head ends. Raises `Malformed`."""
    first = data[at] & 0x1F
    if first < 24:
        return first, at + 1
    if first > 27:
        raise Malformed("The CBOR has a length that is not definite.")
    size = 1 << (first - 24)
    if at + 1 + size > len(data):
        raise Malformed("The bytes are not CBOR: they end within it.")
    return int.from_bytes(data[at + 1 : at + 1 + size], "big"), at + 1 + size
