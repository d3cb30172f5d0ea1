"""`yinzheng ledger accept-time`, `recover`: what is done to a data folder while no service runs on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger.service import RESCUE
from trust.model.errors import Malformed
from trust.terminal import console
from trust.terminal.console import t
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json

rescue_app = typer.Typer()


@rescue_app.command(
    "accept-time",
    help=t(
        "确认本机时钟正确（停用较久、无其他时钟可核对时）",
        "say that this machine's clock is right, after a long sleep that no other clock can confirm",
    ),
)
def accept_time(ctx: typer.Context, data: Data = None) -> None:
    with opened(ctx, RESCUE, data) as rescue:
        at = rescue.accept_time()
    shown = f"{at:%Y-%m-%d %H:%M} UTC"
    console.out.print(
        t(
            f"已确认本机时钟（{shown}），一日内有效；服务会自行继续。",
            f"The clock of this machine ({shown}) is accepted for a day; the service goes on by itself.",
        )
    )


@rescue_app.command(
    "recover",
    help=t(
        "从已公布的文件重建数据库", "rebuild the database out of the published files, after a restored backup"
    ),
)
def recover(
    ctx: typer.Context,
    source: Annotated[
        Path | None,
        typer.Option("--from", help=t("镜像目录，默认为本机公布的文件", "a mirror; default: our own files")),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help=t("数据库并未落后也重建", "also when the database is not behind")),
    ] = False,
    nothing_issued_since: Annotated[
        bool,
        typer.Option(
            "--nothing-issued-since",
            help=t(
                "确认制作备份之后服务未再签发任何内容（没有镜像和标记时）",
                "say that the service signed nothing after the copy was made, where no mirror or mark tells",
            ),
        ),
    ] = False,
    close: Annotated[
        str | None,
        typer.Option(
            "--close",
            metavar="ORIGIN",
            help=t(
                "关闭这份账本（键入其名称；不可撤销，仅在丢失的条目无处可寻时使用），与 --begin 同用",
                "close this ledger, typed by its name, for good: where lost entries are nowhere; with --begin",
            ),
        ),
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option("--begin", metavar="ORIGIN", help=t("新账本的名称", "the name of the new ledger")),
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    if (close is None) != (begin is None):
        raise Malformed(
            "A ledger is closed and another begun in one step.", "Give --close and --begin.", code="USAGE"
        )
    if close is not None and begin is not None:
        _close(ctx, close, begin, data, json)
        return
    with (
        opened(ctx, RESCUE, data) as rescue,
        console.progress(1000, t("重建账本", "recovering the ledger"), quiet=json) as advance,
    ):
        seen = 0

        def on_progress(done: int, total: int) -> None:
            nonlocal seen
            now = done * 1000 // max(1, total)
            advance(now - seen)
            seen = now

        found = rescue.recover(
            source,
            even_if_not_behind=force,
            nothing_issued_since=nothing_issued_since,
            on_progress=on_progress,
        )
    if json:
        console.print_json({"size": found.size, "had": found.had, "unknown": found.unknown_refs})
        return
    console.out.print(
        t(
            f"数据库原有 {found.had} 条，现有 {found.size} 条。",
            f"The database had {found.had} entries and has {found.size} now.",
        )
    )
    if found.locked < found.size:
        console.out.print(
            t(
                f"锁定记录由 {found.locked} 补到 {found.size}。",
                f"The lock store knew size {found.locked} and knows {found.size} now.",
            )
        )
    if found.unknown_refs:
        console.out.print(
            t(
                f"账本中有 {found.unknown_refs} 件证照为登记库所不知：请恢复较新的登记库备份，"
                "或运行 yinzheng ledger accept-register 后继续。",
                f"{found.unknown_refs} e-certificates in the ledger are unknown to the register: "
                "restore a newer backup of the register, or go on without them (`yinzheng ledger accept-register`).",
            )
        )
    console.out.print(t("请运行 yinzheng ledger recheck。", "Run `yinzheng ledger recheck` next."))


def _close(ctx: typer.Context, old: str, new: str, data: Path | None, json: bool) -> None:
    with opened(ctx, RESCUE, data) as rescue:
        size = rescue.close(old, new)
    if json:
        console.print_json({"closed": old, "size": size, "begun": new})
        return
    console.out.print(
        t(
            f"账本 {old} 已在 {size} 条处关闭，新账本 {new} 承接其全部条目。请运行 yinzheng ledger accept-register，"
            "重新生成离线包，并公告此事。",
            f"The ledger {old} is closed at size {size}; {new} goes on with its entries. "
            "Run `yinzheng ledger accept-register`, write a new bundle, and publish what happened and why.",
        )
    )
