"""asn1crypto gives back the bytes it read, at once, whatever their length."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, core, x509
from hypothesis import given
from hypothesis import strategies as st

from keys import asn1
from keys.custody import KeyPurpose
from keys.pki.build import Profile, Subject, make_x509_cert
from keys.suites import Suite
from keys.tsa import TimeStampAuthority
from trust.encoding.cms import (
    SIGNATURE_TIME_STAMP_OID,
    encode_attribute,
    encode_constant_seal_attributes,
    encode_seal_cms,
    encode_signed_attributes,
)
from trust.model.clock import SystemClock

from .opened import AT, new_key, provider_at

asn1.register()


def der(tag: int, body: bytes) -> bytes:
    size = len(body)
    octets = size.to_bytes((size.bit_length() + 7) // 8 or 1)
    return bytes([tag]) + (bytes([size]) if size < 128 else bytes([0x80 | len(octets)]) + octets) + body


def signed_data(filler: int) -> bytes:
    """A CMS of one signer, with so many bytes in its signature."""
    algorithm = der(0x30, bytes.fromhex("0609608648016503040201"))
    attribute = der(
        0x30, bytes.fromhex("06092a864886f70d010903") + der(0x31, bytes.fromhex("06092a864886f70d010701"))
    )
    signer = der(
        0x30,
        bytes.fromhex("020101")
        + der(0x30, der(0x30, b"") + b"\x02\x01\x01")
        + algorithm
        + der(0xA0, attribute)
        + algorithm
        + der(0x04, b"s" * filler),
    )
    content = der(0x30, bytes.fromhex("06092a864886f70d010701"))
    data = der(0x30, b"\x02\x01\x01" + der(0x31, algorithm) + content + der(0x31, signer))
    return der(0x30, bytes.fromhex("06092a864886f70d010702") + der(0xA0, data))


def seal_frame(cert: bytes, signature: int, token: bytes) -> bytes:
    """The CMS of a seal, as far as its shape goes, with a signature of so many bytes."""
    attributes = encode_signed_attributes(
        encode_constant_seal_attributes("P256-SHA256", cert, der(0x30, b"")), bytes(32)
    )
    return encode_seal_cms(
        suite="P256-SHA256",
        x509_certs=(cert, cert),
        sealing_cert=cert,
        signed_attrs=attributes,
        signature=bytes(signature),
        unsigned_attrs=[encode_attribute(SIGNATURE_TIME_STAMP_OID, token)],
    )


def test_a_length_whose_last_octet_is_0x80_is_a_definite_one(tmp_path: Path) -> None:
    key = new_key(provider_at(tmp_path), KeyPurpose.ROOT_CA, Suite.P256_SHA256)
    cert = make_x509_cert(
        Profile.ROOT, Subject("root", "印证"), key.record.public_key, key, None,
        crl_address=None, not_before=AT, not_after=AT + timedelta(days=1),
    )  # fmt: skip
    token = TimeStampAuthority(key, (cert,), SystemClock()).stamp(bytes(32), "sha256")
    frames = (seal_frame(cert, size, token) for size in range(400))
    encoded = next(each for each in frames if each[:2] == b"\x30\x82" and each[3] == 0x80)
    parsed = cms.ContentInfo.load(encoded)
    started = time.thread_time()
    assert parsed.dump() == encoded
    assert time.thread_time() - started < 1  # with the library alone, twenty


@given(st.integers(0, 70_000))
def test_what_was_read_comes_back(filler: int) -> None:
    encoded = signed_data(filler)
    parsed = cms.ContentInfo.load(encoded, strict=True)
    assert parsed.dump() == encoded
    signer = parsed["content"]["signer_infos"][0]
    assert encoded.count(signer.dump()) == 1
    assert signer["signature"].dump() == der(0x04, b"s" * filler)
    assert parsed.copy().dump() == encoded


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 384, 32_767, 32_768, 0x018000])
def test_strings_choices_and_explicit_tags(size: int) -> None:
    octets = der(0x04, b"x" * size)
    assert core.OctetString.load(octets).dump() == octets
    assert core.OctetString(b"x" * size).dump() == octets
    name = der(0x0C, b"x" * size)
    assert x509.DirectoryString.load(name).dump() == name
    tagged = der(0xA0, octets)
    assert core.OctetString.load(tagged, explicit=0).dump() == tagged


def test_indefinite_lengths_are_still_written_definite_and_changes_are_seen() -> None:
    indefinite = b"\x30\x80\x02\x01\x05\x00\x00"
    assert core.SequenceOf.load(indefinite, spec=core.Integer).dump() == b"\x30\x03\x02\x01\x05"
    numbers = core.SequenceOf.load(der(0x30, b"\x02\x01\x05" * 128), spec=core.Integer)  # 30 82 01 80
    numbers.append(6)
    assert numbers.dump() == der(0x30, b"\x02\x01\x05" * 128 + b"\x02\x01\x06")


@pytest.mark.parametrize(
    ("header", "is_indefinite"),
    [
        ("3080", True),
        ("3081 80", False),
        ("a080 3080", True),
        ("bf8100 80", True),  # a tag above 30 takes octets of its own
        ("bf8100 8180", False),
        ("bf1f 80", True),
        ("bf1f 8180", False),
        ("bf818000 820180", False),
    ],
)
def test_an_indefinite_length_is_told_from_one_that_ends_like_it(header: str, is_indefinite: bool) -> None:
    assert asn1._is_indefinite(bytes.fromhex(header)) is is_indefinite
