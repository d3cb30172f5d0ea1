"""A verification report as JSON, for the API and `yinzheng verify --json`.

    {"schema":"yinzheng-report-1","kind":"pdf","verified_at":…,"verdict":"PASSED","code":"OK","colour":"green",
     "indication":"TOTAL-PASSED","sub_indication":null,
     "messages":{"zh-CN":{"headline","sentence","advice"},"en":{…}},
     "findings":[{"check","result","code","detail"}…],"facts":{…},"shown":[{"name","label_zh","label_en","value"}…],
     "freshness":{"as_of","next_update","online"}|null,"not_checked":[…]}

A service adds `report_code` (the code under which it filed the report, or null) and `report_seal`: the same report with
its code and without this member, signed as compact JWS with typ "ecert-report+jwt" by a key of the trust list whose use
is "report". To rely on a report, check the seal and use its signed content, not the values beside it.

Indications are those of ETSI EN 319 102-1 for the seal layer; the verdict is over all layers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from trust.model.report import Report, Result

SCHEMA = "yinzheng-report-1"
REPORT_TYP = "ecert-report+jwt"
_SEAL_CHECKS = ("file.", "seal.")
_SUB_INDICATIONS = frozenset(
    {
        "FORMAT_FAILURE",
        "HASH_FAILURE",
        "SIG_CRYPTO_FAILURE",
        "SIG_CONSTRAINTS_FAILURE",
        "NO_CERTIFICATE_CHAIN_FOUND",
        "TRY_LATER",
    }
)
_MAPPED = {
    "SEAL_CERT_REVOKED": "REVOKED",
    "SEAL_NOT_IN_FORCE": "OUT_OF_BOUNDS_NOT_REVOKED",
    "UNKNOWN_ISSUER": "NO_CERTIFICATE_CHAIN_FOUND",
    "UNKNOWN_TIME_STAMP": "NO_CERTIFICATE_CHAIN_FOUND",
    "BROKEN_PDF": "FORMAT_FAILURE",
    "TIME_STAMP_BAD": "SIG_CRYPTO_FAILURE",
    "STATUS_STALE": "TRY_LATER",
}


def encode_report(report: Report, messages: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The JSON values of a report; `messages` are its texts by language."""
    indication, sub_indication = _seal_indication(report)
    freshness = report.freshness
    return {
        "schema": SCHEMA,
        "kind": report.kind,
        "verified_at": report.verified_at.isoformat(),
        "verdict": report.verdict.value,
        "code": report.code,
        "colour": report.colour.value,
        "indication": indication,
        "sub_indication": sub_indication,
        "messages": {language: dict(words) for language, words in messages.items()},
        "findings": [
            {"check": f.check, "result": f.result.value, "code": f.code, "detail": f.detail}
            for f in report.findings
        ],
        "facts": dict(report.facts),
        "shown": [
            {"name": s.name, "label_zh": s.label_zh, "label_en": s.label_en, "value": s.value}
            for s in report.shown
        ],
        "freshness": {
            "as_of": freshness.as_of.isoformat(),
            "next_update": freshness.next_update.isoformat() if freshness.next_update else None,
            "online": freshness.online,
        }
        if freshness
        else None,
        "not_checked": list(report.not_checked),
    }


def encode_payload(value: Mapping[str, Any]) -> bytes:
    """The canonical bytes of a report that are signed: equal values give equal bytes."""
    unsealed = {name: each for name, each in value.items() if name != "report_seal"}
    return json.dumps(unsealed, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _seal_indication(report: Report) -> tuple[str | None, str | None]:
    seal = [f for f in report.findings if f.check.startswith(_SEAL_CHECKS)]
    if report.kind != "pdf" or not seal:
        return None, None
    bad = next((f for f in seal if f.result in (Result.FAILED, Result.INDETERMINATE)), None)
    if bad is None:
        return "TOTAL-PASSED", None
    sub = bad.code if bad.code in _SUB_INDICATIONS else _MAPPED.get(bad.code)
    failed = bad.result is Result.FAILED and sub in (
        "FORMAT_FAILURE",
        "HASH_FAILURE",
        "SIG_CRYPTO_FAILURE",
        "REVOKED",
    )
    return ("TOTAL-FAILED" if failed else "INDETERMINATE"), sub
