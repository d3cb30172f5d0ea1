"""The part of DER (ITU-T X.690 §10) that is needed to build a frame byte for byte.

Structures made by others are read with asn1crypto. These writers exist because the verifier rebuilds the one allowed
encoding from trusted parts and compares bytes, so every length and tag must be under our control. `children` and
`content` parse only what was written here. `definite_form` converts BER written by others to the same values with
definite lengths.
"""

from __future__ import annotations

from collections.abc import Iterable

SEQUENCE, SET, OCTET_STRING, UTF8_STRING = 0x30, 0x31, 0x04, 0x0C

_LONGEST_HEADER = 6  # one octet of tag, one of count, and a length of at most 4 octets


def tlv(tag: int, *contents: bytes) -> bytes:
    """One element: tag, definite length in its shortest form, contents."""
    body = b"".join(contents)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def sequence(*contents: bytes) -> bytes:
    return tlv(SEQUENCE, *contents)


def set_of(elements: Iterable[bytes], *, tag: int = SET) -> bytes:
    """SET OF: the elements in ascending order of their encodings (X.690 §11.6)."""
    return tlv(tag, *sorted(elements))


def octets(data: bytes) -> bytes:
    return tlv(OCTET_STRING, data)


def small_integer(value: int) -> bytes:
    """INTEGER for 0 … 127, which is all that versions need."""
    return bytes((0x02, 0x01, value))


def children(element: bytes) -> list[bytes]:
    """The DER elements inside a constructed one, each with its header. Raises ValueError."""
    return list(split_elements(content(element)))


def split_elements(data: bytes) -> tuple[bytes, ...]:
    """The consecutive DER elements in `data`. Raises ValueError."""
    found, at = [], 0
    while at < len(data):
        size = element_length(data[at : at + _LONGEST_HEADER])
        if at + size > len(data):
            raise ValueError("an element is longer than the one around it")
        found.append(data[at : at + size])
        at += size
    return tuple(found)


def content(element: bytes) -> bytes:
    """The content of one DER element, without its header. Raises ValueError."""
    if element_length(element) != len(element):
        raise ValueError("not one whole element")
    return element[2 if element[1] < 0x80 else 2 + (element[1] & 0x7F) :]


def element_length(data: bytes) -> int:
    """Length in bytes of the DER element at the start of `data`, by its header. Raises ValueError."""
    if len(data) < 2:
        raise ValueError("too short for a DER element")
    first = data[1]
    if first < 0x80:
        return 2 + first
    count = first & 0x7F
    if count == 0 or count > 4 or len(data) < 2 + count:
        raise ValueError("not a definite DER length")
    size = int.from_bytes(data[2 : 2 + count], "big")
    if size < 0x80 or size < 1 << (8 * (count - 1)):
        raise ValueError("not the shortest DER length")
    return 2 + count + size


_DEEPEST = 60
_CONSTRUCTED = 0x20
_STRINGS = frozenset({0x03, 0x04, 0x0C, 0x13, 0x16})
"""Bit, octet and character strings, which BER may write in pieces (X.690 §8.6.3, §8.7.3)."""


def definite_form(data: bytes) -> tuple[bytes, int]:
    """The BER element at the start of `data`, with definite lengths, and the number of bytes it occupied.

    Strings in pieces are joined. An element with definite lengths inside and out is kept byte for byte, because its
    bytes may have been signed; the order of elements is kept too. Raises ValueError.
    """
    return _definite(data, 0, len(data), 0)


def _definite(data: bytes, at: int, end: int, depth: int) -> tuple[bytes, int]:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if at + 2 > end or data[at] & 0x1F == 0x1F:
        raise ValueError("no element that is read here")
    tag, first, body = data[at], data[at + 1], at + 2
    is_constructed = bool(tag & _CONSTRUCTED)
    stop: int | None = body + first
    if first == 0x80:
        stop = None
    elif first > 0x80:
        count = first & 0x7F
        if count > 8 or body + count > end:
            raise ValueError("not a length")
        stop, body = body + count + int.from_bytes(data[body : body + count], "big"), body + count
    if (stop is not None and stop > end) or (stop is None and not is_constructed):
        raise ValueError("not the length of this element")
    if stop is not None and not is_constructed:
        return data[at:stop], stop
    parts: list[bytes] = []
    is_changed = stop is None or tag & ~_CONSTRUCTED in _STRINGS
    while body != stop:
        if stop is None and body + 2 <= end and data[body : body + 2] == b"\0\0":
            body += 2
            break
        part, following = _definite(data, body, end if stop is None else stop, depth + 1)
        is_changed = is_changed or part != data[body:following]
        parts.append(part)
        body = following
    return _joined(tag, parts) if is_changed else data[at:body], body


def _joined(tag: int, parts: list[bytes]) -> bytes:
    string = tag & ~_CONSTRUCTED
    if string not in _STRINGS:
        return tlv(tag, *parts)
    if any(part[0] != string for part in parts):
        raise ValueError("a string of pieces of another kind")
    pieces = [content(part) for part in parts]
    if string == 0x03:  # each piece begins with its number of unused bits; only the last piece may have any
        if any(piece[:1] != b"\0" for piece in pieces[:-1]) or not all(pieces):
            raise ValueError("a bit string with a gap")
        last = pieces[-1][:1] if pieces else b"\0"
        pieces = [last, *(piece[1:] for piece in pieces)]
    return tlv(string, *pieces)
