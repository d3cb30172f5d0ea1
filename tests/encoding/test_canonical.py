"""Receipts, data files, COSE and codes: what was written comes back, and nothing else can be read.

The formats here have one encoding. So a changed byte either makes them unreadable, or it is the one encoding of
something else, which a signature or a commitment then refuses: it never passes for the same thing.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from encoding.spoiling import flips
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.suites import Suite, check_signature
from trust.encoding import codes, cose
from trust.encoding.ecertificate_data import (
    MAX_BYTES,
    ECertificateData,
    decode_ecertificate_data,
    encode_ecertificate_data,
)
from trust.encoding.receipt import EmbeddedReceipt, Openings, decode_receipt, encode_receipt
from trust.model.errors import Malformed, VerificationError

seconds = st.integers(0, (1 << 34)).map(lambda s: datetime.fromtimestamp(s, UTC))
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
small = st.integers(0, 1 << 20)

RECEIPT = EmbeddedReceipt(
    b"an entry", "c2sp.org/tlog-proof@v1\n", Openings(b"\1" * 32, b"\2" * 32, tuple(bytes((n,)) * 32 for n in range(4)))
)  # fmt: skip
DATA = ECertificateData(
    pid=bytes(range(16)),
    issuer="chuncheng-market",
    type_short="FOOD",
    type_version=1,
    version=1,
    status_list=1,
    status_index=20811,
    metadata={"CZZT": "春城", "ZZYXQQSRQ": "2026-11-01", "ZZYXQJZRQ": "长期", "KZ_X": ["a", "b"]},
    salts={name: bytes((n,)) * 16 for n, name in enumerate(("CZZT", "ZZYXQQSRQ", "ZZYXQJZRQ", "KZ_X"))},
)
CLAIMS = codes.PrintedClaims(
    issuer="chuncheng-market",
    issued_at=datetime(2026, 11, 23, 2, 0, tzinfo=UTC),
    not_before=datetime(2026, 12, 1, tzinfo=UTC),
    expires_at=datetime(2031, 10, 31, tzinfo=UTC),
    pid=bytes(range(16)),
    level=2,
    fields={0: "JY29901010000001", 1: "春城百味"},
    content=b"\7" * 32,
    status_list=1,
    status_index=20811,
    type_short="FOOD",
    type_version=1,
    version=1,
)
SIGN1 = cose.encode_sign1(cose.encode_protected("P256-SHA256", b"kid12345"), b"payload", bytes(range(64)))


def decode_sign1(data: bytes) -> cose.Sign1:
    return cose.decode_sign1(data, max_bytes=2048)


CASES: dict[str, tuple[bytes, Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "receipt": (encode_receipt(RECEIPT), decode_receipt, encode_receipt),
    "data": (encode_ecertificate_data(DATA), decode_ecertificate_data, encode_ecertificate_data),
    "claims": (codes.encode_printed_claims(CLAIMS), codes.decode_printed_claims, codes.encode_printed_claims),
    "sign1": (SIGN1, decode_sign1, lambda s: cose.encode_sign1(s.protected, s.payload, s.signature)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_flipped_byte_is_refused_or_means_something_else(name: str) -> None:
    good, decode, encode = CASES[name]
    assert encode(decode(good)) == good
    refused = 0
    for spoiled in flips(good, masks=(0x01, 0x20, 0x80)):
        try:
            read = decode(spoiled)
        except Malformed:
            refused += 1
            continue
        assert read != decode(good)
        assert encode(read) == spoiled, "readable, so it has to be the one encoding of what was read"
    assert refused


@pytest.mark.parametrize("name", CASES)
def test_what_is_cut_or_longer_is_refused(name: str) -> None:
    good, decode, _ = CASES[name]
    for spoiled in (b"", good[:-1], good[1:], good + b"\0", good + b" ", b"\0" + good, good + good):
        with pytest.raises(Malformed):
            decode(spoiled)


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=60)
@given(noise=st.binary(max_size=200))
def test_noise_is_malformed_and_nothing_worse(name: str, noise: bytes) -> None:
    _, decode, encode = CASES[name]
    with contextlib.suppress(Malformed):
        assert encode(decode(noise)) == noise


# Receipts --------------------------------------------------------------------------------------------------

digests = st.binary(min_size=32, max_size=32)


@given(st.binary(max_size=300), words, digests, digests, st.tuples(*[digests] * 4))
def test_a_receipt_comes_back(
    entry: bytes, proof: str, content: bytes, ref_salt: bytes, salts: tuple[bytes, bytes, bytes, bytes]
) -> None:
    receipt = EmbeddedReceipt(entry, proof, Openings(content, ref_salt, salts))
    assert decode_receipt(encode_receipt(receipt)) == receipt


@pytest.mark.parametrize(
    "openings",
    [
        Openings(b"\1" * 31, b"\2" * 32, (b"\3" * 32,) * 4),
        Openings(b"\1" * 32, b"\2" * 33, (b"\3" * 32,) * 4),
        Openings(b"\1" * 32, b"\2" * 32, (b"\3" * 32,) * 3),
        Openings(b"\1" * 32, b"\2" * 32, (b"\3" * 32,) * 5),
        Openings(b"\1" * 32, b"\2" * 32, (b"\3" * 16,) * 4),
    ],
)
def test_a_receipt_with_other_lengths_is_refused(openings: Openings) -> None:
    with pytest.raises(Malformed):
        decode_receipt(encode_receipt(EmbeddedReceipt(b"entry", "proof", openings)))


# The data file ---------------------------------------------------------------------------------------------


@given(st.dictionaries(words, words | st.lists(words, max_size=3), max_size=5), small, small)
def test_a_data_file_comes_back(others: dict[str, str | list[str]], status_list: int, index: int) -> None:
    metadata = {**others, "ZZYXQQSRQ": "2026-11-01", "ZZYXQJZRQ": "2031-10-31"}
    data = ECertificateData(
        bytes(16),
        "issuer",
        "FOOD",
        1,
        2,
        status_list,
        index,
        metadata,
        {name: bytes(16) for name in metadata},
    )
    assert decode_ecertificate_data(encode_ecertificate_data(data)) == data


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: json.dumps(raw).encode(),  # spaces
        lambda raw: _compact({**raw, "extra": 1}),
        lambda raw: _compact({**raw, "pid": raw["pid"].upper()}),
        lambda raw: _compact({**raw, "pid": raw["pid"][2:]}),
        lambda raw: _compact({**raw, "format": "yinzheng-ecertificate-2"}),
        lambda raw: _compact({**raw, "metadata": {**raw["metadata"], "CZZT": 5}}),
        lambda raw: _compact({**raw, "metadata": {**raw["metadata"], "CZZT": {"a": "b"}}}),
        lambda raw: _compact({**raw, "metadata": {**raw["metadata"], "ZZYXQJZRQ": "2031-02-30"}}),
        lambda raw: _compact({**raw, "metadata": {**raw["metadata"], "ZZYXQQSRQ": "长期"}}),
        lambda raw: _compact(raw).replace(b'"version":1', b'"version":1,"version":1'),
        lambda raw: _compact(raw).replace(b'"version":1', b'"version":1.0'),
        lambda raw: b"[" * 100_000,
        lambda raw: b" " * (MAX_BYTES + 1),
    ],
)
def test_a_data_file_in_any_other_form_is_refused(spoil: Callable[[Any], bytes]) -> None:
    raw = json.loads(encode_ecertificate_data(DATA))
    assert _compact(raw) == encode_ecertificate_data(DATA)
    with pytest.raises(Malformed):
        decode_ecertificate_data(spoil(raw))


def _compact(raw: Any) -> bytes:
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def test_a_term_begins_and_ends_in_chinas_time() -> None:
    begins, ends = DATA.validity()
    assert (begins.isoformat(), ends) == ("2026-11-01T00:00:00+08:00", None)


# COSE ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        cbor2.dumps([b"", {}, b"", bytes(64)]),  # no tag
        cbor2.dumps(cbor2.CBORTag(98, [b"", {}, b"", bytes(64)])),
        cbor2.dumps(cbor2.CBORTag(18, [cbor2.dumps({1: -7, 4: b"k"}), {4: b"k"}, b"", bytes(64)])),
        cbor2.dumps(cbor2.CBORTag(18, [cbor2.dumps({1: -7, 4: b"k"}), {}, b"", bytes(63)])),
        cbor2.dumps(cbor2.CBORTag(18, [cbor2.dumps({1: -7, 4: b"k", 2: [4]}), {}, b"", bytes(64)])),
        cbor2.dumps(cbor2.CBORTag(18, [cbor2.dumps({1: -7}), {}, b"", bytes(64)])),
        cbor2.dumps(cbor2.CBORTag(18, [b"\xa2\x04\x41k\x01\x26", {}, b"", bytes(64)])),  # other order
        cbor2.dumps(cbor2.CBORTag(18, [b"\xa3\x01\x26\x01\x26\x04\x41k", {}, b"", bytes(64)])),  # twice
        cbor2.dumps(cbor2.CBORTag(18, [cbor2.dumps({1: -7, 4: b"k"}), {}, None, bytes(64)])),  # detached
        b"\xd2\x9f" + cbor2.dumps(b"\xa2\x01\x26\x04\x41k") + b"\xa0\x40\x58\x40" + bytes(64) + b"\xff",
        b"\xf9\x7e\x00",
    ],
)
def test_a_sign1_that_is_not_ours_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_sign1(data)


def test_a_sign1_may_not_be_longer_than_the_caller_says() -> None:
    with pytest.raises(Malformed):
        cose.decode_sign1(SIGN1, max_bytes=len(SIGN1) - 1)


@given(st.integers(1, (1 << 256) - 1), st.integers(1, (1 << 256) - 1))
def test_raw_and_der_signatures_are_two_forms_of_one(r: int, s: int) -> None:
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    assert cose.raw_signature("SM2-SM3", cose.der_signature("SM2-SM3", raw)) == raw
    assert cose.raw_signature("Ed25519", cose.der_signature("Ed25519", raw)) == raw


# github.com/cose-wg/Examples, sign1-tests and ecdsa-examples: those with P-256 and ES256, which is what we share.
COSE_KEY = [
    0xBAC5B11CAD8F99F9C72B05CF4B9E26D244DC189F745228255A219A86D6A09EFF,
    0x20138BF82DC1B6D562BE0FA54AB7804A3A64B6D72CCFED6B6FB6ED28BBFC117E,
]
COSE_CONTENT = b"This is the content."
_USUAL = bytes.fromhex(
    "8EB33E4CA31D1C465AB05AAC34CC6B23D58FEF5C083106C4D25A91AEF0B0117E"
    "2AF9A291AA32E14AB834DC56ED2A223444547E01F11D3B0916E5A4C345CACB36"
)
_LONGER_HEADER = bytes.fromhex(
    "6520BBAF2081D7E0ED0F95F76EB0733D667005F7467CEC4B87B9381A6BA1EDE8"
    "E00DF29F32A37230F39A842A54821FDD223092819D7728EFB9D3A0080B75380B"
)
_EMPTY_HEADER = bytes.fromhex(
    "87DB0D2E5571843B78AC33ECB2830DF7B6E0A4D5B7376DE336B23C591C90C425"
    "317E56127FBE04370097CE347087B233BF722B64072BEB4486BDA4031D27244F"
)
_WITH_MORE = bytes.fromhex(
    "10729CD711CB3813D8D8E944A8DA7111E7B258C9BDCA6135F7AE1ADBEE950989"
    "1267837E1E33BD36C150326AE62755C6BD8E540C3E8F92D7D225E8DB72B8820B"
)
COSE_VECTORS = {  # tag and headers, content, signature, external data, whether it holds
    "ecdsa-sig-01": ("D28445A201260300A104423131", COSE_CONTENT, _LONGER_HEADER, "", True),
    "sign-fail-01": ("D903E68443A10126A104423131", COSE_CONTENT, _USUAL, "", False),
    "sign-fail-02": ("D28443A10126A104423131", b"This is the content/", _USUAL, "", False),
    "sign-fail-03": ("D28445A1013903E6A104423131", COSE_CONTENT, _USUAL, "", False),
    "sign-fail-04": ("D2844AA10167756E6B6E6F776EA104423131", COSE_CONTENT, _USUAL, "", False),
    "sign-fail-06": ("D28445A201260300A104423131", COSE_CONTENT, _USUAL, "", False),
    "sign-fail-07": ("D28443A10126A104423131", COSE_CONTENT, _LONGER_HEADER, "", False),
    "sign-pass-01": ("D28441A0A2012604423131", COSE_CONTENT, _EMPTY_HEADER, "", True),
    "sign-pass-02": ("D28443A10126A104423131", COSE_CONTENT, _WITH_MORE, "11AA22BB33CC44DD55006699", True),
    "sign-pass-03": ("8443A10126A104423131", COSE_CONTENT, _USUAL, "", True),
}


@pytest.mark.parametrize("name", COSE_VECTORS)
def test_the_cose_working_groups_vectors_say_the_same(name: str) -> None:
    """What has to be signed, and which signatures hold."""
    head, content, made, more, holds = COSE_VECTORS[name]
    raw = bytes.fromhex(head) + b"\x54" + content + b"\x58\x40" + made
    with pytest.raises(Malformed):
        decode_sign1(raw)  # all of them keep the key id in the unprotected header, which ours leave empty
    try:
        value = cbor2.loads(raw)
    except cbor2.CBORError:
        assert not holds
        return
    fields = value.value if isinstance(value, cbor2.CBORTag) else value
    protected, unprotected, payload, signature = fields
    # RFC 9052 §4.4: an empty map is signed as no bytes. Ours is never empty.
    signed = cose.to_be_signed(b"" if protected == b"\xa0" else protected, bytes.fromhex(more), payload)
    x, y = COSE_KEY
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    header = {**unprotected, **(cbor2.loads(protected) if protected else {})}

    def check() -> None:
        if getattr(value, "tag", 18) != 18 or header.get(1) != cose.ALG_BY_SUITE["P256-SHA256"]:
            raise VerificationError("another structure or algorithm")
        check_signature(Suite.P256_SHA256, spki, signed, cose.der_signature("P256-SHA256", signature))

    if holds:
        check()
    else:
        with pytest.raises(VerificationError):
            check()


def test_what_has_to_be_signed_is_what_the_cose_working_group_signed() -> None:
    signed = cose.to_be_signed(bytes.fromhex("A201260300"), b"", COSE_CONTENT)
    assert signed == bytes.fromhex("846A5369676E61747572653145A2012603004054") + COSE_CONTENT
    external = bytes.fromhex("11AA22BB33CC44DD55006699")
    signed = cose.to_be_signed(bytes.fromhex("A10126"), external, COSE_CONTENT)
    assert signed == bytes.fromhex("846A5369676E61747572653143A101264C") + external + b"\x54" + COSE_CONTENT


# Codes -----------------------------------------------------------------------------------------------------


@given(
    st.builds(
        codes.PrintedClaims,
        issuer=words, issued_at=seconds, not_before=st.none() | seconds, expires_at=st.none() | seconds,
        pid=st.binary(min_size=16, max_size=16), level=st.integers(0, 3),
        fields=st.dictionaries(st.integers(0, 40), words, max_size=6), content=digests,
        status_list=small, status_index=small, type_short=words, type_version=small, version=small,
    )
)  # fmt: skip
def test_the_claims_of_a_printed_code_come_back(claims: codes.PrintedClaims) -> None:
    assert codes.decode_printed_claims(codes.encode_printed_claims(claims)) == claims


@given(st.binary(max_size=300))
def test_base32_comes_back_and_has_one_spelling(data: bytes) -> None:
    text = codes.encode_base32(data)
    assert codes.decode_base32(text) == data
    for at in range(len(text)):
        for other in "A7":
            changed = text[:at] + other + text[at + 1 :]
            try:
                assert (codes.decode_base32(changed) == data) is (changed == text)
            except Malformed:
                continue


def test_spare_bits_of_the_last_character_must_be_zero() -> None:
    assert codes.decode_base32("AA") == b"\0"
    for other in "BCD":
        with pytest.raises(Malformed):
            codes.decode_base32("A" + other)


@given(st.binary(min_size=10, max_size=10), st.integers(0, 65535))
def test_a_live_handle_comes_back_to_its_maker_only(session: bytes, step: int) -> None:
    handle = codes.LiveHandle(session, step)
    encoded = codes.encode_live_handle(handle, b"server key")
    assert len(encoded) == 26
    assert codes.decode_live_handle(encoded, b"server key") == handle
    with pytest.raises(Malformed):
        codes.decode_live_handle(encoded, b"another key")
    for spoiled in (*flips(encoded, masks=(0x10,)), encoded[:-1], encoded + b"\0", b""):
        with pytest.raises(Malformed):
            codes.decode_live_handle(spoiled, b"server key")


def test_a_scanned_text_is_read_however_it_was_typed() -> None:
    url = codes.live_url("v.chuncheng.example", bytes(26))
    good = codes.read_scanned_text(url)
    assert (good.host, good.kind, good.data) == ("V.CHUNCHENG.EXAMPLE", "P", bytes(26))
    full_width = "".join(chr(ord(c) + 0xFEE0) for c in url)
    for typed in (
        url.lower(),
        f" {url}\r\n",
        url.replace("HTTPS://", ""),
        full_width,
        url.replace("/P/", "/ P /"),
        "]Q1" + url,  # ISO/IEC 15424: which symbology the scanner read
        "\x1d]Q3" + url.lower(),
        url.replace(":", ";"),
        url.replace(":", "："),
        url.replace(":", "；"),
        url.replace("/", "、").replace(".", "。"),
        url.lower().replace("/", "?").replace(".", ">").replace(":", ";"),
    ):
        assert codes.read_scanned_text(typed) == good


def test_a_stuck_shift_key_loses_no_digit() -> None:
    url = "HTTPS://10.0.0.1:8433/P/" + codes.encode_base32(bytes(range(17, 43)))
    shifted = url.translate(str.maketrans("1234567890/.:-", "!@#$%^&*()?>:_"))
    assert set("234567") & set(url[24:])
    assert codes.read_scanned_text(shifted) == codes.read_scanned_text(url)
    assert codes.read_scanned_text("}q!" + shifted.swapcase()) == codes.read_scanned_text(url)


@pytest.mark.parametrize(
    "text",
    ["", "hello", "HTTPS://V.EXAMPLE/X/AAAA", "HTTPS://V.EXAMPLE/P/", "FTP://V.EXAMPLE/P/AAAA",
     "HTTPS://V.EXAMPLE/P/AA1A", "HTTPS://V.EXAMPLE/P/AAAA?x=1", "HTTPS://EVIL@V.EXAMPLE/P/AAAA", "A" * 9000],
)  # fmt: skip
def test_any_other_text_is_none_of_ours(text: str) -> None:
    with pytest.raises(Malformed):
        codes.read_scanned_text(text)
