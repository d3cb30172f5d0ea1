"""`yinzheng access claim-link`: making a link that opens a holder's wallet."""

from __future__ import annotations

import typer

from issuer.service import ISSUER
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.opening import opened
from trust.terminal.options import Data

claiming_app = typer.Typer()


@claiming_app.command(
    "claim-link", help=t("给持证人的领取链接（一次有效）", "a holder's wallet link, good once")
)
def access_claim_link(ctx: typer.Context, identifier: str, data: Data = None) -> None:
    with opened(ctx, ISSUER, data) as service:
        issued = service.issuing.named(identifier)
        for ref in service.issuing.holders_of(issued.pid):
            token = service.invitations.create_claim_link(operator_here(), ref)
            console.out.print(f"{service.base_url}/wallet/claim/{token}")
