"""The splice: adding the ledger receipt to a PDF that is already sealed.

The seal's CMS is inside /Contents, which has a fixed length and is not covered by the signature. Unsigned attributes of
the CMS may be added later without changing what was signed; time-stamps are added that way, and so is the receipt. The
parts (certificates, signed attributes, signature value, time-stamp token) are kept as they are, a new frame is written
around them and the receipt, and the rest of the file is unchanged. The key does not sign again, and the page is not
laid out again.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys import asn1
from trust.encoding.cms import SIGNATURE_TIME_STAMP_OID, encode_attribute, encode_seal_cms
from trust.encoding.commitment import DocumentDigests
from trust.encoding.der import OCTET_STRING, SEQUENCE, SET, children, content
from trust.encoding.digests import digest, sha256
from trust.model.errors import Conflict
from trust.pdf.gap import check_gaps

_TIME_STAMP = children(encode_attribute(SIGNATURE_TIME_STAMP_OID, b""))[0]
"""The type of the attribute with the receipt, as encoded in the frame."""


@dataclass(frozen=True, slots=True)
class SealedParts:
    """The parts of a sealed PDF that the ledger and the splice need."""

    byte_range: tuple[int, int, int, int]
    x509_certs: tuple[bytes, ...]
    signed_attrs: bytes
    signature: bytes
    token: bytes
    digests: DocumentDigests


def take_apart(sealed: bytes) -> SealedParts:
    """The parts of a PDF that `issuer.sealing` sealed and that has no receipt yet. Raises `Conflict`.

    If there are several seals, the parts are those of the last one, which gets the receipt, because in an earlier one
    it would change what the later ones signed. The digest of the signature value is over those of all seals in order.
    """
    gaps = check_gaps(sealed)
    try:
        frames = [_read_frame(gap.cms) for gap in gaps]
    except ValueError as exc:
        raise Conflict("The stored PDF holds no seal of ours.", code="NOT_SPLICEABLE") from exc
    if any(set(frame.unsigned) != {_TIME_STAMP} for frame in frames):
        raise Conflict("The stored PDF is not in the state before the splice.", code="NOT_SPLICEABLE")
    gap, frame = gaps[-1], frames[-1]
    return SealedParts(
        byte_range=gap.byte_range,
        x509_certs=frame.x509_certs,
        signed_attrs=frame.signed_attrs,
        signature=frame.signature,
        token=frame.unsigned[_TIME_STAMP],
        digests=DocumentDigests(
            sha256=digest("sha256", *gap.signed),
            sm3=digest("sm3", *gap.signed),
            signature=sha256(b"".join(each.signature for each in frames)),
        ),
    )


def splice_receipt(
    sealed: bytes, parts: SealedParts, receipt: bytes, *, suite: str, sealing_cert: bytes
) -> bytes:
    """The issued PDF: the sealed one with the receipt (DER) among the unsigned attributes.

    `parts` are those that `take_apart` found in `sealed`. The file has the same length, and differs only in the hex
    digits of /Contents. Raises `Conflict` if the receipt does not fit.
    """
    frame = encode_seal_cms(
        suite=suite,
        x509_certs=parts.x509_certs,
        sealing_cert=sealing_cert,
        signed_attrs=parts.signed_attrs,
        signature=parts.signature,
        unsigned_attrs=[
            encode_attribute(SIGNATURE_TIME_STAMP_OID, parts.token),
            encode_attribute(asn1.RECEIPT_OID, receipt),
        ],
    )
    _, gap, resume, _ = parts.byte_range
    room = resume - gap - 2
    digits = frame.hex().upper().encode()
    if len(digits) > room:
        raise Conflict("The receipt does not fit into the room reserved in the PDF.", code="NO_ROOM")
    issued = sealed[: gap + 1] + digits.ljust(room, b"0") + sealed[resume - 1 :]
    _check_only_contents_changed(sealed, issued, parts)
    return issued


def _check_only_contents_changed(sealed: bytes, issued: bytes, parts: SealedParts) -> None:
    """Checks on the output that only /Contents has changed, because a mistake is most likely here."""
    _, gap, resume, _ = parts.byte_range
    frame = _read_frame(check_gaps(issued)[-1].cms)
    if (
        len(issued) != len(sealed)
        or issued[: gap + 1] != sealed[: gap + 1]
        or issued[resume - 1 :] != sealed[resume - 1 :]
        or frame.x509_certs != parts.x509_certs
        or frame.signed_attrs != parts.signed_attrs
        or frame.signature != parts.signature
        or frame.unsigned.get(_TIME_STAMP) != parts.token
        or len(frame.unsigned) != 2
    ):
        raise Conflict(
            "The splice would have changed signed bytes; nothing was stored.", code="NOT_SPLICEABLE"
        )


@dataclass(frozen=True, slots=True)
class _Frame:
    """The parts of a seal's CMS; `unsigned` are its unsigned attributes, by type (DER)."""

    x509_certs: tuple[bytes, ...]
    signed_attrs: bytes
    signature: bytes
    unsigned: dict[bytes, bytes]


def _read_frame(cms: bytes) -> _Frame:
    """Reads the frame that `trust.encoding.cms` writes, and no other CMS. Raises ValueError."""
    _, explicit = children(_tagged(SEQUENCE, cms))
    (signed_data,) = children(_tagged(0xA0, explicit))
    _, _, _, certs, signer_infos = children(_tagged(SEQUENCE, signed_data))
    (signer_info,) = children(_tagged(SET, signer_infos))
    _, _, _, signed_attrs, _, signature, unsigned_attrs = children(_tagged(SEQUENCE, signer_info))
    unsigned = {}
    for attribute in children(_tagged(0xA1, unsigned_attrs)):
        oid, values = children(_tagged(SEQUENCE, attribute))
        (value,) = children(_tagged(SET, values))
        if oid in unsigned:
            raise ValueError("an unsigned attribute stands twice")
        unsigned[oid] = value
    return _Frame(
        x509_certs=tuple(children(_tagged(0xA0, certs))),
        # The signed attributes have the tag of a SET when signed, and implicitly [0] in the frame (RFC 5652 §5.4).
        signed_attrs=b"\x31" + _tagged(0xA0, signed_attrs)[1:],
        signature=content(_tagged(OCTET_STRING, signature)),
        unsigned=unsigned,
    )


def _tagged(tag: int, element: bytes) -> bytes:
    if element[0] != tag:
        raise ValueError(f"expected an element with the tag {tag:#x}, found {element[0]:#x}")
    return element
