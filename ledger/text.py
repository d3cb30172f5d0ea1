"""Strict decoding of the parts of the ledger's texts that could be written in more than one way.

A receipt is embedded in a sealed document, where no byte may be changeable without notice. So a number has no leading
zero, and base64 (RFC 4648 §4, with padding) has no stray bits after the last byte; RFC 4648 §3.5 allows refusing them.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from trust.model.errors import Malformed

_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_MAX_UINT: Final = (1 << 63) - 1


def encode_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def decode_base64(text: str) -> bytes:
    """Decodes canonical base64. Raises `Malformed` for any other text."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as exc:
        raise Malformed("Text that is not base64.") from exc
    if encode_base64(data) != text:
        raise Malformed("Base64 that is not canonical.")
    return data


def decode_decimal(text: str) -> int:
    """Decodes a canonical decimal below 2⁶³. Raises `Malformed` for any other text."""
    if not _DECIMAL.fullmatch(text) or int(text) > _MAX_UINT:
        raise Malformed("Text that is not a decimal number without leading zeros below 2^63.")
    return int(text)


def decode_utf8(data: bytes) -> str:
    """`data` as text. Raises `Malformed` if it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise Malformed("Bytes that are not UTF-8.") from exc
