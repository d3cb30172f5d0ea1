"""`yinzheng archive …`: later versions of licences, and their hand-over to an e-archive 电子档案."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trust.app.cli.seals import opened_service
from trust.app.cli.verifying import EXIT, MARKS, instant
from trust.model.errors import Malformed, TrustError
from trust.terminal import console
from trust.terminal.console import t

if TYPE_CHECKING:
    from verifier.archive_package import FourProperties

archive_app = typer.Typer(
    no_args_is_help=True, help=t("归档：长期有效的版本与移交", "archive: versions that last, and hand-over")
)

Data = Annotated[Path | None, typer.Option("--data", help=t("数据目录", "data folder (or YINZHENG_DATA)"))]
Json = Annotated[bool, typer.Option("--json", help=t("输出 JSON", "print JSON for machines"))]

_STEP = 32
"""Files that share one set of revocation lists and one append."""


@archive_app.command("due", help=t("列出应归档的证照", "list what is due for a new version"))
def due(
    at: Annotated[str | None, typer.Option("--at", help=t("时间", "time, RFC 3339; else now"))] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    with opened_service(data) as service:
        moment = instant(at) or service.clock.now()
        listed = service.archiving.due(moment, limit=max(1, service.archiving.count_due(moment)))
    if json:
        for each in listed:
            console.print_json(
                {"identifier": each.identifier, "since": each.since.isoformat(), "versions": each.versions}
            )
        return
    if listed:
        console.print_table(
            (t("证照标识", "identifier"), t("应归档于", "due since"), t("已有归档版本", "later versions")),
            [(each.identifier, _shown(each.since), str(each.versions)) for each in listed],
        )
    console.out.print(
        t(f"{len(listed)} 份应归档。", f"{len(listed)} due.")
        + (t(" 请运行 yinzheng archive renew。", " Run `yinzheng archive renew`.") if listed else "")
    )


@archive_app.command(
    "renew",
    help=t(
        "生成新的归档版本：指定的证照，或全部应归档的",
        "make a new version of those named, or of all that is due",
    ),
)
def renew(
    identifiers: Annotated[list[str] | None, typer.Argument(metavar="[IDENTIFIER]…")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    done: list[Row] = []
    with opened_service(data) as service:
        if identifiers:
            rows, total = _renew_named(service, list(dict.fromkeys(identifiers))), len(identifiers)
        else:
            at = service.clock.now()
            rows, total = _renew_due(service, at), service.archiving.count_due(at)
        with console.progress(total, t("归档", "archiving"), quiet=json) as advance:
            for row in rows:
                advance(1)
                done.append(row)
                if json:
                    _print_row(row, json)
    failed = sum(error is not None for _, _, error in done)
    if not json:
        for row in done:
            _print_row(row, json)
        made = len(done) - failed
        console.out.print(
            t(f"生成 {made} 个归档版本，失败 {failed} 份。", f"{made} versions made, {failed} failed.")
        )
    if failed:
        if not json:
            console.err.print(
                t(
                    "失败的证照仍列为应归档；排除上述原因后请再次运行。",
                    "What failed stays due: mend the reason above and run this again.",
                )
            )
        raise typer.Exit(console.EXIT_FAILED)


@archive_app.command("versions", help=t("列出一份证照的全部版本", "list the versions of an e-certificate"))
def versions(identifier: str, data: Data = None, json: Json = False) -> None:
    with opened_service(data) as service:
        from issuer.shown import version_json

        listed = service.archiving.versions(service.issuing.named(identifier).pid)
    if json:
        for each in listed:
            console.print_json(version_json(each))
        return
    console.print_table(
        (
            t("版本", "version"),
            t("级别", "level"),
            t("时间戳", "time-stamp"),
            t("下次归档", "next due"),
            t("账本", "entry"),
            "SHA-256",
        ),
        [
            (
                str(each.number),
                each.level,
                _shown(each.stamped_at),
                _shown(each.next_due_at),
                str(each.entry_seq),
                each.sha256.hex(),
            )
            for each in listed
        ],
    )


@archive_app.command(
    "export", help=t("生成移交电子档案的包", "write the package for handing over to an e-archive")
)
def export(
    identifier: str,
    out: Annotated[Path, typer.Option("--out", help="FILE.zip")],
    data: Data = None,
    json: Json = False,
) -> None:
    with opened_service(data) as service:
        from trust.app.exporting import export_package

        made = export_package(service, service.issuing.named(identifier))
    out.write_bytes(made.package)
    if not made.later_versions and not json:
        console.err.print(
            t(
                "该文件尚无归档版本，证据会随证书和吊销列表到期；建议先运行 yinzheng archive renew。",
                "The file was never archived, so its evidence runs out; better run `yinzheng archive renew` first.",
            )
        )
    raise typer.Exit(_print_properties(made.checked, json))


@archive_app.command("check", help=t("离线检测移交包的四性", "check a package alone, offline"))
def check(
    file: Path,
    at: Annotated[
        str | None, typer.Option("--at", help=t("检测时点，缺省为移交时", "time; else when it was made"))
    ] = None,
    trust_root: Annotated[
        list[str] | None, typer.Option("--trust-root", help=t("信任根指纹", "pinned fingerprint"))
    ] = None,
    json: Json = False,
) -> None:
    from trust.app.cli.verifying import named_roots
    from trust.encoding.archive_package import EVIDENCE, decode_package
    from trust.sandbox.workers import Sandbox
    from verifier.archive_package import check_package
    from verifier.bundle import decode_roots
    from verifier.verifying import SANDBOX_JOBS

    package = decode_package(_read(file))
    # Without a name the package's own roots are taken, and a package that has none is found to be incomplete.
    inside = package.files.get(f"{EVIDENCE}roots.json", b"")
    roots = named_roots(decode_roots(inside), trust_root) if trust_root else ()
    with Sandbox(SANDBOX_JOBS, workers=1) as sandbox:
        moment = instant(at) or package.manifest.made_at
        checked = check_package(package, sandbox, moment, roots=roots)
    raise typer.Exit(_print_properties(checked, json))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise Malformed(f"{file.name} cannot be read.", "Check the path.", code="NOT_FOUND") from exc


def _print_properties(checked: FourProperties, json: bool) -> int:
    """What was found, and the exit code that `yinzheng verify` would give for it."""
    from verifier.archive_package import PROPERTY_NAMES, check_name, encode_four_properties

    if json:
        console.print_json(encode_four_properties(checked))
        return EXIT[checked.result]
    side = 0 if console.language() == "zh-CN" else 1
    out = console.out
    out.print(f"{checked.identifier}  {checked.result.value}", soft_wrap=True)
    out.print(f"  {t('检测时点', 'as of')} {_shown(checked.checked_at)}")
    for each in checked.properties:
        out.print(f"{PROPERTY_NAMES[each.property][side]}: {each.result.value}")
        for finding in each.findings:
            detail = f" — {finding.detail}" if finding.detail else ""
            code = f" [{finding.code}]" if finding.code != "OK" else ""
            name = check_name(finding.check, side)
            out.print(f"  {MARKS[finding.result]} {name}{detail}{code}", soft_wrap=True)
    return EXIT[checked.result]


Row = tuple[str, int | None, TrustError | None]


def _renew_named(service: Any, identifiers: list[str]) -> Iterator[Row]:
    """One that is not known stops only itself, like one that cannot be renewed."""
    for start in range(0, len(identifiers), _STEP):
        named: dict[bytes, str] = {}
        for identifier in identifiers[start : start + _STEP]:
            try:
                named[service.issuing.named(identifier).pid] = identifier
            except TrustError as exc:
                yield identifier, None, exc
        for each in service.archiving.renew(list(named)):
            yield named[each.pid], each.number, each.error


def _renew_due(service: Any, at: datetime) -> Iterator[Row]:
    for each in service.archiving.renew_due(at):
        yield service.issuing.issued(pid=each.pid).identifier, each.number, each.error


def _print_row(row: Row, json: bool) -> None:
    identifier, number, error = row
    if json:
        value: dict[str, Any] = {"identifier": identifier, "result": "failed" if error else "renewed"}
        value |= (
            {"code": error.code, "detail": error.what, "todo": error.todo} if error else {"version": number}
        )
        console.print_json(value)
    elif error is not None:
        console.err.print(f"{identifier}: {console.error_words(error)}", soft_wrap=True)
    else:
        console.out.print(f"{identifier}: {t('归档版本', 'version')} {number}", soft_wrap=True)


def _shown(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else ""
