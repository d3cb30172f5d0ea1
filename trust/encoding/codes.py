"""The texts in QR codes.

Live code (P), shown on a phone for seconds:

    HTTPS://<HOST>/P/<42 base32 characters>
    26 bytes = session (10) ‖ step (2, big-endian) ‖ first 14 bytes of
               HMAC-SHA-256(server key, "yinzheng/p/1" ‖ 00 ‖ session ‖ step)

Only the service that made it can interpret it. A step is 15 seconds.

Printed code (S), on the page for the licence's whole term:

    HTTPS://<HOST>/Q/<base32 of a COSE_Sign1>, external_aad "ecert:s:1", payload = CWT claims (RFC 8392)

    | key    | name | value                                                              |
    |--------|------|--------------------------------------------------------------------|
    | 1      | iss  | id of the issuing authority, as in the trust list                  |
    | 4      | exp  | last second of validity; absent when long-term                     |
    | 6      | iat  | time of issue                                                      |
    | -70001 | pid  | 16 bytes, the public id                                            |
    | -70003 | lvl  | disclosure level of the fields below                               |
    | -70004 | fld  | { position of the field in its type: printed value }               |
    | -70005 | doc  | [-16, content root]: binds the code to the data in the PDF         |
    | -70006 | st   | [status list, index]                                               |
    | -70007 | typ  | [short name of the type, version of the type]                      |
    | -70008 | nbf  | absent, or first second of validity where it is later than iat     |
    | -70009 | ser  | version of the e-certificate                                       |

base32 is RFC 4648 §6, upper case, without padding: it survives camera apps, scanner guns, keyboards and input methods.
Unused bits of the last character must be zero. external_aad separates the types, so that a printed code cannot pass as
anything else.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from trust.encoding.plain_cbor import decode_cbor, encode_cbor
from trust.model.errors import Malformed

PRINTED_AAD = b"ecert:s:1"
STEP_SECONDS = 15
MAX_PRINTED_BYTES = 2048
_SESSION_BYTES, _STEP_BYTES, _MAC_BYTES = 10, 2, 14
_URL = re.compile(r"^(?:HTTPS?://)?([A-Z0-9.-]{1,64}(?::\d{1,5})?)/([PQ])/([A-Z2-7]{1,3600})$")
_SYMBOLOGY = re.compile(r"^[\]}][A-Z][0-9]")
# What the keys of our alphabet produce without Shift and with a Chinese input method.
_CHINESE_KEYS = str.maketrans(";、。", ":/.")
# What they produce with a stuck Shift key; `¥` is the 4 of a Chinese input method.
_SHIFTED_KEYS = str.maketrans("!@#$¥%^&*()?>》_", "12344567890/..-")


@dataclass(frozen=True, slots=True)
class ScannedCode:
    """A text that has the shape of one of our codes. `kind` is "P" or "Q"."""

    host: str
    kind: str
    data: bytes


def read_scanned_text(text: str) -> ScannedCode:
    """Recognises a text from a camera, a scanner gun or a keyboard. Raises `Malformed` if it is no code of ours.

    Tolerates full-width forms and punctuation of an input method, a Shift key that is stuck or lost, the prefix by
    which a scanner names the symbology (ISO/IEC 15424, `]Q1`), spaces, control characters and lower case. Our addresses
    use none of these, so the repair is unambiguous.
    """
    if len(text) > 8192:
        raise Malformed("The text is longer than any code of ours.", code="NOT_OURS")
    folded = unicodedata.normalize("NFKC", text.replace("……", "^")).translate(_CHINESE_KEYS)
    if "??" in folded:  # Shift is stuck or inverted: `HTTPS:??`
        folded = folded.translate(_SHIFTED_KEYS)
    folded = "".join(ch for ch in folded if not ch.isspace() and unicodedata.category(ch)[0] != "C").upper()
    match = _URL.match(_SYMBOLOGY.sub("", folded))
    if match is None:
        raise Malformed("The text is not one of our codes.", code="NOT_OURS")
    host, kind, encoded = match.groups()
    return ScannedCode(host, kind, decode_base32(encoded))


def encode_base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")


def decode_base32(text: str) -> bytes:
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError) as exc:
        raise Malformed("The code is damaged.", code="UNREADABLE") from exc
    if encode_base32(data) != text:
        raise Malformed("The code is damaged.", code="UNREADABLE")
    return data


# --- Live codes --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LiveHandle:
    session: bytes
    step: int


def encode_live_handle(handle: LiveHandle, server_key: bytes) -> bytes:
    body = handle.session + handle.step.to_bytes(_STEP_BYTES, "big")
    return body + _live_mac(server_key, body)


def decode_live_handle(data: bytes, server_key: bytes) -> LiveHandle:
    """Decodes a handle. Raises `Malformed` unless this server made it. Time and use are not checked here."""
    body, mac = data[: _SESSION_BYTES + _STEP_BYTES], data[_SESSION_BYTES + _STEP_BYTES :]
    if len(mac) != _MAC_BYTES or not hmac.compare_digest(mac, _live_mac(server_key, body)):
        raise Malformed("This service did not make the code.", code="NOT_OURS")
    return LiveHandle(body[:_SESSION_BYTES], int.from_bytes(body[_SESSION_BYTES:], "big"))


def _live_mac(server_key: bytes, body: bytes) -> bytes:
    return hmac.digest(server_key, b"yinzheng/p/1\0" + body, "sha256")[:_MAC_BYTES]


def live_url(host: str, handle: bytes) -> str:
    return f"HTTPS://{host.upper()}/P/{encode_base32(handle)}"


# --- Printed codes -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PrintedClaims:
    """The claims in a printed code. `fields` maps a field's position in its type to the printed value."""

    issuer: str
    issued_at: datetime
    not_before: datetime | None
    expires_at: datetime | None
    pid: bytes
    level: int
    fields: Mapping[int, str]
    content: bytes
    status_list: int
    status_index: int
    type_short: str
    type_version: int
    version: int


def encode_printed_claims(claims: PrintedClaims) -> bytes:
    payload: dict[int, object] = {
        1: claims.issuer,
        6: int(claims.issued_at.timestamp()),
        -70001: claims.pid,
        -70003: claims.level,
        -70004: dict(claims.fields),
        -70005: [-16, claims.content],
        -70006: [claims.status_list, claims.status_index],
        -70007: [claims.type_short, claims.type_version],
        -70009: claims.version,
    }
    if claims.expires_at is not None:
        payload[4] = int(claims.expires_at.timestamp())
    if claims.not_before is not None:
        payload[-70008] = int(claims.not_before.timestamp())
    return encode_cbor(payload)


def decode_printed_claims(payload: bytes) -> PrintedClaims:
    """The inverse of `encode_printed_claims`. Raises `Malformed`."""
    value = decode_cbor(payload, max_bytes=MAX_PRINTED_BYTES)
    match value:
        case {
            1: str(issuer),
            6: int(issued_at),
            -70001: bytes(pid),
            -70003: int(level),
            -70004: dict(fields),
            -70005: [-16, bytes(content)],
            -70006: [int(status_list), int(status_index)],
            -70007: [str(type_short), int(type_version)],
            -70009: int(version),
            **rest,
        } if len(pid) == 16 and len(content) == 32 and set(rest) <= {4, -70008}:
            pass
        case _:
            raise Malformed("The claims of the printed code are not in their format.", code="UNREADABLE")
    if any(not isinstance(k, int) or not isinstance(v, str) for k, v in fields.items()):
        raise Malformed("The fields of the printed code are not in their format.", code="UNREADABLE")
    return PrintedClaims(
        issuer=issuer,
        issued_at=_instant(issued_at),
        not_before=_instant(rest[-70008]) if -70008 in rest else None,
        expires_at=_instant(rest[4]) if 4 in rest else None,
        pid=pid,
        level=level,
        fields=fields,
        content=content,
        status_list=status_list,
        status_index=status_index,
        type_short=type_short,
        type_version=type_version,
        version=version,
    )


def printed_url(host: str, sign1: bytes) -> str:
    return f"HTTPS://{host.upper()}/Q/{encode_base32(sign1)}"


def _instant(seconds: object) -> datetime:
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds < 1 << 36:
        raise Malformed("A time in the printed code is not in its format.", code="UNREADABLE")
    return datetime.fromtimestamp(seconds, UTC)
