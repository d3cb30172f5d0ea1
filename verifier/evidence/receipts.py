"""Checking embedded receipts with the keys of the trusted ledger, or of a closed ledger that it continues."""

from __future__ import annotations

from ledger.checkpoint import parse_checkpoint
from ledger.logkeys import LogKeys
from ledger.note import parse_note
from ledger.proof import CheckedReceipt, check_embedded_receipt, parse_receipt
from trust.encoding.entry import decode_entry
from trust.encoding.trust_list import TrustList
from trust.model.errors import EvidenceUnavailableError, Malformed
from verifier.evidence.trust_list import closed_ledgers, ledger_keys


def check_trusted_receipt(entry_bytes: bytes, receipt: str, trust_list: TrustList) -> CheckedReceipt:
    """As `ledger.proof.check_embedded_receipt`; a closed ledger proves entries up to its final size only.

    Raises `VerificationError`, and `EvidenceUnavailableError` (LEDGER_CLOSED) for what a closed ledger signed later.
    """
    closed = _closed_one(entry_bytes, trust_list)
    if closed is None:
        return check_embedded_receipt(entry_bytes, receipt, log_keys=ledger_keys(trust_list))
    try:
        size = parse_checkpoint(parse_note(parse_receipt(receipt).checkpoint).text).size
    except Malformed:
        size = 0  # the check below refuses it
    if size and not closed.of_size(size):
        raise EvidenceUnavailableError(
            f"The ledger {closed.origin} is closed; what it signed at size {size} is not at hand any more.",
            "Ask the issuing department.",
            code="LEDGER_CLOSED",
        )
    return check_embedded_receipt(entry_bytes, receipt, log_keys=closed)


def _closed_one(entry_bytes: bytes, trust_list: TrustList) -> LogKeys | None:
    try:
        origin = decode_entry(entry_bytes).log
    except Malformed:
        return None  # the check reports this after checking the signature
    return closed_ledgers(trust_list).get(origin)
