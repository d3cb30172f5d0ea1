"""`yinzheng verify`, `verify-many`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trust.model.errors import Malformed
from trust.terminal.console import t
from trust.terminal.options import Data, Json

verify_app = typer.Typer()
"""Its commands are added at the top level."""


@verify_app.command(help=t("核验文件、二维码文本或图片", "verify files, codes or pictures"))
def verify(
    ctx: typer.Context,
    objects: Annotated[list[str] | None, typer.Argument(metavar="FILE|CODE|PICTURE…")] = None,
    offline: Annotated[Path | None, typer.Option("--offline", help=t("离线核验包", "offline bundle"))] = None,
    trust_anchor: Annotated[list[Path] | None, typer.Option("--trust-anchor", help="CERT.pem")] = None,
    crl: Annotated[
        list[Path] | None,
        typer.Option(
            "--crl",
            help=t(
                "吊销列表（与 --trust-anchor 同用，可重复）",
                "revocation list, beside --trust-anchor; repeatable",
            ),
        ),
    ] = None,
    trust_root: Annotated[
        list[str] | None, typer.Option("--trust-root", help=t("信任根指纹", "pinned fingerprint"))
    ] = None,
    at: Annotated[str | None, typer.Option("--at", help=t("核验时间", "time, RFC 3339"))] = None,
    forget_lists: Annotated[
        bool,
        typer.Option(
            "--forget-lists",
            help=t(
                "忘记此前见过的列表（须写明 --reason；可用 --trust-root 限定）",
                "forget which lists were seen, for a --reason; only those under --trust-root if given",
            ),
        ),
    ] = False,
    reason: Annotated[
        str, typer.Option("--reason", help=t("忘记的理由，会保留", "why they are forgotten; it is kept"))
    ] = "",
    data: Data = None,
    json: Json = False,
) -> None:
    from verifier.commands.verifying import forget_lists as forget
    from verifier.commands.verifying import opening, verify_objects

    if reason and not forget_lists:
        raise Malformed("A reason is given for --forget-lists only.", "Leave --reason out.", code="USAGE")
    if forget_lists:
        forget(reason, trust_root or [], json)
    if not objects:
        if forget_lists:
            return
        raise Malformed("There is nothing to verify.", "Name a file, a code or a picture.", code="USAGE")
    code = verify_objects(
        objects,
        opening(ctx, data),
        offline=offline,
        anchors=trust_anchor or [],
        crls=crl or [],
        roots=trust_root or [],
        at=at,
        json=json,
    )
    raise typer.Exit(code)


@verify_app.command(
    "verify-many",
    help=t(
        "批量核验：一个文件夹，或一份 SHA-256 清单；可中断后继续",
        "verify a folder, or a list of SHA-256 digests; carries on where it stopped",
    ),
)
def verify_many(
    ctx: typer.Context,
    what: Annotated[
        Path, typer.Argument(help=t("文件夹，或每行一个摘要的清单", "folder, or list with a digest a line"))
    ],
    out: Annotated[Path, typer.Option("--out", help=t("结果目录", "folder for the results"))],
    offline: Annotated[Path | None, typer.Option("--offline", help=t("离线核验包", "offline bundle"))] = None,
    trust_root: Annotated[
        list[str] | None, typer.Option("--trust-root", help=t("信任根指纹", "pinned fingerprint"))
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    from verifier.commands.many import verify_everything
    from verifier.commands.verifying import opening

    raise typer.Exit(
        verify_everything(what, out, opening(ctx, data), offline=offline, roots=trust_root or [], json=json)
    )
