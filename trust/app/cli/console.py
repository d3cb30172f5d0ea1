"""How the command line speaks: language, tables, progress, errors, exit codes.

Results go to stdout, errors to stderr: one sentence what, one sentence what to do. `--json` prints one JSON
object a line and nothing else on stdout.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from trust.model.errors import OperationalError, ProfileViolation, TrustError

EXIT_PASSED, EXIT_FAILED, EXIT_INDETERMINATE, EXIT_USAGE, EXIT_OURS = 0, 1, 2, 3, 4

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def language() -> str:
    """zh-CN or en, from YINZHENG_LANG or the locale."""
    chosen = os.environ.get("YINZHENG_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG", "")
    return "zh-CN" if chosen.lower().startswith("zh") else "en"


def t(zh: str, en: str) -> str:
    """The text in the user's language; both stand side by side where they are used."""
    return zh if language() == "zh-CN" else en


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(*columns, show_edge=False, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    out.print(table)


@contextmanager
def progress(total: int, what: str, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """A bar on stderr for long work; `quiet` where the output is for machines."""
    if quiet or total < 2:
        yield lambda count: None
        return
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=err
    )
    with bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def show_error(exc: TrustError) -> int:
    """Prints the error and gives the exit code."""
    if isinstance(exc, ProfileViolation):
        err.print(t("记录不符合要求：", "The record cannot be accepted:"))
        for violation in exc.violations:
            err.print(f"  {violation.field}: {violation_words(violation.code, violation.found, violation.todo)}")
    else:
        err.print(error_words(exc), markup=False)
    return EXIT_OURS if isinstance(exc, OperationalError) else EXIT_USAGE


def error_words(exc: TrustError) -> str:
    """One sentence what, one what to do, in the user's language."""
    if language() == "zh-CN" and exc.code in _ERRORS_ZH:
        return f"{_ERRORS_ZH[exc.code]}（{exc.what}）"
    return f"{exc.what} {exc.todo}".strip()


def violation_words(code: str, found: str, todo: str) -> str:
    """Why one field was refused. The details are the checker's; the rule is said in the user's language."""
    if language() == "zh-CN" and code in VIOLATIONS_ZH:
        return f"{VIOLATIONS_ZH[code]}（{found}）"
    return f"{found}: {todo} [{code}]"


_ERRORS_ZH = {
    "NOT_INITIALISED": "数据目录尚未初始化，请先运行 yinzheng init。",
    "DATA_FOLDER_IN_USE": "数据目录正被另一进程使用，请停止该进程或改用其接口。",
    "NOT_FOUND": "未找到，请检查标识。",
    "UNKNOWN_AUTHORITY": "未登记该签发机构。",
    "UNKNOWN_SEAL": "未找到可用的印章。",
    "SEAL_NOT_USABLE": "印章不可用，请使用有效的印章。",
    "STATE_CONFLICT": "当前状态不允许此操作。",
    "ALREADY_ISSUED": "该编号已签发过不同内容，请更正编号或办理换发。",
    "NOT_A_PDF": "不是 PDF 文件。",
    "BROKEN_PDF": "PDF 已损坏，请重新导出。",
    "ENCRYPTED": "PDF 已加密，请另存为无密码的文件。",
    "ALREADY_SIGNED": "PDF 已有签名，请提供签名前的文件。",
    "ACTIVE_CONTENT": "PDF 含有活动内容，请先打印为普通 PDF。",
    "HAS_FORM": "PDF 含有表单域，请先平面化。",
    "HAS_ATTACHMENTS": "PDF 含有附件，请先删除。",
    "TOO_LARGE": "文件过大。",
    "LIMIT_EXCEEDED": "文件超出处理限度。",
    "KEY_UNAVAILABLE": "密钥不可用，请检查口令和密钥文件。",
    "LEDGER_HALTED": "账本已停止签名，请先排查原因。",
    "STORAGE_FAILED": "存储失败，请检查磁盘或数据库。",
    "NO_BUNDLE": "不是离线核验包，请用 yinzheng bundle 生成。",
    "REASON": "缺少或不正确的事由。",
    "MALFORMED": "输入格式不正确。",
    "NOT_PERMITTED": "没有权限。",
}
