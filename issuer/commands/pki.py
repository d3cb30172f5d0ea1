"""`yinzheng pki`: seal certificates from outside certification authorities; keys of our own authorities."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from issuer.service import ISSUER
from trust.model.errors import Malformed
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json

pki_app = typer.Typer(
    no_args_is_help=True,
    help=t(
        "证书：外部 CA 的导入，自有机构的轮换与泄露",
        "certificates from external CAs; keys of our own authorities",
    ),
)

crls_app = typer.Typer(no_args_is_help=True, help=t("外部 CA 的吊销列表", "revocation lists of external CAs"))
pki_app.add_typer(crls_app, name="crls")


@pki_app.command(
    "csr", help=t("生成密钥和证书请求（PKCS #10）", "make a key and a request for its certificate")
)
def csr(
    ctx: typer.Context,
    common_name: Annotated[str, typer.Option(help=t("印章名称（CN）", "name of the seal (CN)"))],
    organisation: Annotated[str, typer.Option(help=t("单位名称（O）", "name of the body (O)"))],
    suite: Annotated[str, typer.Option(help="SM2-SM3, RSA3072-SHA256, P256-SHA256")] = "SM2-SM3",
    out: Annotated[Path | None, typer.Option("--out", help=t("PEM 输出文件", "PEM file to write"))] = None,
    key: Annotated[str | None, typer.Option(help=t("已有密钥的编号", "id of a key that is there"))] = None,
    provider: Annotated[
        str | None, typer.Option(help=t("file 或 pkcs11，缺省按设置", "file or pkcs11; else as settings say"))
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    from asn1crypto import pem

    from trust.terminal.options import one_of

    with opened(ctx, ISSUER, data) as service:
        from keys.pki.build import Subject
        from keys.suites import Suite

        subject = Subject(common_name, organisation)
        if key is None:
            record, der = service.identities.request(
                operator_here(), subject, one_of(Suite, suite, "suite"), label=common_name, place=provider
            )
            key = record.key_id
        else:
            der = service.identities.request_again(key, subject)
    armoured = pem.armor("CERTIFICATE REQUEST", der)
    if out is not None:
        out.write_bytes(armoured)
    if json:
        console.print_json({"key": key, "csr": armoured.decode()})
    elif out is None:
        console.out.print(armoured.decode(), end="")
    else:
        console.out.print(t(f"密钥 {key}，请求已写入 {out}", f"Key {key}; request in {out}"))


def import_command(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help=t("证书（PEM/DER）或 .p12", "certificate (PEM, DER) or .p12"))],
    root: Annotated[list[Path], typer.Option(help=t("所信任的根证书", "root to trust; repeat for several"))],
    chain: Annotated[
        list[Path] | None, typer.Option(help=t("中间证书", "certificates in between; repeat"))
    ] = None,
    label: Annotated[str, typer.Option(help=t("名称", "a name for people"))] = "",
    password_file: Annotated[
        Path | None, typer.Option(help=t("存放 .p12 口令的文件", "file with the password of the .p12"))
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:

    given = file.read_bytes()
    with opened(ctx, ISSUER, data) as service:
        from keys.pki.importing import is_pkcs12, read_certs

        roots = [der for path in root for der in read_certs(path.read_bytes())]
        others = [der for path in chain or [] for der in read_certs(path.read_bytes())]
        if is_pkcs12(given):
            # Never read it from an argument, because all users of the machine can see arguments.
            password = (
                password_file.read_bytes().strip()
                if password_file is not None
                else typer.prompt(t("口令", "Password"), hide_input=True, err=True).encode()
            )
            made = service.identities.import_pkcs12(
                operator_here(), given, password, others, roots, label=label
            )
        else:
            cert, *rest = read_certs(given)
            made = service.identities.import_certificate(
                operator_here(), cert, [*rest, *others], roots, label=label
            )
    if json:
        console.print_json(
            {"id": made.identity_id, "key": made.key_id, "suite": made.suite.value, "ca": made.issuer_name}
        )
    else:
        console.out.print(f"{made.identity_id}  {made.suite.value}  {made.issuer_name}")


pki_app.command(
    "import",
    help=t(
        "导入外部 CA 签发的证书或 .p12", "take in a certificate from a CA outside, or a .p12 with its key"
    ),
)(import_command)


@pki_app.command("list", help=t("列出导入的证书", "list what was imported"))
def list_(ctx: typer.Context, data: Data = None, json: Json = False) -> None:

    with opened(ctx, ISSUER, data) as service:
        listed = service.identities.list()
    if json:
        for identity in listed:
            console.print_json(
                {
                    "id": identity.identity_id,
                    "label": identity.label,
                    "suite": identity.suite.value,
                    "key": identity.key_id,
                    "ca": identity.issuer_name,
                    "not_after": identity.not_after.isoformat(),
                    "revoked_at": identity.revoked_at.isoformat() if identity.revoked_at else None,
                }
            )
        return
    console.print_table(
        ("id", t("名称", "label"), t("算法", "suite"), "CA", t("到期", "until")),
        [(i.identity_id, i.label, i.suite.value, i.issuer_name, f"{i.not_after:%Y-%m-%d}") for i in listed],
    )


# --- revocation lists ---------------------------------------------------------------------------------------


@crls_app.command("list", help=t("列出已保存的吊销列表", "list what is kept, and what failed"))
def crls_list(ctx: typer.Context, data: Data = None, json: Json = False) -> None:

    with opened(ctx, ISSUER, data) as service:
        kept, at = service.outside_crls.list(), service.clock.now()
    if json:
        for each in kept:
            console.print_json(
                {
                    "issuer": each.issuer_id,
                    "ca": each.name,
                    "addresses": list(each.addresses),
                    "this_update": each.this_update.isoformat() if each.this_update else None,
                    "next_update": each.next_update.isoformat() if each.next_update else None,
                    "tried_at": each.tried_at.isoformat() if each.tried_at else None,
                    "problem": each.problem,
                }
            )
        return

    def state(each: Any) -> str:
        if each.next_update is None:
            return t("没有", "none yet")
        return t("已过期", "expired") if each.next_update < at else t("有效", "valid")

    console.print_table(
        (
            "CA",
            t("状态", "state"),
            t("签发于", "of"),
            t("有效至", "until"),
            t("上次失败原因", "last failure"),
        ),
        [
            (
                each.name,
                state(each),
                f"{each.this_update:%Y-%m-%d %H:%M}" if each.this_update else "",
                f"{each.next_update:%Y-%m-%d %H:%M}" if each.next_update else "",
                _problem_words(each.problem),
            )
            for each in kept
        ],
    )


@crls_app.command(
    "refresh",
    help=t("立即获取吊销列表，或从文件导入", "fetch the lists now, or take one from a file"),
)
def crls_refresh(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Option("--from", help=t("吊销列表文件（DER/PEM）", "revocation list (DER, PEM)"))
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:

    given = file.read_bytes() if file is not None else None
    with opened(ctx, ISSUER, data) as service:
        lists = service.outside_crls
        done = lists.refresh() if given is None else [lists.take(operator_here(), given)]
    for each in done:
        if json:
            error = each.error
            console.print_json(
                {
                    "issuer": each.issuer_id,
                    "ca": each.name,
                    "new": each.is_new,
                    "code": error.code if error else None,
                    "problem": error.what if error else None,
                }
            )
        elif each.error is not None:
            kept = t("未更新，原列表不变：", "not renewed, the old list stays:")
            console.err.print(f"{each.name}  {kept} {console.error_words(each.error)}")
        else:
            said = t("已更新", "renewed") if each.is_new else t("无变化", "nothing new")
            console.out.print(f"{each.name}  {said}")
    if any(each.error is not None for each in done):
        raise typer.Exit(console.EXIT_FAILED)


def _problem_words(problem: str | None) -> str:
    """A stored problem (`CODE: text`) in the user's language."""
    from trust.words.refusals import refusal_zh

    code, _, what = (problem or "").partition(": ")
    return (refusal_zh(code) or what) if console.language() == "zh-CN" else what


# --- keys of our own authorities ---


@pki_app.command(
    "rotate", help=t("为自有机构启用新密钥和证书", "new key and certificate for an authority of ours")
)
def rotate(
    ctx: typer.Context,
    role: Annotated[str, typer.Argument(help="tsa | seal-maker | seal-ca")],
    suite: Annotated[str, typer.Option(help="SM2-SM3, RSA3072-SHA256")],
    data: Data = None,
    json: Json = False,
) -> None:
    from trust.terminal.options import one_of

    with opened(ctx, ISSUER, data) as service:
        from issuer.pki.pki import ROLES
        from keys.suites import Suite

        if role not in ROLES:
            raise Malformed(f"{role} is no role that has its own key.", f"Give one of {', '.join(ROLES)}.")
        new_id = service.pki.rotate(operator_here(), role, one_of(Suite, suite, "suite"))
        service.publishing.trust_list(service.clock.now())
    if json:
        console.print_json({"id": new_id})
        return
    console.out.print(new_id)
    console.err.print(
        t(
            "新密钥已在信任列表中；请发布离线核验包（yinzheng bundle）。",
            "The trust list names the new key; publish it to offline verifiers with `yinzheng bundle`.",
        )
    )


@pki_app.command(
    "compromised",
    help=t(
        "宣布自有机构的密钥泄露，不可撤回；列出受影响的文件",
        "an authority's key is known to others: for good, and what it touched",
    ),
)
def compromised(
    ctx: typer.Context,
    ca_id: Annotated[str, typer.Argument(metavar="ID")],
    since: Annotated[
        str,
        typer.Option("--since", help=t("自何时起（ISO 8601，带时区）", "since when (ISO 8601 with zone)")),
    ],
    by: Annotated[str, typer.Option("--by", help=t("经办人", "who acts"))] = "operator",
    note: Annotated[str, typer.Option("--note", help=t("说明", "a note for the history"))] = "",
    approved_by: Annotated[
        str | None,
        typer.Option(
            "--approved-by",
            help=t("批准人（追溯超过三天时必填）", "who approves; needed further back than three days"),
        ),
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    from trust.terminal.instants import instant

    moment = instant(since)
    assert moment is not None, "the option is required"
    with opened(ctx, ISSUER, data) as service:
        touched = service.compromises.declare(
            operator_here(by), ca_id, moment, note=note, approved_by=approved_by
        )
        service.publishing.trust_list(service.clock.now())
    if json:
        console.print_json(
            {
                "id": touched.ca_id,
                "since": touched.since.isoformat(),
                "seals": list(touched.seals),
                "files": [
                    {"pid": f.pid.hex(), "version": f.version, "at": f.at.isoformat(), "seal": f.seal_id}
                    for f in touched.files
                ],
            }
        )
        return
    console.out.print(
        t(
            f"自 {moment.isoformat()} 起不再可信：印章 {len(touched.seals)} 枚，文件 {len(touched.files)} 份。",
            f"Not believed since {moment.isoformat()}: {len(touched.seals)} seals, {len(touched.files)} files.",
        )
    )
    for seal_id in touched.seals:
        console.out.print(f"{t('印章（已注销）', 'seal, revoked')} {seal_id}")
    for each in touched.files:
        name = each.seal_id or t(f"归档版本 {each.version}", f"later version {each.version}")
        console.out.print(f"{each.pid.hex()}  {each.at:%Y-%m-%d %H:%M:%S} UTC  {name}")
    console.err.print(
        t(
            "请轮换密钥（yinzheng pki rotate），为受影响的印章制新章，再用 yinzheng seal reseal 重新签章。",
            "Rotate the key (`yinzheng pki rotate`), make new seals for those named, then `yinzheng seal reseal`.",
        )
    )


pki_keys_app = typer.Typer()
pki_keys_app.command(
    "import", help=t("导入 PKCS #12 中的密钥和证书", "take in a key with its certificate from PKCS #12")
)(import_command)
