"""Checks that a file for an archive can be read in the long term and is harmless.

The job draws every page, before any seal was checked, so it runs in sandbox workers that do nothing else.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trust.model.report import Finding, Result
from trust.pdf.data_file import read_data_file
from trust.pdf.lasting import count_drawn_pages, read_needs
from trust.pdf.reading import open_pdf, take_inventory
from verifier.checks.archived_file import take
from verifier.checks.steps import decode_findings, encode_findings


@dataclass(frozen=True, slots=True)
class Readability:
    """Findings on usability and on safety; `facts` are numbers and names for the report."""

    usable: Sequence[Finding]
    safe: Sequence[Finding]
    facts: dict[str, Any]
    data: bytes | None
    """The attached data file, unchecked; only the seal proves it."""


def archived_file_job(arguments: dict[str, Any], blobs: Sequence[bytes]) -> dict[str, Any]:
    found = examine_readability(blobs[0])
    attached = base64.b64encode(found.data).decode() if found.data is not None else None
    return {
        "usable": encode_findings(found.usable),
        "safe": encode_findings(found.safe),
        "facts": found.facts,
        "data": attached,
    }


def decode_readability(answer: dict[str, Any]) -> Readability:
    data = base64.b64decode(answer["data"]) if answer["data"] is not None else None
    return Readability(
        decode_findings(answer["usable"]), decode_findings(answer["safe"]), answer["facts"], data
    )


def examine_readability(data: bytes) -> Readability:
    """Runs the checks on any PDF; they do not depend on its seals."""
    usable: list[Finding] = []
    safe: list[Finding] = []
    facts: dict[str, Any] = {"size": len(data)}
    reader = take(usable, "file.opens", lambda: open_pdf(data))
    if reader is None:
        # It could not be opened; only whether it is encrypted is known.
        code = usable[-1].code
        if code in ("ENCRYPTED", "TOO_LARGE"):
            check = "file.not-encrypted" if code == "ENCRYPTED" else "file.size"
            safe.append(Finding(check, Result.FAILED, code, usable[-1].detail))
        safe.append(Finding("file.no-active-content", Result.INDETERMINATE, code, usable[-1].detail))
        return Readability(usable, safe, facts, None)
    # open_pdf would have refused an encrypted or too large file.
    safe += [Finding("file.not-encrypted", Result.PASSED), Finding("file.size", Result.PASSED)]
    inventory = take(safe, "file.no-active-content", lambda: take_inventory(reader))
    if inventory is not None and inventory.active_names:
        listed = ", ".join(sorted(inventory.active_names))
        safe[-1] = Finding("file.no-active-content", Result.FAILED, "ACTIVE_CONTENT", listed)
    pages = take(usable, "file.drawn", lambda: count_drawn_pages(data))
    if pages is not None:
        facts["pages"], facts["pages_with_content"] = pages
        if not pages[1]:
            usable[-1] = Finding("file.drawn", Result.FAILED, "BLANK", "there is nothing to see on any page")
        counted = inventory.pages if inventory is not None else None
        usable.append(_equal("file.pages", counted, pages[0]))
    data_file = take(usable, "file.data", lambda: read_data_file(reader))
    needs = take(usable, "file.fonts", lambda: read_needs(reader))
    if needs is None:
        safe.append(Finding("file.no-external", Result.INDETERMINATE, usable[-1].code, usable[-1].detail))
        return Readability(usable, safe, facts, data_file)
    facts |= {"fonts": needs.fonts, "pdfa": needs.pdfa}
    if needs.fonts_missing:
        missing = ", ".join(needs.fonts_missing)
        usable[-1] = Finding("file.fonts", Result.FAILED, "FONT_NOT_EMBEDDED", missing)
    usable.append(
        Finding("file.pdfa", Result.PASSED, detail=f"PDF/A-{needs.pdfa}")
        if needs.pdfa
        else Finding("file.pdfa", Result.INDETERMINATE, "NO_PDFA", "the file does not claim to be PDF/A")
    )
    safe.append(
        Finding("file.no-external", Result.FAILED, "EXTERNAL_REFERENCE", ", ".join(needs.external))
        if needs.external
        else Finding("file.no-external", Result.PASSED)
    )
    return Readability(usable, safe, facts, data_file)


def _equal(check: str, expected: object, found: object) -> Finding:
    if expected == found:
        return Finding(check, Result.PASSED, detail=str(found))
    return Finding(check, Result.FAILED, "FORMAT_FAILURE", f"{expected} are listed, {found} are there")
