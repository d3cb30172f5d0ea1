"""The two digests by their published examples, and the DER writers by asn1crypto and their own reader."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from trust.encoding import der
from trust.encoding.digests import digest, sha256, sm3


@pytest.mark.parametrize(
    ("message", "expected"),
    [  # GB/T 32905 Annex A; the empty message is from GmSSL and OpenSSL alike
        (b"abc", "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
        (b"abcd" * 16, "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
        (b"", "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b"),
    ],
)
def test_sm3_is_that_of_the_standard(message: bytes, expected: str) -> None:
    assert sm3(message).hex() == expected


def test_sha256_is_that_of_the_standard() -> None:
    assert sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_a_digest_over_parts_is_one_over_their_concatenation(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    assert digest("sm3", *parts) == sm3(whole)
    assert digest("sha256", *parts) == sha256(whole) == hashlib.sha256(whole).digest()


def test_another_digest_is_not_known() -> None:
    with pytest.raises(KeyError):
        digest("sha1", b"")


@pytest.mark.parametrize("size", [0, 1, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000, 0x1000000])
def test_an_element_is_the_one_asn1crypto_writes(size: int) -> None:
    data = bytes(size)
    encoded = der.octets(data)
    assert encoded == core.OctetString(data).dump()
    assert der.element_length(encoded) == der.element_length(encoded + b"more") == len(encoded)


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=8), st.randoms())
def test_a_set_has_one_order(elements: list[bytes], chance: random.Random) -> None:
    encoded = [der.octets(element) for element in elements]
    shuffled = list(encoded)
    chance.shuffle(shuffled)
    assert der.set_of(encoded) == der.set_of(shuffled)
    assert der.set_of(encoded, tag=0xA0)[0] == 0xA0

    class Octets(core.SetOf):  # type: ignore[misc]  # asn1crypto has no types
        _child_spec = core.OctetString

    assert Octets.load(der.set_of(encoded), strict=True).native == sorted(elements, key=der.octets)


@pytest.mark.parametrize("value", [0, 1, 3, 127])
def test_small_integers_are_those_of_asn1crypto(value: int) -> None:
    assert der.small_integer(value) == core.Integer(value).dump()


@pytest.mark.parametrize(
    "header",
    [b"", b"\x30", b"\x30\x80", b"\x30\x81\x7f", b"\x30\x82\x00\xff", b"\x30\x81", b"\x30\x85\x01\0\0\0\0",
     b"\x30\x84\x00\xff\xff\xff", b"\x30\x82\x01"],
)  # fmt: skip
def test_a_length_in_any_other_form_is_refused(header: bytes) -> None:
    with pytest.raises(ValueError):
        der.element_length(header)


@given(st.binary(max_size=400))
def test_a_flipped_length_changes_what_is_read(data: bytes) -> None:
    encoded = der.octets(data)
    for at in range(1, len(encoded) - len(data)):
        spoiled = encoded[:at] + bytes((encoded[at] ^ 1,)) + encoded[at + 1 :]
        try:
            assert der.element_length(spoiled) != len(encoded)
        except ValueError:
            continue


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_what_stands_in_an_element_is_read_back(elements: list[bytes]) -> None:
    encoded = [der.octets(element) for element in elements]
    whole = der.sequence(*encoded)
    assert der.children(whole) == encoded
    assert der.content(whole) == b"".join(encoded)
    assert [der.content(each) for each in encoded] == elements


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: b"",
        lambda d: d[:-1],
        lambda d: d + b"\0",
        lambda d: der.sequence(d[2:], b"\x04"),
        lambda d: der.sequence(b"\x04\x05abcd"),
        lambda d: der.sequence(b"\x04\x84\xff\xff"),
        lambda d: b"\x30\x80" + d[2:] + b"\0\0",
    ],
)
def test_an_element_that_is_not_whole_is_refused(spoil: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ValueError):
        der.children(spoil(der.sequence(der.octets(b"abc"), der.octets(b"d"))))
