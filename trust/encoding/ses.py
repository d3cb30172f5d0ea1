"""National e-seal data: the seal (SESeal, 电子印章) and the e-seal signature (SES_Signature, 电子签章).

Version 4 (GB/T 38540-2020) is written; the older GM/T 0031-2014 and version 5 (GM/T 0031-2025) are read too.

    SESeal v4, v5 ::= SEQUENCE { SES_SealInfo, cert OCTET STRING, signAlgID OID, signedValue BIT STRING,
                                 timeStamp [0] BIT STRING OPTIONAL }                        -- v5 only
    SESeal 2014   ::= SEQUENCE { SES_SealInfo, SEQUENCE { cert OCTET STRING, OID, signData BIT STRING } }

    SES_SealInfo ::= SEQUENCE {
      header    SEQUENCE { ID IA5String "ES", version INTEGER, Vid IA5String },
      esID      IA5String,
      property  SEQUENCE { type INTEGER, name UTF8String, certListType INTEGER,           -- absent in 2014
                           certList SEQUENCE OF OCTET STRING
                                  | SEQUENCE OF SEQUENCE { type PrintableString, value OCTET STRING },
                           createDate, validStart, validEnd GeneralizedTime },           -- UTCTime in 2014
      picture   SEQUENCE { type IA5String, data OCTET STRING, width INTEGER, height INTEGER },   -- whole mm
      extDatas  SEQUENCE OF SEQUENCE { OID, critical BOOLEAN DEFAULT FALSE, OCTET STRING } OPTIONAL }

    SES_Signature v4, v5 ::= SEQUENCE { TBS_Sign, cert OCTET STRING, OID, signature BIT STRING,
                                        timeStamp [0] BIT STRING OPTIONAL }
    TBS_Sign ::= SEQUENCE { version INTEGER, SESeal, timeInfo GeneralizedTime, dataHash BIT STRING,
                            propertyInfo IA5String, extDatas [0] OPTIONAL }
    SES_Signature 2014   ::= SEQUENCE { TBS_Sign, signature BIT STRING }
    TBS_Sign 2014 ::= SEQUENCE { version, SESeal, timeInfo BIT STRING, dataHash BIT STRING, propertyInfo,
                                 cert OCTET STRING, OID }

The signed bytes are the SES_SealInfo in a seal of v4 and v5, the SEQUENCE of SES_SealInfo, cert and OID in one of 2014,
and the TBS_Sign in an e-seal signature. They are always the bytes received, never an encoding of what was parsed,
because writers in the field sign `critical FALSE`, which DER forbids.

The envelope around the signed bytes is not signed itself, so it is rebuilt from its parts and compared; no byte of it
can be changed. Writers disagree on a few tags; both forms are read, and each deviation from the standard's text is
recorded in `oddities`, for the report.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum
from typing import Final

from asn1crypto import core

from trust.encoding.der import (
    OCTET_STRING,
    SEQUENCE,
    UTF8_STRING,
    children,
    element_length,
    octets,
    sequence,
    tlv,
)
from trust.model.errors import Malformed

MAX_SEAL_BYTES: Final = 1024 * 1024
"""Our own limit: a seal contains one small picture and a few certificates."""

_BOOLEAN, _INTEGER, _BIT_STRING, _OID = 0x01, 0x02, 0x03, 0x06
_PRINTABLE, _IA5, _UTC_TIME, _GENERALIZED_TIME, _TAGGED_0 = 0x13, 0x16, 0x17, 0x18, 0xA0
_CHINA = timezone(timedelta(hours=8))


class SesVersion(IntEnum):
    """The version of the structure; the header contains 4 or 5, while that of 2014 has no fixed number."""

    V2014 = 1
    V4 = 4
    V5 = 5


class CertListType(IntEnum):
    CERTIFICATES = 1
    DIGESTS = 2


@dataclass(frozen=True, slots=True)
class SealPictureData:
    """印章图片, the picture. `kind` is such as "PNG"; sizes are the displayed ones in whole millimetres."""

    kind: str
    data: bytes
    width_mm: int
    height_mm: int


@dataclass(frozen=True, slots=True)
class CertDigest:
    """The digest of a certificate. `algorithm` is the writer's text, an OID or a name."""

    algorithm: str
    value: bytes


@dataclass(frozen=True, slots=True)
class ExtensionData:
    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SealInfo:
    """印章信息, the signed part of a seal. `certs` (DER) if it lists certificates, `cert_digests` if it lists digests.

    `seal_type` is defined by each system; it never decides whether the owner is a person or a body.
    """

    version: int
    vendor: str
    seal_id: str
    seal_type: int
    name: str
    certs: Sequence[bytes] = ()
    cert_digests: Sequence[CertDigest] = ()
    created_at: datetime
    valid_from: datetime
    valid_until: datetime
    picture: SealPictureData
    extensions: Sequence[ExtensionData] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealData:
    """A seal as received. `signed` are the bytes that the maker's `signature` is over."""

    version: SesVersion
    info: SealInfo
    signed: bytes
    maker_cert: bytes
    signature_oid: str
    signature: bytes
    time_stamp: bytes | None
    der: bytes
    oddities: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SealSignatureData:
    """An e-seal signature as received. `signed` is the TBS_Sign that `signature` is over.

    `signed_at` is the time that the signer states; None if it is a token (2014), which is then in `time_stamp`.
    """

    version: SesVersion
    seal: SealData
    signed: bytes
    signed_at: datetime | None
    data_hash: bytes
    property_info: str
    extensions: Sequence[ExtensionData]
    signer_cert: bytes
    signature_oid: str
    signature: bytes
    time_stamp: bytes | None
    der: bytes
    oddities: Sequence[str] = ()


# --- writing: version 4, and 5 on request ------------------------------------------------------------------


def encode_seal_info(info: SealInfo) -> bytes:
    """SES_SealInfo of version 4 or 5, which the seal's maker signs. Raises `Malformed` for what cannot be encoded."""
    if info.version not in (SesVersion.V4, SesVersion.V5):
        raise Malformed("Seal data is written in version 4 or 5.")
    if bool(info.certs) == bool(info.cert_digests):
        raise Malformed("A seal lists certificates or digests of certificates, one of the two.")
    if not info.valid_from < info.valid_until:
        raise Malformed("A seal's term ends after it begins.")
    if info.certs:
        list_type = CertListType.CERTIFICATES
        listed = [octets(cert) for cert in info.certs]
    else:
        list_type = CertListType.DIGESTS
        listed = [
            sequence(_text(_PRINTABLE, digest.algorithm), octets(digest.value))
            for digest in info.cert_digests
        ]
    picture = info.picture
    return sequence(
        sequence(_text(_IA5, "ES"), _integer(info.version), _text(_IA5, info.vendor)),
        _text(_IA5, info.seal_id),
        sequence(
            _integer(info.seal_type),
            tlv(UTF8_STRING, info.name.encode()),
            _integer(list_type),
            sequence(*listed),
            _generalized_time(info.created_at),
            _generalized_time(info.valid_from),
            _generalized_time(info.valid_until),
        ),
        sequence(
            _text(_IA5, picture.kind),
            octets(picture.data),
            _integer(picture.width_mm),
            _integer(picture.height_mm),
        ),
        _extensions(info.extensions),
    )


def encode_seal(
    info: bytes, *, maker_cert: bytes, signature_oid: str, signature: bytes, time_stamp: bytes | None = None
) -> bytes:
    """SESeal around an encoded SES_SealInfo; a time-stamp makes it version 5."""
    return sequence(
        info, octets(maker_cert), _oid(signature_oid), _bit_string(signature), _time_stamp(time_stamp)
    )


def encode_tbs_sign(
    *,
    version: int,
    seal: bytes,
    signed_at: datetime,
    data_hash: bytes,
    property_info: str,
    extensions: Sequence[ExtensionData] = (),
) -> bytes:
    """TBS_Sign of version 4 or 5, which is signed when the seal is used. `property_info` is ASCII, the protected
    range."""
    return sequence(
        _integer(version),
        seal,
        _generalized_time(signed_at),
        _bit_string(data_hash),
        _text(_IA5, property_info),
        tlv(_TAGGED_0, _extensions(extensions)) if extensions else b"",
    )


def encode_seal_signature(
    tbs: bytes, *, signer_cert: bytes, signature_oid: str, signature: bytes, time_stamp: bytes | None = None
) -> bytes:
    """SES_Signature around an encoded TBS_Sign."""
    return sequence(
        tbs, octets(signer_cert), _oid(signature_oid), _bit_string(signature), _time_stamp(time_stamp)
    )


# --- reading: 2014, 4 and 5 --------------------------------------------------------------------------------


def decode_seal(der: bytes) -> SealData:
    """A seal of any of the three versions. Raises `Malformed`."""
    if len(der) > MAX_SEAL_BYTES:
        raise Malformed("The seal data is too large.", code="TOO_LARGE")
    try:
        return _seal(_only(der))
    except _NOT_READABLE as exc:
        raise Malformed("The seal data is not in a form of GB/T 38540 or GM/T 0031.") from exc


def decode_seal_signature(der: bytes) -> SealSignatureData:
    """An e-seal signature of any of the three versions. Raises `Malformed`."""
    if len(der) > 2 * MAX_SEAL_BYTES:
        raise Malformed("The e-seal signature is too large.", code="TOO_LARGE")
    try:
        return _seal_signature(_only(der))
    except _NOT_READABLE as exc:
        raise Malformed("The e-seal signature is not in a form of GB/T 38540 or GM/T 0031.") from exc


_NOT_READABLE = (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class _Element:
    """One DER element: its first octet, its contents, and the whole as received."""

    tag: int
    content: bytes
    whole: bytes

    def children(self, tag: int = SEQUENCE) -> list[_Element]:
        self.expect(tag)
        # `children` splits in one pass, so that a list of a million empty elements does not take quadratic time.
        return [_element(whole) for whole in children(self.whole)]

    def expect(self, *tags: int) -> _Element:
        if self.tag not in tags:
            raise ValueError(f"tag {self.tag:#04x} where {tags[0]:#04x} belongs")
        return self

    def text(self, tag: int = _IA5) -> str:
        return self.expect(tag).content.decode("utf-8" if tag == UTF8_STRING else "ascii")

    def integer(self) -> int:
        content = self.expect(_INTEGER).content
        if not content or (len(content) > 1 and content[0] in (0, 0xFF) and (content[0] ^ content[1]) < 0x80):
            raise ValueError("not the shortest INTEGER")
        return int.from_bytes(content, "big", signed=True)

    def octets(self) -> bytes:
        return self.expect(OCTET_STRING).content

    def bits(self) -> bytes:
        content = self.expect(_BIT_STRING).content
        if not content or content[0] != 0:
            raise ValueError("a BIT STRING that is not whole octets")
        return content[1:]

    def oid(self) -> str:
        identifier = core.ObjectIdentifier.load(self.expect(_OID).whole, strict=True)
        dotted = str(identifier.dotted)
        if _oid(dotted) != self.whole:
            raise ValueError("not the shortest OBJECT IDENTIFIER")
        return dotted


def _element(whole: bytes) -> _Element:
    if whole[0] & 0x1F == 0x1F:
        raise ValueError("a tag that no structure here uses")
    first = whole[1]
    return _Element(whole[0], whole[2 + (first & 0x7F if first & 0x80 else 0) :], whole)


def _only(der: bytes) -> _Element:
    if element_length(der) != len(der):
        raise ValueError("not one element")
    return _element(der)


def _seal(top: _Element) -> SealData:
    oddities: list[str] = []
    if top.tag == OCTET_STRING:  # some writers wrap the seal once more
        oddities.append("SESeal wrapped in an OCTET STRING")
        top = _only(top.content)
    parts = top.children()
    if len(parts) == 2:
        info = _seal_info(parts[0], SesVersion.V2014, oddities)
        cert, oid, signature = _exactly(parts[1].children(), 3)
        envelope = sequence(parts[0].whole, sequence(cert.whole, oid.whole, signature.whole))
        version, stamp = SesVersion.V2014, None
        signed = sequence(parts[0].whole, cert.whole, oid.whole)
    else:
        stated = parts[0].children()[0].children()[1].integer()
        version = SesVersion.V5 if stated == SesVersion.V5 or len(parts) == 5 else SesVersion.V4
        if stated != version:
            raise ValueError("the header states another version")
        if version is SesVersion.V4 and len(parts) != 4:
            raise ValueError("a seal of version 4 has four parts")
        info = _seal_info(parts[0], version, oddities)
        cert, oid, signature, *more = parts[1:]
        stamp = _optional_time_stamp(more, oddities)
        envelope = sequence(
            parts[0].whole, cert.whole, oid.whole, signature.whole, *(each.whole for each in more)
        )
        signed = parts[0].whole
    if envelope != top.whole:
        raise ValueError("not the one encoding")
    return SealData(
        version=version,
        info=info,
        signed=signed,
        maker_cert=cert.octets(),
        signature_oid=oid.oid(),
        signature=signature.bits(),
        time_stamp=stamp,
        der=top.whole,
        oddities=tuple(oddities),
    )


def _seal_info(element: _Element, version: SesVersion, oddities: list[str]) -> SealInfo:
    parts = element.children()
    if len(parts) not in (4, 5):
        raise ValueError("SES_SealInfo has four or five parts")
    header, seal_id, properties, picture = parts[:4]
    mark, stated, vendor = _exactly(header.children(), 3)
    if mark.text() != "ES":
        raise ValueError("the header does not say ES")
    fields = properties.children()
    if version is SesVersion.V2014:
        seal_type, name, listed, *times = _exactly(fields, 6)
        list_type = CertListType.CERTIFICATES
    else:
        seal_type, name, kind, listed, *times = _exactly(fields, 7)
        list_type = CertListType(kind.integer())
    certs: tuple[bytes, ...] = ()
    digests: tuple[CertDigest, ...] = ()
    if list_type is CertListType.CERTIFICATES:
        certs = tuple(each.octets() for each in listed.children())
    else:
        digests = tuple(_cert_digest(each) for each in listed.children())
    usual = _UTC_TIME if version is SesVersion.V2014 else _GENERALIZED_TIME
    if any(each.tag != usual for each in times):
        oddities.append("the seal's times are of the other ASN.1 type")
    created_at, valid_from, valid_until = (_time(each) for each in times)
    picture_kind, data, width, height = _exactly(picture.children(), 4)
    return SealInfo(
        version=stated.integer(),
        vendor=vendor.text(),
        seal_id=seal_id.text(),
        seal_type=seal_type.integer(),
        name=name.text(UTF8_STRING),
        certs=certs,
        cert_digests=digests,
        created_at=created_at,
        valid_from=valid_from,
        valid_until=valid_until,
        picture=SealPictureData(picture_kind.text(), data.octets(), width.integer(), height.integer()),
        extensions=_extension_list(parts[4], oddities) if len(parts) == 5 else (),
    )


def _seal_signature(top: _Element) -> SealSignatureData:
    parts = top.children()
    oddities: list[str] = []
    if len(parts) == 2:
        return _seal_signature_2014(top, parts, oddities)
    tbs, cert, oid, signature, *more = parts
    stamp = _optional_time_stamp(more, oddities)
    fields = tbs.children()
    version, seal, time, data_hash, properties, *rest = fields
    if len(rest) > 1:
        raise ValueError("TBS_Sign has five or six parts")
    read = _seal(seal)
    if version.integer() != read.version:
        oddities.append(f"TBS_Sign states version {version.integer()}")
    if sequence(*(each.whole for each in parts)) != top.whole:
        raise ValueError("not the one encoding")
    return SealSignatureData(
        version=read.version,
        seal=read,
        signed=tbs.whole,
        signed_at=_time(time.expect(_GENERALIZED_TIME)),
        data_hash=_hash(data_hash, oddities),
        property_info=properties.text(),
        extensions=_extension_list(rest[0], oddities, tagged=True) if rest else (),
        signer_cert=cert.octets(),
        signature_oid=oid.oid(),
        signature=signature.bits(),
        time_stamp=stamp,
        der=top.whole,
        oddities=(*oddities, *read.oddities),
    )


def _seal_signature_2014(top: _Element, parts: list[_Element], oddities: list[str]) -> SealSignatureData:
    tbs, signature = parts
    version, seal, time, data_hash, properties, cert, oid = _exactly(tbs.children(), 7)
    version.integer()
    read = _seal(seal)
    if sequence(tbs.whole, signature.whole) != top.whole:
        raise ValueError("not the one encoding")
    if time.tag == OCTET_STRING:
        oddities.append("timeInfo is an OCTET STRING")
        stated = time.octets()
    else:
        stated = time.bits()
    signed_at, stamp = _time_info(stated, oddities)
    return SealSignatureData(
        version=SesVersion.V2014,
        seal=read,
        signed=tbs.whole,
        signed_at=signed_at,
        data_hash=_hash(data_hash, oddities),
        property_info=properties.text(),
        extensions=(),
        signer_cert=cert.octets(),
        signature_oid=oid.oid(),
        signature=signature.bits(),
        time_stamp=stamp,
        der=top.whole,
        oddities=(*oddities, *read.oddities),
    )


def _time_info(stated: bytes, oddities: list[str]) -> tuple[datetime | None, bytes | None]:
    """timeInfo of 2014: a UTCTime or a time-stamp token in the BIT STRING; some write a text in Chinese local time."""
    if re.fullmatch(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", stated):
        oddities.append("timeInfo is a text")
        local = datetime.fromisoformat(stated.decode()).replace(tzinfo=_CHINA)
        return local.astimezone(UTC), None
    inner = _only(stated)
    if inner.tag == SEQUENCE:
        return None, stated
    if inner.tag == _GENERALIZED_TIME:
        oddities.append("timeInfo is a GeneralizedTime")
    return _time(inner), None


def _hash(element: _Element, oddities: list[str]) -> bytes:
    if element.tag == OCTET_STRING:
        oddities.append("dataHash is an OCTET STRING")
        return element.octets()
    return element.bits()


def _optional_time_stamp(more: list[_Element], oddities: list[str]) -> bytes | None:
    match more:
        case []:
            return None
        case [_Element(tag=0xA0) as tagged]:
            (inner,) = tagged.children(_TAGGED_0)
            return inner.bits()
        case [_Element(tag=0x03) as plain]:
            oddities.append("timeStamp without its tag")
            return plain.bits()
        case _:
            raise ValueError("more parts than the structure has")


def _extension_list(
    element: _Element, oddities: list[str], *, tagged: bool = False
) -> tuple[ExtensionData, ...]:
    if (element.tag == _TAGGED_0) is not tagged:
        oddities.append("extDatas tagged in the other way")
    if element.tag == _TAGGED_0:
        (element,) = element.children(_TAGGED_0)
    return tuple(_extension(each, oddities) for each in element.children())


def _extension(element: _Element, oddities: list[str]) -> ExtensionData:
    match element.children():
        case [oid, value]:
            return ExtensionData(oid.oid(), False, value.octets())
        case [oid, critical, value]:
            flag = critical.expect(_BOOLEAN).content
            if flag not in (b"\x00", b"\xff"):
                raise ValueError("not a BOOLEAN")
            if flag == b"\x00":
                oddities.append("critical FALSE is written out")
            return ExtensionData(oid.oid(), flag == b"\xff", value.octets())
    raise ValueError("an extension has two or three parts")


def _cert_digest(element: _Element) -> CertDigest:
    algorithm, value = _exactly(element.children(), 2)
    return CertDigest(algorithm.text(_PRINTABLE), value.octets())


def _exactly(parts: list[_Element], count: int) -> list[_Element]:
    if len(parts) != count:
        raise ValueError(f"{len(parts)} parts where {count} belong")
    return parts


def _time(element: _Element) -> datetime:
    """A time in DER: whole seconds, UTC, ending in Z (X.690 §11.7, §11.8). Raises ValueError for other forms."""
    text = element.text(element.expect(_UTC_TIME, _GENERALIZED_TIME).tag)
    if element.tag == _UTC_TIME:
        if not re.fullmatch(r"\d{12}Z", text):
            raise ValueError("not a UTCTime in DER")
        text = ("19" if text[:2] >= "50" else "20") + text  # RFC 5280 §4.1.2.5.1
    if not re.fullmatch(r"\d{14}Z", text):
        raise ValueError("not a GeneralizedTime in DER")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


# --- parts that are written --------------------------------------------------------------------------------


def _text(tag: int, text: str) -> bytes:
    try:
        return tlv(tag, text.encode("ascii"))
    except UnicodeEncodeError as exc:
        raise Malformed("Seal data has ASCII only in this place.") from exc


def _integer(value: int) -> bytes:
    return bytes(core.Integer(value).dump())


def _oid(dotted: str) -> bytes:
    return bytes(core.ObjectIdentifier(dotted).dump())


def _bit_string(data: bytes) -> bytes:
    return tlv(_BIT_STRING, b"\x00", data)


def _time_stamp(token: bytes | None) -> bytes:
    return tlv(_TAGGED_0, _bit_string(token)) if token is not None else b""


def _generalized_time(at: datetime) -> bytes:
    return _text(_GENERALIZED_TIME, f"{at.astimezone(UTC):%Y%m%d%H%M%SZ}")


def _extensions(extensions: Sequence[ExtensionData]) -> bytes:
    if not extensions:
        return b""
    return sequence(
        *(
            sequence(_oid(each.oid), b"\x01\x01\xff" if each.critical else b"", octets(each.value))
            for each in extensions
        )
    )
