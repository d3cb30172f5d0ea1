"""The command `yinzheng`, with `main` as its entry point.

Commands import what they need when they run: `yinzheng verify --offline` runs in the
base install, where there is no server, no register and no page layout, and it starts fast.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_group
from typer.models import CommandInfo

from issuer.commands.archive import archive_app
from issuer.commands.claiming import claiming_app
from issuer.commands.ecertificates import ecertificates_app
from issuer.commands.pki import pki_app, pki_keys_app
from issuer.commands.registries import authority_app, type_app
from issuer.commands.seals import seal_app
from issuer.commands.status_lists import status_lists_app
from issuer.service import ISSUER
from keys.commands import keys_app
from keys.service import KEYS
from ledger.commands.keys import ledger_keys_app
from ledger.commands.ledger import ledger_app
from ledger.commands.rescue import rescue_app
from ledger.service import LEDGER, RESCUE
from trust.admin.commands.access import access_app
from trust.admin.commands.audit import audit_app
from trust.admin.service import ADMIN
from trust.model.errors import TrustError
from trust.terminal import console
from trust.terminal.console import t
from trust.terminal.installation import need_server_install
from trust.terminal.opening import Opener, Openers
from trust.terminal.options import Data, Json
from verifier.commands.packages import packages_app
from verifier.commands.reports import report_app
from verifier.commands.trust_entries import trust_app
from verifier.commands.verify import verify_app
from verifier.service import CHECKING, PACKAGES, VERIFIER

if TYPE_CHECKING:
    from trust.app.compose import Site


def _without_commands() -> typer.Typer:
    return typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help=t("印证：电子证照与电子印章", "Yinzheng: e-certificates and e-seals"),
    )


app = _without_commands()
_GROUPS: Sequence[tuple[str, typer.Typer, Sequence[typer.Typer], str]] = (
    ("authority", authority_app, (), "add list"),
    ("type", type_app, (), "list show add"),
    ("seal", seal_app, (), ""),
    ("archive", archive_app, (packages_app,), "due renew versions export check"),
    ("report", report_app, (), ""),
    (
        "ledger",
        ledger_app,
        (status_lists_app, rescue_app),
        "checkpoint accept-time accept-register prove consistency recheck export recover cosign audit audit-status",
    ),
    ("keys", keys_app, (pki_keys_app, ledger_keys_app), "list import new rotate retire"),
    ("pki", pki_app, (), ""),
    ("trust", trust_app, (), ""),
    ("audit", audit_app, (), "list export check"),
    ("access", access_app, (claiming_app,), "new-key keys revoke-key sessions end-session claim-link"),
)
"""Groups of commands: name, the actor's group, the other actors' commands in it, and their order."""
_FIRST = (
    "init demo serve issue stamp suspend reinstate revoke replace present verify verify-many bundle erase"
)


def _join(group: typer.Typer, others: Sequence[typer.Typer], order: str) -> None:
    """Adds the commands of other actors to a group, and sorts it by `order`."""
    for other in others:
        group.registered_commands += other.registered_commands
    if order:
        names = order.split()
        # Commands that are not in the list are sorted to the end.
        group.registered_commands.sort(
            key=lambda each: names.index(_name_of(each)) if _name_of(each) in names else len(names)
        )


def _name_of(command: CommandInfo) -> str:
    assert command.callback is not None
    return command.name or command.callback.__name__


def main() -> None:
    """Runs the command line. Errors are translated to exit codes here only."""
    try:
        # Without standalone mode the library does not exit, but returns the code of a `typer.Exit`.
        code = _program(*sys.argv[1:2])(standalone_mode=False, obj=_openers())
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
        # A usage error of click. Anything else is our own error and shows its traceback (`trust.app.entry`).
        if hasattr(exc, "format_message"):
            console.err.print(exc.format_message())
            sys.exit(console.EXIT_USAGE)
        raise


@cache
def _program(first: str = "") -> TyperGroup:
    """The command line whose first argument is `first`: all of it, or, if that names a command or a group, only this
    one, since building all of them takes longer than many commands."""
    some = _without_commands()
    some.registered_commands = [each for each in app.registered_commands if _name_of(each) == first]
    some.registered_groups = [each for each in app.registered_groups if each.name == first]
    return get_group(some if some.registered_commands or some.registered_groups else app)


def _name_of_field(name: str) -> str:
    """The label of a field as in a person's table, from any type that has the field."""
    if console.language() == "zh-CN":
        from issuer.catalogue import load_catalogue

        for profile in load_catalogue().values():
            known = profile.field_named(name)
            if known is not None:
                return known.label.zh
    return name


def _open(data: Path | None, *, create: bool = False, ask_witnesses: bool = True) -> Site:
    need_server_install()
    from trust.app.compose import open_site
    from trust.app.settings import read_settings

    return open_site(read_settings(data), create=create, ask_witnesses=ask_witnesses)


def _rescue(data: Path | None) -> AbstractContextManager[object]:
    need_server_install()
    from trust.app.recovering import Rescue
    from trust.app.settings import read_settings

    return nullcontext(Rescue(read_settings(data)))


def _openers() -> Openers:
    """The openers of the facades: each opens the site for one of its actors."""
    of: dict[str, Opener] = {
        ISSUER.name: _opener(lambda site: site.issuer),
        VERIFIER.name: _opener(lambda site: site.verifier),
        CHECKING.name: _opener(lambda site: site.verifier, ask_witnesses=False),
        PACKAGES.name: _opener(lambda site: site.packages),
        LEDGER.name: _opener(lambda site: site.ledger),
        KEYS.name: _opener(lambda site: site.keys),
        ADMIN.name: _opener(lambda site: site.admin),
        RESCUE.name: _rescue,
    }
    return Openers(of)


def _opener(facade_of: Callable[[Site], object], *, ask_witnesses: bool = True) -> Opener:
    @contextmanager
    def opened(data: Path | None) -> Iterator[object]:
        with _open(data, ask_witnesses=ask_witnesses) as site:
            yield facade_of(site)

    return opened


@app.command(
    help=t("建立数据目录、证书、账本和首个信任列表", "make data folder, CAs, ledger, first trust list")
)
def init(data: Data = None, json: Json = False) -> None:
    with _open(data, create=True) as site:
        at = site.clock.now()
        site.issuer.publishing.trust_list(at)
        checkpoint = site.ledger.log.publish()
        from verifier.evidence.trust_list import root_fingerprint

        roots = [root_fingerprint(root) for root in site.issuer.publishing.roots()]
        if json:
            console.print_json(
                {"data": str(site.settings.data), "trust_roots": roots, "ledger_size": checkpoint.size}
            )
            return
        console.out.print(t(f"数据目录：{site.settings.data}", f"Data folder: {site.settings.data}"))
        console.out.print(t("信任根指纹（请公布）：", "Trust root fingerprints (publish them):"))
        for root in roots:
            console.out.print(f"  {root}")


@app.command(help=t("在示例数据上完成全部主要流程", "run the main job on the sample data"))
def demo(
    out: Annotated[Path, typer.Option("--out", help=t("输出目录", "output folder"))] = Path("demo-out"),
    serve: Annotated[bool, typer.Option("--serve", help=t("随后启动服务", "then start the service"))] = False,
    port: int = 8400,
) -> None:
    need_server_install()
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
    need_server_install()
    from trust.app.serving import serve as run
    from trust.app.settings import read_settings

    run(read_settings(data), host=host, port=port, workers=workers)


for _name, _group, _others, _order in _GROUPS:
    _join(_group, _others, _order)
    app.add_typer(_group, name=_name)
_join(app, (ecertificates_app, verify_app), _FIRST)
