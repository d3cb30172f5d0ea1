"""CBOR of strangers: only the part that we write is read, and never in more time than its length asks for."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from trust.encoding.codes import decode_printed_claims
from trust.encoding.cose import decode_sign1
from trust.encoding.entry import decode_entry
from trust.encoding.plain_cbor import check_plain_cbor, decode_cbor, encode_cbor
from trust.encoding.status_list import decode_status_list
from trust.model.errors import Malformed

whole = some.integers(-(1 << 64), (1 << 64) - 1)
leaves = some.none() | some.booleans() | whole | some.binary() | some.text()
values = some.recursive(
    leaves, lambda inner: some.lists(inner) | some.dictionaries(whole | some.text(), inner), max_leaves=8
)


def nested_keys(depth: int) -> bytes:
    """A map whose key is a map whose key is a map … : {{{0: 0}: 0}: 0}"""
    return b"\xa1" * depth + b"\x00" * (depth + 1)


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(values)
def test_what_we_write_is_read(value: Any) -> None:
    assume(depth_of(value) <= 8)
    assert decode_cbor(encode_cbor(value), max_bytes=1 << 20) == value


@given(some.binary(max_size=60))
def test_bytes_are_refused_or_are_the_one_encoding(data: bytes) -> None:
    try:
        value = decode_cbor(data, max_bytes=60)
    except Malformed:
        return
    assert encode_cbor(value) == data


DOORS: dict[str, Callable[[bytes], object]] = {
    "sign1": lambda data: decode_sign1(data, max_bytes=1 << 20),
    "sign1 protected": lambda data: decode_sign1(
        cbor2.dumps(cbor2.CBORTag(18, [data, {}, b"", bytes(64)])), max_bytes=1 << 20
    ),
    "claims": decode_printed_claims,
    "status list": decode_status_list,
    "entry": lambda data: decode_entry(b"\xab" + data),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("depth", [2, 40, 400])
def test_maps_as_keys_cost_nothing(door: str, depth: int) -> None:
    """Forty of them, in 81 bytes of a QR code, would have taken the general encoder days."""
    began = time.thread_time()
    with pytest.raises(Malformed):
        DOORS[door](nested_keys(depth))
    assert time.thread_time() - began < 1


REFUSED = {
    "nothing": b"",
    "a map as key": bytes.fromhex("a1a1000000"),
    "an array as key": bytes.fromhex("a18000"),
    "bytes as key": bytes.fromhex("a1410000"),
    "null as key": bytes.fromhex("a1f600"),
    "a tag within": cbor2.dumps([cbor2.CBORTag(35, "(a+)+")]),
    "another tag at the beginning": cbor2.dumps(cbor2.CBORTag(35, "(a+)+")),
    "the tag in a longer form": bytes.fromhex("d81280"),
    "a big number": cbor2.dumps(1 << 64),
    "a reference to itself": bytes.fromhex("d81c81d81d00"),
    "a float": cbor2.dumps(1.5),
    "undefined": bytes.fromhex("f7"),
    "another simple value": bytes.fromhex("f820"),
    "an array without an end": bytes.fromhex("9f00ff"),
    "a string without an end": bytes.fromhex("5f4100ff"),
    "a count that lies": bytes.fromhex("9bffffffffffffffff00"),
    "a map's count that lies": bytes.fromhex("bbffffffffffffffff0000"),
    "a length that lies": bytes.fromhex("5bffffffffffffffff00"),
    "a head cut short": bytes.fromhex("19ff"),
    "a map without its last value": bytes.fromhex("a100"),
    "two items": bytes.fromhex("0000"),
    "nine levels": b"\x81" * 9 + b"\x00",
}


@pytest.mark.parametrize("name", REFUSED)
def test_everything_else_is_refused_before_it_is_decoded(name: str) -> None:
    with pytest.raises(Malformed):
        check_plain_cbor(REFUSED[name])


@pytest.mark.parametrize("encoded", ["00", "d28440a04040", "a20001616100", "f4", "3bffffffffffffffff"])
def test_the_plain_part_is_taken(encoded: str) -> None:
    check_plain_cbor(bytes.fromhex(encoded))


def test_eight_levels_are_taken() -> None:
    check_plain_cbor(b"\x81" * 8 + b"\x00")
