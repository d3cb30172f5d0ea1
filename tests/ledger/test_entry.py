"""The bytes of an entry: one encoding, and nothing else is read."""

from __future__ import annotations

from dataclasses import replace

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trust.encoding.entry import (
    NO_PREV,
    NO_REF,
    Entry,
    EntryKind,
    PreviousEntry,
    decode_entry,
    encode_entry,
)
from trust.model.errors import Malformed

GENESIS = Entry(
    log="example.org/log",
    seq=0,
    at_ms=1_700_000_000_000,
    kind=EntryKind.GENESIS,
    actor="log",
    ref=NO_REF,
    prev=NO_PREV,
    prev_ref=None,
    commit=b"\x11" * 32,
    suite="",
    count=1,
)
REVOKED = Entry(
    log="example.org/log",
    seq=70_000,
    at_ms=1_763_000_000_000,
    kind=EntryKind.REVOKED,
    actor="11100000000013338W",
    ref=b"\x07" * 32,
    prev=b"\x08" * 32,
    prev_ref=PreviousEntry(seq=41, leaf_hash=b"\x09" * 32),
    commit=b"\x0a" * 32,
    suite="SM2-SM3",
    count=12_345,
)


def test_the_example_of_the_format_is_what_is_written() -> None:
    expected = (
        "ab" "0101" "026f6578616d706c652e6f72672f6c6f67" "0300" "041b0000018bcfe56800" "0500" "06636c6f67"
        "075820" + "00" * 32 + "085820" + "00" * 32 + "0a5820" + "11" * 32 + "0b60" "0c01"
    )  # fmt: skip
    assert encode_entry(GENESIS).hex() == expected
    assert len(encode_entry(GENESIS)) == 148


def test_an_entry_stays_small() -> None:
    assert len(encode_entry(REVOKED)) == 214


hashes = st.binary(min_size=32, max_size=32).filter(lambda value: value != bytes(32))
text = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=32)
uints = st.integers(1, 2**63 - 1)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    seq = draw(uints)
    prev_ref = st.builds(PreviousEntry, seq=st.integers(0, seq - 1), leaf_hash=hashes)
    return Entry(
        log=draw(text),
        seq=seq,
        at_ms=draw(uints),
        kind=draw(st.sampled_from(EntryKind)),
        actor=draw(text),
        ref=draw(hashes),
        prev=draw(hashes),
        prev_ref=draw(st.none() | prev_ref),
        commit=draw(hashes),
        suite=draw(text),
        count=draw(uints),
    )


@given(entries())
def test_an_entry_comes_back_as_it_was(entry: Entry) -> None:
    assert decode_entry(encode_entry(entry)) == entry


@pytest.mark.parametrize("entry", [GENESIS, REVOKED], ids=["genesis", "revoked"])
def test_every_flipped_bit_is_refused_or_means_something_else(entry: Entry) -> None:
    data = encode_entry(entry)
    refused = 0
    for at in range(len(data)):
        for bit in range(8):
            flipped = data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
            try:
                found = decode_entry(flipped)
            except Malformed:
                refused += 1
            else:
                assert found != entry
                assert encode_entry(found) == flipped
    assert refused > 200


@given(st.binary(max_size=300))
def test_other_bytes_are_refused_or_are_an_encoding(data: bytes) -> None:
    for each in (data, b"\xab" + data, b"\xac" + data):
        try:
            entry = decode_entry(each)
        except Malformed:
            continue
        assert encode_entry(entry) == each


def fields() -> dict[int, object]:
    found = cbor2.loads(encode_entry(REVOKED))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, 2),
        (1, True),
        (2, ""),
        (2, "x" * 256),
        (2, b"example.org/log"),
        (3, -1),
        (3, 2**63),
        (3, 1.0),
        (4, None),
        (5, 14),
        (5, True),
        (6, ""),
        (6, "x" * 65),
        (6, "a\nb"),
        (7, b"x" * 31),
        (7, NO_REF),
        (8, b"x" * 33),
        (8, NO_PREV),
        (9, [70_000, b"x" * 32]),
        (9, [1]),
        (9, [1, b"x" * 32, 3]),
        (9, [True, b"x" * 32]),
        (9, None),
        (10, "x" * 32),
        (11, "x" * 33),
        (12, 0),
        (13, 1),
        (-1, 1),
        ("1", 1),
    ],
)
def test_a_field_out_of_bounds_is_refused(key: int | str, value: object) -> None:
    assert decode_entry(cbor2.dumps(fields(), canonical=True)) == REVOKED
    changed: dict[object, object] = dict(fields().items())
    with pytest.raises(Malformed):
        decode_entry(cbor2.dumps({**changed, key: value}, canonical=True))


@pytest.mark.parametrize("key", [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12])
def test_a_missing_field_is_refused(key: int) -> None:
    found = fields()
    del found[key]
    with pytest.raises(Malformed):
        decode_entry(cbor2.dumps(found, canonical=True))


def test_another_encoding_of_the_same_fields_is_refused() -> None:
    data = encode_entry(GENESIS)
    reordered = cbor2.dumps(dict(reversed(cbor2.loads(data).items())))
    long_integer = data.replace(b"\x03\x00\x04", b"\x03\x18\x00\x04")
    indefinite = b"\xbf" + data[1:] + b"\xff"
    repeated = b"\xac\x01\x01" + data[1:]
    for each in (reordered, long_integer, indefinite, repeated, data + b"\x00", data[:-1], b""):
        assert each != data
        with pytest.raises(Malformed):
            decode_entry(each)


def test_an_entry_without_an_ecertificate_has_no_previous_entry_about_it() -> None:
    with pytest.raises(Malformed, match="no e-certificate"):
        encode_entry(replace(REVOKED, ref=NO_REF))
