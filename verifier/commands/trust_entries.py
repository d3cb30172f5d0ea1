"""`yinzheng trust`: the other deployments and outside CAs in our trust list, and the members' lists that we keep.

add, retire, compromised, refresh, list      other deployments (members)
add-ca, remove-ca                                    CAs outside under which signed files are judged
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from trust.model.errors import Malformed, TrustError
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.instants import instant
from trust.terminal.opening import opened
from trust.terminal.options import OPERATOR, ApprovedBy, By, Data, Json
from verifier.service import VERIFIER

trust_app = typer.Typer(
    no_args_is_help=True,
    help=t("信任列表：其他部署（成员）与外部 CA", "trust list: other deployments (members), external CAs"),
)

MemberId = Annotated[str, typer.Argument(metavar="ID", help=t("成员编号", "id of the member"))]
Source = Annotated[
    str,
    typer.Option(
        "--from",
        help=t("对方地址，或其离线包（zip 或目录）", "its address, or its bundle: zip file or folder"),
    ),
]
Roots = Annotated[
    list[str], typer.Option("--root", help=t("对方公布的信任根指纹", "fingerprint of its root, as published"))
]
NameZh = Annotated[str, typer.Option(help=t("中文名称", "Chinese name"))]
NameEn = Annotated[str, typer.Option(help=t("英文名称", "English name"))]
Address = Annotated[
    str | None,
    typer.Option(help=t("定期取数的地址", "where its lists are fetched; else that of --from")),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option("--host", help=t("其二维码中的主机名", "host in its codes; else as its list says now")),
]
Uses = Annotated[
    list[str] | None, typer.Option("--use", help="seal, present, report; " + t("缺省全部", "else all"))
]
Divisions = Annotated[
    list[str] | None,
    typer.Option(
        "--division",
        help=t(
            "信用代码中的行政区划前缀，如 53", "beginning of the division in its credit codes, such as 53"
        ),
    ),
]
TypeCodes = Annotated[
    list[str] | None, typer.Option("--type-code", help=t("允许的证照类型代码", "type code that it may issue"))
]
NotBefore = Annotated[str | None, typer.Option("--not-before", help=t("信任起始", "trusted from"))]
NotAfter = Annotated[str | None, typer.Option("--not-after", help=t("信任截止", "trusted until"))]
Since = Annotated[str | None, typer.Option("--since", help=t("起始时间，缺省现在", "since when; else now"))]


@trust_app.command("add", help=t("信任另一部署", "trust another deployment"))
def add(
    ctx: typer.Context,
    member_id: MemberId,
    source: Source,
    root: Roots,
    name_zh: NameZh,
    name_en: NameEn,
    address: Address = None,
    host: Hosts = None,
    use: Uses = None,
    division: Divisions = None,
    type_code: TypeCodes = None,
    not_before: NotBefore = None,
    not_after: NotAfter = None,
    change: Annotated[
        bool,
        typer.Option("--change", help=t("整体更改已有条目", "write the entry anew for one that is there")),
    ] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    with opened(ctx, VERIFIER, data) as service:
        from trust.encoding.trust_list import MemberUse
        from trust.terminal.options import one_of
        from verifier.membership.keeping import Proposal

        packed, found_at = _packed(service, source)
        proposal = Proposal(
            member_id=member_id,
            name_zh=name_zh,
            name_en=name_en,
            fingerprints=root,
            address=address or found_at,
            hosts=[each.upper() for each in host] if host is not None else None,
            uses=[one_of(MemberUse, each, "use") for each in use] if use else tuple(MemberUse),
            divisions=division,
            type_codes=type_code,
            not_before=instant(not_before),
            not_after=instant(not_after),
        )
        service.member_bundles.propose(operator_here(), proposal, packed, is_new=not change)
        (kept,) = (each for each in service.member_bundles.list() if each.entry.member_id == member_id)
        _print_members([kept], json)


@trust_app.command("list", help=t("列出成员与外部 CA", "list the members and the external CAs"))
def list_entries(ctx: typer.Context, data: Data = None, json: Json = False) -> None:
    with opened(ctx, VERIFIER, data) as service:
        _print_members(service.member_bundles.list(), json)
        anchors = service.members.anchors()
        if json:
            for anchor_id, each in anchors:
                console.print_json(
                    {
                        "ca": anchor_id,
                        "name_zh": each.name_zh,
                        "name_en": each.name_en,
                        "not_after": each.not_after.isoformat(),
                        "state": each.state.value,
                    }
                )
        elif anchors:
            console.print_table(
                (t("外部 CA", "CA outside"), t("名称", "name"), t("截止", "until"), t("状态", "state")),
                [
                    (anchor_id, t(each.name_zh, each.name_en), f"{each.not_after:%Y-%m-%d}", each.state.value)
                    for anchor_id, each in anchors
                ],
            )


@trust_app.command("refresh", help=t("更新成员的列表", "fetch the members' lists anew"))
def refresh(
    ctx: typer.Context,
    member_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help=t("成员编号，缺省全部", "id of a member; else all"))
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", help=t("离线包（zip 或目录）", "a bundle: zip file or folder"))
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    if source is not None and member_id is None:
        raise Malformed("It is not said whose bundle this is.", "Name the member.")
    failed: TrustError | None = None
    with opened(ctx, VERIFIER, data) as service:
        bundles = service.member_bundles
        if source is not None and member_id is not None:
            bundles.take(member_id, _packed(service, source)[0])
        else:
            wanted = [each.entry.member_id for each in bundles.list() if each.entry.address is not None]
            for each in [member_id] if member_id is not None else wanted:
                try:
                    bundles.refresh(each)
                except TrustError as exc:
                    console.err.print(f"{each}: {console.error_words(exc)}")
                    failed = exc
        kept = [k for k in bundles.list() if member_id in (None, k.entry.member_id)]
        _print_members(kept, json)
    if failed is not None:
        raise typer.Exit(console.show_error(failed))


def _withdraw(
    ctx: typer.Context,
    member_id: str,
    state: str,
    since: str | None,
    by: str,
    approved_by: str | None,
    data: Path | None,
    json: bool,
) -> None:
    with opened(ctx, VERIFIER, data) as service:
        from trust.encoding.trust_list import TrustState

        service.members.withdraw(
            operator_here(by), member_id, TrustState(state), instant(since), approved_by=approved_by
        )
        _print_members([k for k in service.member_bundles.list() if k.entry.member_id == member_id], json)


@trust_app.command(
    "retire", help=t("不再信任其此后签发的证照", "what it issues from then on is not believed")
)
def retire(
    ctx: typer.Context,
    member_id: MemberId,
    since: Since = None,
    by: By = OPERATOR,
    approved_by: ApprovedBy = None,
    data: Data = None,
    json: Json = False,
) -> None:
    _withdraw(ctx, member_id, "retired", since, by, approved_by, data, json)


@trust_app.command(
    "compromised",
    help=t("对方信任根已泄露：一概不信", "its roots are known to others: believe nothing of it"),
)
def compromised(
    ctx: typer.Context,
    member_id: MemberId,
    by: By = OPERATOR,
    approved_by: ApprovedBy = None,
    data: Data = None,
    json: Json = False,
) -> None:
    _withdraw(ctx, member_id, "compromised", None, by, approved_by, data, json)


@trust_app.command(
    "add-ca",
    help=t("据此 CA 核验他人签名的文件（非本系统证照）", "judge files that others signed under this CA"),
)
def add_ca(
    ctx: typer.Context,
    cert: Path,
    name_zh: NameZh,
    name_en: NameEn,
    not_after: NotAfter = None,
    data: Data = None,
    json: Json = False,
) -> None:
    from verifier.commands.verifying import read_anchor

    certificate = read_anchor(cert)
    with opened(ctx, VERIFIER, data) as service:
        anchor_id = service.members.add_anchor(
            operator_here(), certificate, name_zh, name_en, instant(not_after)
        )
    if json:
        console.print_json({"ca": anchor_id})
    else:
        console.out.print(anchor_id)


@trust_app.command("remove-ca", help=t("从信任列表去除外部 CA", "take a CA outside off the trust list"))
def remove_ca(ctx: typer.Context, anchor_id: str, data: Data = None) -> None:
    with opened(ctx, VERIFIER, data) as service:
        service.members.withdraw_anchor(operator_here(), anchor_id)


def _packed(service: Any, source: str) -> tuple[bytes, str | None]:
    """A bundle as a zip file, and the address it came from, or None if it was not fetched."""
    from trust.encoding.plain_zip import encode_zip
    from verifier.evidence.bundle import no_bundle

    if source.startswith(("http://", "https://")):
        return service.member_bundles.fetch_from(source), source
    path = Path(source)
    try:
        if path.is_file():
            return path.read_bytes(), None
        files = {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    except OSError as exc:
        raise no_bundle(path.name) from exc
    if not files:
        raise no_bundle(path.name)
    return encode_zip(files), None


def _print_members(listed: Iterable[Any], json: bool) -> None:
    listed = list(listed)
    if json:
        for each in listed:
            console.print_json(_member_json(each))
        return

    def day(at: datetime | None) -> str:
        return f"{at:%Y-%m-%d %H:%M}" if at is not None else "—"

    def limits(entry: Any) -> str:
        parts = [*(entry.divisions or ()), *(entry.type_codes or ())]
        if len(entry.uses) < 3:
            parts += [use.value for use in entry.uses]
        return ", ".join(parts) or t("无", "none")

    console.print_table(
        (
            t("成员", "member"),
            t("名称", "name"),
            t("状态", "state"),
            t("限制", "limits"),
            t("主机", "hosts"),
            t("列表序号", "list"),
            t("有效至", "good until"),
            t("问题", "problem"),
        ),
        [
            (
                each.entry.member_id,
                t(each.entry.name_zh, each.entry.name_en),
                each.entry.state.value,
                limits(each.entry),
                " ".join(each.entry.hosts),
                str(each.seq or "—"),
                day(each.valid_until),
                each.problem or "",
            )
            for each in listed
        ],
    )


def _member_json(kept: Any) -> dict[str, Any]:
    from verifier.evidence.trust_list import root_fingerprint

    entry = kept.entry

    def time(at: datetime | None) -> str | None:
        return at.isoformat() if at is not None else None

    return {
        "id": entry.member_id,
        "name_zh": entry.name_zh,
        "name_en": entry.name_en,
        "address": entry.address,
        "roots": [root_fingerprint(root) for root in entry.roots],
        "hosts": list(entry.hosts),
        "uses": [use.value for use in entry.uses],
        "divisions": list(entry.divisions) if entry.divisions is not None else None,
        "type_codes": list(entry.type_codes) if entry.type_codes is not None else None,
        "not_before": time(entry.not_before),
        "not_after": time(entry.not_after),
        "state": entry.state.value,
        "since": time(entry.since),
        "list": kept.seq,
        "valid_until": time(kept.valid_until),
        "kept_at": time(kept.kept_at),
        "problem": kept.problem,
    }
