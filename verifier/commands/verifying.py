"""`yinzheng verify`: exit 0 PASSED, 1 FAILED, 2 INDETERMINATE, 3 could not be read. Of several inputs: 1 if any
FAILED, else 3, else 2, else 0."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import typer
from asn1crypto import crl, pem
from rich.text import Text

from keys import asn1
from trust.encoding.plain_text import printable
from trust.encoding.report import encode_report
from trust.model.errors import Malformed
from trust.model.report import Colour, Finding, Report, Result
from trust.sandbox.workers import Sandbox
from trust.terminal import console
from trust.terminal.console import t
from trust.terminal.instants import instant
from trust.terminal.opening import opened
from verifier.checks.verifying import SANDBOX_JOBS, Verifier
from verifier.commands.marks import EXIT, MARKS
from verifier.commands.seen import SeenHere, forget
from verifier.evidence.bundle import open_bundle, read_roots
from verifier.evidence.evidence import Evidence, ListedStatus
from verifier.evidence.seen import NOTHING_SEEN
from verifier.evidence.trust_list import root_fingerprint
from verifier.sentences import check_name, messages_of, not_checked_words, seal_words, signer_words, words_for
from verifier.service import CHECKING, VerifierService

_ENGLISH = re.compile("[A-Za-z]{3}")  # a sentence for whoever mends the program; the code says what it is
_SIGNS = {
    Colour.GREEN: ("✔", "bold green"),
    Colour.AMBER: ("▲", "bold yellow"),
    Colour.RED: ("✖", "bold red"),
    Colour.GREY: ("?", "bold"),
}
_BEHIND = {"TRUST_LIST_ROLLED_BACK", "LIST_ROLLED_BACK", "TWO_HISTORIES"}
Judge = Callable[[bytes | str, datetime], Report]
Opening = Callable[[], AbstractContextManager[VerifierService]]
"""Opens the service on demand, for a command that may not need it."""


def opening(ctx: typer.Context, data: Path | None) -> Opening:
    return lambda: opened(ctx, CHECKING, data)


def verify_objects(
    objects: Sequence[str],
    service: Opening,
    *,
    offline: Path | None,
    anchors: Sequence[Path],
    crls: Sequence[Path] = (),
    roots: Sequence[str],
    at: str | None,
    json: bool,
) -> int:
    """Verifies each object and returns the exit code of the worst result."""
    verified_at = instant(at)
    certificates = [read_anchor(path) for path in anchors]
    lists = [read_crl(path) for path in crls]
    if lists and not certificates:
        raise Malformed(
            "A revocation list says nothing by itself.",
            "Name the root it leads to with --trust-anchor.",
            code="USAGE",
        )
    codes: list[int] = []
    with judging(offline, certificates, roots, service, crls=lists, about_the_past=at is not None) as judge:
        for each in objects:
            try:
                given = object_named(each)
            except Malformed as exc:
                # A missing object must not hide the results of the others.
                _print_unread(each, exc, json)
                codes.append(console.EXIT_USAGE)
                continue
            report = judge(given, verified_at or datetime.now(UTC))
            print_report(each, report, json)
            codes.append(EXIT[report.verdict] if report.was_read else console.EXIT_USAGE)
    return console.worst_of(codes)


def forget_lists(reason: str, roots: Sequence[str], json: bool) -> None:
    """Forgets which lists were seen, at the user's request. Raises `Malformed` without a reason."""
    count = forget(reason, roots)
    if json:
        console.print_json({"forgotten": count})
    else:
        console.out.print(
            t(
                f"已忘记 {count} 个部署的列表，理由已保留：下一份离线包将如第一天一样被采信。",
                f"Forgot the lists of {count} deployment(s) and kept the reason: the next bundle is believed as on the "
                "first day.",
            )
        )


def _print_unread(name: str, exc: Malformed, json: bool) -> None:
    if json:
        console.print_json(
            {"input": _shortened(name), "error": exc.code, "message": console.error_words(exc)}
        )
    console.err.print(console.error_words(exc), soft_wrap=True)


def print_report(name: str, report: Report, json: bool) -> None:
    if json:
        console.print_json({"input": _shortened(name), **encode_report(report, messages_of(report))})
        return
    out, language = console.out, console.language()
    words = words_for(report, language)
    sign, style = _SIGNS[report.colour]
    headline = (printable(f"{sign} {words.headline}"), style)
    out.print(Text.assemble(headline, printable(f" {words.sentence} {words.advice}")))
    out.print(f"  {_shortened(name)}  {report.verdict.value} {report.code}")
    for shown in report.shown:
        out.print(f"  {t(shown.label_zh, shown.label_en)}: {shown.value}")
    if report.shown:  # only filled if the object is what was sealed
        for label, value in seal_words(report.facts, language):
            out.print(f"  {label}: {value}")
    for label, value in signer_words(report.facts, language):
        out.print(f"  {label}: {value}")
    for finding in report.findings:
        kind, _, number = finding.check.partition(".")
        named = check_name(finding.check, language)
        if named is None and number.isdigit():
            named = check_name(kind, language)
        label = f"{named} {number if number.isdigit() else ''}".strip() if named else finding.check
        detail = "" if finding.result is Result.PASSED else f" — {finding.code}"
        if detail and finding.detail and (language == "en" or not _ENGLISH.search(finding.detail)):
            detail += f": {finding.detail}"
        out.print(f"  {MARKS[finding.result]} {label}{detail}")
    if report.freshness is not None:
        fresh = report.freshness
        until = (
            f", {t('下次更新', 'next update')} {fresh.next_update:%Y-%m-%d %H:%M %Z}"
            if fresh.next_update
            else ""
        )
        out.print(f"  {t('状态截至', 'status as of')} {fresh.as_of:%Y-%m-%d %H:%M %Z}{until}")
    for code in report.not_checked:
        out.print(f"  {t('未核验', 'not checked')}: {not_checked_words(code, language)}")


@contextlib.contextmanager
def judging(
    offline: Path | None,
    anchors: Sequence[bytes],
    roots: Sequence[str],
    service: Opening,
    *,
    crls: Sequence[bytes] = (),
    workers: int = 1,
    about_the_past: bool = False,
) -> Iterator[Judge]:
    """Opens a function that judges objects; up to `workers` threads may call it at once.

    Lists in an offline bundle that are older than lists seen here are refused, except in a question about the past;
    then no list is remembered either.
    """
    if offline is None and not anchors:
        with service() as online:
            yield lambda each, at: online.checking.verify(each, at, verifier="cli")
        return
    with Sandbox(SANDBOX_JOBS, workers=workers) as sandbox:
        verifier = Verifier(sandbox, live=None)
        pinned = pinned_roots(offline, roots) if offline is not None else ()
        seen = NOTHING_SEEN if about_the_past else SeenHere()
        opened = open_bundle(offline, roots=pinned, seen=seen) if offline is not None else None

        def judge_offline(each: bytes | str, at: datetime) -> Report:
            nothing = Evidence(None, (), ListedStatus({}), None, online=False)
            evidence = opened.evidence(at) if opened is not None else nothing
            evidence = replace(evidence, crls=(*evidence.crls, *crls))
            if isinstance(each, str):
                return verifier.verify_text(each, evidence, at)
            return verifier.verify_bytes(each, evidence, at, anchors=anchors)

        if pinned:
            listed = ", ".join(root_fingerprint(root)[:16] for root in pinned)
            console.err.print(t(f"信任根：{listed}…", f"Trust roots: {listed}…"))
        yield judge_offline


def is_behind(offline: Path, roots: Sequence[str]) -> bool:
    """True if a newer list than one in this bundle was seen here; results from it must then not be reused."""
    opened = open_bundle(offline, roots=pinned_roots(offline, roots), seen=SeenHere())
    found = [opened.checked] if isinstance(opened.checked, Finding) else opened.checked.problems
    return any(each.code in _BEHIND for each in found)


def pinned_roots(folder: Path, fingerprints: Sequence[str]) -> tuple[bytes, ...]:
    """The bundle's roots; with fingerprints given, only those that were named."""
    try:
        found = read_roots(folder)
    except OSError as exc:
        raise Malformed(
            f"{folder} is not an offline bundle.", "Make one with `yinzheng bundle DIR`.", code="NO_BUNDLE"
        ) from exc
    return named_roots(found, fingerprints)


def named_roots(found: tuple[bytes, ...], fingerprints: Sequence[str]) -> tuple[bytes, ...]:
    """The roots that were named, or all if none was. Raises `Malformed` if none of the named ones is there."""
    if not fingerprints:
        return found
    named = tuple(root for root in found if root_fingerprint(root) in {f.lower() for f in fingerprints})
    if not named:
        raise Malformed(
            "No root of the bundle has a fingerprint that you named.", "Compare with the published ones."
        )
    return named


def object_named(name: str) -> bytes | str:
    path = Path(name)
    is_file = False
    with contextlib.suppress(OSError, ValueError):  # a code may be longer than a file name can be
        is_file = path.is_file()
    if is_file:
        try:
            return path.read_bytes()
        except OSError as exc:
            raise Malformed(
                f"The file {path.name} cannot be opened: {exc.strerror}.",
                "Check its permissions.",
                code="FILE_NOT_OPENED",
            ) from exc
    if "/P/" in name.upper() or "/Q/" in name.upper():
        return name
    raise Malformed(
        f"There is no file {_shortened(name)}, and it is no code.", "Check the path.", code="NOT_FOUND"
    )


def read_anchor(path: Path) -> bytes:
    """A certificate (DER) from a PEM or DER file. Raises `Malformed`."""
    try:
        found = path.read_bytes()
        return bytes(pem.unarmor(found)[2]) if pem.detect(found) else found
    except (OSError, ValueError) as exc:
        raise Malformed(f"{path.name} is not a certificate.", "Give a PEM or DER file.") from exc


def read_crl(path: Path) -> bytes:
    """A revocation list (DER) from a PEM or DER file. Raises `Malformed`."""
    asn1.register()
    try:
        found = path.read_bytes()
        der = bytes(pem.unarmor(found)[2]) if pem.detect(found) else found
        crl.CertificateList.load(der, strict=True)["tbs_cert_list"]["this_update"].native  # noqa: B018 — read late
    except (OSError, *asn1.NOT_READABLE) as exc:
        raise Malformed(f"{path.name} is not a revocation list.", "Give a PEM or DER file.") from exc
    return der


def _shortened(name: str) -> str:
    """The beginning of a code only, because codes are secrets or contain personal fields."""
    upper = name.upper()
    for mark in ("/P/", "/Q/"):
        if mark in upper and not Path(name[:200]).exists():
            return name[: upper.index(mark) + 7] + "…"
    return Path(name).name
