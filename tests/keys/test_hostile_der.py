"""Certificates, revocation lists and requests of others, spoiled at random: an error of ours, or an answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

import pytest
from support.producers import Producer

from keys import asn1
from keys.pki import chain, crl, importing, ocsp, read
from trust.model.errors import TrustError

AT = datetime(2026, 11, 1, tzinfo=UTC)
_TAGS = (0x00, 0x05, 0x09, 0x0A, 0x0D, 0x13, 0x17, 0x18, 0x1C, 0x1E, 0x30, 0x31, 0x80, 0xA0, 0xFF)
_CASES = 400


@cache
def made() -> Producer:
    asn1.register()
    return Producer("ecdsa", AT, tsa_kind="ecdsa")


def _chain(cert: bytes, between: bytes, lists: list[bytes]) -> None:
    trust = chain.ChainTrust([made().root.der], [between], lists)
    chain.check_chain(cert, trust, at=AT, usage=chain.Usage.SIGNING)


def _seal(cert: bytes, between: bytes, root: bytes) -> None:
    key = importing.public_key_of(made().signer.der)
    importing.check_seal_chain(cert, [between], [root], public_key=key, at=AT)


def _request() -> bytes:
    return ocsp.make_request([made().signer.der], made().ca.der, nonce=b"12345678", algorithm="sha256")


DOORS: dict[str, tuple[Callable[[], bytes], Callable[[bytes], object]]] = {
    "facts of a certificate": (lambda: made().signer.der, read.read_x509_cert),
    "an issued certificate": (
        lambda: made().signer.der,
        lambda der: read.check_issued_by(der, made().ca.der),
    ),
    "its issuer": (lambda: made().ca.der, lambda der: read.check_issued_by(made().signer.der, der)),
    "a CA": (lambda: made().ca.der, read.ca_term),
    "a revocation list": (
        lambda: made().crls()[1],
        lambda der: crl.check_crl(der, made().ca.der, addresses=(), at=AT),
    ),
    "the name in a list": (lambda: made().crls()[1], crl.issuer_name),
    "addresses of lists": (lambda: made().signer.der, crl.crl_addresses),
    "a seal's certificate": (
        lambda: made().signer.der,
        lambda der: _seal(der, made().ca.der, made().root.der),
    ),
    "a CA above a seal": (
        lambda: made().ca.der,
        lambda der: _seal(made().signer.der, der, made().root.der),
    ),
    "a root": (lambda: made().root.der, lambda der: _seal(made().signer.der, made().ca.der, der)),
    "a time-stamp authority": (
        lambda: made().tsa.der,
        lambda der: importing.check_time_stamp_chain([der, made().root.der], at=AT),
    ),
    "a chain": (lambda: made().signer.der, lambda der: _chain(der, made().ca.der, made().crls())),
    "a list of a chain": (
        lambda: made().crls()[1],
        lambda der: _chain(made().signer.der, made().ca.der, [made().crls()[0], der]),
    ),
    "an OCSP request": (_request, ocsp.read_request),
    "what may be a PKCS #12": (_request, importing.is_pkcs12),
}


@pytest.mark.parametrize("door", DOORS)
def test_spoiled_bytes_give_an_error_of_ours(door: str) -> None:
    original, ask = DOORS[door]
    good, chance = original(), random.Random(door)
    refused = 0
    for _ in range(_CASES):
        try:
            ask(_spoil(good, chance))
        except TrustError:
            refused += 1
    ask(good)
    assert refused or door == "what may be a PKCS #12"


def _spoil(data: bytes, chance: random.Random) -> bytes:
    spoiled = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(spoiled))
        match chance.randrange(5):
            case 0 | 1:
                spoiled[at] = chance.randrange(256)
            case 2:
                spoiled[at] = chance.choice(_TAGS)
            case 3:
                del spoiled[at : at + chance.randrange(1, 6)]
            case _:
                spoiled[at:at] = chance.randbytes(chance.randrange(1, 5))
    return bytes(spoiled)
