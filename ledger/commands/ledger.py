"""`yinzheng ledger …`: the ledger of this service, and audits of any ledger."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.commands.witness import witness_app
from ledger.service import LEDGER
from trust.model.errors import Malformed
from trust.terminal import console
from trust.terminal.console import t
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json

if TYPE_CHECKING:
    from ledger.audit import AuditReport
    from ledger.recheck import Look

ledger_app = typer.Typer(no_args_is_help=True, help=t("账本", "the ledger"))


ledger_app.add_typer(witness_app, name="witness")


@ledger_app.command("checkpoint", help=t("最新检查点", "the newest signed checkpoint"))
def checkpoint(
    ctx: typer.Context,
    data: Data = None,
    sm3: Annotated[bool, typer.Option("--sm3", help=t("SM3 树的检查点", "of the SM3 tree"))] = False,
) -> None:
    with opened(ctx, LEDGER, data) as service:
        service.log.publish()
        sys.stdout.write(service.log.sm3_checkpoint_note() if sm3 else service.log.checkpoint_note())


@ledger_app.command("prove", help=t("某条目的回执（tlog-proof）", "receipt of an entry (tlog-proof)"))
def prove(
    ctx: typer.Context,
    index: int,
    data: Data = None,
    entry: Annotated[
        bool, typer.Option("--entry", help=t("连同条目本身", "with the entry itself in it"))
    ] = False,
) -> None:
    from ledger.proof import DetachedReceipt, format_detached_receipt, format_receipt

    with opened(ctx, LEDGER, data) as service:
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
def consistency(ctx: typer.Context, old_size: int, data: Data = None) -> None:
    import base64

    with opened(ctx, LEDGER, data) as service:
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
    ctx: typer.Context,
    data: Data = None,
    json: Json = False,
    only: Annotated[
        str | None,
        typer.Option(help=t("只看 database、files 或 both", "look only at: database, files or both")),
    ] = None,
) -> None:
    from ledger.commands.recheck import recheck_ledger

    with opened(ctx, LEDGER, data) as service:
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
def export(ctx: typer.Context, folder: Path, data: Data = None) -> None:
    import shutil

    with opened(ctx, LEDGER, data) as service:
        service.log.publish()
        # Checkpoints are copied last, so that a reader of the copy sees an older but complete ledger meanwhile.
        for part in ("tile", "keys", "sm3/tile"):
            shutil.copytree(service.ledger_folder / part, folder / part, dirs_exist_ok=True)
        for part in ("sm3/checkpoint", "checkpoint"):
            shutil.copy2(service.ledger_folder / part, folder / part)


@ledger_app.command("cosign", help=t("现在请见证方会签", "ask the witnesses for cosignatures now"))
def cosign(ctx: typer.Context, data: Data = None, json: Json = False) -> None:
    from trust.model.errors import LedgerBusy, NotFound

    with opened(ctx, LEDGER, data) as service:
        witnessing = service.witnessing
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
    from ledger.commands.auditing import audit_source

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
