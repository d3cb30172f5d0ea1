"""The second half of handing a licence over to an e-archive: the package is checked, and gets its report.

1  check    the package as anybody would who gets it: alone, offline
2  report   goes in, the manifest is made anew; nothing else changes
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
"""The report to print, from its JSON: an HTML page that needs nothing beside it."""


@dataclass(frozen=True, slots=True)
class Exported:
    """The zip, and what its checks found. `later_versions`: 0 means that the file was never archived."""

    package: bytes
    checked: FourProperties
    later_versions: int


def add_report(
    files: Mapping[str, bytes], identifier: str, at: datetime, sandbox: Sandbox, page: Page
) -> Exported:
    """The package of these files, with the report on itself. What its checks find is told, not raised."""
    checked = check_package(decode_package(encode_package(files, identifier, at)), sandbox, at)
    report = encode_four_properties(checked)
    encoded = json.dumps(report, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
    reports = {f"{REPORT}.json": encoded}
    for language in LANGUAGES:
        reports[f"{REPORT}.{language}.html"] = page(report, language).encode()
    later = sum(path.endswith(".der") for path in files) - 1
    return Exported(encode_package({**files, **reports}, identifier, at), checked, later)
