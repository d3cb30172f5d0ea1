"""`yinzheng ledger accept-register`, `audit-status`: comparing the register and published status lists with the
ledger."""

from __future__ import annotations

from typing import Annotated

import typer

from issuer.service import ISSUER, IssuerService
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json

status_lists_app = typer.Typer()


@status_lists_app.command(
    "accept-register",
    help=t(
        "确认登记库各行（机构、印章、密钥、口令等）如现状有效，恢复备份后使用",
        "say that the register's rows (authorities, seals, keys …) count as they are, after a restore",
    ),
)
def accept_register(
    ctx: typer.Context,
    data: Data = None,
    yes: Annotated[bool, typer.Option("--yes", help=t("不再询问", "do not ask"))] = False,
) -> None:
    with opened(ctx, ISSUER, data) as service:
        differing = service.register.differing()
        if not differing and not service.register.is_behind:
            _follow_ledger(service)
            console.out.print(
                t("登记库与账本一致，无需确认。", "The register is what the ledger says already.")
            )
            return
        for table, key in differing:
            console.out.print(f"  {table} {key}", markup=False)
        question = t(
            f"以上 {len(differing)} 行与账本不符。确认这些改动不是他人所为，并按现状采用？",
            f"These {len(differing)} rows are not what the ledger says. Take them as they are?",
        )
        if not yes and not typer.confirm(question):
            raise typer.Exit(console.EXIT_FAILED)
        service.register.accept(operator_here())
        _follow_ledger(service)
        console.out.print(
            t("已记入账本，登记库按现状有效。", "Recorded in the ledger: the register counts as it is.")
        )


def _follow_ledger(service: IssuerService) -> None:
    changed = service.register.follow_ledger()
    if changed:
        console.out.print(
            t(
                f"{changed} 件证照的状态已按账本补上（事由随丢失的记录一并丢失）。",
                f"{changed} e-certificate(s) have the status again that the ledger says; its reasons are lost.",
            )
        )


@status_lists_app.command(
    "audit-status",
    help=t("由条目重算已公布的状态列表", "make the published status lists again out of the entries"),
)
def audit_status(ctx: typer.Context, data: Data = None, json: Json = False) -> None:
    with opened(ctx, ISSUER, data) as service:
        count, findings = service.register.audit_status_lists()
    if json:
        console.print_json(
            {
                "lists": count,
                "clean": not findings,
                "findings": [{"list": f.number, "version": f.version, "what": f.what} for f in findings],
            }
        )
    else:
        for found in findings:
            console.err.print(f"{found.number}/{found.version}: {found.what}")
        console.out.print(
            t(f"重算 {count} 份状态列表。", f"{count} status lists made again from the entries.")
            + (t(" 有误！", " They differ!") if findings else t(" 全部一致。", " All agree."))
        )
    if findings:
        raise typer.Exit(console.EXIT_FAILED)
