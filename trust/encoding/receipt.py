"""The ledger receipt inside a sealed PDF, an unsigned attribute of its CMS.

    Receipt ::= SEQUENCE {
      version   INTEGER (1),
      entry     OCTET STRING,          -- the ledger entry, as logged (see trust.encoding.entry)
      proof     UTF8String,            -- c2sp.org/tlog-proof@v1: index, hashes, signed checkpoint
      openings  SEQUENCE {
        content  OCTET STRING (32),    -- the content root that was committed to
        refSalt  OCTET STRING (32),    -- opens the entry's ref
        salts    SEQUENCE OF OCTET STRING (32) } }   -- open the entry's commit, in the order of COMMITTED

It includes the entry's bytes and the salts, without which the proof could not be checked offline. The encoding is DER
without optional parts: `decode_receipt` accepts exactly what `encode_receipt` writes.
"""

from __future__ import annotations

from dataclasses import dataclass

from asn1crypto import core

from trust.encoding.commitment import COMMITTED, SALT_BYTES
from trust.encoding.der import UTF8_STRING, octets, sequence, small_integer, tlv
from trust.model.errors import Malformed


@dataclass(frozen=True, slots=True)
class Openings:
    content: bytes
    ref_salt: bytes
    salts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class EmbeddedReceipt:
    entry: bytes
    proof: str
    openings: Openings


def encode_receipt(receipt: EmbeddedReceipt) -> bytes:
    openings = receipt.openings
    return sequence(
        small_integer(1),
        octets(receipt.entry),
        tlv(UTF8_STRING, receipt.proof.encode()),
        sequence(
            octets(openings.content),
            octets(openings.ref_salt),
            sequence(*(octets(salt) for salt in openings.salts)),
        ),
    )


class _Salts(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.OctetString


class _Openings(core.Sequence):  # type: ignore[misc]
    _fields = [("content", core.OctetString), ("ref_salt", core.OctetString), ("salts", _Salts)]  # noqa: RUF012


class _Receipt(core.Sequence):  # type: ignore[misc]
    _fields = [  # noqa: RUF012  asn1crypto reads this class attribute
        ("version", core.Integer),
        ("entry", core.OctetString),
        ("proof", core.UTF8String),
        ("openings", _Openings),
    ]


def decode_receipt(der: bytes) -> EmbeddedReceipt:
    """The inverse of `encode_receipt`. Raises `Malformed` for anything but the canonical encoding."""
    try:
        parsed = _Receipt.load(der, strict=True)
        openings = Openings(
            content=parsed["openings"]["content"].native,
            ref_salt=parsed["openings"]["ref_salt"].native,
            salts=tuple(parsed["openings"]["salts"].native),
        )
        receipt = EmbeddedReceipt(parsed["entry"].native, parsed["proof"].native, openings)
        canonical = encode_receipt(receipt) == der
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
        raise Malformed("The ledger receipt is not in its format.") from exc
    lengths = (len(openings.content), len(openings.ref_salt), *(len(salt) for salt in openings.salts))
    if not canonical or lengths != (32, SALT_BYTES, *(SALT_BYTES for _ in COMMITTED)):
        raise Malformed("The ledger receipt is not in its format.")
    return receipt
