"""How results are marked at a terminal, and the exit codes of verdicts. Imports no part that reads files."""

from __future__ import annotations

from trust.model.report import Result, Verdict
from trust.terminal import console

EXIT = {
    Verdict.PASSED: console.EXIT_PASSED,
    Verdict.FAILED: console.EXIT_FAILED,
    Verdict.INDETERMINATE: console.EXIT_INDETERMINATE,
}
MARKS = {Result.PASSED: "✔", Result.FAILED: "✖", Result.INDETERMINATE: "▲", Result.NOT_CHECKED: "–"}
