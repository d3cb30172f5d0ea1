"""Setting a further seal in an empty field of a sealed document (`trust.pdf.further`)."""

from __future__ import annotations

from datetime import datetime

from issuer.sealing.prepared import picture_as_xobject
from issuer.sealing.use import CONTENTS_HEX_DIGITS, SealInUse
from keys.tsa import TimeStamper
from trust.encoding.cms import (
    SIGNATURE_TIME_STAMP_OID,
    encode_attribute,
    encode_constant_seal_attributes,
    encode_seal_cms,
    encode_signed_attributes,
)
from trust.encoding.digests import digest
from trust.model.errors import Conflict
from trust.pdf.further import FurtherField, encode_further_seal, further_parts
from trust.pdf.reading import open_pdf
from trust.pdf.update import dictionary_at, read_version


def add_further_seal(
    pdf: bytes,
    field: FurtherField,
    *,
    seal: SealInUse,
    tsa: TimeStamper,
    reason: str,
    at: datetime,
) -> bytes:
    """The PDF with the field filled. The key signs exactly once.

    Raises `Conflict` (NO_ROOM, or NOT_SEALABLE if the seal's picture cannot be placed), `NotAFurtherSeal`,
    `NotArchivable` and `KeyUnavailable`.
    """
    reader = open_pdf(pdf)
    before = read_version(pdf, reader)
    number = before.fields[before.names.index(field.name)]
    picture = None
    if field.box is not None:
        picture = picture_as_xobject(seal.picture_pdf)
        if picture is None:
            raise Conflict(
                "The picture of the seal cannot be placed.", "Make the seal anew.", code="NOT_SEALABLE"
            )
    empty = dictionary_at(pdf, reader, number)
    head, tail = encode_further_seal(before, empty, number, further_parts(picture, at, reason))
    algorithm = seal.key.record.suite.digest
    constant = encode_constant_seal_attributes(seal.suite, seal.certs[0], seal.seal_data)
    signed_attrs = encode_signed_attributes(constant, digest(algorithm, pdf, head, tail))
    signature = seal.key.sign(signed_attrs)
    frame = encode_seal_cms(
        suite=seal.suite,
        x509_certs=seal.certs,
        sealing_cert=seal.certs[0],
        signed_attrs=signed_attrs,
        signature=signature,
        unsigned_attrs=[
            encode_attribute(SIGNATURE_TIME_STAMP_OID, tsa.stamp(digest(algorithm, signature), algorithm))
        ],
    )
    digits = frame.hex().upper().encode("ascii")
    if len(digits) > CONTENTS_HEX_DIGITS:
        raise Conflict("The seal's certificates do not fit into the room reserved.", code="NO_ROOM")
    return b"".join((pdf, head, b"<", digits.ljust(CONTENTS_HEX_DIGITS, b"0"), b">", tail))
