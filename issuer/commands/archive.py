"""`yinzheng archive …`: later versions of licences, and handing them over to an e-archive 电子档案."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from issuer.service import ISSUER
from trust.model.errors import TrustError
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.instants import instant
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json

if TYPE_CHECKING:
    pass

archive_app = typer.Typer(
    no_args_is_help=True, help=t("归档：长期有效的版本与移交", "archive: versions that last, and hand-over")
)
_STEP = 32
"""The number of files that share one set of revocation lists and one append."""


@archive_app.command("due", help=t("列出应归档的证照", "list what is due for a new version"))
def due(
    ctx: typer.Context,
    at: Annotated[str | None, typer.Option("--at", help=t("时间", "time, RFC 3339; else now"))] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    with opened(ctx, ISSUER, data) as service:
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
    ctx: typer.Context,
    identifiers: Annotated[list[str] | None, typer.Argument(metavar="[IDENTIFIER]…")] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    done: list[Row] = []
    with opened(ctx, ISSUER, data) as service:
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
def versions(ctx: typer.Context, identifier: str, data: Data = None, json: Json = False) -> None:
    with opened(ctx, ISSUER, data) as service:
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


Row = tuple[str, int | None, TrustError | None]


def _renew_named(service: Any, identifiers: list[str]) -> Iterator[Row]:
    """Renews these e-certificates. One that is unknown or cannot be renewed does not affect the others."""
    for start in range(0, len(identifiers), _STEP):
        named: dict[bytes, str] = {}
        for identifier in identifiers[start : start + _STEP]:
            try:
                named[service.issuing.named(identifier).pid] = identifier
            except TrustError as exc:
                yield identifier, None, exc
        for each in service.archiving.renew(operator_here(), list(named)):
            yield named[each.pid], each.number, each.error


def _renew_due(service: Any, at: datetime) -> Iterator[Row]:
    for each in service.archiving.renew_due(operator_here(), at):
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
