"""`yinzheng issue`, `stamp`, `suspend` …: e-certificates from issue to erasure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from issuer.service import ISSUER
from trust.model.errors import Malformed
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json

ecertificates_app = typer.Typer()
"""Its commands are at the top level of `yinzheng`."""

Also = Annotated[
    list[str] | None,
    typer.Option(
        "--also", help=t("另加的印章：名章、外文读者用章", "a further seal: a name seal, one for abroad")
    ),
]
ForAbroad = Annotated[
    bool,
    typer.Option(
        "--for-abroad",
        help=t(
            "时间戳采用境外软件认识的算法",
            "time-stamps that verifiers abroad know, under the national seal too",
        ),
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", help=t("事由", "reason; for revoke: rescinded, penalty or cancelled"))
]


@ecertificates_app.command(
    help=t("由表格（CSV、XLSX）或 JSON 签发证照", "issue e-certificates from CSV, XLSX or JSON")
)
def issue(
    ctx: typer.Context,
    type_: Annotated[str, typer.Argument(metavar="TYPE")] = "",
    source: Annotated[Path | None, typer.Option("--from", help="FILE.csv | FILE.xlsx | FILE.json")] = None,
    authority: Annotated[str | None, typer.Option(help=t("签发机构", "authority: id or credit code"))] = None,
    seal: Annotated[str | None, typer.Option(help=t("印章", "seal"))] = None,
    also: Also = None,
    for_abroad: ForAbroad = False,
    out: Annotated[Path | None, typer.Option("--out", help=t("PDF 输出目录", "folder for the PDFs"))] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=t("只检查", "check only"))] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help=t("继续未完成的签发", "finish what was interrupted"))
    ] = False,
    approval: Annotated[
        int | None,
        typer.Option(
            help=t("批准号（见 seal request-many）", "number of an approval (see seal request-many)")
        ),
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    from issuer.commands.issuing import issue_records

    if not resume and (not type_ or source is None):
        raise Malformed("There is nothing to issue.", "Give TYPE and --from FILE, or --resume.")
    with opened(ctx, ISSUER, data) as service:
        ok = issue_records(
            service,
            type_,
            source,
            authority=authority,
            seal=seal,
            also=also or (),
            for_abroad=for_abroad,
            out=out,
            dry_run=dry_run,
            resume=resume,
            approval=approval,
            json=json,
        )
    if not ok:
        raise typer.Exit(console.EXIT_FAILED)


@ecertificates_app.command(help=t("在部门已有的 PDF 上盖章", "seal a PDF that the department already has"))
def stamp(
    ctx: typer.Context,
    pdf: Path,
    source: Annotated[Path, typer.Option("--from", help="FILE.json")],
    out: Annotated[Path, typer.Option("--out", help=t("输出文件", "output file"))],
    type_: Annotated[str | None, typer.Option("--type", help=t("证照类型", "certificate type"))] = None,
    seal: Annotated[str | None, typer.Option(help=t("印章", "seal"))] = None,
    also: Also = None,
    authority: Annotated[str | None, typer.Option(help=t("签发机构", "authority"))] = None,
    for_abroad: ForAbroad = False,
    lose_standard: Annotated[
        bool,
        typer.Option(
            "--lose-standard",
            help=t("盖章后可不再符合 PDF/A、PDF/UA", "the PDF need not stay PDF/A or PDF/UA"),
        ),
    ] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    from issuer.commands.issuing import stamp_pdf

    with opened(ctx, ISSUER, data) as service:
        ok = stamp_pdf(
            service,
            pdf,
            source,
            out,
            type_short=type_,
            seal=seal,
            also=also or (),
            authority=authority,
            lose_standard=lose_standard,
            for_abroad=for_abroad,
            json=json,
        )
    if not ok:
        raise typer.Exit(console.EXIT_FAILED)


def _status_words(status: Any, reason: str) -> str:
    """The status in Chinese, which has three words for a revocation: 吊销, 撤销 and 注销."""
    acts = {"rescinded": "已撤销", "penalty": "已吊销", "cancelled": "已注销"}
    words = {"REVOKED": acts.get(reason, "已废止"), "SUSPENDED": "已暂停", "VALID": "已恢复"}
    return words.get(status.value, str(status.value))


def _status_act(act: str, zh: str, en: str) -> None:
    def command(
        ctx: typer.Context, identifier: str, reason: Reason, data: Data = None, json: Json = False
    ) -> None:
        with opened(ctx, ISSUER, data) as service:
            from trust.model.status import StatusAct

            issued = service.issuing.named(identifier)
            changed = service.statuses.change(operator_here(), issued.pid, StatusAct(act), reason=reason)
            if json:
                console.print_json({"identifier": changed.identifier, "status": changed.status.value})
            else:
                state = t(_status_words(changed.status, reason), changed.status.value)
                console.out.print(f"{changed.identifier} {state}", soft_wrap=True)

    ecertificates_app.command(act, help=t(zh, en))(command)


_status_act("suspend", "暂停证照", "suspend an e-certificate")


_status_act("reinstate", "恢复证照", "end a suspension")


_status_act("revoke", "吊销、撤销或注销证照", "revoke an e-certificate for good")


@ecertificates_app.command(help=t("换发新版证照", "issue the next version and mark this one replaced"))
def replace(
    ctx: typer.Context,
    identifier: str,
    reason: Reason,
    source: Annotated[Path, typer.Option("--from", help="FILE.csv | FILE.xlsx | FILE.json")],
    out: Annotated[Path | None, typer.Option("--out", help=t("PDF 输出目录", "folder for the PDF"))] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    from issuer.commands.issuing import replace_record

    with opened(ctx, ISSUER, data) as service:
        ok = replace_record(service, identifier, source, reason=reason, out=out, json=json)
    if not ok:
        raise typer.Exit(console.EXIT_FAILED)


@ecertificates_app.command(help=t("生成亮证码", "make a presentation code"))
def present(
    ctx: typer.Context,
    identifier: str,
    purpose: Annotated[str, typer.Option(help=t("用途", "what it is shown for"))] = "核验",
    audience: Annotated[str | None, typer.Option(help=t("出示给", "to whom"))] = None,
    level: Annotated[int, typer.Option(help=t("披露级别 0–3", "disclosure level 0 to 3"), min=0, max=3)] = 1,
    ttl: Annotated[int, typer.Option(help=t("有效秒数", "seconds, 15 to 300"))] = 300,
    qr: Annotated[Path | None, typer.Option("--qr", help=t("二维码图片", "picture: .png or .svg"))] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    from datetime import timedelta

    with opened(ctx, ISSUER, data) as service:
        from issuer.presenting.presenting import Level
        from trust.encoding.qr import write_qr

        issued = service.issuing.named(identifier)
        shown = service.presenting.start(
            operator_here(),
            issued.pid,
            purpose=purpose,
            level=Level(level),
            audience=audience,
            ttl=timedelta(seconds=ttl),
        )
        code, changes_at = service.presenting.code(shown, service.clock.now())
        if qr is not None:
            write_qr(code, qr)
        if json:
            console.print_json(
                {"code": code, "changes_at": changes_at.isoformat(), "ends_at": shown.expires_at.isoformat()}
            )
        else:
            console.out.print(code)


@ecertificates_app.command(help=t("生成离线核验包", "write an offline verification bundle"))
def bundle(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help=t("目录，或 .zip 文件", "folder, or a .zip file"))],
    data: Data = None,
) -> None:
    with opened(ctx, ISSUER, data) as service:
        from issuer.publishing.bundles import write_bundle

        write_bundle(service.publishing, service.member_files(), folder, service.clock.now())


@ecertificates_app.command(
    help=t(
        "删除一件已失效证照的个人信息，并记入账本",
        "erase what is known about a dead e-certificate, on record",
    )
)
def erase(
    ctx: typer.Context,
    identifier: str,
    basis: Annotated[
        str,
        typer.Option(
            help="purpose-fulfilled | retention-expired | consent-withdrawn | unlawful | other-law | court-order"
        ),
    ],
    requested_by: Annotated[str, typer.Option(help=t("申请人", "who asks for it"))],
    approved_by: Annotated[
        str, typer.Option(help=t("批准人（须为另一人）", "who approves it: another person"))
    ],
    data: Data = None,
    json: Json = False,
) -> None:
    with opened(ctx, ISSUER, data) as service:
        issued = service.issuing.named(identifier, exactly=True)
        erased = service.erasing.erase(
            operator_here(), issued.pid, basis=basis, requested_by=requested_by, approved_by=approved_by
        )
    if json:
        console.print_json(
            {
                "ledger_index": erased.entry_seq,
                "rows": dict(erased.rows),
                "overwritten": erased.overwritten,
            }
        )
        return
    if not erased.overwritten:
        console.err.print(
            t(
                "数据库日志或文件目录中尚有副本，将随下次整理清除。",
                "Copies are still in the database's log or the folder of files; they go with the next round.",
            )
        )
    console.out.print(
        t(
            f"已删除，账本第 {erased.entry_seq} 条。",
            f"Erased; entry {erased.entry_seq} of the ledger records it.",
        )
    )
    for table, count in erased.rows.items():
        console.out.print(f"  {table}: {count}")
