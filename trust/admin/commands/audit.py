"""`yinzheng audit …`: the trail of acts."""

from __future__ import annotations

import json as json_module
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trust.admin.service import ADMIN
from trust.model.errors import Malformed, StorageError
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.instants import instant
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json

if TYPE_CHECKING:  # commands that open nothing run in the base install, which has no database library
    from trust.audit.trail import AuditEvent

audit_app = typer.Typer(no_args_is_help=True, help=t("审计日志", "the audit trail"))


@audit_app.command("list", help=t("列出操作记录，最新的在前", "list acts, newest first"))
def audit_list(
    ctx: typer.Context,
    since: Annotated[str | None, typer.Option(help=t("起始时间", "from this time on"))] = None,
    until: Annotated[str | None, typer.Option(help=t("截止时间", "before this time"))] = None,
    actor: Annotated[
        str | None, typer.Option(help=t("操作者，如 client:<密钥 id>", "who, such as client:<id of a key>"))
    ] = None,
    action: Annotated[list[str] | None, typer.Option(help=t("操作，可重复", "which acts"))] = None,
    pid: Annotated[str | None, typer.Option(help=t("证照公开标识", "an e-certificate's public id"))] = None,
    before: Annotated[
        int | None,
        typer.Option(help=t("接着上一页：上一页最后的行", "go on: the last row of the page before")),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    data: Data = None,
    json: Json = False,
) -> None:
    try:
        wanted = bytes.fromhex(pid) if pid is not None else None
    except ValueError as exc:
        raise Malformed("A public id is 32 hexadecimal digits.", "Copy it from the e-certificate.") from exc
    with opened(ctx, ADMIN, data) as service:
        found = service.access.trail.list(
            pid=wanted,
            actor=actor,
            actions=action or (),
            since=instant(since),
            until=instant(until),
            before=before,
            limit=limit,
        )
    for event in found:
        if json:
            console.print_json(_event_json(event))
        else:
            console.out.print(_event_line(event), markup=False, soft_wrap=True)


@audit_app.command(
    "export",
    help=t(
        "导出全部已封存的记录与链，供离库核验",
        "write down all sealed rows with their chain, to be kept and checked elsewhere",
    ),
)
def audit_export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Argument(help=t("输出文件（JSON Lines）", "a new file (JSON Lines)"))],
    data: Data = None,
) -> None:
    if out.exists():
        raise Malformed(f"{out} is there already.", "Name a new file.", code="OUT_UNUSABLE")
    count = 0
    with opened(ctx, ADMIN, data) as service:
        service.sealer.seal()
        part = out.with_name(f"{out.name}.part")  # what is called by its name is whole
        try:
            with open(part, "w", encoding="utf-8") as file:
                for line in service.sealer.export(operator_here()):
                    file.write(json_module.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
                    count += "row" in line
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, out)
        except OSError as exc:
            raise StorageError(f"{out} cannot be written: {exc.strerror}.", "Check the disk.") from exc
    console.out.print(t(f"已导出 {count} 行。", f"{count} rows written."))


@audit_app.command(
    "check",
    help=t(
        "核对审计日志：封存并锚定新记录，再逐行核对",
        "check the trail: seals and anchors what is new, then checks every row",
    ),
)
def audit_check(ctx: typer.Context, data: Data = None, json: Json = False) -> None:
    with opened(ctx, ADMIN, data) as service:
        service.access.trail.flush()
        service.sealer.seal()
        service.sealer.anchor()
        checked = service.sealer.check()
    for each in checked.findings:
        row = t(f"第 {each.number} 行", f"row {each.number}") if each.number is not None else ""
        if json:
            console.print_json({"row": each.number, "code": each.code, "what": each.what})
        else:
            console.err.print(f"{row} {t(each.zh, each.what)}".strip(), markup=False, soft_wrap=True)
    at = checked.anchored_at
    if json:
        console.print_json(
            {
                "rows": checked.rows,
                "anchored_rows": checked.anchored_rows,
                "anchored_at": at.isoformat() if at is not None else None,
                "findings": len(checked.findings),
            }
        )
    else:
        moment = f"{at:%Y-%m-%d %H:%M:%S}Z" if at is not None else "-"
        console.out.print(
            t(
                f"核对 {checked.rows} 行，发现问题 {len(checked.findings)} 处；第 {checked.anchored_rows} 行及以前"
                f"（截至 {moment}）已锚定在账本中。",
                f"{checked.rows} rows checked, {len(checked.findings)} findings; up to row {checked.anchored_rows} "
                f"(until {moment}) the trail is anchored in the ledger.",
            )
        )
    if checked.findings:
        raise typer.Exit(console.EXIT_FAILED)


def _event_json(event: AuditEvent) -> dict[str, Any]:
    return {
        "row_id": event.row_id,
        "number": event.number,
        "at": event.at.isoformat(),
        "actor": event.actor,
        "organisation": event.organisation,
        "name": event.name,
        "action": event.action,
        "pid": event.pid.hex() if event.pid is not None else None,
        "subject": event.subject,
        "purpose": event.purpose,
        "outcome": event.outcome,
        "times": event.times,
    }


def _event_line(event: AuditEvent) -> str:
    who = f"{event.actor} ({event.name})" if event.name else event.actor
    what = event.pid.hex() if event.pid is not None else event.subject or "-"
    times = f" ×{event.times}" if event.times > 1 else ""
    return f"{event.row_id}  {event.at:%Y-%m-%d %H:%M:%S}Z  {who}  {event.action}  {what}  {event.outcome}{times}"
