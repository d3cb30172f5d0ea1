"""PDFs signed byte by byte, with a CMS in any spelling: as national tools write it, in BER, or wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import core, x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from keys.custody import KeyPurpose, _Sm2SigningKey, make_record
from keys.sm2.encoding import parse_spki, z_value
from keys.suites import Suite
from support.odd_pdfs import letter, page_objects
from support.outside_ca import OutsideCa, new_key, spki_of
from support.producers import Producer
from trust.encoding.der import OCTET_STRING, children, content, octets, sequence, set_of, small_integer, tlv
from trust.encoding.digests import digest

RFC, NATIONAL = "1.2.840.113549.1.7", "1.2.156.10197.6.1.4.2"
ECDSA, SM2_SM3, SM2_1, SM2 = (
    "1.2.840.10045.4.3.2", "1.2.156.10197.1.501", "1.2.156.10197.1.301.1", "1.2.156.10197.1.301",
)  # fmt: skip
SM3, SM3_PLAIN, SHA256 = "1.2.156.10197.1.401", "1.2.156.10197.1.401.1", "2.16.840.1.101.3.4.2.1"
NULL = b"\x05\x00"
_ROOM = 6000


@dataclass
class Hand:
    """Who signs: certificate, root, and what makes a signature over a message. `digest` is that of the algorithm."""

    cert: bytes
    root: bytes
    sign: Callable[[bytes], bytes]
    digest: str
    sign_without_identity: Callable[[bytes], bytes] = lambda _: b""


def sm2_hand(at: datetime, name: str = "National") -> Hand:
    ca = OutsideCa(name, Suite.SM2_SM3, at)
    key = new_key(Suite.SM2_SM3)
    cert = ca.make(
        "A seal",
        spki_of(key),
        issuer=(f"{name} Root", ca.root_key),
        ca=False,
        usage={"digital_signature", "non_repudiation"},
        days=(-1, 700),
        crl=None,
    )
    signing = _Sm2SigningKey(make_record(key.public_key, KeyPurpose.SEAL, Suite.SM2_SM3, "", at), key)

    def without_identity(message: bytes) -> bytes:
        """As OpenSSL does it when it is told no identity."""
        usual, key._z = key._z, z_value(parse_spki(key.public_key), b"")
        try:
            return bytes(key.sign(message))
        finally:
            key._z = usual

    return Hand(cert, ca.root, signing.sign, "sm3", without_identity)


def ecdsa_hand(at: datetime) -> Hand:
    made = Producer("ecdsa", at)
    party = made.new_signer(issuer=made.root, crl=False)
    assert isinstance(party.key, ec.EllipticCurvePrivateKey)
    key = party.key
    return Hand(
        party.der, made.root.der, lambda message: key.sign(message, ec.ECDSA(hashes.SHA256())), "sha256"
    )


def cms(
    hand: Hand,
    signed: bytes,
    *,
    signed_type: str = RFC,
    data_type: str = RFC,
    digest_oid: str | None = None,
    signature_oid: str | None = None,
    parameters: bytes = b"",
    attributes: bool = True,
    encapsulated: bytes | None = None,
    message: bytes | None = None,
    is_raw: bool = False,
) -> bytes:
    """A detached SignedData over `signed`. `message` is what is signed instead of it, where there are no attributes.

    `is_raw`: r and s one after the other, as security modules give them.
    """
    hashing = sequence(_oid(digest_oid or (SM3 if hand.digest == "sm3" else SHA256)), parameters)
    algorithm = sequence(_oid(signature_oid or (SM2_SM3 if hand.digest == "sm3" else ECDSA)), parameters)
    inner = digest(hand.digest, encapsulated if encapsulated is not None else signed)
    attrs = set_of(
        [
            _attribute("1.2.840.113549.1.9.3", _oid(f"{data_type}.1")),
            _attribute("1.2.840.113549.1.9.4", octets(inner)),
        ]
    )
    value = hand.sign(attrs if attributes else signed if message is None else message)
    if is_raw:
        value = b"".join(content(each)[-32:].rjust(32, b"\0") for each in children(value))
    tbs = x509.Certificate.load(hand.cert)["tbs_certificate"]
    signer = sequence(
        small_integer(1),
        sequence(tbs["issuer"].dump(), tbs["serial_number"].dump()),
        hashing,
        b"\xa0" + attrs[1:] if attributes else b"",
        algorithm,
        octets(value),
    )
    held = tlv(0xA0, octets(encapsulated)) if encapsulated is not None else b""
    data = sequence(
        small_integer(1),
        tlv(0x31, hashing),
        sequence(_oid(f"{data_type}.1"), held),
        tlv(0xA0, hand.cert),
        tlv(0x31, signer),
    )
    return sequence(_oid(f"{signed_type}.2"), tlv(0xA0, data))


def signed_letter(
    make: Callable[[bytes], bytes],
    *,
    sub_filter: bytes = b"/adbe.pkcs7.detached",
    more: bytes = b"",
    catalogue: bytes = b"",
    objects: Mapping[int, bytes] | None = None,
    around: tuple[bytes, bytes] = (b"", b""),
    rewrite: Callable[[bytes], bytes] = lambda pdf: pdf,
    **table: Any,
) -> bytes:
    """A letter in one revision, signed as a whole by what `make` makes of the signed bytes; `around` is not signed."""
    gap = b"<" + b"0" * (2 * _ROOM) + b">"
    numbers = b" ".join([b"0" * 10] * 4)
    signature = b"<</Type/Sig/Filter/Adobe.PPKLite%b%b/ByteRange[%b]/Contents %b>>" % (
        b"/SubFilter" + sub_filter if sub_filter else b"", more, numbers, gap,
    )  # fmt: skip
    held = {
        **page_objects(b"/AcroForm<</Fields[6 0 R]/SigFlags 3>>" + catalogue, b"/Annots[6 0 R]"),
        6: b"<</Type/Annot/Subtype/Widget/FT/Sig/T(Signature1)/Rect[0 0 0 0]/F 132/P 3 0 R/V 7 0 R>>",
        7: signature,
        **(objects or {}),
    }
    pdf = rewrite(letter(held, **table))
    start = pdf.index(gap)
    end = start + len(gap)
    written = b"%d %d %d %d" % (0, start, end, len(pdf) - end)
    pdf = pdf.replace(numbers, written.ljust(len(numbers)))
    made = make(pdf[:start] + pdf[end:])
    digits = made.hex().upper().encode()
    pdf = pdf[: start + 1] + digits.ljust(2 * _ROOM, b"0") + pdf[end - 1 :]
    return around[0] + pdf + around[1]


def indefinite(der: bytes, *, pieces: bool = False, keep: Sequence[int] = ()) -> bytes:
    """The same in BER: every constructed element of indefinite length, strings of octets perhaps in pieces.

    Elements with a tag in `keep` stay as they are, and with them all that they hold.
    """
    tag = der[0]
    if tag in keep:
        return der
    if tag & 0x20:
        held = b"".join(indefinite(each, pieces=pieces, keep=keep) for each in children(der))
        return bytes((tag, 0x80)) + held + b"\0\0"
    if pieces and tag == OCTET_STRING and len(content(der)) > 8:
        whole = content(der)
        return bytes((0x24, 0x80)) + octets(whole[:8]) + octets(whole[8:]) + b"\0\0"
    return der


def long_lengths(der: bytes) -> bytes:
    """The same with lengths that are longer than they have to be, at the outermost two levels."""
    held = content(der)
    return der[:1] + b"\x84" + len(held).to_bytes(4, "big") + held


def _attribute(oid: str, value: bytes) -> bytes:
    return sequence(_oid(oid), tlv(0x31, value))


def _oid(dotted: str) -> bytes:
    return bytes(core.ObjectIdentifier(dotted).dump())
