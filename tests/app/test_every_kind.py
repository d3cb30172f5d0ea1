"""Every kind of licence goes through every command: issue, verify, archive, export, check, replace, revoke, erase."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typst
from support.cli import Cli
from support.world import FOOD

from issuer.rendering.fonts import typst_fonts

MARKET = "chuncheng-market"
NUMBER = "JY29901010000001"
SEALS = {
    "sm2": (f"{MARKET}-sm2", ()),
    "rsa": (f"{MARKET}-rsa3072", ()),
    "p256": (f"{MARKET}-p256", ()),
    "dual": (f"{MARKET}-sm2", ("--also", f"{MARKET}-rsa3072")),
    "dual-p256": (f"{MARKET}-sm2", ("--also", f"{MARKET}-p256")),
}


def issue(cli: Cli, seal: str, also: Sequence[str], out: Path) -> tuple[str, Path]:
    record = cli.folder / "record.json"
    record.write_text(json.dumps([{**FOOD, "licence_number": NUMBER, "seal": seal}]), encoding="utf-8")
    assert cli.run("issue", "FOOD", "--from", record, *also, "--out", out, "--json") == 0, cli.err
    (file,) = out.glob("*.pdf")
    return str(cli.lines()[0]["identifier"]), file


def stamp(cli: Cli, seal: str, also: Sequence[str], out: Path) -> tuple[str, Path]:
    source, record, file = cli.folder / "source.pdf", cli.folder / "record.json", out / "stamped.pdf"
    # As an archive wants it: PDF/A. Of any other PDF an export says that it does not claim to last.
    letter = Path(__file__).parents[2] / "samples" / "pdf" / "road-permit-table.typ"
    fonts: dict[str, Any] = {"font_paths": typst_fonts(), "ignore_system_fonts": True}
    source.write_bytes(typst.compile(letter.read_bytes(), pdf_standards=["a-2b"], **fonts))
    sidecar = {"type": "FOOD", "fields": {**FOOD, "licence_number": NUMBER}, "seal": seal}
    record.write_text(json.dumps(sidecar), encoding="utf-8")
    assert cli.run("stamp", source, "--from", record, *also, "--out", file, "--json") == 0, cli.err
    return str(cli.lines()[0]["identifier"]), file


@pytest.mark.parametrize("way", [issue, stamp], ids=["laid-out", "stamped"])
@pytest.mark.parametrize("kind", SEALS)
def test_every_kind_of_licence_goes_through_every_command(cli: Cli, kind: str, way: object) -> None:
    assert callable(way)
    seal, also = SEALS[kind]
    bundle, out = cli.folder / "bundle", cli.folder / "out"
    out.mkdir()
    identifier, file = way(cli, seal, also, out)

    def online(path: Path) -> str:
        cli.run("verify", path, "--json")
        return str(cli.lines()[0]["code"])

    def offline(path: Path) -> str:
        assert cli.run("bundle", bundle) == 0, cli.err
        cli.run("verify", path, "--offline", bundle, "--json")
        return str(cli.lines()[0]["code"])

    assert (offline(file), online(file)) == ("OK", "OK")
    assert json.dumps(cli.lines()).count('"role": "abroad"') == len(also) // 2

    assert cli.run("archive", "renew", identifier) == 0, cli.err + cli.out
    package = cli.folder / "package.zip"
    assert cli.run("archive", "export", identifier, "--out", package) == 0, cli.err + cli.out
    for words in ("authenticity", "integrity", "usability", "safety"):
        assert words in cli.out.lower(), cli.out
    assert "FAILED" not in cli.out
    assert cli.run("archive", "check", package) == 0, cli.out

    changed = cli.folder / "changed.json"
    changed.write_text(
        json.dumps([{**FOOD, "licence_number": NUMBER, "premises": "云岭省春城市示例路12号", "seal": seal}]),
        encoding="utf-8",
    )
    new = cli.folder / "new"
    command = ("replace", identifier, "--from", changed, "--reason", "地址变更", "--out", new, "--json")
    assert cli.run(*command) == 0, cli.err
    replaced = str(cli.lines()[0]["identifier"])
    (newer,) = new.glob("*.pdf")
    assert (online(file), online(newer)) == ("REPLACED", "OK")

    assert cli.run("suspend", replaced, "--reason", "投诉调查") == 0, cli.err
    assert online(newer) == "SUSPENDED"
    assert cli.run("reinstate", replaced, "--reason", "调查结束") == 0, cli.err
    assert cli.run("revoke", replaced, "--reason", "cancelled") == 0, cli.err
    assert (online(newer), offline(newer), offline(file)) == ("REVOKED", "REVOKED", "REPLACED")

    for each in (identifier, replaced):
        people = ("--requested-by", "clerk", "--approved-by", "chief")
        assert cli.run("erase", each, "--basis", "court-order", *people) == 0, cli.err
        assert cli.run("archive", "export", each, "--out", package) != 0
    assert cli.run("ledger", "recheck") == 0, cli.out
