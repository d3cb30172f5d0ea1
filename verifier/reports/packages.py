"""The second half of handing a licence over to an e-archive: checking the package and adding the report to it.

1  check    the package by itself and offline, as its recipient would
2  report   is added and the manifest rewritten; nothing else changes
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trust.encoding.archive_package import REPORT, decode_package, encode_package
from trust.sandbox.workers import Sandbox
from trust.words.language import LANGUAGES, Language
from verifier.checks.archive_package import FourProperties, check_package, encode_four_properties

Page = Callable[[dict[str, Any], Language], str]
"""Makes the printable report, a self-contained HTML page, from its JSON."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The zip and the result of its checks. `later_versions` is 0 if the file was never archived."""

    package: bytes
    checked: FourProperties
    later_versions: int


def add_report(
    files: Mapping[str, bytes], identifier: str, at: datetime, sandbox: Sandbox, page: Page
) -> Exported:
    """The package of these files with the report on it. Failed checks are returned, not raised."""
    checked = check_package(decode_package(encode_package(files, identifier, at)), sandbox, at)
    report = encode_four_properties(checked)
    encoded = json.dumps(report, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
    reports = {f"{REPORT}.json": encoded}
    for language in LANGUAGES:
        reports[f"{REPORT}.{language}.html"] = page(report, language).encode()
    later = sum(path.endswith(".der") for path in files) - 1
    return Exported(encode_package({**files, **reports}, identifier, at), checked, later)
