"""电子证照标识: the identifier of an e-certificate (GB/T 36904).

    1.2.156.3005.2 . 11100000000013338W011 . 11430000006122244L . 20230000403 . 001 . U
    root             type code (21)          issuer's USCC (18)   serial        version check

The check character is ISO 7064 MOD 37,36 over type, issuer, serial and version without dots; the root is not
part of it. The serial has no fixed length, so an identifier is split at its dots, never at offsets.

An identifier is not the licence number (证照编号), which follows the department's own rules. Identifiers in circulation
with a check character by another rule are refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trust.model.errors import Malformed
from trust.model.parties import UnifiedSocialCreditCode

ROOT = "1.2.156.3005.2"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TYPE_SEQUENCE = re.compile(r"[0-9A-Z]{3}")
_SERIAL = re.compile(r"[0-9A-Z]{1,40}")
_VERSION = re.compile(r"(?!000)[0-9]{3}")


@dataclass(frozen=True, slots=True)
class Identifier:
    """A well-formed identifier; `str()` gives the full text with its check character."""

    type_code: str
    issuer: UnifiedSocialCreditCode
    serial: str
    version: str

    def __post_init__(self) -> None:
        check_type_code(self.type_code)
        if not _SERIAL.fullmatch(self.serial):
            raise _malformed("the serial is 1 to 40 digits and upper-case letters", "IDENTIFIER_SERIAL")
        if not _VERSION.fullmatch(self.version):
            raise _malformed("the version is three digits from 001", "IDENTIFIER_VERSION")

    @property
    def check(self) -> str:
        return check_character(f"{self.type_code}{self.issuer}{self.serial}{self.version}")

    def __str__(self) -> str:
        return f"{ROOT}.{self.type_code}.{self.issuer}.{self.serial}.{self.version}.{self.check}"


def make(*, type_code: str, issuer: UnifiedSocialCreditCode, serial: str, version: int = 1) -> Identifier:
    """The identifier for a new e-certificate, or for a new version of one."""
    return Identifier(type_code, issuer, serial, f"{version:03d}")


def parse(text: str) -> Identifier:
    """The identifier written as `text`. Raises `Malformed` unless `str(parse(text)) == text`."""
    head, dot, rest = text[: len(ROOT)], text[len(ROOT) : len(ROOT) + 1], text[len(ROOT) + 1 :]
    if head != ROOT or dot != ".":
        raise _malformed(f"it begins with the root {ROOT}", "IDENTIFIER_ROOT")
    parts = rest.split(".")
    if len(parts) != 5:
        raise _malformed("type, issuer, serial, version and check follow the root", "IDENTIFIER_PARTS")
    type_code, issuer, serial, version, check = parts
    identifier = Identifier(type_code, UnifiedSocialCreditCode(issuer), serial, version)
    if check != identifier.check:
        raise _malformed("the check character is ISO 7064 MOD 37,36", "IDENTIFIER_CHECK")
    return identifier


def check_type_code(type_code: str) -> None:
    """Checks a 证照类型代码: the USCC of the body that defines the type, and three characters of sequence. Raises
    `Malformed`."""
    if len(type_code) != 21 or not _TYPE_SEQUENCE.fullmatch(type_code[18:]):
        raise _malformed("the type code is a body's USCC and three more characters", "IDENTIFIER_TYPE")
    UnifiedSocialCreditCode(type_code[:18])


def check_character(text: str) -> str:
    """The check character by ISO 7064 MOD 37,36 (GB/T 17710), the hybrid system, over digits and upper-case letters."""
    product = 36
    for char in text:
        product = (product + _ALPHABET.index(char)) % 36 or 36
        product = product * 2 % 37
    return _ALPHABET[(37 - product) % 36]


def _malformed(rule: str, code: str) -> Malformed:
    return Malformed(f"Not an e-certificate identifier: {rule} (GB/T 36904).", "Copy it again.", code=code)
