"""Salted commitments: how a ledger entry commits to a document without revealing personal data.

    leaf      = SHA-256( 00 ‖ salt ‖ u16 length of name ‖ name ‖ value )
    root      = RFC 6962 Merkle root over the leaves, in ascending order of their names
    content   = root over the fields of an e-certificate; value = RFC 8785 JSON of the field
    commit    = root over { "content", "sha256", "sm3", "signature" }: the content root, both digests over
                the ByteRange of the sealed PDF, SHA-256 of the signature value
    ref       = SHA-256( "yinzheng/ref/v1" ‖ 00 ‖ salt ‖ pid )

Salts are 16 random bytes for each field and 32 bytes elsewhere. The salt before the value makes each leaf hiding;
without it a name or an ID number could be found by trying all values. One field can be shown with its salt and a Merkle
path; deleting the salts unlinks the entry from its content for ever.

Example: a field `ZZMC` with value `"食品经营许可证"` and salt of sixteen zero bytes has the leaf
SHA-256(00 ‖ 00×16 ‖ 0004 ‖ 5a5a4d43 ‖ 22e9a39f…e8af8122).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import rfc8785

from trust.encoding.digests import sha256
from trust.encoding.merkle import root
from trust.model.errors import Malformed

FIELD_SALT_BYTES = 16
SALT_BYTES = 32

FieldValue = str | list[str]


def content_root(fields: Mapping[str, FieldValue], salts: Mapping[str, bytes]) -> bytes:
    """32 bytes that commit to every field. Raises `Malformed` if salts and fields do not have the same names."""
    if not fields or fields.keys() != salts.keys():
        raise Malformed("Each committed field needs exactly one salt.")
    if any(len(salt) != FIELD_SALT_BYTES for salt in salts.values()):
        raise Malformed(f"A field's salt is {FIELD_SALT_BYTES} bytes.")
    return root(
        _leaf(name, salts[name], rfc8785.dumps(fields[name])) for name in sorted(fields, key=str.encode)
    )


@dataclass(frozen=True, slots=True)
class DocumentDigests:
    """Digests of one sealed PDF: both over the bytes in its ByteRange, and SHA-256 of the signature value."""

    sha256: bytes
    sm3: bytes
    signature: bytes


COMMITTED = ("content", "sha256", "signature", "sm3")
"""The parts of a document commitment in their order (ascending by name)."""


def document_commit(content: bytes, document: DocumentDigests, salts: Sequence[bytes]) -> bytes:
    """The `commit` of a ledger entry; one salt of 32 bytes for each of `COMMITTED`."""
    values = (content, document.sha256, document.signature, document.sm3)
    if len(salts) != len(COMMITTED) or any(len(salt) != SALT_BYTES for salt in salts):
        raise Malformed(f"A document commitment needs {len(COMMITTED)} salts of {SALT_BYTES} bytes.")
    if any(len(value) != 32 for value in values):
        raise Malformed("Each committed digest is 32 bytes.")
    return root(_leaf(name, salt, value) for name, salt, value in zip(COMMITTED, salts, values, strict=True))


def ecertificate_ref(pid: bytes, salt: bytes) -> bytes:
    """The name under which one e-certificate's entries stand in the ledger."""
    return sha256(b"yinzheng/ref/v1\0" + salt + pid)


def _leaf(name: str, salt: bytes, value: bytes) -> bytes:
    encoded = name.encode()
    return sha256(b"\0" + salt + len(encoded).to_bytes(2, "big") + encoded + value)
