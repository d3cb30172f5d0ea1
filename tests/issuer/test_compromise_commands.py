"""Rotation, compromise and sealing anew at the command line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from support.cli import Cli


def test_a_compromise_is_declared_its_key_rotated_and_the_files_sealed_anew(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = datetime.now(UTC).isoformat()
    out = cli.folder / "pdf"
    assert cli.run("issue", "FOOD", "--from", cli.csv(1), "--seal", "chuncheng-market-sm2", "--out", out) == 0
    (pdf,) = out.glob("*.pdf")
    assert cli.run("pki", "compromised", "seal-ca-SM2-SM3", "--since", since, "--json") == 0, cli.err
    (touched,) = cli.lines()
    assert touched["seals"] == ["chuncheng-market-sm2", "yunling-transport-sm2"]
    assert len(touched["files"]) == 1
    assert cli.run("verify", pdf) == 1
    assert cli.run("pki", "rotate", "seal-ca", "--suite", "SM2-SM3", "--json") == 0, cli.err
    assert cli.lines() == [{"id": "seal-ca-SM2-SM3.2"}]
    assert cli.run("seal", "make", "new", "--authority", "chuncheng-market") == 0, cli.err
    reseal = ("seal", "reseal", "chuncheng-market-sm2", "--with", "new")
    assert cli.run(*reseal) == 0, cli.err
    assert "1 issued anew, 0 failed" in cli.out
    assert cli.run(*reseal, "--json") == 0
    assert [line["result"] for line in cli.lines()] == ["done"]
    assert cli.run("pki", "compromised", "nobody", "--since", since) == 3
    assert "tsa-SM2-SM3" in cli.err
    assert cli.run("pki", "rotate", "root", "--suite", "SM2-SM3") == 3
    monkeypatch.setenv("YINZHENG_LANG", "zh-CN")
    assert cli.run("pki", "compromised", "seal-ca-SM2-SM3", "--since", since) == 0
    assert "印章 2 枚，文件 1 份" in cli.out
