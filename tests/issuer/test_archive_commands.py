"""Archiving as its keeper meets it: what is due, its renewal, the versions, and the hand-over."""

from __future__ import annotations

import contextlib
import sqlite3
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.cli import Cli

TOMORROW = (datetime.now(UTC) + timedelta(days=1, hours=1)).isoformat()


def issue(cli: Cli, *numbers: int) -> list[str]:
    """Their identifiers."""
    assert cli.run("issue", "FOOD", "--from", cli.csv(*numbers), "--json") == 0, cli.err
    return [str(line["identifier"]) for line in cli.lines()]


def results(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["check"], each["result"]) for one in report["properties"] for each in one["checks"]]


def test_what_is_due_is_listed_renewed_and_shown(cli: Cli) -> None:
    first, second = issue(cli, 1, 2)
    assert cli.run("archive", "due") == 0
    assert "0 due." in cli.out
    assert cli.run("archive", "due", "--at", TOMORROW, "--json") == 0
    assert {line["identifier"]: line["versions"] for line in cli.lines()} == {first: 0, second: 0}
    assert cli.run("archive", "due", "--at", TOMORROW) == 0
    assert "2 due. Run `yinzheng archive renew`" in cli.out
    assert cli.run("archive", "renew") == 0
    assert "0 versions made" in cli.out, "a day has to pass first"
    assert cli.run("archive", "renew", first, "--json") == 0, cli.err
    assert cli.lines() == [{"identifier": first, "result": "renewed", "version": 1}]
    assert cli.run("archive", "versions", first, "--json") == 0
    issued, later = cli.lines()
    assert (issued["number"], later["number"], later["level"]) == (0, 1, "PAdES-B-LTA")
    assert later["parent_sha256"] == issued["sha256"]
    assert cli.run("archive", "versions", first) == 0
    assert "PAdES-B-LTA" in cli.out
    assert cli.run("archive", "due", "--at", TOMORROW, "--json") == 0
    assert [line["identifier"] for line in cli.lines()] == [second]


def test_all_that_is_due_is_renewed_at_once(cli: Cli) -> None:
    identifiers = issue(cli, 1, 2, 3)
    with contextlib.closing(sqlite3.connect(cli.data / "register.sqlite")) as register, register:
        register.execute("UPDATE ecertificate SET archive_due_at = archive_due_at - 90000000000")
    assert cli.run("archive", "renew") == 0, cli.err
    assert "3 versions made, 0 failed" in cli.out
    assert all(f"{identifier}: version 1" in cli.out for identifier in identifiers)
    assert cli.run("archive", "due") == 0
    assert "0 due." in cli.out


def test_one_that_cannot_be_renewed_stops_only_itself(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    (known,) = issue(cli, 1)
    assert cli.run("archive", "renew", "nobody", known) == 1
    assert "1 versions made, 1 failed" in cli.out
    assert "nobody: There is no such e-certificate" in cli.err
    assert "run this again" in cli.err
    monkeypatch.setenv("YINZHENG_LANG", "zh-CN")
    assert cli.run("archive", "renew", "nobody") == 1
    assert "nobody: 未找到" in cli.err
    assert "请再次运行" in cli.err


@pytest.mark.parametrize("arguments", [("due", "--at", "yesterday"), ("versions", "nobody")])
def test_a_mistake_is_one_sentence_and_what_to_do(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert cli.run("archive", *arguments) == 3
    assert len(cli.err.splitlines()) == 1


def test_a_package_is_written_checked_alone_and_its_file_verified_with_its_evidence(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (identifier,) = issue(cli, 1)
    package = cli.folder / "package.zip"
    assert cli.run("archive", "export", identifier, "--out", package) == 0, cli.out
    assert "never archived" in cli.err
    assert cli.run("archive", "renew", identifier) == 0
    assert cli.run("archive", "export", identifier, "--out", package, "--json") == 0
    (report,) = cli.lines()
    assert report["result"] == "PASSED"
    monkeypatch.setenv("YINZHENG_DATA", str(cli.folder / "nowhere"))
    assert cli.run("archive", "check", package, "--json") == 0
    assert results(cli.lines()[0]) == results(report)
    monkeypatch.setenv("YINZHENG_LANG", "zh-CN")
    assert cli.run("archive", "check", package) == 0
    assert "真实性: PASSED" in cli.out
    with zipfile.ZipFile(package) as opened:
        opened.extractall(cli.folder / "opened")
    file, evidence = cli.folder / "opened/file/licence.pdf", cli.folder / "opened/evidence"
    assert cli.run("verify", file, "--offline", evidence) == 0, cli.out
    assert cli.run("archive", "check", package, "--trust-root", "00" * 32) == 3
    data = bytearray(package.read_bytes())
    data[data.index(b"<format>") + 10] ^= 1
    package.write_bytes(bytes(data))
    assert cli.run("archive", "check", package) == 1
    assert cli.run("archive", "check", file) == 3
    assert cli.run("archive", "check", cli.folder / "nothing.zip") == 3
    assert cli.run("archive", "check", package, "--at", "2056-01-01T00:00:00Z") == 1
