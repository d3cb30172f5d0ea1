"""`yinzheng report …`: reports that were filed, whether one is genuine, and the same check once more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trust.model.report import Verdict
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json
from verifier.commands.marks import EXIT
from verifier.service import VERIFIER

report_app = typer.Typer(
    no_args_is_help=True,
    help=t("核验报告：查询、验签、按当时依据重验", "reports: look up, check the signature, repeat the check"),
)


@report_app.command("show", help=t("查询一份报告", "what was filed under a report code"))
def show(ctx: typer.Context, code: str, data: Data = None, json: Json = False) -> None:
    from verifier.reports.shown import filed_report_json

    with opened(ctx, VERIFIER, data) as service:
        filed = service.reporting.find(code)
    if json:
        console.print_json(filed_report_json(filed))
        return
    console.out.print(
        f"{filed.code}  {filed.verified_at:%Y-%m-%d %H:%M:%S %Z}  {filed.verdict} {filed.headline}"
    )
    if filed.input_sha256:
        console.out.print(f"  SHA-256 {t('（被核验内容）', '(what was checked)')} {filed.input_sha256.hex()}")
    console.out.print(f"  SHA-256 {t('（报告）', '(report)')} {filed.payload_sha256.hex()}")


@report_app.command(
    "check", help=t("离线核验报告的签名", "check the signature of a report with an offline bundle")
)
def check(
    file: Annotated[
        Path, typer.Argument(help=t("报告文件（JSON）", "report file (JSON) with its report_seal"))
    ],
    offline: Annotated[Path, typer.Option("--offline", help=t("离线包", "offline bundle"))],
    trust_root: Annotated[list[str] | None, typer.Option("--trust-root")] = None,
    json: Json = False,
) -> None:
    from verifier.commands.seen import SeenHere
    from verifier.commands.verifying import pinned_roots
    from verifier.reports.sealed_report import check_sealed_report

    value = check_sealed_report(
        file.read_bytes(), offline, pinned_roots(offline, trust_root or []), SeenHere()
    )
    if json:
        console.print_json(value)
        return
    words = value["messages"][console.language()]
    console.out.print(t("报告签名有效。", "The report's signature is good."), style="bold green")
    console.out.print(f"  {value['verified_at']}  {value['verdict']} {value['code']}  {words['headline']}")


@report_app.command(
    "repeat",
    help=t("用当时保存的依据重新核验同一文件", "judge the same object again with the evidence of then"),
)
def repeat(ctx: typer.Context, code: str, what: str, data: Data = None, json: Json = False) -> None:
    from verifier.commands.verifying import object_named, print_report

    with opened(ctx, VERIFIER, data) as service:
        filed = service.reporting.find(code)
        repeated = service.checking.repeat(operator_here(), code, object_named(what))
    if json:
        console.print_json(
            {"report_code": filed.code, "same": repeated.is_same, "verdict": repeated.report.verdict.value}
        )
    else:
        print_report(what, repeated.report, json=False)
        console.out.print(
            t("与当时的报告逐字节相同。", "The same report to the byte.")
            if repeated.is_same
            else t("与当时的报告不同！", "Not the report of then!"),
            style="bold",
        )
    raise typer.Exit(0 if repeated.is_same else EXIT[Verdict.FAILED])
