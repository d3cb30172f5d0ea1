"""`yinzheng pki` and `yinzheng keys import`: requests out, certificates and keys in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from asn1crypto import pem
from support.cli import Cli
from support.outside_ca import PASSWORD, OutsideCa, new_key, pfx, requested_key, spki_of

from keys.pki.importing import is_pkcs12
from keys.suites import Suite


def test_the_command_line_asks_takes_and_lists(cli: Cli) -> None:
    now = datetime.now(UTC).replace(microsecond=0)  # the command has the machine's clock
    ca = OutsideCa("CFCA-like", Suite.SM2_SM3, now)
    folder = cli.folder
    (folder / "root.pem").write_bytes(pem.armor("CERTIFICATE", ca.root))
    (folder / "ca.pem").write_bytes(pem.armor("CERTIFICATE", ca.cert))
    names = ("--common-name", "行政许可专用章", "--organisation", "春城市市场监督管理局")
    assert cli.run("pki", "csr", *names, "--out", folder / "seal.csr", "--json") == 0, cli.err
    key_id = cli.lines()[0]["key"]
    _, _, request = pem.unarmor((folder / "seal.csr").read_bytes())
    (folder / "seal.pem").write_bytes(pem.armor("CERTIFICATE", ca.issue(requested_key(request))))
    trusted = ("--root", folder / "root.pem", "--chain", folder / "ca.pem", "--json")
    assert cli.run("pki", "import", folder / "seal.pem", "--label", "食品章", *trusted) == 0, cli.err
    assert cli.lines()[0]["key"] == key_id
    identity = str(cli.lines()[0]["id"])
    make = ("seal", "make", "under-cfca", "--authority", "chuncheng-market", "--identity")
    assert cli.run(*make, identity) == 0, cli.err
    assert cli.run("seal", "show", "under-cfca") == 0
    assert json.loads(cli.out)["identity"] == identity
    assert cli.run("seal", "make", "another", *make[3:], identity) == 3
    assert "another seal" in cli.err
    assert cli.run("pki", "import", folder / "ca.pem", *trusted) == 3
    assert "CA" in cli.err
    rsa = OutsideCa("RSA CA", Suite.RSA3072_SHA256, now)
    key = new_key(Suite.P256_SHA256)
    (folder / "seal.p12").write_bytes(pfx(rsa, key, rsa.issue(spki_of(key))))
    assert is_pkcs12((folder / "seal.p12").read_bytes())
    (folder / "rsa-root.der").write_bytes(rsa.root)
    (folder / "password").write_bytes(PASSWORD + b"\n")
    given = ("--root", folder / "rsa-root.der", "--password-file", folder / "password", "--json")
    assert cli.run("keys", "import", folder / "seal.p12", *given) == 0, cli.err
    assert cli.run("pki", "list", "--json") == 0
    assert {line["ca"] for line in cli.lines()} == {"CFCA-like CA", "RSA CA CA"}


@pytest.mark.allow_hosts(["127.0.0.1"])
def test_lists_of_cas_outside_are_shown_and_taken_from_files(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    ca = OutsideCa("RSA", Suite.RSA3072_SHA256, now, "http://127.0.0.1:1")
    key = new_key(Suite.P256_SHA256)
    folder = cli.folder
    (folder / "seal.p12").write_bytes(pfx(ca, key, ca.issue(spki_of(key))))
    (folder / "root.der").write_bytes(ca.root)
    (folder / "password").write_bytes(PASSWORD)
    given = ("--root", folder / "root.der", "--password-file", folder / "password")
    assert cli.run("pki", "import", folder / "seal.p12", *given) == 0, cli.err
    assert cli.run("pki", "crls", "refresh", "--json") == 1
    assert [line["code"] for line in cli.lines()] == ["FETCH_ADDRESS"] * 2
    (folder / "ca.crl").write_bytes(ca.crl(now))
    assert cli.run("pki", "crls", "refresh", "--from", folder / "ca.crl", "--json") == 0, cli.err
    assert [(line["ca"], line["new"]) for line in cli.lines()] == [("RSA CA", True)]
    (folder / "forged.crl").write_bytes(ca.crl(now, signed_by=ca.root_key))
    assert cli.run("pki", "crls", "refresh", "--from", folder / "forged.crl") == 3
    assert "signature" in cli.err
    assert cli.run("pki", "crls", "list", "--json") == 0
    shown = {line["ca"]: line for line in cli.lines()}
    assert shown["RSA CA"]["next_update"] is not None
    assert "private network" in str(shown["RSA Root"]["problem"])
    monkeypatch.setenv("YINZHENG_LANG", "zh-CN")
    assert cli.run("pki", "crls", "list") == 0
    assert "没有" in cli.out
    assert cli.run("pki", "crls", "refresh") == 1
    assert "内部网络" in cli.err
