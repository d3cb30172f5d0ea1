"""`yinzheng ledger witness …`: runs a witness for the logs of others.

A witness has a folder: `witness.key` (its keys), `witness.db` (what it has cosigned), and a lock that keeps a
second server out. With YINZHENG_WITNESS_URL its memory is in a PostgreSQL database instead, which several
servers may share. It is separate from the service's data folder on purpose: the operator of a log must not run its
witnesses.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trust.model.errors import Conflict, NotFound, OperationalError
from trust.terminal import console
from trust.terminal.console import t
from trust.terminal.options import Json

if TYPE_CHECKING:
    from ledger.notekeys import VerifierKey
    from trust.storage.sql import Database

KEY_FILE = "witness.key"
DATABASE_FILE = "witness.db"
DATABASE_VARIABLE = "YINZHENG_WITNESS_URL"

witness_app = typer.Typer(
    no_args_is_help=True, help=t("见证方（为他人的账本）", "a witness, of the logs of others")
)

Folder = Annotated[Path, typer.Option("--data", help=t("见证方目录", "folder of the witness"))]


@witness_app.command(
    "new", help=t("建立见证方：密钥与空的存储", "make a witness: its keys and its empty memory")
)
def new(
    data: Folder,
    name: Annotated[
        str, typer.Option(help=t("名称，如 w.example.org", "its name in keys, such as w.example.org"))
    ],
    post_quantum: Annotated[
        bool, typer.Option(help=t("另建 ML-DSA-44 密钥", "make an ML-DSA-44 key as well"))
    ] = True,
    json: Json = False,
) -> None:
    _need_server_install()
    from ledger.notekeys import KeyKind
    from ledger.witness.keyfile import new_keys, write_key_file
    from ledger.witness.witness import create_store

    kinds = [KeyKind.COSIGNATURE, KeyKind.ML_DSA_44] if post_quantum else [KeyKind.COSIGNATURE]
    keys = new_keys(name, kinds)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(data):
        if (data / KEY_FILE).exists():
            raise Conflict(f"There is a witness in {data} already.", "Choose another folder for another one.")
        # The keys are written last, so that, even after a power cut, keys exist only if the memory does.
        with _database(data) as database:
            create_store(database)
        write_key_file(data / KEY_FILE, keys)
    _print_vkeys([key.vkey for key in keys], json=json)


@witness_app.command("add-log", help=t("登记账本的公钥", "know a log by its keys"))
def add_log(
    vkey: Annotated[list[str], typer.Argument(help=t("同一账本的公钥", "keys of one log"))],
    data: Folder,
    replace: Annotated[
        bool, typer.Option("--replace", help=t("替换已登记的公钥", "instead of the keys it is known by"))
    ] = False,
) -> None:
    _need_server_install()
    from ledger.note import parse_vkey
    from ledger.witness import witness

    vkeys = [parse_vkey(each) for each in vkey]
    with _locked(data), _opened(data) as database:
        origin = (witness.replace_log_keys if replace else witness.add_log)(database, vkeys)
    console.out.print(t(f"已登记账本：{origin}", f"Known log: {origin}"))


@witness_app.command("list", help=t("列出公钥和账本", "list the keys and the logs"))
def list_logs(data: Folder, json: Json = False) -> None:
    _need_server_install()
    from ledger.note import format_vkey
    from ledger.witness.keyfile import read_key_file
    from ledger.witness.witness import known_logs

    with _locked(data), _opened(data) as database:
        logs = known_logs(database)
    vkeys = [key.vkey for key in read_key_file(data / KEY_FILE)]
    if json:
        console.print_json(
            {
                "vkeys": [format_vkey(each) for each in vkeys],
                "logs": [
                    {
                        "origin": log.origin,
                        "origin_hash": log.origin_hash,
                        "size": log.size,
                        "vkeys": [format_vkey(each) for each in log.vkeys],
                    }
                    for log in logs
                ],
            }
        )
        return
    _print_vkeys(vkeys, json=False)
    console.print_table(
        (t("账本", "log"), t("已见证的大小", "cosigned size"), t("公钥数", "keys")),
        [(log.origin, "–" if log.size is None else str(log.size), str(len(log.vkeys))) for log in logs],
    )


@witness_app.command("serve", help=t("启动见证服务", "start the witness"))
def serve(data: Folder, host: str = "127.0.0.1", port: int = 8410) -> None:
    _need_server_install()
    import uvicorn

    from ledger.http.witness import create_witness_app
    from ledger.witness.keyfile import read_key_file
    from ledger.witness.witness import Witness
    from trust.model.clock import SystemClock
    from trust.web.logs import set_up_logging

    keys = read_key_file(data / KEY_FILE)
    with _locked(data), _opened(data) as database:
        app = create_witness_app(Witness(database, keys=keys, clock=SystemClock()))
        set_up_logging()
        uvicorn.run(app, host=host, port=port, log_config=None, access_log=False, server_header=False)


def _need_server_install() -> None:
    try:
        import sqlmodel  # noqa: F401
    except ImportError as exc:
        raise OperationalError(
            "This is the base install, which verifies and nothing else.", 'Install "yinzheng[server]".'
        ) from exc


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Locks the folder for this process; with PostgreSQL no lock is needed, because its transactions suffice."""
    from trust.storage.folder import DataFolderLock

    if not data.is_dir():
        raise NotFound(f"There is no folder {data}.", "Make the witness first: yinzheng ledger witness new.")
    with contextlib.nullcontext() if os.environ.get(DATABASE_VARIABLE) else DataFolderLock(data):
        yield


@contextlib.contextmanager
def _opened(data: Path) -> Iterator[Database]:
    """Opens the memory of an existing witness."""
    from ledger.witness.witness import MemoryMissing, check_store

    if not os.environ.get(DATABASE_VARIABLE) and not (data / DATABASE_FILE).exists():
        raise MemoryMissing  # opening it would create an empty file
    with _database(data) as database:
        check_store(database)
        yield database


@contextlib.contextmanager
def _database(data: Path) -> Iterator[Database]:
    from trust.storage.sql import Database

    url = os.environ.get(DATABASE_VARIABLE)
    with Database(url or data / DATABASE_FILE) as database:
        yield database


def _print_vkeys(vkeys: list[VerifierKey], *, json: bool) -> None:
    from ledger.note import format_vkey

    texts = [format_vkey(each) for each in vkeys]
    if json:
        console.print_json({"vkeys": texts})
        return
    for text in texts:
        # Not through the console, which would wrap a key at the width of the terminal.
        typer.echo(text)
