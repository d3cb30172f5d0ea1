"""`yinzheng seal …`: the registry of e-seals at the machine's own command line."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from issuer.service import ISSUER
from trust.model.errors import Malformed
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.instants import instant
from trust.terminal.opening import opened
from trust.terminal.options import OPERATOR, ApprovedBy, By, Data, Json

seal_app = typer.Typer(no_args_is_help=True, help=t("电子印章", "e-seals"))

Note = Annotated[str, typer.Option("--note", help=t("说明", "a note for the history"))]
Since = Annotated[
    str | None,
    typer.Option("--since", help=t("自何时起（ISO 8601，带时区）", "since when (ISO 8601 with zone)")),
]
AuthorityId = Annotated[str, typer.Option("--authority", help=t("签发机构 id", "id of the authority"))]
SuiteName = Annotated[str, typer.Option("--suite", help="SM2-SM3, RSA3072-SHA256, P256-SHA256")]
SecondLine = Annotated[str, typer.Option("--second-line", help=t("印章下方文字", "line under the star"))]
Diameter = Annotated[float, typer.Option("--diameter", help=t("直径（毫米）", "diameter in mm: 42 or 45"))]


# --- from application to use ---


@seal_app.command("apply", help=t("申请印章", "apply for a seal"))
def seal_apply(
    ctx: typer.Context,
    seal_id: str,
    authority: AuthorityId,
    by: By,
    suite: SuiteName = "SM2-SM3",
    second_line: SecondLine = "",
    diameter: Diameter = 42.0,
    shape: Annotated[
        str, typer.Option(help=t("形状", "shape") + ": round, oval, square, uploaded")
    ] = "round",
    person: Annotated[
        str | None, typer.Option(help=t("个人名章上的姓名", "name on a person's seal (square)"))
    ] = None,
    artwork: Annotated[
        Path | None, typer.Option(help=t("已批准的印模 PNG", "approved artwork, PNG (uploaded)"))
    ] = None,
    renews: Annotated[
        str | None, typer.Option(help=t("续期：被接替的印章", "the seal that it takes the place of"))
    ] = None,
    note: Note = "",
    data: Data = None,
) -> None:
    from trust.model.seal import SealShape

    if shape not in [known.value for known in SealShape]:
        raise Malformed(f"There is no shape {shape}.", "Choose round, oval, square or uploaded.")
    picture = artwork.read_bytes() if artwork is not None else None
    with opened(ctx, ISSUER, data) as service:
        service.seals.apply(
            operator_here(by),
            seal_id,
            authority,
            _suite(suite),
            second_line=second_line,
            diameter_mm=diameter,
            shape=SealShape(shape),
            person=person,
            artwork=picture,
            renews=renews,
            note=note,
        )


@seal_app.command("approve", help=t("审核通过（须由他人）", "approve an application (another person)"))
def seal_approve(ctx: typer.Context, seal_id: str, by: By, note: Note = "", data: Data = None) -> None:
    with opened(ctx, ISSUER, data) as service:
        service.seals.approve(operator_here(by), seal_id, note=note)


@seal_app.command("reject", help=t("驳回申请（须由他人）", "reject an application (another person)"))
def seal_reject(ctx: typer.Context, seal_id: str, by: By, note: Note, data: Data = None) -> None:
    with opened(ctx, ISSUER, data) as service:
        service.seals.reject(operator_here(by), seal_id, note=note)


@seal_app.command(
    "make",
    help=t(
        "制作印章：已审核的申请；给出 --authority 时由操作员一次办完全部步骤",
        "make an approved seal; with --authority the operator takes all steps at once",
    ),
)
def seal_make(
    ctx: typer.Context,
    seal_id: str,
    authority: Annotated[str | None, typer.Option(help=t("签发机构 id", "id of the authority"))] = None,
    suite: SuiteName = "SM2-SM3",
    second_line: SecondLine = "",
    diameter: Diameter = 42.0,
    identity: Annotated[
        str | None,
        typer.Option(help=t("外部 CA 证书的编号（pki list）", "certificate of a CA outside, as in pki list")),
    ] = None,
    by: By = OPERATOR,
    data: Data = None,
) -> None:
    with opened(ctx, ISSUER, data) as service:
        imported = service.identities.get(identity) if identity is not None else None
        if authority is None:
            service.seals.make_approved(operator_here(by), seal_id, identity=imported)
            return
        service.seals.make(
            operator_here(by),
            seal_id,
            authority,
            imported.suite if imported is not None else _suite(suite),
            second_line=second_line,
            diameter_mm=diameter,
            identity=imported,
        )


@seal_app.command("record", help=t("备案，自此可用", "record a made seal; from now on it may be used"))
def seal_record(ctx: typer.Context, seal_id: str, by: By = OPERATOR, data: Data = None) -> None:
    with opened(ctx, ISSUER, data) as service:
        service.seals.record(operator_here(by), seal_id)


# --- in use ---


@seal_app.command("authorise", help=t("用章授权", "say what a seal may be used for"))
def seal_authorise(
    ctx: typer.Context,
    seal_id: str,
    types: Annotated[
        list[str] | None, typer.Option("--type", help=t("证照类型，可重复", "type, may be repeated"))
    ] = None,
    callers: Annotated[
        list[str] | None,
        typer.Option("--caller", help=t("系统（接口密钥 id），可重复", "id of an API key, may be repeated")),
    ] = None,
    per_day: Annotated[int | None, typer.Option(help=t("每日次数上限", "uses a day"))] = None,
    second_approval_above: Annotated[
        int | None,
        typer.Option(help=t("一次超过此数须他人批准", "more documents at once need a second person")),
    ] = None,
    by: By = OPERATOR,
    note: Note = "",
    data: Data = None,
) -> None:
    from trust.model.seal import SealPolicy

    policy = SealPolicy(types or None, callers or None, per_day, second_approval_above)
    with opened(ctx, ISSUER, data) as service:
        service.seals.authorise(operator_here(by), seal_id, policy, note=note)


@seal_app.command("freeze", help=t("冻结印章", "freeze a seal"))
def seal_freeze(
    ctx: typer.Context, seal_id: str, by: By = OPERATOR, note: Note = "", data: Data = None
) -> None:
    with opened(ctx, ISSUER, data) as service:
        service.seals.freeze(operator_here(by), seal_id, note=note)


@seal_app.command("unfreeze", help=t("解冻印章", "unfreeze a seal, or one that was found again"))
def seal_unfreeze(
    ctx: typer.Context, seal_id: str, by: By = OPERATOR, note: Note = "", data: Data = None
) -> None:
    with opened(ctx, ISSUER, data) as service:
        service.seals.unfreeze(operator_here(by), seal_id, note=note)


@seal_app.command("report-lost", help=t("挂失印章", "report a seal as lost"))
def seal_report_lost(
    ctx: typer.Context,
    seal_id: str,
    by: By = OPERATOR,
    note: Note = "",
    since: Since = None,
    approved_by: ApprovedBy = None,
    data: Data = None,
) -> None:
    with opened(ctx, ISSUER, data) as service:
        service.seals.report_lost(
            operator_here(by), seal_id, note=note, since=instant(since), approved_by=approved_by
        )
        _show_touched(service, seal_id, instant(since))


@seal_app.command("revoke", help=t("注销印章，不可恢复", "revoke a seal for good"))
def seal_revoke(
    ctx: typer.Context,
    seal_id: str,
    by: By = OPERATOR,
    note: Note = "",
    since: Since = None,
    approved_by: ApprovedBy = None,
    data: Data = None,
) -> None:
    with opened(ctx, ISSUER, data) as service:
        service.seals.revoke(
            operator_here(by), seal_id, note=note, since=instant(since), approved_by=approved_by
        )
        _show_touched(service, seal_id, instant(since))


@seal_app.command(
    "reseal",
    help=t(
        "用新章重新签发失信印章所盖的证照，可中断后继续",
        "issue anew, under another seal, what a seal sealed that is not believed; may be interrupted",
    ),
)
def seal_reseal(
    ctx: typer.Context,
    old_seal: str,
    new_seal: Annotated[str, typer.Option("--with", help=t("新印章", "the seal to use"))],
    since: Since = None,
    approval: Annotated[int | None, typer.Option(help=t("批准号", "number of an approval"))] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    failed, done = 0, []
    with opened(ctx, ISSUER, data) as service:
        pids = service.resealing.plan(operator_here(), old_seal, instant(since))
        rows = service.resealing.reseal(operator_here(), pids, old_seal, new_seal, approval=approval)
        with console.progress(len(pids), t("重新签章", "sealing anew"), quiet=json) as advance:
            for row in rows:
                advance(1)
                failed += row.error is not None
                done.append(row)
                if json:
                    console.print_json(_resealed_json(row))
    if not json:
        for row in done:
            _print_resealed(row)
        made = sum(row.issued is not None for row in done)
        console.out.print(
            t(
                f"共 {len(done)} 份：重新签发 {made} 份，失败 {failed} 份，其余已换发或已失效。",
                f"{len(done)} in all: {made} issued anew, {failed} failed; the rest was replaced or is over.",
            )
        )
    if failed:
        raise typer.Exit(console.EXIT_FAILED)


def _resealed_json(row: Any) -> dict[str, Any]:
    value = {"identifier": row.identifier, "result": row.result.value}
    if row.issued is not None:
        value |= {"new_identifier": row.issued.identifier, "pid": row.issued.pid.hex()}
    if row.error is not None:
        value |= {"code": row.error.code, "detail": row.error.what, "todo": row.error.todo}
    return value


def _print_resealed(row: Any) -> None:
    if row.error is not None:
        words = console.error_words(row.error)
        console.err.print(f"{row.identifier}: {words}", soft_wrap=True)
    elif row.issued is not None:
        console.out.print(f"{row.identifier} → {row.issued.identifier}", soft_wrap=True)
    else:
        why = {"done": t("已换发", "was replaced already"), "over": t("已失效", "is no longer in force")}
        console.out.print(f"{row.identifier}: {why[row.result.value]}", soft_wrap=True)


@seal_app.command(
    "request-many", help=t("申请一次签发多份", "ask for approval of one request for many documents")
)
def seal_request_many(ctx: typer.Context, seal_id: str, count: int, by: By, data: Data = None) -> None:
    with opened(ctx, ISSUER, data) as service:
        console.print_json({"approval": service.seals.using.request_many(operator_here(by), seal_id, count)})


@seal_app.command(
    "approve-many", help=t("批准一次签发多份（须由他人）", "approve such a request (another person)")
)
def seal_approve_many(ctx: typer.Context, approval: int, by: By, data: Data = None) -> None:
    with opened(ctx, ISSUER, data) as service:
        service.seals.using.approve_many(operator_here(by), approval)


# --- queries ---


@seal_app.command("list", help=t("列出印章", "list the seals"))
def seal_list(ctx: typer.Context, data: Data = None, json: Json = False) -> None:
    with opened(ctx, ISSUER, data) as service:
        rows: list[tuple[str, str, str, str, str, datetime | None]] = [
            (s.seal_id, s.authority_id, s.name, s.suite.value, s.state.value, s.not_after)
            for s in service.seals.registry.list()
        ]
        rows += [
            (a.seal_id, a.authority_id, a.name, a.suite.value, a.state.value, None)
            for a in service.seals.registry.applications()
        ]
    if json:
        for seal_id, authority, name, suite, state, not_after in rows:
            console.print_json(
                {
                    "id": seal_id,
                    "authority": authority,
                    "name": name,
                    "suite": suite,
                    "state": state,
                    "not_after": not_after.isoformat() if not_after else None,
                }
            )
        return
    headings = (
        "id",
        t("机构", "authority"),
        t("名称", "name"),
        t("算法", "suite"),
        t("状态", "state"),
        t("到期", "until"),
    )
    console.print_table(headings, [(*row[:5], f"{row[5]:%Y-%m-%d}" if row[5] else "") for row in rows])


@seal_app.command(
    "show", help=t("查看印章，可导出印模与印章数据", "show a seal, write its picture and seal data")
)
def seal_show(
    ctx: typer.Context,
    seal_id: str,
    picture: Annotated[Path | None, typer.Option(help=t("印模 SVG 文件", "SVG file to write"))] = None,
    seal_data: Annotated[
        Path | None,
        typer.Option(help=t("印章数据文件（SESeal，DER）", "file for the seal data (SESeal, DER)")),
    ] = None,
    data: Data = None,
) -> None:
    from keys.pki.read import read_x509_cert
    from trust.model.seal import SealShape, seal_code

    with opened(ctx, ISSUER, data) as service:
        seal = service.seals.registry.get(seal_id)
        code = seal_code(service.authorities.get(seal.authority_id).uscc, seal_id)
    if picture is not None:
        picture.write_text(seal.picture_svg, encoding="utf-8")
    if seal_data is not None:
        seal_data.write_bytes(seal.seal_data)
    policy = seal.policy
    console.print_json(
        {
            "id": seal.seal_id,
            "name": seal.name,
            "code": code if seal.shape is SealShape.ROUND else None,
            "authority": seal.authority_id,
            "suite": seal.suite.value,
            "state": seal.state.value,
            "since": seal.state_since.isoformat(),
            "not_before": seal.not_before.isoformat(),
            "not_after": seal.not_after.isoformat(),
            "identity": seal.identity_id,
            "x509_sha256": read_x509_cert(seal.cert).sha256.hex(),
            "policy": {
                "types": list(policy.types) if policy.types is not None else None,
                "callers": list(policy.callers) if policy.callers is not None else None,
                "per_day": policy.per_day,
                "second_approval_above": policy.second_approval_above,
            },
        }
    )


@seal_app.command("preview", help=t("预览印模", "write the picture of a seal, made or not"))
def seal_preview(
    ctx: typer.Context,
    seal_id: str,
    out: Annotated[Path, typer.Option("--out", help="FILE.svg | FILE.png")],
    data: Data = None,
) -> None:
    from issuer.seals.artwork import seal_png

    with opened(ctx, ISSUER, data) as service:
        picture = service.seals.preview(seal_id)
    if out.suffix.lower() == ".png":
        out.write_bytes(seal_png(picture, 300))
    else:
        out.write_text(picture.svg, encoding="utf-8")


@seal_app.command("history", help=t("印章的全部经历", "every step in a seal's life"))
def seal_history(ctx: typer.Context, seal_id: str, data: Data = None, json: Json = False) -> None:
    with opened(ctx, ISSUER, data) as service:
        events = service.seals.registry.history(seal_id)
    if json:
        for event in events:
            console.print_json(
                {
                    "act": event.act.value,
                    "by": event.by,
                    "at": event.at.isoformat(),
                    "effective_at": event.effective_at.isoformat(),
                    "note": event.note,
                    "ledger_index": event.entry_seq,
                }
            )
        return
    headings = (t("时间", "at"), t("步骤", "step"), t("经办人", "by"), t("说明", "note"), t("账本", "entry"))
    console.print_table(
        headings,
        [
            (
                f"{e.at:%Y-%m-%d %H:%M:%S}",
                e.act.value,
                e.by,
                e.note,
                t("待记", "pending") if e.entry_seq is None else str(e.entry_seq),
            )
            for e in events
        ],
    )


@seal_app.command("uses", help=t("用章记录", "the log of a seal's uses"))
def seal_uses(
    ctx: typer.Context, seal_id: str, since: Since = None, data: Data = None, json: Json = False
) -> None:
    with opened(ctx, ISSUER, data) as service:
        uses = service.seals.registry.uses(seal_id, since=instant(since))
    if json:
        for use in uses:
            console.print_json({"at": use.at.isoformat(), "by": use.by, "pid": use.pid.hex()})
        return
    console.print_table(
        (t("时间", "at"), t("用章人", "by"), t("证照", "e-certificate")),
        [(f"{use.at:%Y-%m-%d %H:%M:%S}", use.by, use.pid.hex()) for use in uses],
    )


# --- helpers ---


def _show_touched(service: Any, seal_id: str, since: datetime | None) -> None:
    """Prints what was sealed since this time. Those documents no longer count and must be sealed again."""
    if since is None:
        return
    uses = service.seals.registry.uses(seal_id, since=since)
    console.out.print(
        t(
            f"自 {since.isoformat()} 起用该章签发 {len(uses)} 份，须重新签发：",
            f"{len(uses)} documents were sealed with it since {since.isoformat()}; issue them anew:",
        )
    )
    for use in uses:
        console.out.print(use.pid.hex())


def _suite(name: str) -> Any:
    from keys.suites import Suite

    if name not in [known.value for known in Suite]:
        raise Malformed(f"There is no suite {name}.", "Choose SM2-SM3, RSA3072-SHA256 or P256-SHA256.")
    return Suite(name)
