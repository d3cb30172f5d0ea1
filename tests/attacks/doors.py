"""Parsers of this tree that read bytes of strangers, each with what must hold of whatever it takes.

A door either refuses with an error of this tree, or gives a value. Where a value has one encoding only,
its encoding is the very bytes that came: two spellings of one thing would be two digests of it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keys import asn1
from keys.pki import crl, importing, ocsp, read
from ledger import checkpointtext, note, notekeys, proof, tiles
from ledger.witness import policy
from trust.encoding import (
    archive_package,
    codes,
    cose,
    der,
    ecertificate_data,
    entry,
    jws,
    kept_evidence,
    plain_zip,
    receipt,
    ses,
    status_list,
    trust_list,
)
from trust.encoding.plain_text import one_line, printable
from trust.model.errors import Malformed, TrustError
from trust.pdf import gap, plain
from verifier.evidence import bundle

_LIVE_KEY = bytes(32)
_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@dataclass(frozen=True)
class Door:
    """`decode` takes bytes of a stranger. `encode` is given where the value has one encoding."""

    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes] | None = None
    refuses_with: tuple[type[Exception], ...] = (TrustError,)

    def enter(self, data: bytes) -> bool:
        """Whether the bytes were taken. Whatever is raised is a finding."""
        try:
            value = self.decode(data)
        except self.refuses_with:
            return False
        if self.encode is not None:
            assert self.encode(value) == data, "what was taken is not the one encoding of its value"
        return True


def _of_text(decode: Callable[[str], Any]) -> Callable[[bytes], Any]:
    return lambda data: decode(data.decode("utf-8", "replace"))


def _text_door(decode: Callable[[str], Any], encode: Callable[[Any], str]) -> Door:
    """`surrogateescape` keeps every byte apart, so that bytes and text say the same."""
    return Door(
        lambda data: decode(data.decode("utf-8", "surrogateescape")),
        lambda value: encode(value).encode("utf-8", "surrogateescape"),
    )


def _shown(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    line = one_line(text)
    assert printable(line) == line
    assert len(line.splitlines()) <= 1
    assert not {unicodedata.bidirectional(ch) for ch in line} & _TURNS
    return line


def _jws(data: bytes) -> bytes:
    payload = jws.payload_of(data)
    if not jws.is_canonical(data):
        raise Malformed("another spelling")
    return payload


DOORS: dict[str, Door] = {
    "trust-list": Door(trust_list.decode_trust_list),
    "sign1": Door(
        lambda data: cose.decode_sign1(data, max_bytes=1 << 20),
        lambda value: cose.encode_sign1(value.protected, value.payload, value.signature),
    ),
    "status-list": Door(status_list.decode_status_list),
    "printed-claims": Door(codes.decode_printed_claims, codes.encode_printed_claims),
    "live-handle": Door(lambda data: codes.decode_live_handle(data, _LIVE_KEY)),
    "base32": _text_door(codes.decode_base32, codes.encode_base32),
    "scanned-text": Door(_of_text(codes.read_scanned_text)),
    "seal": Door(ses.decode_seal),
    "seal-signature": Door(ses.decode_seal_signature),
    "receipt": Door(receipt.decode_receipt, receipt.encode_receipt),
    "entry": Door(entry.decode_entry, entry.encode_entry),
    "ecertificate": Door(
        ecertificate_data.decode_ecertificate_data, ecertificate_data.encode_ecertificate_data
    ),
    "kept-evidence": Door(kept_evidence.decode_kept_evidence),
    "jws": Door(_jws),
    "roots": Door(bundle.decode_roots),
    "zip": Door(lambda data: plain_zip.decode_zip(data, max_bytes=1 << 20)),
    "package": Door(archive_package.decode_package),
    "manifest": Door(archive_package.decode_manifest),
    "metadata": Door(archive_package.decode_metadata),
    "note": _text_door(note.parse_note, note.format_note),
    "checkpoint": _text_door(checkpointtext.parse_checkpoint, checkpointtext.format_checkpoint),
    "proof": _text_door(proof.parse_detached_receipt, proof.format_detached_receipt),
    "vkey": _text_door(notekeys.parse_vkey, notekeys.format_vkey),
    "policy": Door(policy.parse_policy),
    "tile": Door(lambda data: tiles.decode_hashes(data, width=2), tiles.encode_hashes),
    "entries": Door(lambda data: tiles.decode_bundle(data, width=2), tiles.encode_bundle),
    "der": Door(der.element_length, refuses_with=(TrustError, ValueError)),
    "cms": Door(asn1.embedded_receipt, refuses_with=(ValueError,)),
    "x509": Door(read.read_x509_cert),
    "certs": Door(importing.read_certs),
    "pkcs12": Door(importing.is_pkcs12),
    "crl-file": Door(crl.read_crl_file),
    "crl": Door(crl.issuer_name),
    "ocsp-request": Door(ocsp.read_request),
    "gap": Door(gap.check_gaps),
    "plain-pdf": Door(plain.read_plain_pdf),
    "shown-text": Door(_shown),
}
