"""`yinzheng keys list`, `keys new`: keys in custody."""

from __future__ import annotations

from typing import Annotated

import typer

from keys.service import KEYS
from keys.suites import Suite
from trust.terminal import console
from trust.terminal.console import t
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json, one_of

keys_app = typer.Typer(no_args_is_help=True, help=t("密钥", "keys"))


@keys_app.command("list", help=t("列出密钥", "list the keys"))
def keys_list(ctx: typer.Context, data: Data = None, json: Json = False) -> None:
    with opened(ctx, KEYS, data) as service:
        records = [(r, service.keys.place_of(r.key_id)) for r in service.keys.records()]
        if json:
            for r, place in records:
                console.print_json(
                    {
                        "id": r.key_id,
                        "purpose": r.purpose.value,
                        "suite": r.suite.value,
                        "provider": place,
                        "label": r.label,
                        "created_at": r.created_at.isoformat(),
                    }
                )
            return
        console.print_table(
            (
                "id",
                t("用途", "purpose"),
                t("算法", "suite"),
                t("存放", "in"),
                t("名称", "label"),
                t("创建于", "made at"),
            ),
            [
                (r.key_id, r.purpose.value, r.suite.value, place, r.label, f"{r.created_at:%Y-%m-%d}")
                for r, place in records
            ],
        )


@keys_app.command(
    "new",
    help=t(
        "生成一把密钥，存于文件（小规模使用）或密码设备",
        "make a key: in a file (for small installations) or in a PKCS #11 token",
    ),
)
def keys_new(
    ctx: typer.Context,
    purpose: Annotated[str, typer.Option(help="root-ca, issuing-ca, seal, time-stamp, …")],
    suite: Annotated[str, typer.Option(help="SM2-SM3, RSA3072-SHA256, P256-SHA256, Ed25519")],
    label: Annotated[str, typer.Option(help=t("名称", "a name for people"))],
    provider: Annotated[
        str | None, typer.Option(help=t("file 或 pkcs11，缺省按设置", "file or pkcs11; else as settings say"))
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    with opened(ctx, KEYS, data) as service:
        from keys.custody import KeyPurpose

        chosen = service.keys if provider is None else service.keys.provider(provider)
        at = service.clock.now()
        record = chosen.generate(one_of(KeyPurpose, purpose, "purpose"), _suite(suite), label=label, at=at)
        place = service.keys.place_of(record.key_id)
    if json:
        console.print_json({"id": record.key_id, "provider": place, "public_key": record.public_key.hex()})
    else:
        console.out.print(f"{record.key_id}  {place}")
    if place == "file":
        console.err.print(
            t(
                "密钥存于文件，只适合小规模使用；正式环境请用密码设备（--provider pkcs11）。",
                "This key is in a file, which is for small installations; elsewhere use a token (--provider pkcs11).",
            )
        )


def _suite(text: str) -> Suite:
    return one_of(Suite, text, "suite")
