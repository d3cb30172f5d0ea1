"""Checking whether a report is genuine: its signature by a report key in the trust list or a member's trust list.

Only the signed bytes count; other values in the file may have been changed and are not read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from trust.encoding.report import REPORT_TYP
from trust.encoding.trust_list import TrustedMember, TrustList, TrustState
from trust.model.errors import Malformed, TrustError, VerificationError
from trust.model.report import Result
from verifier.evidence.bundle import BundleFiles, find_bundle, no_bundle
from verifier.evidence.members import deployment_finding, narrow
from verifier.evidence.seen import NOTHING_SEEN, Mark, SeenLists
from verifier.evidence.trust_list import check_trust_list, signed_payload

_MAX_BYTES = 2 * 1024 * 1024


def check_sealed_report(
    encoded: bytes, bundle: Path, roots: Sequence[bytes], seen: SeenLists = NOTHING_SEEN
) -> dict[str, Any]:
    """Returns the signed report. `encoded`: the report's JSON with its `report_seal`, or the seal alone.

    Raises `Malformed`, `EvidenceUnavailableError` (NO_BUNDLE) and `VerificationError` (REPORT_BAD; for a trust list
    older than one that was `seen` TRUST_LIST_ROLLED_BACK).
    """
    seal = _seal_of(encoded)
    files = find_bundle(bundle)
    try:
        trust_list = check_trust_list(files.read("trust-list.jws"), roots, least_seq=_least(seen, roots))
    except OSError as exc:
        raise no_bundle(str(bundle)) from exc
    value = _signed_by(trust_list, seal)
    if value is not None:
        return value
    for entry in trust_list.members:
        value = _signed_by_member(files, entry, trust_list, seal, seen)
        if value is not None:
            return value
    raise VerificationError(
        "No key of the trust list signed this report.",
        "Ask whoever made the check for the file as it was saved, or look the report code up.",
        code="REPORT_BAD",
    )


def _least(seen: SeenLists, roots: Sequence[bytes]) -> int:
    return seen.marks(roots).get("trust-list", Mark(0, 0)).number


def _signed_by(trust_list: TrustList, seal: bytes) -> dict[str, Any] | None:
    for key in trust_list.keys:
        payload = signed_payload(seal, key.spki, REPORT_TYP) if key.use == "report" else None
        if payload is None:
            continue
        value: dict[str, Any] = json.loads(payload)
        made_at = datetime.fromisoformat(value["verified_at"])
        if not key.not_before <= made_at <= key.not_after or not key.is_good_at(made_at):
            raise VerificationError("The key of the report was not in force.", code="REPORT_BAD")
        return value
    return None


def _signed_by_member(
    files: BundleFiles, entry: TrustedMember, own: TrustList, seal: bytes, seen: SeenLists
) -> dict[str, Any] | None:
    if entry.state is TrustState.COMPROMISED:
        return None
    try:
        listed = check_trust_list(
            files.member(entry.member_id).read("trust-list.jws"),
            entry.roots,
            least_seq=_least(seen, entry.roots),
        )
    except (OSError, TrustError):
        return None  # a member without lists cannot show who signed
    value = _signed_by(narrow(listed, entry, own), seal)
    if value is None:
        return None
    if deployment_finding(entry, datetime.fromisoformat(value["verified_at"])).result is not Result.PASSED:
        raise VerificationError("The report's deployment was not trusted then.", code="REPORT_BAD")
    return value


def _seal_of(encoded: bytes) -> bytes:
    if len(encoded) > _MAX_BYTES:
        raise Malformed("The file is too large for a report.")
    text = encoded.strip()
    if not text.startswith(b"{"):
        return text
    try:
        seal = json.loads(text)["report_seal"]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise Malformed("This is not a report with a seal.", "Give the file as it was saved.") from exc
    if not isinstance(seal, str):
        raise Malformed("The report was not sealed.", "Ask for one that the service has filed.")
    return seal.encode()
