"""Output of the command line: language, tables, progress, errors, exit codes.

Results go to stdout. Errors go to stderr, with one sentence on what was found and one on what to do. `--json` prints
one JSON object a line and nothing else on stdout.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from trust.encoding.plain_text import printable
from trust.model.errors import OperationalError, ProfileViolation, TrustError, Violation
from trust.words.refusals import refusal_zh, violation_zh

_DATUM = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ][\d:.]+(?:\+[\d:]+|Z)?)?"  # a day or a time
    r"|\d[\d.,]*\s?(?:MB|MiB|KB|mm|%)"  # an amount
    r"|(?<![\w.])/(?:[\w.-]+/)*[\w-]+(?:\.\w+)*"  # a path, a name in a PDF
    r"|[\w./-]+\.(?:pdf|csv|xlsx|json|pem|crl|zip|toml|jws|key)\b"  # a file
    r"|(?=[\w.-]*\d)(?=[\w.-]*[A-Za-z])(?=[\w.]*-|\w{8})[\w-]+(?:\.[\w-]+)*"  # an id
)
"""Parts of an English sentence that are the same in any language."""
Language = Literal["zh-CN", "en"]
_WIDEST = 10_000
EXIT_PASSED, EXIT_FAILED, EXIT_INDETERMINATE, EXIT_USAGE, EXIT_OURS = 0, 1, 2, 3, 4


class _Terminal(Console):
    """A console that prints untrusted text literally, without terminal control sequences or mark-up."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """Replaces the library's handling, which would exit with 1, the code of FAILED."""
        raise BrokenPipeError


out = _Terminal(highlight=False, markup=False, emoji=False)
err = _Terminal(stderr=True, highlight=False, markup=False, emoji=False)


def language() -> Language:
    """zh-CN or en, from YINZHENG_LANG or the locale."""
    chosen = os.environ.get("YINZHENG_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG", "")
    return "zh-CN" if chosen.lower().startswith("zh") else "en"


def t(zh: str, en: str) -> str:
    """The text in the user's language; callers give both texts."""
    return zh if language() == "zh-CN" else en


def print_json(value: object) -> None:
    # A file's name may contain bytes that are not text (PEP 383); as JSON escapes they are still valid. The same holds
    # for characters that the terminal's character set cannot encode.
    is_utf8 = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    line = json.dumps(value, ensure_ascii=not is_utf8) + "\n"
    sys.stdout.write(line.encode("utf-8", "backslashreplace").decode())
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table without truncating or wrapping cells, so that ids can be copied, even if rows are wider than the
    window."""
    table = Table(show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*row)
    width = out.width
    try:
        out.width = max(width, table.__rich_measure__(out, out.options.update(max_width=_WIDEST)).maximum)
        out.print(table, crop=False)
    finally:
        out.width = width


@contextmanager
def progress(total: int, what: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Shows a progress bar on stderr; `quiet` if the output is for machines."""
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
    """The exit code for several inputs: FAILED takes precedence over "could not be read", then INDETERMINATE."""
    found = set(codes)
    order = (EXIT_OURS, EXIT_FAILED, EXIT_USAGE, EXIT_INDETERMINATE)
    return next((code for code in order if code in found), EXIT_PASSED)


def show_error(exc: TrustError, name_field: Callable[[str], str] = str) -> int:
    """Prints the error and returns the exit code. `name_field` gives the display name of a record's field."""
    if isinstance(exc, ProfileViolation):
        err.print(t("记录不符合要求：", "The record cannot be accepted:"))
        for violation in exc.violations:
            err.print(f"  {name_field(violation.field)}{t('：', ': ')}{violation_words(violation)}")
    else:
        err.print(error_words(exc), soft_wrap=True)  # an id that is broken across lines cannot be copied
    return EXIT_OURS if isinstance(exc, OperationalError) else EXIT_USAGE


def error_words(exc: TrustError) -> str:
    """The error in the user's language: one sentence on what was found, one on what to do."""
    if language() == "zh-CN" and exc.zh:
        return exc.zh
    if language() == "zh-CN" and (said := refusal_zh(exc.code)):
        # Add the ids, files and numbers that the English sentence names to the Chinese sentence of the code.
        named = "、".join(dict.fromkeys(_DATUM.findall(exc.what)))
        return f"{said}（{named}）" if named else said
    return f"{exc.what} {exc.todo}".strip()


def violation_words(violation: Violation) -> str:
    """Why one field was refused, in the user's language: the text of the check, or the rule's sentence."""
    if language() == "zh-CN" and (said := violation.zh or violation_zh(violation.code)):
        return said
    return f"{violation.found}: {violation.todo} [{violation.code}]"
