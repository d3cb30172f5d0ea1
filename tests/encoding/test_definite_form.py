"""BER of others in definite form: the same values; what was definite stays to the byte; no more than ValueError."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.signed_by_hand import indefinite, long_lengths

from trust.encoding.der import definite_form, octets, sequence, set_of, small_integer, tlv

_LEAVES = st.one_of(
    st.binary(max_size=300).map(octets),
    st.integers(0, 127).map(small_integer),
    st.binary(max_size=20).map(lambda bits: tlv(0x03, b"\0" + bits)),
    st.binary(max_size=20).map(lambda text: tlv(0x80, text)),
)
_ELEMENTS = st.recursive(
    _LEAVES,
    lambda held: st.one_of(
        st.lists(held, max_size=4).map(lambda each: sequence(*each)),
        st.lists(held, max_size=4).map(lambda each: set_of(each)),
        st.lists(held, max_size=2).map(lambda each: tlv(0xA0, *each)),
    ),
    max_leaves=12,
)


@given(_ELEMENTS, st.booleans(), st.binary(max_size=5))
@settings(max_examples=200, deadline=None)
def test_the_same_values_come_back(element: bytes, pieces: bool, behind: bytes) -> None:
    written = indefinite(element, pieces=pieces)
    assert definite_form(written + behind) == (element, len(written))


@given(_ELEMENTS)
@settings(max_examples=100, deadline=None)
def test_what_is_definite_stays_to_the_byte(element: bytes) -> None:
    assert definite_form(element) == (element, len(element))
    longer = long_lengths(sequence(element))
    assert definite_form(longer) == (longer, len(longer))
    assert definite_form(tlv(0x30, longer)) == (tlv(0x30, longer), len(tlv(0x30, longer)))


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_anything_else_is_a_value_error(data: bytes) -> None:
    try:
        definite, length = definite_form(data)
    except ValueError:
        return
    assert 2 <= length <= len(data)
    assert definite_form(definite) == (definite, len(definite))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x30", b"\x30\x80", b"\x30\x80\0", b"\x04\x80\0\0", b"\x30\x05\x04\x01a", b"\x30\x89" + bytes(9),
     b"\x30\x80" * 70 + bytes(140), b"\x24\x80\x02\x01\x01\0\0", b"\x1f\x81\x01\0"],
)  # fmt: skip
def test_what_is_no_element_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        definite_form(data)
