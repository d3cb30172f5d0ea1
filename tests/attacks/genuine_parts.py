"""Genuine bytes for every door of `doors.py`, out of one service and one foreign producer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from attacks.genuine import Genuine
from cryptography.hazmat.primitives.serialization import Encoding
from support.producers import contract
from support.seal_data_world import SealDataWorld

from keys import asn1
from keys.pki import ocsp
from ledger import tiles
from ledger.note import format_vkey, parse_note
from ledger.proof import parse_detached_receipt
from trust.encoding import codes, cose, kept_evidence
from trust.encoding.archive_package import MANIFEST, METADATA_JSON
from trust.encoding.digests import sha256
from trust.encoding.plain_zip import decode_zip
from trust.model.actor import OPERATOR
from trust.model.report import Freshness
from trust.model.status import Status
from trust.pdf.gap import check_gaps

_AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
_CLAIMS = codes.PrintedClaims(
    issuer="chuncheng-market",
    issued_at=_AT,
    not_before=_AT,
    expires_at=datetime(2031, 10, 31, tzinfo=UTC),
    pid=bytes(range(16)),
    level=2,
    fields={0: "JY29901010000001", 1: "春城百味"},
    content=bytes(32),
    status_list=1,
    status_index=20811,
    type_short="FOOD",
    type_version=1,
    version=1,
)
_EVIDENCE = kept_evidence.KeptEvidence(
    trust_list=1,
    crls=(sha256(b"a list"),),
    status=kept_evidence.StatusAnswer(Status.SUSPENDED, Freshness(_AT, _AT, True), "检查", _AT),
    file=kept_evidence.FileAnswer(bytes(16), False),
)


def genuine_parts(genuine: Genuine, folder: Path) -> dict[str, list[bytes]]:
    """By door; all of them are taken. `folder` is for keys of seal makers."""
    asn1.register()
    site, bundle, producer = genuine.world.site, genuine.bundle, genuine.producer
    evidence = genuine.evidence(online=False)
    status = next((bundle / "status").glob("*.cwt")).read_bytes()
    proof = next((bundle / "status").glob("*.tlog-proof")).read_bytes()
    note = (bundle / "checkpoint").read_bytes()
    gaps = [gap for pdf in (genuine.licence, genuine.archived) for gap in check_gaps(pdf)]
    receipt = asn1.embedded_receipt(gaps[0].cms)
    assert receipt is not None
    entries = [site.ledger.log.entry(seq) for seq in range(2)]
    vkeys = [format_vkey(key.vkey) for key in site.ledger.log.stored_keys().keys]
    issued, _ = genuine.world.issue(9)
    package = site.packages.export_package(OPERATOR, issued.identifier).package
    files = decode_zip(package, max_bytes=len(package)).files
    seals = SealDataWorld.at(folder)
    seal_data = site.issuer.seals.using.open(site.issuer.seals.registry.get("chuncheng-market-sm2")).seal_data
    certs = [producer.signer.der, producer.ca.der, seals.signers.cert]
    printed = codes.encode_printed_claims(_CLAIMS)
    sign1 = cose.encode_sign1(cose.encode_protected("SM2-SM3", b"kid12345"), printed, bytes(range(64)))
    handle = codes.encode_live_handle(codes.LiveHandle(bytes(10), 77), bytes(32))
    scanned = [codes.printed_url("v.chuncheng.example", sign1), codes.live_url("v.chuncheng.example", handle)]
    return {
        "trust-list": [evidence.trust_list_payload],
        "sign1": [status, sign1],
        "status-list": [cose.decode_sign1(status, max_bytes=1 << 20).payload],
        "printed-claims": [printed],
        "live-handle": [handle],
        "base32": [codes.encode_base32(sign1).encode()],
        "scanned-text": [text.encode() for text in scanned],
        "seal": [seal_data, seals.seal(seals.info(version=5), stamped=True), seals.seal_2014()],
        "seal-signature": [seals.signature(), seals.signature_2014()],
        "receipt": [receipt],
        "entry": entries,
        "ecertificate": [issued.data],
        "kept-evidence": [kept_evidence.encode_kept_evidence(_EVIDENCE)],
        "jws": [(bundle / "trust-list.jws").read_bytes()],
        "roots": [(bundle / "roots.json").read_bytes()],
        "zip": [genuine.world.packed_bundle()],
        "package": [package],
        "manifest": [files[MANIFEST]],
        "metadata": [files[METADATA_JSON]],
        "note": [note, parse_detached_receipt(proof.decode()).receipt.checkpoint.encode()],
        "checkpoint": [parse_note(note.decode()).text.encode()],
        "proof": [proof],
        "vkey": [key.encode() for key in vkeys],
        "policy": [f"log {vkeys[0]} https://v.chuncheng.example/ledger\nquorum none\n".encode()],
        "tile": [tiles.encode_hashes([sha256(entry) for entry in entries])],
        "entries": [tiles.encode_bundle(entries)],
        "der": [seal_data, receipt],
        "cms": [gap.cms for gap in gaps],
        "x509": certs,
        "certs": [producer.signer.cert.public_bytes(Encoding.PEM), certs[0]],
        "pkcs12": [bytes.fromhex("3003020103")],
        "crl-file": producer.crls(),
        "crl": producer.crls(),
        "ocsp-request": [
            ocsp.make_request(certs[:1], producer.ca.der, nonce=b"12345678", algorithm="sha256")
        ],
        "gap": [genuine.licence, genuine.archived, genuine.stamped],
        "plain-pdf": [contract()],
        "shown-text": ["春城 \u202egpj.exe\x1b[2J".encode()],
    }
