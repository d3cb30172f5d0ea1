"""`python -m bench.archive_load`: later versions of licences: how fast they are made, and what they cost a verifier.

    renewing    licences that are due, in one process, as the running service makes them: evidence, update, time-stamp,
                ledger entry, receipt
    verifying   the issued file, the same file archived once, and archived ten times, by turns in one run

Medians of several rounds. Writes bench/out/archive.json. Under a minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.service import SUITES, opened
from trust.model.actor import OPERATOR
from verifier.checks.examine import examine_pdf
from verifier.evidence.bundle import evidence_from_bundle

OUT = Path(__file__).with_name("out")


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=100, help="licences of each suite")
    count = options.parse_args().count
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="yz-bench-") as name, opened(Path(name) / "data") as made:
        site = made.site
        for suite in SUITES:
            applications = [made.application(suite) for _ in range(count)]
            issued = [each.issued for each in site.issuer.issuing.issue(OPERATOR, applications)]
            pids = [each.pid for each in issued if each is not None]
            assert len(pids) == count
            began = time.perf_counter()
            assert all(each.error is None for each in site.issuer.archiving.renew(OPERATOR, pids))
            seconds = time.perf_counter() - began
            for _ in range(9):
                site.issuer.archiving.renew(OPERATOR, pids[:1])
            at = site.clock.now()
            bundle = Path(name) / f"bundle-{suite.value}"
            site.issuer.publishing.write_bundle(bundle, at)
            evidence = evidence_from_bundle(bundle, at)
            files = {versions: site.issuer.archiving.file(pids[0], versions) for versions in (0, 1, 10)}
            millis: dict[int, list[float]] = {versions: [] for versions in files}
            for _ in range(10):
                for versions, data in files.items():
                    began = time.perf_counter()
                    found = examine_pdf(
                        data, trust_list=evidence.trust_list, anchors=(), crls=evidence.crls, verified_at=at
                    )
                    millis[versions].append(1000 * (time.perf_counter() - began))
                    assert found.data is not None, found.findings
            results[suite.value] = {
                "renewals_per_second": round(count / seconds, 1),
                "bytes": {versions: len(data) for versions, data in files.items()},
                "verify_ms": {
                    versions: round(statistics.median(taken), 1) for versions, taken in millis.items()
                },
            }
            print(suite.value, json.dumps(results[suite.value]))
    OUT.mkdir(exist_ok=True)
    written = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "count": count, **results}
    (OUT / "archive.json").write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
