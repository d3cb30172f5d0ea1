"""`yinzheng verify-many`: a folder of files, or a list of digests, with a result for each and a summary of all.

    results.jsonl   one line for each object as soon as it is judged, and one at the beginning and end of each run
    results.csv     the same as a table: name, SHA-256, verdict, code, sentence, time
    summary.html    counts and table for people

A stopped run is continued: a recorded result is reused if it is less than a day old, comes from the same evidence, and
the file has the same digest. After a completed run everything is judged again, because a licence may have been revoked
since.
"""

from __future__ import annotations

import csv
import html
import json as json_module
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from trust.encoding.digests import sha256
from trust.encoding.plain_text import printable
from trust.model.errors import Malformed
from trust.model.report import Colour, Report, Verdict
from trust.pdf.limits import MAX_FILE_BYTES
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from verifier.checks.verifying import not_read
from verifier.commands.marks import EXIT
from verifier.commands.verifying import Opening, is_behind, judging
from verifier.sentences import words_for

_AT_ONCE = 2
_SHA256 = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})(?:\s+\*?(.*))?")
_COLUMNS = ("name", "sha256", "verdict", "code", "colour", "sentence", "verified_at")
_CARRIED_ON_WITHIN = timedelta(days=1)
Result = dict[str, str]


def verify_everything(
    what: Path, out: Path, service: Opening, *, offline: Path | None, roots: Sequence[str], json: bool
) -> int:
    """Judges everything and returns the exit code of the worst result.

    Raises `Malformed` if `what` is neither a folder nor a list.
    """
    if what.is_dir():
        work: Callable[[ExitStack], Iterator[Result]]
        paths = sorted(
            path for path in what.rglob("*") if path.is_file() and out.resolve() not in path.resolve().parents
        )
        total = len(paths)
        judged_by = _evidence_named(offline, roots)
        done = _results_so_far(out, judged_by)
        work = lambda stack: _files(stack, what, paths, done, offline, roots, service)  # noqa: E731
    elif what.is_file():
        digests = _read_digests(what)
        total, done, judged_by = len(digests), {}, "online"
        if offline is not None:
            raise Malformed("Digests are looked up in the register.", "Leave --offline out.", code="USAGE")
        work = lambda stack: _digests(stack, digests, service)  # noqa: E731
    else:
        raise Malformed(f"There is no {what.name}.", "Give a folder, or a file with a SHA-256 a line.")
    out.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    with (
        ExitStack() as stack,
        (out / "results.jsonl").open("a", encoding="utf-8") as lines,
        console.progress(total, t("核验", "verifying"), quiet=json) as advance,
    ):
        if lines.tell() and not (out / "results.jsonl").read_bytes().endswith(b"\n"):
            lines.write("\n")  # a crash cut off the last line
        if not done:
            _keep(lines, {"begun": datetime.now(UTC).isoformat(), "judged_by": judged_by})
        for result in work(stack):
            if done.get(result["name"]) != result:
                _keep(lines, result)
            results.append(result)
            advance(1)
            if json:
                console.print_json(result)
        _keep(lines, {"finished": datetime.now(UTC).isoformat()})
    _write_csv(out / "results.csv", results)
    (out / "summary.html").write_text(_summary(results), encoding="utf-8")
    counts = Counter(result["colour"] for result in results)
    if not json:
        said = "  ".join(f"{_WORDS[colour]()} {counts[colour]}" for colour in _WORDS if counts[colour])
        console.out.print(f"{said or t('没有文件', 'nothing there')}\n{out / 'summary.html'}")
    return console.worst_of(_exit(result) for result in results)


def _files(
    stack: ExitStack,
    folder: Path,
    paths: Sequence[Path],
    done: Mapping[str, Result],
    offline: Path | None,
    roots: Sequence[str],
    service: Opening,
) -> Iterator[Result]:
    judge = stack.enter_context(judging(offline, (), roots, service, workers=_AT_ONCE))
    pool = stack.enter_context(ThreadPoolExecutor(_AT_ONCE))

    def one(path: Path) -> Result:
        # File names are bytes and may not be valid UTF-8.
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
        at = datetime.now(UTC)
        try:
            with path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError:
            # A file that is locked or gone must not stop the others.
            return _result(name, "", not_read("file", "UNREADABLE", "the file cannot be opened", at))
        if len(content) > MAX_FILE_BYTES:
            return _result(name, "", judge(content, at))
        digest = sha256(content).hex()
        known = done.get(name)
        if known is not None and known["sha256"] == digest:
            return known
        return _result(name, digest, judge(content, at))

    # In small groups, so that an interrupted run does not wait for files that were not begun.
    for start in range(0, len(paths), 64):
        yield from pool.map(one, paths[start : start + 64])


def _digests(stack: ExitStack, digests: Sequence[tuple[str, bytes]], opening: Opening) -> Iterator[Result]:
    from verifier.checks.digests import MAX_DIGESTS

    service = stack.enter_context(opening())
    at = service.clock.now()
    for start in range(0, len(digests), MAX_DIGESTS):
        part = digests[start : start + MAX_DIGESTS]
        for (name, _), checked in zip(
            part, service.checking.digests(operator_here(), [d for _, d in part], at), strict=True
        ):
            report = Report("digest", at, checked.verdict, checked.code, ())
            yield _result(name, checked.sha256.hex(), report)


def _result(name: str, digest: str, report: Report) -> Result:
    return {
        "name": name,
        "sha256": digest,
        "verdict": report.verdict.value,
        "code": report.code,
        "colour": report.colour.value,
        "sentence": words_for(report, console.language()).sentence,
        "verified_at": report.verified_at.isoformat(),
    }


def _evidence_named(offline: Path | None, roots: Sequence[str]) -> str:
    """A name for the evidence of a run, to tell whether old results may be reused. Another bundle may give another
    result for the same file, and so may the same bundle once a newer one was seen."""
    if offline is None:
        return "online"
    if is_behind(offline, roots):
        return "an old bundle"
    paths = sorted(path for path in offline.rglob("*") if path.is_file()) if offline.is_dir() else [offline]
    try:
        return "bundle " + sha256(b"".join(sha256(path.read_bytes()) for path in paths)).hex()
    except OSError:
        return "bundle"  # opening it will report the error


def _results_so_far(out: Path, judged_by: str) -> dict[str, Result]:
    """The results of a run that was stopped less than a day ago, without a line that a crash cut off."""
    found: dict[str, Result] = {}
    path = out / "results.jsonl"
    oldest, is_same = (datetime.now(UTC) - _CARRIED_ON_WITHIN).isoformat(), False
    # Not `splitlines`, which also breaks at characters that may occur inside a line.
    for line in path.read_text("utf-8", "replace").split("\n") if path.exists() else ():
        try:
            value: Any = json_module.loads(line)
        except ValueError:
            continue
        if not isinstance(value, dict):
            continue
        if set(value) != set(_COLUMNS):
            found, is_same = {}, value.get("judged_by") == judged_by
        elif is_same and judged_by != "an old bundle" and str(value["verified_at"]) > oldest:
            found[value["name"]] = value
    return found


def _read_digests(path: Path) -> list[tuple[str, bytes]]:
    """(name, SHA-256) for each line, as `sha256sum` writes them or bare. Raises `Malformed` naming the line."""
    found = []
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        match = _SHA256.fullmatch(line.strip())
        if match is None:
            raise Malformed(
                f"Line {number} is no SHA-256.", "Write 64 hexadecimal digits, and a name if you like."
            )
        found.append((match.group(2) or match.group(1).lower(), bytes.fromhex(match.group(1))))
    return found


def _keep(lines: TextIO, result: Mapping[str, str]) -> None:
    lines.write(json_module.dumps(result, ensure_ascii=False) + "\n")
    lines.flush()
    os.fsync(lines.fileno())


def _write_csv(path: Path, results: Sequence[Result]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.DictWriter(file, _COLUMNS)
        table.writeheader()
        for result in results:
            table.writerow({column: _harmless(result[column]) for column in _COLUMNS})


def _harmless(text: str) -> str:
    """The text, quoted if a spreadsheet would take it for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def _exit(result: Result) -> int:
    return console.EXIT_USAGE if result["colour"] == Colour.GREY else EXIT[Verdict(result["verdict"])]


_WORDS: Mapping[str, Callable[[], str]] = {
    Colour.GREEN.value: lambda: t("通过", "valid"),
    Colour.AMBER.value: lambda: t("注意", "attention"),
    Colour.RED.value: lambda: t("未通过", "not valid"),
    Colour.GREY.value: lambda: t("未读取", "not read"),
}
_SIGNS = {"green": "✔", "amber": "▲", "red": "✖", "grey": "?"}
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:1.5rem auto;max-width:70rem;padding:0 1rem;color:#1a1f2b}
ul{list-style:none;display:flex;flex-wrap:wrap;gap:1rem;padding:0}
li{border:1px solid #c9ced8;border-radius:8px;padding:.5rem 1rem}
b{font-size:1.6rem;display:block}
table{border-collapse:collapse;width:100%}
th,td{text-align:start;vertical-align:top;border-top:1px solid #c9ced8;padding:.4rem .5rem;overflow-wrap:anywhere}
.green{color:#0b6e3c}.amber{color:#8a5a00}.red{color:#b3261e}.grey{color:#555}
code{font-size:.8rem}td:first-child,th:first-child{white-space:nowrap}
@media(max-width:40rem){thead{display:none}td{display:block;border:0}tr{border-top:1px solid #c9ced8;display:block}}
"""


def _summary(results: Sequence[Result]) -> str:
    """A self-contained HTML page: counts, and a table with the results that need attention first."""
    counts = Counter(result["colour"] for result in results)
    order = ["red", "amber", "grey", "green"]
    boxes = "".join(
        f'<li class="{colour}"><b>{counts[colour]}</b>{_SIGNS[colour]} {_WORDS[colour]()}</li>'
        for colour in order
    )
    rows = "".join(
        f'<tr><td class="{each["colour"]}">{_SIGNS[each["colour"]]} {_WORDS[each["colour"]]()}</td>'
        f"<td>{html.escape(printable(each['name']))}</td><td>{html.escape(each['sentence'])}</td>"
        f"<td><code>{each['sha256']}</code></td></tr>"
        for each in sorted(results, key=lambda each: order.index(each["colour"]))
    )
    title = t("批量核验结果", "Results of a batch")
    heads = "".join(
        f"<th>{head}</th>" for head in (t("结论", "Verdict"), t("文件", "File"), t("说明", "Why"), "SHA-256")
    )
    when = f"{datetime.now(UTC):%Y-%m-%d %H:%M UTC}"
    return (
        f'<!doctype html><html lang="{console.language()}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{when}</p><ul>{boxes}</ul><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></html>\n"
    )
