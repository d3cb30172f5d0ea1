"""Headlines: what a person is told, one headline for each group of finding codes.

`HEADLINES` has a row for every code that a deciding finding can carry. A code that is its own headline has a row too,
so that a code without a row is always a mistake (`tests/verifier/test_headlines.py` walks the source). For a failed
receipt the check decides, not the code: the headline is that the ledger does not match.
"""

from __future__ import annotations

from collections.abc import Mapping

from trust.model.report import Finding, Result

HEADLINES: Mapping[str, str] = {
    "OK": "OK",
    "NOT_PROVEN": "NOT_PROVEN",
    # What was sealed is not what is there.
    "ALTERED": "ALTERED",
    "HASH_FAILURE": "ALTERED",
    "FORMAT_FAILURE": "ALTERED",
    "MALFORMED": "ALTERED",
    "SIG_CONSTRAINTS_FAILURE": "ALTERED",
    "VERIFICATION_FAILED": "BAD_SEAL",
    # The seal or signature itself.
    "BAD_SEAL": "BAD_SEAL",
    "SIG_CRYPTO_FAILURE": "BAD_SEAL",
    "CRYPTO_CONSTRAINTS_FAILURE": "CRYPTO_CONSTRAINTS_FAILURE",
    "SIGNATURE_NOT_SUPPORTED": "SIGNATURE_NOT_SUPPORTED",
    "PARTIAL_COVER": "PARTIAL_COVER",
    "NO_SEAL": "NO_SEAL",
    "HIDDEN_SIGNATURE": "HIDDEN_SIGNATURE",
    "ONLY_TIME_STAMPS": "ONLY_TIME_STAMPS",
    "SES_MALFORMED": "BAD_SEAL",
    "SES_ALGORITHM": "BAD_SEAL",
    "SES_MAKER": "BAD_SEAL",
    "SES_TERM": "SEAL_NOT_IN_FORCE",
    "SES_TIME": "BAD_SEAL",
    "SES_SIGNER_NOT_LISTED": "BAD_SEAL",
    "SES_OTHER_SEAL": "BAD_SEAL",
    "SEAL_NOT_SHOWN": "WRONG_PICTURE",
    "SEAL_PICTURE_DIFFERS": "WRONG_PICTURE",
    "SEAL_NOT_IN_FORCE": "SEAL_NOT_IN_FORCE",
    # Who made it.
    "UNKNOWN_ISSUER": "UNKNOWN_ISSUER",
    "NO_CERTIFICATE_CHAIN_FOUND": "UNKNOWN_ISSUER",
    "NOT_ENTITLED": "NOT_ENTITLED",
    "CERT_NOT_YET_VALID": "SEAL_NOT_IN_FORCE",
    "CERT_EXPIRED": "SEAL_NOT_IN_FORCE",
    "CERT_REVOKED": "SEAL_CERT_REVOKED",
    "SEAL_CERT_REVOKED": "SEAL_CERT_REVOKED",
    "CERT_USAGE": "BAD_SEAL",
    "CERT_CHAIN": "BAD_SEAL",
    "REVOCATION_UNKNOWN": "STATUS_STALE",
    # When.
    "TIME_AHEAD": "TIME_AHEAD",
    "CLOCK_BEHIND": "CLOCK_BEHIND",
    "LEDGER_TIME_AHEAD": "OK",
    "TIME_STAMP_BAD": "BAD_SEAL",
    "TIME_STAMP_NOT_PROVEN": "TIME_STAMP_NOT_PROVEN",
    "UNKNOWN_TIME_STAMP": "UNKNOWN_TIME_STAMP",
    # The ledger.
    "LEDGER_MISMATCH": "LEDGER_MISMATCH",
    "LEDGER_RECEIPT_MALFORMED": "LEDGER_MISMATCH",
    "LEDGER_ENTRY_MISPLACED": "LEDGER_MISMATCH",
    "LOG_ORIGIN_MISMATCH": "LEDGER_MISMATCH",
    "NOTE_UNSIGNED": "LEDGER_MISMATCH",
    "NOTE_SIGNATURE_BAD": "LEDGER_MISMATCH",
    "SUBJECT_REF_MISMATCH": "LEDGER_MISMATCH",
    "QUORUM_NOT_MET": "LEDGER_MISMATCH",
    "NOT_IN_LEDGER": "NOT_IN_LEDGER",
    "LEDGER_CLOSED": "LEDGER_CLOSED",
    # Lists of the service.
    "STATUS_STALE": "STATUS_STALE",
    "EVIDENCE_UNAVAILABLE": "STATUS_STALE",
    "TRUST_LIST_BAD": "TRUST_LIST_FORGED",
    "TRUST_LIST_ROLLED_BACK": "TRUST_LIST_ROLLED_BACK",
    "STATUS_LIST_BAD": "STATUS_LIST_FORGED",
    "LIST_ROLLED_BACK": "LIST_ROLLED_BACK",
    "BUNDLE_MIXED": "BUNDLE_MIXED",
    "CHECKPOINT_BAD": "BUNDLE_MIXED",
    "TWO_HISTORIES": "TWO_HISTORIES",
    "TRY_LATER": "TRY_LATER",
    "REGISTER_EDITED": "REGISTER_EDITED",
    # The licence's life.
    "REVOKED": "REVOKED",
    "SUSPENDED": "SUSPENDED",
    "REPLACED": "REPLACED",
    "EXPIRED": "EXPIRED",
    "NOT_YET": "NOT_YET",
    "ERASED": "ERASED",
    # Codes.
    "CODE_EXPIRED": "CODE_EXPIRED",
    "CODE_USED": "CODE_USED",
    "CODE_NEEDS_NETWORK": "CODE_NEEDS_NETWORK",
    "CODE_ELSEWHERE": "CODE_ELSEWHERE",
    "CODE_FOR_ANOTHER": "CODE_FOR_ANOTHER",
    "NOT_OURS": "NOT_OURS",
    "COPY_WITH_CODE": "COPY_WITH_CODE",
    "SEVERAL_LICENCES": "SEVERAL_LICENCES",
    "KIND_HEIC": "KIND_HEIC",
    "KIND_OFD": "KIND_OFD",
    "KIND_OFFICE": "KIND_OFFICE",
    "KIND_PACKED": "KIND_PACKED",
    # Digests that were asked about instead of files.
    "NOT_IN_REGISTER": "NOT_IN_REGISTER",
    # What cannot be read.
    "CANNOT_BE_READ": "CANNOT_BE_READ",
    "PAGE_SIZE": "CANNOT_BE_READ",
    "BROKEN_PDF": "BROKEN_PDF",
    "ENCRYPTED": "ENCRYPTED",
    "ACTIVE_CONTENT": "ACTIVE_CONTENT",
    "LIMIT_EXCEEDED": "LIMIT_EXCEEDED",
    "NOT_ARCHIVABLE": "ALTERED",
    # What an archive asks of a file.
    "BLANK": "NOT_LASTING",
    "EXTERNAL_REFERENCE": "NOT_LASTING",
    "FONT_NOT_EMBEDDED": "NOT_LASTING",
    "INCOMPLETE": "NOT_LASTING",
    "NO_PDFA": "NOT_LASTING",
    "UNREADABLE": "UNREADABLE",
    "NOT_A_PDF": "NOT_A_PDF",
    "TOO_LARGE": "TOO_LARGE",
}

_OF_THE_LEDGER = "ledger.receipt"


def headline_of(finding: Finding) -> str:
    """What a person is told of the finding that decided a verdict."""
    is_failed_receipt = finding.check == _OF_THE_LEDGER and finding.result is Result.FAILED
    # The receipt's date is also used to judge the time-stamp; a failure there is the time-stamp's, not the ledger's.
    if is_failed_receipt and finding.code != "TIME_STAMP_BAD":
        return "LEDGER_MISMATCH"
    return HEADLINES.get(finding.code, finding.code)
