"""The few lines of DER (ITU-T X.690 §10) that building a frame byte for byte needs.

Structures of others are read with asn1crypto. These writers exist because the verifier rebuilds the one
allowed encoding from parts that it trusts and compares bytes; for that, every length and tag must be ours.
`children` and `content` take apart what was written here, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

SEQUENCE, SET, OCTET_STRING, UTF8_STRING = 0x30, 0x31, 0x04, 0x0C

_LONGEST_HEADER = 6  # one octet of tag, and a length of at most 4 octets behind its count


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
    """DER elements that stand one after another. Raises ValueError."""
    found, at = [], 0
    while at < len(data):
        size = element_length(data[at : at + _LONGEST_HEADER])
        if at + size > len(data):
            raise ValueError("an element is longer than the one around it")
        found.append(data[at : at + size])
        at += size
    return tuple(found)


def content(element: bytes) -> bytes:
    """What stands in one DER element, without its header. Raises ValueError."""
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
