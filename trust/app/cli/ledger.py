"""`yinzheng ledger …`: the ledger of this service, and audits of anybody's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trust.app.cli.witness import witness_app
from trust.model.errors import Malformed
from trust.terminal import console
from trust.terminal.console import t

if TYPE_CHECKING:
    from ledger.audit import AuditReport
    from ledger.recheck import Look

ledger_app = typer.Typer(no_args_is_help=True, help=t("账本", "the ledger"))
ledger_app.add_typer(witness_app, name="witness")

Data = Annotated[Path | None, typer.Option("--data", help=t("数据目录", "data folder (or YINZHENG_DATA)"))]
Json = Annotated[bool, typer.Option("--json", help=t("输出 JSON", "print JSON for machines"))]


def _service(data: Path | None) -> Any:
    from trust.app.cli import open_for_command

    return open_for_command(data)


@ledger_app.command("checkpoint", help=t("最新检查点", "the newest signed checkpoint"))
def checkpoint(
    data: Data = None,
    sm3: Annotated[bool, typer.Option("--sm3", help=t("SM3 树的检查点", "of the SM3 tree"))] = False,
) -> None:
    with _service(data) as service:
        service.log.publish()
        sys.stdout.write(service.log.sm3_checkpoint_note() if sm3 else service.log.checkpoint_note())


@ledger_app.command(
    "accept-time",
    help=t(
        "确认本机时钟正确（停用较久、无其他时钟可核对时）",
        "say that this machine's clock is right, after a long sleep that no other clock can confirm",
    ),
)
def accept_time(data: Data = None) -> None:
    from trust.app.clocks import accept_time as accept
    from trust.app.settings import read_settings
    from trust.model.clock import SystemClock

    at = SystemClock().now()
    accept(read_settings(data).data, at)
    shown = f"{at:%Y-%m-%d %H:%M} UTC"
    console.out.print(
        t(
            f"已确认本机时钟（{shown}），一日内有效；服务会自行继续。",
            f"The clock of this machine ({shown}) is accepted for a day; the service goes on by itself.",
        )
    )


@ledger_app.command(
    "accept-register",
    help=t(
        "确认登记库各行（机构、印章、密钥、口令等）如现状有效，恢复备份后使用",
        "say that the register's rows (authorities, seals, keys …) count as they are, after a restore",
    ),
)
def accept_register(
    data: Data = None,
    yes: Annotated[bool, typer.Option("--yes", help=t("不再询问", "do not ask"))] = False,
) -> None:
    with _service(data) as service:
        differing = service.guard.differing()
        if not differing and service.guard.lost_entry is None:
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
        service.guard.enrol()
        _follow_ledger(service)
        console.out.print(
            t("已记入账本，登记库按现状有效。", "Recorded in the ledger: the register counts as it is.")
        )


def _follow_ledger(service: Any) -> None:
    from issuer.gaps import follow_ledger

    changed = follow_ledger(service.database, service.log, service.clock)
    if changed:
        console.out.print(
            t(
                f"{changed} 件证照的状态已按账本补上（事由随丢失的记录一并丢失）。",
                f"{changed} e-certificate(s) have the status again that the ledger says; its reasons are lost.",
            )
        )


@ledger_app.command("prove", help=t("某条目的回执（tlog-proof）", "receipt of an entry (tlog-proof)"))
def prove(
    index: int,
    data: Data = None,
    entry: Annotated[
        bool, typer.Option("--entry", help=t("连同条目本身", "with the entry itself in it"))
    ] = False,
) -> None:
    from ledger.proof import DetachedReceipt, format_detached_receipt, format_receipt

    with _service(data) as service:
        (receipt,) = service.log.receipt([index])
        if entry:
            entry_bytes = service.log.entry(index)
            text = format_detached_receipt(DetachedReceipt(entry_bytes=entry_bytes, receipt=receipt))
        else:
            text = format_receipt(receipt)
        sys.stdout.write(text)


@ledger_app.command(
    "consistency", help=t("从旧大小到当前的一致性证明", "consistency proof from an older size")
)
def consistency(old_size: int, data: Data = None) -> None:
    import base64

    with _service(data) as service:
        size = service.log.publish().size
        proof = service.log.consistency(old_size, size)
        console.print_json(
            {
                "old_size": old_size,
                "size": size,
                "proof": [base64.b64encode(each).decode() for each in proof],
            }
        )


@ledger_app.command("recheck", help=t("重新检查整个账本", "check the whole ledger again"))
def recheck(
    data: Data = None,
    json: Json = False,
    only: Annotated[
        str | None,
        typer.Option(help=t("只看 database、files 或 both", "look only at: database, files or both")),
    ] = None,
) -> None:
    from trust.app.cli.issuing import recheck_ledger

    with _service(data) as service:
        clean = recheck_ledger(service, json=json, looks=_looks(only))
    if not clean:
        raise typer.Exit(console.EXIT_FAILED)


def _looks(only: str | None) -> tuple[Look, ...]:
    from ledger.recheck import EVERYWHERE, Look

    if only is None:
        return EVERYWHERE
    try:
        return (Look(only),)
    except ValueError as exc:
        raise Malformed(f"There is no look {only!r}.", "Give database, files or both.") from exc


@ledger_app.command("export", help=t("导出静态账本文件", "copy the static ledger files"))
def export(folder: Path, data: Data = None) -> None:
    import shutil

    with _service(data) as service:
        service.log.publish()
        # Checkpoints go last: whoever reads the copy meanwhile sees an older, whole ledger.
        for part in ("tile", "keys", "sm3/tile"):
            shutil.copytree(service.ledger_folder / part, folder / part, dirs_exist_ok=True)
        for part in ("sm3/checkpoint", "checkpoint"):
            shutil.copy2(service.ledger_folder / part, folder / part)


@ledger_app.command(
    "recover",
    help=t(
        "从已公布的文件重建数据库", "rebuild the database out of the published files, after a restored backup"
    ),
)
def recover(
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
        _close(close, begin, data, json)
        return
    from trust.app.recovering import recover_ledger
    from trust.app.settings import read_settings

    with console.progress(1000, t("重建账本", "recovering the ledger"), quiet=json) as advance:
        seen = 0

        def on_progress(done: int, total: int) -> None:
            nonlocal seen
            now = done * 1000 // max(1, total)
            advance(now - seen)
            seen = now

        found = recover_ledger(
            read_settings(data),
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


def _close(old: str, new: str, data: Path | None, json: bool) -> None:
    from trust.app.closing import close_ledger
    from trust.app.settings import read_settings

    size = close_ledger(read_settings(data), old, new)
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


@ledger_app.command("cosign", help=t("现在请见证方会签", "ask the witnesses for cosignatures now"))
def cosign(data: Data = None, json: Json = False) -> None:
    from trust.model.errors import LedgerBusy, NotFound

    with _service(data) as service:
        witnessing = service.keeper.witnessing
        if witnessing is None:
            raise NotFound(
                "There is no policy of witnesses.", "Put one into the data folder as `witness-policy`."
            )
        cosigned = witnessing.round() or witnessing.round()
    if cosigned is None:
        raise LedgerBusy("Another process is asking the witnesses.", "Try again in a moment.")
    for outcome in cosigned.outcomes:
        failure = outcome.failure.value if outcome.failure else None
        if json:
            console.print_json(
                {
                    "witness": outcome.name,
                    "cosigned_at": outcome.cosigned_at,
                    "failure": failure,
                    "detail": outcome.detail,
                }
            )
        else:
            said = t("已会签", "cosigned") if failure is None else f"{failure}: {outcome.detail}"
            console.out.print(f"{outcome.name}: {said}")
    if not cosigned.is_satisfied:
        console.err.print(t("未达到法定见证数。", "The quorum is not met."))
        raise typer.Exit(console.EXIT_INDETERMINATE)


@ledger_app.command(
    "audit",
    help=t("审计任何人的账本（目录或网址）", "audit anybody's ledger: a folder or an address"),
)
def audit(
    source: str,
    vkey: Annotated[str, typer.Option(help=t("账本公钥（vkey）", "a key the log is known by (vkey)"))],
    policy: Annotated[
        Path | None, typer.Option(help=t("见证策略文件", "policy of witnesses that must have cosigned"))
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help=t("以前保存的检查点", "a checkpoint kept from before, which must be a prefix")),
    ] = None,
    json: Json = False,
) -> None:
    from trust.app.cli.auditing import audit_source

    report = audit_source(source, vkey=vkey, policy=policy, kept=checkpoint, json=json)
    _print_audit(report, json=json)
    if report.findings:
        raise typer.Exit(console.EXIT_FAILED)


def _print_audit(report: AuditReport, *, json: bool) -> None:
    if json:
        console.print_json(
            {
                "clean": not report.findings,
                "size": report.size,
                "issued": report.issued,
                "entries": report.counts,
                "keys": [key.vkey.key_id.hex() for key in report.keys],
                "cosigned": report.cosigned_at,
                "findings": [{"seq": seq, "what": what} for seq, what in report.findings],
            }
        )
        return
    console.out.print(t(f"{report.size} 条。", f"{report.size} entries."))
    console.print_table(
        (t("机构", "authority"), t("签发", "issued"), t("条目", "entries")),
        [
            (actor, str(report.issued.get(actor, 0)), str(count))
            for actor, count in sorted(report.counts.items())
        ],
    )
    for name in report.cosigned_at:
        console.out.print(t(f"见证：{name}", f"witnessed by {name}"))
    for seq, what in report.findings:
        console.err.print(what if seq is None else f"[{seq}] {what}")
    console.out.print(
        t("账本有误！", "The ledger is broken!")
        if report.findings
        else t("账本完整。", "The ledger is clean.")
    )


@ledger_app.command(
    "audit-status",
    help=t("由条目重算已公布的状态列表", "make the published status lists again out of the entries"),
)
def audit_status(data: Data = None, json: Json = False) -> None:
    from issuer.auditing import audit_status_lists

    with _service(data) as service:
        count, findings = audit_status_lists(service.database, service.log.entries(), service.log.keys)
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
