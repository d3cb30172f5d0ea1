"""`yinzheng access …`: API keys and sessions."""

from __future__ import annotations

from typing import Annotated

import typer

from trust.admin.service import ADMIN
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json

access_app = typer.Typer(no_args_is_help=True, help=t("接口密钥与领取链接", "API keys and claim links"))


@access_app.command("new-key", help=t("新建接口密钥（只显示一次）", "new API key; shown once"))
def access_new_key(
    ctx: typer.Context,
    label: str,
    scope: Annotated[
        list[str], typer.Option(help="cert.issue, cert.status, cert.read, cert.present, verify, desk")
    ],
    authority: Annotated[str | None, typer.Option(help=t("签发机构", "authority"))] = None,
    days: int = 365,
    data: Data = None,
) -> None:
    with opened(ctx, ADMIN, data) as service:
        if authority is not None:
            service.authorities.get(authority)
        access = service.access
        console.out.print(
            access.clients.create_api_key(
                operator_here(), label, authority_id=authority, scopes=scope, days=days
            )
        )


@access_app.command("keys", help=t("列出接口密钥", "list the API keys"))
def access_keys(ctx: typer.Context, data: Data = None, json: Json = False) -> None:
    from trust.admin.shown import key_json

    with opened(ctx, ADMIN, data) as service:
        found = service.access.clients.list_api_keys(operator_here())
        now = service.clock.now()
    if json:
        for key in found:
            console.print_json(key_json(key, now))
        return
    for key in found:
        state = key_json(key, now)["state"]
        words = {
            "active": t("有效", "active"),
            "revoked": t("已吊销", "revoked"),
            "expired": t("已过期", "expired"),
        }
        console.out.print(
            f"{key.key_id}  {words[state]}  {key.expires_at:%Y-%m-%d}  {key.authority_id or '-'}  "
            f"{' '.join(key.scopes)}  {key.label}",
            markup=False,
        )


@access_app.command(
    "revoke-key", help=t("吊销接口密钥，并结束其会话", "revoke an API key and end its sessions, at once")
)
def access_revoke_key(ctx: typer.Context, key_id: str, data: Data = None) -> None:

    with opened(ctx, ADMIN, data) as service:
        service.access.clients.revoke_api_key(operator_here(), key_id)
        console.out.print(t(f"已吊销 {key_id}。", f"Revoked {key_id}."))


@access_app.command("sessions", help=t("列出打开的会话", "list the open sessions"))
def access_sessions(ctx: typer.Context, data: Data = None, json: Json = False) -> None:
    from trust.admin.shown import session_json

    with opened(ctx, ADMIN, data) as service:
        found = service.access.sessions.list_sessions(operator_here())
    for each in found:
        if json:
            console.print_json(session_json(each))
        else:
            line = f"{each.session_id}  {each.kind}  {each.key_id or '-'}  {each.expires_at:%Y-%m-%d %H:%M}"
            console.out.print(line, markup=False)


@access_app.command("end-session", help=t("结束会话", "end a session, or all that a key has opened"))
def access_end_session(
    ctx: typer.Context,
    session_id: Annotated[str | None, typer.Argument()] = None,
    key: Annotated[str | None, typer.Option(help=t("该密钥的全部会话", "all that this key opened"))] = None,
    data: Data = None,
) -> None:

    with opened(ctx, ADMIN, data) as service:
        access = service.access
        ended = access.sessions.end_sessions(operator_here(), session_id=session_id, key_id=key)
        console.out.print(t(f"已结束 {ended} 个会话。", f"{ended} ended."))
