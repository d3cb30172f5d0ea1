"""`yinzheng ledger recheck`: reads the whole ledger again, and the register with it."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.recheck import EVERYWHERE, Look, recheck
from ledger.service import LedgerService
from trust.terminal import console
from trust.terminal.console import t


def recheck_ledger(service: LedgerService, *, json: bool, looks: Sequence[Look] = EVERYWHERE) -> bool:
    """Compares rows, tiles, lock store and checkpoint, and prints the result; True if all is in order."""
    # Each look reads all entries.
    with console.progress(
        len(looks) * service.log.size, t("检查账本", "checking the ledger"), quiet=json
    ) as advance:
        seen: dict[str, int] = {}

        def on_progress(stage: str, done: int, total: int) -> None:
            advance(done - seen.get(stage, 0))
            seen[stage] = done

        report = recheck(
            service.ledger_database,
            service.ledger_folder,
            service.lock_store,
            log_vkey=service.log.vkey,
            looks=looks,
            on_progress=on_progress,
        )
    of_register = service.check_register()
    is_clean = report.is_clean and not of_register
    if json:
        console.print_json(
            {
                "clean": is_clean,
                "stored": report.stored_size,
                "locked": report.locked_size,
                "published": report.published_size,
                "findings": [{"source": f.source, "seq": f.seq, "what": f.what} for f in report.findings],
                "register": [{"table": f.table, "key": f.key, "what": f.what} for f in of_register],
            }
        )
    else:
        console.out.print(
            t(
                f"存储 {report.stored_size}，锁定 {report.locked_size}，公布 {report.published_size} 条。",
                f"{report.stored_size} stored, {report.locked_size} locked, {report.published_size} published.",
            )
        )
        for finding in report.findings:
            where = "" if finding.seq is None else f" [{finding.seq}]"
            console.err.print(f"{finding.source}{where}: {finding.what}")
        for row in of_register:
            console.err.print(f"{t('登记库', 'register')} {row.table} [{row.key}]: {row.what}", markup=False)
        console.out.print(
            t("账本完整。", "The ledger is clean.")
            if report.is_clean
            else t("账本有误！", "The ledger is broken!")
        )
        console.out.print(
            t("登记库与账本一致。", "The register is what the ledger says.")
            if not of_register
            else t("登记库被改动！", "The register has been changed!")
        )
    return is_clean
