"""`yinzheng keys rotate`, `keys retire`: the keys of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ledger.logkeys import LogKeys

from ledger.service import LEDGER
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json

ledger_keys_app = typer.Typer()


@ledger_keys_app.command(
    "rotate",
    help=t(
        "为账本启用新密钥（新旧并签，旧者另行停用）",
        "new key for the ledger; both sign until the old one is retired",
    ),
)
def keys_rotate(
    ctx: typer.Context,
    use: Annotated[str, typer.Argument(help="checkpoint | checkpoint-sm2")],
    data: Data = None,
    json: Json = False,
) -> None:
    with opened(ctx, LEDGER, data) as service:
        _print_ledger_keys(service.key_change.rotate(operator_here(), use), json=json)


@ledger_keys_app.command("retire", help=t("停用账本的一把密钥", "a key of the ledger signs no more"))
def keys_retire(
    ctx: typer.Context,
    key: Annotated[str, typer.Argument(help=t("八位十六进制编号", "its id: eight hex digits"))],
    data: Data = None,
    json: Json = False,
) -> None:
    with opened(ctx, LEDGER, data) as service:
        _print_ledger_keys(service.key_change.retire(operator_here(), key), json=json)


def _print_ledger_keys(keys: LogKeys, *, json: bool) -> None:
    from ledger.note import format_vkey

    for key in keys.keys:
        if json:
            console.print_json(
                {"vkey": format_vkey(key.vkey), "from_size": key.from_size, "until_size": key.until_size}
            )
        else:
            until = "" if key.until_size is None else f" … {key.until_size - 1}"
            console.out.print(f"{format_vkey(key.vkey)}  {key.from_size}{until}", soft_wrap=True)
