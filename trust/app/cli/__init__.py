"""The command `yinzheng`.

`main` is the entry point. What a command needs is imported inside it: `yinzheng verify --offline` runs in the
base install, where there is no server, no register and no page layout, and it starts fast.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from trust.app.cli.archive import archive_app
from trust.app.cli.ledger import ledger_app
from trust.app.cli.pki import import_command, pki_app
from trust.app.cli.reports import report_app
from trust.app.cli.seals import seal_app
from trust.app.cli.trust_entries import trust_app
from trust.model.errors import Malformed, OperationalError, TrustError
from trust.terminal import console
from trust.terminal.console import t

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help=t("印证：电子证照与电子印章", "Yinzheng: e-certificates and e-seals"),
)
authority_app = typer.Typer(no_args_is_help=True, help=t("签发机构", "issuing authorities"))
type_app = typer.Typer(no_args_is_help=True, help=t("证照类型", "certificate types"))
keys_app = typer.Typer(no_args_is_help=True, help=t("密钥", "keys"))
access_app = typer.Typer(no_args_is_help=True, help=t("接口密钥与领取链接", "API keys and claim links"))
for name, group in (
    ("authority", authority_app),
    ("type", type_app),
    ("seal", seal_app),
    ("archive", archive_app),
    ("report", report_app),
    ("ledger", ledger_app),
    ("keys", keys_app),
    ("pki", pki_app),
    ("trust", trust_app),
    ("access", access_app),
):
    app.add_typer(group, name=name)

Data = Annotated[Path | None, typer.Option("--data", help=t("数据目录", "data folder (or YINZHENG_DATA)"))]
Json = Annotated[bool, typer.Option("--json", help=t("输出 JSON", "print JSON for machines"))]
Also = Annotated[
    list[str] | None,
    typer.Option(
        "--also", help=t("另加的印章：名章、外文读者用章", "a further seal: a name seal, one for abroad")
    ),
]
ForAbroad = Annotated[
    bool,
    typer.Option(
        "--for-abroad",
        help=t(
            "时间戳采用境外软件认识的算法",
            "time-stamps that verifiers abroad know, under the national seal too",
        ),
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", help=t("事由", "reason; for revoke: rescinded, penalty or cancelled"))
]


def main() -> None:
    """Runs the command line; the one place where errors become exit codes."""
    try:
        # Outside its standalone mode the library does not exit: it hands back the code of a `typer.Exit`.
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except TrustError as exc:
        sys.exit(console.show_error(exc, _name_of_field))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        raise
    except OSError as exc:
        console.err.print(t(f"系统错误：{exc.strerror}", f"The system refused: {exc.strerror}."))
        sys.exit(console.EXIT_OURS)
    except Exception as exc:
        # click's own usage errors; anything else is a fault of ours and shows its trace (`trust.app.entry`).
        if hasattr(exc, "format_message"):
            console.err.print(exc.format_message())
            sys.exit(console.EXIT_USAGE)
        raise


def _name_of_field(name: str) -> str:
    """What a field is called over the person's column, of whichever type it is."""
    if console.language() == "zh-CN":
        from issuer.catalogue import load_catalogue

        for profile in load_catalogue().values():
            known = profile.field_named(name)
            if known is not None:
                return known.label.zh
    return name


def _service(data: Path | None, *, create: bool = False) -> Any:
    _need_server_install()
    from trust.app.compose import open_service
    from trust.app.settings import read_settings

    return open_service(read_settings(data), create=create, ask_witnesses=True)


def open_for_command(data: Path | None) -> Any:
    """The service, for a command in another module."""
    return _service(data)


def _need_server_install() -> None:
    try:
        import sqlmodel  # noqa: F401
        import typst  # noqa: F401
    except ImportError as exc:
        raise OperationalError(
            "This is the base install, which verifies and nothing else.", 'Install "yinzheng[server]".'
        ) from exc


# --- set-up -------------------------------------------------------------------------------------------------


@app.command(
    help=t("建立数据目录、证书、账本和首个信任列表", "make data folder, CAs, ledger, first trust list")
)
def init(data: Data = None, json: Json = False) -> None:
    with _service(data, create=True) as service:
        at = service.clock.now()
        service.publishing.trust_list(at)
        checkpoint = service.log.publish()
        from verifier.trust_list import root_fingerprint

        roots = [root_fingerprint(root) for root in service.publishing.roots()]
        if json:
            console.print_json(
                {"data": str(service.settings.data), "trust_roots": roots, "ledger_size": checkpoint.size}
            )
            return
        console.out.print(t(f"数据目录：{service.settings.data}", f"Data folder: {service.settings.data}"))
        console.out.print(t("信任根指纹（请公布）：", "Trust root fingerprints (publish them):"))
        for root in roots:
            console.out.print(f"  {root}")


@app.command(help=t("在示例数据上完成全部主要流程", "run the main job on the sample data"))
def demo(
    out: Annotated[Path, typer.Option("--out", help=t("输出目录", "output folder"))] = Path("demo-out"),
    serve: Annotated[bool, typer.Option("--serve", help=t("随后启动服务", "then start the service"))] = False,
    port: int = 8400,
) -> None:
    _need_server_install()
    from trust.app.demo import run_demo

    if not run_demo(out):
        raise typer.Exit(1)
    if serve:
        from trust.app.demo import serve_demo

        serve_demo(out, port)


@app.command(help=t("启动接口和网页", "start the API and the pages"))
def serve(
    data: Data = None,
    host: str = "127.0.0.1",
    port: int = 8400,
    workers: Annotated[int, typer.Option(help=t("进程数", "processes; more than one needs PostgreSQL"))] = 1,
) -> None:
    _need_server_install()
    from trust.app.serving import serve as run
    from trust.app.settings import read_settings

    run(read_settings(data), host=host, port=port, workers=workers)


# --- registries ---------------------------------------------------------------------------------------------


@authority_app.command("add", help=t("登记签发机构", "register an authority"))
def authority_add(
    authority_id: str,
    uscc: Annotated[str, typer.Option(help=t("统一社会信用代码", "unified social credit code"))],
    name_zh: Annotated[str, typer.Option(help=t("中文名称", "Chinese name"))],
    name_en: Annotated[str, typer.Option(help=t("英文名称", "English name"))],
    function: Annotated[list[str], typer.Option(help=t("职能", "function; repeat for several"))],
    data: Data = None,
) -> None:
    with _service(data) as service:
        from trust.model.ecertificate import IssuingAuthority

        service.authorities.add(IssuingAuthority(authority_id, uscc, name_zh, name_en, tuple(function)))


@authority_app.command("list", help=t("列出签发机构", "list the authorities"))
def authority_list(data: Data = None, json: Json = False) -> None:
    with _service(data) as service:
        listed = service.authorities.list()
        if json:
            for a in listed:
                console.print_json(
                    {
                        "id": a.authority_id,
                        "uscc": a.uscc,
                        "name_zh": a.name_zh,
                        "name_en": a.name_en,
                        "functions": list(a.functions),
                    }
                )
            return
        console.print_table(
            ("id", t("信用代码", "credit code"), t("名称", "name"), t("职能", "functions")),
            [(a.authority_id, a.uscc, t(a.name_zh, a.name_en), ", ".join(a.functions)) for a in listed],
        )


@type_app.command("list", help=t("列出证照类型", "list the certificate types"))
def type_list(json: Json = False) -> None:
    _need_server_install()
    from issuer.catalogue import load_catalogue

    profiles = load_catalogue().values()
    if json:
        for p in profiles:
            console.print_json(
                {"short": p.short, "type_code": p.type_code, "name_zh": p.name.zh, "name_en": p.name.en}
            )
        return
    console.print_table(
        (t("简称", "short"), t("类型代码", "type code"), t("名称", "name"), t("可签发的职能", "issued by")),
        [(p.short, p.type_code, t(p.name.zh, p.name.en), ", ".join(p.who_may_issue)) for p in profiles],
    )


@type_app.command("show", help=t("查看证照类型的字段", "show the fields of a type"))
def type_show(short: str, json: Json = False) -> None:
    _need_server_install()
    from issuer.catalogue import load_profile

    profile = load_profile(short)
    if json:
        for f in profile.fields:
            console.print_json(
                {
                    "name": f.name,
                    "gb": f.gb,
                    "label_zh": f.label.zh,
                    "label_en": f.label.en,
                    "type": f.type.value,
                    "required": f.required,
                    "max_length": f.max_length,
                    "choices": list(f.choices),
                }
            )
        return
    console.print_table(
        (
            t("字段", "field"),
            t("标签", "label"),
            t("类型", "type"),
            t("必填", "required"),
            t("最长", "longest"),
        ),
        [
            (
                f.name,
                t(f.label.zh, f.label.en),
                f.type.value,
                t("是", "yes") if f.required else "",
                str(f.max_length),
            )
            for f in profile.fields
        ],
    )


@type_app.command("add", help=t("检查一个证照类型文件", "check a type's data file"))
def type_add(file: Path) -> None:
    """Types are data files of the installation: this checks one and says where it goes."""
    _need_server_install()
    from importlib.resources import files

    from issuer.catalogue import load_catalogue, read_profile

    try:
        profile = read_profile(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise Malformed(f"{file.name} cannot be read.", "Check the path and that it is UTF-8.") from exc
    if profile.short in load_catalogue():
        raise Malformed(f"There is a type {profile.short} already.", "Choose another short name.")
    layouts = files("issuer.rendering").joinpath("layouts")
    if not layouts.joinpath(profile.layout).is_file():
        raise Malformed(f"There is no layout {profile.layout}.", "Add it to issuer/rendering/layouts.")
    console.out.print(
        t(
            f"{file.name} 有效；请放入 issuer/catalogue/types 后重启服务。",
            f"{file.name} is right; put it into issuer/catalogue/types and restart the service.",
        )
    )


# --- issuing ------------------------------------------------------------------------------------------------


@app.command(help=t("由表格（CSV、XLSX）或 JSON 签发证照", "issue e-certificates from CSV, XLSX or JSON"))
def issue(
    type_: Annotated[str, typer.Argument(metavar="TYPE")] = "",
    source: Annotated[Path | None, typer.Option("--from", help="FILE.csv | FILE.xlsx | FILE.json")] = None,
    authority: Annotated[str | None, typer.Option(help=t("签发机构", "authority: id or credit code"))] = None,
    seal: Annotated[str | None, typer.Option(help=t("印章", "seal"))] = None,
    also: Also = None,
    for_abroad: ForAbroad = False,
    out: Annotated[Path | None, typer.Option("--out", help=t("PDF 输出目录", "folder for the PDFs"))] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=t("只检查", "check only"))] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help=t("继续未完成的签发", "finish what was interrupted"))
    ] = False,
    approval: Annotated[
        int | None,
        typer.Option(
            help=t("批准号（见 seal request-many）", "number of an approval (see seal request-many)")
        ),
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    from trust.app.cli.issuing import issue_records

    if not resume and (not type_ or source is None):
        raise Malformed("There is nothing to issue.", "Give TYPE and --from FILE, or --resume.")
    with _service(data) as service:
        ok = issue_records(
            service,
            type_,
            source,
            authority=authority,
            seal=seal,
            also=also or (),
            for_abroad=for_abroad,
            out=out,
            dry_run=dry_run,
            resume=resume,
            approval=approval,
            json=json,
        )
    if not ok:
        raise typer.Exit(console.EXIT_FAILED)


@app.command(help=t("在部门已有的 PDF 上盖章", "seal a PDF that the department already has"))
def stamp(
    pdf: Path,
    source: Annotated[Path, typer.Option("--from", help="FILE.json")],
    out: Annotated[Path, typer.Option("--out", help=t("输出文件", "output file"))],
    type_: Annotated[str | None, typer.Option("--type", help=t("证照类型", "certificate type"))] = None,
    seal: Annotated[str | None, typer.Option(help=t("印章", "seal"))] = None,
    also: Also = None,
    authority: Annotated[str | None, typer.Option(help=t("签发机构", "authority"))] = None,
    for_abroad: ForAbroad = False,
    lose_standard: Annotated[
        bool,
        typer.Option(
            "--lose-standard",
            help=t("盖章后可不再符合 PDF/A、PDF/UA", "the PDF need not stay PDF/A or PDF/UA"),
        ),
    ] = False,
    data: Data = None,
    json: Json = False,
) -> None:
    from trust.app.cli.issuing import stamp_pdf

    with _service(data) as service:
        ok = stamp_pdf(
            service,
            pdf,
            source,
            out,
            type_short=type_,
            seal=seal,
            also=also or (),
            authority=authority,
            lose_standard=lose_standard,
            for_abroad=for_abroad,
            json=json,
        )
    if not ok:
        raise typer.Exit(console.EXIT_FAILED)


def _status_words(status: Any, reason: str) -> str:
    """The state in Chinese; 吊销, 撤销 and 注销 are three acts."""
    acts = {"rescinded": "已撤销", "penalty": "已吊销", "cancelled": "已注销"}
    words = {"REVOKED": acts.get(reason, "已废止"), "SUSPENDED": "已暂停", "VALID": "已恢复"}
    return words.get(status.value, str(status.value))


def _status_act(act: str, zh: str, en: str) -> None:
    def command(identifier: str, reason: Reason, data: Data = None, json: Json = False) -> None:
        with _service(data) as service:
            from trust.model.status import StatusAct

            issued = service.issuing.named(identifier)
            changed = service.statuses.change(issued.pid, StatusAct(act), reason=reason)
            if json:
                console.print_json({"identifier": changed.identifier, "status": changed.status.value})
            else:
                state = t(_status_words(changed.status, reason), changed.status.value)
                console.out.print(f"{changed.identifier} {state}", soft_wrap=True)

    app.command(act, help=t(zh, en))(command)


_status_act("suspend", "暂停证照", "suspend an e-certificate")
_status_act("reinstate", "恢复证照", "end a suspension")
_status_act("revoke", "吊销、撤销或注销证照", "revoke an e-certificate for good")


@app.command(help=t("换发新版证照", "issue the next version and mark this one replaced"))
def replace(
    identifier: str,
    reason: Reason,
    source: Annotated[Path, typer.Option("--from", help="FILE.csv | FILE.xlsx | FILE.json")],
    out: Annotated[Path | None, typer.Option("--out", help=t("PDF 输出目录", "folder for the PDF"))] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    from trust.app.cli.issuing import replace_record

    with _service(data) as service:
        ok = replace_record(service, identifier, source, reason=reason, out=out, json=json)
    if not ok:
        raise typer.Exit(console.EXIT_FAILED)


@app.command(help=t("生成亮证码", "make a presentation code"))
def present(
    identifier: str,
    purpose: Annotated[str, typer.Option(help=t("用途", "what it is shown for"))] = "核验",
    audience: Annotated[str | None, typer.Option(help=t("出示给", "to whom"))] = None,
    level: Annotated[int, typer.Option(help=t("披露级别 0–3", "disclosure level 0 to 3"), min=0, max=3)] = 1,
    ttl: Annotated[int, typer.Option(help=t("有效秒数", "seconds, 15 to 300"))] = 300,
    qr: Annotated[Path | None, typer.Option("--qr", help=t("二维码图片", "picture: .png or .svg"))] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    from datetime import timedelta

    with _service(data) as service:
        from issuer.presenting import Level
        from trust.encoding.qr import write_qr

        issued = service.issuing.named(identifier)
        shown = service.presenting.start(
            issued.pid, purpose=purpose, level=Level(level), audience=audience, ttl=timedelta(seconds=ttl)
        )
        code, changes_at = service.presenting.code(shown, service.clock.now())
        if qr is not None:
            write_qr(code, qr)
        if json:
            console.print_json(
                {"code": code, "changes_at": changes_at.isoformat(), "ends_at": shown.expires_at.isoformat()}
            )
        else:
            console.out.print(code)


# --- verifying ----------------------------------------------------------------------------------------------


@app.command(help=t("核验文件、二维码文本或图片", "verify files, codes or pictures"))
def verify(
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
    from trust.app.cli.verifying import forget_lists as forget
    from trust.app.cli.verifying import verify_objects

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
        offline=offline,
        anchors=trust_anchor or [],
        crls=crl or [],
        roots=trust_root or [],
        at=at,
        data=data,
        json=json,
    )
    raise typer.Exit(code)


@app.command(
    "verify-many",
    help=t(
        "批量核验：一个文件夹，或一份 SHA-256 清单；可中断后继续",
        "verify a folder, or a list of SHA-256 digests; carries on where it stopped",
    ),
)
def verify_many(
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
    from trust.app.cli.many import verify_everything

    raise typer.Exit(
        verify_everything(what, out, offline=offline, roots=trust_root or [], data=data, json=json)
    )


@app.command(help=t("生成离线核验包", "write an offline verification bundle"))
def bundle(
    folder: Annotated[Path, typer.Argument(help=t("目录，或 .zip 文件", "folder, or a .zip file"))],
    data: Data = None,
) -> None:
    with _service(data) as service:
        from issuer.bundles import write_bundle

        write_bundle(service.publishing, service.member_bundles.files(), folder, service.clock.now())


# --- ledger and keys ----------------------------------------------------------------------------------------


@keys_app.command("list", help=t("列出密钥", "list the keys"))
def keys_list(data: Data = None, json: Json = False) -> None:
    with _service(data) as service:
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


keys_app.command(
    "import", help=t("导入 PKCS #12 中的密钥和证书", "take in a key with its certificate from PKCS #12")
)(import_command)


@keys_app.command(
    "new",
    help=t(
        "生成一把密钥，存于文件（小规模使用）或密码设备",
        "make a key: in a file (for small installations) or in a PKCS #11 token",
    ),
)
def keys_new(
    purpose: Annotated[str, typer.Option(help="root-ca, issuing-ca, seal, time-stamp, …")],
    suite: Annotated[str, typer.Option(help="SM2-SM3, RSA3072-SHA256, P256-SHA256, Ed25519")],
    label: Annotated[str, typer.Option(help=t("名称", "a name for people"))],
    provider: Annotated[
        str | None, typer.Option(help=t("file 或 pkcs11，缺省按设置", "file or pkcs11; else as settings say"))
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    with _service(data) as service:
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


def _suite(text: str) -> Any:
    from keys.suites import Suite

    return one_of(Suite, text, "suite")


def one_of(kind: Any, text: str, what: str) -> Any:
    """The member of an enum with this value. Raises `Malformed` and names them all."""
    try:
        return kind(text)
    except ValueError as exc:
        known = ", ".join(member.value for member in kind)
        raise Malformed(f"There is no {what} {text}.", f"Choose one of {known}.") from exc


@keys_app.command(
    "rotate",
    help=t(
        "为账本启用新密钥（新旧并签，旧者另行停用）",
        "new key for the ledger; both sign until the old one is retired",
    ),
)
def keys_rotate(
    use: Annotated[str, typer.Argument(help="checkpoint | checkpoint-sm2")],
    data: Data = None,
    json: Json = False,
) -> None:
    from trust.app.keys import rotate_ledger_key

    with _service(data) as service:
        _print_ledger_keys(rotate_ledger_key(service, use), json=json)


@keys_app.command("retire", help=t("停用账本的一把密钥", "a key of the ledger signs no more"))
def keys_retire(
    key: Annotated[str, typer.Argument(help=t("八位十六进制编号", "its id: eight hex digits"))],
    data: Data = None,
    json: Json = False,
) -> None:
    from trust.app.keys import retire_ledger_key

    with _service(data) as service:
        _print_ledger_keys(retire_ledger_key(service, key), json=json)


def _print_ledger_keys(keys: Any, *, json: bool) -> None:
    from ledger.note import format_vkey

    for key in keys.keys:
        if json:
            console.print_json(
                {"vkey": format_vkey(key.vkey), "from_size": key.from_size, "until_size": key.until_size}
            )
        else:
            until = "" if key.until_size is None else f" … {key.until_size - 1}"
            console.out.print(f"{format_vkey(key.vkey)}  {key.from_size}{until}", soft_wrap=True)


@app.command(
    help=t(
        "删除一件已失效证照的个人信息，并记入账本",
        "erase what is known about a dead e-certificate, on record",
    )
)
def erase(
    identifier: str,
    basis: Annotated[
        str,
        typer.Option(
            help="purpose-fulfilled | retention-expired | consent-withdrawn | unlawful | other-law | court-order"
        ),
    ],
    requested_by: Annotated[str, typer.Option(help=t("申请人", "who asks for it"))],
    approved_by: Annotated[
        str, typer.Option(help=t("批准人（须为另一人）", "who approves it: another person"))
    ],
    data: Data = None,
    json: Json = False,
) -> None:
    with _service(data) as service:
        issued = service.issuing.named(identifier, exactly=True)
        erased = service.erasing.erase(
            issued.pid, basis=basis, requested_by=requested_by, approved_by=approved_by
        )
    if json:
        console.print_json(
            {
                "ledger_index": erased.entry_seq,
                "rows": dict(erased.rows),
                "overwritten": erased.overwritten,
            }
        )
        return
    if not erased.overwritten:
        console.err.print(
            t(
                "数据库日志中尚有副本，将随下次整理清除。",
                "Copies are still in the database's log; they go with its next checkpoint.",
            )
        )
    console.out.print(
        t(
            f"已删除，账本第 {erased.entry_seq} 条。",
            f"Erased; entry {erased.entry_seq} of the ledger records it.",
        )
    )
    for table, count in erased.rows.items():
        console.out.print(f"  {table}: {count}")


@access_app.command("new-key", help=t("新建接口密钥（只显示一次）", "new API key; shown once"))
def access_new_key(
    label: str,
    scope: Annotated[
        list[str], typer.Option(help="cert.issue, cert.status, cert.read, cert.present, verify, desk")
    ],
    authority: Annotated[str | None, typer.Option(help=t("签发机构", "authority"))] = None,
    days: int = 365,
    data: Data = None,
) -> None:
    with _service(data) as service:
        from trust.model.clock import SystemEntropy
        from trust.people.access import open_access

        if authority is not None:
            service.authorities.get(authority)
        access = open_access(service.database, service.clock, SystemEntropy())
        console.out.print(
            access.clients.create_api_key(label, authority_id=authority, scopes=scope, days=days)
        )


@access_app.command("keys", help=t("列出接口密钥", "list the API keys"))
def access_keys(data: Data = None, json: Json = False) -> None:
    from trust.app.http.keys import key_json
    from trust.model.clock import SystemEntropy
    from trust.people.access import open_access

    with _service(data) as service:
        found = open_access(service.database, service.clock, SystemEntropy()).clients.list_api_keys()
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
def access_revoke_key(key_id: str, data: Data = None) -> None:
    from trust.model.clock import SystemEntropy
    from trust.people.access import open_access

    with _service(data) as service:
        open_access(service.database, service.clock, SystemEntropy()).clients.revoke_api_key(key_id)
        console.out.print(t(f"已吊销 {key_id}。", f"Revoked {key_id}."))


@access_app.command("sessions", help=t("列出打开的会话", "list the open sessions"))
def access_sessions(data: Data = None, json: Json = False) -> None:
    from trust.app.http.keys import session_json
    from trust.model.clock import SystemEntropy
    from trust.people.access import open_access

    with _service(data) as service:
        found = open_access(service.database, service.clock, SystemEntropy()).sessions.list_sessions()
    for each in found:
        if json:
            console.print_json(session_json(each))
        else:
            line = f"{each.session_id}  {each.kind}  {each.key_id or '-'}  {each.expires_at:%Y-%m-%d %H:%M}"
            console.out.print(line, markup=False)


@access_app.command("end-session", help=t("结束会话", "end a session, or all that a key has opened"))
def access_end_session(
    session_id: Annotated[str | None, typer.Argument()] = None,
    key: Annotated[str | None, typer.Option(help=t("该密钥的全部会话", "all that this key opened"))] = None,
    data: Data = None,
) -> None:
    from trust.model.clock import SystemEntropy
    from trust.people.access import open_access

    with _service(data) as service:
        access = open_access(service.database, service.clock, SystemEntropy())
        ended = access.sessions.end_sessions(session_id=session_id, key_id=key)
        console.out.print(t(f"已结束 {ended} 个会话。", f"{ended} ended."))


@access_app.command(
    "claim-link", help=t("给持证人的领取链接（一次有效）", "a holder's wallet link, good once")
)
def access_claim_link(identifier: str, data: Data = None) -> None:
    with _service(data) as service:
        from issuer import sql
        from trust.model.clock import SystemEntropy
        from trust.people.access import open_access

        issued = service.issuing.named(identifier)
        access = open_access(service.database, service.clock, SystemEntropy())
        with service.database.read() as connection:
            row = sql.get_ecertificate(connection, pid=issued.pid)
            refs = sql.holder_refs_of(connection, row.id or 0)
        for ref in refs:
            console.out.print(
                f"{service.settings.base_url}/wallet/claim/{access.invitations.create_claim_link(ref)}"
            )
