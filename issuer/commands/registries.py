"""`yinzheng authority …`, `type …`: issuing authorities and types of e-certificates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from issuer.service import ISSUER
from trust.model.errors import Malformed
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.installation import need_server_install
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json

authority_app = typer.Typer(no_args_is_help=True, help=t("签发机构", "issuing authorities"))
type_app = typer.Typer(no_args_is_help=True, help=t("证照类型", "certificate types"))


@authority_app.command("add", help=t("登记签发机构", "register an authority"))
def authority_add(
    ctx: typer.Context,
    authority_id: str,
    uscc: Annotated[str, typer.Option(help=t("统一社会信用代码", "unified social credit code"))],
    name_zh: Annotated[str, typer.Option(help=t("中文名称", "Chinese name"))],
    name_en: Annotated[str, typer.Option(help=t("英文名称", "English name"))],
    function: Annotated[list[str], typer.Option(help=t("职能", "function; repeat for several"))],
    data: Data = None,
) -> None:
    with opened(ctx, ISSUER, data) as service:
        from trust.model.ecertificate import IssuingAuthority

        service.authorities.add(
            operator_here(), IssuingAuthority(authority_id, uscc, name_zh, name_en, tuple(function))
        )


@authority_app.command("list", help=t("列出签发机构", "list the authorities"))
def authority_list(ctx: typer.Context, data: Data = None, json: Json = False) -> None:
    with opened(ctx, ISSUER, data) as service:
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
    need_server_install()
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
    need_server_install()
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
    """Checks the data file of a type and says where in the installation it belongs."""
    need_server_install()
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
