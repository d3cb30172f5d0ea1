"""The splice: putting the ledger receipt into a PDF that is sealed already.

The seal's CMS lies inside /Contents, which the seal does not sign, in a room of fixed length. Unsigned
attributes of the CMS may be added later without touching what was signed; that is how a time-stamp gets
there, and so does the receipt. The parts (certificates, signed attributes, signature value, time-stamp
token) are taken as they are, one frame is written around them and the receipt, and everything else of the
file stays where it is. The key does not sign again, and the page is not laid out again.
"""

from __future__ import annotations

from dataclasses import dataclass

from asn1crypto import cms

from keys import asn1
from trust.encoding.cms import SIGNATURE_TIME_STAMP_OID, encode_attribute, encode_seal_cms
from trust.encoding.commitment import DocumentDigests
from trust.encoding.digests import digest, sha256
from trust.model.errors import Conflict
from trust.pdf.gap import check_gap


@dataclass(frozen=True, slots=True)
class SealedParts:
    """What a sealed PDF is made of, for the ledger and for the splice."""

    byte_range: tuple[int, int, int, int]
    x509_certs: tuple[bytes, ...]
    signed_attrs: bytes
    signature: bytes
    token: bytes
    digests: DocumentDigests


def take_apart(sealed: bytes) -> SealedParts:
    """Reads a PDF that `issuer.sealing.pdf` sealed and that has no receipt yet. Raises `Conflict`."""
    asn1.register()
    gap = check_gap(sealed)
    signed_data = cms.ContentInfo.load(gap.cms)["content"]
    (signer_info,) = signed_data["signer_infos"]
    unsigned = {attribute["type"].dotted: attribute for attribute in signer_info["unsigned_attrs"]}
    if set(unsigned) != {SIGNATURE_TIME_STAMP_OID}:
        raise Conflict("The stored PDF is not in the state before the splice.", code="NOT_SPLICEABLE")
    signature = signer_info["signature"].native
    return SealedParts(
        byte_range=gap.byte_range,
        x509_certs=tuple(choice.chosen.dump() for choice in signed_data["certificates"]),
        signed_attrs=b"\x31" + signer_info["signed_attrs"].dump()[1:],
        signature=signature,
        token=unsigned[SIGNATURE_TIME_STAMP_OID]["values"][0].dump(),
        digests=DocumentDigests(
            sha256=digest("sha256", *gap.signed), sm3=digest("sm3", *gap.signed), signature=sha256(signature)
        ),
    )


def splice_receipt(
    sealed: bytes, parts: SealedParts, receipt: bytes, *, suite: str, sealing_cert: bytes
) -> bytes:
    """The issued PDF: the sealed one with the receipt (DER) among the unsigned attributes.

    `parts` are what `take_apart` found in `sealed`. Same length, and equal outside the hex digits of
    /Contents. Raises `Conflict` if the receipt does not fit.
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
    """The splice is the likeliest place to go wrong, so it proves on its own output what it promises."""
    _, gap, resume, _ = parts.byte_range
    (signer_info,) = cms.ContentInfo.load(check_gap(issued).cms)["content"]["signer_infos"]
    token = next(a for a in signer_info["unsigned_attrs"] if a["type"].dotted == SIGNATURE_TIME_STAMP_OID)
    if (
        len(issued) != len(sealed)
        or issued[: gap + 1] != sealed[: gap + 1]
        or issued[resume - 1 :] != sealed[resume - 1 :]
        or signer_info["signed_attrs"].dump()[1:] != parts.signed_attrs[1:]
        or signer_info["signature"].native != parts.signature
        or token["values"][0].dump() != parts.token
    ):
        raise Conflict(
            "The splice would have changed signed bytes; nothing was stored.", code="NOT_SPLICEABLE"
        )
