"""How the command line speaks: language, tables, progress, errors, exit codes.

Results go to stdout, errors to stderr: one sentence what, one sentence what to do. `--json` prints one JSON
object a line and nothing else on stdout.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from trust.app.words import ERRORS_ZH, VIOLATIONS_ZH
from trust.encoding.plain_text import printable
from trust.model.errors import OperationalError, ProfileViolation, TrustError, Violation

Language = Literal["zh-CN", "en"]
EXIT_PASSED, EXIT_FAILED, EXIT_INDETERMINATE, EXIT_USAGE, EXIT_OURS = 0, 1, 2, 3, 4


class _Terminal(Console):
    """Shows text of others as it is: it neither controls the terminal nor is read as mark-up."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """The library would end the program with 1, which is FAILED."""
        raise BrokenPipeError


out = _Terminal(highlight=False, markup=False, emoji=False)
err = _Terminal(stderr=True, highlight=False, markup=False, emoji=False)


def language() -> Language:
    """zh-CN or en, from YINZHENG_LANG or the locale."""
    chosen = os.environ.get("YINZHENG_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG", "")
    return "zh-CN" if chosen.lower().startswith("zh") else "en"


def t(zh: str, en: str) -> str:
    """The text in the user's language; both stand side by side where they are used."""
    return zh if language() == "zh-CN" else en


def print_json(value: object) -> None:
    # A file's name may hold bytes that are no text (PEP 383); escaped so, they are still JSON. So is what another
    # character set than UTF-8 could not write.
    is_utf8 = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    line = json.dumps(value, ensure_ascii=not is_utf8) + "\n"
    sys.stdout.write(line.encode("utf-8", "backslashreplace").decode())
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*columns, show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    out.print(table)


@contextmanager
def progress(total: int, what: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr for long work; `quiet` where the output is for machines."""
    if quiet or total < 2:
        yield lambda count: None
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=err,
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def worst_of(codes: Iterable[int]) -> int:
    """The exit code of several inputs: FAILED before what could not be read, that before INDETERMINATE."""
    found = set(codes)
    order = (EXIT_OURS, EXIT_FAILED, EXIT_USAGE, EXIT_INDETERMINATE)
    return next((code for code in order if code in found), EXIT_PASSED)


def show_error(exc: TrustError) -> int:
    """Prints the error and gives the exit code."""
    if isinstance(exc, ProfileViolation):
        err.print(t("记录不符合要求：", "The record cannot be accepted:"))
        for violation in exc.violations:
            err.print(f"  {violation.field}: {violation_words(violation)}")
    else:
        err.print(error_words(exc))
    return EXIT_OURS if isinstance(exc, OperationalError) else EXIT_USAGE


def error_words(exc: TrustError) -> str:
    """One sentence what, one what to do, in the user's language."""
    if language() == "zh-CN" and exc.zh:
        return exc.zh
    if language() == "zh-CN" and exc.code in ERRORS_ZH:
        return f"{ERRORS_ZH[exc.code]}（{exc.what}）"
    return f"{exc.what} {exc.todo}".strip()


def violation_words(violation: Violation) -> str:
    """Why one field was refused, in the user's language: the checker's own words, or the rule's sentence."""
    if language() == "zh-CN" and violation.zh:
        return violation.zh
    if language() == "zh-CN" and violation.code in VIOLATIONS_ZH:
        return VIOLATIONS_ZH[violation.code]
    return f"{violation.found}: {violation.todo} [{violation.code}]"
