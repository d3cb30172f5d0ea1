"""`yinzheng archive export`, `archive check`: packages for an e-archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trust.model.errors import Malformed
from trust.terminal import console
from trust.terminal.actors import operator_here
from trust.terminal.console import t
from trust.terminal.instants import instant
from trust.terminal.opening import opened
from trust.terminal.options import Data, Json
from verifier.commands.marks import EXIT, MARKS
from verifier.service import PACKAGES

if TYPE_CHECKING:
    from verifier.checks.archive_package import FourProperties

packages_app = typer.Typer()


@packages_app.command(
    "export", help=t("生成移交电子档案的包", "write the package for handing over to an e-archive")
)
def export(
    ctx: typer.Context,
    identifier: str,
    out: Annotated[Path, typer.Option("--out", help="FILE.zip")],
    data: Data = None,
    json: Json = False,
) -> None:
    with opened(ctx, PACKAGES, data) as service:
        made = service.export_package(operator_here(), identifier)
    out.write_bytes(made.package)
    if not made.later_versions and not json:
        console.err.print(
            t(
                "该文件尚无归档版本，证据会随证书和吊销列表到期；建议先运行 yinzheng archive renew。",
                "The file was never archived, so its evidence runs out; better run `yinzheng archive renew` first.",
            )
        )
    raise typer.Exit(_print_properties(made.checked, json))


@packages_app.command("check", help=t("离线检测移交包的四性", "check a package alone, offline"))
def check(
    file: Path,
    at: Annotated[
        str | None, typer.Option("--at", help=t("检测时点，缺省为移交时", "time; else when it was made"))
    ] = None,
    trust_root: Annotated[
        list[str] | None, typer.Option("--trust-root", help=t("信任根指纹", "pinned fingerprint"))
    ] = None,
    json: Json = False,
) -> None:
    from trust.encoding.archive_package import EVIDENCE, decode_package
    from trust.sandbox.workers import Sandbox
    from verifier.checks.archive_package import check_package
    from verifier.checks.verifying import SANDBOX_JOBS
    from verifier.commands.verifying import named_roots
    from verifier.evidence.bundle import decode_roots

    package = decode_package(_read(file))
    # Without a named root the package's own roots are used; a package without roots is reported as incomplete.
    inside = package.files.get(f"{EVIDENCE}roots.json", b"")
    roots = named_roots(decode_roots(inside), trust_root) if trust_root else ()
    with Sandbox(SANDBOX_JOBS, workers=1) as sandbox:
        moment = instant(at) or package.manifest.made_at
        checked = check_package(package, sandbox, moment, roots=roots)
    raise typer.Exit(_print_properties(checked, json))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as exc:
        raise Malformed(f"{file.name} cannot be read.", "Check the path.", code="NOT_FOUND") from exc


def _print_properties(checked: FourProperties, json: bool) -> int:
    """Prints the result and returns the exit code that `yinzheng verify` would give."""
    from verifier.checks.archive_package import check_name, encode_four_properties, property_name

    if json:
        console.print_json(encode_four_properties(checked))
        return EXIT[checked.result]
    out, language = console.out, console.language()
    out.print(f"{checked.identifier}  {checked.result.value}", soft_wrap=True)
    out.print(f"  {t('检测时点', 'as of')} {checked.checked_at:%Y-%m-%d %H:%M} UTC")
    for each in checked.properties:
        out.print(f"{property_name(each.property, language)}: {each.result.value}")
        for finding in each.findings:
            detail = f" — {finding.detail}" if finding.detail else ""
            code = f" [{finding.code}]" if finding.code != "OK" else ""
            name = check_name(finding.check, language)
            out.print(f"  {MARKS[finding.result]} {name}{detail}{code}", soft_wrap=True)
    return EXIT[checked.result]
